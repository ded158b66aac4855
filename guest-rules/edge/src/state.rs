//! The states of all rules that share a key, as one value.
//!
//! So a request reads and writes each key once, however many rules remember
//! something about it. Each state carries the event time of its last change:
//! the store itself knows no expiry.

use sidewatch_event::wire::{Reader, put_bytes, put_integer, put_signed};

/// First byte of a value.
const FORM: u8 = 1;

/// A value without states.
pub const EMPTY: [u8; 1] = [FORM];

/// Longest value read, in bytes.
const LONGEST: usize = 4 << 20;

/// One rule's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptState {
    /// The rule's id.
    pub rule: String,
    /// Event time of the last change, milliseconds.
    pub changed: i64,
    /// The rule's own bytes.
    pub bytes: Vec<u8>,
}

/// The states under one key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct States(Vec<KeptState>);

impl States {
    /// Reads a value. One that is damaged holds no states: the rules begin
    /// anew rather than judge by nonsense.
    #[must_use]
    pub fn read(value: &[u8]) -> Self {
        Self(read(value).unwrap_or_default())
    }

    /// The value.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut out = vec![FORM];
        for state in &self.0 {
            put_bytes(&mut out, state.rule.as_bytes());
            put_signed(&mut out, state.changed);
            put_integer(&mut out, state.bytes.len() as u64);
            out.extend_from_slice(&state.bytes);
        }
        out
    }

    /// A rule's state for an event at `time`, unless it has expired.
    #[must_use]
    pub fn get(&self, rule: &str, time: i64, ttl: u64) -> Option<&[u8]> {
        let ttl = i64::try_from(ttl).unwrap_or(i64::MAX);
        let state = self.0.iter().find(|state| state.rule == rule)?;
        (time.saturating_sub(state.changed) <= ttl).then_some(state.bytes.as_slice())
    }

    /// Keeps a rule's state as changed by an event at `time`; no bytes forget
    /// it.
    pub fn set(&mut self, rule: &str, bytes: &[u8], time: i64) {
        let at = self.0.iter().position(|state| state.rule == rule);
        match at.and_then(|at| self.0.get_mut(at)) {
            _ if bytes.is_empty() => self.0.retain(|state| state.rule != rule),
            Some(state) => {
                state.changed = state.changed.max(time);
                state.bytes = bytes.to_vec();
            }
            None => {
                self.0.push(KeptState {
                    rule: rule.to_owned(),
                    changed: time,
                    bytes: bytes.to_vec(),
                });
                // One order, whatever the order of arrival.
                self.0.sort_by(|one, other| one.rule.cmp(&other.rule));
            }
        }
    }

    /// The states in the order of their rules.
    pub fn iter(&self) -> impl Iterator<Item = &KeptState> {
        self.0.iter()
    }
}

fn read(value: &[u8]) -> Option<Vec<KeptState>> {
    if value.len() > LONGEST {
        return None;
    }
    let mut reader = Reader::new(value);
    let mut states = Vec::new();
    (reader.byte()? == FORM).then_some(())?;
    while !reader.is_empty() {
        states.push(KeptState {
            rule: reader.text()?.to_owned(),
            changed: reader.signed()?,
            bytes: reader.bytes()?.to_vec(),
        });
    }
    Some(states)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn states_come_back(states in proptest::collection::btree_map("[a-z-]{1,20}", (any::<i64>(), proptest::collection::vec(any::<u8>(), 1..60)), 0..6)) {
            let mut kept = States::default();
            for (rule, (time, bytes)) in states.iter().rev() {
                kept.set(rule, bytes, *time);
            }
            let again = States::read(&kept.write());
            prop_assert_eq!(&again, &kept);
            for (rule, (time, bytes)) in &states {
                prop_assert_eq!(again.get(rule, *time, 0), Some(bytes.as_slice()));
            }
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            let states = States::read(&bytes);
            prop_assert!(states.write().len() <= bytes.len().max(1) + 10 * states.iter().count());
        }
    }

    #[test]
    fn a_state_expires_by_event_time_and_can_be_forgotten() {
        let mut states = States::default();
        states.set("a", b"x", 1_000);
        assert_eq!(states.get("a", 1_500, 500), Some(&b"x"[..]));
        assert_eq!(states.get("a", 1_501, 500), None);
        states.set("a", b"y", 900);
        assert_eq!(
            states.get("a", 1_500, 500),
            Some(&b"y"[..]),
            "late events do not age it"
        );
        states.set("a", b"", 1_000);
        assert_eq!(states.write(), EMPTY);
    }
}
