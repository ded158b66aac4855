//! What the sidecar costs the application, everything in one run.
//!
//! `deploy/bench/load.sh` builds what is needed and runs this. It prints
//!
//! 1. nginx without a mirror, with a mirror to a bare hyper server that answers
//!    204, and with a mirror to Sidewatch (pack `mattermost`, its rules, a file
//!    sink), by turns: requests per second, p99, and the target's CPU time per
//!    mirrored request;
//! 2. the mirror's reply time at 5,000 requests a second;
//! 3. Sidewatch's memory after half a minute at 20,000 events a second.
//!
//! nginx has a core of its own where there are two; `wrk` and the target share
//! the other.
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

/// A sidecar with the pack's rules that writes every event to a file.
fn sidecar(directory: &Path) -> Sidecar {
    let socket = directory.join("mirror.sock");
    Sidecar::in_directory(directory)
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

fn behind_nginx() {
    let directory = tempfile::tempdir().unwrap();
    let [off, bare_side, our_side] =
        ["off", "bare", "sidewatch"].map(|name| directory.path().join(name));
    for path in [&off, &bare_side, &our_side] {
        std::fs::create_dir_all(path).unwrap();
    }
    let bare = Bare::start(&bare_side.join("mirror.sock"));
    let ours = sidecar(&our_side);
    let fronts = [
        Nginx::in_directory(&off).without_mirror().start(),
        Nginx::in_directory(&bare_side).start(),
        Nginx::in_directory(&our_side).start(),
    ];
    for front in &fronts {
        pin(front.process_id(), 0);
    }
    pin(bare.process_id(), 1);
    pin(ours.process_id(), 1);
    let targets = [None, Some(bare.process_id()), Some(ours.process_id())];
    let mut rounds: Vec<[Measured; 3]> = Vec::new();
    // The first round warms everything up.
    for _ in 0..=ROUNDS {
        rounds.push(std::array::from_fn(|at| {
            wrk::measure(fronts[at].address(), targets[at], SECONDS)
        }));
    }
    rounds.remove(0);
    println!("behind nginx, median of {ROUNDS} rounds of {SECONDS} s");
    println!(
        "{:<22} {:>10} {:>9} {:>22}",
        "mirror", "requests/s", "p99 ms", "target CPU us/request"
    );
    for (at, name) in ["none", "bare hyper 204", "Sidewatch"]
        .into_iter()
        .enumerate()
    {
        println!(
            "{name:<22} {:>10.0} {:>9.2} {:>22.1}",
            median(&rounds, |round| round[at].rate),
            median(&rounds, |round| round[at].p99_ms),
            median(&rounds, |round| round[at].cpu_us),
        );
    }
    println!(
        "Sidewatch against bare, paired: requests/s {:.3}x, p99 {:.2}x, CPU {:.2}x",
        median(&rounds, |round| round[2].rate / round[1].rate),
        median(&rounds, |round| round[2].p99_ms / round[1].p99_ms),
        median(&rounds, |round| round[2].cpu_us / round[1].cpu_us),
    );
    println!("Sidewatch's events: {}", ours.shares("mirror"));
    ours.stop();
}

fn median(rounds: &[[Measured; 3]], figure: impl Fn(&[Measured; 3]) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn replies() {
    let directory = tempfile::tempdir().unwrap();
    let ours = sidecar(directory.path());
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
    let directory = tempfile::tempdir().unwrap();
    let ours = sidecar(directory.path());
    let socket = directory.path().join("mirror.sock");
    let seconds = Duration::from_secs(30);
    let sent = paced::in_bursts(&socket, 20_000, seconds);
    let held = ours.resident_bytes();
    println!(
        "memory after {} s at {:.0} events/s of 5,000 users: {:.1} MiB resident; {}",
        seconds.as_secs(),
        sent as f64 / seconds.as_secs_f64(),
        held as f64 / 1_048_576.0,
        ours.shares("mirror")
    );
    ours.stop();
}
