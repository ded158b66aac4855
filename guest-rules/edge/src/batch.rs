//! Batches of events: one JSON object, an array of them, or one a line.

use serde_json::Value;
use sidewatch_codecs::{DecodeError, PseudonymKey};
use sidewatch_event::Event;

use crate::settings::Limits;

/// Why a batch is not taken. Nothing of it is then.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Longer than allowed.
    #[error("more than {0} bytes; send smaller batches")]
    TooLong(usize),
    /// More events than allowed.
    #[error("more than {0} events; send smaller batches")]
    TooMany(usize),
    /// Not JSON.
    #[error("event {number} is no JSON: column {column}")]
    Json {
        /// Counted from 1.
        number: usize,
        /// Where, counted from 1.
        column: usize,
    },
    /// No event.
    #[error("event {number}: {source}")]
    Event {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        source: DecodeError,
    },
}

/// Reads a batch; `blank` makes an event to be filled.
///
/// # Errors
/// Names the first event that cannot be read.
pub fn decode(
    body: &[u8],
    limits: &Limits,
    key: &PseudonymKey,
    mut blank: impl FnMut() -> Box<Event>,
) -> Result<Vec<Box<Event>>, BatchError> {
    if body.len() > limits.max_batch_bytes {
        return Err(BatchError::TooLong(limits.max_batch_bytes));
    }
    let values = values(body, limits)?;
    let mut events = Vec::with_capacity(values.len());
    for (number, value) in (1..).zip(&values) {
        let mut event = blank();
        sidewatch_codecs::json::decode(value, key, &mut event)
            .map_err(|source| BatchError::Event { number, source })?;
        events.push(event);
    }
    Ok(events)
}

fn values(body: &[u8], limits: &Limits) -> Result<Vec<Value>, BatchError> {
    let mut values = Vec::new();
    for value in serde_json::Deserializer::from_slice(body).into_iter::<Value>() {
        let value = value.map_err(|error| BatchError::Json {
            number: values.len() + 1,
            column: error.column(),
        })?;
        match value {
            Value::Array(items) => values.extend(items),
            value => values.push(value),
        }
        if values.len() > limits.max_batch_events {
            return Err(BatchError::TooMany(limits.max_batch_events));
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sidewatch_event::Field;

    fn read(body: &[u8]) -> Result<Vec<Box<Event>>, BatchError> {
        let limits = Limits {
            max_batch_bytes: 200,
            max_batch_events: 3,
            ..Limits::default()
        };
        decode(body, &limits, &PseudonymKey::new([1; 32]), || {
            Box::new(Event::new())
        })
    }

    #[test]
    fn one_object_an_array_or_one_a_line() {
        let one = r#"{"user.name":"zoe"}"#;
        for (body, count) in [
            (one.to_owned(), 1),
            (format!("[{one},{one}]"), 2),
            (format!("{one}\n{one}\n{one}\n"), 3),
            (String::new(), 0),
        ] {
            let events = read(body.as_bytes()).unwrap();
            assert_eq!(events.len(), count, "{body}");
            assert!(
                events
                    .iter()
                    .all(|event| event.get(Field::UserName) == Some("zoe"))
            );
        }
    }

    #[test]
    fn bounds_and_errors_are_named() {
        assert_eq!(read(&[b' '; 201]).unwrap_err(), BatchError::TooLong(200));
        assert_eq!(read(b"{}{}{}{}").unwrap_err(), BatchError::TooMany(3));
        assert_eq!(
            read(b"{}\n{\"a\":").unwrap_err().to_string(),
            "event 2 is no JSON: column 5"
        );
        let error = read(b"[{},{\"source.ip\":\"x\"}]").unwrap_err().to_string();
        assert!(
            error.starts_with("event 2: ") && error.contains("source.ip"),
            "{error}"
        );
        assert!(read(b"[[]]").is_err() && read(b"7").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_bytes_are_read_without_harm(body: Vec<u8>) {
            let events = read(&body).map_or(0, |events| events.len());
            prop_assert!(events <= 3);
        }
    }
}
