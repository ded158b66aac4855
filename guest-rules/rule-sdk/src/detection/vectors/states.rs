//! A rule's states against what the rule says of them.
//!
//! Operators plan memory with the stated limit, a swap or a rollback hands a
//! rule bytes another version wrote, and every change of a state is written.

use std::cell::Cell;

use crate::State;
use crate::detection::harness::{Harness, Runner, TestEvent};
use crate::detection::{Rule, describe, fold};

/// Folds `filling`, after which one state must be as large as the rule says it
/// can be. Every state must read back as it was written, and one of another
/// form, or cut off, must begin anew.
///
/// # Errors
/// Says which of it is not so.
pub fn check_states<R: Rule + 'static>(filling: &[TestEvent]) -> Result<(), String> {
    let mut rule = Harness::<R>::new("").map_err(|error| error.message)?;
    rule.run(filling);
    let (largest, limit) = (rule.largest_state(), rule.descriptor().state_limit);
    if usize::try_from(limit) != Ok(largest) {
        return Err(format!(
            "full, a state takes {largest} bytes; the rule says {limit}"
        ));
    }
    let anew = bytes_of(&R::State::default());
    for (_, bytes) in rule.states() {
        let mut state = R::State::decode(bytes).ok_or("a state cannot be read back")?;
        if bytes_of(&state) != bytes {
            return Err("a state read back is another one".to_owned());
        }
        let mut another = bytes.to_vec();
        if let Some(version) = another.first_mut() {
            *version ^= 0x55;
        }
        let cut = bytes.split_last().map_or(bytes, |(_, rest)| rest);
        for foreign in [another.as_slice(), cut, &[]] {
            state.load(Some(bytes));
            state.load(Some(foreign));
            if R::State::decode(foreign).is_some() || bytes_of(&state) != anew {
                return Err("a state of another form does not begin anew".to_owned());
            }
        }
    }
    Ok(())
}

/// Whether each event made the rule return a state to be written. What says
/// nothing new should not.
///
/// # Errors
/// The rule refuses to run without parameters.
pub fn writes<R: Rule>(events: &[TestEvent]) -> Result<Vec<bool>, String> {
    let (rule, descriptor) = describe::<R>("").map_err(|error| error.message)?;
    let written = Cell::new(false);
    let mut runner = Runner::new(descriptor, |frame| {
        let outcome = fold(&rule, frame);
        written.set(!outcome.changes.is_empty());
        outcome
    });
    let one = |event| {
        runner.run(std::slice::from_ref(event));
        written.get()
    };
    Ok(events.iter().map(one).collect())
}

/// Events of a user who stays where they are, once a minute new, with another
/// session in between, and one of them late; a rule about whereabouts must
/// write its state at what is new and at nothing else.
///
/// # Errors
/// Says which events were written.
pub fn check_whereabouts_written<R: Rule>() -> Result<(), String> {
    let seen = |minutes: f64| {
        TestEvent::new("zoe", minutes)
            .from("192.0.2.7")
            .at(50.0, 14.0, 10.0)
            .session("s1")
            .user_agent("Firefox/Linux")
    };
    let events = [
        seen(0.0),
        seen(0.5),
        seen(0.9).session("s2"),
        seen(0.95),
        seen(1.9),
        seen(0.5),
    ];
    let written = writes::<R>(&events)?;
    if written == [true, false, true, false, true, false] {
        return Ok(());
    }
    Err(format!("written at {written:?}"))
}

fn bytes_of(state: &impl State) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.encode(&mut bytes);
    bytes
}
