//! Tirreno's form at `/sensor/`.

use sidewatch_event::Field;

use crate::support::{Client, Keep, Running, codecs, start_with};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const FORM: &str = "ipAddress=192.0.2.9&url=%2Flogin&userName=zo%C3%AB&eventType=account_login";

fn start(capacity: usize) -> Running {
    let text = format!(
        "type = \"mirror\"\nlisten = \"127.0.0.1:0\"\ntokens = [\"a token of length\"]\nsensor_keys = [\"{KEY}\"]\n"
    );
    start_with(&text, &codecs(Keep), capacity)
}

fn post(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: s\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
}

fn form(headers: &str) -> String {
    let headers = format!(
        "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\nApi-Key: {headers}\r\n"
    );
    post("/sensor/", &headers, FORM)
}

#[test]
fn a_form_with_the_key_is_taken() {
    let mut source = start(100);
    let mut client = Client::connect(&source.addresses[0]);
    assert_eq!(
        client
            .send(form(&format!("{KEY}\r\nX-Request-Id: r-1")))
            .status(),
        204
    );
    let event = source.events(1).remove(0);
    assert_eq!(event.get(Field::UserName), Some("zoë"));
    assert_eq!(event.get(Field::HttpRequestId), Some("r-1"));
    assert!(event.source_ip.is_some());
}

#[test]
fn a_form_is_answered_when_it_is_in_safety_and_not_before() {
    let mut source = start(100);
    source.acknowledge(0);
    let mut client = Client::connect(&source.addresses[0]);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| client.send(form(KEY)).status());
        source.events(1);
        assert!(!asking.is_finished());
        source.acknowledge(1);
        assert_eq!(asking.join().unwrap(), 204);
    });
}

#[test]
fn what_tirreno_refuses_is_refused_with_its_200() {
    let source = start(100);
    let mut client = Client::connect(&source.addresses[0]);
    assert_eq!(client.send(form("wrong")).status(), 200);
    assert_eq!(client.send(post("/sensor/", "", FORM)).status(), 200);
    let json = format!("Api-Key: {KEY}\r\nContent-Type: application/json\r\n");
    assert_eq!(client.send(post("/sensor/", &json, "{}")).status(), 200);
    let typed = format!("Api-Key: {KEY}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
    assert_eq!(
        client.send(post("/sensor/", &typed, "userName=x")).status(),
        200
    );
    let get = format!("GET /sensor/ HTTP/1.1\r\nApi-Key: {KEY}\r\n\r\n");
    assert_eq!(client.send(get).status(), 200);
    let (events, counts) = source.stop();
    assert_eq!(
        (events.len(), counts.unauthenticated, counts.rejected),
        (0, 2, 3)
    );
    assert!(counts.is_conserved());
}

#[test]
fn a_full_queue_asks_to_come_back_later() {
    let source = start(1);
    let mut client = Client::connect(&source.addresses[0]);
    assert_eq!(client.send(form(KEY)).status(), 204);
    assert_eq!(client.send(form(KEY)).status(), 429);
}
