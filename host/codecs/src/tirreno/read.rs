//! Forms of applications that already have one of Tirreno's trackers.

use std::borrow::Cow;
use std::net::IpAddr;

use sidewatch_event::{Activity, Event, Field};

use crate::{DecodeError, redact, target, time};

/// Reads a form body sent to our Tirreno-compatible `POST /sensor/`. Of
/// repeated names the last counts, unknown names are ignored; payloads and
/// field histories, which may hold anything, are not kept.
///
/// # Errors
/// `ipAddress` or `url` is missing, or the address is none.
pub fn decode_form(body: &[u8], event: &mut Event) -> Result<(), DecodeError> {
    let mut address = None;
    let mut url = None;
    let mut kind = None;
    let mut method = None;
    event.time = event.received;
    for (name, value) in form_urlencoded::parse(body) {
        match &*name {
            "ipAddress" => address = Some(value),
            "url" => url = Some(value),
            "eventType" => kind = Some(value),
            "httpMethod" => method = Some(value),
            "eventTime" => event.time = time::parse_utc(&value).unwrap_or(event.received),
            "httpCode" => {
                event.status = value
                    .parse()
                    .ok()
                    .filter(|code| *code <= 999)
                    .unwrap_or_default();
            }
            "httpReferer" => {
                // Senders encode it twice; Tirreno decodes it twice.
                let referrer = decode_again(&value);
                event.set_with(Field::HttpRequestReferrer, |out| {
                    redact::url(&referrer, out);
                });
            }
            "userName" => set(event, Field::UserName, &value),
            "emailAddress" => set(event, Field::UserEmail, &value),
            "userAgent" => set(event, Field::UserAgentOriginal, &value),
            "browserLanguage" => set(event, Field::ClientLanguage, &value),
            "pageTitle" => event.set_label("page_title", &value),
            _ => {}
        }
    }
    let address = address.ok_or(DecodeError::Missing { field: "ipAddress" })?;
    let url = url.ok_or(DecodeError::Missing { field: "url" })?;
    let invalid = |_| DecodeError::Field {
        column: 1,
        field: "ipAddress".into(),
        expected: "an IP address without port",
    };
    event.source_ip = Some(
        address
            .trim()
            .parse::<IpAddr>()
            .map_err(invalid)?
            .to_canonical(),
    );
    event.set(Field::EventDataset, "tirreno.sensor");
    set(
        event,
        Field::HttpRequestMethod,
        &method.unwrap_or_default().to_ascii_uppercase(),
    );
    if !url.is_empty() {
        let origin = target::set_target(event, "", &url);
        set(event, Field::UrlScheme, origin.scheme);
        target::set_domain(event, origin.authority);
    }
    set_kind(event, &kind.unwrap_or_default().to_ascii_lowercase());
    Ok(())
}

fn set(event: &mut Event, field: Field, value: &str) {
    if !value.is_empty() {
        event.set(field, value);
    }
}

fn decode_again(value: &str) -> String {
    let plain = value.replace('+', " ");
    match percent_encoding::percent_decode_str(&plain).decode_utf8() {
        Ok(text) => text.into_owned(),
        Err(_) => Cow::Borrowed(value).into_owned(),
    }
}

/// ECS action, category, type and outcome of an event type.
fn set_kind(event: &mut Event, kind: &str) {
    let (action, category, ecs_type, outcome) = match kind {
        "account_login" => ("login", "authentication", "start", "success"),
        "account_login_fail" => ("login", "authentication", "start", "failure"),
        "account_logout" => ("logout", "authentication", "end", "success"),
        "account_password_change" => ("password-changed", "iam", "change", "success"),
        "account_email_change" => ("email-changed", "iam", "change", "success"),
        "account_registration" => ("user-created", "iam", "creation", "success"),
        "account_edit" => ("user-edited", "iam", "change", "success"),
        "page_edit" | "field_edit" => ("edit", "web", "change", "success"),
        "page_delete" => ("delete", "web", "deletion", "success"),
        "page_search" => ("search", "web", "access", "success"),
        "page_error" => ("view", "web", "access", "failure"),
        _ => ("view", "web", "access", "unknown"),
    };
    event.set(Field::EventAction, action);
    event.set(Field::EventCategory, category);
    event.set(Field::EventType, ecs_type);
    event.set(Field::EventOutcome, outcome);
    event.activity = Activity::from_ecs(category, ecs_type, outcome, action);
}
