//! Any bytes as a city database: refused or used, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sidewatch_enrich::{EnrichSettings, Enricher};
use sidewatch_event::Event;

fuzz_target!(|input: (&[u8], [u8; 4], [u8; 16])| {
    let (bytes, four, sixteen) = input;
    // Memory, not disk: thousands of files a second.
    let path = std::path::Path::new("/dev/shm").join(format!("sidewatch-fuzz-{}.mmdb", std::process::id()));
    std::fs::write(&path, bytes).expect("room in memory");
    let mut settings = EnrichSettings::default();
    settings.geoip.city = Some(path);
    settings.geoip.reload = false;
    let Ok(mut enricher) = Enricher::new(&settings, [7; 16]) else {
        return;
    };
    for address in [four.into(), sixteen.into()] {
        let mut event = Event::new();
        event.peer_ip = Some(address);
        enricher.enrich(&mut event);
    }
});
