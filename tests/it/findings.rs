//! Impossible travel from nginx to everybody who wants to know.

use std::path::Path;

use integration_tests::places::{PRAGUE, SYDNEY, write_city_database};
use integration_tests::rsyslog::Message;
use integration_tests::{Nginx, Rsyslog, Sidecar, Tirreno, until};
use sidewatch_codecs::cef;

const LINUX: &str =
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
const MAC: &str = "User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15";

fn sidecar(directory: &Path, tirreno: &Tirreno, rsyslog: &Rsyslog) -> Sidecar {
    let city = directory.join("city.mmdb");
    write_city_database(&city);
    let socket = directory.join("mirror.sock");
    let findings = "filter = { findings_only = true }";
    let syslog = |transport: &str, address| {
        format!(
            "type = \"syslog\"\ntransport = \"{transport}\"\naddress = \"{address}\"\n{findings}"
        )
    };
    Sidecar::in_directory(directory)
        .section(&format!(
            "[enrichment]\ntrusted_proxies = [\"127.0.0.1\"]\ngeoip.city = {city:?}"
        ))
        .source(
            "mirror",
            &format!("type = \"mirror\"\npack = \"mattermost\"\nsocket = {socket:?}"),
        )
        .source(
            "access",
            "type = \"syslog\"\npack = \"mattermost\"\nformat = \"json\"\nudp = \"127.0.0.1:0\"",
        )
        // A busy machine must not make an honest rule miss its deadline.
        .section("[[rules]]\nid = \"impossible-travel\"\nlimits = { frame_milliseconds = 250 }")
        .json_file("all")
        .sink("tirreno", &tirreno.sink())
        .sink("udp", &syslog("udp", rsyslog.udp))
        .sink("tcp", &syslog("tcp", rsyslog.tcp))
        .sink("plain-tcp", &syslog("tcp", rsyslog.plain_tcp))
        .start()
}

/// Asks for something from an address, and answers what nginx answered.
fn visit(nginx: &Nginx, address: &str, browser: &str, session: &str) -> u16 {
    let cookie = format!("Cookie: MMUSERID=alice-7; MMAUTHTOKEN={session}");
    let from = format!("X-Forwarded-For: {address}");
    nginx
        .client()
        .send("GET /api/v4/users/me", &[&cookie, &from, browser], "")
        .status
}

/// Whether a text is the keyed hash that stands for a cookie.
fn is_hash(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn check_cef(messages: &[Message], how: &str) {
    assert_eq!(messages.len(), 1, "{how}: {messages:#?}");
    let Message {
        program,
        facility,
        text,
        ..
    } = &messages[0];
    assert_eq!(
        (program.as_str(), facility.as_str()),
        ("sidewatch", "authpriv"),
        "{how}"
    );
    let record = cef::decode(text).unwrap_or_else(|error| panic!("{how}: {error}: {text}"));
    assert_eq!(
        (record.vendor.as_str(), record.product.as_str()),
        ("Sidewatch", "Mattermost"),
        "{how}"
    );
    assert!(
        record.class_id.contains("simultaneous-use")
            || record.class_id.contains("impossible-travel"),
        "{how}: {record:#?}"
    );
    assert!(
        record.severity.parse::<u8>().unwrap() >= 7,
        "{how}: {record:#?}"
    );
    let value = |key: &str| {
        record
            .extensions
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(value("src"), Some(SYDNEY), "{how}: {record:#?}");
    assert!(
        record.extensions.iter().any(|(_, value)| is_hash(value)),
        "{how}: {record:#?}"
    );
    assert!(
        record
            .extensions
            .iter()
            .any(|(_, value)| value.contains(PRAGUE)),
        "{how}: {record:#?}"
    );
}

#[test]
fn impossible_travel_arrives_at_tirreno_and_at_rsyslog() {
    let directory = tempfile::tempdir().unwrap();
    let (tirreno, rsyslog) = (Tirreno::start(), Rsyslog::start(directory.path()));
    let sidecar = sidecar(directory.path(), &tirreno, &rsyslog);
    let nginx = Nginx::in_directory(directory.path())
        .syslog_to(sidecar.address("access"))
        .start();
    assert_eq!(visit(&nginx, PRAGUE, LINUX, "session-in-prague"), 200);
    // Both halves of the first visit are in before the second begins.
    sidecar.until("the first visit", |metrics| {
        metrics.events("forwarded") == 1
    });
    assert_eq!(visit(&nginx, SYDNEY, MAC, "session-in-sydney"), 200);

    for module in ["imudp", "imtcp", "imptcp"] {
        let messages = until(&format!("the finding at {module}"), || {
            Some(rsyslog.messages(module)).filter(|all| !all.is_empty())
        });
        check_cef(&messages, module);
    }
    let shown = until("the finding at Tirreno", || {
        let records = tirreno.records();
        records
            .iter()
            .find(|record| record.panel().iter().any(|text| text.contains("16")))
            .cloned()
    });
    let panel = shown.panel().join("\n");
    assert!(
        matches!(shown.event_type.as_str(), "field_edit" | "page_search"),
        "{shown:#?}"
    );
    assert_eq!(
        (is_hash(&shown.user_name), shown.ip.as_str()),
        (true, SYDNEY)
    );
    for evidence in [PRAGUE, SYDNEY, "Prague", "Sydney"] {
        assert!(
            panel.contains(evidence),
            "{evidence} is not visible in the event panel:\n{panel}"
        );
    }
    assert_eq!(shown.warnings, [""; 0], "nothing had to be replaced");
    assert_eq!(tirreno.lost(), [""; 0]);

    let metrics = sidecar.settled();
    assert_eq!(
        (metrics.events("joined"), metrics.events("forwarded")),
        (2, 2)
    );
    assert_eq!(metrics.get("pipeline_findings_total", &[]), 1);
    for sink in ["udp", "tcp", "plain-tcp"] {
        assert_eq!(
            (
                metrics.sink(sink, "delivered"),
                metrics.sink(sink, "filtered")
            ),
            (1, 2),
            "{sink}"
        );
    }
}
