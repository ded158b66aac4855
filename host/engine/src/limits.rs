//! Limits of one rule call, and the clock that enforces the deadline.
//!
//! Deadlines are wasmtime epochs: a thread advances a counter every
//! millisecond while rules run, and a guest that is still running when its
//! deadline's epoch comes is looked at: if its thread has had the time in full,
//! it is interrupted; if the machine was busy with something else, it may go on
//! for what is left. So an honest rule is not blamed for a starved host. The
//! clock sleeps without waking while nothing runs, so an idle sidecar costs
//! nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use cpu_time::ThreadTime;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use wasmtime::{Engine, Store, StoreLimits, StoreLimitsBuilder, UpdateDeadline};

use crate::failure_rate::FailurePolicy;

/// Length of one epoch.
pub const TICK: Duration = Duration::from_millis(1);

/// What one rule may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleLimits {
    /// Milliseconds of processor time one frame may take.
    #[serde(deserialize_with = "within::<1, 60_000, _, _>")]
    pub frame_milliseconds: u64,
    /// Bytes of linear memory an instance may have.
    #[serde(deserialize_with = "within::<65_536, 1_073_741_824, _, _>")]
    pub memory_bytes: usize,
    /// Bytes of changed states and findings one frame may return.
    #[serde(deserialize_with = "within::<1_024, 67_108_864, _, _>")]
    pub output_bytes: usize,
    /// Findings one frame may return.
    #[serde(deserialize_with = "within::<1, 100_000, _, _>")]
    pub findings_per_frame: usize,
    /// Bytes all states of the rule may take together.
    #[serde(deserialize_with = "within::<65_536, 68_719_476_736, _, _>")]
    pub state_bytes: usize,
    /// Microseconds of processor time an event may take on the average; what
    /// goes beyond suspends the rule as failures do.
    #[serde(deserialize_with = "within::<1, 1_000_000, _, _>")]
    pub event_microseconds: u64,
    /// How often it may fail.
    pub failures: FailurePolicy,
}

/// A number no rule could work with, or that is no limit, is a mistake.
fn within<'de, const LEAST: u64, const MOST: u64, N, D>(deserializer: D) -> Result<N, D::Error>
where
    N: TryFrom<u64>,
    D: Deserializer<'de>,
{
    let number = u64::deserialize(deserializer)?;
    let wrong = || D::Error::custom(format_args!("{number} is not between {LEAST} and {MOST}"));
    if !(LEAST..=MOST).contains(&number) {
        return Err(wrong());
    }
    N::try_from(number).map_err(|_| wrong())
}

impl Default for RuleLimits {
    fn default() -> Self {
        Self {
            frame_milliseconds: 10,
            memory_bytes: 16 << 20,
            output_bytes: 1 << 20,
            findings_per_frame: 256,
            state_bytes: 64 << 20,
            event_microseconds: 10,
            failures: FailurePolicy::default(),
        }
    }
}

/// What a store carries: its limits and what the running call may use.
#[derive(Debug)]
pub(crate) struct Guard {
    limits: StoreLimits,
    /// Processor time of the thread at which the call has had its share.
    until: Duration,
}

/// Processor time this thread has used; none where the system cannot tell, and
/// then the wall clock alone counts.
pub(crate) fn thread_time() -> Option<Duration> {
    Some(ThreadTime::try_now().ok()?.as_duration())
}

fn ticks(time: Duration) -> u64 {
    /// Far beyond any deadline, far below what could overflow an epoch.
    const MOST: u64 = 1 << 40;
    // The running epoch is already partly over, hence one more.
    u64::try_from(time.as_millis()).map_or(MOST, |ticks| ticks.min(MOST)) + 1
}

impl RuleLimits {
    /// Time one frame may take.
    pub(crate) fn frame(&self) -> Duration {
        Duration::from_millis(self.frame_milliseconds.max(1))
    }

    /// A store with these limits in force.
    pub(crate) fn store(&self, engine: &Engine) -> Store<Guard> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(self.memory_bytes)
            .table_elements(10_000)
            // A component of several modules, such as an interpreter with the
            // libraries it brings, is an instance and a table for each.
            .instances(64)
            .tables(64)
            .memories(1)
            .trap_on_grow_failure(true)
            .build();
        let mut store = Store::new(
            engine,
            Guard {
                limits,
                until: Duration::ZERO,
            },
        );
        store.limiter(|guard| &mut guard.limits);
        // Where instructions are counted; it is an error elsewhere.
        drop(store.set_fuel(u64::MAX));
        // What an answer may make this side allocate before it is looked at;
        // records are larger here than in the guest.
        store.set_hostcall_fuel(self.output_bytes.saturating_mul(8).saturating_add(1 << 20));
        store.epoch_deadline_callback(|context| {
            let until = context.data().until;
            Ok(match thread_time().and_then(|now| until.checked_sub(now)) {
                Some(left) if !left.is_zero() => UpdateDeadline::Continue(ticks(left)),
                _ => UpdateDeadline::Interrupt,
            })
        });
        store
    }
}

#[derive(Debug, Default)]
struct Shared {
    /// Counts the calls begun; the thread goes to sleep when it stands still.
    calls: AtomicU64,
    /// Calls that have not ended.
    running: AtomicU64,
    asleep: AtomicBool,
    stopped: AtomicBool,
}

/// Advances the engine's epoch while rules run; stops when dropped.
#[derive(Debug)]
pub(crate) struct EpochClock {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl EpochClock {
    pub(crate) fn start(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("epoch-clock".to_owned())
            .spawn(move || run(&engine, &for_thread))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Begins a call that may take `time`: epochs advance from now on, until
    /// what is returned is dropped.
    #[must_use]
    pub(crate) fn begin_call(&self, store: &mut Store<Guard>, time: Duration) -> Running<'_> {
        store.data_mut().until = thread_time().unwrap_or_default().saturating_add(time);
        store.set_epoch_deadline(ticks(time));
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        self.shared.calls.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst)
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
        Running(&self.shared)
    }
}

/// A call that has not ended; the clock ticks while there is one.
pub(crate) struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

fn run(engine: &Engine, shared: &Shared) {
    /// Ticks without a call after which the thread stops ticking.
    const PATIENCE: u32 = 2_000;
    let mut idle = 0;
    let mut seen = shared.calls.load(Ordering::SeqCst);
    while !shared.stopped.load(Ordering::SeqCst) {
        std::thread::sleep(TICK);
        engine.increment_epoch();
        let calls = shared.calls.load(Ordering::SeqCst);
        let quiet = calls == seen && shared.running.load(Ordering::SeqCst) == 0;
        idle = if quiet { idle + 1 } else { 0 };
        seen = calls;
        if idle > PATIENCE {
            shared.asleep.store(true, Ordering::SeqCst);
            // A call announced since the last look must not be missed.
            while shared.calls.load(Ordering::SeqCst) == seen
                && !shared.stopped.load(Ordering::SeqCst)
            {
                std::thread::park();
            }
            shared.asleep.store(false, Ordering::SeqCst);
            idle = 0;
        }
    }
}

impl Drop for EpochClock {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_are_none_are_refused_with_what_would_do() {
        let read = |text: &str| {
            serde_json::from_str::<RuleLimits>(text).map_err(|error| error.to_string())
        };
        for (text, told) in [
            (
                r#"{"frame_milliseconds": 0}"#,
                "0 is not between 1 and 60000",
            ),
            (
                r#"{"event_microseconds": 9999999}"#,
                "between 1 and 1000000",
            ),
            (r#"{"state_bytes": 1}"#, "1 is not between 65536 and"),
        ] {
            assert!(read(text).unwrap_err().contains(told), "{text}");
        }
        let read = read(r#"{"frame_milliseconds": 20, "state_bytes": 65536}"#).unwrap();
        assert_eq!((read.frame_milliseconds, read.state_bytes), (20, 65_536));
    }
}
