//! The bounded queue between sources and the pipeline.
//!
//! Many senders, one receiving thread. Room is measured in units of
//! [`UNIT`] bytes, so that hostile giant events cannot take more memory than
//! the configured number of ordinary ones. Senders that can wait get a part of
//! the room only: a long log that is read for hours must not make a mirror shed
//! nor whoever waits for an answer wait behind all of it. Waiting senders are
//! served in order. The receiver takes all there is under one lock.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sidewatch_event::Event;
use tokio::sync::{Semaphore, TryAcquireError, watch};

/// Senders that can wait get one part in so many of the room.
const PATIENT_PART: usize = 16;

/// Bytes an ordinary event takes; larger ones take several units of room.
const UNIT: usize = 2 * 1024;

#[derive(Debug)]
pub(super) struct Queue {
    room: Semaphore,
    capacity: u32,
    /// What senders that can wait may take of it.
    patient_room: Semaphore,
    patient_capacity: u32,
    inner: Mutex<Inner>,
    arrived: Condvar,
    /// How many events, counted from the first, are in safety.
    safe: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Events ever put in, and ever taken out.
    pushed: u64,
    taken: u64,
    events: VecDeque<Queued>,
    receiver_waits: bool,
    senders_gone: bool,
}

#[derive(Debug)]
struct Queued {
    event: Box<Event>,
    /// The room it takes.
    units: u32,
    /// The room it takes of that for senders that can wait.
    patient_units: u32,
}

impl Inner {
    /// Gives the event's number, counted from 1.
    fn push(&mut self, event: Box<Event>, units: u32, patient_units: u32) -> u64 {
        self.events.push_back(Queued {
            event,
            units,
            patient_units,
        });
        self.pushed += 1;
        self.pushed
    }
}

/// Why an event was not taken.
pub(super) enum Refusal {
    Full(Box<Event>),
    Closed(Box<Event>),
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = u32::try_from(capacity.max(1))
            .unwrap_or(u32::MAX)
            .min(1 << 24);
        let patient_capacity = (capacity as usize / PATIENT_PART).max(1);
        Self {
            room: Semaphore::new(capacity as usize),
            capacity,
            patient_room: Semaphore::new(patient_capacity),
            patient_capacity: u32::try_from(patient_capacity).unwrap_or(capacity),
            inner: Mutex::default(),
            arrived: Condvar::new(),
            safe: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn units(&self, event: &Event) -> u32 {
        let bytes = size_of::<Event>() + event.heap_size();
        u32::try_from(bytes / UNIT + 1)
            .unwrap_or(u32::MAX)
            .min(self.capacity)
    }

    /// Takes the event if there is room, without waking the receiver.
    pub(super) fn try_push(&self, event: Box<Event>) -> Result<u64, Refusal> {
        let units = self.units(&event);
        match self.room.try_acquire_many(units) {
            Ok(permit) => permit.forget(),
            Err(TryAcquireError::NoPermits) => return Err(Refusal::Full(event)),
            Err(TryAcquireError::Closed) => return Err(Refusal::Closed(event)),
        }
        Ok(self.lock().push(event, units, 0))
    }

    /// Takes the event if there is room for senders that can wait, without
    /// waking the receiver.
    pub(super) fn try_push_patiently(&self, event: Box<Event>) -> Result<u64, Refusal> {
        let units = self.units(&event);
        let patient_units = units.min(self.patient_capacity);
        let permits = self
            .patient_room
            .try_acquire_many(patient_units)
            .and_then(|patient| Ok((patient, self.room.try_acquire_many(units)?)));
        match permits {
            Ok((patient, room)) => {
                patient.forget();
                room.forget();
            }
            Err(TryAcquireError::NoPermits) => return Err(Refusal::Full(event)),
            Err(TryAcquireError::Closed) => return Err(Refusal::Closed(event)),
        }
        Ok(self.lock().push(event, units, patient_units))
    }

    /// Waits for room, then takes the event, without waking the receiver.
    pub(super) async fn push(&self, event: Box<Event>) -> Result<u64, Refusal> {
        let units = self.units(&event);
        let patient_units = units.min(self.patient_capacity);
        let Ok(patient) = self.patient_room.acquire_many(patient_units).await else {
            return Err(Refusal::Closed(event));
        };
        let Ok(room) = self.room.acquire_many(units).await else {
            return Err(Refusal::Closed(event));
        };
        patient.forget();
        room.forget();
        Ok(self.lock().push(event, units, patient_units))
    }

    /// Wakes the receiver if it waits and there is something to take.
    pub(super) fn wake(&self) {
        let mut inner = self.lock();
        if inner.receiver_waits && !inner.events.is_empty() {
            inner.receiver_waits = false;
            drop(inner);
            self.arrived.notify_one();
        }
    }

    /// No sender is left: the receiver empties the queue and then sees its end.
    pub(super) fn end(&self) {
        self.lock().senders_gone = true;
        self.arrived.notify_one();
    }

    /// The receiver is gone: senders are refused from now on.
    pub(super) fn close(&self) {
        self.room.close();
        self.patient_room.close();
        self.lock().events.clear();
    }

    /// Number of queued events.
    pub(super) fn len(&self) -> usize {
        self.lock().events.len()
    }

    /// Moves up to `max` events into `into`, fewer when they are large: what
    /// is worked on at a time is bounded in bytes as well. Waits for the first
    /// until `deadline` (for ever without one).
    #[expect(
        clippy::vec_box,
        reason = "an event is moved between threads several times"
    )]
    pub(super) fn take(
        &self,
        into: &mut Vec<Box<Event>>,
        max: usize,
        deadline: Option<Instant>,
    ) -> usize {
        let mut inner = self.lock();
        while inner.events.is_empty() && !inner.senders_gone {
            inner.receiver_waits = true;
            inner = match deadline {
                None => self
                    .arrived
                    .wait(inner)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left == Duration::ZERO {
                        break;
                    }
                    let waited = self.arrived.wait_timeout(inner, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        inner.receiver_waits = false;
        let (mut count, mut room, mut patient_room) = (0, 0, 0);
        while count < max
            && room < max
            && let Some(queued) = inner.events.pop_front()
        {
            room += queued.units as usize;
            patient_room += queued.patient_units as usize;
            count += 1;
            into.push(queued.event);
        }
        inner.taken += count as u64;
        drop(inner);
        self.room.add_permits(room);
        self.patient_room.add_permits(patient_room);
        count
    }

    /// How many events were taken out.
    pub(super) fn taken(&self) -> u64 {
        self.lock().taken
    }

    /// The first `count` events are in safety.
    pub(super) fn acknowledge(&self, count: u64) {
        self.safe.send_replace(count);
    }

    /// Waits until the event of this number is in safety.
    pub(super) async fn is_safe(&self, number: u64) {
        // The sender lives as long as we do.
        drop(self.safe.subscribe().wait_for(|safe| *safe >= number).await);
    }

    /// Whether the receiver has seen the last event.
    pub(super) fn is_exhausted(&self) -> bool {
        let inner = self.lock();
        inner.senders_gone && inner.events.is_empty()
    }
}
