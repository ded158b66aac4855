//! Any user agent and any forwarded header: no panic, and enriching twice
//! changes nothing.
#![no_main]

use std::cell::RefCell;
use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use sidewatch_enrich::{Cidr, EnrichSettings, Enricher, TrustedProxy};
use sidewatch_event::{Event, Field};

thread_local! {
    static ENRICHER: RefCell<Enricher> = RefCell::new({
        let loopback: Cidr = "127.0.0.0/8".parse().expect("a network");
        let settings = EnrichSettings {
            trusted_proxies: vec![TrustedProxy::Network(loopback.0)],
            ..EnrichSettings::default()
        };
        Enricher::new(&settings, [7; 16]).expect("nothing to load")
    });
}

fuzz_target!(|input: (&str, &str, &str, [u8; 4])| {
    let (agent, forwarded, user, peer) = input;
    let mut event = Event::new();
    event.peer_ip = Some(if peer[0] % 2 == 0 { [127, 0, 0, 1].into() } else { IpAddr::from(peer) });
    event.set(Field::UserAgentOriginal, agent);
    event.set(Field::HttpRequestForwarded, forwarded);
    event.set(Field::UserName, user);
    ENRICHER.with_borrow_mut(|enricher| {
        enricher.enrich(&mut event);
        let once = (event.source_ip, event.keys);
        enricher.enrich(&mut event);
        assert_eq!(once, (event.source_ip, event.keys));
    });
});
