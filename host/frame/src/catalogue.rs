//! What a mapping rule says of itself, checked, and the annotations it hands
//! over once for all events.

use std::sync::Arc;

use sidewatch_event::{Activity, Annotation, Event, Field, FieldName};

use crate::block::field_names;

/// Severity that stands for "not set" on the wire.
const NO_SEVERITY: u32 = 255;

/// What a mapping rule says of itself, checked.
#[derive(Debug, Clone)]
pub struct MappingDescriptor {
    /// Names the rule in files and metrics.
    pub id: Arc<str>,
    /// Semantic version.
    pub version: Arc<str>,
    /// Text fields it reads.
    pub reads: Vec<FieldName>,
    /// Text fields it computes.
    pub writes: Vec<FieldName>,
    /// The catalogue.
    pub annotations: Vec<Arc<Annotation>>,
}

impl MappingDescriptor {
    /// Hangs an entry of the catalogue on an event. What the event states of
    /// itself stays: its own texts, and the activity they mean. A number that
    /// names none changes nothing.
    pub fn annotate(&self, event: &mut Event, annotation: u32) {
        if let Some(annotation) = self.annotations.get(annotation as usize) {
            event.suppressed |= annotation.suppress;
            if states_activity(event) {
                event.stated = true;
            } else {
                event.activity = annotation.activity;
            }
            event.annotation = Some(Arc::clone(annotation));
        }
    }

    /// Sets a text the rule computed. A number that names no field changes
    /// nothing.
    pub fn write(&self, event: &mut Event, field: u32, text: &str) {
        match self.writes.get(field as usize) {
            Some(FieldName::Field(field)) => event.set(*field, text),
            Some(FieldName::Label(label)) => event.set_label(label, text),
            None => {}
        }
    }
}

/// Whether the event itself says what was done, rather than a mapping before.
fn states_activity(event: &Event) -> bool {
    let mapped = event.annotation.as_deref();
    event.stated
        || event.activity != mapped.map_or(Activity::Other, |mapped| mapped.activity)
        || event.own(Field::EventAction).is_some()
        || event.own(Field::EventCategory).is_some()
}

/// Fields a mapping may not write: identity and evidence are the host's.
const RESERVED: [Field; 10] = [
    Field::DeviceId,
    Field::EventDataset,
    Field::EventOriginal,
    Field::HttpRequestId,
    Field::SessionId,
    Field::SourceAddress,
    Field::UrlOriginal,
    Field::LogFilePath,
    Field::UserId,
    Field::UserName,
];

/// One entry of a mapping's catalogue, unchecked: `mapping.annotation`.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the interface documents them")]
pub struct CatalogueEntry {
    pub action: String,
    pub category: Vec<String>,
    pub kinds: Vec<String>,
    pub outcome: String,
    pub code: String,
    pub name: String,
    pub severity: u32,
    pub product: String,
    pub suppress: bool,
}

/// What a mapping rule says of itself, unchecked: `mapping.descriptor`.
#[derive(Debug, Clone)]
pub struct MappingClaims {
    /// Names the rule in files and metrics.
    pub id: String,
    /// Semantic version.
    pub version: String,
    /// Text fields it reads.
    pub reads: Vec<String>,
    /// Text fields it computes.
    pub writes: Vec<String>,
    /// The catalogue.
    pub annotations: Vec<CatalogueEntry>,
}

impl TryFrom<MappingClaims> for MappingDescriptor {
    /// What is wrong with it.
    type Error = String;

    fn try_from(claims: MappingClaims) -> Result<Self, String> {
        check(claims)
    }
}

fn check(descriptor: MappingClaims) -> Result<MappingDescriptor, String> {
    /// More than any table needs; bounds what the host keeps.
    const MOST: usize = 16_384;
    if descriptor.id.is_empty() || descriptor.id.len() > 64 {
        return Err("its id is empty or too long".to_owned());
    }
    if descriptor.annotations.len() > MOST {
        return Err(format!("its catalogue has more than {MOST} entries"));
    }
    let writes = field_names(&descriptor.writes, "writes")?;
    if let Some(field) = RESERVED
        .into_iter()
        .find(|field| writes.contains(&FieldName::Field(*field)))
    {
        return Err(format!(
            "it writes `{}`, which only the host may set",
            field.name()
        ));
    }
    Ok(MappingDescriptor {
        reads: field_names(&descriptor.reads, "reads")?,
        writes,
        id: descriptor.id.into(),
        version: descriptor.version.into(),
        annotations: descriptor
            .annotations
            .into_iter()
            .map(|entry| Arc::new(annotation(entry)))
            .collect(),
    })
}

fn annotation(entry: CatalogueEntry) -> Annotation {
    let severity = match entry.severity {
        NO_SEVERITY => None,
        severity => u8::try_from(severity.min(10)).ok(),
    };
    let fields = [
        (Field::EventAction, entry.action),
        (Field::EventCategory, entry.category.join(",")),
        (Field::EventType, entry.kinds.join(",")),
        (Field::EventOutcome, entry.outcome),
        (Field::EventCode, entry.code),
        (Field::SidewatchName, entry.name),
        (Field::ObserverProduct, entry.product),
    ];
    Annotation::new(fields, severity, entry.suppress)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor() -> MappingDescriptor {
        let entry = |category: &str, outcome: &str| CatalogueEntry {
            action: "mapped".to_owned(),
            category: vec![category.to_owned()],
            kinds: vec!["start".to_owned()],
            outcome: outcome.to_owned(),
            code: String::new(),
            name: String::new(),
            severity: NO_SEVERITY,
            product: String::new(),
            suppress: false,
        };
        let claims = MappingClaims {
            id: "mapping".to_owned(),
            version: "1.0.0".to_owned(),
            reads: Vec::new(),
            writes: Vec::new(),
            annotations: vec![
                entry("web", "success"),
                entry("authentication", "failure"),
                entry("authentication", "success"),
            ],
        };
        claims.try_into().unwrap()
    }

    #[test]
    fn the_last_mapping_says_what_a_request_meant() {
        let mut event = Event::new();
        descriptor().annotate(&mut event, 1);
        assert_eq!(event.activity, Activity::LoginFailure);
        descriptor().annotate(&mut event, 2);
        assert_eq!(event.activity, Activity::LoginSuccess);
        descriptor().annotate(&mut event, 0);
        assert_eq!(event.activity, Activity::Other);
        descriptor().annotate(&mut event, 9);
        assert_eq!(event.get(Field::EventAction), Some("mapped"));
    }

    #[test]
    fn what_an_event_states_of_itself_stays() {
        let mut stated = Event::new();
        stated.activity = Activity::LoginFailure;
        let mut viewed = Event::new();
        viewed.set(Field::EventAction, "view");
        for annotation in 0..3 {
            descriptor().annotate(&mut stated, annotation);
            descriptor().annotate(&mut viewed, annotation);
            assert_eq!(stated.activity, Activity::LoginFailure);
            assert_eq!(viewed.activity, Activity::Other);
            assert_eq!(viewed.get(Field::EventAction), Some("view"));
        }
    }
}
