//! Who may hand requests in: a shared secret, or a signature.
//!
//! nginx sends the secret in `X-Sidewatch-Token`. A sender that can compute a
//! MAC sends `X-Sidewatch-Signature: t=<milliseconds>,v1=<hexadecimal>`, the
//! HMAC-SHA-256 of `<milliseconds>\n<method>\n<target>` with method and target
//! as on the request line.
//!
//! Invariant: every comparison takes the same time whatever is wrong.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use hyper::header::HeaderName;
use hyper::{HeaderMap, Method, Uri};
use sha2::Sha256;

use crate::Secret;
use crate::mirror::MirrorSettings;

const TOKEN: HeaderName = HeaderName::from_static("x-sidewatch-token");
const SIGNATURE: HeaderName = HeaderName::from_static("x-sidewatch-signature");

#[derive(Debug)]
pub(super) struct Authentication {
    tokens: Vec<Secret>,
    signing_keys: Vec<Hmac<Sha256>>,
    window_ms: i64,
    required: bool,
    /// When a refusal was last logged.
    noted: Mutex<Option<Instant>>,
}

/// Refusals are logged this seldom: a stranger must not fill the log.
const NOTE_INTERVAL: Duration = Duration::from_secs(60);

impl Authentication {
    pub(super) fn new(settings: &MirrorSettings) -> Self {
        let keys = settings.signing_keys.iter();
        let signing_keys: Vec<_> = keys
            .filter_map(|key| Hmac::<Sha256>::new_from_slice(key.expose()).ok())
            .collect();
        Self {
            tokens: settings.tokens.clone(),
            required: !settings.tokens.is_empty() || !settings.signing_keys.is_empty(),
            signing_keys,
            window_ms: i64::from(settings.signature_window_seconds) * 1000,
            noted: Mutex::new(None),
        }
    }

    /// Whether the request may be taken; `now` in milliseconds since the epoch.
    pub(super) fn admits(&self, method: &Method, uri: &Uri, headers: &HeaderMap, now: i64) -> bool {
        if !self.required {
            return true;
        }
        if let Some(token) = headers.get(TOKEN) {
            return Secret::any_matches(&self.tokens, token.as_bytes());
        }
        headers
            .get(SIGNATURE)
            .and_then(|header| header.to_str().ok())
            .is_some_and(|header| self.is_signed(method, uri, header, now))
    }

    /// Says now and then why requests are not taken: nginx learns nothing.
    pub(super) fn note_refusal(&self, source: &str, headers: &HeaderMap) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.is_some_and(|at| at.elapsed() < NOTE_INTERVAL) {
            return;
        }
        *noted = Some(Instant::now());
        tracing::warn!(source, "mirrored requests are refused: {}", reason(headers));
    }

    fn is_signed(&self, method: &Method, uri: &Uri, header: &str, now: i64) -> bool {
        let Some((time, signature)) = parse(header) else {
            return false;
        };
        let recent = time
            .parse::<i64>()
            .is_ok_and(|at| now.abs_diff(at) <= self.window_ms.cast_unsigned());
        let target = uri
            .path_and_query()
            .map_or(uri.path(), |target| target.as_str());
        let verified = self.signing_keys.iter().fold(false, |found, key| {
            let mut mac = key.clone();
            for part in [time, "\n", method.as_str(), "\n", target] {
                mac.update(part.as_bytes());
            }
            mac.verify_slice(&signature).is_ok() | found
        });
        recent && verified
    }
}

/// What an operator has to look at.
fn reason(headers: &HeaderMap) -> &'static str {
    if headers.contains_key(TOKEN) {
        "X-Sidewatch-Token is wrong; `tokens` must hold what sidewatch-upstream.conf sends"
    } else if headers.contains_key(SIGNATURE) {
        "X-Sidewatch-Signature is wrong or too old; compare key and clocks"
    } else {
        "X-Sidewatch-Token is missing; set it in sidewatch-upstream.conf"
    }
}

/// Time and signature of `t=…,v1=…`.
fn parse(header: &str) -> Option<(&str, [u8; 32])> {
    let (time, signature) = header.strip_prefix("t=")?.split_once(",v1=")?;
    let digits = signature.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let text = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(text, 16).ok()?;
    }
    Some((time, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    const KEY: &str = "0123456789abcdef0123456789abcdef";
    const NOW: i64 = 1_700_000_000_000;

    fn authentication() -> Authentication {
        Authentication::new(&MirrorSettings {
            tokens: vec![
                Secret::new("first secret here"),
                Secret::new("second secret here"),
            ],
            signing_keys: vec![Secret::new("another key, unused"), Secret::new(KEY)],
            ..MirrorSettings::default()
        })
    }

    fn sign(time: i64, method: &str, target: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
        mac.update(format!("{time}\n{method}\n{target}").as_bytes());
        let digits: String = mac
            .finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("t={time},v1={digits}")
    }

    fn admits(name: HeaderName, value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        let uri = Uri::from_static("/a?b=c");
        authentication().admits(&Method::POST, &uri, &headers, NOW)
    }

    #[test]
    fn both_tokens_are_accepted_while_one_is_replaced() {
        assert!(admits(TOKEN, "first secret here"));
        assert!(admits(TOKEN, "second secret here"));
        assert!(!admits(TOKEN, "third secret here!"));
        assert!(!authentication().admits(
            &Method::GET,
            &Uri::from_static("/"),
            &HeaderMap::new(),
            NOW
        ));
    }

    #[test]
    fn a_refusal_names_the_header() {
        let mut headers = HeaderMap::new();
        assert!(reason(&headers).contains("X-Sidewatch-Token is missing"));
        headers.insert(TOKEN, HeaderValue::from_static("x"));
        assert!(reason(&headers).contains("X-Sidewatch-Token is wrong"));
        let authentication = authentication();
        authentication.note_refusal("mirror", &headers);
        let first = *authentication.noted.lock().unwrap();
        authentication.note_refusal("mirror", &headers);
        assert_eq!(*authentication.noted.lock().unwrap(), first, "one a minute");
    }

    #[test]
    fn a_signature_holds_for_its_request_and_time_only() {
        assert!(admits(SIGNATURE, &sign(NOW - 299_000, "POST", "/a?b=c")));
        assert!(!admits(SIGNATURE, &sign(NOW - 301_000, "POST", "/a?b=c")));
        assert!(!admits(SIGNATURE, &sign(NOW + 301_000, "POST", "/a?b=c")));
        assert!(!admits(SIGNATURE, &sign(NOW, "GET", "/a?b=c")));
        assert!(!admits(SIGNATURE, &sign(NOW, "POST", "/a?b=d")));
        assert!(!admits(SIGNATURE, "t=,v1="));
        assert!(!admits(
            SIGNATURE,
            &format!("t={NOW},v1={}", "+f".repeat(32))
        ));
    }
}
