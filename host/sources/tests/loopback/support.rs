//! Runs a source and shows what comes out of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sidewatch_codecs::{DecodeError, Decoder, PseudonymKey, RequestCodec, RequestSettings};
use sidewatch_event::{Event, Field};
use sidewatch_sources::{
    Codecs, Intake, IntakeReceiver, ShutdownTrigger, SourceCounters, SourceCounts, SourceError,
    SourceSettings, shutdown,
};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// Longer than anything here takes; reached only when a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps a record as the event's message; refuses those that begin with `!`.
pub(crate) struct Keep;

impl Decoder for Keep {
    fn decode(&self, record: &[u8], event: &mut Event) -> Result<(), DecodeError> {
        if record.starts_with(b"!") {
            return Err(DecodeError::Missing { field: "anything" });
        }
        event.set(Field::Message, &String::from_utf8_lossy(record));
        Ok(())
    }
}

pub(crate) fn codecs(decoder: impl Decoder + 'static) -> Codecs {
    let requests =
        RequestCodec::new(&RequestSettings::default(), PseudonymKey::new([7; 32])).unwrap();
    Codecs::new(Arc::new(decoder), Arc::new(requests))
}

pub(crate) fn settings(text: &str) -> SourceSettings {
    toml::from_str(text).unwrap()
}

/// A source that runs.
pub(crate) struct Running {
    pub addresses: Vec<String>,
    pub counters: Arc<SourceCounters>,
    receiver: IntakeReceiver,
    trigger: ShutdownTrigger,
    task: JoinHandle<Result<(), SourceError>>,
    runtime: Runtime,
}

pub(crate) fn start(text: &str) -> Running {
    start_with(text, &codecs(Keep), 10_000)
}

pub(crate) fn start_with(text: &str, codecs: &Codecs, capacity: usize) -> Running {
    let source = settings(text).bind("test", codecs).unwrap();
    let addresses = source.addresses();
    let (intake, receiver) = Intake::channel("test".into(), capacity);
    let counters = Arc::clone(intake.counters());
    let (trigger, shutdown) = shutdown::channel();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    // Whoever waits for safety is told at once, unless a test takes it back.
    receiver.acknowledger().acknowledge(u64::MAX);
    let task = runtime.spawn(source.run(intake, shutdown));
    Running {
        addresses,
        counters,
        receiver,
        trigger,
        task,
        runtime,
    }
}

impl Running {
    /// Says that the first `count` events, and no others, are in safety.
    pub(crate) fn acknowledge(&self, count: u64) {
        self.receiver.acknowledger().acknowledge(count);
    }

    /// The next `count` events.
    pub(crate) fn events(&mut self, count: usize) -> Vec<Box<Event>> {
        let mut events = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while events.len() < count && Instant::now() < deadline {
            let missing = count - events.len();
            self.receiver
                .receive_timeout(&mut events, missing, Duration::from_millis(100));
        }
        assert_eq!(
            events.len(),
            count,
            "events that came; {:?}",
            self.counters.snapshot()
        );
        events
    }

    /// What comes within a time; nothing when nothing does.
    pub(crate) fn try_events(&mut self, patience: Duration) -> Vec<Box<Event>> {
        let mut events = Vec::new();
        self.receiver.receive_timeout(&mut events, 10_000, patience);
        events
    }

    /// The messages of the next `count` events.
    pub(crate) fn messages(&mut self, count: usize) -> Vec<String> {
        messages(&self.events(count))
    }

    /// Waits until the counters satisfy a condition.
    pub(crate) fn until(&self, mut condition: impl FnMut(&SourceCounts) -> bool) -> SourceCounts {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let counts = self.counters.snapshot();
            if condition(&counts) {
                return counts;
            }
            assert!(Instant::now() < deadline, "never came true; {counts:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for the source's own end.
    pub(crate) fn ended(&mut self) -> Vec<Box<Event>> {
        let mut events = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while !self.receiver.is_ended() && Instant::now() < deadline {
            self.receiver
                .receive_timeout(&mut events, 1000, Duration::from_millis(20));
        }
        assert!(self.receiver.is_ended(), "the source did not end");
        events
    }

    /// Shuts down and gives what was still to come.
    pub(crate) fn stop(mut self) -> (Vec<Box<Event>>, SourceCounts) {
        self.trigger.trigger();
        let events = self.ended();
        let Self { task, runtime, .. } = self;
        runtime.block_on(task).unwrap().unwrap();
        (events, self.counters.snapshot())
    }
}

pub(crate) fn messages(events: &[Box<Event>]) -> Vec<String> {
    events
        .iter()
        .map(|event| event.get(Field::Message).unwrap_or_default().to_owned())
        .collect()
}

/// A raw HTTP client.
pub(crate) struct Client(pub TcpStream);

impl Client {
    pub(crate) fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        // The peer may have closed already; the answer tells.
        drop(self.0.write_all(bytes.as_ref()));
        self
    }

    /// One answer's head; empty when the connection was closed instead.
    pub(crate) fn answer(&mut self) -> String {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match self.0.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => break,
            }
        }
        String::from_utf8(head).unwrap()
    }

    /// The status code of one answer; 0 when the connection was closed.
    pub(crate) fn status(&mut self) -> u16 {
        self.answer()
            .get(9..12)
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(0)
    }

    pub(crate) fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0))
            || self.0.take_error().is_ok_and(|error| error.is_some())
    }
}
