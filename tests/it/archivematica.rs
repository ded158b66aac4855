//! Archivematica's audit trail, live: a real nginx in front of a stub of its
//! URLs, records arriving at a real rsyslogd.

use std::path::Path;

use integration_tests::rsyslog::Message;
use integration_tests::{Nginx, Rsyslog, Sidecar, until};

const AIP: &str = "5e2a1c9d-04bb-4f7e-9d11-0c3f8a7b6e55";

/// The dashboard's answers, as far as the tests ask. The middleware names the
/// user in a header of the answer.
const DASHBOARD: &str = "
    add_header X-Username $http_x_stub_user always;
    location / { return 200 page; }
    location = /administration/accounts/login/ {
        if ($http_x_stub_outcome = welcome) { return 302 /; }
        return 200 again;
    }
    location /archival-storage/ { if ($request_method = POST) { return 302 /; } return 200 aip; }
    location = /forbidden-page/ { return 403; }
    location = /no-such-page/ { return 404; }
    location = /packages/package_delete_request/ {
        if ($request_method = POST) { return 302 /; } return 200 list;
    }
";

const FORMAT: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
    \"$http_referer\" \"$http_user_agent\" \"$http_x_forwarded_for\" user=$upstream_http_x_username";

const REFERER: &str = "Referer: http://am.example/";

/// Records to rsyslogd in the form auditmatica's consumers know.
fn to_rsyslog(rsyslog: &Rsyslog) -> String {
    format!(
        "type = \"syslog\"\ntransport = \"tcp\"\naddress = \"{}\"\nfacility = \"local3\"\n\
         cef = {{ vendor = \"Artefactual Systems, Inc.\", version = \"hosted\", layout = \"request\" }}",
        rsyslog.tcp
    )
}

fn arrived(rsyslog: &Rsyslog, count: usize) -> Vec<Message> {
    until(&format!("{count} records at rsyslogd"), || {
        let messages = rsyslog.messages("imtcp");
        (messages.len() >= count).then_some(messages)
    })
}

/// Event ids and users in order of arrival.
fn ids_and_users(messages: &[Message]) -> Vec<(String, String)> {
    messages
        .iter()
        .map(|message| {
            let record = sidewatch_codecs::cef::decode(message.text.trim_start()).unwrap();
            let user = record.extensions.iter().find(|(key, _)| key == "suser");
            let user = user.map(|(_, user)| user.clone());
            (record.class_id, user.unwrap_or_default())
        })
        .collect()
}

fn sidecar_on_file(directory: &Path, log: &Path, rsyslog: &Rsyslog) -> Sidecar {
    Sidecar::in_directory(directory)
        .section("[packs.archivematica]\nstorage_service_url = \"http://storage.example\"")
        .source(
            "access",
            &format!(
                "type = \"file\"\npack = \"archivematica\"\npaths = [{log:?}]\npoll_interval_ms = 10"
            ),
        )
        .sink("siem", &to_rsyslog(rsyslog))
        .start()
}

#[test]
fn requests_become_audit_records_at_rsyslogd() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("access.log");
    let rsyslog = Rsyslog::start(directory.path());
    let nginx = Nginx::in_directory(directory.path())
        .without_mirror()
        .application(DASHBOARD)
        .log_to(&log, FORMAT)
        .start();
    let sidecar = sidecar_on_file(directory.path(), &log, &rsyslog);
    let login = "/administration/accounts/login/";
    let welcome = "X-Stub-Outcome: welcome";
    let zoe = "X-Stub-User: zo\u{eb} smith";
    let download = format!("GET /archival-storage/download/aip/{AIP}/");
    let mut client = nginx.client();
    let mut send = |request: &str, headers: &[&str]| client.send(request, headers, "").status;
    assert_eq!(send(&format!("POST {login}"), &[REFERER]), 200);
    assert_eq!(
        send(&format!("POST {login}"), &[REFERER, welcome, zoe]),
        302
    );
    assert_eq!(send("GET /status/", &[REFERER, zoe]), 200);
    // Neither an empty user agent nor a query hides who did what.
    assert_eq!(
        send(&format!("{download}?x"), &["Referer:", "User-Agent:", zoe]),
        200
    );
    assert_eq!(send("GET /forbidden-page/", &[zoe]), 403);
    assert_eq!(
        send(
            "GET /no-such-page/",
            &["Referer: http://storage.example/packages/", zoe]
        ),
        404
    );
    let messages = arrived(&rsyslog, 5);
    let zoe = "zo\u{eb} smith".to_owned();
    let expected = [
        ("201", String::new()),
        ("4", zoe.clone()),
        ("16", zoe.clone()),
        ("200", zoe.clone()),
        ("2", zoe),
    ];
    assert_eq!(
        ids_and_users(&messages),
        expected.map(|(id, user)| (id.to_owned(), user))
    );
    assert!(messages.iter().all(|message| message.facility == "local3"));
    let text = |at: usize| messages[at].text.trim_start();
    assert!(
        text(2).starts_with(
            "CEF:0|Artefactual Systems, Inc.|Archivematica|hosted|16|AIP downloaded from Archival Storage|3|"
        ),
        "{}",
        text(2)
    );
    assert!(text(2).ends_with(&format!("msg=UUID:{AIP}")), "{}", text(2));
    assert!(
        text(4).contains("|Archivematica Storage Service|"),
        "{}",
        text(4)
    );
    let metrics = sidecar.settled();
    assert_eq!(
        (metrics.events("forwarded"), metrics.events("suppressed")),
        (5, 1)
    );
}

#[test]
fn the_form_tells_what_the_log_cannot() {
    let directory = tempfile::tempdir().unwrap();
    let rsyslog = Rsyslog::start(directory.path());
    let socket = directory.path().join("mirror.sock");
    let sidecar = Sidecar::in_directory(directory.path())
        .source(
            "mirror",
            &format!("type = \"mirror\"\npack = \"archivematica\"\nsocket = {socket:?}"),
        )
        .source(
            "access",
            "type = \"syslog\"\npack = \"archivematica\"\nformat = \"json\"\nudp = \"127.0.0.1:0\"",
        )
        .sink("siem", &to_rsyslog(&rsyslog))
        .start();
    let nginx = Nginx::in_directory(directory.path())
        .application(DASHBOARD)
        .with_bodies()
        .syslog_to(sidecar.address("access"))
        .start();
    let form = "Content-Type: application/x-www-form-urlencoded";
    let alice = "X-Stub-User: alice";
    let storage = format!("POST /archival-storage/{AIP}/");
    let decide = "POST /packages/package_delete_request/";
    let mut client = nginx.client();
    for (request, body, id) in [
        (storage.as_str(), "submit-delete-form=1&uuid=x", "210"),
        (storage.as_str(), "submit-reingest-form=1", "211"),
        (storage.as_str(), "", "19"),
        (decide, "approve=Approve&reason=old", "311"),
        (decide, "reject=Reject", "312"),
    ] {
        let before = rsyslog.messages("imtcp").len();
        let answer = client.send(request, &[REFERER, form, alice], body);
        assert_eq!(answer.status, 302, "{request}");
        let messages = arrived(&rsyslog, before + 1);
        assert_eq!(
            ids_and_users(&messages[before..]),
            [(id.to_owned(), "alice".to_owned())],
            "{request} {body}"
        );
    }
    assert_eq!(sidecar.settled().events("joined"), 5);
}
