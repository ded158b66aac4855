//! `sidewatch rule inspect FILE.wasm`

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::Value;
use sidewatch_engine::cache::hexadecimal;
use sidewatch_engine::{Engine, EngineSettings, RuleKind, RuleLimits};
use sidewatch_event::FieldName;

use crate::cli::terminal::{self, visible};

/// What to inspect.
#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// The component
    file: PathBuf,
    /// Parameters to configure it with, a JSON object
    #[arg(long, default_value = "{}", value_name = "JSON")]
    parameters: String,
}

pub(super) fn run(arguments: &InspectArguments) -> Result<u8> {
    let parameters: Value =
        serde_json::from_str(&arguments.parameters).context("--parameters is no JSON")?;
    let engine = Engine::new(&EngineSettings::default())?;
    let loaded = engine
        .load_file(&arguments.file)
        .with_context(|| arguments.file.display().to_string())?;
    let mut text = String::new();
    writeln!(text, "file       {}", arguments.file.display())?;
    writeln!(text, "size       {} bytes", loaded.size)?;
    writeln!(text, "digest     sha256:{}", hexadecimal(&loaded.digest))?;
    writeln!(
        text,
        "interface  sidewatch:rule/{}@{}",
        loaded.kind.as_str(),
        sidewatch_engine::loader::INTERFACE_VERSION
    )?;
    writeln!(text, "imports    none")?;
    match loaded.kind {
        RuleKind::Detection => {
            let rule = loaded.detection(&parameters, RuleLimits::default())?;
            let descriptor = &rule.descriptor;
            writeln!(
                text,
                "rule       {} {}",
                descriptor.id,
                visible(&descriptor.version)
            )?;
            writeln!(
                text,
                "state      per {}, at most {} bytes, kept {} h",
                descriptor.key.join("+"),
                descriptor.state_limit,
                descriptor.state_ttl / 3_600_000
            )?;
            writeln!(text, "reads      {}", names(&descriptor.reads))?;
            for kind in &descriptor.kinds {
                let technique = if kind.technique.is_empty() {
                    "-"
                } else {
                    &*kind.technique
                };
                writeln!(
                    text,
                    "finding    {} (severity {}, {}): {}",
                    kind.id,
                    kind.severity,
                    visible(technique),
                    visible(&kind.title)
                )?;
            }
        }
        RuleKind::Mapping => {
            let rule = loaded.mapping(&parameters, RuleLimits::default());
            match rule {
                Ok(rule) => {
                    let descriptor = &rule.descriptor;
                    writeln!(
                        text,
                        "rule       {} {}",
                        visible(&descriptor.id),
                        visible(&descriptor.version)
                    )?;
                    writeln!(text, "reads      {}", names(&descriptor.reads))?;
                    writeln!(text, "writes     {}", names(&descriptor.writes))?;
                    writeln!(text, "catalogue  {} entries", descriptor.annotations.len())?;
                }
                Err(error) => {
                    writeln!(text, "rule       not described without its table: {error}")?
                }
            }
        }
    }
    terminal::print(&text)?;
    Ok(0)
}

fn names(fields: &[FieldName]) -> String {
    let names: Vec<String> = fields
        .iter()
        .map(|field| match field {
            FieldName::Field(field) => field.name().to_owned(),
            FieldName::Label(label) => format!("labels.{label}"),
        })
        .collect();
    if names.is_empty() {
        "no text field".to_owned()
    } else {
        names.join(", ")
    }
}
