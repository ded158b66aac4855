//! How fast lines are taken out of a cached file.
//!
//! `cargo bench -p sidewatch-sources --bench lines`
//!
//! Reads a file of access-log lines several times, next to a plain read of
//! the same file in the same pieces, and shows both.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::time::Instant;

use sidewatch_sources::LineReader;

const LINES: u64 = 1_000_000;
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("access.log");
    let mut file = BufWriter::new(File::create(&path)?);
    for number in 0..LINES {
        writeln!(
            file,
            "192.0.2.{} - - [20/Nov/2026:20:34:04 +0000] \"GET /api/v4/users/{number}/teams HTTP/1.1\" 200 512 \
             \"https://app.example.org/\" \"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\"",
            number % 256
        )?;
    }
    file.flush()?;
    drop(file);
    let mut out = std::io::stdout();
    for _ in 0..ROUNDS {
        let (bytes, seconds) = read_plainly(&path)?;
        let plain = bytes as f64 / seconds / 1e9;
        let (lines, seconds) = read_lines(&path)?;
        writeln!(
            out,
            "plain read {plain:.2} GB/s | lines {:.2} GB/s, {:.1} million lines/s",
            bytes as f64 / seconds / 1e9,
            lines as f64 / seconds / 1e6
        )?;
    }
    Ok(())
}

fn read_plainly(path: &Path) -> Result<(u64, f64), Box<dyn Error>> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 256 * 1024];
    let (mut bytes, begun) = (0, Instant::now());
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((bytes, begun.elapsed().as_secs_f64())),
            count => bytes += count as u64,
        }
    }
}

fn read_lines(path: &Path) -> Result<(u64, f64), Box<dyn Error>> {
    let begun = Instant::now();
    let mut reader = LineReader::new(File::open(path)?, 256 * 1024);
    let (mut lines, mut bytes) = (0, 0);
    while let Some(line) = reader.next_line()? {
        lines += 1;
        bytes += line.bytes.len();
    }
    if lines != LINES || bytes == 0 {
        return Err("lines are missing".into());
    }
    Ok((lines, begun.elapsed().as_secs_f64()))
}
