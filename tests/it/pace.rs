//! A long log is read as fast as the slowest sink that takes records takes
//! them: that one loses nothing, though its buffer is far smaller than the log.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::time::Duration;

use integration_tests::{Sidecar, until};

const LINES: u64 = 60_000;

#[test]
fn a_slow_sink_loses_nothing_of_a_long_log() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let log = directory.join("access.log");
    let lines: String = (0..LINES)
        .map(|at| format!("192.0.2.7 - somebody [20/Nov/2026:10:00:00 +0000] \"GET /line/{at} HTTP/1.1\" 200 5 \"-\" \"test\"\n"))
        .collect();
    std::fs::write(&log, lines).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let receiving = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut received = 0;
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            received += u64::from(line.contains("/line/"));
            if received % 100 == 0 {
                std::thread::sleep(Duration::from_millis(30));
            }
            if received == LINES {
                break;
            }
        }
        received
    });
    let sidecar = Sidecar::in_directory(directory)
        .source(
            "log",
            &format!("type = \"file\"\npaths = [{log:?}]\nformat = \"combined\""),
        )
        .sink(
            "slow",
            &format!("type = \"tcp\"\naddress = \"{address}\"\nbuffer = {{ max_bytes = 8388608 }}"),
        )
        .json_file("quick")
        .start();
    sidecar.until("reading to wait", |metrics| {
        metrics.get("pipeline_files_held", &[]) == 1
    });
    assert_eq!(receiving.join().unwrap(), LINES);
    until("reading to go on", || {
        let metrics = sidecar.metrics();
        (metrics.get("pipeline_files_held", &[]) == 0).then_some(())
    });
    let metrics = sidecar.settled();
    assert_eq!(metrics.sink("slow", "dropped_queue_full"), 0);
    assert_eq!(metrics.sink("quick", "delivered"), LINES);
    assert!(sidecar.stop().success());
}
