//! What the sidecar costs the application, everything in one run.
//!
//! `deploy/bench/load.sh` builds what is needed and runs this. It prints
//!
//! 1. nginx without a mirror, with a mirror to a bare hyper server that answers
//!    204, and with a mirror to Sidewatch (pack `mattermost`, its rules, a file
//!    sink) with and without its store on disk, by turns: requests per second, p99, and the target's CPU time per
//!    mirrored request;
//! 2. the mirror's reply time at 5,000 requests a second;
//! 3. Sidewatch's memory after half a minute at 20,000 events a second.
//!
//! nginx has one core where there are two, the target the other. `wrk` shares
//! first the one, then the other: beside nginx it shows what mirroring to the
//! target costs nginx and its clients; beside the target, whose processor time
//! it then waits for, everything is saturated.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measuring program, run by hand"
)]

mod bare;
mod paced;
mod wrk;

use std::path::Path;
use std::time::Duration;

use integration_tests::{Nginx, Sidecar};

use bare::Bare;
use wrk::Measured;

const ROUNDS: usize = 5;
const SECONDS: u32 = 4;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|word| word == "--bare") {
        bare::serve(Path::new(&arguments[at + 1]));
        return;
    }
    if !arguments.iter().any(|word| word == "--bench") {
        return;
    }
    behind_nginx();
    replies();
    memory();
}

/// A sidecar with the pack's rules that writes every event to a file; with
/// `durable`, every batch is committed to the disk first.
fn sidecar(directory: &Path, durable: bool) -> Sidecar {
    let socket = directory.join("mirror.sock");
    Sidecar::in_directory(directory)
        .section(&format!("[store]\nenabled = {durable}"))
        .source(
            "mirror",
            &format!("type = \"mirror\"\npack = \"mattermost\"\nsocket = {socket:?}"),
        )
        .section("[enrichment]\ntrusted_proxies = [\"127.0.0.1\"]")
        .json_file("events")
        .start()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Binds a process to a core, so that runs are alike.
fn pin(process: u32, core: usize) {
    if cores() > 1 {
        let pinned = std::process::Command::new("taskset")
            .args(["-a", "-cp", &core.to_string(), &process.to_string()])
            .output();
        assert!(
            pinned.is_ok_and(|output| output.status.success()),
            "taskset; it is in util-linux"
        );
    }
}

const CONTENDERS: [&str; 4] = [
    "none",
    "bare hyper 204",
    "Sidewatch in memory",
    "Sidewatch durable",
];

fn behind_nginx() {
    let directory = tempfile::tempdir().unwrap();
    let sides = ["off", "bare", "memory", "durable"].map(|name| directory.path().join(name));
    for path in &sides {
        std::fs::create_dir_all(path).unwrap();
    }
    let bare = Bare::start(&sides[1].join("mirror.sock"));
    let in_memory = sidecar(&sides[2], false);
    let durable = sidecar(&sides[3], true);
    let fronts = [
        Nginx::in_directory(&sides[0]).without_mirror().start(),
        Nginx::in_directory(&sides[1]).start(),
        Nginx::in_directory(&sides[2]).start(),
        Nginx::in_directory(&sides[3]).start(),
    ];
    for front in &fronts {
        pin(front.process_id(), 0);
    }
    let processes = [
        bare.process_id(),
        in_memory.process_id(),
        durable.process_id(),
    ];
    for process in processes {
        pin(process, 1);
    }
    let [first, second, third] = processes.map(Some);
    let targets = [None, first, second, third];
    for (core, beside) in ["nginx", "the target"].into_iter().enumerate() {
        let mut rounds: Vec<Round> = Vec::new();
        // The first round warms everything up.
        for _ in 0..=ROUNDS {
            rounds.push(std::array::from_fn(|at| {
                wrk::measure(fronts[at].address(), targets[at], SECONDS, core)
            }));
        }
        rounds.remove(0);
        println!("\nwrk on one core with {beside}:");
        print(&rounds);
    }
    for ours in [in_memory, durable] {
        println!("Sidewatch's events: {}", ours.shares("mirror"));
        ours.stop();
    }
}

type Round = [Measured; CONTENDERS.len()];

fn print(rounds: &[Round]) {
    println!("behind nginx, median of {ROUNDS} rounds of {SECONDS} s");
    println!(
        "{:<22} {:>10} {:>9} {:>22}",
        "mirror", "requests/s", "p99 ms", "target CPU us/request"
    );
    for (at, name) in CONTENDERS.into_iter().enumerate() {
        println!(
            "{name:<22} {:>10.0} {:>9.2} {:>22.1}",
            median(rounds, |round| round[at].rate),
            median(rounds, |round| round[at].p99_ms),
            median(rounds, |round| round[at].cpu_us),
        );
    }
    for ours in [2, 3] {
        println!(
            "{} against bare, paired: requests/s {:.3}x, p99 {:.2}x, CPU {:.2}x",
            CONTENDERS[ours],
            median(rounds, |round| round[ours].rate / round[1].rate),
            median(rounds, |round| round[ours].p99_ms / round[1].p99_ms),
            median(rounds, |round| round[ours].cpu_us / round[1].cpu_us),
        );
    }
}

fn median(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn replies() {
    let directory = tempfile::tempdir().unwrap();
    let ours = sidecar(directory.path(), true);
    let socket = directory.path().join("mirror.sock");
    let mut times = paced::one_by_one(&socket, 5_000, Duration::from_secs(10));
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    println!(
        "mirror replies at {:.0} requests/s: p50 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms",
        times.len() as f64 / 10.0,
        at(0.5),
        at(0.99),
        at(0.999)
    );
    ours.stop();
}

fn memory() {
    for durable in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let ours = sidecar(directory.path(), durable);
        let socket = directory.path().join("mirror.sock");
        let seconds = Duration::from_secs(30);
        let sent = paced::in_bursts(&socket, 20_000, seconds);
        let held = ours.resident_bytes();
        println!(
            "{} after {} s at {:.0} events/s of 5,000 users: {:.1} MiB resident; {}",
            if durable { "durable" } else { "in memory" },
            seconds.as_secs(),
            sent as f64 / seconds.as_secs_f64(),
            held as f64 / 1_048_576.0,
            ours.shares("mirror")
        );
        ours.stop();
    }
}
