//! Certificates for this crate's tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::tls::TlsSettings;

/// An authority, and a certificate it signed for both ends.
pub(crate) struct Identity {
    pub(crate) ca: PathBuf,
    pub(crate) ca_pem: String,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Identity {
    pub(crate) fn new(directory: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let own_key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["localhost".into()])
            .unwrap()
            .signed_by(&own_key, &issuer)
            .unwrap();
        let ca_pem = issuer.pem();
        let [ca, certificate, key] = [
            ("ca.pem", ca_pem.clone()),
            ("own.pem", own.pem()),
            ("own.key", own_key.serialize_pem()),
        ]
        .map(|(name, pem)| written(directory.join(name), &pem));
        Self {
            ca,
            ca_pem,
            certificate,
            key,
            issuer,
        }
    }

    /// Trusts the authority and shows the certificate.
    pub(crate) fn client_settings(&self) -> TlsSettings {
        TlsSettings {
            ca: Some(self.ca.clone()),
            certificate: Some(self.certificate.clone()),
            key: Some(self.key.clone()),
            server_name: None,
        }
    }

    /// A server that demands a certificate of this authority.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .unwrap();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["localhost".into()])
            .unwrap()
            .signed_by(&key, &self.issuer)
            .unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![own.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Writes a file and hands its path on.
pub(crate) fn written(path: PathBuf, text: &str) -> PathBuf {
    std::fs::write(&path, text).unwrap();
    path
}
