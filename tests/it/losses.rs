//! What is lost is said: at the start, by events, by `doctor`, and as much as
//! was lost, whenever the process ended.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;

use integration_tests::sidecar::Builder;
use integration_tests::{Output, Sidecar, sidewatch, until};
use nix::sys::signal::Signal;
use serde_json::Value;

fn following(directory: &Path) -> Builder {
    let log = directory.join("access.log");
    Sidecar::in_directory(directory)
        .section("[store]\nsegment_bytes = 65536")
        .source(
            "log",
            &format!(
                "type = \"file\"\npaths = [{log:?}]\nformat = \"combined\"\npoll_interval_ms = 5"
            ),
        )
        .json_file("up")
}

/// A sink nobody listens for.
fn down() -> String {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    format!("type = \"tcp\"\naddress = \"{address}\"\nbuffer = {{ max_bytes = 262144 }}")
}

fn append(directory: &Path, lines: usize) {
    let path = directory.join("access.log");
    let mut log = std::fs::File::options()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    let line = "192.0.2.7 - somebody [20/Nov/2026:10:00:00 +0000] \"GET /view HTTP/1.1\" 200 5 \"-\" \"test\"\n";
    log.write_all(line.repeat(lines).as_bytes()).unwrap();
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    let config = directory.join("sidewatch.toml");
    let mut all = arguments.to_vec();
    let at = all
        .iter()
        .position(|one| *one == "CONFIG")
        .expect("says where the file goes");
    all[at] = config.to_str().unwrap();
    sidewatch(directory, &all, b"")
}

/// Losses of a component the events tell of, by reason.
fn told(directory: &Path, component: &str) -> HashMap<String, u64> {
    let text = std::fs::read_to_string(directory.join("up.json")).unwrap_or_default();
    let mut told = HashMap::new();
    // After a kill a record may come again, under the same id.
    let mut seen = HashSet::new();
    for line in text.lines() {
        let Ok(record) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        if record["event"]["action"] == "records-dropped"
            && record["labels"]["component"] == component
            && seen.insert(record["event"]["id"].to_string())
        {
            let count = record["labels"]["count"].as_str().unwrap().parse::<u64>();
            let reason = record["event"]["reason"].as_str().unwrap().to_owned();
            *told.entry(reason).or_default() += count.unwrap();
        }
    }
    told
}

/// The number before a word in `doctor`'s line about a sink.
fn number(doctor: &str, sink: &str, word: &str) -> u64 {
    let line = doctor
        .lines()
        .find(|line| line.contains(&format!(" sink {sink}: ")))
        .unwrap_or_else(|| panic!("no sink {sink} in:\n{doctor}"));
    let (before, _) = line
        .split_once(&format!(" {word}"))
        .unwrap_or_else(|| panic!("no {word} in {line}"));
    before.rsplit([' ', ',']).next().unwrap().parse().unwrap()
}

#[test]
fn losses_of_the_last_moments_of_a_run_are_told_by_the_next_one() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let configured = following(directory).sink("down", &down());
        for _ in 0..2 {
            let sidecar = configured.start();
            append(directory, 6_000);
            sidecar.until("a loss", |metrics| {
                metrics.sink("down", "dropped_queue_full") > 1_000
            });
            if signal == Signal::SIGTERM {
                assert!(sidecar.stop().success());
            } else {
                sidecar.signal(signal);
            }
        }
        let sidecar = configured.start();
        // The program must have taken up its own reports by then.
        let lost = until("as many told as lost", || {
            let doctor = run(directory, &["doctor", "CONFIG"]);
            assert_eq!(doctor.code, 0, "{}{}", doctor.out, doctor.err);
            let lost = number(&doctor.out, "down", "dropped");
            let told = told(directory, "sink down");
            (told.get("buffer-full") == Some(&lost)).then_some(lost)
        });
        assert!(lost > 2_000, "{lost}");
        assert!(sidecar.stop().success());
        let doctor = run(directory, &["doctor", "CONFIG"]);
        assert_eq!(doctor.code, 0, "{}{}", doctor.out, doctor.err);
        assert_eq!(number(&doctor.out, "down", "damaged"), 0);
    }
}

#[test]
fn a_sink_that_was_taken_out_keeps_what_waits_until_it_is_given_up_and_that_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let with = following(directory).sink("siem", &down());
    let sidecar = with.start();
    append(directory, 300);
    sidecar.until("the lines", |metrics| {
        metrics.sink("up", "delivered") == 300
    });
    assert!(sidecar.stop().success());

    let sidecar = following(directory).start();
    let hint = "sink siem is configured no more, and 300 records wait for it";
    assert!(sidecar.log().contains(hint), "{}", sidecar.log());
    assert!(sidecar.get("/readyz").body.contains(hint));
    let name = [("name", "siem")];
    let waiting = |sidecar: &Sidecar| sidecar.metrics().get("removed_sink_waiting_records", &name);
    assert_eq!(waiting(&sidecar), 300);
    let doctor = run(directory, &["doctor", "CONFIG"]);
    assert_eq!(doctor.code, 0, "{}{}", doctor.out, doctor.err);
    assert!(doctor.out.contains(hint), "{}", doctor.out);
    assert!(sidecar.stop().success());
    let stopped = run(directory, &["doctor", "CONFIG"]);
    assert!(stopped.out.contains(hint), "{}{}", stopped.out, stopped.err);

    // A sink of that name takes up where the old one was.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let back =
        following(directory).sink("siem", &format!("type = \"tcp\"\naddress = \"{address}\""));
    let sidecar = back.start();
    sidecar.until("the backlog", |metrics| {
        metrics.sink("siem", "recovered") == 300 && metrics.sink("siem", "delivered") == 300
    });
    assert!(sidecar.stop().success());
    drop(listener);

    let sidecar = back.start();
    append(directory, 50);
    sidecar.until("the lines", |metrics| metrics.sink("up", "delivered") == 50);
    assert!(sidecar.stop().success());
    let sidecar = following(directory).start();
    let refused = run(directory, &["dlq", "give-up", "CONFIG", "up"]);
    assert_eq!(refused.code, 1, "it is configured: {}", refused.out);
    let given_up = run(directory, &["dlq", "give-up", "CONFIG", "siem"]);
    let kept: u64 = given_up
        .out
        .trim_end_matches(" given up\n")
        .parse()
        .unwrap();
    assert!(kept >= 50, "{}{}", given_up.out, given_up.err);
    until("the event", || {
        (told(directory, "sink siem").get("sink-removed") == Some(&kept)).then_some(())
    });
    assert_eq!(waiting(&sidecar), 0);
    let dropped = sidecar
        .metrics()
        .get("removed_sink_dropped_records_total", &name);
    assert_eq!(dropped, kept);
    let doctor = run(directory, &["doctor", "CONFIG"]);
    assert_eq!(doctor.code, 0, "{}{}", doctor.out, doctor.err);
    assert!(sidecar.stop().success());

    // Nothing is left to say of it.
    let sidecar = following(directory).start();
    assert!(!sidecar.log().contains("siem"), "{}", sidecar.log());
    assert!(sidecar.stop().success());
    assert_eq!(told(directory, "sink siem").values().sum::<u64>(), kept);
}

#[test]
fn what_was_given_up_stays_given_up_whatever_becomes_of_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let sidecar = following(directory).sink("siem", &down()).start();
    append(directory, 300);
    sidecar.until("the lines", |metrics| {
        metrics.sink("up", "delivered") == 300
    });
    assert!(sidecar.stop().success());
    let sidecar = following(directory).start();
    let given_up = run(directory, &["dlq", "give-up", "CONFIG", "siem"]);
    sidecar.signal(Signal::SIGKILL);
    assert_eq!(given_up.out, "300 given up\n", "{}", given_up.err);
    assert!(!sidecar.stop().success());

    let sidecar = following(directory).start();
    let waiting = "records wait for it";
    assert!(!sidecar.log().contains(waiting), "{}", sidecar.log());
    until("the event", || {
        (told(directory, "sink siem").get("sink-removed") == Some(&300)).then_some(())
    });
    assert!(sidecar.stop().success());
}

#[test]
fn keys_and_the_database_are_not_silently_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let sidecar = following(directory).start();
    append(directory, 10);
    sidecar.until("the lines", |metrics| metrics.sink("up", "delivered") == 10);
    assert!(sidecar.stop().success());
    for name in ["pseudonym.key", "hash.key", "store/index.redb"] {
        let path = directory.join("data").join(name);
        std::fs::remove_file(&path).unwrap();
        let hint = format!("touch {}.begin-anew", path.display());
        for verb in ["run", "doctor"] {
            let output = run(directory, &[verb, "CONFIG"]);
            assert_eq!(output.code, 1, "{name}: {}{}", output.out, output.err);
            let said = format!("{}{}", output.out, output.err);
            assert!(said.contains(&hint), "{said}");
        }
        assert!(!path.exists());
        std::fs::write(format!("{}.begin-anew", path.display()), "").unwrap();
        let sidecar = following(directory).start();
        assert!(sidecar.stop().success());
        let doctor = run(directory, &["doctor", "CONFIG"]);
        assert_eq!(doctor.code, 0, "{}{}", doctor.out, doctor.err);
    }
}

#[test]
fn before_the_first_run_the_doctor_says_so_and_makes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    // The tests' own `data` holds compiled rules already.
    let data = directory.join("kept");
    let text = format!(
        "data_directory = {data:?}\n[[sources]]\nid = \"log\"\ntype = \"file\"\npaths = [{:?}, {:?}]\n",
        directory.join("access.log"),
        directory.join("sidewatch.toml"),
    );
    std::fs::write(directory.join("sidewatch.toml"), &text).unwrap();
    let doctor = run(directory, &["doctor", "CONFIG"]);
    assert_eq!(doctor.code, 0, "{}{}", doctor.out, doctor.err);
    let lines: Vec<&str> = doctor.out.lines().collect();
    let says = |start: &str, words: &str| {
        let found = lines
            .iter()
            .any(|line| line.starts_with(start) && line.contains(words));
        assert!(found, "{start} … {words}:\n{}", doctor.out);
    };
    says("ok    store", "not run yet");
    says("ok    permissions", "not run yet");
    says("warn  log log", "access.log does not exist");
    says("ok    log log", "sidewatch.toml can be read by user");
    let listed = run(directory, &["dlq", "ls", "CONFIG"]);
    assert!(listed.err.contains("not run yet"), "{}", listed.err);
    assert_eq!(run(directory, &["validate", "CONFIG"]).code, 0);
    assert!(!data.exists());

    let nowhere = text.replace("access.log", "absent/access.log");
    std::fs::write(directory.join("sidewatch.toml"), nowhere).unwrap();
    let doctor = run(directory, &["doctor", "CONFIG"]);
    assert_eq!(doctor.code, 1, "{}", doctor.out);
    let there_is_none = format!(
        "there is no directory {}",
        directory.join("absent").display()
    );
    assert!(doctor.out.contains(&there_is_none), "{}", doctor.out);
}

#[test]
fn a_log_that_a_sink_writes_is_refused_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    std::fs::write(directory.join("access.log"), "").unwrap();
    std::os::unix::fs::symlink(directory.join("access.log"), directory.join("out.json")).unwrap();
    let text = format!(
        "data_directory = {:?}\n[[sources]]\nid = \"log\"\ntype = \"file\"\npaths = [{:?}]\n\n[[sinks]]\nid = \"out\"\ntype = \"file\"\npath = {:?}\n",
        directory.join("data"),
        directory.join("access.log"),
        directory.join("out.json"),
    );
    std::fs::write(directory.join("sidewatch.toml"), text).unwrap();
    for verb in ["validate", "run"] {
        let output = run(directory, &[verb, "CONFIG"]);
        assert_eq!(output.code, 78, "{}", output.err);
        assert!(
            output
                .err
                .contains("sidewatch.toml:10:8: sink `out`: `path`"),
            "{}",
            output.err
        );
    }
}
