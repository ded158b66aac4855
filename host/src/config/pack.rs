//! Packs: a named bundle for one application, built into the program or read
//! from a directory.
//!
//! A pack is data (`rules/packs/<id>/`): how its log lines look, where a
//! request names user and session, what its requests mean (the mapping table)
//! and which detection rules make sense for it.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use sidewatch_codecs::RequestSettings;
use sidewatch_codecs::cef::CefSettings;

use super::error::did_you_mean;
use super::{ConfigFile, TextError};

/// Largest file of a pack read, in bytes.
const LARGEST: u64 = 16 << 20;

/// The texts of one pack.
struct Source {
    id: &'static str,
    pack: &'static str,
    mapping: &'static str,
}

macro_rules! packs {
    ($($id:literal),* $(,)?) => {
        [$(Source {
            id: $id,
            pack: include_str!(concat!("../../../rules/packs/", $id, "/pack.toml")),
            mapping: include_str!(concat!("../../../rules/packs/", $id, "/mapping.toml")),
        }),*]
    };
}

const PACKS: [Source; 4] = packs!["nginx", "mattermost", "archivematica", "auditmatica"];

/// A pack, decoded.
#[derive(Debug, Clone)]
pub struct Pack {
    /// Its name.
    pub id: String,
    /// What it is for, in one line.
    pub title: String,
    /// `log_format` text or preset of its access log.
    pub format: String,
    /// `event.dataset` of its log lines.
    pub dataset: String,
    /// Whether records of Mattermost's audit log are read, too.
    pub audit: bool,
    /// Where requests name user and session.
    pub request: RequestSettings,
    /// Detection rules that make sense for it.
    pub detections: Vec<String>,
    /// Parameters of its `event-mapping` rule.
    pub mapping: Value,
    /// How consumers of its audit trail expect CEF, where they do.
    pub cef: Option<CefSettings>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PackFile {
    id: String,
    title: String,
    #[serde(default)]
    #[expect(dead_code, reason = "for people who read the file")]
    description: String,
    format: String,
    dataset: String,
    #[serde(default)]
    audit: bool,
    #[serde(default)]
    request: RequestSettings,
    #[serde(default)]
    detections: Vec<String>,
    #[serde(default)]
    cef: Option<CefSettings>,
}

/// A pack that is not there or not right.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// No pack of that name.
    #[error("there is no pack `{name}`; there are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The pack's own files are wrong.
    #[error("pack `{name}` is damaged: {message}")]
    Damaged {
        /// The name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// The table has no such setting.
    #[error("pack `{pack}` has no setting `{name}`; it has {known}")]
    Setting {
        /// The pack.
        pack: String,
        /// The setting.
        name: String,
        /// The settings there are.
        known: String,
    },
    /// A value the setting cannot have.
    #[error("setting `{name}` of pack `{pack}`: `{value}` is not {expected}")]
    Value {
        /// The pack.
        pack: String,
        /// The setting.
        name: String,
        /// The value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl Pack {
    /// Names of all packs.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PACKS.iter().map(|source| source.id)
    }

    /// The pack of that name, or in that directory. Names of packs of the
    /// program come first; a text with a slash is always a path.
    ///
    /// # Errors
    /// There is none, or its files are damaged.
    pub fn load(name: &str) -> Result<Self, PackError> {
        let directory = Path::new(name);
        let built_in = PACKS.iter().any(|source| source.id == name);
        if name.contains('/') || (!built_in && directory.join("pack.toml").is_file()) {
            return Self::read(directory);
        }
        let source = PACKS
            .iter()
            .find(|source| source.id == name)
            .ok_or_else(|| PackError::Unknown {
                name: name.to_owned(),
                known: Self::names().collect::<Vec<_>>().join(", ")
                    + &did_you_mean(Self::names(), name),
            })?;
        Self::parse(source.pack, source.mapping).map_err(|message| PackError::Damaged {
            name: name.to_owned(),
            message,
        })
    }

    fn read(directory: &Path) -> Result<Self, PackError> {
        let damaged = |message| PackError::Damaged {
            name: directory.display().to_string(),
            message,
        };
        let text = |file: &str| {
            read_to_string(&directory.join(file))
                .map_err(|error| damaged(format!("{file}: {error}")))
        };
        Self::parse(&text("pack.toml")?, &text("mapping.toml")?).map_err(damaged)
    }

    fn parse(pack: &str, mapping: &str) -> Result<Self, String> {
        let PackFile {
            id,
            title,
            description: _,
            format,
            dataset,
            audit,
            request,
            detections,
            cef,
        } = toml::from_str(pack)
            .map_err(|error| TextError::from_toml("pack.toml", pack, &error).to_string())?;
        let mapping: Value = toml::from_str(mapping)
            .map_err(|error| TextError::from_toml("mapping.toml", mapping, &error).to_string())?;
        Ok(Self {
            id,
            title,
            format,
            dataset,
            audit,
            request,
            detections,
            mapping,
            cef,
        })
    }

    /// Where requests name user and session: a source's own settings, else the
    /// pack's, below the path the pack's table is set to.
    #[must_use]
    pub fn request_settings(&self, own: Option<&RequestSettings>) -> RequestSettings {
        let mut settings = own.unwrap_or(&self.request).clone();
        add(&mut settings.secret_paths, &self.request.secret_paths);
        if settings.site_path.is_empty()
            && let Some(path) = self.mapping.pointer("/settings/site_path")
        {
            path.as_str()
                .unwrap_or_default()
                .clone_into(&mut settings.site_path);
        }
        settings
    }

    /// Takes what a configuration says of it.
    ///
    /// # Errors
    /// There is no such setting.
    pub fn configure(&mut self, config: &ConfigFile) -> Result<(), PackError> {
        self.hide_paths(&config.secret_paths);
        match config.packs.get(&self.id) {
            Some(settings) => self.set_all(settings),
            None => Ok(()),
        }
    }

    /// Adds paths with secrets to the pack's own.
    pub fn hide_paths(&mut self, patterns: &[String]) {
        add(&mut self.request.secret_paths, patterns);
    }

    /// Gives a setting of the table the values, which have to be of the kind
    /// its default is.
    ///
    /// # Errors
    /// There is no such setting, or a value is of another kind.
    pub fn set(&mut self, name: &str, values: &[&str]) -> Result<(), PackError> {
        let default = self.setting(name)?.clone();
        let kind = match &default {
            Value::Array(several) => several.first().cloned().unwrap_or(Value::Null),
            one => one.clone(),
        };
        let mut read = Vec::new();
        for value in values {
            let (parsed, expected) = match kind {
                Value::Bool(_) => (value.parse().map(Value::Bool).ok(), "true or false"),
                Value::Number(_) => (number(value), "a whole number"),
                // An empty list has no kind to go by.
                Value::Null => (number(value).or(Some((*value).into())), ""),
                _ => (Some((*value).into()), ""),
            };
            read.push(parsed.ok_or_else(|| PackError::Value {
                pack: self.id.clone(),
                name: name.to_owned(),
                value: (*value).to_owned(),
                expected,
            })?);
        }
        *self.setting(name)? = match read.len() {
            1 => read.remove(0),
            _ => Value::Array(read),
        };
        Ok(())
    }

    /// Takes settings from a configuration file.
    ///
    /// # Errors
    /// There is no such setting.
    pub fn set_all(&mut self, settings: &toml::Table) -> Result<(), PackError> {
        for (name, value) in settings {
            let value = serde_json::to_value(value).unwrap_or(Value::Null);
            *self.setting(name)? = value;
        }
        Ok(())
    }

    fn setting(&mut self, name: &str) -> Result<&mut Value, PackError> {
        let pack = self.id.clone();
        let settings = self
            .mapping
            .get_mut("settings")
            .and_then(Value::as_object_mut);
        let known = settings.as_ref().map_or_else(String::new, |settings| {
            let names: Vec<_> = settings.keys().map(String::as_str).collect();
            names.join(", ")
        });
        settings
            .and_then(|settings| settings.get_mut(name))
            .ok_or_else(|| PackError::Setting {
                pack,
                name: name.to_owned(),
                known: if known.is_empty() {
                    "none".to_owned()
                } else {
                    known
                },
            })
    }
}

/// Adds those that are new.
fn add(patterns: &mut Vec<String>, more: &[String]) {
    for pattern in more {
        if !patterns.contains(pattern) {
            patterns.push(pattern.clone());
        }
    }
}

fn read_to_string(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(LARGEST)
        .read_to_string(&mut text)?;
    Ok(text)
}

fn number(text: &str) -> Option<Value> {
    text.parse::<u64>().ok().map(Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pack_is_whole() {
        for name in Pack::names() {
            let pack = Pack::load(name).unwrap();
            assert_eq!(pack.id, name);
            sidewatch_codecs::LogFormat::preset(&pack.format)
                .map_or_else(
                    || sidewatch_codecs::LogFormat::compile(&pack.format).map(drop),
                    |_| Ok(()),
                )
                .unwrap();
        }
    }

    #[test]
    fn settings_keep_their_kind() {
        let mut pack = Pack::load("archivematica").unwrap();
        pack.set("storage_service_url", &["https://a", "https://b"])
            .unwrap();
        pack.set("storage_service_port", &["8000"]).unwrap();
        pack.set("suppress_unspecified", &["true"]).unwrap();
        let settings = &pack.mapping["settings"];
        assert_eq!(settings["storage_service_url"][1], "https://b");
        assert_eq!(settings["storage_service_port"], 8000);
        assert_eq!(settings["suppress_unspecified"], true);
        let error = pack.set("suppress_unspecified", &["maybe"]).unwrap_err();
        assert!(error.to_string().contains("true or false"), "{error}");
        let error = pack.set("storage_url", &["x"]).unwrap_err();
        assert!(error.to_string().contains("storage_service_url"), "{error}");
    }

    #[test]
    fn an_unknown_pack_is_answered_with_the_names_there_are() {
        assert!(
            Pack::load("matermost")
                .unwrap_err()
                .to_string()
                .contains("mattermost")
        );
    }
}
