//! Audit records a second on one core: decoded, mapped and written as ECS
//! documents.
//!
//! `cargo bench -p sidewatch-codecs --bench mattermost_audit` prints the best
//! of several rounds: the machine's other work only ever adds to a round. A
//! strict JSON reader over the same records is the twin to compare with.

use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use sidewatch_codecs::{AuditCodec, AuditTable, Decoder, ecs};
use sidewatch_event::{Delivery, Event};

const ROUNDS: usize = 200;
const REPEAT: usize = 40;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/mattermost");
    let table = Arc::new(AuditTable::built_in()?);
    let codec = AuditCodec::new(table);
    for name in ["v5.37-flat", "v10.5-nested", "gelf"] {
        let bytes = std::fs::read(folder.join(format!("{name}.log")))?;
        let records: Vec<&[u8]> = bytes
            .split(|byte| *byte == b'\n')
            .map(|record| record.strip_suffix(b"\0").unwrap_or(record))
            .filter(|record| !record.is_empty())
            .collect();
        let parsed = best(&records, |record| {
            black_box(serde_json::from_slice::<serde_json::Value>(record).is_ok())
        });
        let mut event = Event::new();
        let decoded = best(&records, |record| {
            event.clear();
            let read = codec.decode(black_box(record), &mut event).is_ok();
            black_box(&event);
            read
        });
        let mut out = Vec::new();
        let whole = best(&records, |record| {
            let mut event = Event::new();
            let read = codec.decode(black_box(record), &mut event).is_ok();
            event.source_ip = event.peer_ip;
            out.clear();
            ecs::encode(&Delivery::Event(Arc::new(event)), &mut out);
            black_box(&out);
            read
        });
        writeln!(
            std::io::stdout(),
            "{name}: {:.0} bytes a record; decoded and mapped {:.0} ns, with ECS output {:.0} ns = {:.0} records/s; \
             serde_json to a value alone {:.0} ns",
            bytes.len() as f64 / records.len() as f64,
            decoded * 1e9,
            whole * 1e9,
            1.0 / whole,
            parsed * 1e9,
        )?;
    }
    Ok(())
}

/// Seconds per record of the best round.
fn best(records: &[&[u8]], mut work: impl FnMut(&[u8]) -> bool) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let mut read = 0;
        for _ in 0..REPEAT {
            read += records.iter().filter(|record| work(record)).count();
        }
        let count = (records.len() * REPEAT) as f64;
        if read == records.len() * REPEAT {
            best = best.min(start.elapsed().as_secs_f64() / count);
        }
    }
    best
}
