//! `sidewatch edge build`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use sidewatch_edge::listing::{Listing, read_component};
use sidewatch_edge::manifest::outbound_host;
use sidewatch_edge::names::{self, NameError};
use sidewatch_edge::{Application, Forward, RuleFile};
use sidewatch_engine::signature::{self, Provenance};
use sidewatch_engine::{Engine, RuleKind, RuleLimits};

use crate::cli::terminal;
use crate::cli::usage::usage;
use crate::config::rules::{MAPPING_RULE, RulesError, entries, rules_directory};
use crate::config::secrets::{Keys, personal_directory};
use crate::config::{ConfigFile, Pack, RuleEntry, TextError};
use crate::pipeline::run::engine;

/// What the application is to be.
#[derive(Debug, Args)]
pub(crate) struct BuildArguments {
    /// Pack of the application: a name, or the directory of a pack of your own
    #[arg(long, default_value = "nginx", value_name = "NAME")]
    pack: String,
    /// Take enrichment, parameters of rules and settings of packs from this configuration file of a sidecar
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory with rule components [default: beside the program]
    #[arg(long, value_name = "DIRECTORY")]
    rules: Option<PathBuf>,
    /// These detection rules instead of the pack's; may be given again
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    /// The edge component [default: spin/edge.wasm beside the rules]
    #[arg(long, value_name = "FILE")]
    edge: Option<PathBuf>,
    /// Who takes events and findings
    #[arg(long, value_enum, default_value_t = Destination::Sidewatch)]
    to: Destination,
    /// Where it takes them, such as https://sidewatch.example.org/events
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// What is sent on
    #[arg(long, value_enum, default_value_t = Selection::All)]
    forward: Selection,
    /// Label of Spin's key-value store that keeps the states
    #[arg(long, default_value = "default", value_name = "LABEL", value_parser = store)]
    store: String,
    /// Header in which the mirroring side tells the answer's status
    #[arg(long, value_name = "NAME", value_parser = header)]
    status_header: Option<String>,
    /// Header in which a CDN tells its client's place, such as country=X-Geo-Country; also city, latitude, longitude, as_number
    #[arg(long, value_name = "WHAT=NAME", value_parser = geo_header)]
    geo_header: Vec<(String, String)>,
    /// Name of the application
    #[arg(long, default_value = "sidewatch-edge", value_name = "NAME", value_parser = name)]
    name: String,
    /// Directory to write it to
    #[arg(long, short, value_name = "DIRECTORY")]
    output: PathBuf,
}

fn name(text: &str) -> Result<String, NameError> {
    names::application_name(text).map(|()| text.to_owned())
}

fn store(text: &str) -> Result<String, NameError> {
    names::store_label(text).map(|()| text.to_owned())
}

fn header(text: &str) -> Result<String, NameError> {
    names::header_name(text).map(|()| text.to_owned())
}

fn geo_header(text: &str) -> Result<(String, String), String> {
    const KNOWN: [&str; 5] = ["country", "city", "latitude", "longitude", "as_number"];
    match text.split_once('=') {
        Some((what, name)) if KNOWN.contains(&what) => {
            let name = header(name).map_err(|error| error.to_string())?;
            Ok((what.to_owned(), name))
        }
        _ => Err(format!(
            "it is not WHAT=NAME with one of {}",
            KNOWN.join(", ")
        )),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Destination {
    /// A sidecar: JSON lines, X-Sidewatch-Token
    Sidewatch,
    /// Any web service: JSON lines, a bearer token
    Webhook,
    /// Tirreno's form
    Tirreno,
    /// Nobody: findings are in the application's log only
    Nowhere,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Selection {
    /// Findings and every event that is no noise
    All,
    /// Findings and events about logins, accounts and refusals
    Security,
    /// Findings alone
    Findings,
}

fn word(value: &impl ValueEnum) -> String {
    let named = value.to_possible_value();
    named.map_or_else(String::new, |named| named.get_name().to_owned())
}

pub(super) fn run(arguments: &BuildArguments) -> Result<u8> {
    let url = url(arguments)?;
    let mut config = match &arguments.config {
        Some(path) => ConfigFile::load(path)?,
        None => ConfigFile::default(),
    };
    let mut pack = Pack::load(&arguments.pack)?;
    pack.configure(&config)?;
    let directory = rules_directory(
        arguments
            .rules
            .as_deref()
            .or(config.rules_directory.as_deref()),
    )?;
    let edge = edge_component(arguments, &directory)?;
    // Rules that were compiled before are not compiled again.
    let home = personal_directory();
    let keys = Keys::open(&home)?;
    config.data_directory = Some(home);
    let engine = engine(&config, &keys)?;
    let reader = Reader {
        engine: &engine,
        directory: &directory,
    };
    let mapping = reader.rule(MAPPING_RULE, None, pack.mapping.clone())?;
    let mut detections = Vec::new();
    let entries = entries(&directory, &config.rules)?;
    for (id, entry) in chosen(arguments, &pack, &entries) {
        let file = entry.and_then(|entry| entry.file.as_deref());
        let parameters = entry.map_or(json!({}), |entry| json!(entry.parameters));
        detections.push(reader.rule(&id, file, parameters)?);
    }
    let destination = word(&arguments.to);
    let selection = word(&arguments.forward);
    let application = Application {
        name: &arguments.name,
        version: env!("CARGO_PKG_VERSION"),
        pack: &pack.id,
        edge: &edge,
        mapping,
        detections,
        forward: Forward {
            url,
            destination,
            selection,
        },
        store: &arguments.store,
        settings: json!({
            "request": pack.request_settings(None),
            "enrichment": enrichment(arguments)?,
            "headers": headers(arguments),
        }),
    };
    let listing = application.write(&arguments.output)?;
    let mut text = summary(&listing);
    writeln!(
        text,
        "\nwritten to {}; try it:\n",
        arguments.output.display()
    )?;
    writeln!(
        text,
        "  spin up -f {}/spin.toml --variable token=$(openssl rand -hex 16) \\\n    --variable pseudonym_key=$(openssl rand -hex 32) --variable hash_key=$(openssl rand -hex 32)",
        arguments.output.display()
    )?;
    terminal::print(&text)?;
    Ok(0)
}

/// What is in an application, for people.
pub(super) fn summary(listing: &Listing) -> String {
    let mut text = format!("edge       sha256:{}\n", listing.edge_sha256);
    for rule in &listing.rules {
        let _written = writeln!(
            text,
            "{:<10} sha256:{} {} {} ({} bytes)",
            rule.slot, rule.sha256, rule.id, rule.version, rule.bytes
        );
    }
    text
}

fn edge_component(arguments: &BuildArguments, rules: &Path) -> Result<Vec<u8>> {
    let beside = || rules.with_file_name("spin").join("edge.wasm");
    let path = arguments.edge.clone().unwrap_or_else(beside);
    read_component(&path).with_context(|| {
        format!(
            "cannot read the edge component {}; run `make edge`, or name it with --edge",
            path.display()
        )
    })
}

/// The detections in order with their entries: the pack's and those the
/// configuration adds, without those it switches off; or those named.
fn chosen<'a>(
    arguments: &BuildArguments,
    pack: &Pack,
    entries: &'a [RuleEntry],
) -> Vec<(String, Option<&'a RuleEntry>)> {
    let entry = |id: &str| entries.iter().find(|entry| entry.id == id);
    let mut ids: Vec<String> = Vec::new();
    let wanted: Vec<&String> = if arguments.only.is_empty() {
        let added = entries.iter().map(|entry| &entry.id);
        pack.detections.iter().chain(added).collect()
    } else {
        arguments.only.iter().collect()
    };
    for id in wanted {
        let enabled = !arguments.only.is_empty() || entry(id).is_none_or(|entry| entry.enabled);
        if enabled && !ids.contains(id) {
            ids.push(id.clone());
        }
    }
    ids.into_iter().map(|id| (id.clone(), entry(&id))).collect()
}

/// Reads rules as the sidecar would: the same checks, the same errors.
struct Reader<'a> {
    engine: &'a Engine,
    directory: &'a Path,
}

impl Reader<'_> {
    fn rule(&self, id: &str, file: Option<&Path>, parameters: Value) -> Result<RuleFile> {
        let named = PathBuf::from(format!("{id}.wasm"));
        let path = self.directory.join(file.unwrap_or(&named));
        let refused = || format!("rule `{id}` ({})", path.display());
        let component = read_component(&path).with_context(refused)?;
        let signature = signature::read_signature(&path).with_context(refused)?;
        let loaded = self.engine.load_signed(&component, signature.as_deref());
        let loaded = loaded.with_context(refused)?;
        let limits = RuleLimits::default();
        let (found, version) = match loaded.kind {
            RuleKind::Mapping => {
                let rule = loaded.mapping(&parameters, limits).with_context(refused)?;
                (rule.descriptor.id.clone(), rule.descriptor.version.clone())
            }
            RuleKind::Detection => {
                let rule = loaded
                    .detection(&parameters, limits)
                    .with_context(refused)?;
                (rule.descriptor.id.clone(), rule.descriptor.version.clone())
            }
        };
        if *found != *id {
            return Err(RulesError::Misnamed {
                id: id.to_owned(),
                found: found.to_string(),
            }
            .into());
        }
        Ok(RuleFile {
            id: found.to_string(),
            version: version.to_string(),
            component,
            parameters,
            signed_by: match &loaded.provenance {
                Provenance::Signed { key, .. } => Some(key.clone()),
                Provenance::Unchecked | Provenance::Unproven(_) => None,
            },
        })
    }
}

fn url(arguments: &BuildArguments) -> Result<String> {
    match (arguments.to, &arguments.url) {
        (Destination::Nowhere, _) => Ok(String::new()),
        (_, Some(url)) if !url.is_empty() => {
            outbound_host(url).map_err(|error| usage(format!("--url: {error}")))?;
            Ok(url.clone())
        }
        (_, _) => Err(usage(
            "say with --url where events and findings go, or --to nowhere",
        )),
    }
}

/// The `[enrichment]` section as written, without databases: there are no
/// files at the edge, a CDN's headers tell the place.
fn enrichment(arguments: &BuildArguments) -> Result<Value> {
    let Some(path) = &arguments.config else {
        return Ok(json!({}));
    };
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut file: toml::Table = toml::from_str(&text)
        .map_err(|error| TextError::from_toml(&path.display().to_string(), &text, &error))?;
    let mut section = json!(
        file.remove("enrichment")
            .unwrap_or(toml::Value::Table(toml::Table::new()))
    );
    if let Some(section) = section.as_object_mut() {
        section.remove("geoip");
    }
    Ok(section)
}

fn headers(arguments: &BuildArguments) -> Value {
    let status = arguments.status_header.as_deref().unwrap_or_default();
    let mut headers = serde_json::Map::new();
    headers.insert("status".to_owned(), json!(status));
    for (what, name) in &arguments.geo_header {
        headers.insert(what.clone(), json!(name));
    }
    Value::Object(headers)
}
