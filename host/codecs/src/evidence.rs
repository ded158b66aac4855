//! A finding's evidence as text, for encoders without types.

use sidewatch_event::EvidenceValue;

use crate::time::write_rfc3339;

/// A value as text: times as RFC 3339, coordinates as `latitude,longitude`.
pub(crate) fn value(value: &EvidenceValue) -> String {
    match value {
        EvidenceValue::Text(text) => text.clone(),
        EvidenceValue::Time(time) => {
            let mut text = String::new();
            write_rfc3339(*time, &mut text);
            text
        }
        EvidenceValue::Integer(number) => number.to_string(),
        EvidenceValue::Real(number) => number.to_string(),
        EvidenceValue::Address(address) => address.to_string(),
        EvidenceValue::Coordinates(latitude, longitude) => format!("{latitude},{longitude}"),
    }
}
