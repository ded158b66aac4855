//! `sidewatch rule inspect FILE.wasm`

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Value, json};
use sidewatch_engine::cache::hexadecimal;
use sidewatch_engine::signature::{SignaturePolicy, Trust, read_key, read_signature};
use sidewatch_engine::{
    ConfigureError, DetectionRule, LoadedRule, MappingRule, RuleKind, RuleLimits,
};
use sidewatch_event::FieldName;

use super::{LimitArguments, engine};
use crate::cli::terminal::{self, visible};
use crate::cli::usage::json_object;

/// What to inspect.
#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// The component
    file: PathBuf,
    /// Parameters to configure it with, a JSON object
    #[arg(long, default_value = "{}", value_name = "JSON", value_parser = json_object)]
    parameters: Value,
    /// A public key to check the signature with: its file, or the line that begins with RW
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    #[command(flatten)]
    limits: LimitArguments,
}

pub(super) fn run(arguments: &InspectArguments) -> Result<u8> {
    let parameters = &arguments.parameters;
    let engine = engine(false)?;
    let limits = arguments.limits.limits();
    let place = || arguments.file.display().to_string();
    let bytes = engine.read(&arguments.file).with_context(place)?;
    let loaded = engine.load(&bytes).with_context(place)?;
    let mut text = String::new();
    writeln!(text, "file       {}", arguments.file.display())?;
    writeln!(text, "size       {} bytes", loaded.size)?;
    writeln!(text, "digest     sha256:{}", hexadecimal(&loaded.digest))?;
    writeln!(text, "signature  {}", signature(arguments, &bytes)?)?;
    writeln!(
        text,
        "interface  sidewatch:rule/{}@{}",
        loaded.kind.as_str(),
        sidewatch_engine::loader::INTERFACE_VERSION
    )?;
    writeln!(text, "imports    none")?;
    match loaded.kind {
        RuleKind::Detection => {
            let rule = loaded.detection(parameters, limits)?;
            describe(&mut text, &rule)?;
        }
        RuleKind::Mapping => match loaded.mapping(parameters, limits) {
            Ok(rule) => describe_mapping(&mut text, &rule)?,
            Err(error) => writeln!(text, "rule       not described without its table: {error}")?,
        },
    }
    writeln!(
        text,
        "parameters {}",
        visible(&known_parameters(&loaded, limits))
    )?;
    terminal::print(&text)?;
    Ok(0)
}

fn signature(arguments: &InspectArguments, bytes: &[u8]) -> Result<String> {
    let signature = read_signature(&arguments.file)?;
    if arguments.key.is_empty() {
        return Ok(match signature {
            Some(_) => "there is one; give --key to check it".to_owned(),
            None => "none".to_owned(),
        });
    }
    let mut keys = Vec::new();
    for key in &arguments.key {
        if key.starts_with("RW") {
            keys.push(key.clone());
        } else {
            keys.push(read_key(key.as_ref())?);
        }
    }
    let trust = Trust::new(SignaturePolicy::Warn, &keys)?;
    Ok(trust.check(bytes, signature.as_deref())?.to_string())
}

fn describe(text: &mut String, rule: &DetectionRule) -> std::fmt::Result {
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
    Ok(())
}

fn describe_mapping(text: &mut String, rule: &MappingRule) -> std::fmt::Result {
    let descriptor = &rule.descriptor;
    writeln!(
        text,
        "rule       {} {}",
        visible(&descriptor.id),
        visible(&descriptor.version)
    )?;
    writeln!(text, "reads      {}", names(&descriptor.reads))?;
    writeln!(text, "writes     {}", names(&descriptor.writes))?;
    writeln!(text, "catalogue  {} entries", descriptor.annotations.len())
}

/// The parameters a rule takes. The interface has no list of them; but a rule
/// must refuse one it does not know, and those made with rule-sdk then name
/// the ones they know.
fn known_parameters(loaded: &LoadedRule, limits: RuleLimits) -> String {
    const NONE_SUCH: &str = "no-such-parameter";
    let asked = json!({ NONE_SUCH: null });
    let refused = match loaded.kind {
        RuleKind::Detection => loaded.detection(&asked, limits).map(|_| ()),
        RuleKind::Mapping => loaded.mapping(&asked, limits).map(|_| ()),
    };
    match refused {
        Err(ConfigureError::Parameter { message, .. }) => {
            let named = message.split('`').skip(1).step_by(2);
            let names: Vec<&str> = named.filter(|name| *name != NONE_SUCH).collect();
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        }
        _ => "the rule does not say".to_owned(),
    }
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
