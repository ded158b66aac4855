//! Limits of one rule call, and the clock that enforces the deadline.
//!
//! Deadlines are wasmtime epochs: a thread advances a counter every
//! millisecond while rules run, and a guest that is still running when its
//! deadline's epoch comes is interrupted. The thread sleeps without waking
//! while nothing runs, so an idle sidecar costs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Deserialize;
use wasmtime::{Engine, StoreLimits, StoreLimitsBuilder};

/// Length of one epoch.
pub const TICK: Duration = Duration::from_millis(1);

/// What one rule may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleLimits {
    /// Milliseconds one frame may take.
    pub frame_milliseconds: u64,
    /// Bytes of linear memory an instance may have.
    pub memory_bytes: usize,
    /// Bytes of changed states and findings one frame may return.
    pub output_bytes: usize,
    /// Findings one frame may return.
    pub findings_per_frame: usize,
    /// Bytes all states of the rule may take together.
    pub state_bytes: usize,
}

impl Default for RuleLimits {
    fn default() -> Self {
        Self {
            frame_milliseconds: 10,
            memory_bytes: 16 << 20,
            output_bytes: 1 << 20,
            findings_per_frame: 256,
            state_bytes: 64 << 20,
        }
    }
}

impl RuleLimits {
    pub(crate) fn epochs(&self) -> u64 {
        // The running epoch is already partly over, hence one more.
        self.frame_milliseconds.max(1).saturating_add(1)
    }

    pub(crate) fn store_limits(&self) -> StoreLimits {
        StoreLimitsBuilder::new()
            .memory_size(self.memory_bytes)
            .table_elements(10_000)
            .instances(8)
            .tables(8)
            .memories(2)
            .trap_on_grow_failure(true)
            .build()
    }
}

#[derive(Debug, Default)]
struct Shared {
    /// Counts the calls begun; the thread goes to sleep when it stands still.
    calls: AtomicU64,
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

    /// Announces a call: from now on epochs advance.
    pub(crate) fn announce_call(&self) {
        self.shared.calls.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst)
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
    }
}

fn run(engine: &Engine, shared: &Shared) {
    /// Ticks without a call after which the thread stops ticking. Longer than
    /// any sensible frame deadline, so that a running call is always covered.
    const PATIENCE: u32 = 2_000;
    let mut idle = 0;
    let mut seen = shared.calls.load(Ordering::SeqCst);
    while !shared.stopped.load(Ordering::SeqCst) {
        std::thread::sleep(TICK);
        engine.increment_epoch();
        let calls = shared.calls.load(Ordering::SeqCst);
        idle = if calls == seen { idle + 1 } else { 0 };
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
