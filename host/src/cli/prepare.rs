//! What the verbs that read logs have in common: which pack, which settings,
//! which rules.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args;
use sidewatch_codecs::Decoder;
use sidewatch_codecs::cef::CefSettings;
use sidewatch_enrich::Enricher;

use crate::config::format::decoder;
use crate::config::secrets::{Keys, personal_directory};
use crate::config::{ConfigFile, Pack, rules};
use crate::pipeline::Processor;
use crate::pipeline::connect::aliases;
use crate::pipeline::run::engine;

/// Setting of a pack that names a second application by its base URL.
const BASE_URL: &str = "storage_service_url";

/// What `replay`, `overview` and `explain` have in common.
#[derive(Debug, Args)]
pub struct Common {
    /// Pack of the application the log is from: a name, or the directory of a pack of your own
    #[arg(long, default_value = "nginx", value_name = "NAME")]
    pub pack: String,
    /// The log's own `log_format`: a preset's name, the format text, the whole directive as in nginx.conf, or mattermost-audit [default: the pack's]
    #[arg(long, value_name = "TEXT")]
    pub log_format: Option<String>,
    /// Base URL of Archivematica's Storage Service as browsers see it (pack archivematica); may be given again
    #[arg(long, value_name = "URL")]
    pub ss_base_url: Vec<String>,
    /// Another setting of the pack's table, such as storage_service_port=8000; may be given again
    #[arg(long, value_name = "NAME=VALUE", value_parser = super::usage::pair)]
    pub setting: Vec<(String, String)>,
    /// Take enrichment, rules and settings of packs from this configuration file
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// GeoIP city database (.mmdb)
    #[arg(long, value_name = "FILE")]
    pub geoip_city: Option<PathBuf>,
    /// GeoIP autonomous-system database (.mmdb)
    #[arg(long, value_name = "FILE")]
    pub geoip_asn: Option<PathBuf>,
    /// Keep event.original of audit records, without secrets and what people wrote
    #[arg(long)]
    pub keep_original: bool,
    /// Directory with rule components [default: beside the program]
    #[arg(long, value_name = "DIRECTORY")]
    pub rules: Option<PathBuf>,
}

impl Common {
    /// Whether anything is known that detections or enrichment could use
    /// beyond the log itself.
    pub(crate) fn has_context(&self) -> bool {
        self.config.is_some() || self.geoip_city.is_some() || self.geoip_asn.is_some()
    }

    /// The pack with its settings as the arguments want them.
    ///
    /// # Errors
    /// A pack or setting that does not exist.
    pub(crate) fn load_pack(&self, config: &ConfigFile) -> Result<Pack> {
        let mut pack = Pack::load(&self.pack)?;
        pack.configure(config)?;
        if !self.ss_base_url.is_empty() {
            let urls: Vec<&str> = self.ss_base_url.iter().map(String::as_str).collect();
            pack.set(BASE_URL, &urls).context("--ss-base-url")?;
        }
        let mut names: Vec<(&str, Vec<&str>)> = Vec::new();
        for (name, value) in &self.setting {
            match names.iter_mut().find(|(known, _)| *known == name.as_str()) {
                Some((_, values)) => values.push(value.as_str()),
                None => names.push((name.as_str(), vec![value.as_str()])),
            }
        }
        for (name, values) in names {
            pack.set(name, &values).context("--setting")?;
        }
        Ok(pack)
    }
}

/// Everything a line goes through.
pub struct Prepared {
    /// Reads lines.
    pub format: Arc<dyn Decoder>,
    /// The format as text, for messages.
    pub format_text: String,
    /// Enricher and rules.
    pub processor: Processor,
    /// How the pack's consumers expect CEF.
    pub cef: Option<CefSettings>,
}

/// Rules of one pack and nothing else, for its tests.
///
/// # Errors
/// Says which part cannot be used.
pub(crate) fn prepare_pack(pack: Pack, rules: Option<&Path>) -> Result<Prepared> {
    let config = ConfigFile {
        data_directory: Some(personal_directory()),
        ..ConfigFile::default()
    };
    let format = Format {
        text: None,
        keep_original: false,
    };
    assemble(&config, pack, &format, rules)
}

/// Changes to the pack before rules are built from it.
pub(crate) type Adjust<'a> = &'a dyn Fn(&mut Pack) -> Result<()>;

/// Builds codec, enricher and rules from the arguments.
///
/// # Errors
/// Says which part cannot be used.
pub(crate) fn prepare(common: &Common, adjust: Adjust<'_>) -> Result<Prepared> {
    let mut config = match &common.config {
        Some(path) => ConfigFile::load(path)?,
        None => ConfigFile {
            data_directory: Some(personal_directory()),
            ..ConfigFile::default()
        },
    };
    let geoip = &mut config.enrichment.geoip;
    geoip.city = common.geoip_city.clone().or(geoip.city.take());
    geoip.asn = common.geoip_asn.clone().or(geoip.asn.take());
    let mut pack = common.load_pack(&config)?;
    adjust(&mut pack)?;
    let format = Format {
        text: common.log_format.as_deref(),
        keep_original: common.keep_original,
    };
    assemble(&config, pack, &format, common.rules.as_deref())
}

/// How lines are to be read.
struct Format<'a> {
    text: Option<&'a str>,
    keep_original: bool,
}

fn assemble(
    config: &ConfigFile,
    pack: Pack,
    format: &Format<'_>,
    components: Option<&Path>,
) -> Result<Prepared> {
    let format_text = format.text.unwrap_or(&pack.format).to_owned();
    let format = decoder(format.text, &pack, format.keep_original).context("--log-format")?;
    let keys = Keys::open(config.directory())?;
    let enricher = Enricher::new(&config.enrichment, keys.hash)?;
    let engine = engine(config, &keys)?;
    let directory = rules::rules_directory(components.or(config.rules_directory.as_deref()))?;
    let cef = pack.cef.clone();
    let aliases = aliases(std::iter::once(&pack), &keys);
    let entries = rules::entries(&directory, &config.rules)?;
    let rule_set = rules::build(&engine, &directory, &[(pack, Vec::new())], &entries)?;
    Ok(Prepared {
        format,
        format_text,
        processor: Processor::new(enricher, rule_set).with_aliases(aliases),
        cef,
    })
}
