//! Writing an application into a directory.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::compose::{
    ComposeError, DETECTION_EXPORT, MAPPING_EXPORT, MAPPING_SLOT, Plug, plug, slot, trim,
};
use crate::listing::{LISTING, Listing, MANIFEST, RuleListing, digest, read_component, rule_file};
use crate::manifest::{Forward, Manifest, UrlError, parameter_variable};

/// A rule to go into the application.
#[derive(Debug, Clone)]
pub struct RuleFile {
    /// Its id, as it says itself.
    pub id: String,
    /// Its version.
    pub version: String,
    /// The component.
    pub component: Vec<u8>,
    /// Its parameters.
    pub parameters: Value,
    /// Key that signed it, when that was checked.
    pub signed_by: Option<String>,
}

/// What an application is made of.
#[derive(Debug)]
pub struct Application<'a> {
    /// Its name.
    pub name: &'a str,
    /// Version of Sidewatch.
    pub version: &'a str,
    /// The pack.
    pub pack: &'a str,
    /// The edge component with all its slots.
    pub edge: &'a [u8],
    /// The mapping.
    pub mapping: RuleFile,
    /// The detections, in order.
    pub detections: Vec<RuleFile>,
    /// Where to.
    pub forward: Forward,
    /// Label of the key-value store.
    pub store: &'a str,
    /// `request`, `enrichment` and `headers` of the edge's settings.
    pub settings: Value,
}

/// Why an application cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationError {
    /// The parts do not go together.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The receiver's URL cannot be used.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Two rules of one name.
    #[error("rule `{0}` is named twice")]
    Twice(String),
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// Removes the rules of an application that was written here before and are
/// none of this one: whoever packs the directory would pack them, too.
fn remove_earlier(directory: &Path, listing: &Listing) -> Result<(), ApplicationError> {
    let Ok(earlier) = read_component(&directory.join(LISTING)) else {
        return Ok(());
    };
    let Ok(earlier) = serde_json::from_slice::<Listing>(&earlier) else {
        return Ok(());
    };
    for rule in earlier.rules {
        let plain = rule
            .id
            .bytes()
            .all(|one| one.is_ascii_alphanumeric() || b"-_.".contains(&one));
        if !plain || listing.rules.iter().any(|kept| kept.id == rule.id) {
            continue;
        }
        let path = directory.join(rule_file(&rule.id));
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(ApplicationError::Write { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

impl Application<'_> {
    /// Composes the parts as Spin will, to see that they fit, and writes them
    /// into a directory, which is made.
    ///
    /// # Errors
    /// Says which part does not fit or cannot be written.
    pub fn write(&self, directory: &Path) -> Result<Listing, ApplicationError> {
        let edge = trim(self.edge, self.detections.len())?;
        plug(&edge, &self.plugs())?;
        let mut listing = self.listing(&edge)?;
        let parameters: Vec<String> = self
            .rules()
            .map(|(_, rule)| rule.parameters.to_string())
            .collect();
        let manifest = Manifest {
            name: self.name,
            listing: &listing,
            parameters: &parameters,
            forward: &self.forward,
            store: self.store,
            settings: self.settings.clone(),
        };
        let manifest = manifest.write()?;
        listing.manifest_sha256 = digest(manifest.as_bytes());
        remove_earlier(directory, &listing)?;
        let put = |file: &Path, bytes: &[u8]| {
            let path = directory.join(file);
            let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
            made.and_then(|()| std::fs::write(&path, bytes))
                .map_err(|source| ApplicationError::Write { path, source })
        };
        for (_, rule) in self.rules() {
            put(&rule_file(&rule.id), &rule.component)?;
        }
        put(Path::new("edge.wasm"), &edge)?;
        let text = serde_json::to_string_pretty(&listing).unwrap_or_default();
        put(Path::new(LISTING), text.as_bytes())?;
        put(Path::new(MANIFEST), manifest.as_bytes())?;
        Ok(listing)
    }

    /// The rules with their slots, the mapping first.
    fn rules(&self) -> impl Iterator<Item = (String, &RuleFile)> {
        let detections = self.detections.iter().enumerate();
        std::iter::once((MAPPING_SLOT.to_owned(), &self.mapping))
            .chain(detections.map(|(number, rule)| (slot(number), rule)))
    }

    fn plugs(&self) -> Vec<Plug> {
        self.rules()
            .map(|(slot, rule)| Plug {
                rule: rule.id.clone(),
                export: if slot == MAPPING_SLOT {
                    MAPPING_EXPORT.to_owned()
                } else {
                    DETECTION_EXPORT.to_owned()
                },
                slot,
                component: rule.component.clone(),
            })
            .collect()
    }

    fn listing(&self, edge: &[u8]) -> Result<Listing, ApplicationError> {
        let mut rules: Vec<RuleListing> = Vec::new();
        for (slot, rule) in self.rules() {
            if rules.iter().any(|known| known.id == rule.id) {
                return Err(ApplicationError::Twice(rule.id.clone()));
            }
            rules.push(RuleListing {
                slot,
                id: rule.id.clone(),
                version: rule.version.clone(),
                sha256: digest(&rule.component),
                bytes: rule.component.len() as u64,
                signed_by: rule.signed_by.clone(),
                parameters: parameter_variable(&rule.id),
            });
        }
        Ok(Listing {
            sidewatch: self.version.to_owned(),
            pack: self.pack.to_owned(),
            edge_sha256: digest(edge),
            manifest_sha256: String::new(),
            rules,
        })
    }
}
