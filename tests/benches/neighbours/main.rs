//! What a misbehaving rule costs its neighbours: events a second through a
//! rule set of three shipped rules and one that fails, against the same set
//! in which it never does.
//!
//! `cargo bench -p integration-tests --bench neighbours`; needs `make fixtures`.
//! Names of modes behind `--` measure those alone.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench fails loudly and prints"
)]

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use integration_tests::command::{fixture, rules};
use nix::time::{ClockId, clock_gettime};
use serde_json::json;
use sidewatch_engine::{Engine, EngineSettings, RuleLimits, RuleSet};
use sidewatch_event::{Activity, Event, Field, Location};

const BATCH: u64 = 256;
/// How long a pair works; long enough for pauses of a failing rule to end.
const WORKING: Duration = Duration::from_secs(8);
/// How long one of it works before the other does.
const TURN: Duration = Duration::from_millis(20);
const NEIGHBOURS: [&str; 3] = ["impossible-travel", "account-sharing", "failed-logins"];
const MODES: [&str; 9] = [
    "loop",
    "panic",
    "memory",
    "output",
    "state",
    "recursion",
    "findings",
    "slow",
    "growth",
];

fn set(engine: &Engine, mode: &str, when: &str) -> RuleSet {
    let mut set = RuleSet::default();
    for id in NEIGHBOURS {
        let path = rules().join(id).with_extension("wasm");
        let loaded = engine.load_file(&path).unwrap();
        let rule = loaded.detection(&json!({}), RuleLimits::default());
        set.detections.push(rule.unwrap());
    }
    let loaded = engine.load_file(&fixture("misbehaving")).unwrap();
    let parameters = json!({ "mode": mode, "when": when });
    let rule = loaded.detection(&parameters, RuleLimits::default());
    set.detections.push(rule.unwrap());
    set
}

/// Requests of a thousand users; the misbehaving rule's one in a thousand is
/// told by the time.
fn batch(first: u64, events: &mut Vec<Box<Event>>) {
    events.resize_with(usize::try_from(BATCH).unwrap(), Default::default);
    for (number, event) in (first..).zip(events) {
        event.clear();
        event.id = u128::from(number) + 1;
        event.time = 1_700_000_000_001 + i64::try_from(number).unwrap();
        event.keys.user = number % 1_000 + 1;
        let [.., high, low] = event.keys.user.to_be_bytes();
        event.source_ip = Some([198, 51, high, low].into());
        event.activity = Activity::Other;
        event.location = Some(Location {
            latitude: 50.0,
            longitude: 14.0,
            accuracy_km: 20.0,
        });
        event.set(Field::UrlPath, "/page");
    }
}

/// A rule set at work. Only its own processor time counts, so that a busy
/// machine does not look like a slow rule.
struct Working {
    set: RuleSet,
    done: u64,
    spent: Duration,
    longest: Duration,
}

impl Working {
    fn new(set: RuleSet) -> Self {
        Self {
            set,
            done: 0,
            spent: Duration::ZERO,
            longest: Duration::ZERO,
        }
    }

    /// Evaluates for a while.
    fn turn(&mut self, events: &mut Vec<Box<Event>>) {
        let mut findings = Vec::new();
        let turn = Instant::now();
        while turn.elapsed() < TURN {
            batch(self.done, events);
            let began = own_time();
            self.set.evaluate(events, &mut findings);
            let took = own_time().saturating_sub(began);
            self.spent += took;
            self.longest = self.longest.max(took);
            findings.clear();
            self.done += BATCH;
        }
    }

    /// Events in a second of processor time.
    fn rate(&self) -> f64 {
        self.done as f64 / self.spent.as_secs_f64()
    }
}

/// Processor time of this thread.
fn own_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    Duration::from(time.unwrap())
}

struct Measured {
    /// How many times as long events take as with the honest twin.
    ratio: f64,
    /// Events a second through the whole set.
    rate: f64,
    /// Events the failing rule was not given or failed on, in a thousand.
    missed: f64,
    /// The longest any batch took.
    longest: Duration,
    /// Whether it was switched off.
    off: bool,
}

/// Both sets work in turns, so that both see the same machine.
fn measure(engine: &Engine, mode: &str, when: &str) -> Measured {
    let mut honest = Working::new(set(engine, "panic", "marked"));
    let mut working = Working::new(set(engine, mode, when));
    let mut events = Vec::new();
    let started = Instant::now();
    while started.elapsed() < WORKING {
        honest.turn(&mut events);
        working.turn(&mut events);
    }
    let (failing, neighbours) = working.set.detections.split_last().unwrap();
    for neighbour in neighbours {
        let counters = &neighbour.counters;
        assert_eq!(counters.events.load(Ordering::Relaxed), working.done);
    }
    let missed = [&failing.counters.quarantined, &failing.counters.skipped];
    let missed: u64 = missed
        .map(|count| count.load(Ordering::Relaxed))
        .iter()
        .sum();
    Measured {
        ratio: honest.rate() / working.rate(),
        rate: working.rate(),
        missed: 1_000.0 * missed as f64 / working.done as f64,
        longest: working.longest,
        off: !failing.is_on(),
    }
}

fn main() {
    let engine = Engine::new(&EngineSettings::default()).unwrap();
    println!(
        "three shipped rules and one that fails; in turns with the same set failing never; times are the thread's own"
    );
    println!("mode       when      events/s   ratio  longest batch  not evaluated by it");
    let named: Vec<String> = std::env::args().collect();
    let all = !named.iter().any(|name| MODES.contains(&name.as_str()));
    let wanted = |mode: &&str| all || named.iter().any(|name| name == mode);
    for when in ["rarely", "always"] {
        for mode in MODES.into_iter().filter(wanted) {
            let failing = measure(&engine, mode, when);
            println!(
                "{mode:<10} {when:<8} {:>9.0}   {:>4.2}x   {:>9.2} ms   {:>6.1} in 1,000{}",
                failing.rate,
                failing.ratio,
                failing.longest.as_secs_f64() * 1e3,
                failing.missed,
                if failing.off { ", switched off" } else { "" },
            );
        }
    }
}
