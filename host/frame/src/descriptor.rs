//! What a detection rule says of itself, checked before it is believed.

use std::sync::Arc;

use sidewatch_event::FieldName;

use crate::block::field_names;

/// A kind of finding as the rule describes it.
#[derive(Debug, Clone)]
pub struct FindingKind {
    /// Kebab-case name.
    pub id: Arc<str>,
    /// One line for a human.
    pub title: String,
    /// 0 to 10.
    pub severity: u8,
    /// MITRE ATT&CK technique, or empty.
    pub technique: Arc<str>,
}

/// What a detection rule says of itself, checked.
#[derive(Debug, Clone)]
pub struct DetectionDescriptor {
    /// Names the rule in files, metrics and findings.
    pub id: Arc<str>,
    /// Semantic version.
    pub version: Arc<str>,
    /// Parts of the state's key.
    pub key: Vec<String>,
    /// Text fields it reads.
    pub reads: Vec<FieldName>,
    /// Milliseconds.
    pub state_ttl: u64,
    /// Bytes one state may take.
    pub state_limit: u32,
    /// Findings it can emit.
    pub kinds: Vec<FindingKind>,
}

/// A kind of finding as a rule claims it.
#[derive(Debug, Clone)]
pub struct KindClaim {
    /// Kebab-case name.
    pub id: String,
    /// One line for a human.
    pub title: String,
    /// 0 to 10.
    pub severity: u32,
    /// MITRE ATT&CK technique, or empty.
    pub technique: String,
}

/// What a detection rule says of itself, unchecked: `detection.descriptor`.
#[derive(Debug, Clone)]
pub struct DetectionClaims {
    /// Names the rule in files, metrics and findings.
    pub id: String,
    /// Semantic version.
    pub version: String,
    /// Parts of the state's key.
    pub key: Vec<String>,
    /// Text fields it reads.
    pub reads: Vec<String>,
    /// Milliseconds.
    pub state_ttl: u64,
    /// Bytes one state may take.
    pub state_limit: u32,
    /// Findings it can emit.
    pub findings: Vec<KindClaim>,
}

impl TryFrom<DetectionClaims> for DetectionDescriptor {
    /// What is wrong with it.
    type Error = String;

    fn try_from(claims: DetectionClaims) -> Result<Self, String> {
        check(claims)
    }
}

fn check(descriptor: DetectionClaims) -> Result<DetectionDescriptor, String> {
    /// More than any rule needs.
    const MOST_KINDS: usize = 64;
    let named = |id: &str| {
        !id.is_empty()
            && id.len() <= 64
            && id
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    if !named(&descriptor.id) {
        return Err(format!(
            "its id `{}` is not kebab-case",
            descriptor.id.escape_default()
        ));
    }
    if descriptor.version.is_empty() || descriptor.version.len() > 64 {
        return Err("its version is empty or too long".to_owned());
    }
    if descriptor.key.is_empty() || descriptor.key.len() > 4 {
        return Err("its key must name one to four parts".to_owned());
    }
    if descriptor.findings.len() > MOST_KINDS {
        return Err(format!(
            "it declares more than {MOST_KINDS} kinds of finding"
        ));
    }
    if let Some(kind) = descriptor.findings.iter().find(|kind| !named(&kind.id)) {
        return Err(format!(
            "its kind of finding `{}` is not kebab-case",
            kind.id.escape_default()
        ));
    }
    Ok(DetectionDescriptor {
        reads: field_names(&descriptor.reads, "reads")?,
        id: descriptor.id.into(),
        version: descriptor.version.into(),
        key: descriptor.key,
        state_ttl: descriptor.state_ttl,
        state_limit: descriptor.state_limit,
        kinds: descriptor
            .findings
            .into_iter()
            .map(|kind| FindingKind {
                id: kind.id.into(),
                title: kind.title,
                severity: u8::try_from(kind.severity.min(10)).unwrap_or(10),
                technique: kind.technique.into(),
            })
            .collect(),
    })
}
