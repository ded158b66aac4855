//! Disks that fail or lie: the program stays up, acknowledges
//! nothing it has not stored, and goes on by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use integration_tests::command::fixture;
use integration_tests::http::Client;
use integration_tests::sidecar::Builder;
use integration_tests::{Sidecar, until};
use nix::sys::signal::Signal;
use serde_json::Value;

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A followed log, forms, and small segments of the store.
pub(crate) fn configured(directory: &Path) -> Builder {
    let log = directory.join("access.log");
    let rule = fixture("misbehaving");
    Sidecar::in_directory(directory)
        .section("[store]\nsegment_bytes = 65536")
        .section(&format!(
            "[[rules]]\nid = \"misbehaving\"\nfile = {rule:?}\nparameters = {{ mode = \"panic\" }}"
        ))
        .source(
            "log",
            &format!(
                "type = \"file\"\npaths = [{log:?}]\nformat = \"combined\"\npoll_interval_ms = 5"
            ),
        )
        .source(
            "forms",
            &format!("type = \"mirror\"\nlisten = \"127.0.0.1:0\"\nsensor_keys = [\"{KEY}\"]"),
        )
}

/// Sends a form; whether it was acknowledged.
pub(crate) fn send(sidecar: &Sidecar, path: &str) -> bool {
    let body = format!(
        "ipAddress=192.0.2.99&url={path}&userName=sender&eventTime=2026-11-20+10:00:00.000"
    );
    let key = format!("Api-Key: {KEY}");
    let headers = [
        key.as_str(),
        "Content-Type: application/x-www-form-urlencoded",
    ];
    let mut client = Client::connect(sidecar.address("forms"));
    client
        .try_send("POST /sensor/", &headers, &body)
        .is_ok_and(|answer| answer.status == 204)
}

fn lines(count: usize) -> String {
    (0..count)
        .map(|at| {
            format!("192.0.2.7 - user [20/Nov/2026:10:00:00 +0000] \"GET /{at} HTTP/1.1\" 200 5 \"-\" \"test\"\n")
        })
        .collect()
}

/// Lets calls of the committing thread fail; ended when dropped.
struct Injection(Child);

impl Injection {
    fn into_commits(sidecar: &Sidecar, inject: &str) -> Option<Self> {
        let tasks = PathBuf::from(format!("/proc/{}/task", sidecar.process_id()));
        let thread = fs::read_dir(&tasks).unwrap().flatten().find(|task| {
            fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == "commit")
        });
        let thread = thread.expect("the committing thread");
        let id = thread.file_name();
        let spawned = Command::new("strace")
            .args(["-q", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e"])
            .arg(format!("inject=fsync,fdatasync:{inject}"))
            .arg("-p")
            .arg(&id)
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = spawned else {
            eprintln!("NOTICE: strace is missing; failing disks were NOT tested");
            return None;
        };
        let attached = until("strace to attach", || {
            let status = fs::read_to_string(thread.path().join("status")).unwrap();
            let traced = !status.contains("TracerPid:\t0\n");
            let failed = child.try_wait().unwrap().is_some();
            (traced || failed).then_some(traced)
        });
        if !attached {
            eprintln!("NOTICE: strace may not watch processes here; failing disks were NOT tested");
            return None;
        }
        Some(Self(child))
    }
}

impl Drop for Injection {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn counted(sidecar: &Sidecar) -> u64 {
    assert!(send(sidecar, "/report"));
    let record = until("the report", || {
        sidecar
            .lines("all")
            .into_iter()
            .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
            .rfind(|record| record["event"]["kind"] == "alert")
    });
    let text = record.to_string();
    let (_, rest) = text.split_once("\"honest_events\":").unwrap();
    let digits = rest.trim_start_matches(|one: char| !one.is_ascii_digit());
    let mut digits = digits.split(|one: char| !one.is_ascii_digit());
    digits.next().unwrap().parse().unwrap()
}

#[test]
fn what_a_failing_sync_leaves_in_doubt_is_not_acknowledged_and_not_folded_twice() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    fs::write(directory.join("access.log"), "").unwrap();
    let sidecar = configured(directory).json_file("all").start();
    assert!(send(&sidecar, "/before"));
    let Some(injection) = Injection::into_commits(&sidecar, "error=EIO") else {
        return;
    };
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..5)
            .map(|number| {
                let sidecar = &sidecar;
                scope.spawn(move || send(sidecar, &format!("/during/{number}")))
            })
            .collect();
        until("the trouble to show", || {
            (sidecar.metrics().get("store_unwritable", &[]) == 1).then_some(())
        });
        until("unreadiness", || {
            (sidecar.get("/readyz").status == 503).then_some(())
        });
        std::thread::sleep(Duration::from_millis(300));
        assert!(waiting.iter().all(|one| !one.is_finished()));
        assert!(
            !sidecar.lines("all").join("").contains("/during"),
            "no sink may see it yet"
        );
        drop(injection);
        for one in waiting {
            assert!(one.join().unwrap());
        }
    });
    assert_eq!(counted(&sidecar), 7);
    // Segments in doubt lie beside the good one: none of it counts twice.
    sidecar.signal(Signal::SIGKILL);
    drop(sidecar);
    fs::remove_file(directory.join("all.json")).unwrap();
    let sidecar = configured(directory).json_file("all").start();
    assert!(send(&sidecar, "/after"));
    until("the record", || {
        sidecar
            .lines("all")
            .join("")
            .contains("/after")
            .then_some(())
    });
    fs::remove_file(directory.join("all.json")).unwrap();
    assert_eq!(counted(&sidecar), 9);
    assert!(sidecar.stop().success());
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy_all(&source, &target);
        } else if kind.is_file() {
            fs::copy(&source, &target).unwrap();
        }
    }
}

#[test]
fn a_damaged_store_never_prevents_a_start() {
    let original = tempfile::tempdir().unwrap();
    let original = original.path();
    fs::write(original.join("access.log"), lines(3_000)).unwrap();
    let sidecar = configured(original)
        .sink("all", "type = \"tcp\"\naddress = \"127.0.0.1:1\"")
        .start();
    sidecar.until("a backlog", |metrics| {
        metrics.sink("all", "received") == 3_000
    });
    assert!(send(&sidecar, "/acknowledged"));
    sidecar.signal(Signal::SIGKILL);
    drop(sidecar);
    for trial in 0_usize..10 {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        copy_all(original, directory);
        let mut files: Vec<_> = fs::read_dir(directory.join("data/store"))
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some())
            .collect();
        files.sort();
        for (number, path) in files.iter().enumerate() {
            let mut content = fs::read(path).unwrap();
            if content.is_empty() || (number + trial) % 3 == 0 {
                continue;
            }
            if trial % 2 == 0 {
                let at = (trial + 1) * 7_919 % content.len();
                content[at] ^= 1 << (trial % 8);
            } else {
                content.truncate(content.len() * trial / 10);
            }
            fs::write(path, content).unwrap();
        }
        let sidecar = configured(directory).json_file("all").start();
        assert!(send(&sidecar, "/afterwards"), "trial {trial}");
        until("the new record", || {
            let all = sidecar.lines("all");
            all.iter()
                .any(|line| line.contains("/afterwards"))
                .then_some(())
        });
        assert!(sidecar.stop().success(), "trial {trial}");
    }
}
