//! What Tirreno makes of a form.

use std::net::IpAddr;

use serde_json::{Map, Value as Json};

use super::form::{Form, Value};

const EVENT_TYPES: [&str; 13] = [
    "page_view",
    "page_edit",
    "page_delete",
    "page_search",
    "account_login",
    "account_logout",
    "account_login_fail",
    "account_registration",
    "account_email_change",
    "account_password_change",
    "account_edit",
    "page_error",
    "field_edit",
];

const METHODS: [&str; 11] = [
    "get", "post", "head", "put", "delete", "patch", "trace", "connect", "options", "link",
    "unlink",
];

/// Longest `X-Request-Id` the column takes.
const LONGEST_TRACE_ID: usize = 36;

/// Largest `httpCode` the column takes.
const LARGEST_CODE: u64 = 32_767;

/// One stored event.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Record {
    /// `ipAddress`; `0.0.0.0` when it was invalid.
    pub ip: String,
    /// `url` up to the question mark.
    pub url: String,
    /// `url` after the question mark.
    pub query: Option<String>,
    /// `eventTime` to the millisecond, as sent; `None` when Tirreno took its
    /// own clock.
    pub time: Option<String>,
    /// One of the thirteen types.
    pub event_type: String,
    /// `userName`; `N/A` when unknown.
    pub user_name: String,
    /// `emailAddress`.
    pub email: Option<String>,
    /// `fullName`.
    pub full_name: Option<String>,
    /// `pageTitle`.
    pub page_title: Option<String>,
    /// `userAgent`.
    pub user_agent: Option<String>,
    /// `browserLanguage`.
    pub language: Option<String>,
    /// `httpMethod`, when known.
    pub method: Option<String>,
    /// `httpReferer`.
    pub referer: Option<String>,
    /// `httpCode`.
    pub http_code: u16,
    /// `payload`, for the two types that have one.
    pub payload: Option<Json>,
    /// `fieldHistory`, for `field_edit`.
    pub field_history: Vec<Json>,
    /// `X-Request-Id`.
    pub trace_id: Option<String>,
    /// Names of fields that were replaced by something else.
    pub warnings: Vec<String>,
}

impl Record {
    /// The texts of payload and field history the event panel shows.
    #[must_use]
    pub fn panel(&self) -> Vec<String> {
        let payload = self.payload.iter().filter(|_| {
            matches!(
                self.event_type.as_str(),
                "page_search" | "account_email_change"
            )
        });
        let texts = payload
            .chain(&self.field_history)
            .filter_map(Json::as_object)
            .flat_map(Map::values);
        texts
            .map(|value| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            })
            .collect()
    }
}

/// What became of an accepted event.
pub(super) enum Fate {
    /// In the database.
    Stored(Box<Record>),
    /// Answered 204 all the same; why.
    Lost(String),
}

/// Interprets a form whose required fields are there.
pub(super) fn store(form: &Form, request_id: Option<&str>) -> Fate {
    match read(form, request_id) {
        Ok(record) => Fate::Stored(Box::new(record)),
        Err(why) => Fate::Lost(why),
    }
}

fn read(form: &Form, request_id: Option<&str>) -> Result<Record, String> {
    if request_id.is_some_and(|id| id.len() > LONGEST_TRACE_ID) {
        return Err("X-Request-Id is too long".into());
    }
    let mut record = Record {
        trace_id: request_id.map(str::to_owned),
        ..Record::default()
    };
    let url = text(form.value("url"), "url")?.unwrap_or_default();
    (record.url, record.query) = match url.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (url, None),
    };
    record.ip = address(
        &text(form.value("ipAddress"), "ipAddress")?.unwrap_or_default(),
        &mut record.warnings,
    );
    record.time = time(
        text(form.value("eventTime"), "eventTime")?,
        &mut record.warnings,
    )?;
    record.email = text(form.value("emailAddress"), "emailAddress")?
        .map(|email| mail_address(&email, &mut record.warnings));
    record.user_name = match (text(form.value("userName"), "userName")?, &record.email) {
        (Some(name), _) => name,
        (None, Some(email)) => format!("md5({email})"),
        (None, None) => "N/A".into(),
    };
    record.full_name = text(form.value("fullName"), "fullName")?;
    record.page_title = text(form.value("pageTitle"), "pageTitle")?;
    record.user_agent = text(form.value("userAgent"), "userAgent")?;
    record.language = text(form.value("browserLanguage"), "browserLanguage")?;
    record.method = text(form.value("httpMethod"), "httpMethod")?.filter(|method| {
        METHODS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(method))
    });
    record.referer = text(form.referer(), "httpReferer")?;
    record.http_code = code(
        text(form.value("httpCode"), "httpCode")?,
        &mut record.warnings,
    )?;
    let wanted = text(form.value("eventType"), "eventType")?.unwrap_or_default();
    let known = EVENT_TYPES
        .iter()
        .find(|name| name.eq_ignore_ascii_case(&wanted))
        .copied();
    let sent_type = known.unwrap_or("page_view");
    record.event_type = if record.http_code >= 400 {
        "page_error"
    } else {
        sent_type
    }
    .to_owned();
    add_details(&mut record, form, sent_type)?;
    Ok(record)
}

fn text(value: Value, name: &str) -> Result<Option<String>, String> {
    match value {
        Value::Absent => Ok(None),
        Value::Text(text) => Ok(Some(text)),
        Value::Unstorable => Err(format!(
            "{name} was cut or decoded into bytes that are no UTF-8"
        )),
    }
}

fn address(text: &str, warnings: &mut Vec<String>) -> String {
    let text = text.replace(' ', "");
    if text.parse::<IpAddr>().is_ok() {
        return text;
    }
    warnings.push("ipAddress".into());
    "0.0.0.0".into()
}

fn mail_address(text: &str, warnings: &mut Vec<String>) -> String {
    let text = text.replace(' ', "").to_lowercase();
    let valid = text
        .split_once('@')
        .is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.'));
    if valid {
        return text;
    }
    warnings.push("emailAddress".into());
    "broken@user.local".into()
}

fn code(text: Option<String>, warnings: &mut Vec<String>) -> Result<u16, String> {
    let Some(text) = text else { return Ok(0) };
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        warnings.push("httpCode".into());
        return Ok(0);
    }
    let number = text.parse().unwrap_or(u64::MAX);
    u16::try_from(number)
        .ok()
        .filter(|_| number <= LARGEST_CODE)
        .ok_or_else(|| "httpCode is out of range".into())
}

/// `Y-m-d H:i:s`, then one to six decimals or none.
fn time(text: Option<String>, warnings: &mut Vec<String>) -> Result<Option<String>, String> {
    let Some(text) = text else {
        warnings.push("eventTime".into());
        return Ok(None);
    };
    let (seconds, decimals) = text
        .split_once('.')
        .map_or((text.as_str(), None), |(s, d)| (s, Some(d)));
    let shape: String = seconds
        .chars()
        .map(|one| if one.is_ascii_digit() { '0' } else { one })
        .collect();
    let digits = |part: &str| {
        (1..=6).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if shape != "0000-00-00 00:00:00" || !decimals.is_none_or(digits) {
        warnings.push("eventTime".into());
        return Ok(None);
    }
    if seconds.starts_with("0000-00-00") {
        return Err("eventTime is no date".into());
    }
    Ok(Some(match decimals {
        Some(decimals) => format!("{seconds}.{decimals:.3}"),
        None => seconds.to_owned(),
    }))
}

/// Payload and field history. A status of 400 or above turns the type into
/// `page_error`, which drops the history but keeps the payload.
fn add_details(record: &mut Record, form: &Form, sent_type: &str) -> Result<(), String> {
    let parse =
        |text: Option<String>| text.and_then(|text| serde_json::from_str::<Json>(&text).ok());
    let payload_keys: &[&str] = match sent_type {
        "page_search" => &["field_id", "value", "field_name"],
        "account_email_change" => &["new_value", "old_value"],
        _ => &[],
    };
    if !payload_keys.is_empty() {
        let required = payload_keys
            .len()
            .min(if sent_type == "page_search" { 2 } else { 1 });
        match parse(text(form.value("payload"), "payload")?) {
            Some(Json::Object(sent)) => {
                record.payload = Some(pick(
                    &sent,
                    payload_keys,
                    required,
                    "payload",
                    &mut record.warnings,
                ));
            }
            _ => record.warnings.push("payload".into()),
        }
    }
    if record.event_type == "field_edit" {
        let keys = [
            "field_id",
            "new_value",
            "field_name",
            "old_value",
            "parent_id",
            "parent_name",
        ];
        match parse(text(form.value("fieldHistory"), "fieldHistory")?) {
            Some(Json::Array(items)) => {
                for item in items.iter().filter_map(Json::as_object) {
                    record.field_history.push(pick(
                        item,
                        &keys,
                        2,
                        "fieldHistory",
                        &mut record.warnings,
                    ));
                }
            }
            _ => record.warnings.push("fieldHistory".into()),
        }
    }
    Ok(())
}

/// Keeps the known keys; the first `required` of them become `unknown` when
/// they are missing.
fn pick(
    sent: &Map<String, Json>,
    keys: &[&str],
    required: usize,
    field: &str,
    warnings: &mut Vec<String>,
) -> Json {
    let mut kept = Map::new();
    for (at, key) in keys.iter().enumerate() {
        match sent.get(*key) {
            Some(Json::String(value)) => kept.insert((*key).into(), Json::String(value.clone())),
            Some(value) => kept.insert((*key).into(), Json::String(value.to_string())),
            None if at < required => {
                warnings.push(field.into());
                kept.insert((*key).into(), "unknown".into())
            }
            None => None,
        };
    }
    Json::Object(kept)
}
