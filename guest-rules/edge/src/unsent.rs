//! Findings the receiver did not take, kept in the store until it does.
//!
//! A state that remembers an incident is kept before its finding is sent: the
//! same events again would not report it again. So what was not taken waits
//! under one key and is offered anew with the next batch, and after the next
//! finding that was taken.
//!
//! Invariants: the oldest go when there is no room, and that is told; a
//! finding is removed only after it was taken, so it may come twice, with the
//! same identifiers.

use sidewatch_event::wire::{Reader, put_bytes};

use crate::deliver::{FORM, LINES, Outgoing};
use crate::store::{Store, StoreError, update};

/// The key they wait under.
const KEY: &str = "unsent";

/// Bytes that wait at most.
const MOST_BYTES: usize = 256 << 10;

/// First byte of the value.
const VERSION: u8 = 1;

/// What waits, the oldest first.
///
/// # Errors
/// The store is absent or failed.
pub fn waiting<S: Store>(store: &S) -> Result<Vec<Outgoing>, StoreError> {
    let (value, _) = store.read(KEY)?;
    Ok(read(&value.unwrap_or_default()).unwrap_or_default())
}

/// Keeps more, and says how many of the oldest had to go for it.
///
/// # Errors
/// The store is absent, failed or contended.
pub fn keep<S: Store>(store: &S, attempts: usize, more: &[Outgoing]) -> Result<usize, StoreError> {
    update(store, KEY, &[VERSION], attempts, |value| {
        let mut all = read(value).unwrap_or_default();
        all.extend(more.iter().filter(|one| !one.body.is_empty()).cloned());
        let mut room = MOST_BYTES;
        let fitting = all.iter().rev().take_while(|one| {
            let left = room.checked_sub(one.body.len() + 128);
            room = left.unwrap_or(0);
            left.is_some()
        });
        let dropped = all.len() - fitting.count();
        all.drain(..dropped);
        (Some(write(&all)), dropped)
    })
}

/// Removes what was taken.
///
/// # Errors
/// The store is absent, failed or contended.
pub fn taken<S: Store>(store: &S, attempts: usize, sent: &[Outgoing]) -> Result<(), StoreError> {
    update(store, KEY, &[VERSION], attempts, |value| {
        let mut all = read(value).unwrap_or_default();
        let before = all.len();
        all.retain(|one| !sent.contains(one));
        ((all.len() != before).then(|| write(&all)), ())
    })
}

fn write(all: &[Outgoing]) -> Vec<u8> {
    let mut out = vec![VERSION];
    for one in all {
        out.push(u8::from(one.content_type == FORM));
        let id = one.request_id.as_deref().unwrap_or_default();
        put_bytes(&mut out, id.as_bytes());
        put_bytes(&mut out, &one.body);
    }
    out
}

fn read(value: &[u8]) -> Option<Vec<Outgoing>> {
    let mut reader = Reader::new(value);
    let mut all = Vec::new();
    (reader.byte()? == VERSION).then_some(())?;
    while !reader.is_empty() {
        let content_type = if reader.byte()? == 1 { FORM } else { LINES };
        let id = reader.text()?;
        all.push(Outgoing {
            content_type,
            request_id: (!id.is_empty()).then(|| id.to_owned()),
            body: reader.bytes()?.to_vec(),
        });
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::testing::Busy;

    fn outgoing(number: usize, length: usize) -> Outgoing {
        Outgoing {
            content_type: if number.is_multiple_of(2) {
                FORM
            } else {
                LINES
            },
            request_id: number.is_multiple_of(3).then(|| number.to_string()),
            body: vec![b'x'; length],
        }
    }

    #[test]
    fn what_was_not_taken_waits_until_it_is() {
        let store = Busy::default();
        assert_eq!(waiting(&store), Ok(Vec::new()));
        let all: Vec<_> = (0..4).map(|number| outgoing(number, 9 + number)).collect();
        assert_eq!(keep(&store, 9, &all), Ok(0));
        assert_eq!(waiting(&store), Ok(all.clone()));
        taken(&store, 9, &all[1..3]).unwrap();
        assert_eq!(waiting(&store).unwrap(), [all[0].clone(), all[3].clone()]);
    }

    #[test]
    fn the_oldest_go_when_there_is_no_room() {
        let store = Busy::default();
        let all: Vec<_> = (0..20).map(|number| outgoing(number, 30_000)).collect();
        let dropped = keep(&store, 9, &all).unwrap();
        assert!(dropped > 0);
        assert_eq!(waiting(&store).unwrap(), all[dropped..]);
        assert!(write(&all[dropped..]).len() <= MOST_BYTES);
        let huge = [outgoing(0, MOST_BYTES)];
        assert_eq!(keep(&store, 9, &huge), Ok(all.len() - dropped + 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_value_is_read_without_harm(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(all) = read(&value) {
                prop_assert_eq!(read(&write(&all)), Some(all));
            }
        }
    }
}
