//! `/livez`, `/readyz`, `/metrics`.

use integration_tests::Sidecar;
use integration_tests::http::Client;

#[test]
fn health_and_metrics_tell_how_it_goes() {
    let directory = tempfile::tempdir().unwrap();
    let sidecar = Sidecar::in_directory(directory.path())
        .source("mirror", "type = \"mirror\"\nlisten = \"127.0.0.1:0\"")
        .json_file("events")
        .start();
    assert_eq!(sidecar.get("/livez").status, 200);
    let ready = sidecar.get("/readyz");
    assert_eq!((ready.status, ready.body.as_str()), (200, "ready\n"));
    assert_eq!(sidecar.get("/nowhere").status, 404);

    let mut client = Client::connect(sidecar.address("mirror"));
    for path in ["/page", "/favicon.ico", "/other"] {
        let answer = client.send(
            "GET /mirror",
            &[&format!("X-Original-URI: {path}"), "X-Original-Method: GET"],
            "",
        );
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    }
    let metrics = sidecar.until("three events", |metrics| {
        metrics.get("pipeline_received_events_total", &[]) == 3
    });
    assert_eq!(metrics.source("mirror", "received"), 3);
    let metrics = sidecar.settled();
    assert_eq!(
        (metrics.events("forwarded"), metrics.events("suppressed")),
        (2, 1),
        "the pack calls favicons noise"
    );
    sidecar.until("two lines", |metrics| {
        metrics.sink("events", "delivered") == 2
    });
    assert_eq!(sidecar.lines("events").len(), 2);
    let page = sidecar.get("/metrics").body;
    assert!(
        page.ends_with("# EOF\n"),
        "OpenMetrics end with a mark: {page}"
    );
    assert!(page.contains("# HELP sidewatch_pipeline_events "), "{page}");
}

#[test]
fn a_sink_that_is_away_is_named_and_holds_nothing_up() {
    let directory = tempfile::tempdir().unwrap();
    let nobody = integration_tests::process::free_address();
    let sidecar = Sidecar::in_directory(directory.path())
        .source("mirror", "type = \"mirror\"\nlisten = \"127.0.0.1:0\"")
        .sink("away", &format!("type = \"syslog\"\ntransport = \"tcp\"\naddress = \"{nobody}\""))
        .sink("tirreno", &format!("type = \"tirreno\"\nurl = \"http://{nobody}\"\napi_key = \"00112233445566778899aabbccddeeff\"\npage_views = \"all\""))
        .json_file("events")
        .start();
    let mut client = Client::connect(sidecar.address("mirror"));
    for _ in 0..50 {
        let answer = client.send(
            "GET /mirror",
            &[
                "X-Original-URI: /page",
                "X-Original-Method: GET",
                "X-Real-IP: 192.0.2.7",
            ],
            "",
        );
        assert_eq!(answer.status, 204);
    }
    sidecar.until("the other sink", |metrics| {
        metrics.sink("events", "delivered") == 50
    });
    integration_tests::until("both sinks at /readyz", || {
        let ready = sidecar.get("/readyz");
        assert_eq!(ready.status, 200, "it takes events all the same");
        (ready.body.contains("sink away: ") && ready.body.contains("sink tirreno: ")).then_some(())
    });
    let metrics = sidecar.settled();
    assert_eq!(
        metrics.get("sink_waiting_records", &[("sink", "away")]),
        50,
        "nothing is lost while it is away"
    );
    assert_eq!(sidecar.get("/livez").status, 200);
}
