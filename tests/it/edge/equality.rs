//! The same events through the sidecar's engine and through the edge
//! application: findings and states have to be the same, to the last byte.

use std::collections::BTreeMap;
use std::sync::Arc;

use edge::state::States;
use integration_tests::command::{repository, rules};
use integration_tests::spin::KeyValues;
use integration_tests::{Receiver, Spin};
use rule_sdk::detection::harness::TestEvent;
use rule_sdk::detection::vectors;
use serde_json::{Value, json};
use sidewatch_codecs::PseudonymKey;
use sidewatch_engine::rule_set::RoutedMapping;
use sidewatch_engine::{Engine, EngineSettings, LoadedRule, RuleLimits, RuleSet};
use sidewatch_enrich::{EnrichSettings, Enricher};
use sidewatch_event::{Activity, Delivery, Event, NetworkKind};

use super::harness::{Built, EVENTS, HASH_KEY, PSEUDONYM_KEY, TOKEN, load, surroundings};

fn key(digits: &str) -> [u8; 32] {
    let byte = |at: usize| u8::from_str_radix(digits.get(2 * at..2 * at + 2).unwrap(), 16).unwrap();
    std::array::from_fn(byte)
}

/// States by key and rule, findings as JSON.
type Told = (BTreeMap<(u64, String), Vec<u8>>, Vec<String>);

/// The sidecar's side: codec, enrichment, engine, as a library.
struct Sidecar {
    enricher: Enricher,
    rules: RuleSet,
    findings: Vec<String>,
}

/// Rules compiled once: that takes longer than running them.
struct Components {
    rules: BTreeMap<String, LoadedRule>,
    mapping: Value,
}

impl Components {
    fn new(pack: &str) -> Self {
        let hash_key = key(HASH_KEY)[..16].try_into().unwrap();
        let engine = Engine::new(&EngineSettings {
            hash_key,
            ..EngineSettings::default()
        })
        .unwrap();
        let names = std::fs::read_dir(rules()).unwrap();
        let paths = names.map(|entry| entry.unwrap().path());
        let loaded = paths
            .filter(|path| path.extension().is_some_and(|name| name == "wasm"))
            .map(|path| {
                let id = path.file_stem().unwrap().to_str().unwrap().to_owned();
                (id, engine.load_file(&path).unwrap())
            });
        let table = repository()
            .join("rules/packs")
            .join(pack)
            .join("mapping.toml");
        Self {
            rules: loaded.collect(),
            mapping: toml::from_str(&std::fs::read_to_string(table).unwrap()).unwrap(),
        }
    }

    fn sidecar(&self, detections: &[(&str, Value)]) -> Sidecar {
        let mut rules = RuleSet::default();
        let rule = self.rules["event-mapping"]
            .mapping(&self.mapping, RuleLimits::default())
            .unwrap();
        rules.mappings.push(RoutedMapping {
            rule,
            sources: Vec::new(),
        });
        for (id, parameters) in detections {
            let mut rule = self.rules[*id]
                .detection(parameters, RuleLimits::default())
                .unwrap();
            rule.states_mut().remember_changes();
            rules.detections.push(rule);
        }
        let hash_key = key(HASH_KEY)[..16].try_into().unwrap();
        Sidecar {
            enricher: Enricher::new(&EnrichSettings::default(), hash_key).unwrap(),
            rules,
            findings: Vec::new(),
        }
    }
}

impl Sidecar {
    fn take(&mut self, events: &[Value]) {
        let mut decoded: Vec<Box<Event>> = events
            .iter()
            .map(|value| {
                let mut event = Box::new(Event::new());
                event.source = Some("edge".into());
                let pseudonym = PseudonymKey::new(key(PSEUDONYM_KEY));
                sidewatch_codecs::json::decode(value, &pseudonym, &mut event).unwrap();
                self.enricher.enrich(&mut event);
                event
            })
            .collect();
        let mut raw = Vec::new();
        self.rules.evaluate(&mut decoded, &mut raw);
        let decoded: Vec<Arc<Event>> = decoded.into_iter().map(Arc::from).collect();
        for raw in raw {
            let event = Arc::clone(&decoded[raw.event]);
            let describe = |address| self.enricher.describe_address(address).in_words();
            let finding = sidewatch_frame::complete(raw, event, describe);
            let mut line = Vec::new();
            sidewatch_codecs::json::encode(&Delivery::Finding(Arc::new(finding)), &mut line);
            self.findings
                .push(comparable(&serde_json::from_slice(&line).unwrap()));
        }
    }

    fn told(mut self) -> Told {
        let mut states = BTreeMap::new();
        for rule in &mut self.rules.detections {
            let id = rule.descriptor.id.to_string();
            rule.states_mut().drain_changes(|key, state| {
                if let Some(state) = state {
                    states.insert((key, id.clone()), state.bytes.to_vec());
                }
            });
        }
        self.findings.sort();
        (states, self.findings)
    }
}

/// A finding without when it was received.
fn comparable(finding: &Value) -> String {
    let mut finding = finding.clone();
    if let Some(event) = finding["event"].as_object_mut() {
        event.shift_remove("ingested");
    }
    finding.to_string()
}

fn states(store: &KeyValues) -> BTreeMap<(u64, String), Vec<u8>> {
    let mut states = BTreeMap::new();
    for (name, value) in store.values() {
        let Some((_, key)) = name.split_once('/').filter(|(kind, _)| *kind != "new") else {
            continue;
        };
        let key = u64::from_str_radix(key, 16).unwrap();
        for state in States::read(&value).iter() {
            states.insert((key, state.rule.clone()), state.bytes.clone());
        }
    }
    states
}

fn findings(receiver: &Receiver) -> Vec<String> {
    let received = receiver.take();
    let lines = received.iter().flat_map(|request| request.body.lines());
    let mut findings: Vec<String> = lines
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|record| record["event"]["kind"] == "alert")
        .map(|finding| comparable(&finding))
        .collect();
    findings.sort();
    findings
}

/// The event as an application that knows all this would write it.
fn written(number: usize, test: &TestEvent) -> Value {
    let mut event = json!({ "event.id": format!("{:032x}", number + 1), "@timestamp": test.time });
    let members = event.as_object_mut().unwrap();
    let mut put = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    for (name, text) in [
        ("user.name", &test.user),
        ("session.id", &test.session),
        ("device.id", &test.device),
        ("source.geo.country_iso_code", &test.country),
    ] {
        if !text.is_empty() {
            put(name, json!(text));
        }
    }
    if let Some((family, system)) = test.user_agent.split_once('/') {
        put("user_agent.name", json!(family));
        put("user_agent.os.name", json!(system));
    }
    if let Some(address) = test.address {
        put("source.ip", json!(address));
    }
    if let Some((latitude, longitude, accuracy)) = test.place {
        put(
            "source.geo.location",
            json!({"lat": latitude, "lon": longitude}),
        );
        put("sidewatch.accuracy_km", json!(accuracy));
    }
    put("source.as.number", json!(test.as_number));
    put("http.response.status_code", json!(test.status));
    put(
        "sidewatch.network_kind",
        json!(NetworkKind::ALL[test.network_kind as usize].as_str()),
    );
    let activity = Activity::ALL
        .into_iter()
        .find(|known| *known as u32 == test.activity);
    put("sidewatch.activity", json!(activity.unwrap_or_default()));
    for (name, text) in &test.texts {
        put(name, json!(text));
    }
    event
}

/// Compares what rule `id` makes of its vectors; the edge folds them with all
/// rules, which have to leave each other alone.
async fn compare_vectors(id: &str, components: &Components, spin: &Spin, receiver: &Receiver) {
    let mut found = 0;
    let folder = repository().join("rules").join(id).join("tests");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        for case in vectors::load(&path).unwrap() {
            let place = format!("{}: `{}`", path.display(), case.name);
            let events: Vec<Value> = case
                .events()
                .unwrap()
                .iter()
                .enumerate()
                .map(|(number, event)| written(number, event))
                // On neither side a rule is shown an event without a time:
                // both put in when they received it.
                .filter(|event| event["@timestamp"].as_i64() > Some(0))
                .collect();
            let parameters: Value = serde_json::from_str(&case.parameters()).unwrap();
            let mut sidecar = components.sidecar(&[(id, parameters.clone())]);
            let store = KeyValues::default();
            let mut around = surroundings(&store);
            let variable = format!("rule_{}", id.replace('-', "_"));
            around.variables.insert(variable, parameters.to_string());
            let server = spin.again(&around).unwrap();
            for event in &events {
                sidecar.take(std::slice::from_ref(event));
                let headers = [("x-sidewatch-token", TOKEN)];
                let answer = server
                    .send("POST", EVENTS, &headers, event.to_string())
                    .await
                    .unwrap();
                assert_eq!(answer.status, 204, "{place}: {}", answer.body);
            }
            let mut states = states(&store);
            states.retain(|(_, rule), _| rule == id);
            let mut findings = findings(receiver);
            findings.retain(|finding| finding.contains(&format!("\"rule\":{{\"id\":\"{id}\"")));
            found += findings.len();
            let edge = (states, findings);
            assert_eq!(edge, sidecar.told(), "{place}");
        }
    }
    assert!(found > 0, "no vector of {id} finds anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rules_vectors_give_the_same_as_in_the_sidecar() {
    let components = Components::new("nginx");
    let mut ids: Vec<String> = std::fs::read_dir(repository().join("rules"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("tests").is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    ids.sort();
    assert!(ids.len() >= 9, "{ids:?}");
    let receiver = Receiver::start(204).await;
    let url = receiver.url("/");
    let mut arguments = vec!["--pack", "nginx", "--url", &url, "--forward", "findings"];
    arguments.extend(ids.iter().flat_map(|id| ["--only", id]));
    let built = Built::new(&arguments);
    let spin = load(&built.path(), &KeyValues::default());
    for id in &ids {
        compare_vectors(id, &components, &spin, &receiver).await;
    }
}

/// A small generator: the same stream every time.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

fn random_event(number: usize, random: &mut Random) -> Value {
    let places = [
        (50.08, 14.42, "CZ"),
        (40.71, -74.0, "US"),
        (35.68, 139.69, "JP"),
        (-33.86, 151.2, "AU"),
    ];
    let (latitude, longitude, country) = places[usize::try_from(random.below(4)).unwrap()];
    let targets = [
        "/api/v4/users/login",
        "/api/v4/posts",
        "/api/v4/users/me/patch?x=1",
        "/api/v4/users/u1/roles",
        "/api/v4/users/u1/password",
        "/town-square",
    ];
    let browsers = [
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
        "curl/8.5.0",
    ];
    let pick = |list: &[&'static str], random: &mut Random| {
        list[usize::try_from(random.below(list.len() as u64)).unwrap()]
    };
    let time = 1_772_438_400_000_u64 + number as u64 * 90_000 - random.below(600_000);
    let status = [200, 200, 401, 403, 302][usize::try_from(random.below(5)).unwrap()];
    json!({
        "event.id": format!("{:032x}", number + 1), "@timestamp": time,
        "user.name": format!("user{}", random.below(4)), "session.id": format!("session{}", random.below(7)),
        "device.id": format!("device{}", random.below(5)),
        "source.ip": format!("203.0.{}.{}", random.below(3), random.below(6)),
        "source.geo": {"country_iso_code": country, "location": {"lat": latitude, "lon": longitude}},
        "sidewatch.accuracy_km": 20, "source.as.number": 64_500 + random.below(3),
        "http.request.method": pick(&["GET", "POST", "POST", "PUT"], random),
        "http.response.status_code": status,
        "url.original": pick(&targets, random), "user_agent.original": pick(&browsers, random),
        "event.dataset": "mattermost.access",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_random_stream_gives_the_same_states_and_findings() {
    let receiver = Receiver::start(204).await;
    let built = Built::new(&[
        "--pack",
        "mattermost",
        "--url",
        &receiver.url("/"),
        "--forward",
        "findings",
    ]);
    let store = KeyValues::default();
    let spin = load(&built.path(), &store);
    let components = Components::new("mattermost");
    let detections = [
        "impossible-travel",
        "account-sharing",
        "session-moved",
        "shared-device",
        "failed-logins",
        "password-spray",
        "many-devices",
        "sensitive-actions",
        "takeover-steps",
    ];
    let mut sidecar = components.sidecar(&detections.map(|id| (id, json!({}))));
    let mut random = Random(0x5eed_0f5e_ed0f_5eed);
    let mut number = 0;
    while number < 600 {
        let size = usize::try_from(1 + random.below(5)).unwrap();
        let batch: Vec<Value> = (0..size)
            .map(|at| random_event(number + at, &mut random))
            .collect();
        number += size;
        sidecar.take(&batch);
        let answer = super::harness::post(&spin, &Value::Array(batch).to_string()).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
    }
    let edge = (states(&store), findings(&receiver));
    assert!(
        edge.0.len() > 20 && edge.1.len() > 20,
        "{} states, {} findings",
        edge.0.len(),
        edge.1.len()
    );
    assert_eq!(edge, sidecar.told());
}
