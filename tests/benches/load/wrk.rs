//! Load from `wrk`, and what a process used meanwhile.

use std::net::SocketAddr;
use std::process::Command;

/// One round.
pub(crate) struct Measured {
    /// Requests per second.
    pub(crate) rate: f64,
    pub(crate) p99_ms: f64,
    /// Processor time of the target per request, microseconds.
    pub(crate) cpu_us: f64,
}

/// A request as a browser sends it.
const HEADERS: [&str; 5] = [
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Accept-Language: de,en-US;q=0.7,en;q=0.3",
    "Referer: https://app.example.org/team/channels/town-square",
    "Cookie: MMUSERID=4xp9fdt77pncbef59f4k1qe83o; MMAUTHTOKEN=9xp9fdt77pncbef59f4k1qe83o; theme=dark",
    "X-Real-IP: 198.51.100.7",
];

/// Loads a server from a core of that number.
pub(crate) fn measure(
    address: SocketAddr,
    target: Option<u32>,
    seconds: u32,
    core: usize,
) -> Measured {
    let mut wrk = Command::new("taskset");
    let core = if super::cores() > 1 { core } else { 0 };
    wrk.args(["-c", &core.to_string(), "wrk", "--latency", "-t1", "-c16"]);
    wrk.arg(format!("-d{seconds}"));
    for header in HEADERS {
        wrk.args(["-H", header]);
    }
    wrk.arg(format!(
        "http://{address}/api/v4/users/me/teams?page=0&per_page=60"
    ));
    let before = target.map_or(0.0, cpu_us);
    let output = wrk.output().expect("wrk; apt-get install wrk");
    // What is still in the target's queue belongs to this round.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let used = target.map_or(0.0, cpu_us) - before;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        !text.contains("Non-2xx") && !text.contains("Socket errors"),
        "{text}"
    );
    let word = |start: &str, at: usize| -> String {
        let line = text
            .lines()
            .map(str::trim)
            .find(|line| line.starts_with(start));
        let line = line.unwrap_or_else(|| panic!("no `{start}` in wrk's output:\n{text}"));
        line.split_whitespace()
            .nth(at)
            .unwrap_or_default()
            .to_owned()
    };
    let requests = text
        .lines()
        .find(|line| line.contains("requests in"))
        .and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
        .expect("requests in wrk's output");
    Measured {
        rate: word("Requests/sec:", 1).parse().unwrap(),
        p99_ms: milliseconds(&word("99%", 1)),
        cpu_us: used / requests,
    }
}

fn milliseconds(text: &str) -> f64 {
    let number = text.trim_end_matches(char::is_alphabetic);
    let factor = match text.trim_start_matches(number) {
        "us" => 0.001,
        "s" => 1000.0,
        _ => 1.0,
    };
    number.parse::<f64>().unwrap() * factor
}

/// User and system time of a process, proc(5); a tick is 10 ms on every Linux.
fn cpu_us(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1;
    let times = fields.split_whitespace().skip(11).take(2);
    times
        .map(|field| field.parse::<f64>().unwrap())
        .sum::<f64>()
        * 10_000.0
}
