//! Nanoseconds per access-log line, decoded into a reused event.
//!
//! `cargo bench -p sidewatch-codecs --bench nginx_line` prints the best of
//! several rounds: the machine's other work only ever adds to a round.

use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use sidewatch_codecs::{Decoder, LogFormat};
use sidewatch_event::Event;

const ROUNDS: usize = 1_000;
const LINES: u32 = 500;

const COMBINED: &str = concat!(
    "203.0.113.177 - zoe [21/Nov/2026:01:02:03 +0000] ",
    "\"GET /api/v4/channels/8w5wm1s6zpbq9r1ofrqwpnzy4e/posts?page=0&per_page=60 HTTP/2.0\" 200 15326 ",
    "\"https://chat.example.org/team/channels/town-square\" ",
    "\"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\""
);

fn main() -> std::io::Result<()> {
    let json = concat!(
        r#"{"time":"2026-11-21T01:02:03+00:00","remote_addr":"203.0.113.177","request":"GET /api/v4/posts?page=0 HTTP/2.0","#,
        r#""status":200,"bytes":15326,"referer":"https://chat.example.org/team/channels/town-square","#,
        r#""agent":"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}"#
    );
    let json_format = concat!(
        r#"{"time":"$time_iso8601","remote_addr":"$remote_addr","request":"$request","status":$status,"#,
        r#""bytes":$body_bytes_sent,"referer":"$http_referer","agent":"$http_user_agent"}"#
    );
    let archivematica = format!("{COMBINED} \"-\" user=zoe");
    let escaped = COMBINED.replace("channels/", "caf\\xC3\\xA9/%C3%A9/../");
    measure("combined", LogFormat::preset("combined").as_ref(), COMBINED)?;
    measure(
        "combined, escapes and dot segments",
        LogFormat::preset("combined").as_ref(),
        &escaped,
    )?;
    measure(
        "archivematica",
        LogFormat::preset("archivematica").as_ref(),
        &archivematica,
    )?;
    measure(
        "archivematica, second form",
        LogFormat::preset("archivematica").as_ref(),
        &format!("{COMBINED} \"-\""),
    )?;
    measure(
        "json, own format",
        LogFormat::compile(json_format).ok().as_ref(),
        json,
    )?;
    measure("json, preset", LogFormat::preset("json").as_ref(), json)
}

fn measure(name: &str, format: Option<&LogFormat>, line: &str) -> std::io::Result<()> {
    let mut event = Event::new();
    let mut best = f64::INFINITY;
    let mut read = 0_u64;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..LINES {
            event.clear();
            let result = format.map(|format| format.decode(black_box(line.as_bytes()), &mut event));
            read += u64::from(matches!(result, Some(Ok(()))));
            black_box(&event);
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(LINES));
    }
    let share = 100.0 * read as f64 / (ROUNDS as f64 * f64::from(LINES));
    writeln!(
        std::io::stdout(),
        "{name}: {:.0} ns/line, {} bytes, {share:.0} % read",
        best * 1e9,
        line.len()
    )
}
