//! Cost of enrichment: warm caches, cold addresses, cold user agents.
//!
//! Run with `cargo bench -p sidewatch-enrich --bench enrich`, with the name of
//! a measurement to get only that. Prints
//! nanoseconds per event, the best of several rounds; the databases are
//! generated, so the numbers need no download.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]
#![expect(
    clippy::expect_used,
    reason = "a benchmark without its set-up has nothing to measure"
)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Instant;

use ipnet::{IpNet, Ipv4Net};
use sidewatch_enrich::mmdb_writer::{Writer, as_record, city_record};
use sidewatch_enrich::{EnrichSettings, Enricher, TrustedProxy};
use sidewatch_event::{Event, Field};

const KEY: [u8; 16] = *b"0123456789abcdef";
const ROUNDS: usize = 3000;

/// Events per round: few enough to stay in the processor's cache.
const BATCH: usize = 50;

/// /24 networks in the generated databases.
const NETWORKS: u32 = 200_000;

/// Addresses and user agents that are "seen recently".
const RECENT: u32 = 500;

fn main() {
    let recent: Vec<Event> = (0..RECENT)
        .map(|number| event(number * 397, number % 40))
        .collect();
    let mut plain = Enricher::new(&EnrichSettings::default(), KEY).expect("no databases");
    report("warm, no databases", &mut plain, &recent);

    let directory = tempfile::tempdir().expect("a temporary directory");
    let settings = databases(directory.path());
    let started = Instant::now();
    let mut enricher = Enricher::new(&settings, KEY).expect("sound databases");
    let loading = started.elapsed().as_secs_f64() * 1e3;
    println!(
        "{:<20} {loading:>8.1} ms for two databases of {NETWORKS} networks",
        "load"
    );
    report("warm", &mut enricher, &recent);

    let mut proxied = settings.clone();
    proxied.trusted_proxies = vec![TrustedProxy::Network(
        "10.0.0.0/8".parse().expect("a network"),
    )];
    let mut behind_proxy = Enricher::new(&proxied, KEY).expect("sound databases");
    report("warm, forwarded", &mut behind_proxy, &forwarded(&recent));

    let scattered = |number: u32| number.wrapping_mul(2_654_435_761);
    let cold: Vec<Event> = (0..100_000)
        .map(|number| event(scattered(number), number % 40))
        .collect();
    report("cold address", &mut enricher, &cold);

    let agents: Vec<Event> = (0..100_000)
        .map(|number| event(number % RECENT, number))
        .collect();
    report("cold user agent", &mut enricher, &agents);
}

/// The fastest of many short rounds: on a busy machine most are interrupted.
/// Events are prepared outside the measured time, with room for the texts, as
/// events from a pool have.
fn report(name: &str, enricher: &mut Enricher, events: &[Event]) {
    let wanted = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    if wanted.is_some_and(|wanted| wanted != name) {
        return;
    }
    let mut best = f64::INFINITY;
    for batch in events.chunks_exact(BATCH).cycle().take(ROUNDS) {
        let mut prepared: Vec<Event> = batch.iter().map(with_room).collect();
        let started = Instant::now();
        for event in &mut prepared {
            enricher.enrich(black_box(event));
        }
        best = best.min(started.elapsed().as_secs_f64() * 1e9 / BATCH as f64);
    }
    println!("{name:<20} {best:>8.1} ns per event");
}

fn with_room(event: &Event) -> Event {
    let mut roomy = Event::new();
    roomy.set(Field::Message, &" ".repeat(1000));
    roomy.set_label("", "");
    roomy.clear();
    roomy.fill_from(event);
    roomy
}

fn event(number: u32, agent: u32) -> Event {
    let mut event = Event::new();
    event.peer_ip = Some(IpAddr::from(address(number)));
    event.set(
        Field::UserAgentOriginal,
        &format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{agent}.0.0.0 Safari/537.36"),
    );
    event.set(Field::UserName, "zoe.example@example.edu");
    event.set(Field::SessionId, "0123456789abcdef0123456789abcdef");
    event
}

fn forwarded(events: &[Event]) -> Vec<Event> {
    let behind = |event: &Event| {
        let mut event = event.clone();
        let client = event
            .peer_ip
            .map(|address| address.to_string())
            .unwrap_or_default();
        event.set(
            Field::HttpRequestForwarded,
            &format!("192.0.2.9, {client}, 10.0.0.7"),
        );
        event.peer_ip = Some(IpAddr::from([10, 0, 0, 1]));
        event
    };
    events.iter().map(behind).collect()
}

/// An address within the generated networks, from 32.0.0.0 up.
fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits((32 << 24) + number % (NETWORKS << 8))
}

fn databases(directory: &Path) -> EnrichSettings {
    let mut city = Writer::new("Example-City");
    let mut asn = Writer::new("Example-ASN");
    for number in 0..NETWORKS {
        let network = IpNet::V4(Ipv4Net::new_assert(address(number << 8), 24));
        let (latitude, longitude) = (
            f64::from(number % 150) - 74.9,
            f64::from(number % 350) - 174.9,
        );
        let place = format!("City {}", number % 30_000);
        city.add(
            network,
            city_record(
                "CZ",
                "Example region",
                &place,
                Some((latitude, longitude)),
                20,
            ),
        );
        asn.add(
            network,
            as_record(64_512 + number % 1000, "Example Network Operations"),
        );
    }
    let mut settings = EnrichSettings::default();
    let write = |name: &str, writer: &Writer| {
        let path = directory.join(name);
        std::fs::write(&path, writer.to_bytes().expect("a database"))
            .expect("a writable directory");
        Some(path)
    };
    settings.geoip.city = write("city.mmdb", &city);
    settings.geoip.asn = write("asn.mmdb", &asn);
    settings
}
