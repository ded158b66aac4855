//! Every rule's test vectors, natively and again through its component: both
//! must find the same, to the last bit of evidence.

use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

use integration_tests::command::{repository, rules};
use rule_sdk::detection::harness::{Harness, TestEvent};
use rule_sdk::detection::vectors::{self, Case};
use rule_sdk::detection::{Rule, wire};
use sidewatch_engine::{DetectionRule, Engine, EngineSettings, LoadedRule, RawFinding, RuleLimits};
use sidewatch_event::{Activity, Event, EvidenceValue, Field, FieldName, Location, NetworkKind};

/// The vector files of a rule.
fn files(id: &str) -> Vec<PathBuf> {
    let folder = repository().join("rules").join(id).join("tests");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    files.sort();
    files
}

fn component(id: &str) -> LoadedRule {
    let engine = Engine::new(&EngineSettings::default()).unwrap();
    engine
        .load_file(&rules().join(format!("{id}.wasm")))
        .unwrap()
}

/// The event as enrichment would leave it.
fn event(test: &TestEvent) -> Box<Event> {
    let numbers = test.numbers();
    let mut event = Box::new(Event::new());
    event.time = numbers.time;
    event.status = u16::try_from(numbers.status).unwrap();
    event.keys.user = numbers.user;
    event.keys.session = numbers.session;
    event.keys.device = numbers.device;
    event.keys.user_agent = numbers.user_agent;
    event.source_ip = test.address;
    event.location = test
        .place
        .map(|(latitude, longitude, accuracy_km)| Location {
            latitude,
            longitude,
            accuracy_km,
        });
    event.as_number = numbers.as_number;
    event.network_kind = NetworkKind::ALL[numbers.network_kind as usize];
    event.activity = [
        Activity::Other,
        Activity::LoginSuccess,
        Activity::LoginFailure,
        Activity::MfaPrompt,
        Activity::MfaFailure,
        Activity::Logout,
        Activity::PasswordChange,
        Activity::TokenCreation,
        Activity::MfaRemoval,
        Activity::PermissionDenied,
    ][numbers.activity as usize];
    if !test.country.is_empty() {
        event.set(Field::SourceGeoCountryIsoCode, &test.country);
    }
    for (name, text) in &test.texts {
        match FieldName::parse(name).unwrap() {
            FieldName::Field(field) => event.set(field, text),
            FieldName::Label(label) => event.set_label(&label, text),
        }
    }
    event
}

/// A finding in words, the same for both sides.
type Told = (usize, String, u64, u32, u32, u32, String, Vec<String>);

fn told_by_component(finding: &RawFinding) -> Told {
    let evidence = finding.evidence.iter().map(|item| {
        let value = match &item.value {
            EvidenceValue::Text(text) => format!("text {text}"),
            EvidenceValue::Integer(number) => format!("integer {number}"),
            EvidenceValue::Real(number) => format!("real {:x}", number.to_bits()),
            EvidenceValue::Time(time) => format!("time {time}"),
            EvidenceValue::Address(address) => format!("address {address}"),
            EvidenceValue::Coordinates(latitude, longitude) => {
                format!("at {:x} {:x}", latitude.to_bits(), longitude.to_bits())
            }
        };
        format!("{} = {value}", item.name)
    });
    (
        finding.event,
        finding.kind.to_string(),
        finding.incident,
        finding.occurrence,
        u32::from(finding.severity),
        finding.score.to_bits(),
        finding.title.clone(),
        evidence.collect(),
    )
}

fn told_natively(descriptor: &wire::Descriptor, finding: &wire::Finding) -> Told {
    let evidence = finding.evidence.iter().map(|item| {
        let value = match &item.value {
            wire::EvidenceValue::Text(text) => format!("text {text}"),
            wire::EvidenceValue::Integer(number) => format!("integer {number}"),
            wire::EvidenceValue::Real(number) => format!("real {:x}", number.to_bits()),
            wire::EvidenceValue::Time(time) => format!("time {time}"),
            wire::EvidenceValue::Address(address) => {
                let bits = u128::from(address.high) << 64 | u128::from(address.low);
                let address = IpAddr::V6(Ipv6Addr::from(bits)).to_canonical();
                format!("address {address}")
            }
            wire::EvidenceValue::Coordinates(place) => {
                format!(
                    "at {:x} {:x}",
                    place.latitude.to_bits(),
                    place.longitude.to_bits()
                )
            }
        };
        format!("{} = {value}", item.name)
    });
    (
        finding.event as usize,
        descriptor.findings[finding.kind as usize].id.clone(),
        finding.incident,
        finding.occurrence,
        finding.severity,
        finding.score.to_bits(),
        finding.title.clone(),
        evidence.collect(),
    )
}

/// The component's findings for the events, in frames of `frame`.
fn by_component(rule: &mut DetectionRule, events: &[Box<Event>], frame: usize) -> Vec<Told> {
    let mut told = Vec::new();
    for (number, chunk) in events.chunks(frame).enumerate() {
        let mut found = Vec::new();
        rule.fold(chunk, &mut found);
        let mut found: Vec<Told> = found.iter().map(told_by_component).collect();
        found.sort_by_key(|finding| finding.0);
        told.extend(found.into_iter().map(|mut finding| {
            finding.0 += number * frame;
            finding
        }));
    }
    told
}

fn compare<R: Rule + 'static>(loaded: &LoadedRule, path: &Path, case: &Case) {
    let place = format!("{}: `{}`", path.display(), case.name);
    let events = case.events().unwrap();
    let mut native = Harness::<R>::new(&case.parameters()).unwrap();
    let found = native.run(&events);
    let descriptor = native.descriptor().clone();
    case.check(&descriptor, &found)
        .unwrap_or_else(|error| panic!("{place}, natively: {error}"));
    let expected: Vec<Told> = found
        .iter()
        .map(|finding| told_natively(&descriptor, finding))
        .collect();
    let parameters = serde_json::from_str(&case.parameters()).unwrap();
    let events: Vec<Box<Event>> = events.iter().map(event).collect();
    for frame in [events.len().max(1), 1] {
        let mut rule = loaded
            .detection(&parameters, RuleLimits::default())
            .unwrap();
        let told = by_component(&mut rule, &events, frame);
        assert_eq!(told, expected, "{place}, through the component");
        let faults = rule
            .counters
            .quarantined
            .load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(faults, 0, "{place}");
    }
}

fn agree<R: Rule + 'static>() {
    let id = R::description().id;
    let loaded = component(id);
    let mut cases = 0;
    for path in files(id) {
        for case in vectors::load(&path).unwrap() {
            compare::<R>(&loaded, &path, &case);
            cases += 1;
        }
    }
    assert!(cases >= 10, "only {cases} cases of {id}");
}

#[test]
fn impossible_travel_is_the_same_in_a_component() {
    agree::<impossible_travel::ImpossibleTravel>();
}

#[test]
fn account_sharing_is_the_same_in_a_component() {
    agree::<account_sharing::AccountSharing>();
}

#[test]
fn session_moved_is_the_same_in_a_component() {
    agree::<session_moved::SessionMoved>();
}

#[test]
fn shared_device_is_the_same_in_a_component() {
    agree::<shared_device::SharedDevice>();
}

#[test]
fn many_devices_is_the_same_in_a_component() {
    agree::<many_devices::ManyDevices>();
}

#[test]
fn failed_logins_is_the_same_in_a_component() {
    agree::<failed_logins::FailedLogins>();
}

#[test]
fn password_spray_is_the_same_in_a_component() {
    agree::<password_spray::PasswordSpray>();
}

#[test]
fn sensitive_actions_is_the_same_in_a_component() {
    agree::<sensitive_actions::SensitiveActions>();
}

#[test]
fn takeover_steps_is_the_same_in_a_component() {
    agree::<takeover_steps::TakeoverSteps>();
}

#[test]
fn every_rule_with_vectors_is_compared() {
    let mut ids: Vec<String> = std::fs::read_dir(repository().join("rules"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("tests").is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    ids.sort();
    let compared = [
        "account-sharing",
        "failed-logins",
        "impossible-travel",
        "many-devices",
        "password-spray",
        "sensitive-actions",
        "session-moved",
        "shared-device",
        "takeover-steps",
    ];
    assert_eq!(ids, compared, "add the new rule's comparison to this file");
}
