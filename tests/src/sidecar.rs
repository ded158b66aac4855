//! A running sidecar.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use nix::sys::signal::Signal;

use crate::command::{command, wrapped};
use crate::http::{Answer, get};
use crate::metrics::Metrics;
use crate::process::Process;
use crate::until;

/// A configuration being put together; everything lies in one directory.
#[derive(Debug)]
pub struct Builder {
    directory: PathBuf,
    top: String,
    text: String,
    wrapper: Vec<String>,
}

impl Builder {
    /// Adds a `[[sources]]` entry.
    #[must_use]
    pub fn source(self, id: &str, entry: &str) -> Self {
        self.section(&format!("[[sources]]\nid = \"{id}\"\n{entry}"))
    }

    /// Adds a `[[sinks]]` entry.
    #[must_use]
    pub fn sink(self, id: &str, entry: &str) -> Self {
        self.section(&format!("[[sinks]]\nid = \"{id}\"\n{entry}"))
    }

    /// Adds a file sink `id` that writes JSON to `<id>.json` in the directory.
    #[must_use]
    pub fn json_file(self, id: &str) -> Self {
        let path = self.directory.join(format!("{id}.json"));
        self.sink(id, &format!("type = \"file\"\npath = {path:?}"))
    }

    /// Starts it through another program, which must become or watch it.
    #[must_use]
    pub fn wrapped_in(mut self, wrapper: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.wrapper = wrapper.into_iter().map(Into::into).collect();
        self
    }

    /// Adds keys at the top of the file.
    #[must_use]
    pub fn top(mut self, text: &str) -> Self {
        self.top.push_str(text);
        self.top.push('\n');
        self
    }

    /// Adds any section.
    #[must_use]
    pub fn section(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self.text.push('\n');
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// It does not get ready; shows what it said.
    pub fn start(&self) -> Sidecar {
        let sidecar = self.launch();
        until("readiness", || {
            (sidecar.get("/readyz").status == 200).then_some(())
        });
        sidecar
    }

    /// As [`Builder::start`] on a disk so small that it may be full before
    /// anybody looks: then it runs and says so.
    ///
    /// # Panics
    /// It does neither.
    pub fn start_on_small_disk(&self) -> Sidecar {
        let sidecar = self.launch();
        until("readiness or a full disk", || {
            let ready = sidecar.get("/readyz");
            let full = ready.body.starts_with("not ready: the store");
            (ready.status == 200 || full).then_some(())
        });
        sidecar
    }

    /// Starts it and waits until it answers, ready or not.
    ///
    /// # Panics
    /// It does not; shows what it said.
    pub fn launch(&self) -> Sidecar {
        let Self {
            directory,
            top,
            text,
            wrapper,
        } = self;
        let config = directory.join("sidewatch.toml");
        let data = directory.join("data");
        let text =
            format!("data_directory = {data:?}\n{top}[admin]\nlisten = \"127.0.0.1:0\"\n{text}");
        std::fs::write(&config, text).unwrap();
        let log = directory.join("sidewatch.log");
        let stderr = File::create(&log).unwrap();
        let mut command = wrapped(command(directory), wrapper);
        command
            .arg("run")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(stderr);
        let process = Process::start("sidewatch", &mut command);
        let mut sidecar = Sidecar {
            process,
            directory: directory.clone(),
            log,
            admin: None,
        };
        sidecar.wait_until_it_answers();
        sidecar
    }
}

/// A running sidecar; killed when dropped.
#[derive(Debug)]
pub struct Sidecar {
    process: Process,
    directory: PathBuf,
    log: PathBuf,
    admin: Option<SocketAddr>,
}

impl Sidecar {
    /// A sidecar that keeps everything in this directory.
    pub fn in_directory(directory: &Path) -> Builder {
        Builder {
            directory: directory.to_owned(),
            top: String::new(),
            text: String::new(),
            wrapper: Vec::new(),
        }
    }

    fn wait_until_it_answers(&mut self) {
        let Self {
            process,
            log,
            admin,
            ..
        } = self;
        let address = until("the sidecar's start", || {
            let said = std::fs::read_to_string(&*log).unwrap();
            if let Some(status) = process.ended() {
                panic!("the sidecar ended with {status}:\n{said}");
            }
            let line = said
                .lines()
                .find_map(|line| line.strip_prefix("admin      http://"))?;
            line.split('/').next()?.parse().ok()
        });
        *admin = Some(address);
    }

    /// What it wrote to standard error so far.
    ///
    /// # Panics
    /// The log is gone.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// The first address of a source.
    ///
    /// # Panics
    /// There is no such source, or it has no address.
    pub fn address(&self, source: &str) -> SocketAddr {
        let log = self.log();
        let start = format!("source     {source}: ");
        let line = log
            .lines()
            .find_map(|line| line.strip_prefix(&start))
            .unwrap();
        let first = line.split(", ").next().unwrap_or(line);
        let address = first
            .rsplit('/')
            .next()
            .unwrap_or(first)
            .trim_start_matches("udp:")
            .trim_start_matches("tcp:");
        address
            .parse()
            .unwrap_or_else(|error| panic!("{first}: {error}"))
    }

    /// Asks the admin address.
    ///
    /// # Panics
    /// Nobody answers.
    pub fn get(&self, path: &str) -> Answer {
        get(self.admin.unwrap(), path)
    }

    /// The metrics at this moment.
    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.get("/metrics").body)
    }

    /// Waits until nothing waits and every event is accounted for, and gives
    /// the metrics then.
    ///
    /// # Panics
    /// An event is missing or counted twice; says where.
    pub fn settled(&self) -> Metrics {
        let mut wrong = None;
        let begun = std::time::Instant::now();
        while begun.elapsed() < crate::wait::PATIENCE {
            let metrics = self.metrics();
            wrong = metrics.imbalance();
            if wrong.is_none() && metrics.get("pipeline_waiting_events", &[]) == 0 {
                return metrics;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!(
            "not every event is accounted for: {wrong:?}\n{}",
            self.log()
        );
    }

    /// Waits until a sink has everything, as long as it gets on: a backlog may
    /// take its time.
    ///
    /// # Panics
    /// It stands still.
    pub fn drained(&self, sink: &str) {
        let mut least = u64::MAX;
        let mut since = std::time::Instant::now();
        while least > 0 {
            let metrics = self.metrics();
            let waiting = metrics.get("sink_waiting_records", &[("sink", sink)]);
            if waiting < least {
                (least, since) = (waiting, std::time::Instant::now());
            }
            assert!(
                since.elapsed() < crate::wait::PATIENCE,
                "sink {sink} stands still at {waiting}\n{}",
                self.log()
            );
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    /// Waits until the metrics are as wanted.
    ///
    /// # Panics
    /// They do not become so in time.
    pub fn until(&self, what: &str, wanted: impl Fn(&Metrics) -> bool) -> Metrics {
        until(what, || Some(self.metrics()).filter(&wanted))
    }

    /// The records of a file sink made with [`Builder::json_file`].
    pub fn lines(&self, sink: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.directory.join(format!("{sink}.json")))
            .unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Bytes of memory it holds at present.
    pub fn resident_bytes(&self) -> u64 {
        self.process.resident_bytes()
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// What became of the records of a source so far, for people.
    pub fn shares(&self, source: &str) -> String {
        let metrics = self.metrics();
        format!(
            "{} received, {} shed, {} forwarded",
            metrics.source(source, "received"),
            metrics.source(source, "shed_queue_full"),
            metrics.events("forwarded")
        )
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(self) -> ExitStatus {
        self.end(Signal::SIGTERM)
    }

    /// As if somebody pressed Ctrl-C; waits for its end.
    pub fn interrupt(self) -> ExitStatus {
        self.end(Signal::SIGINT)
    }

    fn end(mut self, signal: Signal) -> ExitStatus {
        self.process.signal(signal);
        self.process.wait()
    }
}
