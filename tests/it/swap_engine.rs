//! Changing rules between frames, in the engine itself: no event is left out
//! or taken twice, states stay, and what fails goes back.

use std::sync::Arc;
use std::time::Duration;

use integration_tests::command::{fixture, rules as shipped};
use integration_tests::versions::with_version;
use serde_json::json;
use sidewatch_engine::{
    Change, CompileWorker, Effect, Engine, EngineSettings, Exchange, FailurePolicy, KeptState,
    RawFinding, RuleLimits, RuleSet,
};
use sidewatch_event::{Event, EvidenceValue, Field};

const PATIENCE: Duration = Duration::from_secs(30);

fn engine() -> Engine {
    Engine::new(&EngineSettings::default()).unwrap()
}

fn witness(engine: &Engine, version: u32) -> Box<sidewatch_engine::DetectionRule> {
    let component = with_version(&std::fs::read(fixture("witness")).unwrap(), version);
    let loaded = engine.load(&component).unwrap();
    Box::new(loaded.detection(&json!({}), RuleLimits::default()).unwrap())
}

fn misbehaving(
    engine: &Engine,
    mode: &str,
    when: &str,
    failures: FailurePolicy,
) -> Box<sidewatch_engine::DetectionRule> {
    let loaded = engine.load_file(&fixture("misbehaving")).unwrap();
    let limits = RuleLimits {
        failures,
        ..RuleLimits::default()
    };
    let parameters = json!({ "mode": mode, "when": when });
    Box::new(loaded.detection(&parameters, limits).unwrap())
}

/// Events of seven users; their numbers go on from batch to batch.
fn batch(first: u64, count: u64) -> Vec<Box<Event>> {
    (first..first + count)
        .map(|number| {
            let mut event = Box::new(Event::new());
            event.id = u128::from(number) + 1;
            event.time = 1_700_000_000_001 + i64::try_from(number).unwrap();
            event.keys.user = number % 7 + 1;
            event.set(Field::UrlPath, "/page");
            event
        })
        .collect()
}

fn evaluate(rules: &mut RuleSet, first: u64, count: u64) -> Vec<RawFinding> {
    let mut events = batch(first, count);
    let mut findings = Vec::new();
    rules.evaluate(&mut events, &mut findings);
    findings
}

fn seen(finding: &RawFinding) -> i64 {
    let item = finding.evidence.iter().find(|item| item.name == "events");
    match item.map(|item| &item.value) {
        Some(EvidenceValue::Integer(number)) => *number,
        other => panic!("{other:?}"),
    }
}

/// Has a change made by another thread, as the sidecar does.
fn change(rules: &mut RuleSet, change: Change) -> Effect {
    let exchange = Arc::new(Exchange::default());
    let asking = Arc::clone(&exchange);
    let asked = std::thread::spawn(move || asking.request(vec![change], PATIENCE));
    while !asked.is_finished() {
        exchange.between_frames(rules);
        std::thread::yield_now();
    }
    asked.join().unwrap().unwrap().effects.remove(0)
}

#[test]
fn a_thousand_swaps_leave_no_event_out_and_take_none_twice() {
    const SWAPS: u64 = 1_000;
    const EVENTS: u64 = 21;
    let engine = engine();
    let mut rules = RuleSet::default();
    rules.detections.push(*witness(&engine, 1_000));
    let mut findings = Vec::new();
    // Three versions in turn: compiling a thousand would test the compiler.
    let versions = [1_001, 1_002, 1_003];
    for swap in 0..SWAPS {
        let version = versions[usize::try_from(swap % 3).unwrap()];
        let effect = change(&mut rules, Change::Put(witness_of(&engine, version)));
        assert!(matches!(effect, Effect::Done(_)), "{effect:?}");
        let found = evaluate(&mut rules, swap * EVENTS, EVENTS);
        let expected = format!("1.{version}.0");
        assert!(found.iter().all(|one| *one.rule_version == *expected));
        findings.extend(found);
    }
    assert_eq!(findings.len() as u64, SWAPS * EVENTS, "each event once");
    // Every user's count goes on by one: nothing lost, nothing twice.
    let mut counts: Vec<i64> = findings.iter().map(seen).collect();
    counts.sort_unstable();
    let per_user = i64::try_from(SWAPS * EVENTS / 7).unwrap();
    let expected: Vec<i64> = (1..=per_user).flat_map(|count| [count; 7]).collect();
    assert_eq!(counts, expected);
}

/// As [`witness`], each version compiled once.
fn witness_of(engine: &Engine, version: u32) -> Box<sidewatch_engine::DetectionRule> {
    use std::cell::RefCell;
    use std::collections::HashMap;
    thread_local! {
        static LOADED: RefCell<HashMap<u32, sidewatch_engine::LoadedRule>> = RefCell::default();
    }
    let loaded = LOADED.with_borrow_mut(|loaded| {
        let make = || {
            let component = with_version(&std::fs::read(fixture("witness")).unwrap(), version);
            engine.load(&component).unwrap()
        };
        loaded.entry(version).or_insert_with(make).clone()
    });
    Box::new(loaded.detection(&json!({}), RuleLimits::default()).unwrap())
}

#[test]
fn the_version_before_comes_back_with_todays_states() {
    let engine = engine();
    let mut rules = RuleSet::default();
    rules.detections.push(*witness(&engine, 1_000));
    evaluate(&mut rules, 0, 70);
    drop(change(&mut rules, Change::Put(witness(&engine, 2_000))));
    evaluate(&mut rules, 70, 70);
    match change(&mut rules, Change::RollBack("witness".to_owned())) {
        Effect::RolledBack { version, from } => {
            assert_eq!((&*version, &*from), ("1.1000.0", "1.2000.0"));
        }
        other => panic!("{other:?}"),
    }
    let found = evaluate(&mut rules, 140, 7);
    assert!(
        found
            .iter()
            .all(|one| seen(one) == 21 && &*one.rule_version == "1.1000.0")
    );
    let again = change(&mut rules, Change::RollBack("witness".to_owned()));
    assert!(
        matches!(again, Effect::Refused(_)),
        "only one version is kept"
    );
}

#[test]
fn rules_are_switched_taken_out_brought_back_and_ordered() {
    let engine = engine();
    let mut rules = RuleSet::default();
    let policy = FailurePolicy::default();
    rules
        .detections
        .push(*misbehaving(&engine, "panic", "marked", policy));
    rules.detections.push(*witness(&engine, 1_000));
    evaluate(&mut rules, 0, 7);
    let switch = |on| Change::Switch {
        id: "witness".to_owned(),
        on,
    };
    drop(change(&mut rules, switch(false)));
    assert!(evaluate(&mut rules, 7, 7).is_empty());
    drop(change(&mut rules, switch(true)));
    assert!(evaluate(&mut rules, 14, 7).iter().all(|one| seen(one) == 2));
    drop(change(&mut rules, Change::Remove("witness".to_owned())));
    assert!(evaluate(&mut rules, 21, 7).is_empty());
    drop(change(&mut rules, Change::Put(witness(&engine, 1_001))));
    assert!(evaluate(&mut rules, 28, 7).iter().all(|one| seen(one) == 3));
    let order = Change::Order(vec!["witness".to_owned(), "misbehaving".to_owned()]);
    drop(change(&mut rules, order));
    assert_eq!(&*rules.detections[0].descriptor.id, "witness");
    let unknown = change(&mut rules, Change::Remove("nobody".to_owned()));
    assert!(matches!(unknown, Effect::Refused(_)));
}

#[test]
fn a_version_in_the_shadow_is_compared_and_not_heard() {
    let engine = engine();
    let mut rules = RuleSet::default();
    rules.detections.push(*witness(&engine, 1_000));
    evaluate(&mut rules, 0, 70);
    let Effect::Shadowed(report) = change(&mut rules, Change::Shadow(witness(&engine, 1_001)))
    else {
        panic!("no shadow");
    };
    let found = evaluate(&mut rules, 70, 70);
    assert_eq!(found.len(), 70, "only one of them is heard");
    let read =
        |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!((read(&report.both), read(&report.only_shadow)), (70, 0));
    drop(change(&mut rules, Change::EndShadow("witness".to_owned())));
    evaluate(&mut rules, 140, 7);
    assert_eq!(read(&report.both), 70);

    // One that fails on everything finds nothing, and nobody else notices.
    let mut rules = RuleSet::default();
    let policy = FailurePolicy::default();
    rules
        .detections
        .push(*misbehaving(&engine, "findings", "marked", policy));
    let shadow = misbehaving(&engine, "panic", "always", policy);
    let Effect::Shadowed(report) = change(&mut rules, Change::Shadow(shadow)) else {
        panic!("no shadow");
    };
    let mut events = batch(0, 70);
    events[9].set(Field::UrlPath, "/report");
    let mut findings = Vec::new();
    rules.evaluate(&mut events, &mut findings);
    assert_eq!(findings.len(), 1);
    assert_eq!(read(&report.only_in_force), 1);
    assert_eq!(report.differences()[0].event, 10);
    assert_eq!(report.counters.failed(), 70);
}

#[test]
fn a_version_that_fails_is_taken_back_by_itself() {
    let engine = engine();
    let mut rules = RuleSet::default();
    let policy = FailurePolicy::default();
    rules
        .detections
        .push(*misbehaving(&engine, "panic", "marked", policy));
    evaluate(&mut rules, 0, 128);
    let bad = misbehaving(&engine, "panic", "always", policy);
    drop(change(&mut rules, Change::Put(bad)));
    evaluate(&mut rules, 128, 256);
    let told = rules.announcements.pop().expect("it is announced");
    assert_eq!(&*told.rule, "misbehaving");
    assert!(
        told.restored.is_some() && told.reason.contains("trapped"),
        "{told:?}"
    );
    // The version before has the states of before.
    let mut events = batch(384, 7);
    events[0].set(Field::UrlPath, "/report");
    let mut findings = Vec::new();
    rules.evaluate(&mut events, &mut findings);
    assert_eq!(findings.len(), 1);
    assert!(rules.announcements.is_empty());
}

#[test]
fn a_rule_without_a_version_before_is_switched_off_at_last() {
    let engine = engine();
    let mut rules = RuleSet::default();
    let policy = FailurePolicy {
        window_seconds: 0,
        least_events: 10,
        off_windows: 3,
        ..FailurePolicy::default()
    };
    rules
        .detections
        .push(*misbehaving(&engine, "panic", "always", policy));
    rules.detections.push(*witness(&engine, 1_000));
    for turn in 0..3 {
        let found = evaluate(&mut rules, turn * 14, 14);
        assert_eq!(found.len(), 14, "its neighbour works on");
    }
    let told = rules.announcements.pop().expect("it is announced");
    assert!(told.restored.is_none(), "{told:?}");
    assert!(!rules.detections[0].is_on());
    evaluate(&mut rules, 42, 14);
    assert!(rules.announcements.is_empty());
}

/// `failed-logins`, which keeps states by user, and `session-moved` under its
/// name, which keeps them by session.
fn by_user_and_by_session(engine: &Engine) -> [Box<sidewatch_engine::DetectionRule>; 2] {
    let (name, other) = (b"failed-logins", b"session-moved");
    ["failed-logins", "session-moved"].map(|file| {
        let path = shipped().join(format!("{file}.wasm"));
        let mut component = std::fs::read(path).unwrap();
        for at in 0..component.len() - name.len() {
            if component[at..].starts_with(other) {
                component[at..at + name.len()].copy_from_slice(name);
            }
        }
        let loaded = engine.load(&component).unwrap();
        Box::new(loaded.detection(&json!({}), RuleLimits::default()).unwrap())
    })
}

fn remember(rules: &mut RuleSet, keys: std::ops::Range<u64>) {
    for key in keys {
        let state = KeptState {
            bytes: b"state",
            changed: 1,
            created: 1,
            changes: 1,
        };
        rules.detections[0].states_mut().restore(key, state);
    }
}

fn forgotten(rules: &mut RuleSet) -> Vec<u64> {
    let mut keys = Vec::new();
    rules.drain_forgotten(|id, key| {
        assert_eq!(&**id, "failed-logins");
        keys.push(key);
    });
    keys
}

#[test]
fn states_under_another_key_come_back_with_their_version_or_are_told_as_forgotten() {
    let engine = engine();
    let [by_user, by_session] = by_user_and_by_session(&engine);
    assert_ne!(by_user.descriptor.key, by_session.descriptor.key);
    let mut rules = RuleSet::default();
    rules.detections.push(*by_user);
    rules.remember_changes();
    remember(&mut rules, 0..5);
    drop(change(&mut rules, Change::Put(by_session)));
    assert!(rules.detections[0].states_mut().is_empty());
    remember(&mut rules, 100..103);
    evaluate(&mut rules, 0, 7);
    assert!(forgotten(&mut rules).is_empty(), "it may still come back");
    let back = change(&mut rules, Change::RollBack("failed-logins".to_owned()));
    assert!(matches!(back, Effect::RolledBack { .. }), "{back:?}");
    assert_eq!(rules.detections[0].states_mut().len(), 5);
    assert_eq!(forgotten(&mut rules), [100, 101, 102]);

    // After its probation it has its own states and no others.
    let [_, by_session] = by_user_and_by_session(&engine);
    drop(change(&mut rules, Change::Put(by_session)));
    rules.set_probation(Duration::ZERO);
    evaluate(&mut rules, 7, 7);
    assert_eq!(forgotten(&mut rules), [0, 1, 2, 3, 4]);
    drop(change(
        &mut rules,
        Change::RollBack("failed-logins".to_owned()),
    ));
    assert!(rules.detections[0].states_mut().is_empty());
}

#[test]
fn what_somebody_switched_off_stays_off_through_a_swap_and_a_rollback() {
    let engine = engine();
    let mut rules = RuleSet::default();
    rules.detections.push(*witness(&engine, 1_000));
    let switch = |on| Change::Switch {
        id: "witness".to_owned(),
        on,
    };
    drop(change(&mut rules, switch(false)));
    drop(change(&mut rules, Change::Put(witness(&engine, 2_000))));
    assert!(evaluate(&mut rules, 0, 7).is_empty());
    drop(change(&mut rules, Change::RollBack("witness".to_owned())));
    assert!(evaluate(&mut rules, 7, 7).is_empty());
    drop(change(&mut rules, switch(true)));
    assert_eq!(evaluate(&mut rules, 14, 7).len(), 7);
}

#[test]
fn states_of_an_earlier_run_wait_for_a_rule_that_comes_later() {
    let engine = engine();
    // What the rule itself writes, taken from a run.
    let mut rules = RuleSet::default();
    rules.detections.push(*witness(&engine, 1_000));
    rules.remember_changes();
    evaluate(&mut rules, 0, 70);
    let mut later = RuleSet::default();
    let states = rules.detections[0].states_mut();
    states.drain_changes(|key, state| {
        let waiting = later.waiting_states("witness").unwrap();
        waiting.restore(key, state.unwrap());
    });
    drop(change(&mut later, Change::Put(witness(&engine, 1_001))));
    assert!(
        evaluate(&mut later, 70, 7)
            .iter()
            .all(|one| seen(one) == 11)
    );
}

#[test]
fn whoever_asks_for_a_change_hears_first_what_happened_before() {
    let engine = engine();
    let mut rules = RuleSet::default();
    let policy = FailurePolicy::default();
    let rule = |mode, when| misbehaving(&engine, mode, when, policy);
    rules.detections.push(*rule("panic", "marked"));
    drop(change(&mut rules, Change::Put(rule("panic", "always"))));
    evaluate(&mut rules, 0, 256);
    let exchange = Arc::new(Exchange::default());
    let asking = Arc::clone(&exchange);
    let next = Change::Put(rule("memory", "marked"));
    let asked = std::thread::spawn(move || asking.request(vec![next], PATIENCE));
    while !asked.is_finished() {
        exchange.between_frames(&mut rules);
        std::thread::yield_now();
    }
    let answered = asked.join().unwrap().unwrap();
    assert_eq!(answered.before.len(), 1);
    assert!(answered.before[0].restored.is_some());
    assert!(exchange.announcements().is_empty(), "told once");
}

#[test]
fn without_a_process_of_its_own_nothing_is_compiled() {
    let nowhere = std::path::PathBuf::from("/nowhere/sidewatch");
    let engine = Engine::new(&EngineSettings {
        compile_worker: Some(CompileWorker::new(nowhere, Vec::new())),
        ..EngineSettings::default()
    })
    .unwrap();
    let error = engine.load_file(&fixture("witness")).unwrap_err();
    assert!(error.to_string().contains("process of its own"), "{error}");
}
