//! TLS for listening stream sources: how we introduce ourselves and, when
//! asked to, whom we let in.
//!
//! Nothing but the handshake is ever written: no session tickets follow it,
//! because some senders take any byte for a reason to close.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde::Deserialize;
use tokio_rustls::TlsAcceptor;

use crate::SourceError;
use crate::stream::Stream;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// TLS settings of a listening source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// PEM file of our certificate, its intermediates after it.
    pub certificate: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
    /// PEM file of the authorities whose clients are let in; without it
    /// anyone is.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
}

impl TlsSettings {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be used.
    pub(crate) fn build(&self) -> Result<TlsAcceptor, SourceError> {
        let refused = |error: rustls::Error| problem("tls", &error.to_string());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = certificates("tls.certificate", &self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| unreadable("tls.key", &self.key, &error.to_string()))?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(refused)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates("tls.client_ca", path)? {
                    roots.add(certificate).map_err(refused)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                    .build()
                    .map_err(|error| problem("tls.client_ca", &error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(refused)?;
        config.send_tls13_tickets = 0;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Whether only known clients are let in.
    pub(crate) fn authenticates(&self) -> bool {
        self.client_ca.is_some()
    }
}

/// The stream after its handshake, if there is one to make. `None` when it
/// failed; the peer is gone then.
pub(crate) async fn secured(stream: Stream, acceptor: Option<&TlsAcceptor>) -> Option<Stream> {
    let Some(acceptor) = acceptor else {
        return Some(stream);
    };
    let Stream::Tcp(stream) = stream else {
        return None;
    };
    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(Stream::Tls(Box::new(stream))),
        Ok(Err(error)) => {
            tracing::warn!(%error, "tls handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!("tls handshake took too long");
            None
        }
    }
}

fn certificates(
    setting: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, SourceError> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(|list| list.collect::<Result<Vec<_>, _>>())
        .map_err(|error| unreadable(setting, path, &error.to_string()))?;
    if found.is_empty() {
        return Err(unreadable(setting, path, "it holds no PEM certificate"));
    }
    Ok(found)
}

fn unreadable(setting: &'static str, path: &Path, reason: &str) -> SourceError {
    problem(
        setting,
        &format!("cannot be read from {}: {reason}", path.display()),
    )
}

fn problem(setting: &'static str, text: &str) -> SourceError {
    SourceError::Setting {
        setting,
        problem: text.to_owned(),
    }
}
