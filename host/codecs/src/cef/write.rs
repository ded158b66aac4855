//! Writing: which part of an event is which key.

use sidewatch_event::{Delivery, Event, Field, Finding, NetworkKind};

use super::{CefSettings, Layout, request};
use crate::evidence;
use crate::text::{is_unsafe, push_visible};

/// Longest header field, in bytes.
const HEADER: usize = 512;

/// Text fields of an event and the keys they have, with the longest value
/// the format's key dictionary allows, in bytes.
const KEYS: [(Field, &str, usize); 17] = [
    (Field::EventAction, "act", 63),
    (Field::EventOutcome, "outcome", 63),
    (Field::EventReason, "reason", 1023),
    (Field::NetworkProtocol, "app", 31),
    (Field::ObserverHostname, "dvchost", 100),
    (Field::ServerAddress, "destinationServiceName", 1023),
    (Field::UserName, "suser", 1023),
    (Field::UserId, "suid", 1023),
    (Field::UserDomain, "sntdom", 255),
    (Field::UserRoles, "spriv", 1023),
    (Field::UserTargetName, "duser", 1023),
    (Field::UserTargetId, "duid", 1023),
    (Field::UrlDomain, "dhost", 1023),
    (Field::HttpRequestMethod, "requestMethod", 1023),
    (Field::UrlOriginal, "request", 1023),
    (Field::UserAgentOriginal, "requestClientApplication", 1023),
    (Field::HttpRequestReferrer, "requestContext", 2048),
];

/// Custom strings of an event, with their labels.
const CUSTOM: [(Field, &str, &str, &str); 5] = [
    (Field::SessionId, "cs1", "cs1Label", "session"),
    (Field::DeviceId, "cs2", "cs2Label", "device"),
    (Field::SidewatchSite, "cs3", "cs3Label", "site"),
    (
        Field::HttpRequestForwarded,
        "cs4",
        "cs4Label",
        "xForwardedFor",
    ),
    (Field::HttpRequestId, "cs5", "cs5Label", "requestId"),
];

/// Custom strings that hold the first pieces of a finding's evidence.
const EVIDENCE: [(&str, &str); 4] = [
    ("cs1", "cs1Label"),
    ("cs2", "cs2Label"),
    ("cs3", "cs3Label"),
    ("cs4", "cs4Label"),
];

/// Longest custom string and message, in bytes.
const CUSTOM_LENGTH: usize = 4000;
const MESSAGE_LENGTH: usize = 1023;

/// Appends one record, without a line end.
pub fn encode(delivery: &Delivery, settings: &CefSettings, out: &mut Vec<u8>) {
    match delivery {
        Delivery::Event(event) => encode_event(event, settings, out),
        Delivery::Finding(finding) => {
            let mut text = String::with_capacity(1024);
            write_finding(finding, settings, &mut text);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// Appends one event as a record, without a line end.
pub fn encode_event(event: &Event, settings: &CefSettings, out: &mut Vec<u8>) {
    let severity = event.severity_or_mapped();
    match settings.layout {
        Layout::Request => request::write(event, severity, settings, out),
        Layout::Full => {
            let mut text = String::with_capacity(1024);
            write_event(event, severity, settings, &mut text);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// The first of these fields that holds something.
fn first<'e>(event: &'e Event, fields: &[Field]) -> Option<&'e str> {
    fields
        .iter()
        .find_map(|field| event.get(*field).filter(|text| !text.is_empty()))
}

/// Device event class id and name.
pub(super) fn class_and_name(event: &Event) -> (&str, &str) {
    use Field::{EventAction, EventCode, EventDataset, SidewatchName};
    let class = first(event, &[EventCode, EventAction, EventDataset]);
    let name = first(event, &[SidewatchName, EventAction, EventDataset]);
    (class.unwrap_or("event"), name.unwrap_or("event"))
}

/// When it happened, else when it was received.
pub(super) fn event_time(event: &Event) -> i64 {
    if event.time == 0 {
        event.received
    } else {
        event.time
    }
}

fn write_event(event: &Event, severity: u8, settings: &CefSettings, out: &mut String) {
    let (class, name) = class_and_name(event);
    write_header(event, settings, class, name, severity, out);
    let mut extension = Extension { out, first: true };
    extension.add("rt", &event_time(event).to_string(), 32);
    extension.add("externalId", &format!("{:032x}", event.id), 40);
    extension.add(
        "cat",
        event.get(Field::EventCategory).unwrap_or_default(),
        MESSAGE_LENGTH,
    );
    who_and_where(event, &mut extension);
    for (field, key, label, name) in CUSTOM {
        if let Some(text) = event.get(field) {
            extension.labelled(key, label, name, text);
        }
    }
    let mut labels = String::new();
    for (name, text) in event.labels() {
        labels.push_str(if labels.is_empty() { "" } else { "; " });
        labels.push_str(name);
        labels.push('=');
        labels.push_str(text);
    }
    extension.labelled("cs6", "cs6Label", "labels", &labels);
    let message = first(event, &[Field::Message, Field::ErrorMessage]).unwrap_or_default();
    extension.add("msg", message, MESSAGE_LENGTH);
}

fn write_finding(finding: &Finding, settings: &CefSettings, out: &mut String) {
    let event = &finding.event;
    write_header(
        event,
        settings,
        &finding.kind,
        &finding.title,
        finding.severity,
        out,
    );
    let mut extension = Extension { out, first: true };
    extension.add("rt", &finding.time.to_string(), 32);
    extension.add("externalId", &format!("{:032x}", finding.id), 40);
    extension.add("cat", &finding.technique, MESSAGE_LENGTH);
    who_and_where(event, &mut extension);
    let mut message = String::new();
    for (at, item) in finding.evidence.iter().enumerate() {
        let text = evidence::value(&item.value);
        message.push_str(if at == 0 { "" } else { "; " });
        message.push_str(&item.name);
        message.push('=');
        message.push_str(&text);
        if let Some((key, label)) = EVIDENCE.get(at) {
            extension.labelled(key, label, &item.name, &text);
        }
    }
    extension.labelled(
        "cs5",
        "cs5Label",
        "incident",
        &format!("{:016x}", finding.incident),
    );
    extension.labelled(
        "cs6",
        "cs6Label",
        "rule",
        &format!("{} {}", finding.rule, finding.rule_version),
    );
    extension.labelled(
        "cn3",
        "cn3Label",
        "occurrence",
        &finding.occurrence.to_string(),
    );
    extension.labelled("cfp1", "cfp1Label", "score", &finding.score.to_string());
    extension.add("msg", &message, MESSAGE_LENGTH);
}

fn write_header(
    event: &Event,
    settings: &CefSettings,
    class: &str,
    name: &str,
    severity: u8,
    out: &mut String,
) {
    let product = event
        .get(Field::ObserverProduct)
        .filter(|text| !text.is_empty())
        .unwrap_or(&settings.product);
    out.push_str("CEF:0|");
    for field in [&settings.vendor, product, &settings.version, class, name] {
        push_escaped(field, HEADER, out, |character, out| match character {
            '\\' | '|' => out.extend(['\\', character]),
            _ if is_unsafe(character) => push_visible(character, out),
            _ => out.push(character),
        });
        out.push('|');
    }
    out.push_str(itoa::Buffer::new().format(severity.min(10)));
    out.push('|');
}

fn who_and_where(event: &Event, extension: &mut Extension<'_>) {
    if let Some(address) = event.source_ip.or(event.peer_ip) {
        extension.add("src", &address.to_string(), 64);
    }
    for (key, number) in [("spt", event.source_port), ("dpt", event.server_port)] {
        if number > 0 {
            extension.add(key, &number.to_string(), 8);
        }
    }
    for (field, key, longest) in KEYS {
        if let Some(text) = event.get(field) {
            extension.add(key, text, longest);
        }
    }
    if let Some(bytes) = event.response_bytes {
        extension.add("out", &bytes.to_string(), 24);
    }
    if event.status > 0 {
        extension.labelled("cn1", "cn1Label", "httpStatus", &event.status.to_string());
    }
    if event.as_number > 0 {
        extension.labelled(
            "cn2",
            "cn2Label",
            "sourceAsNumber",
            &event.as_number.to_string(),
        );
    }
    if let Some(place) = event.location {
        extension.add("slat", &place.latitude.to_string(), 32);
        extension.add("slong", &place.longitude.to_string(), 32);
    }
    let country = event
        .get(Field::SourceGeoCountryIsoCode)
        .unwrap_or_default();
    extension.labelled("flexString2", "flexString2Label", "sourceCountry", country);
    if event.network_kind != NetworkKind::Unknown {
        extension.labelled(
            "flexString1",
            "flexString1Label",
            "networkKind",
            event.network_kind.as_str(),
        );
    }
}

/// Appends as many whole characters as fit into `longest` bytes once they are
/// escaped: what a client fills with `=` must not grow beyond its bound.
fn push_escaped(value: &str, longest: usize, out: &mut String, escape: impl Fn(char, &mut String)) {
    let end = out.len() + longest;
    for character in value.chars() {
        let before = out.len();
        escape(character, out);
        if out.len() > end {
            out.truncate(before);
            break;
        }
    }
}

/// `key=value` pairs being written; empty values are left out.
struct Extension<'o> {
    out: &'o mut String,
    first: bool,
}

impl Extension<'_> {
    fn add(&mut self, key: &'static str, value: &str, longest: usize) {
        if value.is_empty() {
            return;
        }
        if !self.first {
            self.out.push(' ');
        }
        self.first = false;
        self.out.push_str(key);
        self.out.push('=');
        push_escaped(value, longest, self.out, |character, out| match character {
            '\\' | '=' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            _ if is_unsafe(character) => push_visible(character, out),
            _ => out.push(character),
        });
    }

    fn labelled(&mut self, key: &'static str, label_key: &'static str, label: &str, value: &str) {
        if !value.is_empty() {
            self.add(label_key, label, MESSAGE_LENGTH);
            self.add(key, value, CUSTOM_LENGTH);
        }
    }
}
