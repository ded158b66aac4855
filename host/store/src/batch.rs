//! What one batch of events became, and its form in a frame.
//!
//! A payload is a list of sections: tag (1 byte), length (4), content. Unknown
//! tags are passed over, so an older release reads what a newer one wrote as
//! far as it can.

use std::collections::HashMap;
use std::sync::Arc;

use sidewatch_event::record::{Dictionary, Shared};
use sidewatch_event::wire::{Reader, put_bytes, put_integer, put_signed};
use sidewatch_event::{Delivery, Event, Origin};

use crate::lost::LossReason;
use crate::progress::Progress;
use crate::recovery::Parked;

pub(crate) const SINKS: u8 = 1;
pub(crate) const POSITIONS: u8 = 2;
pub(crate) const PROGRESS: u8 = 3;
pub(crate) const REPLAY_FROM: u8 = 4;
pub(crate) const STATES: u8 = 5;
pub(crate) const PARKED: u8 = 6;
pub(crate) const UNPARKED: u8 = 7;
pub(crate) const RECORDS: u8 = 8;
/// The sinks the records that follow go to, together: who is not among them
/// need not read them.
pub(crate) const ADDRESSEES: u8 = 9;
/// The first frame of those written with it under one sync.
pub(crate) const GROUP: u8 = 10;
/// Losses of the sinks by reason, in the order of [`PROGRESS`].
pub(crate) const LOSSES: u8 = 12;
/// What comes before the [`POSITIONS`] of the same frame, where that is known.
/// A section of its own, since an older release reads those all the same.
pub(crate) const CONTENTS: u8 = 11;

/// A record and the sinks it goes to: bit 0 is the first sink.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The record.
    pub delivery: Delivery,
    /// Which sinks get it.
    pub sinks: u64,
}

/// A rule's state with what decides how long it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredState<'a> {
    /// The rule's own bytes.
    pub bytes: &'a [u8],
    /// Event time of the last change, milliseconds.
    pub changed: i64,
    /// Event time of the first change, milliseconds.
    pub created: i64,
    /// How often it was changed.
    pub changes: u32,
}

impl<'a> StoredState<'a> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        put_signed(out, self.changed);
        put_signed(out, self.changed.wrapping_sub(self.created));
        put_integer(out, self.changes.into());
        put_bytes(out, self.bytes);
    }

    pub(crate) fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let changed = reader.signed()?;
        Some(Self {
            changed,
            created: changed.wrapping_sub(reader.signed()?),
            changes: reader.number()?,
            bytes: reader.bytes()?,
        })
    }
}

/// Changed states, encoded as they are told.
#[derive(Debug, Default)]
pub struct StateChanges {
    content: Vec<u8>,
}

impl StateChanges {
    /// The changes that follow are of this rule.
    pub fn rule(&mut self, id: &str) {
        self.content.push(0);
        put_bytes(&mut self.content, id.as_bytes());
    }

    /// The state under `key` is this now; none when it was forgotten.
    pub fn put(&mut self, key: u64, state: Option<StoredState<'_>>) {
        self.content.push(if state.is_some() { 1 } else { 2 });
        self.content.extend_from_slice(&key.to_le_bytes());
        if let Some(state) = state {
            state.write(&mut self.content);
        }
    }

    /// Whether nothing was told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.content.is_empty()
    }
}

/// Tells the changes in a [`STATES`] section: rule, key, state.
pub(crate) fn read_states<'a>(
    mut reader: Reader<'a>,
    mut tell: impl FnMut(&'a str, u64, Option<StoredState<'a>>),
) -> Option<()> {
    let mut rule = "";
    while !reader.is_empty() {
        match reader.byte()? {
            0 => rule = reader.text()?,
            kind @ (1 | 2) => {
                let key = u64::from_le_bytes(reader.array()?);
                let state = match kind {
                    1 => Some(StoredState::read(&mut reader)?),
                    _ => None,
                };
                tell(rule, key, state);
            }
            _ => return None,
        }
    }
    Some(())
}

/// Everything a batch of events became.
#[derive(Debug, Default)]
pub struct Batch {
    /// Records for the sinks.
    pub records: Vec<Outgoing>,
    /// States that changed.
    pub states: StateChanges,
    /// Where reading of files goes on.
    pub positions: Vec<Origin>,
    /// Identifiers of halves that no longer wait.
    pub unparked: Vec<u128>,
    /// Losses its records tell of: sink, reason, how many.
    pub told: Vec<(String, LossReason, u64)>,
    /// Handed back once the batch is in safety.
    pub receipt: u64,
    /// Nothing more will be committed: sinks may end when they are done.
    pub last: bool,
    parked: Vec<u128>,
    parked_events: Vec<u8>,
    dictionary: Dictionary,
}

impl Batch {
    /// A batch of records alone.
    #[must_use]
    pub fn of(records: Vec<Outgoing>, receipt: u64) -> Self {
        Self {
            records,
            receipt,
            ..Self::default()
        }
    }

    /// Keeps a half of a request that waits for the other one.
    pub fn park(&mut self, event: &Event, mirrored: bool) {
        self.parked.push(event.id);
        self.parked_events.push(mirrored.into());
        self.dictionary.put_event(event, &mut self.parked_events);
    }

    pub(crate) fn parked(&self) -> &[u128] {
        &self.parked
    }

    /// Whether committing it would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.states.is_empty()
            && self.positions.is_empty()
            && self.unparked.is_empty()
            && self.parked.is_empty()
            && self.told.is_empty()
    }

    /// Appends the batch's own sections.
    pub(crate) fn write(&self, scratch: &mut Scratch, out: &mut Vec<u8>) {
        if !self.states.is_empty() {
            section(out, STATES, |out| {
                out.extend_from_slice(&self.states.content)
            });
        }
        if !self.positions.is_empty() {
            put_positions(out, &self.positions);
        }
        if !self.parked.is_empty() {
            section(out, PARKED, |out| {
                self.dictionary.write(out);
                put_integer(out, self.parked.len() as u64);
                out.extend_from_slice(&self.parked_events);
            });
        }
        if !self.unparked.is_empty() {
            section(out, UNPARKED, |out| {
                for id in &self.unparked {
                    out.extend_from_slice(&id.to_le_bytes());
                }
            });
        }
        if !self.records.is_empty() {
            let all = self.records.iter().fold(0, |all, one| all | one.sinks);
            section(out, ADDRESSEES, |out| put_integer(out, all));
            section(out, RECORDS, |out| put_records(&self.records, scratch, out));
        }
    }
}

/// Buffers used again for every frame.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    dictionary: Dictionary,
    body: Vec<u8>,
}

/// Appends a section; its length is filled in when it is complete.
pub(crate) fn section(out: &mut Vec<u8>, tag: u8, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = u32::try_from(out.len() - length_at - 4).unwrap_or(u32::MAX);
    if let Some(slot) = out.get_mut(length_at..length_at + 4) {
        slot.copy_from_slice(&length.to_le_bytes());
    }
}

/// The sections of a payload.
pub(crate) fn sections(payload: &[u8]) -> impl Iterator<Item = (u8, Reader<'_>)> {
    let mut reader = Reader::new(payload);
    std::iter::from_fn(move || {
        let tag = reader.byte()?;
        let length = u32::from_le_bytes(reader.array()?);
        let content = reader.take(usize::try_from(length).ok()?)?;
        Some((tag, Reader::new(content)))
    })
}

/// Appends the sections of positions.
pub(crate) fn put_positions<'a>(
    out: &mut Vec<u8>,
    positions: impl IntoIterator<Item = &'a Origin> + Clone,
) {
    section(out, POSITIONS, |out| {
        for position in positions.clone() {
            out.extend_from_slice(&position.file.to_le_bytes());
            put_integer(out, position.end);
        }
    });
    section(out, CONTENTS, |out| {
        for position in positions.into_iter().filter(|it| it.content != 0) {
            out.extend_from_slice(&position.file.to_le_bytes());
            put_integer(out, position.end);
            out.extend_from_slice(&position.content.to_le_bytes());
        }
    });
}

/// Tells the positions of a section, if it is one of those. Contents come
/// after the positions they belong to, which are told again with them.
pub(crate) fn read_positions(tag: u8, mut reader: Reader<'_>, mut tell: impl FnMut(Origin)) {
    if tag != POSITIONS && tag != CONTENTS {
        return;
    }
    while let (Some(file), Some(end)) = (reader.array(), reader.integer()) {
        let mut position = Origin::new(u128::from_le_bytes(file), end);
        if tag == CONTENTS {
            let Some(content) = reader.array() else {
                return;
            };
            position.content = u64::from_le_bytes(content);
        }
        tell(position);
    }
}

pub(crate) fn put_sinks<'a>(out: &mut Vec<u8>, names: impl Iterator<Item = &'a str>) {
    for name in names {
        put_bytes(out, name.as_bytes());
    }
}

pub(crate) fn read_sinks(mut reader: Reader<'_>) -> Vec<String> {
    std::iter::from_fn(|| reader.text().map(str::to_owned)).collect()
}

pub(crate) fn read_progress(mut reader: Reader<'_>) -> Vec<Progress> {
    std::iter::from_fn(|| Progress::read(&mut reader)).collect()
}

pub(crate) fn read_losses(mut reader: Reader<'_>, sinks: &mut [Progress]) {
    for progress in sinks {
        if progress.read_losses(&mut reader).is_none() {
            return;
        }
    }
}

pub(crate) fn read_parked(mut reader: Reader<'_>) -> Option<Vec<Parked>> {
    let shared = Shared::read(&mut reader)?;
    let mut parked = Vec::new();
    for _ in 0..reader.count()? {
        let mirrored = reader.byte()? != 0;
        let event = Box::new(shared.event(&mut reader)?);
        parked.push(Parked { event, mirrored });
    }
    Some(parked)
}

const EVENT: u8 = 0;
const FINDING: u8 = 1;
/// A finding whose event is not among the records: it follows.
const FINDING_WITH_EVENT: u8 = 2;

/// Events first come as records of their own or inside their finding; a later
/// finding about the same event refers to it by number.
fn put_records(records: &[Outgoing], scratch: &mut Scratch, out: &mut Vec<u8>) {
    let Scratch { dictionary, body } = scratch;
    dictionary.clear();
    body.clear();
    // Events written inside findings, by their address.
    let mut written: HashMap<usize, u64> = HashMap::new();
    let mut events = 0;
    for Outgoing { delivery, sinks } in records {
        put_integer(body, *sinks);
        match delivery {
            Delivery::Event(event) => {
                let known = known(&written, event);
                body.push(EVENT);
                // Written inside its finding before: refers to it.
                put_integer(body, known.map_or(0, |number| number + 1));
                if known.is_none() {
                    dictionary.put_event(event, body);
                    events += 1;
                }
            }
            Delivery::Finding(finding) => {
                match known(&written, &finding.event) {
                    Some(number) => {
                        body.push(FINDING);
                        put_integer(body, number);
                    }
                    None => {
                        body.push(FINDING_WITH_EVENT);
                        dictionary.put_event(&finding.event, body);
                        written.insert(Arc::as_ptr(&finding.event).addr(), events);
                        events += 1;
                    }
                }
                dictionary.put_finding(finding, body);
            }
        }
    }
    dictionary.write(out);
    put_integer(out, records.len() as u64);
    out.extend_from_slice(body);
}

fn known(written: &HashMap<usize, u64>, event: &Arc<Event>) -> Option<u64> {
    if written.is_empty() {
        return None;
    }
    written.get(&Arc::as_ptr(event).addr()).copied()
}

/// Reads a [`RECORDS`] section.
pub(crate) fn read_records(mut reader: Reader<'_>) -> Option<Vec<Outgoing>> {
    let shared = Shared::read(&mut reader)?;
    let mut events: Vec<Arc<Event>> = Vec::new();
    let mut records = Vec::new();
    for _ in 0..reader.count()? {
        let sinks = reader.integer()?;
        let delivery = match reader.byte()? {
            EVENT => Delivery::Event(match reader.integer()? {
                0 => {
                    events.push(Arc::new(shared.event(&mut reader)?));
                    Arc::clone(events.last()?)
                }
                number => Arc::clone(events.get(usize::try_from(number - 1).ok()?)?),
            }),
            kind @ (FINDING | FINDING_WITH_EVENT) => {
                let event = if kind == FINDING {
                    Arc::clone(events.get(reader.number::<usize>()?)?)
                } else {
                    events.push(Arc::new(shared.event(&mut reader)?));
                    Arc::clone(events.last()?)
                };
                Delivery::Finding(Arc::new(shared.finding(&mut reader, event)?))
            }
            _ => return None,
        };
        records.push(Outgoing { delivery, sinks });
    }
    Some(records)
}
