//! The folding thread: one writer for all state.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sidewatch_enrich::Enricher;
use sidewatch_event::{Delivery, Event};
use sidewatch_sinks::{Filter, QueueSender};
use sidewatch_sources::{Acknowledger, IntakeReceiver};
use sidewatch_store::{Closed, Parked};

use super::Processor;
use super::durable::Durable;
use super::gathering::Gathering;
use super::join::Join;
use super::status::Status;
use super::taps::Taps;
use crate::config::JoinSettings;
use crate::lifecycle::Shared;

/// Events taken at a time. Several frames, so that a backlog is worked off
/// with full frames; a single event is not kept waiting.
const BATCH: usize = 512;
/// How often waiting halves are looked at when nothing arrives.
const JOIN_TICK: Duration = Duration::from_millis(50);
/// How long a change to the rules may wait when nothing arrives at all.
const IDLE_TICK: Duration = Duration::from_millis(100);

/// A sink's filter and queue.
pub(super) struct Outlet {
    pub(super) filter: Filter,
    pub(super) sender: QueueSender,
}

/// Everything the folding thread owns.
pub(super) struct Folder {
    processor: Processor,
    join: Option<(Join, Vec<Arc<str>>)>,
    /// Sinks of this process, fed from memory.
    outlets: Vec<Outlet>,
    /// Where everything else goes, when it is to outlive the process.
    durable: Option<Durable>,
    status: Arc<Status>,
    /// Changes to the rules, and traffic to try new ones on.
    shared: Shared,
    /// Whoever looks at live records.
    taps: Arc<Taps>,
    /// Events whose batch was handed in.
    handed_in: u64,
}

impl Folder {
    pub(super) fn new(
        processor: Processor,
        join: Option<(&JoinSettings, Vec<Arc<str>>)>,
        outlets: Vec<Outlet>,
        status: Arc<Status>,
    ) -> Self {
        let join = join.map(|(settings, mirrors)| (Join::new(settings), mirrors));
        Self {
            processor,
            join,
            outlets,
            durable: None,
            taps: Arc::clone(&status.taps),
            status,
            shared: Shared::default(),
            handed_in: 0,
        }
    }

    /// Makes changes that are asked for there, from now on.
    pub(super) fn follow(&mut self, shared: Shared) {
        self.shared = shared;
    }

    /// Commits to a store from now on.
    pub(super) fn keep_in(&mut self, durable: Durable) {
        if let Some((join, _)) = &mut self.join {
            join.keep_news();
        }
        self.durable = Some(durable);
    }

    pub(super) fn processor_mut(&mut self) -> &mut Processor {
        &mut self.processor
    }

    /// Takes up halves of requests of an earlier run. Those nobody joins now
    /// go on with the first batch.
    pub(super) fn take_up(&mut self, parked: Vec<Parked>) {
        let mut alone = Vec::new();
        let now = Instant::now();
        count(&self.status.pipeline.received, parked.len());
        count(&self.status.pipeline.recovered, parked.len());
        for Parked { event, mirrored } in parked {
            let left = match &mut self.join {
                Some((join, _)) => join.restore(event, mirrored, now),
                None => Some(event),
            };
            alone.extend(left);
        }
        if let Some(durable) = &mut self.durable {
            let left = alone.iter().map(|event| event.id);
            durable.batch.unparked.extend(left);
        }
        self.forward(&mut alone);
    }

    /// An enricher that shares the databases, to look for replaced files.
    pub(super) fn reloader(&self) -> Enricher {
        self.processor.enricher.clone_for_worker()
    }

    /// Folds until every source has ended.
    pub(super) fn run(mut self, mut receiver: IntakeReceiver) {
        self.status.alive.store(true, Ordering::Release);
        let acknowledger = receiver.acknowledger();
        let mut arrived = Vec::with_capacity(BATCH);
        let mut ready = Vec::with_capacity(BATCH);
        let mut gathering = Gathering::new(BATCH, Instant::now());
        loop {
            let waiting = self.join.as_ref().is_some_and(|(join, _)| join.len() > 0);
            let tick = if waiting { JOIN_TICK } else { IDLE_TICK };
            let taken = receiver.receive_timeout(&mut arrived, BATCH, tick);
            count(&self.status.pipeline.received, taken);
            let next = gathering.next(taken, Instant::now());
            if let Some(durable) = &mut self.durable {
                durable.note_origins(&arrived);
            }
            self.join(&mut arrived, &mut ready);
            let ended = taken == 0 && receiver.is_ended();
            if ended && let Some((join, _)) = &mut self.join {
                join.drain(&mut ready);
            }
            self.shared
                .exchange
                .between_frames(&mut self.processor.rules);
            self.forward(&mut ready);
            let kept = self.hand_in(&acknowledger, receiver.taken(), ended);
            if kept.is_err() {
                tracing::error!("the store has ended; what was not committed is not acknowledged");
            }
            if ended || kept.is_err() {
                break;
            }
            if let Some(next) = next {
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        }
        self.status.alive.store(false, Ordering::Release);
    }

    /// Commits what was folded; the sources hear of it when it is in safety.
    fn hand_in(
        &mut self,
        acknowledger: &Acknowledger,
        taken: u64,
        last: bool,
    ) -> Result<(), Closed> {
        let Some(durable) = &mut self.durable else {
            acknowledger.acknowledge(taken);
            return Ok(());
        };
        if let Some((join, _)) = &mut self.join {
            let batch = &mut *durable.batch;
            let mut left = std::mem::take(&mut batch.unparked);
            join.tell(|half, mirrored| batch.park(half, mirrored), &mut left);
            batch.unparked = left;
        }
        durable.note_states(&mut self.processor.rules);
        durable.note_names(&mut self.processor.aliases);
        if durable.batch.is_empty() && taken == self.handed_in && !last {
            return Ok(());
        }
        self.handed_in = taken;
        durable.batch.last = last;
        durable.commit(taken)
    }

    fn join(&mut self, arrived: &mut Vec<Box<Event>>, ready: &mut Vec<Box<Event>>) {
        let Some((join, mirrors)) = &mut self.join else {
            ready.append(arrived);
            return;
        };
        let now = Instant::now();
        for event in arrived.drain(..) {
            let mirrored = event
                .source
                .as_ref()
                .is_some_and(|source| mirrors.contains(source));
            join.feed(event, mirrored, now, ready);
        }
        join.expire(now, ready);
        let counters = &self.status.pipeline;
        counters.joined.store(join.joined, Ordering::Release);
        counters.joined_late.store(join.late, Ordering::Release);
        counters.waiting.store(join.len() as u64, Ordering::Release);
    }

    fn forward(&mut self, ready: &mut Vec<Box<Event>>) {
        if ready.is_empty() {
            return;
        }
        self.processor.evaluate(ready);
        let counters = &self.status.pipeline;
        let events: Vec<Arc<Event>> = ready.drain(..).map(Arc::from).collect();
        self.shared.recent.note(&events);
        let findings = self.processor.take_findings(|at| events.get(at).cloned());
        let suppressed = events.iter().filter(|event| event.suppressed).count();
        count(&counters.suppressed, suppressed);
        count(&counters.forwarded, events.len() - suppressed);
        count(&counters.findings, findings.len());
        let hidden = u64::from(self.processor.clients.is_hidden());
        counters.clients_hidden.store(hidden, Ordering::Release);
        counters
            .findings_withheld
            .store(self.processor.withheld, Ordering::Release);
        // Findings first: they are what somebody waits for.
        let deliveries: Vec<Delivery> = findings
            .into_iter()
            .map(Delivery::Finding)
            .chain(
                events
                    .into_iter()
                    .filter(|event| !event.suppressed)
                    .map(Delivery::Event),
            )
            .collect();
        if let Some(durable) = &mut self.durable {
            durable.address(&deliveries);
        }
        self.taps.offer(&deliveries);
        for Outlet { filter, sender } in &self.outlets {
            let admitted = deliveries.iter().filter(|delivery| filter.admits(delivery));
            let mut offered = 0;
            sender.offer_all(admitted.inspect(|_| offered += 1).cloned());
            sender
                .counters()
                .add_filtered((deliveries.len() - offered) as u64);
        }
    }
}

fn count(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(amount as u64, Ordering::Release);
}
