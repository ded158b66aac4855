//! Who made a rule: detached Ed25519 signatures in minisign's format.
//!
//! The signature of `rule.wasm` lies beside it as `rule.wasm.minisig`. It is
//! checked over the very bytes that are then compiled: a file that changes
//! between checking and loading cannot get in.
//!
//! Invariants: signatures without prehashing (minisign's old form) are
//! refused; under [`SignaturePolicy::Required`] nothing without a good
//! signature by a trusted key is ever compiled.

use crate::regular_file;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use minisign_verify::{PublicKey, Signature};
use serde::Deserialize;

/// Added to a component's file name for its signature.
pub const EXTENSION: &str = "minisig";
/// Largest signature or key file read, in bytes.
const LARGEST: u64 = 8 << 10;

/// What a rule without a good signature means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignaturePolicy {
    /// It is refused.
    Required,
    /// It is loaded, and the log says so.
    Warn,
    /// Signatures are not looked at.
    #[default]
    Off,
}

/// A public key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read the public key {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The text is no key.
    // It is not shown: a secret key named by mistake would be in every log.
    #[error(
        "key {number} of those trusted is no minisign public key; one begins with RW and has 56 characters"
    )]
    Malformed {
        /// Which, counted from 1.
        number: usize,
    },
}

/// Why a rule's origin is not proven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature.
    #[error(
        "it has no signature; sign it with `sidewatch rule sign`, or change `trust.signatures`"
    )]
    Missing,
    /// The file beside the component is no signature.
    #[error("its signature is unreadable: {0}")]
    Malformed(String),
    /// The key is none of the trusted ones.
    #[error("its signature is by none of the trusted keys (`trust.keys`)")]
    UnknownKey,
    /// The signature is for other bytes.
    #[error("its signature does not fit these bytes: the component or the signature was changed")]
    Wrong,
}

/// What is known of a component's origin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Provenance {
    /// Signatures are off.
    #[default]
    Unchecked,
    /// A trusted key signed exactly these bytes.
    Signed {
        /// The key, base64 as in `trust.keys`.
        key: String,
        /// The signer's comment, which the signature covers.
        comment: String,
    },
    /// Loaded all the same, because the policy says so.
    Unproven(SignatureError),
}

impl std::fmt::Display for Provenance {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unchecked => formatter.write_str("not checked"),
            Self::Signed { key, comment } => {
                write!(formatter, "good, by {key} ({})", comment.escape_debug())
            }
            Self::Unproven(error) => write!(formatter, "none that counts: {error}"),
        }
    }
}

/// The trusted keys and what they are needed for.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    policy: SignaturePolicy,
    keys: Vec<(String, PublicKey)>,
}

impl Trust {
    /// Trusts keys given as texts: the base64 line of a public key, or the
    /// whole of its file.
    ///
    /// # Errors
    /// A text that is no key.
    pub fn new(policy: SignaturePolicy, keys: &[String]) -> Result<Self, KeyError> {
        let keys = keys
            .iter()
            .zip(1..)
            .map(|(text, number)| {
                let base64 = text.lines().map(str::trim).rfind(|line| !line.is_empty());
                let base64 = base64.unwrap_or_default().to_owned();
                match PublicKey::from_base64(&base64) {
                    Ok(key) => Ok((base64, key)),
                    Err(_) => Err(KeyError::Malformed { number }),
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { policy, keys })
    }

    /// Judges a component by its signature, which is the text of its
    /// `.minisig` file.
    ///
    /// # Errors
    /// A good signature is required and missing.
    pub fn check(
        &self,
        component: &[u8],
        signature: Option<&str>,
    ) -> Result<Provenance, SignatureError> {
        if self.policy == SignaturePolicy::Off {
            return Ok(Provenance::Unchecked);
        }
        match (self.verify(component, signature), self.policy) {
            (Ok(signed), _) => Ok(signed),
            (Err(error), SignaturePolicy::Required) => Err(error),
            (Err(error), _) => Ok(Provenance::Unproven(error)),
        }
    }

    fn verify(
        &self,
        component: &[u8],
        signature: Option<&str>,
    ) -> Result<Provenance, SignatureError> {
        let text = signature.ok_or(SignatureError::Missing)?;
        let signature = Signature::decode(text)
            .map_err(|error| SignatureError::Malformed(error.to_string()))?;
        let mut best = SignatureError::UnknownKey;
        for (name, key) in &self.keys {
            match key.verify(component, &signature, false) {
                Ok(()) => {
                    return Ok(Provenance::Signed {
                        key: name.clone(),
                        comment: signature.trusted_comment().to_owned(),
                    });
                }
                Err(minisign_verify::Error::UnexpectedKeyId) => {}
                Err(minisign_verify::Error::InvalidSignature) => best = SignatureError::Wrong,
                Err(error) => best = SignatureError::Malformed(error.to_string()),
            }
        }
        Err(best)
    }
}

/// Where a component's signature lies.
#[must_use]
pub fn signature_path(component: &Path) -> PathBuf {
    let mut path = component.as_os_str().to_owned();
    path.push(".");
    path.push(EXTENSION);
    PathBuf::from(path)
}

/// The text of a component's signature; none when there is no such file.
///
/// # Errors
/// The file is there and cannot be read.
pub fn read_signature(component: &Path) -> std::io::Result<Option<String>> {
    let file = match regular_file::open(&signature_path(component)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The text of a public key's file.
///
/// # Errors
/// The file cannot be read.
pub fn read_key(path: &Path) -> Result<String, KeyError> {
    let read = |source| KeyError::Read {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let file = regular_file::open(path).map_err(read)?;
    file.take(LARGEST).read_to_string(&mut text).map_err(read)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use minisign::KeyPair;
    use proptest::prelude::*;

    use super::*;

    const COMPONENT: &[u8] = b"the bytes of a rule";

    fn pair() -> KeyPair {
        KeyPair::generate_unencrypted_keypair().unwrap()
    }

    fn sign(pair: &KeyPair, bytes: &[u8]) -> String {
        minisign::sign(None, &pair.sk, bytes, Some("night-login 1.2.0"), None)
            .unwrap()
            .into_string()
    }

    fn trust(policy: SignaturePolicy, pairs: &[&KeyPair]) -> Trust {
        let keys: Vec<_> = pairs.iter().map(|pair| pair.pk.to_base64()).collect();
        Trust::new(policy, &keys).unwrap()
    }

    #[test]
    fn a_trusted_keys_signature_is_good_for_exactly_these_bytes() {
        let (ours, theirs) = (pair(), pair());
        let trust = trust(SignaturePolicy::Required, &[&theirs, &ours]);
        let signature = sign(&ours, COMPONENT);
        let proven = trust.check(COMPONENT, Some(&signature)).unwrap();
        assert_eq!(
            proven,
            Provenance::Signed {
                key: ours.pk.to_base64(),
                comment: "night-login 1.2.0".to_owned()
            }
        );
        assert_eq!(
            trust.check(b"other bytes", Some(&signature)),
            Err(SignatureError::Wrong)
        );
        assert_eq!(trust.check(COMPONENT, None), Err(SignatureError::Missing));
        let stranger = sign(&pair(), COMPONENT);
        assert_eq!(
            trust.check(COMPONENT, Some(&stranger)),
            Err(SignatureError::UnknownKey)
        );
        let comment = signature.replace("1.2.0", "9.9.9");
        assert_eq!(
            trust.check(COMPONENT, Some(&comment)),
            Err(SignatureError::Wrong)
        );
    }

    #[test]
    fn the_policy_decides_what_a_missing_signature_means() {
        let ours = pair();
        let warned = trust(SignaturePolicy::Warn, &[&ours]).check(COMPONENT, None);
        assert_eq!(warned, Ok(Provenance::Unproven(SignatureError::Missing)));
        let off = trust(SignaturePolicy::Off, &[&ours]).check(COMPONENT, Some("nonsense"));
        assert_eq!(off, Ok(Provenance::Unchecked));
    }

    #[test]
    fn keys_are_taken_as_a_line_or_as_a_file() {
        let ours = pair();
        let file = ours.pk.to_box().unwrap().into_string();
        let trust = Trust::new(SignaturePolicy::Required, &[file]).unwrap();
        assert!(
            trust
                .check(COMPONENT, Some(&sign(&ours, COMPONENT)))
                .is_ok()
        );
        let right = ours.pk.to_base64();
        let error = Trust::new(SignaturePolicy::Off, &[right, "RWnokey".to_owned()]);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("key 2 "), "{error}");
        assert!(!error.contains("nokey"), "it may be a secret: {error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn nothing_but_the_signature_itself_is_believed(noise in ".{0,300}", at in 0_usize..400, bit in 0_u8..8) {
            let ours = pair();
            let trust = trust(SignaturePolicy::Required, &[&ours]);
            prop_assert!(trust.check(COMPONENT, Some(&noise)).is_err());
            let good = sign(&ours, COMPONENT);
            let mut bytes = good.clone().into_bytes();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let bad = String::from_utf8_lossy(&bytes).into_owned();
            // The first line is for people only; nothing covers it.
            let first = good.lines().next().unwrap().len();
            if at > first {
                let judged = trust.check(COMPONENT, Some(&bad));
                prop_assert!(judged.is_err() || bad.lines().skip(1).eq(good.lines().skip(1)), "{judged:?} {bad}");
            }
        }
    }
}
