//! Records written as plain text: `LEVEL | [time] | msg | key=value …`.
//!
//! Nothing in them is quoted, and what stands in them is chosen by clients (the
//! name tried at a login, the user agent). So they are read from both ends by
//! the few texts the server writes itself, whatever does not fit is refused,
//! and every event from one is marked as of low trust. A line break in a value
//! splits a record: its first half is read and flagged, the second refused.

use super::record::{Form, Piece, Record, Slot};
use crate::DecodeError;

const EXPECTED: &str =
    "a plain audit record: `LEVEL | [time] | | event_name=… status=… actor={…} …`";

/// Whether the text may be a plain record.
pub(super) fn looks_plain(text: &str) -> bool {
    text.starts_with("audit-")
}

/// Takes one record apart.
pub(super) fn read(text: &str) -> Result<Record<'_>, DecodeError> {
    parse(text).ok_or(DecodeError::Json {
        column: 1,
        expected: EXPECTED,
    })
}

fn parse(text: &str) -> Option<Record<'_>> {
    let mut record = Record::new(Form::Plain);
    record.nested = true;
    let level_end = text.find(|one: char| !one.is_ascii_alphanumeric() && one != '-')?;
    let (level, rest) = text.split_at_checked(level_end)?;
    if !level.starts_with("audit-") {
        return None;
    }
    record.put_plain(Slot::Level, level);
    let (head, rest) = rest.split_once("event_name=")?;
    if let Some((_, time)) = head.split_once('[') {
        record.put_plain(Slot::Timestamp, time.split_once(']')?.0);
    }
    let (name, rest) = rest.split_once(" status=")?;
    let (status, rest) = rest.split_once(" actor={")?;
    if !is_word(name) || !is_word(status) {
        return None;
    }
    record.put(Slot::Event, Piece::plain(name));
    record.put_plain(Slot::Status, status);
    let Some((actor, rest)) = rest.split_once("} event={") else {
        // Cut by a line break within the user agent.
        record.truncated = true;
        return Some(record);
    };
    actor_of(actor, &mut record);
    // From the end: the server's own words are more likely the last ones.
    let (body, error) = match rest.rsplit_once(" error={") {
        Some((body, error)) if error.ends_with('}') => (body, error.strip_suffix('}')),
        _ => {
            record.truncated = true;
            (rest, None)
        }
    };
    if let Some(error) = error {
        let (text, code) = error.rsplit_once(' ').unwrap_or(("", error));
        record.put_plain(Slot::Error, text);
        if code != "0" {
            record.put_plain(Slot::StatusCode, code);
        }
    }
    let (event, meta) = body.rsplit_once("} meta=map[").unwrap_or((body, ""));
    maps_of(event, meta.strip_suffix(']').unwrap_or(meta), &mut record);
    Some(record)
}

fn is_word(text: &str) -> bool {
    text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `USER SESSION agent… ADDRESS FORWARDED`: identifiers may be empty, the
/// agent holds blanks, the last part is absent before v9 and a list after.
fn actor_of<'a>(actor: &'a str, record: &mut Record<'a>) {
    let Some((user, rest)) = actor.split_once(' ') else {
        return;
    };
    let Some((session, rest)) = rest.split_once(' ') else {
        return;
    };
    if !is_word(user) || !is_word(session) {
        return;
    }
    let (client, address, forwarded) = addresses(rest);
    record.put_plain(Slot::Actor, user);
    record.put_plain(Slot::Session, session);
    record.put_plain(Slot::Client, client);
    record.put_plain(Slot::Address, address);
    record.put_plain(Slot::Forwarded, forwarded);
}

fn addresses(rest: &str) -> (&str, &str, &str) {
    let is_address = |word: &str| {
        word.trim_end_matches(',')
            .parse::<std::net::IpAddr>()
            .is_ok()
    };
    // From v9 on there is always a forwarded part, be it empty.
    if let Some(rest) = rest.strip_suffix(' ') {
        let (client, address) = rest.rsplit_once(' ').unwrap_or(("", rest));
        return if is_address(address) {
            (client, address, "")
        } else {
            (rest, "", "")
        };
    }
    let (mut before, last) = rest.rsplit_once(' ').unwrap_or(("", rest));
    if !is_address(last) {
        return (rest, "", "");
    }
    let mut start = rest.len() - last.len();
    // The list of forwarded addresses: all but its last end in a comma.
    while let Some((earlier, word)) = before.rsplit_once(' ') {
        if !(word.ends_with(',') && is_address(word)) {
            break;
        }
        start = before.len() - word.len();
        before = earlier;
    }
    let forwarded = rest.get(start..).unwrap_or_default();
    let (client, address) = before.rsplit_once(' ').unwrap_or(("", before));
    if is_address(address) && !address.ends_with(',') {
        (client, address, forwarded)
    } else {
        (before, last, "")
    }
}

/// `map[device_id: login_id:x] map[…] map[…] TYPE` and `api_path:… cluster_id:…`.
/// Only values that cannot hold blanks are taken, and the login's name, which
/// ends the parameters.
fn maps_of<'a>(event: &'a str, meta: &'a str, record: &mut Record<'a>) {
    let word_after = |text: &'a str, key: &str| {
        let rest = text.split_once(key)?.1;
        rest.split([' ', ']']).next()
    };
    record.put_plain(
        Slot::ApiPath,
        word_after(meta, "api_path:").unwrap_or_default(),
    );
    record.put_plain(
        Slot::Cluster,
        word_after(meta, "cluster_id:").unwrap_or_default(),
    );
    let parameters = event.strip_prefix("map[").unwrap_or(event);
    if let Some((_, login)) = parameters.split_once("login_id:") {
        let end = login.find("] map[").unwrap_or(login.len());
        record.put_plain(Slot::Login, login.get(..end).unwrap_or_default());
    }
    for (key, slot) in [
        ("user_id:", Slot::TargetId),
        ("token_id:", Slot::TokenId),
        ("session_id:", Slot::TargetSession),
        ("active:", Slot::Switch),
    ] {
        // The login's name is the client's own: nothing is taken from there.
        if record.get(Slot::Login).is_none() {
            record.put_plain(slot, word_after(parameters, key).unwrap_or_default());
        }
    }
    let state = event.rsplit_once("map[").map_or("", |(_, state)| state);
    if let Some(id) = word_after(state, "id:").filter(|id| id.len() == 26 && is_word(id)) {
        record.put_plain(Slot::ObjectId, id);
        record.put_plain(
            Slot::ObjectName,
            word_after(state, "username:").unwrap_or_default(),
        );
    }
}
