//! Is what is kept whole, and does every record have its place?

use serde_json::Value;
use sidewatch_store::Progress;
use sidewatch_store::verify::verify;

use super::Findings;
use crate::admin::control::ControlRequest;
use crate::cli::store_access::ask;
use crate::config::ConfigFile;
use crate::pipeline::{durable, lanes};

pub(super) fn check(findings: &mut Findings, config: &ConfigFile, running: bool) {
    if config.data_directory.is_none() || !config.store.enabled {
        findings.warn("store", "nothing is kept: `data_directory` is not set");
        return;
    }
    if running {
        match ask(config, &ControlRequest::Progress) {
            Ok(progress) => live(findings, &progress),
            Err(error) => findings.fail("store", &error.to_string()),
        }
        return;
    }
    let directory = durable::directory(config.directory());
    let found = match verify(&directory) {
        Ok(Some(found)) => found,
        Ok(None) => return findings.ok("store", "not run yet: nothing is kept so far"),
        Err(error) => return findings.fail("store", &error.to_string()),
    };
    let summary = format!(
        "{} files, {} bytes, {} states, {} positions, {} dead letters",
        found.segments, found.bytes, found.states, found.positions, found.dead_letters
    );
    if found.damaged_bytes > 0 {
        findings.warn(
            "store",
            &format!(
                "{summary}; {} bytes are damaged or torn and will be passed over",
                found.damaged_bytes
            ),
        );
    } else {
        findings.ok("store", &summary);
    }
    for (name, progress, counted) in found.unbalanced() {
        findings.fail(
            "identity",
            &format!(
                "sink {name}: {} wait by the numbers, {counted} by counting",
                progress.waiting()
            ),
        );
    }
    if found.unbalanced().next().is_none() {
        findings.ok(
            "identity",
            "offered = delivered + filtered + rejected + lost + moved + waiting, for every sink",
        );
    }
    for (name, progress, _) in &found.sinks {
        lane(findings, &Numbers::of(name, progress));
    }
    let configured = |name: &str| config.sinks.iter().any(|sink| sink.id == name);
    let waiting = found
        .sinks
        .iter()
        .map(|(lane, progress, _)| (lanes::sink_of(lane), progress.waiting()));
    let mut removed: Vec<(&str, u64)> = Vec::new();
    for (sink, waiting) in waiting.filter(|(sink, _)| !configured(sink)) {
        match removed.iter_mut().find(|(known, _)| *known == sink) {
            Some((_, sum)) => *sum += waiting,
            None => removed.push((sink, waiting)),
        }
    }
    for (sink, waiting) in removed.into_iter().filter(|(_, waiting)| *waiting > 0) {
        findings.warn("sinks", &lanes::left_of(sink, waiting));
    }
}

/// The numbers of a sink.
struct Numbers {
    sink: String,
    offered: u64,
    delivered: u64,
    filtered: u64,
    rejected: u64,
    dropped: u64,
    moved: u64,
    damaged: u64,
    waiting: u64,
}

impl Numbers {
    fn of(sink: &str, progress: &Progress) -> Self {
        Self {
            sink: sink.to_owned(),
            offered: progress.offered,
            delivered: progress.delivered,
            filtered: progress.filtered,
            rejected: progress.rejected,
            dropped: progress.dropped(),
            moved: progress.moved,
            damaged: progress.lost.damaged,
            waiting: progress.waiting(),
        }
    }

    fn told(sink: &Value) -> Self {
        let number = |key: &str| sink.get(key).and_then(Value::as_u64).unwrap_or(0);
        let name = sink.get("sink").and_then(Value::as_str).unwrap_or_default();
        Self {
            sink: name.to_owned(),
            offered: number("offered"),
            delivered: number("delivered"),
            filtered: number("filtered"),
            rejected: number("rejected"),
            dropped: number("dropped"),
            moved: number("moved"),
            damaged: number("damaged"),
            waiting: number("waiting"),
        }
    }
}

/// A line for a lane of a sink.
fn lane(findings: &mut Findings, numbers: &Numbers) {
    let Numbers {
        sink,
        offered,
        delivered,
        filtered,
        rejected,
        dropped,
        moved,
        damaged,
        waiting,
    } = numbers;
    let detail = format!(
        "sink {sink}: {offered} offered, {delivered} delivered, {waiting} wait, {filtered} left out, {rejected} refused, {dropped} dropped, {damaged} damaged"
    );
    if *offered != delivered + filtered + rejected + dropped + moved + damaged + waiting {
        findings.fail("identity", &detail);
    } else if dropped + damaged > 0 {
        findings.warn("identity", &detail);
    } else {
        findings.ok("identity", &detail);
    }
}

fn live(findings: &mut Findings, progress: &Value) {
    match progress.get("trouble").and_then(Value::as_str) {
        Some(trouble) => findings.fail("store", trouble),
        None if progress.get("disk_full") == Some(&Value::Bool(true)) => findings.warn(
            "store",
            "its disk is full: sinks that are behind may lose their oldest records; make room",
        ),
        None => findings.ok("store", "takes what comes"),
    }
    let list = |key: &str| progress.get(key).and_then(Value::as_array);
    for sink in list("sinks").into_iter().flatten() {
        lane(findings, &Numbers::told(sink));
    }
    for removed in list("removed_sinks").into_iter().flatten() {
        let name = removed.get("sink").and_then(Value::as_str);
        let waiting = removed.get("waiting").and_then(Value::as_u64);
        let (name, waiting) = (name.unwrap_or_default(), waiting.unwrap_or_default());
        findings.warn("sinks", &lanes::left_of(name, waiting));
    }
}
