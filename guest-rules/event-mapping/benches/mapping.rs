//! Nanoseconds per event of each pack's table, compiled natively: the lower
//! bound for the same rule as a component.
//!
//! `cargo bench -p event-mapping [-- PACK…]`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench may fail loudly"
)]

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use event_mapping::EventMapping;
use rule_sdk::mapping::harness::{Harness, Sample};
use rule_sdk::mapping::{map, wire};

const FRAME: usize = 64;
const FRAMES: usize = 64;
const ROUNDS: usize = 60;
const UUID: &str = "5e2a1c9d-04bb-4f7e-9d11-0c3f8a7b6e55";

/// Method, target and status of a day at an archive: mostly page parts and
/// polling, some work, a few refusals.
const TRAFFIC: &[(&str, &str, u32)] = &[
    ("GET", "/transfer/status/", 200),
    ("GET", "/ingest/status/", 200),
    ("GET", "/static/css/archivematica.css?v=1", 200),
    ("GET", "/media/vendor/jquery.js", 304),
    (
        "GET",
        "/archival-storage/search/?query=letters&field=&type=term",
        200,
    ),
    ("GET", "/archival-storage/{U}/", 200),
    ("POST", "/archival-storage/{U}/", 302),
    ("GET", "/archival-storage/download/aip/{U}/", 200),
    (
        "GET",
        "/archival-storage/download/aip/{U}/mets_download/",
        200,
    ),
    (
        "GET",
        "/administration/accounts/login/?next=/transfer/",
        200,
    ),
    ("POST", "/administration/accounts/login/", 302),
    ("POST", "/administration/accounts/7/edit/", 302),
    ("POST", "/api/v2beta/package/", 202),
    ("GET", "/api/transfer/status/{U}/", 200),
    ("GET", "/api/ingest/status/{U}/", 200),
    (
        "GET",
        "/api/v2/file/{U}/extract_file/?relative_path_to_file=a%2Fb",
        200,
    ),
    ("GET", "/api/v2/file/{U}/download/", 200),
    ("POST", "/mcp/execute/", 200),
    ("GET", "/transfer/", 200),
    ("GET", "/ingest/normalization-report/{U}/", 200),
    ("GET", "/wp-login.php", 404),
    ("GET", "/fpr/fprule/", 200),
    ("POST", "/fpr/fprule/{U}/edit/", 302),
    ("GET", "/backlog/download/{U}/", 200),
];

fn samples(dataset: &str) -> Vec<Sample> {
    (0..FRAME * FRAMES)
        .map(|number| {
            let (method, target, status) = TRAFFIC[number * 7 % TRAFFIC.len()];
            Sample::request(&format!("{method} {}", target.replace("{U}", UUID)))
                .with_status(status)
                .with("event.dataset", dataset)
                .with("http.request.referrer", "https://archive.example/transfer/")
                .with(
                    "user_agent.original",
                    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
                )
        })
        .collect()
}

fn main() {
    let packs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/packs");
    println!(
        "{:<16} {:>8} {:>12} {:>10}",
        "table", "entries", "ns/event", "mapped"
    );
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|name| !name.starts_with('-'))
        .collect();
    for pack in ["archivematica", "auditmatica"] {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == pack) {
            continue;
        }
        let text = std::fs::read_to_string(packs.join(pack).join("mapping.toml")).unwrap();
        let table: serde_json::Value = toml::from_str(&text).unwrap();
        let harness: Harness<EventMapping> = Harness::new(&table.to_string()).unwrap();
        let samples = samples("nginx.access");
        let frames: Vec<wire::Frame> = samples
            .chunks(FRAME)
            .map(|chunk| harness.frame(chunk))
            .collect();
        let columns = harness.descriptor().reads.len();
        let mut best = f64::INFINITY;
        let mut mapped = 0;
        for _ in 0..ROUNDS {
            let start = Instant::now();
            mapped = 0;
            for frame in &frames {
                mapped += black_box(map(harness.mapping(), columns, black_box(frame)))
                    .mapped
                    .len();
            }
            #[expect(clippy::cast_precision_loss, reason = "a few thousand events")]
            let each = start.elapsed().as_nanos() as f64 / samples.len() as f64;
            best = best.min(each);
        }
        println!(
            "{pack:<16} {:>8} {best:>12.1} {mapped:>6}/{}",
            harness.descriptor().annotations.len(),
            samples.len()
        );
    }
}
