//! The metrics, read from the live counters at every scrape.
//!
//! Names follow Vector's component specification with a `sidewatch_` prefix;
//! labels come from the configuration only, never from events, so their number
//! is bounded.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, text::encode};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use sidewatch_engine::RuleCounters;

use crate::pipeline::status::RuleStatus;
use crate::pipeline::{Status, lanes};

/// The exposition text.
pub(super) fn exposition(status: &Status) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("sidewatch");
    // A collector must be 'static, so it takes what it needs along.
    registry.register_collector(Box::new(Snapshot::of(status)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Counter,
    Gauge,
}

impl Kind {
    fn encode(self, value: u64, encoder: MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Counter => ConstCounter::new(value).encode(encoder),
            Self::Gauge => {
                ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(encoder)
            }
        }
    }
}

#[derive(Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    samples: Vec<(Vec<(&'static str, String)>, u64)>,
}

/// All families with their values at one moment.
#[derive(Debug)]
struct Snapshot(Vec<Family>);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in &self.0 {
            let zero = ConstCounter::new(0_u64);
            let kind = match family.kind {
                Kind::Counter => zero.metric_type(),
                Kind::Gauge => ConstGauge::new(0_i64).metric_type(),
            };
            let mut metric = encoder.encode_descriptor(family.name, family.help, None, kind)?;
            // A family of no labels at all would be printed as `name{}`.
            if let [(labels, value)] = family.samples.as_slice()
                && labels.is_empty()
            {
                family.kind.encode(*value, metric)?;
                continue;
            }
            for (labels, value) in &family.samples {
                family.kind.encode(*value, metric.encode_family(labels)?)?;
            }
        }
        Ok(())
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Snapshot {
    fn of(status: &Status) -> Self {
        let mut families = Self::sources(status);
        families.extend(Self::pipeline(status));
        families.extend(Self::sinks(status));
        families.extend(Self::rules(status));
        families.extend(Self::store(status));
        families.push(single(
            "failed_parts",
            "Sources and other parts that failed for good: see /readyz",
            Kind::Gauge,
            status.failures().len() as u64,
        ));
        families.push(Family {
            name: "database_build_timestamp_seconds",
            help: "When the database in use was built",
            kind: Kind::Gauge,
            samples: status
                .databases()
                .into_iter()
                .map(|database| {
                    (
                        vec![("path", database.path.display().to_string())],
                        database.build_epoch,
                    )
                })
                .collect(),
        });
        families.retain(|family| !family.samples.is_empty());
        Self(families)
    }

    fn sources(status: &Status) -> Vec<Family> {
        let samples = status
            .sources
            .iter()
            .flat_map(|(name, counters)| {
                counters
                    .snapshot()
                    .named()
                    .map(|(what, value)| {
                        (
                            vec![("source", name.clone()), ("what", what.to_owned())],
                            value,
                        )
                    })
                    .collect::<Vec<_>>()
            })
            .collect();
        vec![
            Family {
                name: "source_records",
                help: "Records and bytes by source and what became of them",
                kind: Kind::Counter,
                samples,
            },
            Self::source_files(status),
        ]
    }

    fn source_files(status: &Status) -> Family {
        let mut samples = Vec::new();
        for (name, counters) in &status.sources {
            let report = counters.files.report();
            let states = [
                ("followed", report.followed),
                ("waiting", report.waiting),
                ("unreadable", report.unreadable),
            ];
            if states.iter().all(|(_, count)| *count == 0) {
                continue;
            }
            samples.extend(states.map(|(state, count)| {
                let labels = vec![("source", name.clone()), ("state", state.to_owned())];
                (labels, count as u64)
            }));
        }
        Family {
            name: "source_files",
            help: "Followed files by source: all, those that do not exist, those that cannot be read (see /readyz)",
            kind: Kind::Gauge,
            samples,
        }
    }

    fn pipeline(status: &Status) -> Vec<Family> {
        let counters = &status.pipeline;
        let outcomes = [
            ("joined", &counters.joined),
            ("joined_late", &counters.joined_late),
            ("suppressed", &counters.suppressed),
            ("forwarded", &counters.forwarded),
        ];
        vec![
            single(
                "pipeline_received_events",
                "Events taken from the sources",
                Kind::Counter,
                read(&counters.received),
            ),
            Family {
                name: "pipeline_events",
                help: "Events by what became of them; with those waiting they add up to those received",
                kind: Kind::Counter,
                samples: outcomes
                    .map(|(name, counter)| (vec![("outcome", name.to_owned())], read(counter)))
                    .into(),
            },
            single(
                "pipeline_waiting_events",
                "Halves of requests waiting for the other",
                Kind::Gauge,
                read(&counters.waiting),
            ),
            single(
                "pipeline_recovered_events",
                "Halves of requests an earlier run left, part of those received",
                Kind::Counter,
                read(&counters.recovered),
            ),
            single(
                "pipeline_findings",
                "Findings of all rules",
                Kind::Counter,
                read(&counters.findings),
            ),
            single(
                "pipeline_findings_withheld",
                "Findings about places held back because a proxy hides the clients",
                Kind::Counter,
                read(&counters.findings_withheld),
            ),
            single(
                "pipeline_clients_hidden",
                "1 while more than 90 % of events come from one private address: see enrichment.trusted_proxies",
                Kind::Gauge,
                read(&counters.clients_hidden),
            ),
        ]
    }

    fn sinks(status: &Status) -> Vec<Family> {
        let mut records = Vec::new();
        let mut waiting = Vec::new();
        for (name, counters) in &status.sinks {
            let counts = counters.counts();
            let outcomes = [
                ("received", counts.received),
                ("recovered", counts.recovered),
                ("delivered", counts.delivered),
                ("filtered", counts.filtered),
                ("rejected", counts.rejected),
                ("dropped_queue_full", counts.dropped_queue_full),
                ("dropped_disk_full", counts.dropped_disk_full),
                ("dropped_damaged", counts.dropped_damaged),
                ("dropped_shutdown", counts.dropped_shutdown),
                ("retries", counts.retries),
            ];
            let labels = |what: &str| vec![("sink", name.clone()), ("what", what.to_owned())];
            records.extend(outcomes.map(|(what, value)| (labels(what), value)));
            waiting.push((vec![("sink", name.clone())], counts.in_flight));
        }
        vec![
            Family {
                name: "sink_records",
                help: "Records by sink and what became of them",
                kind: Kind::Counter,
                samples: records,
            },
            Family {
                name: "sink_waiting_records",
                help: "Records waiting for a sink",
                kind: Kind::Gauge,
                samples: waiting,
            },
        ]
    }

    fn rules(status: &Status) -> Vec<Family> {
        let rules = status.rules_now();
        let swaps = &status.board.swaps;
        let swaps = [
            ("swapped", &swaps.swapped),
            ("refused", &swaps.refused),
            ("rolled_back", &swaps.rolled_back),
            ("switched_off", &swaps.switched_off),
        ]
        .map(|(result, counter)| (vec![("result", result.to_owned())], read(counter)));
        let versions = rules.iter().map(|rule| {
            let labels = vec![("rule", rule.id.clone()), ("version", rule.version.clone())];
            (labels, 1)
        });
        let mut families = vec![
            Family {
                name: "rule_swaps",
                help: "Changes of rules' versions by their result",
                kind: Kind::Counter,
                samples: swaps.to_vec(),
            },
            Family {
                name: "rule_version_info",
                help: "Version of a rule in force",
                kind: Kind::Gauge,
                samples: versions.collect(),
            },
            Family {
                name: "rule_faults",
                help: "Frames a rule failed on",
                kind: Kind::Counter,
                samples: rules.iter().flat_map(faults).collect(),
            },
        ];
        families.extend(OF_RULES.map(|(name, help, kind, counter)| {
            let samples = rules.iter().map(|rule| {
                let labels = vec![("rule", rule.id.clone())];
                (labels, read(counter(&rule.counters)))
            });
            Family {
                name,
                help,
                kind,
                samples: samples.collect(),
            }
        }));
        families
    }
}

/// What is counted of every rule, and where.
type OfRule = (
    &'static str,
    &'static str,
    Kind,
    fn(&RuleCounters) -> &AtomicU64,
);

const OF_RULES: [OfRule; 9] = [
    (
        "rule_too_slow",
        "Times a rule was suspended for taking too long without failing",
        Kind::Counter,
        |rule| &rule.too_slow,
    ),
    (
        "rule_events",
        "Events a rule was given",
        Kind::Counter,
        |rule| &rule.events,
    ),
    (
        "rule_findings",
        "Findings of a rule",
        Kind::Counter,
        |rule| &rule.findings,
    ),
    (
        "rule_nanoseconds",
        "Time spent in a rule",
        Kind::Counter,
        |rule| &rule.nanoseconds,
    ),
    (
        "rule_quarantined_events",
        "Events a rule could not evaluate",
        Kind::Counter,
        |rule| &rule.quarantined,
    ),
    (
        "rule_skipped_events",
        "Events passed by while a rule was suspended",
        Kind::Counter,
        |rule| &rule.skipped,
    ),
    ("rule_states", "States a rule keeps", Kind::Gauge, |rule| {
        &rule.states
    }),
    (
        "rule_state_bytes",
        "Bytes of states a rule keeps",
        Kind::Gauge,
        |rule| &rule.state_bytes,
    ),
    (
        "rule_states_evicted",
        "States forgotten for want of room",
        Kind::Counter,
        |rule| &rule.states_evicted,
    ),
];

/// How often a rule failed, by reason.
fn faults(rule: &RuleStatus) -> [(Vec<(&'static str, String)>, u64); 4] {
    let counters = &rule.counters;
    [
        ("trapped", &counters.trapped),
        ("timed_out", &counters.timed_out),
        ("out_of_memory", &counters.out_of_memory),
        ("rejected", &counters.rejected),
    ]
    .map(|(reason, counter)| {
        let labels = vec![("rule", rule.id.clone()), ("reason", reason.to_owned())];
        (labels, read(counter))
    })
}

impl Snapshot {
    fn store(status: &Status) -> Vec<Family> {
        let Some(store) = &status.store else {
            return Vec::new();
        };
        let now = store.status();
        let gauge = |name, help, value| single(name, help, Kind::Gauge, value);
        let counter = |name, help, value| single(name, help, Kind::Counter, value);
        let removed = lanes::removed_sinks(store);
        let of_removed = |value: fn(&(u64, u64)) -> u64| {
            let removed = removed.iter();
            removed
                .map(|(name, numbers)| (vec![("name", name.clone())], value(numbers)))
                .collect()
        };
        vec![
            Family {
                name: "removed_sink_waiting_records",
                help: "Records kept for a sink that is configured no more",
                kind: Kind::Gauge,
                samples: of_removed(|(waiting, _)| *waiting),
            },
            Family {
                name: "removed_sink_dropped_records",
                help: "Records such a sink lost since it was first configured",
                kind: Kind::Counter,
                samples: of_removed(|(_, dropped)| *dropped),
            },
            gauge(
                "store_journal_bytes",
                "Bytes of journal kept",
                now.journal_bytes,
            ),
            gauge("store_segments", "Files of the journal", now.segments),
            gauge(
                "store_dead_letters",
                "Records refused for good and kept",
                now.dead_letters,
            ),
            counter(
                "store_dead_letters_dropped",
                "Records refused for good that had to go for newer ones",
                now.dead_letters_dropped,
            ),
            gauge(
                "store_blocked",
                "A sink with the policy block holds everything up",
                now.blocked.into(),
            ),
            gauge(
                "store_disk_full",
                "The store's disk is full, or was within the last seconds",
                now.disk_full.into(),
            ),
            gauge(
                "store_unwritable",
                "The journal cannot be written at present",
                now.trouble.is_some().into(),
            ),
            counter(
                "store_commits",
                "Forced writes that acknowledged something",
                now.commits,
            ),
            counter(
                "store_commit_nanoseconds",
                "Time those took together",
                now.commit_nanoseconds,
            ),
        ]
    }
}

fn single(name: &'static str, help: &'static str, kind: Kind, value: u64) -> Family {
    Family {
        name,
        help,
        kind,
        samples: vec![(Vec::new(), value)],
    }
}
