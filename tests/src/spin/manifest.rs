//! The parts of a `spin.toml` this stand-in understands; anything else in it
//! is an error, so that nothing is tested that is not there.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::{Granted, Surroundings};

/// A component another one is given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    /// Its file.
    pub path: String,
    /// The interface it is used for.
    pub export: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    #[serde(default)]
    default: Option<String>,
    #[serde(default)]
    required: bool,
    #[serde(default, rename = "secret")]
    _secret: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Route {
    route: String,
    component: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trigger {
    http: Vec<Route>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    source: String,
    #[serde(default)]
    key_value_stores: Vec<String>,
    #[serde(default)]
    allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    #[serde(default)]
    dependencies: BTreeMap<String, Dependency>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    spin_manifest_version: u32,
    #[serde(rename = "application")]
    _application: toml::Table,
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
    trigger: Trigger,
    component: BTreeMap<String, Part>,
}

/// A manifest of one component behind one route.
#[derive(Debug)]
pub struct Manifest {
    /// File of the component.
    pub source: String,
    /// What is plugged into it, by slot.
    pub dependencies: BTreeMap<String, Dependency>,
    /// Hosts it may speak to.
    pub allowed_outbound_hosts: Vec<String>,
    /// Stores it may open.
    pub key_value_stores: Vec<String>,
    variables: BTreeMap<String, Variable>,
    templates: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// It cannot be read or says something unknown.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("spin.toml: {error}"))?;
        let file: File = toml::from_str(&text).map_err(|error| format!("spin.toml: {error}"))?;
        let [Route { route, component }] = file.trigger.http.as_slice() else {
            return Err("spin.toml: one route is understood".to_owned());
        };
        if file.spin_manifest_version != 2 || route != "/..." {
            return Err(format!(
                "spin.toml: version 2 and route /... are understood, not {route}"
            ));
        }
        let mut parts = file.component;
        let part = parts.remove(component);
        let part = part.ok_or_else(|| format!("spin.toml: no component `{component}`"))?;
        Ok(Self {
            source: part.source,
            dependencies: part.dependencies,
            allowed_outbound_hosts: part.allowed_outbound_hosts,
            key_value_stores: part.key_value_stores,
            variables: file.variables,
            templates: part.variables,
        })
    }

    /// What the component gets of its surroundings.
    pub(super) fn grant(&self, surroundings: &Surroundings) -> Result<Granted, String> {
        let mut variables = BTreeMap::new();
        for (name, template) in &self.templates {
            let wanted = template
                .strip_prefix("{{ ")
                .and_then(|rest| rest.strip_suffix(" }}"))
                .ok_or_else(|| format!("variable {name}: `{template}` is no plain template"))?;
            let declared = self.variables.get(wanted);
            let declared = declared.ok_or_else(|| format!("variable {wanted} is not declared"))?;
            let given = surroundings
                .variables
                .get(wanted)
                .or(declared.default.as_ref());
            match given {
                Some(value) => drop(variables.insert(name.clone(), value.clone())),
                None if declared.required => {
                    return Err(format!("required variable {wanted} has no value"));
                }
                None => {
                    return Err(format!(
                        "variable {wanted} is neither required nor has it a default"
                    ));
                }
            }
        }
        let stores = surroundings.stores.iter();
        let (granted, denied): (Vec<_>, Vec<_>) =
            stores.partition(|(label, _)| self.key_value_stores.contains(label));
        Ok(Granted {
            stores: granted
                .into_iter()
                .map(|(label, store)| (label.clone(), store.clone()))
                .collect(),
            denied: denied.into_iter().map(|(label, _)| label.clone()).collect(),
            variables,
            hosts: self.allowed_outbound_hosts.clone(),
        })
    }
}
