//! Frames whose states together are more than one answer may hold: no rule is
//! to blame for many users at once.

use std::sync::atomic::Ordering;

use integration_tests::command::fixture;
use serde_json::json;
use sidewatch_engine::{Engine, EngineSettings, RuleLimits, RuleSet};
use sidewatch_event::{Event, Field};

#[test]
fn many_users_at_once_with_large_states_are_no_fault_of_the_rule() {
    const USERS: u64 = 256;
    const ROUNDS: u64 = 8;
    let engine = Engine::new(&EngineSettings::default()).unwrap();
    let loaded = engine.load_file(&fixture("misbehaving")).unwrap();
    // States grow to four thousand bytes: a few of them fill an answer.
    let limits = RuleLimits {
        output_bytes: 16 << 10,
        // A busy machine must not make it too slow.
        event_microseconds: 100_000,
        frame_milliseconds: 1_000,
        ..RuleLimits::default()
    };
    let parameters = json!({ "mode": "growth", "when": "always" });
    let mut rules = RuleSet::default();
    rules
        .detections
        .push(loaded.detection(&parameters, limits).unwrap());
    let mut findings = Vec::new();
    for round in 0..ROUNDS {
        let event = |user: u64| {
            let mut event = Box::new(Event::new());
            event.id = u128::from(round * USERS + user);
            event.time = 1_700_000_000_000 + i64::try_from(round).unwrap();
            event.keys.user = user;
            event.set(Field::UrlPath, "/page");
            event
        };
        let mut events: Vec<_> = (1..=USERS).map(event).collect();
        rules.evaluate(&mut events, &mut findings);
    }
    let rule = &rules.detections[0];
    assert_eq!(rule.counters.events.load(Ordering::Relaxed), USERS * ROUNDS);
    assert_eq!(rule.counters.failed(), 0);
    assert_eq!(rule.counters.rejected.load(Ordering::Relaxed), 0);
    let kept = rule.counters.state_bytes.load(Ordering::Relaxed);
    assert!(
        kept > USERS * 4_000,
        "every state grew, {kept} bytes in all"
    );
}
