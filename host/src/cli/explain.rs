//! `sidewatch explain 'LINE'`: every step one line goes through.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use sidewatch_event::{Activity, Event, NetworkKind};
use sidewatch_sources::identity;

use super::prepare::{Common, prepare};
use super::{INCOMPLETE, show, terminal};
use terminal::visible;

/// What to explain.
#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    #[command(flatten)]
    common: Common,
    /// The log line, or `-` to read lines from standard input; rules fold them in order
    #[arg(value_name = "LINE", required = true)]
    lines: Vec<String>,
}

pub(super) fn run(arguments: &ExplainArguments) -> Result<u8> {
    let mut prepared = prepare(&arguments.common, &|_| Ok(()))?;
    let mut code = 0;
    let lines = if arguments.lines == ["-"] {
        std::io::read_to_string(std::io::stdin())
            .context("cannot read standard input")?
            .lines()
            .map(str::to_owned)
            .collect()
    } else {
        arguments.lines.clone()
    };
    if lines.is_empty() {
        bail!("there is no line to explain");
    }
    for line in &lines {
        let mut event = Box::new(Event::new());
        event.received = identity::now();
        let mut text = format!("line       {}\n", visible(line));
        if let Err(error) = prepared.format.decode(line.as_bytes(), &mut event) {
            code = INCOMPLETE;
            writeln!(
                text,
                "parse      failed: {error}\n           format: {}",
                visible(&prepared.format_text)
            )?;
            terminal::print(&text)?;
            continue;
        }
        let parsed: Vec<_> = event
            .fields()
            .map(|(field, text)| (field.name(), text.to_owned()))
            .collect();
        let mut section = "parse";
        for (name, value) in &parsed {
            writeln!(text, "{section:<10} {name} = {}", visible(value))?;
            section = "";
        }
        writeln!(
            text,
            "{:<10} time = {}, status = {}",
            "",
            show::time(event.time),
            event.status
        )?;
        let mut section = "enrich";
        for (what, why) in prepared.processor.enricher.explain(&event) {
            writeln!(text, "{section:<10} {what}: {}", visible(&why))?;
            section = "";
        }
        let mut batch = [event];
        prepared.processor.evaluate(&mut batch);
        let [event] = batch;
        mapping(&event, &parsed, &mut text)?;
        verdicts(&mut prepared.processor, event, &mut text)?;
        terminal::print(&text)?;
    }
    Ok(code)
}

fn mapping(event: &Event, parsed: &[(&str, String)], text: &mut String) -> std::fmt::Result {
    let mut section = "mapping";
    for (field, value) in event
        .fields()
        .filter(|(field, _)| !parsed.iter().any(|(name, _)| *name == field.name()))
    {
        writeln!(text, "{section:<10} {} = {}", field.name(), visible(value))?;
        section = "";
    }
    if event.annotation.is_none() {
        writeln!(text, "{section:<10} no entry of the table matches")?;
        section = "";
    }
    if event.activity != Activity::Other {
        writeln!(
            text,
            "{section:<10} counts as {:?} for the rules",
            event.activity
        )?;
    }
    if event.suppressed {
        writeln!(text, "{section:<10} suppressed: goes to no sink")?;
    }
    Ok(())
}

fn verdicts(
    processor: &mut crate::pipeline::Processor,
    event: Box<Event>,
    text: &mut String,
) -> std::fmt::Result {
    let event: Arc<Event> = Arc::from(event);
    let findings = processor.take_findings(|_| Some(Arc::clone(&event)));
    for rule in &processor.rules.detections {
        let id = &rule.descriptor.id;
        let found: Vec<_> = findings
            .iter()
            .filter(|finding| finding.rule == *id)
            .collect();
        let key = rule.descriptor.key.join("+");
        let seen = rule
            .counters
            .events
            .load(std::sync::atomic::Ordering::Relaxed);
        match (found.as_slice(), seen) {
            ([], 0) => writeln!(text, "rule       {id}: not asked, the event has no {key}")?,
            ([], _) => writeln!(text, "rule       {id}: no finding")?,
            (found, _) => {
                for finding in found {
                    writeln!(text, "rule       {id}: FINDING\n{}", show::finding(finding))?;
                }
            }
        }
    }
    if event.network_kind == NetworkKind::Private {
        writeln!(
            text,
            "{:<10} the client's address is private: rules about places say nothing of it; if it is a proxy's, \
             pass the client on and list the proxy in enrichment.trusted_proxies",
            "hint"
        )?;
    }
    text.push('\n');
    Ok(())
}
