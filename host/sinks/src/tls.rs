//! TLS towards a sink: whom to trust and how to introduce ourselves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use thiserror::Error;
use tokio_rustls::TlsConnector;

/// TLS settings of a sink.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSettings {
    /// PEM file of the authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// PEM file of our certificate, for servers that ask for one.
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
    /// Name the server's certificate has to bear, when it is not the host of
    /// the address.
    pub server_name: Option<String>,
}

/// Why TLS cannot be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A PEM file cannot be used.
    #[error("cannot read {what} from {}: {reason}", path.display())]
    File {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// There is nobody to trust.
    #[error(
        "the system has no certificate authorities: install its ca-certificates package or set `ca`"
    )]
    NoRoots,
    /// Only one of the two was given.
    #[error("`certificate` and `key` need each other: set both or neither")]
    HalfIdentity,
    /// Not a name a certificate could bear.
    #[error("`{0}` is no host name: set `server_name` to the name in the server's certificate")]
    ServerName(String),
    /// The library refuses the combination.
    #[error("the TLS settings do not fit together: {0}")]
    Refused(#[from] rustls::Error),
}

/// Ready to start TLS sessions with one server.
#[derive(Clone)]
pub struct Tls {
    pub(crate) connector: TlsConnector,
    pub(crate) server_name: ServerName<'static>,
}

impl TlsSettings {
    /// Reads the files and prepares sessions with `host`.
    ///
    /// # Errors
    /// A file or name cannot be used.
    pub fn build(&self, host: &str) -> Result<Tls, TlsError> {
        let name = self.server_name.as_deref().unwrap_or(host);
        let server_name = ServerName::try_from(name.to_owned())
            .map_err(|InvalidDnsNameError| TlsError::ServerName(name.to_owned()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots()?);
        let config = match (&self.certificate, &self.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate)?;
                let key = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| file_error("a private key", key, &error))?;
                builder.with_client_auth_cert(chain, key)?
            }
            _ => return Err(TlsError::HalfIdentity),
        };
        Ok(Tls {
            connector: TlsConnector::from(Arc::new(config)),
            server_name,
        })
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(path) => {
                for certificate in certificates(path)? {
                    roots.add(certificate)?;
                }
            }
            None => {
                // Systems ship certificates no library accepts; the others do.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        if roots.is_empty() {
            Err(TlsError::NoRoots)
        } else {
            Ok(roots)
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = |error| file_error("certificates", path, &error);
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(read)?
        .collect::<Result<_, _>>()
        .map_err(read)?;
    if found.is_empty() {
        let reason = "it holds no PEM certificate".to_owned();
        return Err(TlsError::File {
            what: "certificates",
            path: path.to_owned(),
            reason,
        });
    }
    Ok(found)
}

fn file_error(what: &'static str, path: &Path, error: &rustls::pki_types::pem::Error) -> TlsError {
    TlsError::File {
        what,
        path: path.to_owned(),
        reason: error.to_string(),
    }
}
