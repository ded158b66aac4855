//! Any mirrored request: no panic, and no secret the operator did not name.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sidewatch_codecs::{Locator, PseudonymKey, RequestCodec, RequestSettings, RequestView};
use sidewatch_event::Event;

static CODEC: LazyLock<RequestCodec> = LazyLock::new(|| {
    let places = |list: &[&str]| -> Vec<Locator> {
        list.iter().map(|text| text.parse().expect("a locator")).collect()
    };
    let settings = RequestSettings {
        user: places(&["header:x-username", "json:/login_id", "form:user", "query:user"]),
        user_id: places(&["cookie:MMUSERID", "path:2"]),
        session: places(&["cookie:s"]),
        device: places(&["json:/device/id", "cookie:d"]),
        labels: places(&["form:choice", "json:/type", "query:q"]),
        secret_paths: vec!["/reset/{token}".into(), "/a/*/{b}/c/{d}".into()],
        ..RequestSettings::default()
    };
    RequestCodec::new(&settings, PseudonymKey::new([7; 32])).expect("no secret is named")
});

fuzz_target!(|input: (&str, Vec<(u8, &[u8])>, &[u8], bool)| {
    let (target, headers, body, body_truncated) = input;
    let marked = |bytes: &[u8]| bytes.windows(6).any(|window| window == b"CANARY");
    if marked(target.as_bytes()) || marked(body) || headers.iter().any(|(_, value)| marked(value)) {
        return;
    }
    let names = [
        "cookie",
        "content-type",
        "x-original-uri",
        "x-original-method",
        "x-original-time",
        "x-real-ip",
        "referer",
        "host",
        "user-agent",
        "x-username",
    ];
    let cookie: &[u8] = b"s=CANARY; other=CANARY";
    let form: &[u8] = b"application/x-www-form-urlencoded";
    let fixed = [("cookie", cookie), ("authorization", cookie), ("content-type", form)];
    let held: Vec<(&str, &[u8])> = headers
        .iter()
        .map(|(at, value)| (names[usize::from(*at) % names.len()], *value))
        .chain(fixed.into_iter().take(2 + usize::from(body_truncated)))
        .collect();
    let mut headers = held.iter().map(pair);
    let mut event = Event::new();
    let view = RequestView {
        method: "POST",
        target,
        version: "1.1",
        headers: &mut headers,
        body,
        body_truncated,
        peer: None,
        received: 1,
    };
    CODEC.decode(view, &mut event);
    assert!(!format!("{event:?}").contains("CANARY"));
});

fn pair<'a>(header: &'a (&str, &[u8])) -> (&'a str, &'a [u8]) {
    *header
}
