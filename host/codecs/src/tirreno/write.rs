//! Events and findings as forms.

use std::net::IpAddr;

use form_urlencoded::{Serializer, byte_serialize};
use sidewatch_event::{Activity, Delivery, Event, Evidence, Field, Finding};

use crate::evidence;
use crate::text::{cut, is_unsafe, push_visible};
use crate::time::Civil;

/// Longest request id Tirreno's column takes; a longer one loses the event.
const REQUEST_ID: usize = 36;

/// Most pieces of evidence of one finding, and the longest one, in bytes.
const MAX_ITEMS: usize = 64;
const ITEM: usize = 1000;

/// Methods Tirreno knows; it stores no others.
const METHODS: [&str; 11] = [
    "GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "OPTIONS", "LINK",
    "UNLINK",
];

/// Why an event cannot be sent to Tirreno.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnsendableError {
    /// Tirreno would store 0.0.0.0 instead.
    #[error("the event has no source address, which tirreno requires")]
    NoAddress,
}

/// Appends the form body for one event or finding. `now` (milliseconds since
/// the epoch) is the upper bound of `eventTime`: one event from the future
/// would break up the account's sessions from then on.
///
/// An event without a user is filed under the network of its address
/// (`203.0.113.*`), as Tirreno's own tracker does for visitors, and never
/// under the one account Tirreno keeps for all events without a name.
///
/// # Errors
/// The event has no address; nothing has been written then.
pub fn encode_form(delivery: &Delivery, now: i64, out: &mut String) -> Result<(), UnsendableError> {
    let event = delivery.event();
    let address = event
        .source_ip
        .or(event.peer_ip)
        .ok_or(UnsendableError::NoAddress)?
        .to_canonical();
    let mut form = Form(Serializer::new(std::mem::take(out)));
    form.text("ipAddress", &address.to_string(), 64);
    match delivery {
        Delivery::Event(event) => {
            let time = if event.time > 0 {
                event.time
            } else {
                event.received
            };
            form.time(if time > 0 { time } else { now }, now);
            write_event(event, &mut form);
        }
        Delivery::Finding(finding) => {
            form.time(finding.time, now);
            write_finding(finding, &mut form);
        }
    }
    write_user(event, address, &mut form);
    form.field("userAgent", event, Field::UserAgentOriginal, 511);
    form.field("browserLanguage", event, Field::ClientLanguage, 255);
    *out = form.0.finish();
    Ok(())
}

/// Value of the `X-Request-Id` header to send with the form: the event's
/// request id when it fits into 36 bytes and into a header.
#[must_use]
pub fn request_id(delivery: &Delivery) -> Option<&str> {
    let fits = |id: &&str| {
        !id.is_empty() && id.len() <= REQUEST_ID && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    delivery.event().get(Field::HttpRequestId).filter(fits)
}

/// A form being written; absent and empty texts are left out.
struct Form(Serializer<'static, String>);

impl Form {
    fn text(&mut self, name: &str, value: &str, limit: usize) {
        let clean = visible(value);
        if !clean.is_empty() {
            self.0.append_pair(name, cut(&clean, limit));
        }
    }

    fn field(&mut self, name: &str, event: &Event, field: Field, limit: usize) {
        self.text(name, event.get(field).unwrap_or_default(), limit);
    }

    fn time(&mut self, time: i64, now: i64) {
        let mut text = String::with_capacity(24);
        Civil::from_epoch(time.clamp(1, now.max(1)), 0).write(' ', &mut text);
        self.0.append_pair("eventTime", &text);
    }
}

/// A text without what PHP or PostgreSQL would cut or refuse.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unsafe(character) {
            push_visible(character, &mut out);
        } else {
            out.push(character);
        }
    }
    out
}

fn write_event(event: &Event, form: &mut Form) {
    let kind = event_type(event);
    form.text("url", &url(event), 2047);
    form.text("eventType", kind, 100);
    let method = event.get(Field::HttpRequestMethod).unwrap_or_default();
    if METHODS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(method))
    {
        form.text("httpMethod", method, 100);
    }
    form.text("httpReferer", &referrer(event), 2047);
    // With 400 or more Tirreno makes a page error of any type. That would
    // hide a failed login, which is mostly answered with 401.
    if (100..=599).contains(&event.status) && (event.status < 400 || kind.starts_with("page_")) {
        form.text("httpCode", itoa::Buffer::new().format(event.status), 3);
    }
}

/// The target as received; events without one are filed under what they are.
fn url(event: &Event) -> String {
    match event
        .get(Field::UrlOriginal)
        .or_else(|| event.get(Field::UrlPath))
    {
        Some(url) => url.to_owned(),
        None => {
            let dataset = event.get(Field::EventDataset).unwrap_or("sidewatch");
            format!(
                "/{dataset}/{}",
                event.get(Field::EventAction).unwrap_or_default()
            )
        }
    }
}

fn event_type(event: &Event) -> &'static str {
    match event.activity {
        Activity::LoginSuccess => "account_login",
        Activity::LoginFailure | Activity::MfaFailure => "account_login_fail",
        Activity::Logout => "account_logout",
        Activity::PasswordChange => "account_password_change",
        Activity::TokenCreation | Activity::MfaRemoval => "account_edit",
        Activity::PermissionDenied => "page_error",
        Activity::MfaPrompt => "page_view",
        Activity::Other => match event.get(Field::HttpRequestMethod).unwrap_or_default() {
            _ if event.status >= 400 => "page_error",
            "PUT" | "PATCH" => "page_edit",
            "DELETE" => "page_delete",
            _ => "page_view",
        },
    }
}

/// The referrer percent-encoded once; the form encodes it a second time. Cut
/// so that no encoded character is torn apart.
fn referrer(event: &Event) -> String {
    let mut encoded = String::new();
    for character in visible(event.get(Field::HttpRequestReferrer).unwrap_or_default()).chars() {
        let before = encoded.len();
        encoded.extend(byte_serialize(
            character.encode_utf8(&mut [0; 4]).as_bytes(),
        ));
        if encoded.len() > 2047 {
            encoded.truncate(before);
            break;
        }
    }
    encoded
}

fn write_user(event: &Event, address: IpAddr, form: &mut Form) {
    let named = [Field::UserName, Field::UserId, Field::UserEmail]
        .into_iter()
        .find_map(|field| event.get(field).filter(|name| !name.trim().is_empty()));
    match named {
        Some(name) => form.text("userName", name, 100),
        None => form.text("userName", &network(address), 100),
    }
    let email = event.get(Field::UserEmail).unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_graphic();
    if email.len() <= 255
        && email.bytes().all(is_plain)
        && email.split('@').filter(|part| !part.is_empty()).count() == 2
    {
        form.text("emailAddress", email, 255);
    }
}

/// `203.0.113.*`, or the first three groups of an IPv6 address.
fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.*")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:*")
        }
    }
}

/// Tirreno shows the field history of `field_edit` events in their panel, so
/// that is where the evidence goes, one entry per piece.
fn write_finding(finding: &Finding, form: &mut Form) {
    form.text(
        "url",
        &format!("/sidewatch/{}/{:016x}", finding.kind, finding.incident),
        2047,
    );
    form.text("pageTitle", &finding.title, 255);
    form.text("eventType", "field_edit", 100);
    let mut items = vec![
        item("finding", &finding.title),
        item("severity", &finding.severity.to_string()),
        item("score", &finding.score.to_string()),
        item(
            "rule",
            &format!("{} {}", finding.rule, finding.rule_version),
        ),
        item("occurrence", &finding.occurrence.to_string()),
    ];
    if !finding.technique.is_empty() {
        items.push(item("technique", &finding.technique));
    }
    items.extend(
        finding
            .evidence
            .iter()
            .take(MAX_ITEMS)
            .enumerate()
            .map(|(at, piece)| {
                let before = finding
                    .evidence
                    .iter()
                    .take(at)
                    .filter(|other| other.name == piece.name)
                    .count();
                evidence_item(piece, before)
            }),
    );
    form.0
        .append_pair("fieldHistory", &serde_json::Value::Array(items).to_string());
}

fn evidence_item(piece: &Evidence, before: usize) -> serde_json::Value {
    let text = evidence::value(&piece.value);
    if before == 0 {
        item(&piece.name, &text)
    } else {
        item(&format!("{}_{}", piece.name, before + 1), &text)
    }
}

fn item(name: &str, value: &str) -> serde_json::Value {
    let name = visible(name);
    let value = visible(value);
    serde_json::json!({
        "field_id": cut(&format!("sidewatch.{name}"), 100),
        "field_name": cut(&name, 100),
        "new_value": cut(&value, ITEM),
    })
}
