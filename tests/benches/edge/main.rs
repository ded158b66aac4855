//! From request to 204: the edge application against an empty component on
//! the same runtime, in turns; sizes and cold starts.
//!
//! `cargo bench -p integration-tests --bench edge`; needs `make edge rules`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench fails loudly and prints"
)]

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use integration_tests::Spin;
use integration_tests::spin::{KeyValues, Surroundings};

const TOKEN: &str = "edge-token-0123456789";
const ROUNDS: usize = 15;
const REQUESTS: usize = 400;

fn surroundings() -> Surroundings {
    let key = "00".repeat(32);
    let variables = [
        ("token", TOKEN.to_owned()),
        ("pseudonym_key", key.clone()),
        ("hash_key", key),
    ];
    Surroundings {
        variables: variables
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        stores: BTreeMap::from([("default".to_owned(), KeyValues::default())]),
        reuse: None,
    }
}

/// Microseconds a request takes, one after the other.
async fn time(spin: &Spin, users: usize) -> f64 {
    let started = Instant::now();
    for number in 0..REQUESTS {
        let cookie = format!(
            "MMUSERID=u{}; MMAUTHTOKEN=s{}",
            number % users,
            number % users
        );
        let headers = [
            ("x-sidewatch-token", TOKEN),
            ("x-original-uri", "/api/v4/posts?page=2"),
            ("x-original-method", "GET"),
            ("x-real-ip", "203.0.113.7"),
            ("x-original-status", "200"),
            (
                "user-agent",
                "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            ),
            ("cookie", &cookie),
        ];
        let answer = spin.send("GET", "/mirror", &headers, "").await.unwrap();
        assert_eq!(answer.status, 204, "{}", answer.body);
    }
    started.elapsed().as_secs_f64() * 1e6 / REQUESTS as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A request to a fresh instance.
async fn cold(spin: &Spin) -> Duration {
    let started = Instant::now();
    let answer = spin
        .send("GET", "/mirror", &[("x-sidewatch-token", TOKEN)], "")
        .await
        .unwrap();
    assert_eq!(answer.status, 204, "{}", answer.body);
    started.elapsed()
}

fn main() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap();
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    let program = ["release", "debug"].map(|profile| target.join(profile).join("sidewatch"));
    let program = program
        .iter()
        .find(|path| path.is_file())
        .expect("run `make build` first");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let empty = std::fs::read(target.join("spin/empty.wasm")).expect("run `make edge` first");
    println!("size       empty component {} bytes", empty.len());
    let empty_once = Spin::bare(empty.clone(), 1).unwrap();
    let empty = Spin::bare(empty, 128).unwrap();
    println!(
        "compiled   empty component in {:.0} ms",
        empty.compiled_in.as_secs_f64() * 1e3
    );
    for rules in [
        &["failed-logins"][..],
        &["impossible-travel", "account-sharing", "failed-logins"],
        &[],
    ] {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        command.args([
            "edge",
            "build",
            "--pack",
            "mattermost",
            "--to",
            "nowhere",
            "--status-header",
            "x-original-status",
            "--output",
        ]);
        command
            .arg(directory.path())
            .env("SIDEWATCH_RULES", target.join("rules"));
        command.args(rules.iter().flat_map(|rule| ["--only", rule]));
        let built = command.output().unwrap();
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        let spin = Spin::load(directory.path(), &surroundings()).unwrap();
        let name = if rules.is_empty() {
            "the pack's nine".to_owned()
        } else {
            rules.join(", ")
        };
        println!("\nrules      {name}");
        print!(
            "{}",
            String::from_utf8_lossy(&built.stdout)
                .lines()
                .filter(|line| line.contains("bytes)"))
                .fold(String::new(), |all, line| all + line + "\n")
        );
        println!("size       composed {} bytes", spin.composed.len());
        println!(
            "compiled   in {:.0} ms (once, when the application is loaded)",
            spin.compiled_in.as_secs_f64() * 1e3
        );
        let once = Spin::load(
            directory.path(),
            &Surroundings {
                reuse: Some(1),
                ..surroundings()
            },
        )
        .unwrap();
        let starts: Vec<f64> = (0..ROUNDS)
            .map(|_| runtime.block_on(cold(&once)).as_secs_f64() * 1e3)
            .collect();
        let plain: Vec<f64> = (0..ROUNDS)
            .map(|_| runtime.block_on(cold(&empty_once)).as_secs_f64() * 1e3)
            .collect();
        println!(
            "cold start {:.2} ms, empty component {:.2} ms (median: instance, configuration, one request)",
            median(starts),
            median(plain)
        );
        let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let with = runtime.block_on(time(&spin, 50));
            let without = runtime.block_on(time(&empty, 50));
            ours.push(with);
            theirs.push(without);
            ratios.push(with / without);
        }
        println!(
            "request    {:.0} us, empty component {:.0} us, ratio {:.2} (paired median)",
            median(ours),
            median(theirs),
            median(ratios)
        );
    }
}
