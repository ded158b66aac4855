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
        // For an unknown key the path stops at its parent; the message names it.
        let named = message
            .strip_prefix("unknown field `")
            .and_then(|rest| rest.split('`').next());
        let parameter = match (named, path.as_str()) {
            (Some(name), "." | "?") => name.to_owned(),
            (Some(name), parent) if !parent.ends_with(name) => format!("{parent}.{name}"),
            (None, "." | "?") => missing(&message).unwrap_or_default().to_owned(),
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
    fn errors_name_the_parameter() {
        let parameter = |text| decode::<Travel>(text).unwrap_err().parameter;
        assert_eq!(parameter(r#"{"sped_kmh": 1}"#), "sped_kmh");
        assert_eq!(parameter(r#"{"speed_kmh": "fast"}"#), "speed_kmh");
        assert_eq!(parameter(r#"{"nested": {"dais": 1}}"#), "nested.dais");
        assert_eq!(parameter("[1]"), "");
    }
}
