//! nginx' clients notice nothing, whatever state the sidecar is in.

use std::io::Read as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use integration_tests::{Nginx, Sidecar};
use nix::sys::signal::Signal;

/// Behaviour, not speed: a plain mirror stalls its clients for a minute.
const NOTICEABLE: Duration = Duration::from_secs(1);
const REQUESTS: usize = 300;

fn sidecar(directory: &Path) -> Sidecar {
    let socket = directory.join("mirror.sock");
    Sidecar::in_directory(directory)
        .source("mirror", &format!("type = \"mirror\"\nsocket = {socket:?}"))
        .json_file("events")
        .start()
}

/// Two kept-alive clients in turn; every request is answered, and soon.
fn nobody_notices(nginx: &Nginx, state: &str) -> usize {
    let mut clients = [nginx.client(), nginx.client()];
    let mut answered = 0;
    for number in 0..REQUESTS {
        let answer = clients[number % 2].send("GET /page", &["User-Agent: test"], "");
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "fine"),
            "{state}, request {number}"
        );
        assert!(
            answer.elapsed < NOTICEABLE,
            "{state}, request {number} took {:?}",
            answer.elapsed
        );
        answered += 1;
    }
    answered
}

#[test]
fn clients_notice_no_sidecar_that_is_absent_stopped_or_hung() {
    let directory = tempfile::tempdir().unwrap();
    let plain = Nginx::in_directory(directory.path())
        .without_mirror()
        .start();
    let without_mirror = nobody_notices(&plain, "no mirror");
    drop(plain);

    let nginx = Nginx::in_directory(directory.path()).start();
    assert_eq!(nobody_notices(&nginx, "never started"), without_mirror);
    drop(nginx);

    let sidecar = sidecar(directory.path());
    let nginx = Nginx::in_directory(directory.path()).start();
    assert_eq!(nobody_notices(&nginx, "up"), without_mirror);
    let metrics = sidecar.until("every mirrored request", |metrics| {
        metrics.source("mirror", "received") == without_mirror as u64
    });
    assert_eq!(metrics.source("mirror", "decoded"), without_mirror as u64);

    sidecar.signal(Signal::SIGSTOP);
    assert_eq!(nobody_notices(&nginx, "hung"), without_mirror);
    sidecar.signal(Signal::SIGCONT);
    sidecar.settled();
    assert!(sidecar.stop().success());
    assert_eq!(nobody_notices(&nginx, "stopped"), without_mirror);
}

#[test]
fn clients_notice_no_sidecar_that_is_slow() {
    let directory = tempfile::tempdir().unwrap();
    let nginx = Nginx::in_directory(directory.path()).start();
    // Answers each request rightly, but ten times later than nginx waits.
    let slow = UnixListener::bind(directory.path().join("mirror.sock")).unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = slow.accept() {
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
                    std::thread::sleep(Duration::from_millis(200));
                    if std::io::Write::write_all(&mut stream, b"HTTP/1.1 204 No Content\r\n\r\n")
                        .is_err()
                    {
                        return;
                    }
                }
            });
        }
    });
    nobody_notices(&nginx, "slow");
}
