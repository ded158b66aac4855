//! What the rule path costs: frame building and three real rules as WASM
//! components, against the same three rules compiled natively over the same
//! frames, interleaved in one process on the same events.
//!
//! `cargo bench -p sidewatch-engine --bench rule_path` prints nanoseconds of
//! thread CPU time per event (minimum over rounds) and, where valgrind is
//! installed, instructions per event: the program runs itself under callgrind
//! twice per variant, and the difference leaves start-up out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measuring program, run by hand"
)]

mod data;
mod native;

use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cpu_time::ThreadTime;
use sidewatch_engine::rule_set::RoutedMapping;
use sidewatch_engine::{Engine, EngineSettings, RawFinding, RuleLimits, RuleSet};
use sidewatch_event::Event;

/// Events per round; a multiple of the frame.
const EVENTS: usize = 4096;
const ROUNDS: usize = 60;
/// Variants: all three rules, then each alone.
const RULES: [&str; 3] = ["event-mapping", "impossible-travel", "account-sharing"];

trait Variant {
    fn run(&mut self, events: &mut [Box<Event>], findings: &mut Vec<RawFinding>);
}

struct Wasm(RuleSet);

impl Variant for Wasm {
    fn run(&mut self, events: &mut [Box<Event>], findings: &mut Vec<RawFinding>) {
        self.0.evaluate(events, findings);
        let mappings = self.0.mappings.iter().map(|mapping| &mapping.rule.counters);
        let detections = self.0.detections.iter().map(|rule| &rule.counters);
        for counters in mappings.chain(detections) {
            let missed = counters.quarantined.load(Ordering::Relaxed)
                + counters.skipped.load(Ordering::Relaxed);
            assert_eq!(
                missed, 0,
                "a rule faulted, so this measures nothing: {counters:?}"
            );
        }
    }
}

impl Variant for native::Rules {
    fn run(&mut self, events: &mut [Box<Event>], findings: &mut Vec<RawFinding>) {
        self.evaluate(events, findings);
    }
}

fn wasm(rules: &[&str]) -> Wasm {
    let engine = Engine::new(&EngineSettings::default()).unwrap();
    let directory = std::env::var_os("SIDEWATCH_RULES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/rules")),
        PathBuf::from,
    );
    let load = |name: &str| {
        engine
            .load_file(&directory.join(format!("{name}.wasm")))
            .expect("rule components are missing; run `make rules`")
    };
    let limits = RuleLimits {
        frame_milliseconds: 60_000,
        ..RuleLimits::default()
    };
    let mut set = RuleSet::default();
    for name in rules {
        if *name == "event-mapping" {
            let rule = load(name).mapping(&data::table(), limits).unwrap();
            set.mappings.push(RoutedMapping {
                rule,
                sources: Vec::new(),
            });
        } else {
            set.detections.push(
                load(name)
                    .detection(&serde_json::json!({}), limits)
                    .unwrap(),
            );
        }
    }
    Wasm(set)
}

fn variant(kind: &str, rules: &[&str]) -> Box<dyn Variant> {
    if kind == "wasm" {
        Box::new(wasm(rules))
    } else {
        Box::new(native::Rules::new(rules))
    }
}

fn cpu_time() -> Duration {
    ThreadTime::now().as_duration()
}

/// One pass over all events; every pass is a later day, so states move on.
fn pass(variant: &mut dyn Variant, events: &mut [Box<Event>], day: i64) -> usize {
    for event in &mut *events {
        event.time += day * 86_400_000;
    }
    let mut findings = Vec::new();
    for batch in events.chunks_mut(256) {
        variant.run(batch, &mut findings);
    }
    black_box(findings.len())
}

fn measure(rules: &[&str]) -> ([f64; 2], [usize; 2]) {
    let mut variants = [variant("native", rules), variant("wasm", rules)];
    let mut events = [data::events(EVENTS), data::events(EVENTS)];
    let mut best = [f64::INFINITY; 2];
    let mut findings = [0; 2];
    for round in 0..ROUNDS {
        for at in 0..2 {
            let began = cpu_time();
            findings[at] += pass(&mut *variants[at], &mut events[at], 1);
            let elapsed = cpu_time() - began;
            if round > 2 {
                best[at] = best[at].min(elapsed.as_nanos() as f64 / EVENTS as f64);
            }
        }
    }
    (best, findings)
}

/// Instructions per event: callgrind's count of 52 passes minus that of two: compiling
/// the components differs by a few million from run to run.
fn instructions(kind: &str, rules: &[&str]) -> Option<f64> {
    let count = |passes: &str| {
        let output = Command::new("valgrind")
            .args([
                "--tool=callgrind",
                "--callgrind-out-file=/dev/null",
                "--smc-check=all-non-file",
            ])
            .arg(std::env::current_exe().ok()?)
            .args(["--passes", passes, kind, &rules.join(",")])
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = text
            .lines()
            .find(|line| line.contains("Collected"))?
            .to_owned();
        line.rsplit(' ').next()?.parse::<f64>().ok()
    };
    Some((count("52")? - count("2")?) / (50.0 * EVENTS as f64))
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--passes") {
        let rules: Vec<&str> = arguments[at + 3].split(',').collect();
        let mut variant = variant(&arguments[at + 2], &rules);
        let mut events = data::events(EVENTS);
        for _ in 0..arguments[at + 1].parse().unwrap() {
            pass(&mut *variant, &mut events, 1);
        }
        return;
    }
    println!(
        "{EVENTS} events of 1000 users, frames of 64, minimum of {ROUNDS} rounds, CPU time of the thread"
    );
    println!(
        "{:<44} {:>10} {:>10} {:>7} {:>12} {:>12} {:>7}",
        "rules", "native ns", "wasm ns", "ratio", "native instr", "wasm instr", "ratio"
    );
    let mut sets = vec![RULES.to_vec()];
    sets.extend(RULES.map(|rule| vec![rule]));
    for rules in sets {
        let ([native, wasm], findings) = measure(&rules);
        assert_eq!(findings[0], findings[1], "both must find the same");
        let counted = (instructions("native", &rules), instructions("wasm", &rules));
        let (native_count, wasm_count, ratio) = match counted {
            (Some(native), Some(wasm)) => (
                format!("{native:.0}"),
                format!("{wasm:.0}"),
                format!("{:.2}", wasm / native),
            ),
            _ => ("-".to_owned(), "-".to_owned(), "-".to_owned()),
        };
        println!(
            "{:<44} {native:>10.0} {wasm:>10.0} {:>7.2} {native_count:>12} {wasm_count:>12} {ratio:>7}",
            rules.join(" + "),
            wasm / native
        );
    }
}
