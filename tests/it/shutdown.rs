//! Ending under load.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use integration_tests::Sidecar;
use integration_tests::http::Client;

#[test]
fn sigterm_under_load_loses_nothing_that_was_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let sidecar = Sidecar::in_directory(directory.path())
        .source("mirror", "type = \"mirror\"\nlisten = \"127.0.0.1:0\"")
        .json_file("events")
        .start();
    let address = sidecar.address("mirror");
    let accepted = AtomicU64::new(0);
    let lines = std::thread::scope(|scope| {
        for number in 0..4 {
            let accepted = &accepted;
            scope.spawn(move || {
                let mut client = Client::connect(address);
                let user = format!("X-Username: user-{number}");
                let headers = ["X-Original-URI: /page", "X-Original-Method: GET", &user];
                // Ends with the connection: what gets no answer is not accepted.
                while let Ok(answer) = client.try_send("GET /mirror", &headers, "") {
                    match answer.status {
                        204 => accepted.fetch_add(1, Ordering::Relaxed),
                        503 => return,
                        status => panic!("answered {status}"),
                    };
                }
            });
        }
        integration_tests::until("load", || {
            (accepted.load(Ordering::Relaxed) > 2000).then_some(())
        });
        std::thread::sleep(Duration::from_millis(50));
        let path = directory.path().join("events.json");
        assert_eq!(sidecar.stop().code(), Some(0));
        std::fs::read_to_string(path).unwrap().lines().count() as u64
    });
    let accepted = accepted.into_inner();
    // Each of the four clients may have missed the answer to its last request.
    assert!(
        (accepted..=accepted + 4).contains(&lines),
        "{lines} lines for {accepted} accepted requests"
    );
}

#[test]
fn an_interrupt_ends_it_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let sidecar = Sidecar::in_directory(directory.path())
        .source("mirror", "type = \"mirror\"\nlisten = \"127.0.0.1:0\"")
        .json_file("events")
        .start();
    let mut client = Client::connect(sidecar.address("mirror"));
    let answer = client.send(
        "GET /mirror",
        &["X-Original-URI: /last", "X-Original-Method: GET"],
        "",
    );
    assert_eq!(answer.status, 204);
    let status = sidecar.interrupt();
    assert_eq!(status.code(), Some(0));
    let text = std::fs::read_to_string(directory.path().join("events.json")).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
}
