//! While the program is away, nginx' mirror has nobody to tell. The access log
//! fills the gap: by request id, without what only the mirror knows.

use std::collections::{BTreeMap, BTreeSet};

use integration_tests::{Nginx, Sidecar, until};
use nix::sys::signal::Signal;
use serde_json::Value;

#[test]
fn what_the_mirror_missed_comes_from_the_access_log_once() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let (socket, log) = (directory.join("mirror.sock"), directory.join("access.log"));
    let configured = Sidecar::in_directory(directory)
        .source(
            "mirror",
            &format!("type = \"mirror\"\npack = \"mattermost\"\nsocket = {socket:?}"),
        )
        .source(
            "access",
            &format!("type = \"file\"\npack = \"mattermost\"\nformat = \"json\"\npaths = [{log:?}]\npoll_interval_ms = 20"),
        )
        .json_file("events");
    let sidecar = configured.start();
    let nginx = Nginx::in_directory(directory).log_file(&log).start();
    let get = |number: u32| {
        let target = format!("GET /api/v4/posts/{number}");
        let answer =
            nginx
                .client()
                .send(&target, &["Cookie: MMUSERID=u7x1; MMAUTHTOKEN=secret"], "");
        assert_eq!(answer.status, 200);
    };
    get(1);
    until("the first event", || {
        (sidecar.lines("events").len() == 1).then_some(())
    });
    sidecar.signal(Signal::SIGKILL);
    drop(sidecar);
    for number in 2..=6 {
        get(number);
    }
    let sidecar = configured.start();
    // nginx tries a target that was away again after five seconds.
    until("the mirror to be used again", || {
        get(7);
        (sidecar.metrics().source("mirror", "received") > 0).then_some(())
    });
    until("the gap to be filled", || {
        (sidecar.lines("events").len() >= 7).then_some(())
    });
    sidecar.settled();
    // A kill may have sinks be told twice: the same event under the same id.
    let mut ids: BTreeMap<String, BTreeSet<(bool, String)>> = BTreeMap::new();
    for line in sidecar.lines("events") {
        let record: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(record["http"]["response"]["status_code"], 200, "{record:#}");
        let path = record["url"]["path"].as_str().unwrap().to_owned();
        let id = record["event"]["id"].as_str().unwrap().to_owned();
        ids.entry(path)
            .or_default()
            .insert((!record["user"].is_null(), id));
    }
    for number in 1..=6 {
        let found = &ids[&format!("/api/v4/posts/{number}")];
        assert_eq!(found.len(), 1, "request {number} came {found:?}");
        let known = found.iter().all(|(known, _)| *known);
        assert_eq!(known, number == 1, "only the mirror knows the user");
    }
    assert!(sidecar.stop().success());
}
