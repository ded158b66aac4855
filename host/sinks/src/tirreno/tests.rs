//! Against the stand-in server.

use std::sync::Arc;

use sidewatch_event::{Event, Field};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::counters::SinkCounters;
use crate::double::{DoubleSettings, Mode, Record, Tally, Tirreno, WebServer};
use crate::driver::{DriverSettings, drive};
use crate::identity::Identity;
use crate::queue::queue;
use crate::sample;

fn settings(double: &Tirreno, more: &str) -> TirrenoSettings {
    let text = format!(
        "url = '{}'\napi_key = '{}'\ntimeout_seconds = 1\n{more}",
        double.url(),
        double.api_key()
    );
    toml::from_str(&text).unwrap()
}

/// Feeds records through a queue until all are finished.
async fn deliver(double: &Tirreno, more: &str, records: Vec<Delivery>) -> Arc<SinkCounters> {
    let sink = settings(double, more).build().unwrap();
    let (sender, receiver) = queue("tirreno", 1000);
    sender.offer_all(records);
    let counters = Arc::clone(sender.counters());
    drop(sender);
    let quick = Duration::from_millis(20);
    let settings = DriverSettings {
        first_delay: quick,
        longest_delay: quick * 5,
        ..DriverSettings::default()
    };
    // A minute is for slow machines; what is left then counts as lost.
    drive(
        Box::new(sink),
        receiver,
        settings,
        sleep(Duration::from_secs(60)),
    )
    .await;
    let counts = counters.counts();
    assert!(counts.balanced() && counts.in_flight == 0, "{counts:?}");
    counters
}

/// Waits until something holds, but not for ever.
async fn until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting)
        .await
        .unwrap();
}

async fn deliver_one(event: Event) -> Record {
    let double = Tirreno::start().await.unwrap();
    deliver(
        &double,
        "page_views = 'all'",
        vec![Delivery::Event(Arc::new(event))],
    )
    .await;
    assert_eq!(double.lost(), Vec::<String>::new());
    double.records().pop().unwrap()
}

fn urls(double: &Tirreno) -> Vec<String> {
    double
        .records()
        .into_iter()
        .map(|record| record.url)
        .collect()
}

fn expected_urls(ids: std::ops::RangeInclusive<u128>) -> Vec<String> {
    ids.map(|id| format!("/page/{id}")).collect()
}

fn views(ids: std::ops::RangeInclusive<u128>) -> Vec<Delivery> {
    ids.map(sample::event).collect()
}

#[tokio::test]
async fn records_arrive_in_order_from_either_web_server() {
    for (web_server, connections) in [(WebServer::Apache, 40), (WebServer::NginxFpm, 1)] {
        let double = Tirreno::start_with(DoubleSettings {
            web_server,
            ..DoubleSettings::default()
        })
        .await
        .unwrap();
        let counters = deliver(&double, "page_views = 'all'", views(1..=40)).await;
        assert_eq!(urls(&double), expected_urls(1..=40));
        assert_eq!(
            (counters.counts().delivered, counters.counts().retries),
            (40, 0)
        );
        assert_eq!(double.tally().connections, connections, "{web_server:?}");
    }
}

#[tokio::test]
async fn nothing_is_lost_while_the_server_fails() {
    for mode in [
        Mode::Status(500),
        Mode::Status(429),
        Mode::Status(503),
        Mode::Status(301),
        Mode::Reset,
        Mode::Hang,
    ] {
        let double = Tirreno::start().await.unwrap();
        double.set_mode(mode);
        let recovering = async {
            until(|| double.tally().requests >= 2).await;
            double.set_mode(Mode::Normal);
        };
        let (counters, ()) = tokio::join!(
            deliver(&double, "page_views = 'all'", views(1..=5)),
            recovering
        );
        assert_eq!(urls(&double), expected_urls(1..=5), "{mode:?}");
        assert_eq!(counters.counts().delivered, 5);
        assert!(counters.counts().retries >= 1);
    }
}

#[tokio::test]
async fn an_answer_that_got_lost_means_twice_rather_than_never() {
    for mode in [Mode::StoreAndReset, Mode::StoreAndHang] {
        let double = Tirreno::start().await.unwrap();
        double.set_mode(mode);
        let recovering = async {
            until(|| !double.records().is_empty()).await;
            double.set_mode(Mode::Normal);
        };
        let (counters, ()) = tokio::join!(
            deliver(&double, "page_views = 'all'", views(1..=2)),
            recovering
        );
        let mut stored = urls(&double);
        let attempts = stored.iter().filter(|url| *url == "/page/1").count();
        assert!(attempts > 1, "{mode:?}");
        stored.dedup();
        assert_eq!(stored, expected_urls(1..=2));
        assert_eq!(counters.counts().delivered, 2);
    }
}

#[tokio::test]
async fn a_server_that_is_not_up_yet_is_waited_for() {
    let first = Tirreno::start().await.unwrap();
    let settings = settings(&first, "page_views = 'all'");
    let address = first.url().trim_start_matches("http://").parse().unwrap();
    drop(first);
    let mut sink = settings.build().unwrap();
    // The port may take a moment to be closed.
    let reason = loop {
        match sink.deliver(&views(1..=1)).await.retry {
            Some(retry) => break retry.reason,
            None => tokio::task::yield_now().await,
        }
    };
    assert!(reason.contains("127.0.0.1"), "{reason}");
    let again = DoubleSettings {
        listen: Some(address),
        ..DoubleSettings::default()
    };
    let double = Tirreno::start_with(again).await.unwrap();
    assert_eq!(sink.deliver(&views(1..=2)).await.finished, 2);
    assert_eq!(urls(&double), expected_urls(1..=2));
}

#[tokio::test]
async fn https_is_spoken_and_the_servers_certificate_checked() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Identity::new(directory.path());
    let double = Tirreno::start().await.unwrap();
    let backend = double.url().trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = identity.acceptor();
    let front = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut near) = acceptor.accept(stream).await {
                let mut far = TcpStream::connect(&backend).await.unwrap();
                copy_bidirectional(&mut near, &mut far).await.ok();
            }
        }
    });
    let configured = |host: &str| {
        let mut settings = settings(&double, "page_views = 'all'");
        settings.url = format!("https://{host}:{port}");
        settings.tls = identity.client_settings();
        settings.build().unwrap()
    };
    assert_eq!(
        configured("localhost")
            .deliver(&views(1..=2))
            .await
            .finished,
        2
    );
    let wrong_name = configured("127.0.0.1").deliver(&views(3..=3)).await;
    assert!(wrong_name.retry.unwrap().reason.contains("certificate"));
    assert_eq!(urls(&double), expected_urls(1..=2));
    front.abort();
}

#[tokio::test]
async fn our_pace_stays_below_the_servers_limit() {
    let limit = DoubleSettings {
        rate_limit: (20, Duration::from_secs(1)),
        ..DoubleSettings::default()
    };
    let double = Tirreno::start_with(limit).await.unwrap();
    let pace = "page_views = 'all'\nrate_limit = { requests = 18, seconds = 1 }";
    let counters = deliver(&double, pace, views(1..=38)).await;
    assert_eq!(urls(&double), expected_urls(1..=38));
    assert_eq!((double.tally().limited, counters.counts().retries), (0, 0));
}

#[tokio::test]
async fn the_servers_own_limit_delays_but_loses_nothing() {
    let limit = DoubleSettings {
        rate_limit: (4, Duration::from_millis(300)),
        ..DoubleSettings::default()
    };
    let double = Tirreno::start_with(limit).await.unwrap();
    let counters = deliver(&double, "page_views = 'all'", views(1..=10)).await;
    assert_eq!(urls(&double), expected_urls(1..=10));
    assert!(double.tally().limited > 0);
    assert_eq!(counters.counts().rejected, 0);
}

#[tokio::test]
async fn refusals_are_counted_with_their_reason_and_not_repeated() {
    let double = Tirreno::start().await.unwrap();
    let wrong_key = format!(
        "url = '{}'\napi_key = 'ffffffffffffffffffffffffffffffff'\npage_views = 'all'",
        double.url()
    );
    let mut sink = toml::from_str::<TirrenoSettings>(&wrong_key)
        .unwrap()
        .build()
        .unwrap();
    let outcome = sink.deliver(&views(1..=2)).await;
    assert_eq!(
        (outcome.finished, outcome.rejected.len(), outcome.retry),
        (2, 2, None)
    );
    assert!(outcome.rejected[0].reason.contains("tracking id"));
    assert_eq!(
        double.tally(),
        Tally {
            refused: 2,
            requests: 2,
            connections: 1,
            ..Tally::default()
        }
    );

    double.set_mode(Mode::Status(413));
    let mut nowhere = sample::page_view(3);
    nowhere.source_ip = None;
    let records = vec![sample::failed_login(1), Delivery::Event(Arc::new(nowhere))];
    let counters = deliver(&double, "page_views = 'all'", records).await;
    let reasons: Vec<_> = counters
        .refusals()
        .into_iter()
        .map(|refusal| refusal.reason)
        .collect();
    assert_eq!(counters.counts().rejected, 2);
    assert!(
        reasons[0].contains("413") && reasons[1].contains("no source address"),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn page_views_are_sampled_and_what_is_left_out_counts_as_filtered() {
    let double = Tirreno::start().await.unwrap();
    let mut records = views(1..=120);
    records.insert(30, sample::failed_login(500));
    records.insert(60, sample::finding(501));
    let counters = deliver(&double, "", records).await;
    let counts = counters.counts();
    assert_eq!(
        (counts.received, counts.delivered, counts.filtered),
        (122, 4, 118)
    );
    let page_views = urls(&double)
        .iter()
        .filter(|url| matches!(url.as_str(), "/page/1" | "/page/61"))
        .count();
    assert_eq!(page_views, 2);
}

#[tokio::test]
async fn a_failed_login_is_stored_as_one() {
    let double = Tirreno::start().await.unwrap();
    deliver(&double, "", vec![sample::failed_login(1)]).await;
    let record = double.records().pop().unwrap();
    assert_eq!(
        (record.event_type.as_str(), record.user_name.as_str()),
        ("account_login_fail", "zoe")
    );
    assert_eq!(
        (record.ip.as_str(), record.warnings),
        ("192.0.2.7", Vec::new())
    );
    assert_eq!(record.time.as_deref(), Some("2025-11-20 12:00:01.000"));
}

#[tokio::test]
async fn a_finding_shows_its_evidence_in_the_event_panel() {
    let double = Tirreno::start().await.unwrap();
    deliver(&double, "", vec![sample::finding(1)]).await;
    let record = double.records().pop().unwrap();
    let shown = record.panel().join("\n");
    for part in ["impossible-travel", "198.51.100.4", "12900.5"] {
        assert!(shown.contains(part), "{part} in {shown} of {record:?}");
    }
    assert_eq!(record.user_name, "zoe");
}

#[tokio::test]
async fn a_referer_is_stored_as_it_was() {
    let referer = "https://a.example/p%C3%A9?q=a+b&r=%2F%25ff";
    let mut event = sample::page_view(1);
    event.set(Field::HttpRequestReferrer, referer);
    assert_eq!(deliver_one(event).await.referer.as_deref(), Some(referer));
}

#[tokio::test]
async fn text_of_several_bytes_per_character_is_cut_without_losing_the_event() {
    let mut event = sample::page_view(1);
    let long = |character: &str| format!("x{}", character.repeat(3000));
    event.set(Field::UserName, &long("é"));
    event.set(Field::UserAgentOriginal, &long("漢"));
    event.set(Field::HttpRequestReferrer, &long("😀"));
    event.set(Field::UrlOriginal, &format!("/{}", long("é")));
    let record = deliver_one(event).await;
    assert_eq!(record.user_name, format!("x{}", "é".repeat(49)));
    assert!(record.url.starts_with("/xé") && record.url.len() <= 2047);
}

#[tokio::test]
async fn values_cannot_add_fields() {
    let mut event = sample::page_view(1);
    event.set(
        Field::UrlOriginal,
        "/a?x=1&userName=ceo&eventType=account_login",
    );
    event.set(
        Field::UserAgentOriginal,
        "Mozilla &eventType=account_password_change&userName=ceo",
    );
    let record = deliver_one(event).await;
    assert_eq!(
        (record.user_name.as_str(), record.event_type.as_str()),
        ("zoe", "page_view")
    );
    assert!(record.user_agent.unwrap().contains("&userName=ceo"));
}

#[tokio::test]
async fn the_request_id_is_stored_unless_it_would_cost_the_event() {
    let stored = async |id: &str| {
        let mut event = sample::page_view(1);
        event.set(Field::HttpRequestId, id);
        deliver_one(event).await.trace_id
    };
    assert_eq!(stored(&"a".repeat(36)).await, Some("a".repeat(36)));
    assert_eq!(stored(&"a".repeat(37)).await, None);
    assert_eq!(stored("a\r\nHost: b").await, None);
}

#[test]
fn the_key_comes_from_one_place_and_is_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key");
    std::fs::write(&file, "0123456789abcdef0123456789abcdef\n").unwrap();
    let parse = |text: String| {
        toml::from_str::<TirrenoSettings>(&format!("url = 'http://t.example'\n{text}")).unwrap()
    };
    let from_file = parse(format!("api_key_file = '{}'", file.display()));
    assert_eq!(from_file.key().unwrap(), "0123456789abcdef0123456789abcdef");
    assert!(!format!("{:?}", from_file.key().unwrap()).contains("0123"));
    let inline = parse("api_key = '0123456789abcdef'".into());
    assert!(!format!("{inline:?}").contains("0123"));
    assert!(matches!(
        parse(String::new()).build(),
        Err(TirrenoError::OneKey)
    ));
    let both = parse(format!(
        "api_key = 'a'\napi_key_file = '{}'",
        file.display()
    ));
    assert!(matches!(both.build(), Err(TirrenoError::OneKey)));
    assert!(matches!(
        parse("api_key = ' '".into()).build(),
        Err(TirrenoError::Key)
    ));
    let error = parse("api_key_file = '/nonexistent/key'".into())
        .build()
        .err()
        .unwrap();
    assert!(error.to_string().contains("/nonexistent/key"));
}
