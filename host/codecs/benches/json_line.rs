//! Nanoseconds per event written as a line of JSON, and what `serde_json` takes
//! for the same line from a value that is ready.
//!
//! `cargo bench -p sidewatch-codecs --bench json_line` prints the best of
//! several rounds: the machine's other work only ever adds to a round.

use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use sidewatch_codecs::{Decoder as _, LogFormat, json};
use sidewatch_event::{Delivery, Event, Field, Location};

const ROUNDS: usize = 1_000;
const LINES: u32 = 500;

const LINE: &[u8] = concat!(
    "203.0.113.177 - zoe [21/Nov/2026:01:02:03 +0000] ",
    "\"GET /api/v4/channels/8w5wm1s6zpbq9r1ofrqwpnzy4e/posts?page=0&per_page=60 HTTP/2.0\" 200 15326 ",
    "\"https://chat.example.org/team/channels/town-square\" ",
    "\"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\""
)
.as_bytes();

fn main() -> std::io::Result<()> {
    let delivery = Delivery::Event(event().into());
    let mut line = Vec::new();
    json::encode(&delivery, &mut line);
    let value: serde_json::Value = serde_json::from_slice(&line)?;
    let ours = best(|| {
        line.clear();
        json::encode(black_box(&delivery), &mut line);
    });
    let mut theirs_line = Vec::new();
    let theirs = best(|| {
        theirs_line.clear();
        drop(serde_json::to_writer(&mut theirs_line, black_box(&value)));
    });
    writeln!(
        std::io::stdout(),
        "an event as JSON: {ours:.0} ns, {} bytes; serde_json from a ready value: {theirs:.0} ns, {} bytes; {:.2} times as long",
        line.len(),
        theirs_line.len(),
        ours / theirs
    )
}

fn event() -> Event {
    let mut event = Event::new();
    if let Some(format) = LogFormat::preset("combined") {
        drop(format.decode(LINE, &mut event));
    }
    event.id = 0x0123_4567_89ab_cdef;
    event.received = event.time + 5;
    event.source_ip = event.peer_ip;
    event.as_number = 64_500;
    event.location = Some(Location {
        latitude: 49.2,
        longitude: 16.6,
        accuracy_km: 20.0,
    });
    for (field, text) in [
        (Field::EventAction, "posts-read"),
        (Field::EventCategory, "web"),
        (Field::EventCode, "posts"),
        (Field::EventOutcome, "success"),
        (Field::EventType, "access"),
        (Field::LogFilePath, "/var/log/nginx/access.log"),
        (Field::SourceAsOrganizationName, "Example Network"),
        (Field::SourceGeoCityName, "Brno"),
        (Field::SourceGeoCountryIsoCode, "CZ"),
        (Field::UserAgentName, "Firefox"),
        (Field::UserAgentOsName, "Linux"),
    ] {
        event.set(field, text);
    }
    event
}

/// Nanoseconds a call takes, at best.
fn best(mut work: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..LINES {
            work();
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(LINES));
    }
    best * 1e9
}
