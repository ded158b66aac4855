//! A rule's parameters: a JSON object decoded into the rule's own type.
//!
//! Every error names the parameter as the operator wrote it.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A parameter the rule cannot accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterError {
    /// Name of the parameter; empty when the text is no JSON object at all.
    pub parameter: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl ParameterError {
    /// An error about `parameter`.
    pub fn new(parameter: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            parameter: parameter.into(),
            message: message.into(),
        }
    }
}

/// For rules that have no parameters.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParameters {}

/// Checks that parameters lie within their bounds: name, value, least, most.
///
/// # Errors
/// Names the first that does not.
pub fn check_ranges(ranges: &[(&str, f64, f64, f64)]) -> Result<(), ParameterError> {
    match ranges
        .iter()
        .find(|(_, value, least, most)| !(*least..=*most).contains(value))
    {
        None => Ok(()),
        Some((name, value, least, most)) => Err(ParameterError::new(
            *name,
            format!("must be between {least} and {most}, not {value}"),
        )),
    }
}

/// Whole seconds of a number of `unit` seconds, such as hours of 3600.
#[must_use]
pub fn seconds(number: f64, unit: u32) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates"
    )]
    let seconds = (number * f64::from(unit)) as u32;
    seconds
}

/// Decodes `text`; empty text counts as an empty object.
///
/// # Errors
/// Names the parameter that is unknown, missing or of the wrong type.
pub fn decode<P: DeserializeOwned>(text: &str) -> Result<P, ParameterError> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    if !text.trim_start().starts_with('{') {
        return Err(ParameterError::new("", "parameters must be a JSON object"));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let decoded: Result<P, _> = serde_path_to_error::deserialize(&mut reader);
    decoded.map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().to_string();
        let parameter = match path.as_str() {
            // Of a key that is missing only the message knows the name.
            "." | "?" => missing(&message).unwrap_or_default().to_owned(),
            _ => path,
        };
        ParameterError { parameter, message }
    })
}

fn missing(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.split('`').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Travel {
        speed_kmh: f64,
        nested: Nested,
    }
    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Nested {
        days: u32,
    }
    impl Default for Travel {
        fn default() -> Self {
            Self {
                speed_kmh: 900.0,
                nested: Nested::default(),
            }
        }
    }

    #[test]
    fn an_empty_text_means_defaults() {
        let travel = decode::<Travel>("").unwrap();
        assert!((travel.speed_kmh - 900.0).abs() < f64::EPSILON);
        assert_eq!(travel.nested.days, 0);
    }

    #[test]
    fn bounds_are_inclusive_and_a_value_outside_is_named() {
        assert_eq!(
            check_ranges(&[("a", 1.0, 1.0, 2.0), ("b", 2.0, 1.0, 2.0)]),
            Ok(())
        );
        let error = check_ranges(&[("a", 1.0, 1.0, 2.0), ("b", 2.5, 1.0, 2.0)]).unwrap_err();
        assert_eq!(
            (error.parameter.as_str(), error.message.as_str()),
            ("b", "must be between 1 and 2, not 2.5")
        );
        assert!(check_ranges(&[("a", f64::NAN, 0.0, 2.0)]).is_err());
    }

    #[test]
    fn durations_become_whole_seconds() {
        assert_eq!(seconds(1.5, 60), 90);
        assert_eq!(seconds(1e30, 3600), u32::MAX);
        assert_eq!(seconds(-1.0, 3600), 0);
    }

    #[test]
    fn errors_name_the_parameter() {
        let parameter = |text| decode::<Travel>(text).unwrap_err().parameter;
        assert_eq!(parameter(r#"{"sped_kmh": 1}"#), "sped_kmh");
        assert_eq!(parameter(r#"{"speed_kmh": "fast"}"#), "speed_kmh");
        assert_eq!(parameter(r#"{"nested": {"dais": 1}}"#), "nested.dais");
        assert_eq!(parameter("[1]"), "");
        #[derive(Debug, Deserialize)]
        struct Site {
            #[serde(rename = "name")]
            _name: String,
        }
        assert_eq!(decode::<Site>("{}").unwrap_err().parameter, "name");
    }
}
