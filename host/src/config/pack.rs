//! Packs: a named bundle for one application, built into the program.
//!
//! A pack is data (`rules/packs/<id>/`): how its log lines look, where a
//! request names user and session, what its requests mean (the mapping table)
//! and which detection rules make sense for it.

use serde::Deserialize;
use serde_json::Value;
use sidewatch_codecs::RequestSettings;

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

const PACKS: [Source; 3] = packs!["nginx", "mattermost", "archivematica"];

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
    /// Where requests name user and session.
    pub request: RequestSettings,
    /// Detection rules that make sense for it.
    pub detections: Vec<String>,
    /// Parameters of its `event-mapping` rule.
    pub mapping: Value,
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
    request: RequestSettings,
    #[serde(default)]
    detections: Vec<String>,
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
}

impl Pack {
    /// Names of all packs.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PACKS.iter().map(|source| source.id)
    }

    /// The pack of that name.
    ///
    /// # Errors
    /// There is none, or its files are damaged.
    pub fn load(name: &str) -> Result<Self, PackError> {
        let source = PACKS
            .iter()
            .find(|source| source.id == name)
            .ok_or_else(|| PackError::Unknown {
                name: name.to_owned(),
                known: Self::names().collect::<Vec<_>>().join(", "),
            })?;
        Self::parse(source.pack, source.mapping).map_err(|message| PackError::Damaged {
            name: name.to_owned(),
            message,
        })
    }

    fn parse(pack: &str, mapping: &str) -> Result<Self, String> {
        let PackFile {
            id,
            title,
            description: _,
            format,
            dataset,
            request,
            detections,
        } = toml::from_str(pack).map_err(|error| format!("pack.toml: {error}"))?;
        let mapping: Value =
            toml::from_str(mapping).map_err(|error| format!("mapping.toml: {error}"))?;
        Ok(Self {
            id,
            title,
            format,
            dataset,
            request,
            detections,
            mapping,
        })
    }
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
    fn an_unknown_pack_is_answered_with_the_names_there_are() {
        assert!(
            Pack::load("matermost")
                .unwrap_err()
                .to_string()
                .contains("mattermost")
        );
    }
}
