//! Reading the metrics page.

use std::collections::{BTreeMap, BTreeSet};

/// The samples of one scrape.
#[derive(Debug, Clone, Default)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads the exposition text.
    pub fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        Self(
            samples
                .filter_map(|line| line.rsplit_once(' '))
                .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
                .collect(),
        )
    }

    /// The one sample of that name with those labels, in the page's order;
    /// `sidewatch_` goes without saying.
    ///
    /// # Panics
    /// There is none.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let labels: Vec<_> = labels
            .iter()
            .map(|(key, value)| format!("{key}=\"{value}\""))
            .collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        let sample = format!("sidewatch_{name}{labels}");
        match self.0.get(&sample) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "counters are whole"
            )]
            Some(value) => *value as u64,
            None => panic!("no sample {sample} among {:#?}", self.0.keys()),
        }
    }

    /// Events the pipeline let end so: `joined`, `forwarded` …
    pub fn events(&self, outcome: &str) -> u64 {
        self.get("pipeline_events_total", &[("outcome", outcome)])
    }

    /// Records of a source that became `what`.
    pub fn source(&self, source: &str, what: &str) -> u64 {
        self.get(
            "source_records_total",
            &[("source", source), ("what", what)],
        )
    }

    /// Records of a sink that became `what`.
    pub fn sink(&self, sink: &str, what: &str) -> u64 {
        self.get("sink_records_total", &[("sink", sink), ("what", what)])
    }

    /// Frames a rule failed on for that reason.
    pub fn faults(&self, rule: &str, reason: &str) -> u64 {
        self.get("rule_faults_total", &[("rule", rule), ("reason", reason)])
    }

    /// Values of a label over all samples that carry it.
    fn values_of(&self, label: &str) -> BTreeSet<String> {
        let start = format!("{label}=\"");
        self.0
            .keys()
            .filter_map(|sample| sample.split_once(&start)?.1.split('"').next())
            .map(str::to_owned)
            .collect()
    }

    /// What breaks the conservation of events, if anything: every event
    /// received is somewhere.
    pub fn imbalance(&self) -> Option<String> {
        let received = self.get("pipeline_received_events_total", &[]);
        let ends = ["joined", "joined_late", "suppressed", "forwarded"]
            .map(|outcome| self.events(outcome));
        let waiting = self.get("pipeline_waiting_events", &[]);
        if received != ends.iter().sum::<u64>() + waiting {
            return Some(format!(
                "pipeline: received {received}, ends {ends:?}, waiting {waiting}"
            ));
        }
        let mut decoded = 0;
        for source in self.values_of("source") {
            let read = |what| self.source(&source, what);
            let ends = [
                "decoded",
                "rejected",
                "unauthenticated",
                "shed_queue_full",
                "shed_closing",
            ]
            .map(read);
            decoded += read("decoded");
            if read("received") != ends.iter().sum::<u64>() {
                return Some(format!(
                    "source {source}: received {}, ends {ends:?}",
                    read("received")
                ));
            }
        }
        let recovered = self.get("pipeline_recovered_events_total", &[]);
        if decoded + recovered != received {
            return Some(format!(
                "sources decoded {decoded}, the pipeline received {received}"
            ));
        }
        let offered = self.events("forwarded") + self.get("pipeline_findings_total", &[]);
        self.values_of("sink")
            .iter()
            .find_map(|sink| self.sink_imbalance(sink, offered))
    }

    fn sink_imbalance(&self, sink: &str, offered: u64) -> Option<String> {
        let read = |what| self.sink(sink, what);
        let waiting = self.get("sink_waiting_records", &[("sink", sink)]);
        let ends = [
            "delivered",
            "filtered",
            "rejected",
            "dropped_queue_full",
            "dropped_disk_full",
            "dropped_damaged",
            "dropped_shutdown",
        ]
        .map(read);
        let received = read("received");
        let whole = received == offered
            && received + read("recovered") == ends.iter().sum::<u64>() + waiting;
        (!whole).then(|| format!("sink {sink}: offered {offered}, received {received}, ends {ends:?}, waiting {waiting}"))
    }
}
