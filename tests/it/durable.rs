//! Nothing lost: the program is killed again and again under load, and at the
//! end every line was counted once and every acknowledged event delivered.
//!
//! The oracle is what the test itself knows: the lines it appended to the
//! followed file, and the forms that were answered 204. The rule `misbehaving`
//! counts the events of each user in its state, so its count tells how often
//! an event was folded, whatever the sinks saw.
//!
//! `SIDEWATCH_KILLS` sets how often (five times when unset), `SIDEWATCH_SEED`
//! the sequence of waits; a failure names the seed. Every hundred kills begin
//! with an empty store, so that what the oracle must read again stays bounded.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use integration_tests::command::fixture;
use integration_tests::http::Client;
use integration_tests::sidecar::Builder;
use integration_tests::{Sidecar, sidewatch, until};
use nix::sys::signal::Signal;
use serde_json::Value;

const USERS: u64 = 7;
/// Kills that one store lives through.
const KILLS_OF_A_STORE: u64 = 100;

fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

/// A small generator of numbers: the same seed gives the same waits.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)) % limit
    }
}

fn line(user: u64, path: &str) -> String {
    format!(
        "192.0.2.{} - user-{user} [20/Nov/2026:10:00:00 +0000] \"GET {path} HTTP/1.1\" 200 5 \"-\" \"test\"\n",
        user + 1
    )
}

fn configured(directory: &Path) -> Builder {
    let counter = fixture("misbehaving");
    let log = directory.join("access.log");
    Sidecar::in_directory(directory)
        .section("[store]\nsegment_bytes = 65536")
        .section(&format!(
            "[[rules]]\nid = \"misbehaving\"\nfile = {counter:?}\nparameters = {{ mode = \"panic\" }}\nlimits = {{ frame_milliseconds = 2000 }}"
        ))
        .source(
            "log",
            &format!("type = \"file\"\npaths = [{log:?}]\nformat = \"combined\"\npoll_interval_ms = 5"),
        )
        .source(
            "forms",
            "type = \"mirror\"\nlisten = \"127.0.0.1:0\"\nsensor_keys = [\"0123456789abcdef0123456789abcdef\"]",
        )
        .json_file("all")
}

/// The records of the sink, in order. A kill may leave a torn line, which the
/// sink ends before it goes on and writes again.
fn records(directory: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(directory.join("all.json")).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

pub(crate) fn path_of(record: &Value) -> &str {
    record["url"]["path"].as_str().unwrap_or_default()
}

/// Sends forms until told to stop; gives the paths that were acknowledged.
fn send_forms(address: std::net::SocketAddr, first: u64, stop: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let Ok(mut client) = std::panic::catch_unwind(|| Client::connect(address)) else {
        return acknowledged;
    };
    for number in first.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let path = format!("/form/{number}");
        let body = format!(
            "ipAddress=192.0.2.99&url={path}&userName=sender&eventTime=2026-11-20+10:00:00.000"
        );
        let headers = [
            "Api-Key: 0123456789abcdef0123456789abcdef",
            "Content-Type: application/x-www-form-urlencoded",
        ];
        match client.try_send("POST /sensor/", &headers, &body) {
            Ok(answer) if answer.status == 204 => acknowledged.push(path),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    acknowledged
}

/// What was issued and what was acknowledged.
#[derive(Default)]
struct Oracle {
    lines: u64,
    of_user: [u64; USERS as usize],
    acknowledged: Vec<String>,
}

impl Oracle {
    /// Appends a line of a user.
    fn issue(&mut self, log: &mut std::fs::File, user: u64, path: &str) {
        self.of_user[user as usize] += 1;
        log.write_all(line(user, path).as_bytes()).unwrap();
    }

    /// Appends some lines of any users.
    fn burst(&mut self, log: &mut std::fs::File, numbers: &mut Numbers) {
        let mut text = String::new();
        for _ in 0..1 + numbers.below(16) {
            let user = numbers.below(USERS);
            self.of_user[user as usize] += 1;
            self.lines += 1;
            text.push_str(&line(user, &format!("/line/{}", self.lines)));
        }
        log.write_all(text.as_bytes()).unwrap();
    }

    /// Loads a sidecar with lines and forms, and kills it.
    fn kill_one(&mut self, directory: &Path, log: &mut std::fs::File, numbers: &mut Numbers) {
        let sidecar = configured(directory).start();
        let address = sidecar.address("forms");
        let stop = AtomicBool::new(false);
        let first = self.lines * 1_000_000;
        std::thread::scope(|scope| {
            let forms = scope.spawn(|| send_forms(address, first, &stop));
            let rest = Duration::from_millis(5 + numbers.below(250));
            let begun = std::time::Instant::now();
            while begun.elapsed() < rest {
                self.burst(log, numbers);
                std::thread::sleep(Duration::from_millis(1));
            }
            sidecar.signal(Signal::SIGKILL);
            stop.store(true, Ordering::Relaxed);
            self.acknowledged.extend(forms.join().unwrap());
        });
    }

    /// Compares what the sink's file says with what was issued.
    fn compare(&self, directory: &Path, seed: u64) -> usize {
        let mut counted: HashMap<String, u64> = HashMap::new();
        let mut seen: HashMap<String, String> = HashMap::new();
        let mut delivered = 0;
        for record in records(directory) {
            delivered += 1;
            let path = path_of(&record).to_owned();
            if record["event"]["kind"] == "alert" {
                let count = evidence(&record, "honest_events");
                let user = record["user"]["name"].as_str().unwrap().to_owned();
                let before = counted.insert(user.clone(), count);
                assert!(
                    before.is_none_or(|before| before == count),
                    "{user} was counted anew (seed {seed})"
                );
                continue;
            }
            let id = record["event"]["id"].as_str().unwrap().to_owned();
            let before = seen.insert(path.clone(), id.clone());
            assert!(
                path == "/report" || before.is_none_or(|before| before == id),
                "{path} came under two ids (seed {seed})"
            );
        }
        for (user, issued) in (0..).zip(self.of_user) {
            let folded = counted.get(&format!("user-{user}")).copied();
            assert_eq!(folded, Some(issued), "user-{user} (seed {seed})");
        }
        for number in 1..=self.lines {
            let path = format!("/line/{number}");
            assert!(seen.contains_key(&path), "{path} was lost (seed {seed})");
        }
        for path in &self.acknowledged {
            assert!(
                seen.contains_key(path),
                "{path} was acknowledged and lost (seed {seed})"
            );
        }
        delivered
    }
}

/// The users whose counts the sink's file tells.
fn reports(directory: &Path) -> usize {
    let text = std::fs::read_to_string(directory.join("all.json")).unwrap_or_default();
    let told: HashSet<String> = text
        .lines()
        .filter(|line| line.contains("honest_events"))
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|record| Some(record["user"]["name"].as_str()?.to_owned()))
        .collect();
    told.len()
}

/// One store's life; says how much it was.
fn kill_again_and_again(kills: u64, seed: u64) {
    let mut numbers = Numbers(seed);
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let mut log = std::fs::File::create(directory.join("access.log")).unwrap();
    let mut oracle = Oracle::default();
    for _ in 0..kills {
        oracle.kill_one(directory, &mut log, &mut numbers);
    }
    let sidecar = configured(directory).start();
    for user in 0..USERS {
        oracle.issue(&mut log, user, "/report");
    }
    until("the reports of every user", || {
        (reports(directory) == USERS as usize).then_some(())
    });
    let metrics = sidecar.settled();
    sidecar.drained("all");
    assert_eq!(metrics.sink("all", "dropped_queue_full"), 0);
    assert!(sidecar.stop().success());
    let delivered = oracle.compare(directory, seed);
    eprintln!(
        "seed {seed}: {kills} kills, {} lines, {} acknowledged forms, {delivered} records delivered: 0 lost, 0 folded twice",
        oracle.lines,
        oracle.acknowledged.len(),
    );
}

#[test]
fn killed_at_random_under_load_nothing_is_lost_and_nothing_folded_twice() {
    let mut kills = from_environment("SIDEWATCH_KILLS", 5);
    let mut seed = from_environment("SIDEWATCH_SEED", 20_261_121);
    while kills > 0 {
        let now = kills.min(KILLS_OF_A_STORE);
        kill_again_and_again(now, seed);
        kills -= now;
        seed += 1;
    }
}

/// A number of a finding's evidence.
pub(crate) fn evidence(record: &Value, name: &str) -> u64 {
    let text = record.to_string();
    let (_, rest) = text
        .split_once(&format!("\"{name}\":"))
        .unwrap_or_else(|| panic!("no {name} in {text}"));
    let digits: String = rest
        .chars()
        .skip_while(|one| !one.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap()
}

#[test]
fn a_second_instance_on_the_same_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let sidecar = configured(directory.path()).start();
    let config = directory.path().join("sidewatch.toml");
    let output = sidewatch(directory.path(), &["run", config.to_str().unwrap()], b"");
    assert_eq!(output.code, 1, "{}", output.err);
    assert!(
        output.err.contains("in use by another instance"),
        "{}",
        output.err
    );
    assert!(sidecar.stop().success());
}

fn send_form(sidecar: &Sidecar, path: &str) {
    let body = format!(
        "ipAddress=192.0.2.99&url={path}&userName=sender&eventTime=2026-11-20+10:00:00.000"
    );
    let headers = [
        "Api-Key: 0123456789abcdef0123456789abcdef",
        "Content-Type: application/x-www-form-urlencoded",
    ];
    let mut client = Client::connect(sidecar.address("forms"));
    assert_eq!(client.send("POST /sensor/", &headers, &body).status, 204);
}

#[test]
fn refused_records_can_be_seen_replayed_and_removed_and_the_doctor_is_content() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    std::fs::write(directory.join("access.log"), "").unwrap();
    let tirreno = integration_tests::Tirreno::start();
    // Sampled page views would hide a record that was lost.
    let right = format!("{}\npage_views = \"all\"", tirreno.sink());
    let (before, _) = right.split_once("api_key = ").unwrap();
    let wrong = format!("{before}api_key = \"00000000000000000000000000000000\"");
    let sidecar = configured(directory).sink("tirreno", &wrong).start();
    for path in ["/first", "/second", "/third"] {
        send_form(&sidecar, path);
    }
    sidecar.until("three refusals", |metrics| {
        metrics.sink("tirreno", "rejected") == 3
    });
    let config = directory.join("sidewatch.toml");
    let config = config.to_str().unwrap();
    let run = |arguments: &[&str]| sidewatch(directory, arguments, b"");
    let listed = run(&["dlq", "ls", config]);
    assert_eq!(
        (listed.code, listed.out.lines().count()),
        (0, 3),
        "{}",
        listed.err
    );
    let first = listed.out.split_whitespace().next().unwrap();
    let shown = run(&["dlq", "show", config, first]);
    assert!(
        shown.out.contains("/first") && shown.out.contains("\"reason\""),
        "{}{}",
        shown.out,
        shown.err
    );
    let healthy = run(&["doctor", config]);
    assert_eq!(healthy.code, 0, "{}{}", healthy.out, healthy.err);
    assert!(healthy.out.contains("ok    sidecar"), "{}", healthy.out);
    assert!(sidecar.stop().success());

    // Stopped, the store is asked itself.
    let purged = run(&["dlq", "purge", config, first]);
    assert_eq!(
        (purged.code, purged.out.as_str()),
        (0, "1 removed\n"),
        "{}",
        purged.err
    );
    let stopped = run(&["doctor", config]);
    assert_eq!(stopped.code, 0, "{}{}", stopped.out, stopped.err);
    assert!(stopped.out.contains("ok    identity"), "{}", stopped.out);

    let sidecar = configured(directory).sink("tirreno", &right).start();
    let replayed = run(&["dlq", "replay", config, "--sink", "tirreno"]);
    assert_eq!(
        (replayed.code, replayed.out.as_str()),
        (0, "2 offered again\n"),
        "{}",
        replayed.err
    );
    until("both at last", || {
        let mut urls: Vec<String> = tirreno
            .records()
            .iter()
            .map(|record| format!("{record:?}"))
            .collect();
        urls.retain(|record| record.contains("/second") || record.contains("/third"));
        (urls.len() == 2).then_some(())
    });
    sidecar.settled();
    let left = run(&["dlq", "ls", config]);
    assert_eq!((left.code, left.out.as_str()), (0, ""), "{}", left.err);
    assert!(sidecar.stop().success());
}

#[test]
fn the_doctor_looks_at_nginx_and_at_who_may_write_to_the_mirror() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let socket = directory.join("mirror.sock");
    let sidecar = Sidecar::in_directory(directory)
        .source("mirror", &format!("type = \"mirror\"\nsocket = {socket:?}"))
        .json_file("all")
        .start();
    let nginx = integration_tests::Nginx::in_directory(directory).start();
    // The nginx of this test has a configuration of its own.
    let tools = directory.join("tools");
    std::fs::create_dir(&tools).unwrap();
    let place = directory.join("nginx");
    let real = integration_tests::process::system_command("nginx");
    let program = real.get_program().to_str().unwrap();
    let script = format!(
        "#!/bin/sh\nexec {program} -p {} -e error.log -c nginx.conf \"$@\"\n",
        place.display()
    );
    std::fs::write(tools.join("nginx"), script).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(tools.join("nginx"), executable).unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let config = directory.join("sidewatch.toml");
    let doctor = || {
        let mut command = integration_tests::command::command(directory);
        command.env("PATH", &path).arg("doctor").arg(&config);
        integration_tests::command::run(&mut command, b"")
    };
    let named = format!("its configuration names unix:{}", socket.display());
    let found = doctor();
    assert!(found.out.contains(&named), "{}{}", found.out, found.err);
    let text = std::fs::read_to_string(place.join("sidewatch-upstream.conf")).unwrap();
    let elsewhere = text.replace("mirror.sock", "other.sock");
    std::fs::write(place.join("sidewatch-upstream.conf"), elsewhere).unwrap();
    let found = doctor();
    assert!(
        found.out.contains("does not name"),
        "{}{}",
        found.out,
        found.err
    );
    drop(nginx);
    assert!(sidecar.stop().success());
}
