//! The compiled table and a plain reading of it agree on every event.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail loudly"
)]

mod reference;

use std::path::Path;

use event_mapping::EventMapping;
use event_mapping::table::{Entry, Parameters, Values};
use rule_sdk::mapping::harness::{Harness, Sample};
use serde_json::Value;

const EVENTS: u32 = 20_000;
const UUID: &str = "5e2a1c9d-04bb-4f7e-9d11-0c3f8a7b6e55";

/// A small generator of numbers, so that a failure can be had again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// What tables compare events with: paths, statuses, methods, fields.
#[derive(Default)]
struct Vocabulary {
    paths: Vec<String>,
    statuses: Vec<String>,
    methods: Vec<String>,
    fields: Vec<(String, String)>,
}

impl Vocabulary {
    fn collect(&mut self, entry: &Entry, base: &str) {
        let texts =
            |values: &Values| -> Vec<String> { values.0.iter().map(ToString::to_string).collect() };
        let base = format!("{base}{}", entry.base);
        self.paths.extend(
            texts(&entry.path)
                .iter()
                .map(|path| format!("{base}{path}")),
        );
        self.statuses.extend(texts(&entry.status));
        self.methods.extend(texts(&entry.method));
        let named = [
            ("http.request.referrer", &entry.referrer),
            ("server.address", &entry.server),
            ("user_agent.original", &entry.user_agent),
        ];
        let fields = entry
            .fields
            .0
            .iter()
            .map(|(field, values)| (field.as_str(), values));
        for (field, values) in named
            .into_iter()
            .chain(fields)
            .filter(|(field, _)| !field.starts_with("url."))
        {
            self.fields.extend(
                texts(values)
                    .into_iter()
                    .map(|text| (field.to_owned(), text)),
            );
        }
        for inner in entry.entries.iter().chain(&entry.any).chain(&entry.not) {
            self.collect(inner, &base);
        }
    }

    fn sample(&self, random: &mut Random, table: &Parameters) -> Sample {
        let mut sample = Sample::request(&self.target(random, table));
        let methods: Vec<&str> = self
            .methods
            .iter()
            .map(String::as_str)
            .chain(["GET", "POST", "FOO"])
            .collect();
        sample = sample.with("http.request.method", random.pick(&methods));
        let statuses: Vec<&str> = self
            .statuses
            .iter()
            .map(String::as_str)
            .chain(["200", "302", "418", "0"])
            .collect();
        let status = random.pick(&statuses).replace("xx", "07");
        sample.status = status.split('-').next().unwrap().parse().unwrap_or(200);
        sample.server_port = [0, 0, 8000, 62081][random.below(4)];
        let referrers = [
            "",
            "",
            "http://am.example/",
            "http://127.0.0.1:62081/packages/",
            "http://127.0.0.1:620810/",
        ];
        sample = match random.pick(&referrers.each_ref().map(|text| &**text)) {
            "" => sample,
            referrer => sample.with("http.request.referrer", referrer),
        };
        for _ in 0..random.below(3) {
            if let Some((field, pattern)) = self.fields.get(random.below(self.fields.len().max(1)))
            {
                let text = expand(pattern, table, random).replace('*', ["", "x"][random.below(2)]);
                sample = sample.with(field, if text == "true" { "on" } else { &text });
            }
        }
        sample
    }

    fn target(&self, random: &mut Random, table: &Parameters) -> String {
        let pattern = &self.paths[random.below(self.paths.len())];
        let mut target = expand(pattern, table, random);
        for (placeholder, texts) in [
            ("{uuid}", &[UUID, UUID, &UUID.to_uppercase(), "nothing"][..]),
            ("{number}", &["7", "12", "x7"]),
            ("**", &["", "", "x", "x/y", "edit", "a/delete/"]),
            ("*", &["default", UUID, "edit", ""]),
        ] {
            while target.contains(placeholder) {
                target = target.replacen(placeholder, random.pick(texts), 1);
            }
        }
        while let Some((before, rest)) = target.split_once('{') {
            let (_, after) = rest.split_once('}').unwrap();
            target = format!("{before}{}{after}", random.pick(&["me", "v2", UUID]));
        }
        match random.below(12) {
            0 => target.push('/'),
            1 => target = target.replacen('/', "//", 2),
            2 => target = target.trim_end_matches('/').to_owned(),
            3 => target.push('x'),
            4 => target = target.replace('a', "A"),
            5 => target = target[..target.len() / 2].to_owned(),
            _ => {}
        }
        target
            + random.pick(&[
                "",
                "",
                "",
                "/",
                "?",
                "?q=1",
                "?id=5e2a1c9d-04bb-4f7e-9d11-0c3f8a7b6e55",
            ])
    }
}

fn expand(text: &str, table: &Parameters, random: &mut Random) -> String {
    let mut text = text.to_owned();
    for (name, values) in &table.settings {
        let value = match values.0.len() {
            0 => String::new(),
            many => values.0[random.below(many)].to_string(),
        };
        text = text.replace(&format!("{{settings.{name}}}"), &value);
    }
    text
}

/// Gives the table with settings changed, and compares.
fn compare(pack: &str, settings: &[(&str, Value)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../../rules/packs/{pack}/mapping.toml"));
    let mut table: Value = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for (name, value) in settings {
        table["settings"][*name] = value.clone();
    }
    let harness: Harness<EventMapping> = Harness::new(&table.to_string())
        .map_err(|error| error.message)
        .unwrap();
    let table: Parameters = serde_json::from_value(table).unwrap();
    let mut vocabulary = Vocabulary::default();
    for entry in table
        .discard
        .iter()
        .chain(&table.table)
        .chain(table.conditions.values().flatten())
    {
        vocabulary.collect(entry, "");
    }
    let mut random = Random(7);
    let samples: Vec<Sample> = (0..EVENTS)
        .map(|_| vocabulary.sample(&mut random, &table))
        .collect();
    let mut seen = std::collections::BTreeSet::new();
    for (sample, found) in samples.iter().zip(harness.entries(&samples)) {
        let expected = reference::first(&table, sample);
        assert_eq!(found, expected, "{pack}: {sample:?}");
        seen.extend(found);
    }
    let entries = harness.descriptor().annotations.len();
    // Random requests do not meet every entry; most of them must be, lest the
    // comparison says nothing.
    assert!(
        seen.len() * 10 >= entries * 8,
        "{pack}: only {} of {entries} entries were met",
        seen.len()
    );
}

#[test]
fn auditmatica() {
    compare("auditmatica", &[]);
}

#[test]
fn archivematica() {
    compare("archivematica", &[]);
}

#[test]
fn archivematica_with_named_servers() {
    let host = Value::from("storage.example");
    compare(
        "archivematica",
        &[
            ("storage_service_host", host),
            ("storage_service_port", 8000.into()),
        ],
    );
}

#[test]
fn mattermost() {
    compare("mattermost", &[("site_path", "/chat".into())]);
}

#[test]
fn nginx() {
    compare("nginx", &[]);
}
