//! Vectors hold or fail with a difference a person can read.

use super::*;
use crate::detection::{Description, Event, Finding, Findings, Kind, Stored};
use crate::incident::{Continuation, Incident};
use crate::{NoParameters, ParameterError};

/// Reports every failed login: something to run vectors against.
struct EveryFailure;

#[derive(Default)]
struct Seen(Incident);
crate::pod_state!(Seen(Incident));

impl Rule for EveryFailure {
    type Parameters = NoParameters;
    type State = Seen;
    fn description() -> Description {
        Description {
            id: "every-failure",
            kinds: &[Kind {
                id: "failure",
                title: "A failed login",
                severity: 3,
                technique: "",
            }],
            reads: &["user.name"],
            ..Description::default()
        }
    }
    fn new(_: NoParameters) -> Result<Self, ParameterError> {
        Ok(Self)
    }
    fn evaluate(&self, state: &mut Stored<Seen>, event: &Event<'_>, out: &mut Findings<'_>) {
        if event.is_login_failure() {
            state.0.occurred(
                &[event.user()],
                event.seconds().unwrap(),
                0,
                Continuation::within(600),
            );
            let finding = Finding::new(0, "failed to log in")
                .with("name", event.text(0).unwrap_or("?"))
                .with("address", event.address_halves())
                .with_some("place", event.location())
                .with("pi", 3.25)
                .with("network", event.network_kind().as_str())
                .with_time("time", event.time());
            out.report(finding.incident(state.0.id, state.0.count));
        }
    }
}

fn run_text(findings: &str) -> Result<usize, String> {
    let case = r#"{"name": "two failures", "defaults": {"user": "zoe", "activity": "login-failure"}, "events": [
        {"minutes": 0, "activity": "login-success"},
        {"minutes": 1.5, "from": "192.0.2.7", "at": [50.1, 14.4, 10], "texts": {"user.name": "Zoe"}, "network": "mobile"},
        {"minutes": 2, "user": "bob"}, {"minutes": 3}, {"minutes": 100}], "findings": "#;
    let folder =
        std::env::temp_dir().join(format!("vectors-{}-{}", std::process::id(), findings.len()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("case.json"), format!("[{case}{findings}}}]")).unwrap();
    std::fs::write(folder.join("ignored.txt"), "no case").unwrap();
    let result = run::<EveryFailure>(&folder).map_err(|error| error.to_string());
    std::fs::remove_dir_all(&folder).unwrap();
    result
}

const RIGHT: &str = r#"[
    {"kind": "failure", "event": 1, "incident": "zoe", "occurrence": 1, "severity": 3, "score": 1, "title": "failed",
     "evidence": {"name": "Zoe", "address": "192.0.2.7", "place": [50.1, 14.4], "pi": 3.25, "time": 1.5,
                  "network": "mobile", "nothing": null}},
    {"kind": "failure", "event": 2, "incident": "bob", "evidence": {"name": "?", "place": null}},
    {"kind": "failure", "event": 3, "incident": "zoe", "occurrence": 2, "evidence": {"pi": {"at_least": 3, "at_most": 4}}},
    {"kind": "failure", "event": 4, "incident": "zoe again", "occurrence": 1}]"#;

#[test]
fn a_case_holds_when_everything_written_down_is_so() {
    assert_eq!(run_text(RIGHT), Ok(1));
}

#[test]
fn every_difference_is_told() {
    let wrong = |from: &str, to: &str| {
        assert!(RIGHT.contains(from), "{from}");
        run_text(&RIGHT.replacen(from, to, 1)).unwrap_err()
    };
    for (from, to, told) in [
        (
            r#""kind": "failure", "event": 1"#,
            r#""kind": "other", "event": 1"#,
            "kind",
        ),
        (r#""event": 1"#, r#""event": 0"#, "event"),
        (r#""occurrence": 2"#, r#""occurrence": 3"#, "occurrence"),
        (r#""severity": 3"#, r#""severity": 4"#, "severity"),
        (r#""score": 1"#, r#""score": 0.9"#, "score"),
        (r#""title": "failed""#, r#""title": "passed""#, "title"),
        ("192.0.2.7", "192.0.2.8", "`address`"),
        ("50.1, 14.4]", "50.1, 14.5]", "`place`"),
        ("50.1, 14.4]", "50.2, 14.4]", "`place`"),
        (r#""time": 1.5"#, r#""time": 1.6"#, "`time`"),
        (r#""name": "Zoe""#, r#""name": "Bob""#, "`name`"),
        (r#""nothing": null"#, r#""nothing": 1"#, "`nothing`"),
        (r#""pi": 3.25"#, r#""pi": null"#, "`pi`"),
        (r#""at_least": 3,"#, r#""at_least": 3.5,"#, "`pi`"),
        (r#""at_most": 4}"#, r#""at_most": 3.1}"#, "`pi`"),
        (r#""at_most": 4}"#, r#""at_moist": 4}"#, "`pi`"),
        (r#""incident": "bob""#, r#""incident": "zoe""#, "incident"),
        (
            r#""incident": "zoe", "occurrence": 2"#,
            r#""incident": "eve", "occurrence": 2"#,
            "incident",
        ),
    ] {
        let message = wrong(from, to);
        assert!(
            message.contains(&format!("{told}: expected"))
                || message.contains(&format!("{told}: not")),
            "{message}"
        );
    }
}

#[test]
fn a_missing_or_surplus_finding_fails_the_case() {
    assert!(
        run_text("[]")
            .unwrap_err()
            .contains("expected 0 findings, found 4")
    );
}

#[test]
fn a_file_without_cases_is_named() {
    let directory = std::env::temp_dir().join(format!("no-cases-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    for (name, text) in [("none.json", "[]"), ("none.toml", "case = []\n")] {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        let told = load(&path).unwrap_err().to_string();
        assert!(told.contains(name) && told.contains("empty"), "{told}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn mistakes_in_a_case_are_named() {
    let case = |event: &str| -> String {
        let case: Case =
            serde_json::from_str(&format!(r#"{{"name": "x", "events": [{event}]}}"#)).unwrap();
        case.events().unwrap_err()
    };
    assert!(
        case(r#"{"network": "wifi"}"#)
            .contains("event 0: unknown network `wifi`; one of unknown, residential")
    );
    assert!(case(r#"{"activity": "nap"}"#).contains("unknown activity `nap`"));
    assert!(case(r#"{"usr": "zoe"}"#).contains("usr"));
    assert!(matches!(
        load(Path::new("/nonexistent/x.json")),
        Err(VectorError::Unreadable { .. })
    ));
}
