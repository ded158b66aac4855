//! `sidewatch tap`: live events and findings of a running sidecar.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::Value;
use sidewatch_event::FieldName;
use sidewatch_sinks::FilterSettings;

use super::reach::Reach;
use super::terminal;
use super::usage::{pair, usage};
use crate::admin::control::ControlRequest;

/// Which sidecar, and which records.
#[derive(Debug, Args)]
pub(crate) struct TapArguments {
    #[command(flatten)]
    reach: Reach,
    /// Findings alone, no events
    #[arg(long, conflicts_with_all = ["action", "field"])]
    findings: bool,
    /// Least severity, 0 to 10
    #[arg(long, default_value_t = 0, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(0..=10))]
    severity: u8,
    /// Only this event.action; may be given again
    #[arg(long, value_name = "NAME")]
    action: Vec<String>,
    /// Only findings of this kind; may be given again
    #[arg(long, value_name = "NAME")]
    kind: Vec<String>,
    /// Only records with this value of a field, such as user.name=zoe; may be given again
    #[arg(long, value_name = "FIELD=VALUE", value_parser = field)]
    field: Vec<(String, String)>,
    /// End after so many records
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// A field by its name, and a value.
fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = pair(text)?;
    FieldName::parse(&name).map_err(|error| {
        format!("{error}; write an ECS name such as user.name=zoe, or labels.<name>=zoe")
    })?;
    Ok((name, value))
}

pub(super) fn run(arguments: &TapArguments) -> Result<u8> {
    let mut filter = FilterSettings {
        findings_only: arguments.findings,
        min_severity: arguments.severity,
        actions: arguments.action.clone(),
        kinds: arguments.kind.clone(),
        ..FilterSettings::default()
    };
    for (name, value) in &arguments.field {
        let values = filter.fields.entry(name.clone()).or_default();
        values.push(value.clone());
    }
    // What makes no sense is said here, before anybody is asked.
    filter.build().map_err(usage)?;
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    let request = ControlRequest::Tap { filter };
    arguments.reach.follow(&request, |line| {
        let said: Value = serde_json::from_str(line).unwrap_or(Value::Null);
        if let Some(error) = said.get("error").and_then(Value::as_str)
            && said.as_object().is_some_and(|members| members.len() == 1)
        {
            bail!("{error}");
        }
        if let Some(missed) = said.get("missed").filter(|_| said.get("event").is_none()) {
            terminal::note(&format!("{missed} records were too fast to be shown"));
            return Ok(true);
        }
        terminal::print(&format!("{line}\n"))?;
        left -= 1;
        Ok(left > 0)
    })?;
    Ok(0)
}
