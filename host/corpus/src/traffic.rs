//! Events as the generators write them, and as the rules and baselines read
//! them.

use rule_sdk::detection::wire;
use rule_sdk::detection::{Activity, harness::START};

use crate::world::Network;

/// A kind of browser or app: family and system together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agent {
    /// Number that stands for its hash.
    pub number: u64,
    /// `user_agent.os.name`.
    pub system: &'static str,
    /// `device.type`.
    pub device_type: &'static str,
}

const fn agent(number: u64, system: &'static str, device_type: &'static str) -> Agent {
    Agent {
        number,
        system,
        device_type,
    }
}

/// Browsers of desktops and laptops with their shares of the market.
pub const DESKTOPS: [(Agent, f64); 6] = [
    (agent(11, "Windows", "desktop"), 0.47),
    (agent(12, "Windows", "desktop"), 0.15),
    (agent(13, "Windows", "desktop"), 0.07),
    (agent(14, "macOS", "desktop"), 0.14),
    (agent(15, "macOS", "desktop"), 0.10),
    (agent(16, "Linux", "desktop"), 0.07),
];

/// Browsers and apps of phones.
pub const PHONES: [(Agent, f64); 4] = [
    (agent(21, "iOS", "mobile"), 0.32),
    (agent(22, "Android", "mobile"), 0.38),
    (agent(23, "iOS", "mobile"), 0.15),
    (agent(24, "Android", "mobile"), 0.15),
];

/// Tablets.
pub const TABLETS: [(Agent, f64); 2] = [
    (agent(31, "iPadOS", "tablet"), 0.7),
    (agent(32, "Android", "tablet"), 0.3),
];

/// Scripts and bots.
pub const TOOLS: [(Agent, f64); 3] = [
    (agent(41, "", "tool"), 0.5),
    (agent(42, "Linux", "tool"), 0.3),
    (agent(43, "", "bot"), 0.2),
];

/// Draws an agent in proportion to the shares.
pub fn draw(random: &mut crate::random::Random, shares: &[(Agent, f64)]) -> Agent {
    let weights: Vec<f64> = shares.iter().map(|(_, share)| *share).collect();
    let index = random.weighted(&weights);
    shares
        .get(index)
        .map_or(agent(1, "", ""), |(agent, _)| *agent)
}

/// No client at all: an F-Ticks record names a device only.
pub const NOTHING: Agent = agent(0, "", "");

/// One event of a corpus.
#[derive(Debug, Clone, Copy)]
pub struct CorpusEvent {
    /// As it crosses the rule boundary.
    pub numbers: wire::Event,
    /// Its client.
    pub agent: Agent,
    /// Milliseconds since the epoch when it arrives; later than its time when
    /// it is late.
    pub arrival: i64,
}

impl CorpusEvent {
    /// The text of a field rules read.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&'static str> {
        let text = match field {
            "device.type" => self.agent.device_type,
            "user_agent.os.name" => self.agent.system,
            _ => "",
        };
        (!text.is_empty()).then_some(text)
    }
}

/// Who uses what: the part of an event that stays the same for a while.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// Hash of the user; 0 for nobody.
    pub user: u64,
    /// Hash of the session; 0 for none.
    pub session: u64,
    /// Hash of the device; 0 for none.
    pub device: u64,
    /// Browser or app.
    pub agent: Agent,
}

/// Milliseconds since the epoch of a time in minutes since the corpus began.
#[must_use]
pub fn milliseconds(minutes: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a corpus spans months")]
    let offset = (minutes * 60_000.0) as i64;
    START + offset
}

/// Collects the events of a scenario.
#[derive(Debug, Default)]
pub struct Traffic {
    /// In the order they were made.
    pub events: Vec<CorpusEvent>,
}

impl Traffic {
    /// Adds an event at `minutes` through `network`.
    pub fn add(
        &mut self,
        minutes: f64,
        client: &Client,
        network: &Network,
        activity: Activity,
    ) -> &mut CorpusEvent {
        let time = milliseconds(minutes);
        let (latitude, longitude, accuracy) = network.record.unwrap_or((f64::NAN, f64::NAN, 0.0));
        let [first, second] = network.country.map(u32::from);
        let (address_high, address_low) = if network.base == (0, 0) {
            (0, 0)
        } else {
            network.address(client.session ^ client.device)
        };
        let numbers = wire::Event {
            time,
            user: client.user,
            session: client.session,
            device: client.device,
            user_agent: client.agent.number,
            address_high,
            address_low,
            latitude,
            longitude,
            accuracy,
            as_number: network.as_number,
            country: first << 8 | second,
            network_kind: network.kind as u32,
            activity: activity as u32,
            status: if activity == Activity::LoginFailure {
                401
            } else {
                200
            },
        };
        let index = self.events.len();
        self.events.push(CorpusEvent {
            numbers,
            agent: client.agent,
            arrival: time,
        });
        #[expect(clippy::indexing_slicing, reason = "just pushed")]
        &mut self.events[index]
    }

    /// The events in the order they arrive.
    #[must_use]
    pub fn arrived(mut self) -> Vec<CorpusEvent> {
        self.events.sort_by_key(|event| event.arrival);
        self.events
    }
}
