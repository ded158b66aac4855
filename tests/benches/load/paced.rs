//! Mirrored requests at a steady rate, straight to the mirror's socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

const CONNECTIONS: u32 = 8;

/// What nginx sends with the shipped snippet, for one of 5,000 users.
fn request(number: u64) -> String {
    let user = number.wrapping_mul(2_654_435_761) % 5_000;
    format!(
        "POST /mirror HTTP/1.1\r\nHost: app.example.org\r\nX-Original-URI: /api/v4/channels/{user:026}/posts\r\n\
         X-Original-Method: GET\r\nX-Original-Protocol: HTTP/2.0\r\nX-Original-Time: {}.123\r\n\
         X-Real-IP: 198.51.{}.{}\r\nX-Forwarded-Proto: https\r\nX-Request-Id: {number:032x}\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\r\n\
         Accept-Language: de,en-US;q=0.7,en;q=0.3\r\nReferer: https://app.example.org/\r\n\
         Cookie: MMUSERID=u{user:025}; MMAUTHTOKEN=s{user:025}; theme=dark\r\n\r\n",
        1_795_000_000 + number / 20_000,
        user / 250,
        user % 250,
    )
}

/// Reads answers until `count` have come; each ends with an empty line.
fn read_answers(stream: &mut UnixStream, count: usize) {
    let mut buffer = [0; 8192];
    let (mut seen, mut matched) = (0, 0);
    while seen < count {
        let read = stream.read(&mut buffer).unwrap();
        assert_ne!(read, 0, "the mirror hung up");
        for byte in &buffer[..read] {
            matched = match (byte, matched) {
                (b'\r', 0 | 2) | (b'\n', 1 | 3) => matched + 1,
                (b'\r', _) => 1,
                _ => 0,
            };
            if matched == 4 {
                (seen, matched) = (seen + 1, 0);
            }
        }
    }
}

fn on_connections<T: Send>(
    socket: &Path,
    run: impl Fn(u32, UnixStream) -> Vec<T> + Sync,
) -> Vec<T> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let stream = UnixStream::connect(socket).unwrap();
                let run = &run;
                scope.spawn(move || run(number, stream))
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    })
}

/// One request after the other on each connection; how long each answer took
/// from the moment it was due or, when the sender woke late, from sending.
pub(crate) fn one_by_one(socket: &Path, rate: u32, time: Duration) -> Vec<Duration> {
    let interval = Duration::from_secs(1) * CONNECTIONS / rate;
    on_connections(socket, |connection, mut stream| {
        let begun = Instant::now() + interval * connection / CONNECTIONS;
        let mut times = Vec::new();
        for number in 0_u32.. {
            let due = begun + interval * number;
            if due > begun + time {
                break;
            }
            let text = request(u64::from(connection) << 32 | u64::from(number));
            let late = due.checked_duration_since(Instant::now());
            let from = match late {
                Some(wait) => {
                    std::thread::sleep(wait);
                    Instant::now()
                }
                None => due,
            };
            stream.write_all(text.as_bytes()).unwrap();
            read_answers(&mut stream, 1);
            times.push(from.elapsed());
        }
        times
    })
}

/// The same in bursts, one every 10 ms per connection; how many were sent.
pub(crate) fn in_bursts(socket: &Path, rate: u32, time: Duration) -> usize {
    let pause = Duration::from_millis(10);
    let burst = rate / CONNECTIONS / 100;
    on_connections(socket, |connection, mut stream| {
        let begun = Instant::now();
        let mut sent = Vec::new();
        let mut number = u64::from(connection) << 32;
        for turn in 1_u32.. {
            let text: String = (0..burst)
                .map(|at| request(number + u64::from(at)))
                .collect();
            number += u64::from(burst);
            stream.write_all(text.as_bytes()).unwrap();
            read_answers(&mut stream, burst as usize);
            sent.push(burst as usize);
            if begun.elapsed() >= time {
                break;
            }
            if let Some(wait) = (begun + pause * turn).checked_duration_since(Instant::now()) {
                std::thread::sleep(wait);
            }
        }
        sent
    })
    .into_iter()
    .sum()
}
