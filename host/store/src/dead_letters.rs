//! Records a sink refused for good, with the reason, until somebody has looked.

use std::sync::Arc;

use sidewatch_event::record::{Dictionary, Shared};
use sidewatch_event::wire::{Reader, put_bytes, put_signed};
use sidewatch_event::{Delivery, Event};

use crate::error::StoreError;
use crate::index::Index;

/// Most dead letters kept; beyond it the oldest go.
const MOST: u64 = 100_000;

/// A refused record.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Its number among the dead letters.
    pub number: u64,
    /// The sink that refused it.
    pub sink: String,
    /// Why.
    pub reason: String,
    /// When, in milliseconds since the Unix epoch.
    pub time: i64,
    /// The record itself.
    pub delivery: Delivery,
}

/// The dead letters of a store.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    pub(crate) index: Arc<Index>,
}

impl DeadLetters {
    /// Adds refused records with their reasons, and gives how many old ones
    /// had to go for them.
    ///
    /// # Errors
    /// The database refuses; the records are not kept then.
    pub fn add<'a>(
        &self,
        sink: &str,
        time: i64,
        refused: impl Iterator<Item = (&'a Delivery, &'a str)>,
    ) -> Result<u64, StoreError> {
        let letters: Vec<_> = refused
            .map(|(delivery, reason)| encode(sink, time, reason, delivery))
            .collect();
        if letters.is_empty() {
            return Ok(0);
        }
        self.index.bury(&letters, MOST)
    }

    /// Up to `limit` letters from a number on.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn list(&self, from: u64, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let mut letters = Vec::new();
        self.index.dead(from, |number, bytes| {
            if letters.len() < limit {
                letters.extend(decode(number, bytes));
            }
            letters.len() < limit
        })?;
        Ok(letters)
    }

    /// Removes letters by their numbers.
    ///
    /// # Errors
    /// The database refuses.
    pub fn remove(&self, numbers: &[u64]) -> Result<(), StoreError> {
        self.index.unbury(numbers)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.index.dead_count()
    }
}

fn encode(sink: &str, time: i64, reason: &str, delivery: &Delivery) -> Vec<u8> {
    let mut dictionary = Dictionary::default();
    let mut body = Vec::new();
    dictionary.put_event(delivery.event(), &mut body);
    body.push(matches!(delivery, Delivery::Finding(_)).into());
    if let Delivery::Finding(finding) = delivery {
        dictionary.put_finding(finding, &mut body);
    }
    let mut out = Vec::with_capacity(body.len() + 64);
    put_bytes(&mut out, sink.as_bytes());
    put_signed(&mut out, time);
    put_bytes(&mut out, reason.as_bytes());
    dictionary.write(&mut out);
    out.extend_from_slice(&body);
    out
}

fn decode(number: u64, bytes: &[u8]) -> Option<DeadLetter> {
    let mut reader = Reader::new(bytes);
    let sink = reader.text()?.to_owned();
    let time = reader.signed()?;
    let reason = reader.text()?.to_owned();
    let shared = Shared::read(&mut reader)?;
    let event: Arc<Event> = Arc::new(shared.event(&mut reader)?);
    let delivery = if reader.byte()? == 0 {
        Delivery::Event(event)
    } else {
        Delivery::Finding(Arc::new(shared.finding(&mut reader, event)?))
    };
    Some(DeadLetter {
        number,
        sink,
        reason,
        time,
        delivery,
    })
}
