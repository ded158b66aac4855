//! `spin.toml`.
//!
//! What the application may do is written out: one store, one outbound host,
//! variables by name. Secrets have no value here; Spin refuses to start
//! without them.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::compose::{DETECTION_EXPORT, MAPPING_EXPORT, MAPPING_SLOT};
use crate::listing::{Listing, rule_file};

/// Where events and findings go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// `sidewatch`, `webhook`, `tirreno` or `nowhere`.
    pub destination: String,
    /// `all`, `security` or `findings`.
    pub selection: String,
    /// The receiver's URL; empty for `nowhere`.
    pub url: String,
}

/// Everything the manifest says.
#[derive(Debug)]
pub struct Manifest<'a> {
    /// The application's name.
    pub name: &'a str,
    /// Its parts.
    pub listing: &'a Listing,
    /// Parameters of each rule, a JSON object in text.
    pub parameters: &'a [String],
    /// Where to.
    pub forward: &'a Forward,
    /// Label of the key-value store.
    pub store: &'a str,
    /// `request`, `enrichment` and `headers` of the edge's settings.
    pub settings: Value,
}

/// Why a URL cannot be forwarded to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no URL to forward to; write http://host:port/path or https://host/path")]
pub struct UrlError(pub String);

/// The entry of `allowed_outbound_hosts` for a URL: scheme, host and port.
///
/// # Errors
/// It has another scheme, no host, a user, or odd characters.
pub fn outbound_host(url: &str) -> Result<String, UrlError> {
    let wrong = || UrlError(url.to_owned());
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    let port = match scheme {
        "http" => "80",
        "https" => "443",
        _ => return Err(wrong()),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']' | b'_')
    };
    if authority.is_empty()
        || !authority.bytes().all(plain)
        || !url.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(wrong());
    }
    let after_host = authority
        .rsplit_once(']')
        .map_or(authority, |(_, after)| after);
    Ok(match after_host.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => format!("{scheme}://{authority}"),
        Some(_) => return Err(wrong()),
        None => format!("{scheme}://{authority}:{port}"),
    })
}

/// The variable that holds a rule's parameters.
#[must_use]
pub fn parameter_variable(rule: &str) -> String {
    format!("rule_{}", rule.replace('-', "_"))
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl Manifest<'_> {
    /// The text of `spin.toml`.
    ///
    /// # Errors
    /// The receiver's URL cannot be used.
    pub fn write(&self) -> Result<String, UrlError> {
        let mut out = String::from(
            "# Written by `sidewatch edge build`: build again rather than edit.\n\
             # What may change between builds are the variables; see the README for each.\n\
             spin_manifest_version = 2\n\n[application]\n",
        );
        let line = |out: &mut String, text: std::fmt::Arguments<'_>| {
            // Writing to a text cannot fail.
            let _written = writeln!(out, "{text}");
        };
        line(&mut out, format_args!("name = {}", quoted(self.name)));
        line(
            &mut out,
            format_args!("version = {}", quoted(&self.listing.sidewatch)),
        );
        line(
            &mut out,
            format_args!(
                "description = \"Sidewatch at the edge, pack {}\"",
                self.listing.pack
            ),
        );
        self.write_variables(&mut out);
        self.write_component(&mut out)?;
        self.write_dependencies(&mut out);
        Ok(out)
    }

    fn variables(&self) -> Vec<(String, String)> {
        let secret = |name: &str| {
            (
                name.to_owned(),
                "{ required = true, secret = true }".to_owned(),
            )
        };
        let fixed = |name: &str, value: &str| {
            (
                name.to_owned(),
                format!("{{ default = {} }}", quoted(value)),
            )
        };
        let mut variables = vec![secret("token"), secret("pseudonym_key"), secret("hash_key")];
        if !self.forward.url.is_empty() {
            variables.push(fixed("forward_url", &self.forward.url));
            variables.push((
                "forward_token".to_owned(),
                "{ default = \"\", secret = true }".to_owned(),
            ));
        }
        for (rule, parameters) in self.listing.rules.iter().zip(self.parameters) {
            variables.push(fixed(&rule.parameters, parameters));
        }
        variables.push(fixed("settings", &self.settings().to_string()));
        variables
    }

    fn settings(&self) -> Value {
        let mut settings = self.settings.clone();
        if let Some(settings) = settings.as_object_mut() {
            settings.insert("pack".to_owned(), json!(self.listing.pack));
            settings.insert("destination".to_owned(), json!(self.forward.destination));
            settings.insert("forward".to_owned(), json!(self.forward.selection));
            settings.insert("store".to_owned(), json!(self.store));
            settings.insert("rules".to_owned(), json!(self.listing.rules));
        }
        settings
    }

    fn write_variables(&self, out: &mut String) {
        out.push_str("\n[variables]\n");
        for (name, value) in self.variables() {
            let _written = writeln!(out, "{name} = {value}");
        }
    }

    fn write_component(&self, out: &mut String) -> Result<(), UrlError> {
        let hosts = if self.forward.url.is_empty() {
            String::new()
        } else {
            quoted(&outbound_host(&self.forward.url)?)
        };
        out.push_str("\n[[trigger.http]]\nroute = \"/...\"\ncomponent = \"edge\"\n\n[component.edge]\nsource = \"edge.wasm\"\n");
        let _written = writeln!(out, "# sha256 {}", self.listing.edge_sha256);
        let _written = writeln!(out, "key_value_stores = [{}]", quoted(self.store));
        let _written = writeln!(out, "allowed_outbound_hosts = [{hosts}]");
        out.push_str("\n[component.edge.variables]\n");
        for (name, _) in self.variables() {
            let _written = writeln!(out, "{name} = \"{{{{ {name} }}}}\"");
        }
        Ok(())
    }

    fn write_dependencies(&self, out: &mut String) {
        out.push_str(
            "\n# Rules import nothing and are given nothing.\n[component.edge.dependencies]\n",
        );
        for rule in &self.listing.rules {
            let export = if rule.slot == MAPPING_SLOT {
                MAPPING_EXPORT
            } else {
                DETECTION_EXPORT
            };
            let path = rule_file(&rule.id);
            let _written = writeln!(
                out,
                "# {} {} sha256 {}\n{} = {{ path = {}, export = \"{export}\" }}",
                rule.id,
                rule.version,
                rule.sha256,
                rule.slot,
                quoted(&path.to_string_lossy()),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_host_is_allowed() {
        for (url, host) in [
            (
                "http://127.0.0.1:9000/events",
                Some("http://127.0.0.1:9000"),
            ),
            (
                "https://tirreno.example.org/sensor/",
                Some("https://tirreno.example.org:443"),
            ),
            ("http://[::1]:80/x?y", Some("http://[::1]:80")),
            ("http://[::1]/x", Some("http://[::1]:80")),
            ("ftp://host/", None),
            ("https://user:secret@host/", None),
            ("https://*.example.org/", None),
            ("https:///x", None),
            ("https://host:port/", None),
            ("https://host/a b", None),
        ] {
            assert_eq!(outbound_host(url).ok().as_deref(), host, "{url}");
        }
    }
}
