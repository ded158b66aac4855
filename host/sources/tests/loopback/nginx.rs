//! The shipped nginx snippets with a real nginx: clients notice nothing,
//! whatever state the mirror source is in.
//!
//! Skipped where nginx is not installed. Shows latencies with `--nocapture`;
//! they are not asserted, but a stalled client runs out of patience.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sidewatch_codecs::{Decoder, LogFormat};
use sidewatch_event::{Event, Field};
use tempfile::TempDir;

use crate::support::{Client, PATIENCE, Running, start};

const UPSTREAM: &str = include_str!("../../../../deploy/nginx/sidewatch-upstream.conf");
const MIRROR: &str = include_str!("../../../../deploy/nginx/sidewatch-mirror.conf");
const LOG_FORMAT: &str = include_str!("../../../../deploy/nginx/sidewatch-log-format.conf");
const TUTORIAL: &str = include_str!("../../../../deploy/nginx/tirreno-tutorial.conf");

/// nginx counts whole seconds, so its pause of 1 s may last almost 2.
const PAUSE: Duration = Duration::from_millis(2100);

const KEY: &str = "0123456789abcdef0123456789abcdef";

struct Nginx {
    directory: TempDir,
    address: String,
    child: Child,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn write_configuration(directory: &Path, port: u16) {
    let socket = directory.join("mirror.sock");
    let upstream = UPSTREAM
        .replace("/run/sidewatch/mirror.sock", socket.to_str().unwrap())
        .replace("fail_timeout=5s", "fail_timeout=1s")
        .replace("127.0.0.1:8786", &format!("127.0.0.1:{}", free_port()));
    let files = [
        ("sidewatch-upstream.conf", upstream),
        ("sidewatch-mirror.conf", MIRROR.to_owned()),
        ("sidewatch-log-format.conf", LOG_FORMAT.to_owned()),
        (
            "tirreno-tutorial.conf",
            TUTORIAL.replace(&"0".repeat(32), KEY),
        ),
        ("www/page", "ok".to_owned()),
    ];
    std::fs::create_dir(directory.join("www")).unwrap();
    for (name, text) in files {
        std::fs::write(directory.join(name), text).unwrap();
    }
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {kind};\n"))
        .collect();
    let configuration = format!(
        "daemon off; master_process off; pid nginx.pid; error_log error.log;\n\
         events {{ worker_connections 512; }}\n\
         http {{\n{temporary}\
         keepalive_requests 100000; access_log off;\n\
         include sidewatch-upstream.conf; include sidewatch-log-format.conf;\n\
         server {{ listen 127.0.0.1:{port}; root www; include sidewatch-mirror.conf;\n\
         include tirreno-tutorial.conf;\n\
         access_log access.log sidewatch;\n\
         location / {{ mirror /sidewatch-mirror; mirror_request_body off; }}\n\
         location /form/ {{ alias www/; mirror /tirreno-mirror; mirror_request_body off; }} }}\n}}\n"
    );
    std::fs::write(directory.join("nginx.conf"), configuration).unwrap();
}

/// Starts nginx with the shipped snippets; nothing where it is not installed.
fn nginx() -> Option<Nginx> {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    write_configuration(directory.path(), port);
    let command = || {
        let mut command = Command::new("nginx");
        command
            .arg("-p")
            .arg(directory.path())
            .args(["-e", "error.log", "-c", "nginx.conf"]);
        command.env(
            "PATH",
            "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/bin:/opt/nginx/sbin",
        );
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    };
    let Ok(tested) = command().arg("-t").output() else {
        eprintln!("nginx is not installed; skipped");
        return None;
    };
    assert!(
        tested.status.success(),
        "{}",
        String::from_utf8_lossy(&tested.stderr)
    );
    let child = command().stderr(Stdio::null()).spawn().unwrap();
    let nginx = Nginx {
        address: format!("127.0.0.1:{port}"),
        directory,
        child,
    };
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(&nginx.address).is_err() {
        assert!(Instant::now() < deadline, "nginx did not start");
        std::thread::sleep(Duration::from_millis(5));
    }
    Some(nginx)
}

fn mirror(nginx: &Nginx) -> Running {
    let socket = nginx.directory.path().join("mirror.sock");
    start(&format!(
        "type = \"mirror\"\nsocket = {socket:?}\nsensor_keys = [\"{KEY}\"]\n"
    ))
}

/// One request on a kept-alive connection; how long it took.
fn get(client: &mut Client, path: &str, headers: &str) -> Duration {
    let begun = Instant::now();
    client.send(format!(
        "GET {path} HTTP/1.1\r\nHost: app.example\r\n{headers}\r\n"
    ));
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !answer.ends_with(b"\r\n\r\nok") {
        let count = client.0.read(&mut buffer).expect("the client was stalled");
        assert!(
            count > 0,
            "closed after {:?}",
            String::from_utf8_lossy(&answer)
        );
        answer.extend_from_slice(&buffer[..count]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    begun.elapsed()
}

fn run(nginx: &Nginx, state: &str, count: usize) {
    let mut client = Client::connect(&nginx.address);
    let mut times: Vec<_> = (0..count).map(|_| get(&mut client, "/page", "")).collect();
    times.sort_unstable();
    let slow = times
        .iter()
        .filter(|time| **time > Duration::from_millis(10))
        .count();
    eprintln!(
        "mirror {state}: {count} requests, p50 {:?}, p99 {:?}, max {:?}, {slow} above 10 ms",
        times[count / 2],
        times[count * 99 / 100],
        times[count - 1],
    );
}

#[test]
fn clients_notice_nothing_whether_the_source_runs_is_gone_or_hangs() {
    let Some(nginx) = nginx() else { return };
    run(&nginx, "never started", 500);
    std::thread::sleep(PAUSE);
    let mut source = mirror(&nginx);
    run(&nginx, "up", 2000);
    let counts = source.until(|counts| counts.decoded >= 2000);
    assert_eq!(counts.shed_queue_full + counts.rejected, 0);
    assert!(
        counts.connections <= 16,
        "connections are used again: {}",
        counts.connections
    );
    source.events(2000);
    source.stop();
    run(&nginx, "stopped", 1000);

    // Accepts and never answers, as a stopped process does.
    let hung = UnixListener::bind(nginx.directory.path().join("mirror.sock")).unwrap();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        while let Ok((stream, _)) = hung.accept() {
            held.push(stream);
        }
    });
    std::thread::sleep(PAUSE);
    run(&nginx, "hung", 1000);
}

/// The log's content; nginx writes it after its answer.
fn written_to(log: &Path) -> Vec<u8> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let content = std::fs::read(log).unwrap();
        if content.ends_with(b"\n") {
            return content;
        }
        assert!(Instant::now() < deadline, "nothing was logged");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn what_a_client_sends_reaches_the_source_as_values_only() {
    let Some(nginx) = nginx() else { return };
    let mut source = mirror(&nginx);
    let mut client = Client::connect(&nginx.address);
    let hostile = "X-Original-URI: /forged\r\nX-Real-IP: 203.0.113.9\r\nX-Original-Method: PUT\r\n\
                   X-Request-Id: forged\r\nUser-Agent: a&userName=victim\r\n";
    get(
        &mut client,
        "/page?x=1&userName=victim&eventType=account_login&y=2",
        hostile,
    );
    let event = source.events(1).remove(0);
    assert_eq!(event.get(Field::UrlPath), Some("/page"));
    assert_eq!(event.get(Field::HttpRequestMethod), Some("GET"));
    assert_eq!(event.get(Field::UserName), None);
    assert_eq!(
        event.get(Field::UserAgentOriginal),
        Some("a&userName=victim")
    );
    assert_eq!(event.peer_ip.unwrap().to_string(), "127.0.0.1");
    assert!(event.time > 0);

    // The line of the log joins the request by its identifier.
    let log = nginx.directory.path().join("access.log");
    let mut line = Event::new();
    let written = written_to(&log);
    let format = LogFormat::preset("json").unwrap();
    format.decode(written.trim_ascii_end(), &mut line).unwrap();
    assert_eq!(
        line.get(Field::HttpRequestId),
        event.get(Field::HttpRequestId)
    );
    assert_ne!(line.get(Field::HttpRequestId), Some("forged"));
    assert_eq!(line.status, 200);
    let pasted = LogFormat::compile(
        &LOG_FORMAT
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect::<Vec<_>>()
            .join("\n"),
    );
    pasted
        .unwrap()
        .decode(written.trim_ascii_end(), &mut Event::new())
        .unwrap();
}

#[test]
fn headers_at_nginx_own_limit_are_still_mirrored() {
    let Some(nginx) = nginx() else { return };
    let mut source = mirror(&nginx);
    let mut client = Client::connect(&nginx.address);
    let long: String = ["Cookie", "Referer", "User-Agent"]
        .iter()
        .map(|name| format!("{name}: {}\r\n", "x".repeat(8000)))
        .collect();
    get(&mut client, &format!("/page?{}", "y".repeat(8000)), &long);
    let many: String = (0..400).map(|at| format!("X-{at}: 1\r\n")).collect();
    get(&mut client, "/page", &many);
    source.events(2);
}

#[test]
fn the_tutorial_works_with_only_the_address_changed() {
    let Some(nginx) = nginx() else { return };
    let mut source = mirror(&nginx);
    let mut client = Client::connect(&nginx.address);
    get(&mut client, "/form/page?a=b", "User-Agent: Mozilla\r\n");
    let event = source.events(1).remove(0);
    assert_eq!(event.get(Field::UserAgentOriginal), Some("Mozilla"));
    assert_eq!(event.source_ip.unwrap().to_string(), "127.0.0.1");
    assert!(event.get(Field::HttpRequestId).is_some());
    assert_eq!(Arc::clone(&source.counters).snapshot().unauthenticated, 0);
}
