//! A form body as PHP hands it to Tirreno.

use percent_encoding::percent_decode;

/// Fields with their decoded bytes; of a repeated one the last counts.
#[derive(Debug, Default)]
pub(super) struct Form {
    fields: Vec<(String, Vec<u8>)>,
}

/// Longest values in bytes; Tirreno cuts at the byte, not at the character.
const LIMITS: [(&str, usize); 12] = [
    ("url", 2047),
    ("userName", 100),
    ("emailAddress", 255),
    ("phoneNumber", 19),
    ("firstName", 100),
    ("lastName", 100),
    ("fullName", 100),
    ("pageTitle", 255),
    ("userAgent", 511),
    ("browserLanguage", 255),
    ("httpMethod", 100),
    ("httpReferer", 2047),
];

/// What reading a field came to.
pub(super) enum Value {
    /// Not in the form.
    Absent,
    /// Usable text.
    Text(String),
    /// The database would refuse it, and the whole event with it.
    Unstorable,
}

impl Form {
    /// Splits and decodes a body.
    pub(super) fn parse(body: &[u8]) -> Self {
        let pairs = body
            .split(|byte| *byte == b'&')
            .filter(|pair| !pair.is_empty());
        let fields = pairs.map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let mut half = || url_decode(halves.next().unwrap_or_default());
            (String::from_utf8_lossy(&half()).into_owned(), half())
        });
        Self {
            fields: fields.collect(),
        }
    }

    /// Whether the field was sent, empty or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// The field as Tirreno would store it, referer aside.
    pub(super) fn value(&self, name: &str) -> Value {
        match self.bytes(name).map(String::from_utf8) {
            None => Value::Absent,
            Some(Ok(text)) => Value::Text(text),
            Some(Err(_)) => Value::Unstorable,
        }
    }

    /// The referer: cut, then decoded once more.
    pub(super) fn referer(&self) -> Value {
        match self
            .bytes("httpReferer")
            .map(|bytes| String::from_utf8(url_decode(&bytes)))
        {
            None => Value::Absent,
            Some(Ok(text)) => Value::Text(text),
            Some(Err(_)) => Value::Unstorable,
        }
    }

    fn raw(&self, name: &str) -> Option<&[u8]> {
        self.fields
            .iter()
            .rev()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_slice())
    }

    fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        // Bytes that are no UTF-8 become question marks, a NUL ends the text.
        let mut bytes: Vec<u8> = self
            .raw(name)?
            .utf8_chunks()
            .flat_map(|chunk| {
                chunk
                    .valid()
                    .bytes()
                    .chain(chunk.invalid().iter().map(|_| b'?'))
            })
            .take_while(|byte| *byte != 0)
            .collect();
        if let Some((_, limit)) = LIMITS.iter().find(|(field, _)| *field == name) {
            bytes.truncate(*limit);
        }
        Some(bytes)
    }
}

fn url_decode(bytes: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = bytes
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    percent_decode(&spaced).collect()
}
