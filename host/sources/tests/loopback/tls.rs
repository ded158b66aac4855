//! TLS on listening sources.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::{settings, start};

struct Identity {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

/// A certificate of its own authority, in files named after `name`.
fn identity(directory: &Path, name: &str) -> Identity {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(directory.join(format!("{name}.pem")), made.cert.pem()).unwrap();
    std::fs::write(
        directory.join(format!("{name}.key")),
        made.signing_key.serialize_pem(),
    )
    .unwrap();
    Identity {
        certificate: made.cert.der().clone(),
        key: made.signing_key.serialize_der(),
    }
}

type Connection = StreamOwned<ClientConnection, TcpStream>;

fn connect(address: &str, server: &Identity, client: Option<&Identity>) -> Connection {
    let mut roots = RootCertStore::empty();
    roots.add(server.certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some(client) => builder
            .with_client_auth_cert(
                vec![client.certificate.clone()],
                PrivateKeyDer::try_from(client.key.clone()).unwrap(),
            )
            .unwrap(),
    };
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(connection, TcpStream::connect(address).unwrap())
}

fn table(directory: &Path, more: &str) -> String {
    let at = |name: &str| directory.join(name).display().to_string();
    format!(
        "[tls]\ncertificate = {:?}\nkey = {:?}\n{more}",
        at("server.pem"),
        at("server.key")
    )
}

#[test]
fn records_arrive_over_tls_and_nothing_is_answered() {
    let directory = tempfile::tempdir().unwrap();
    let server = identity(directory.path(), "server");
    let tls = table(directory.path(), "");
    for (source, record) in [
        ("type = \"tcp\"\nlisten = \"127.0.0.1:0\"\n", "{\"a\":1}\n"),
        (
            "type = \"syslog\"\ntcp = \"127.0.0.1:0\"\n",
            "<6> 2026-11-20T20:34:04Z vm mattermost_audit[318]: {\"a\":1}\n",
        ),
    ] {
        let mut running = start(&format!("{source}{tls}"));
        let address = running.addresses[0]
            .rsplit('/')
            .next()
            .unwrap()
            .trim_start_matches("tcp:")
            .to_owned();
        let mut client = connect(&address, &server, None);
        client.write_all(record.as_bytes()).unwrap();
        client.flush().unwrap();
        assert_eq!(running.messages(1), ["{\"a\":1}"]);
        client
            .sock
            .set_read_timeout(Some(std::time::Duration::from_millis(50)))
            .unwrap();
        assert!(client.read(&mut [0]).is_err(), "not one byte comes back");
    }
}

#[test]
fn only_clients_of_the_named_authority_are_let_in() {
    let directory = tempfile::tempdir().unwrap();
    let server = identity(directory.path(), "server");
    let client = identity(directory.path(), "client");
    let authority = directory.path().join("client.pem");
    let tls = table(directory.path(), &format!("client_ca = {authority:?}"));
    let mut running = start(&format!("type = \"tcp\"\nlisten = \"127.0.0.1:0\"\n{tls}"));
    let address = running.addresses[0].clone();
    let mut stranger = connect(&address, &server, None);
    let refused = stranger
        .write_all(b"from a stranger\n")
        .and_then(|()| stranger.flush())
        .and_then(|()| stranger.read(&mut [0]));
    assert!(refused.is_err() || matches!(refused, Ok(0)), "{refused:?}");
    let mut known = connect(&address, &server, Some(&client));
    known.write_all(b"from a known one\n").unwrap();
    known.flush().unwrap();
    assert_eq!(running.messages(1), ["from a known one"]);
}

#[test]
fn tls_settings_are_checked_when_the_source_is_bound() {
    let directory = tempfile::tempdir().unwrap();
    let tls = table(directory.path(), "");
    let bind = |text: &str| {
        settings(text)
            .bind("test", &crate::support::codecs(crate::support::Keep))
            .map(drop)
            .unwrap_err()
            .to_string()
    };
    assert!(
        bind(&format!("type = \"tcp\"\nlisten = \"127.0.0.1:0\"\n{tls}")).contains("server.pem")
    );
    assert!(bind(&format!("type = \"syslog\"\nudp = \"127.0.0.1:0\"\n{tls}")).contains("`tls`"));
}
