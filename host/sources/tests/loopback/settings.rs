//! Settings: defaults, refusals and what they say.

use crate::support::{Keep, codecs, settings};

fn refusal(text: &str) -> String {
    settings(text)
        .bind("test", &codecs(Keep))
        .err()
        .expect("accepted")
        .to_string()
}

#[test]
fn unknown_keys_and_types_are_errors_that_name_them() {
    let unknown =
        toml::from_str::<sidewatch_sources::SourceSettings>("type = \"stdin\"\nmax = 1\n");
    assert!(unknown.unwrap_err().to_string().contains("max"));
    let unknown = toml::from_str::<sidewatch_sources::SourceSettings>("type = \"kafka\"\n");
    assert!(unknown.unwrap_err().to_string().contains("kafka"));
}

#[test]
fn an_address_others_can_reach_needs_a_secret_or_a_decision() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8787"] {
        for kind in ["mirror", "tcp"] {
            let error = refusal(&format!("type = \"{kind}\"\nlisten = \"{address}\"\n"));
            assert!(
                error.contains("can be reached from other machines"),
                "{error}"
            );
            assert!(error.contains("insecure = true"), "{error}");
        }
    }
    assert!(refusal("type = \"syslog\"\nudp = \"0.0.0.0:0\"\n").contains("other machines"));
    for allowed in ["insecure = true", "tokens = [\"0123456789abcdef\"]"] {
        let text = format!("type = \"mirror\"\nlisten = \"0.0.0.0:0\"\n{allowed}\n");
        assert!(
            settings(&text).bind("test", &codecs(Keep)).is_ok(),
            "{allowed}"
        );
    }
}

#[test]
fn a_taken_port_is_named_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = refusal(&format!("type = \"mirror\"\nlisten = \"{address}\"\n"));
    let wanted = format!(
        "port {} is in use by another process; choose",
        address.port()
    );
    assert!(error.starts_with(&wanted), "{error}");
    let error = refusal("type = \"tcp\"\nlisten = \"192.0.2.1:0\"\ninsecure = true\n");
    assert!(
        error.starts_with("192.0.2.1 is no address of this machine"),
        "{error}"
    );
}

#[test]
fn useless_settings_are_refused_by_name() {
    for (text, name) in [
        ("type = \"syslog\"\n", "`udp`"),
        ("type = \"file\"\npaths = []\n", "`paths`"),
        ("type = \"mirror\"\ntokens = [\"short\"]\n", "`tokens`"),
        (
            "type = \"mirror\"\nunauthenticated_status = 500\n",
            "`unauthenticated_status`",
        ),
        (
            "type = \"mirror\"\nmax_drain_bytes = 1\n",
            "`max_drain_bytes`",
        ),
        ("type = \"stdin\"\nmax_line_bytes = 0\n", "`max_line_bytes`"),
    ] {
        let error = settings(text).validate().unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
    }
}

#[test]
fn a_socket_in_a_missing_directory_says_so() {
    let error = refusal("type = \"mirror\"\nsocket = \"/nonexistent/mirror.sock\"\n");
    assert!(
        error.contains("/nonexistent/mirror.sock cannot be bound"),
        "{error}"
    );
}
