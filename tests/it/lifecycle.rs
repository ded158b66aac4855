//! Rules of a running sidecar are changed in every way there is: by files, by
//! a signal, by an operator; and bad ones are offered to it.

use std::path::Path;
use std::time::Duration;

use integration_tests::command::{fixture, rules, run_within};
use integration_tests::http::Client;
use integration_tests::sidecar::Builder;
use integration_tests::versions::with_version;
use integration_tests::{Output, Sidecar, until};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Components are compiled, perhaps on a busy machine.
const PATIENCE: Duration = Duration::from_secs(200);
/// Ample time for frames: a busy machine must not fail honest rules.
pub(crate) const AMPLE: &str = "limits = { frame_milliseconds = 250, event_microseconds = 100000 }";

/// A rules directory of its own, with the project's rules and the witness.
pub(crate) fn start(directory: &Path) -> Sidecar {
    lay_out(directory);
    configured(directory).start()
}

pub(crate) fn lay_out(directory: &Path) {
    let own = directory.join("rules");
    std::fs::create_dir(&own).unwrap();
    for entry in std::fs::read_dir(rules()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, own.join(path.file_name().unwrap())).unwrap();
        }
    }
    std::fs::copy(fixture("witness"), own.join("witness.wasm")).unwrap();
}

pub(crate) fn configured(directory: &Path) -> Builder {
    let own = directory.join("rules");
    Sidecar::in_directory(directory)
        .top(&format!(
            "rules_directory = {own:?}\nlifecycle.interval_ms = 50"
        ))
        .source("mirror", "type = \"mirror\"\nlisten = \"127.0.0.1:0\"")
        .section(&format!("[[rules]]\nid = \"witness\"\n{AMPLE}"))
        .json_file("all")
}

pub(crate) fn send(sidecar: &Sidecar, path: &str, count: usize) {
    let mut client = Client::connect(sidecar.address("mirror"));
    let path = format!("X-Original-URI: {path}");
    for _ in 0..count {
        let headers = [
            &*path,
            "X-Original-Method: GET",
            "X-Username: alice",
            "X-Real-IP: 192.0.2.9",
        ];
        assert_eq!(client.send("GET /mirror", &headers, "").status, 204);
    }
}

fn records(sidecar: &Sidecar) -> Vec<Value> {
    let lines = sidecar.lines("all");
    lines
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Versions of the witness's findings, in order.
pub(crate) fn versions(sidecar: &Sidecar) -> Vec<String> {
    records(sidecar)
        .iter()
        .filter(|record| record["rule"]["id"] == "witness")
        .map(|record| record["rule"]["version"].as_str().unwrap().to_owned())
        .collect()
}

/// The sidecar's own events with this action.
pub(crate) fn audited(sidecar: &Sidecar, action: &str) -> Vec<Value> {
    let mut records = records(sidecar);
    records.retain(|record| record["event"]["action"] == action && record["rule"].is_null());
    records
}

pub(crate) fn witness(version: u32) -> Vec<u8> {
    with_version(&std::fs::read(fixture("witness")).unwrap(), version)
}

pub(crate) fn until_version(sidecar: &Sidecar, version: &str) {
    until(&format!("a finding of {version}"), || {
        send(sidecar, "/page", 1);
        std::thread::sleep(Duration::from_millis(50));
        versions(sidecar)
            .last()
            .is_some_and(|last| last == version)
            .then_some(())
    });
}

pub(crate) fn operate(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = integration_tests::command::command(directory);
    command.args(arguments).args(["--config", "sidewatch.toml"]);
    run_within(&mut command, b"", PATIENCE)
}

#[test]
fn changed_files_are_taken_by_themselves_renamed_or_copied_in_place() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let sidecar = start(directory);
    until_version(&sidecar, "1.1000.0");
    let file = directory.join("rules/witness.wasm");
    std::fs::write(directory.join("rules/new"), witness(2_000)).unwrap();
    std::fs::rename(directory.join("rules/new"), &file).unwrap();
    until_version(&sidecar, "1.2000.0");
    // In place, and slowly: half a component is not taken, or refused.
    let next = witness(3_000);
    std::fs::write(&file, &next[..next.len() / 2]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    send(&sidecar, "/page", 3);
    std::fs::write(&file, &next).unwrap();
    until_version(&sidecar, "1.3000.0");
    let seen = versions(&sidecar);
    assert!(seen.is_sorted(), "never back and forth: {seen:?}");

    // A rule that was not configured comes and goes with its manifest.
    let own = directory.join("rules");
    std::fs::copy(fixture("misbehaving"), own.join("misbehaving.wasm")).unwrap();
    let manifest = format!("parameters = {{ mode = \"panic\" }}\n{AMPLE}");
    std::fs::write(own.join("misbehaving.toml"), manifest).unwrap();
    let listed = |word: &str| operate(directory, &["rules", "list"]).out.contains(word);
    until("the new rule", || listed("misbehaving").then_some(()));
    std::fs::remove_file(own.join("misbehaving.toml")).unwrap();
    until("its end", || (!listed("misbehaving")).then_some(()));
    until("the event about it", || {
        (audited(&sidecar, "rule-removed").len() == 1).then_some(())
    });
    let swapped = audited(&sidecar, "rule-swapped");
    assert!(
        swapped.iter().any(
            |event| event["labels"]["version"] == "1.2000.0" && event["labels"]["by"] == "file"
        ),
        "{swapped:#?}"
    );
    sidecar.settled();
    assert!(sidecar.stop().success());
}

#[test]
fn an_operator_swaps_rolls_back_switches_and_compares() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let sidecar = start(directory);
    send(&sidecar, "/page", 20);
    std::fs::write(directory.join("next.wasm"), witness(2_000)).unwrap();
    let done = |arguments: &[&str]| {
        let output = operate(directory, arguments);
        assert_eq!(output.code, 0, "{arguments:?}: {}", output.err);
        output.out
    };
    assert!(done(&["rules", "shadow", "witness", "next.wasm"]).contains("1.2000.0"));
    send(&sidecar, "/page", 20);
    let compared = until("the comparison", || {
        let text = done(&["rules", "diff", "witness"]);
        text.contains("both 20, only in force 0, only shadow 0")
            .then_some(text)
    });
    assert!(compared.contains("20 events"), "{compared}");
    assert!(
        versions(&sidecar)
            .iter()
            .all(|version| version == "1.1000.0")
    );
    let swapped = done(&["rules", "swap", "witness", "next.wasm"]);
    assert!(swapped.contains("recent events"), "{swapped}");
    until_version(&sidecar, "1.2000.0");
    let again = done(&["rules", "swap", "witness", "next.wasm"]);
    assert!(again.contains("already"), "{again}");
    let list = done(&["rules", "list"]);
    assert!(list.contains("before: 1.1000.0"), "{list}");
    done(&["rules", "rollback", "witness"]);
    until_version(&sidecar, "1.1000.0");
    done(&["rules", "disable", "witness"]);
    sidecar.settled();
    let before = versions(&sidecar).len();
    send(&sidecar, "/page", 5);
    sidecar.settled();
    assert_eq!(versions(&sidecar).len(), before);
    done(&["rules", "enable", "witness"]);
    until_version(&sidecar, "1.1000.0");
    let top = done(&["top", "--once"]);
    assert!(top.contains("events/s") && top.contains("witness"), "{top}");
    for action in [
        "shadow-started",
        "rule-swapped",
        "rule-rolled-back",
        "rule-disabled",
        "rule-enabled",
    ] {
        let told = audited(&sidecar, action);
        assert_eq!(told.len(), 1, "{action}");
        let by = told[0]["labels"]["by"].as_str().unwrap();
        assert!(by.starts_with("uid "), "{by}");
    }
    let tapping = std::thread::scope(|scope| {
        let tap = scope.spawn(|| {
            operate(
                directory,
                &["tap", "--findings", "--kind", "seen", "--limit", "3"],
            )
        });
        while !tap.is_finished() {
            send(&sidecar, "/page", 1);
            std::thread::sleep(Duration::from_millis(20));
        }
        tap.join().unwrap()
    });
    assert_eq!(tapping.code, 0, "{}", tapping.err);
    assert_eq!(tapping.out.lines().count(), 3, "{}", tapping.out);
    assert!(tapping.out.lines().all(|line| line.contains("\"witness\"")));
    sidecar.settled();
    assert!(sidecar.stop().success());
}

#[test]
fn sighup_reads_rules_and_tables_again_and_ends_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let sidecar = start(directory);
    let process = sidecar.process_id();
    let path = directory.join("sidewatch.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let more = "[[rules]]\nid = \"failed-logins\"\nparameters = { failures = 7 }\n";
    std::fs::write(&path, format!("{text}{more}")).unwrap();
    sidecar.signal(Signal::SIGHUP);
    until("the parameter in force", || {
        audited(&sidecar, "rule-swapped")
            .iter()
            .any(|event| event["labels"]["rule"] == "failed-logins")
            .then_some(())
    });
    // A parameter the rule refuses changes nothing and says why.
    std::fs::write(
        &path,
        format!("{text}{}", more.replace("failures", "failings")),
    )
    .unwrap();
    sidecar.signal(Signal::SIGHUP);
    let refused = until("the refusal", || {
        audited(&sidecar, "rule-refused").first().cloned()
    });
    let reason = refused["event"]["reason"].as_str().unwrap();
    assert!(reason.contains("parameter `failings`"), "{reason}");
    // A configuration that is none is refused whole.
    std::fs::write(&path, "nonsense = [").unwrap();
    sidecar.signal(Signal::SIGHUP);
    until("the refusal in the log", || {
        sidecar
            .log()
            .contains("everything stays as it is")
            .then_some(())
    });
    assert_eq!(sidecar.process_id(), process);
    std::fs::write(&path, text).unwrap();
    send(&sidecar, "/page", 5);
    sidecar.settled();
    assert!(sidecar.stop().success());
}

/// A component with something wrong, and the check it fails at.
fn adversaries() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let good = std::fs::read(fixture("witness")).unwrap();
    let noise: Vec<u8> = (0..4096_u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let text = |text: &str| wat::parse_str(text).unwrap();
    // A section that says it is larger than the file, and one that is large.
    let mut overlong = good.clone();
    overlong.extend_from_slice(b"\x00\xff\xff\xff\xff\x0f");
    let mut bloated = good.clone();
    bloated.extend_from_slice(b"\x00\x80\x80\x80\x08");
    bloated.resize(bloated.len() + (16 << 20), 0);
    let types: String = (1..60)
        .map(|n| format!("(type $t{n} (tuple $t{} $t{}))", n - 1, n - 1))
        .collect();
    vec![
        ("truncated", good[..good.len() / 2].to_vec(), "component"),
        ("random", noise, "component"),
        ("empty", Vec::new(), "component"),
        ("core-module", text("(module)"), "component"),
        ("overlong-section", overlong, "component"),
        ("bloated-section", bloated, "file"),
        (
            "type-bomb",
            text(&format!("(component (type $t0 (tuple u8 u8)) {types})")),
            "component",
        ),
        ("no-rule", text("(component)"), "interface"),
        (
            "wasi",
            text("(component (import \"wasi:clocks/wall-clock@0.2.0\" (instance)))"),
            "imports",
        ),
        (
            "other-version",
            text(
                "(component (component $e) (instance $r (instantiate $e)) (export \"sidewatch:rule/detection@9.9.9\" (instance $r)))",
            ),
            "interface",
        ),
        (
            "other-name",
            std::fs::read(rules().join("failed-logins.wasm")).unwrap(),
            "name",
        ),
    ]
}

#[test]
fn bad_versions_are_refused_by_name_and_nobody_is_hurt() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let sidecar = start(directory);
    send(&sidecar, "/page", 50);
    sidecar.settled();
    let before = sidecar.resident_bytes();
    let bad = adversaries();
    for (name, component, stage) in &bad {
        let file = format!("{name}.wasm");
        std::fs::write(directory.join(&file), component).unwrap();
        let refused = operate(directory, &["rules", "swap", "witness", &file]);
        assert_eq!(refused.code, 1, "{name}: {}", refused.out);
        assert!(
            refused.err.contains(&format!("{stage}: ")),
            "{name} fails at `{stage}`: {}",
            refused.err
        );
        let list = operate(directory, &["rules", "list"]).out;
        assert!(
            list.contains("refused ") && list.contains("1.1000.0"),
            "{name}: {list}"
        );
        send(&sidecar, "/page", 5);
    }
    let metrics = sidecar.settled();
    let refused = metrics.get("rule_swaps_total", &[("result", "refused")]);
    assert_eq!(refused, bad.len() as u64);
    assert_eq!(audited(&sidecar, "rule-refused").len(), bad.len());
    assert_eq!(versions(&sidecar).len(), 50 + 5 * bad.len());
    let grown = sidecar.resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "memory grew by {grown} bytes");
    assert!(sidecar.stop().success());
}

#[test]
fn what_fails_on_recent_traffic_is_not_taken_and_what_fails_later_goes_back() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let sidecar = start(directory);
    send(&sidecar, "/page", 200);
    let own = directory.join("rules");
    std::fs::copy(fixture("misbehaving"), own.join("misbehaving.wasm")).unwrap();
    let manifest = |mode: &str, when: &str| {
        let text = format!("parameters = {{ mode = \"{mode}\", when = \"{when}\" }}\n{AMPLE}");
        std::fs::write(own.join("misbehaving.part"), text).unwrap();
        std::fs::rename(own.join("misbehaving.part"), own.join("misbehaving.toml")).unwrap();
    };
    let taken = || {
        let told = audited(&sidecar, "rule-swapped");
        told.iter()
            .filter(|event| event["labels"]["rule"] == "misbehaving")
            .count()
    };
    manifest("memory", "marked");
    until("the rule", || (taken() == 1).then_some(()));
    // What fails on the traffic there was is not even tried on more.
    for (number, mode) in ["panic", "recursion", "output", "findings", "state"]
        .into_iter()
        .enumerate()
    {
        manifest(mode, "always");
        until(&format!("the refusal of {mode}"), || {
            (audited(&sidecar, "rule-refused").len() == number + 1).then_some(())
        });
    }
    for refused in audited(&sidecar, "rule-refused") {
        let reason = refused["event"]["reason"].as_str().unwrap();
        assert!(reason.starts_with("canary: it fails on "), "{reason}");
    }
    // What was fine so far is taken, and goes back when it is fine no more.
    manifest("panic", "marked");
    until("the other mode", || (taken() == 2).then_some(()));
    send(&sidecar, "/marked", 80);
    let finding = until("the finding", || {
        let mut records = records(&sidecar);
        records.retain(|record| record["rule"]["id"] == "sidewatch");
        records.pop()
    });
    let text = finding.to_string();
    assert!(
        text.contains("rule-rolled-back") && text.contains("misbehaving"),
        "{text}"
    );
    let quarantine = operate(directory, &["rules", "quarantine", "misbehaving"]);
    assert!(quarantine.out.contains("trapped"), "{}", quarantine.out);
    let metrics = sidecar.settled();
    assert_eq!(
        metrics.get("rule_swaps_total", &[("result", "rolled_back")]),
        1
    );
    let marked = records(&sidecar);
    let marked = marked
        .iter()
        .filter(|record| record["rule"].is_null() && record["url"]["path"] == "/marked");
    assert_eq!(marked.count(), 80, "all are delivered");
    assert!(sidecar.stop().success());
}

#[test]
fn over_tcp_only_who_knows_the_token_is_answered() {
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    for (name, token) in [("token", "0123456789abcdef"), ("wrong", "0123456789abcdeX")] {
        let path = directory.join(name);
        std::fs::write(&path, token).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let sidecar = Sidecar::in_directory(directory)
        .source("mirror", "type = \"mirror\"\nlisten = \"127.0.0.1:0\"")
        .section("[control]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"token\"")
        .json_file("all")
        .start();
    let log = sidecar.log();
    let (_, rest) = log.split_once("control    ").unwrap();
    let address = rest.lines().next().unwrap().trim();
    let ask = |verb: &[&str], token: &str| {
        let mut command = integration_tests::command::command(directory);
        let tcp = ["--control", address, "--token-file", token];
        command.args(verb).args(tcp);
        run_within(&mut command, b"", PATIENCE)
    };
    let list = ask(&["rules", "list"], "token");
    assert!(list.out.contains("impossible-travel"), "{}", list.err);
    let done = ask(&["rules", "disable", "impossible-travel"], "token");
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(ask(&["top", "--once"], "token").out.contains("off"));
    until("the event about it", || {
        audited(&sidecar, "rule-disabled").first().map(|event| {
            let by = event["labels"]["by"].as_str().unwrap();
            assert!(by.starts_with("tcp 127.0.0.1:"), "{by}");
        })
    });
    let refused = ask(&["rules", "enable", "impossible-travel"], "wrong");
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("wrong token"), "{}", refused.err);
    // Without a token nothing is answered either, whatever is asked.
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let request = b"{\"verb\":\"purge\",\"numbers\":[],\"sink\":null}\n";
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("wrong token"), "{answer}");
    sidecar.settled();
    assert!(sidecar.stop().success());
}
