//! The mirror source against a bare hyper server, in one run.
//!
//! `cargo bench -p sidewatch-sources --bench mirror [-- seconds rounds]`
//!
//! Both servers run in this process, each on one thread, and get the same
//! requests, alternately, from `wrk -t1 -c32` (or 1 connection). The mirror's
//! figure includes everything: authentication, decoding, the queue and the
//! thread that takes events out of it. CPU time is this process's.

use std::convert::Infallible;
use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use sidewatch_codecs::{DecodeError, Decoder, PseudonymKey, RequestCodec, RequestSettings};
use sidewatch_event::Event;
use sidewatch_sources::{Codecs, Intake, SourceSettings, shutdown};
use tokio::net::TcpListener;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What nginx sends with the shipped snippet for a browser's request.
const HEADERS: [&str; 14] = [
    "Host: app.example.org",
    "X-Original-URI: /api/v4/users/me/teams?page=0&per_page=60",
    "X-Original-Method: GET",
    "X-Original-Protocol: HTTP/2.0",
    "X-Original-Time: 1763672044.123",
    "X-Real-IP: 192.0.2.77",
    "X-Forwarded-For: 192.0.2.77",
    "X-Forwarded-Proto: https",
    "X-Request-Id: 7b1f0e2f4bd94f2a8ffb3b6d64f7b9a1",
    "X-Sidewatch-Token: 0123456789abcdef0123456789abcdef",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Accept-Language: de,en-US;q=0.7,en;q=0.3",
    "Referer: https://app.example.org/",
    "Cookie: theme=dark; SESSION=3e0c3a1de2f44dd8a9b4; csrf=8c1d9f",
];

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let mut out = std::io::stdout();
    if Command::new("wrk").arg("-v").output().is_err() {
        writeln!(out, "wrk is not installed; nothing measured")?;
        return Ok(());
    }
    let mut numbers = arguments
        .iter()
        .filter_map(|argument| argument.parse::<u32>().ok());
    let (seconds, rounds) = (numbers.next().unwrap_or(5), numbers.next().unwrap_or(3));
    let bare = serve_bare()?;
    let mirror = serve_mirror()?;
    for connections in [32, 1] {
        let mut ratios = Vec::new();
        for round in 1..=rounds {
            let bare = measure(bare, connections, seconds)?;
            let mirror = measure(mirror, connections, seconds)?;
            let ratio = mirror.cpu_us / bare.cpu_us;
            ratios.push(ratio);
            writeln!(
                out,
                "c={connections} round {round}: bare {:.0} req/s {:.2} us CPU/req | \
                 mirror {:.0} req/s {:.2} us CPU/req | ratio {ratio:.2}",
                bare.rate, bare.cpu_us, mirror.rate, mirror.cpu_us
            )?;
        }
        ratios.sort_by(f64::total_cmp);
        let median = ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN);
        writeln!(out, "c={connections} median ratio {median:.2}")?;
    }
    Ok(())
}

struct Measured {
    rate: f64,
    cpu_us: f64,
}

fn measure(address: SocketAddr, connections: u32, seconds: u32) -> Result<Measured> {
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}")]);
    for header in HEADERS {
        wrk.args(["-H", header]);
    }
    let before = cpu_ticks()?;
    let output = wrk.arg(format!("http://{address}/mirror")).output()?;
    let ticks = cpu_ticks()? - before;
    let text = String::from_utf8(output.stdout)?;
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(text.into());
    }
    let figure = |after: &str| -> Result<f64> {
        let line = text
            .lines()
            .find(|line| line.contains(after))
            .ok_or("no figure in wrk's output")?;
        let word = line
            .split_whitespace()
            .find(|word| word.parse::<f64>().is_ok());
        Ok(word.ok_or("no figure in wrk's output")?.parse()?)
    };
    let requests = figure("requests in")?;
    let rate_line = text
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"));
    let rate = rate_line.ok_or("no rate in wrk's output")?.trim().parse()?;
    // A tick is 10 ms on every Linux we know.
    Ok(Measured {
        rate,
        cpu_us: ticks * 10_000.0 / requests,
    })
}

/// CPU time of this process (user and system), in clock ticks: proc(5).
fn cpu_ticks() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').ok_or("unexpected /proc/self/stat")?.1;
    let times = fields.split_whitespace().skip(11).take(2);
    Ok(times.filter_map(|field| field.parse::<f64>().ok()).sum())
}

fn on_one_thread<F>(future: impl FnOnce() -> F + Send + 'static) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::spawn(move || {
        if let Err(error) = runtime.block_on(future()) {
            tracing::error!(%error, "server ended");
        }
    });
    Ok(())
}

fn serve_bare() -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    on_one_thread(move || async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let service = service_fn(|_| async {
                    let mut response = Response::new(Empty::<Bytes>::new());
                    *response.status_mut() = StatusCode::NO_CONTENT;
                    Ok::<_, Infallible>(response)
                });
                let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                if let Err(error) = served.await {
                    tracing::debug!(%error, "connection ended");
                }
            });
        }
    })?;
    Ok(address)
}

struct Unused;

impl Decoder for Unused {
    fn decode(&self, _: &[u8], _: &mut Event) -> std::result::Result<(), DecodeError> {
        Ok(())
    }
}

fn serve_mirror() -> Result<SocketAddr> {
    let text = format!("type = \"mirror\"\nlisten = \"127.0.0.1:0\"\ntokens = [\"{TOKEN}\"]\n");
    let settings: SourceSettings = toml::from_str(&text)?;
    let request: RequestSettings = toml::from_str("session = [\"cookie:SESSION\"]")?;
    let codec = Arc::new(RequestCodec::new(&request, PseudonymKey::new([7; 32]))?);
    let source = settings.bind("bench", &Codecs::new(Arc::new(Unused), codec))?;
    let address = source.addresses().first().ok_or("no address")?.parse()?;
    let (intake, mut receiver) = Intake::channel("bench".into(), 65_536);
    std::thread::spawn(move || {
        let mut events = Vec::new();
        while receiver.receive(&mut events, 4096) > 0 {
            events.clear();
        }
    });
    on_one_thread(move || async move {
        let (_trigger, shutdown) = shutdown::channel();
        Ok(source.run(intake, shutdown).await?)
    })?;
    Ok(address)
}
