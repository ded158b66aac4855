//! The demo can be set up on any machine.

use super::*;

#[test]
fn the_nginx_snippet_gets_address_and_secret() {
    let text = upstream("127.0.0.1:1234".parse().unwrap(), "5ec4e7");
    assert!(text.contains("\n    server 127.0.0.1:1234 max_fails=1"));
    assert!(text.contains("default \"5ec4e7\";"));
    assert!(!text.contains("mirror.sock"));
}

#[test]
fn a_port_in_use_is_replaced_and_said() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let wanted = taken.local_addr().unwrap();
    let mut notes = Vec::new();
    let open = |address| TcpListener::bind::<SocketAddr>(address)?.local_addr();
    let got = free(wanted, "mirror", &mut notes, open).unwrap();
    assert_ne!(got, wanted);
    assert_eq!(notes.len(), 1);
}

#[test]
fn what_was_there_is_replaced_but_a_link_is_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let (precious, link) = (
        directory.path().join("precious"),
        directory.path().join("findings.json"),
    );
    std::fs::write(&precious, "kept").unwrap();
    std::os::unix::fs::symlink(&precious, &link).unwrap();
    write(&link, b"new").unwrap();
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "kept");
    assert_eq!(std::fs::read_to_string(&link).unwrap(), "new");
}

#[test]
fn rules_not_built_are_left_out_and_further_ones_take_part() {
    let directory = tempfile::tempdir().unwrap();
    for name in [
        "event-mapping.wasm",
        "impossible-travel.wasm",
        "my-own.wasm",
        "README.md",
    ] {
        std::fs::write(directory.path().join(name), "").unwrap();
    }
    let mut notes = Vec::new();
    let text = rule_entries(directory.path(), &mut notes).unwrap();
    let config = crate::config::ConfigFile::parse("demo", &text).unwrap();
    let entries: Vec<_> = config
        .rules
        .iter()
        .map(|rule| (rule.id.as_str(), rule.enabled))
        .collect();
    let (left_out, taking_part): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|(_, enabled)| !enabled);
    assert!(
        left_out.contains(&("account-sharing", false)),
        "{left_out:?}"
    );
    assert!(
        !left_out.contains(&("impossible-travel", false)),
        "{left_out:?}"
    );
    assert_eq!(taking_part, [("my-own", true)]);
    assert_eq!(notes.len(), left_out.len());
}
