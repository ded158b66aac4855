//! Enrichment: client address, network kind, location, autonomous system,
//! user agent, keyed hashes.
//!
//! What a codec leaves for it: the connecting peer in `peer_ip` (or as text in
//! `source.address`, where a unix socket is `unix:`), the client in
//! `source_ip` only when the application itself states it, X-Forwarded-For in
//! `http.request.forwarded`, X-Real-IP in the label [`REAL_IP_LABEL`](sidewatch_event::REAL_IP_LABEL), the
//! visited institution's realm or name in `sidewatch.site`.
//!
//! Invariants:
//! - a forwarded header decides only behind a trusted peer;
//! - what a source states is never overwritten by what is looked up;
//! - no file is read and nothing blocks in [`Enricher::enrich`]; databases are
//!   loaded at the start and by [`Enricher::check_reload`];
//! - memory is bounded: caches have a fixed number of slots.

mod address;
mod autonomous_systems;
mod cache;
mod client_address;
mod explain;
mod geoip;
mod geometry;
mod keys;
pub mod mmdb_writer;
mod network;
mod prefix_table;
pub mod settings;
mod sites;
mod texts;
pub mod user_agent;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use sidewatch_event::{Event, Field, NetworkKind};

pub use address::AddressDescription;
pub use client_address::IP_SOURCE_LABEL;
pub use geoip::{DatabaseError, DatabaseKind, DatabaseStatus, MAX_FILE_BYTES, ReloadOutcome};
pub use keys::KeyHasher;
pub use settings::{
    Cidr, EnrichSettings, GeoipSettings, NetworkSettings, SiteSettings, TrustedProxy,
};

use address::AddressFacts;
use cache::SlotCache;
use client_address::TrustedProxies;
use geoip::{DatabaseStore, Databases};
use network::NetworkTable;
use sites::Sites;
use user_agent::UserAgentFacts;

/// Label with the operator's name for the network of the client.
pub const NETWORK_NAME_LABEL: &str = "network.name";

/// Addresses whose facts a worker remembers.
const ADDRESS_SLOTS: usize = 8192;

/// User agents whose facts a worker remembers.
const USER_AGENT_SLOTS: usize = 2048;

/// Why an [`Enricher`] cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum EnrichError {
    /// A database file cannot be used.
    #[error("database `{}` {reason}", path.display())]
    Database {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong with it.
        reason: DatabaseError,
    },
    /// Two entries for one network.
    #[error("network `{0}` is listed twice; join the entries")]
    NetworkTwice(IpNet),
    /// Two sites of one realm or name.
    #[error("site `{name}` is listed twice; realms and names must differ")]
    SiteTwice {
        /// The realm or name.
        name: String,
    },
    /// Coordinates that cannot be.
    #[error(
        "`{name}` has impossible coordinates; latitude is -90 to 90, longitude -180 to 180, the radius not negative"
    )]
    Coordinates {
        /// The network or site.
        name: String,
    },
    /// A latitude without a longitude, or a radius without either.
    #[error("`{name}` needs both `latitude` and `longitude`, or neither")]
    HalfCoordinates {
        /// The network.
        name: String,
    },
}

/// Fills events with what is known about their client.
///
/// One per worker: the caches are its own, everything else is shared.
#[derive(Debug)]
pub struct Enricher {
    shared: Arc<Shared>,
    databases: Arc<Databases>,
    addresses: SlotCache<IpAddr, AddressFacts>,
    user_agents: SlotCache<str, UserAgentFacts>,
}

#[derive(Debug)]
struct Shared {
    proxies: TrustedProxies,
    networks: NetworkTable,
    sites: Sites,
    keys: KeyHasher,
    store: DatabaseStore,
}

impl Enricher {
    /// Checks the settings and loads the databases. `key` is the secret that
    /// identifying values are hashed under.
    ///
    /// # Errors
    /// A database that is missing or damaged, and settings that contradict
    /// themselves; the error names the file or entry.
    pub fn new(settings: &EnrichSettings, key: [u8; 16]) -> Result<Self, EnrichError> {
        let shared = Shared {
            proxies: TrustedProxies::new(&settings.trusted_proxies),
            networks: NetworkTable::new(&settings.networks, &settings.sites)?,
            sites: Sites::new(&settings.sites)?,
            keys: KeyHasher::new(key),
            store: DatabaseStore::open(&settings.geoip)
                .map_err(|(path, reason)| EnrichError::Database { path, reason })?,
        };
        Ok(Self::with(Arc::new(shared)))
    }

    /// Another enricher with empty caches that shares everything else.
    #[must_use]
    pub fn clone_for_worker(&self) -> Self {
        Self::with(Arc::clone(&self.shared))
    }

    fn with(shared: Arc<Shared>) -> Self {
        let databases = shared.store.current();
        Self {
            shared,
            databases,
            addresses: SlotCache::new(ADDRESS_SLOTS),
            user_agents: SlotCache::new(USER_AGENT_SLOTS),
        }
    }

    /// Fills in client address, network kind, location, autonomous system,
    /// user agent, site and keys. Enriching twice changes nothing.
    pub fn enrich(&mut self, event: &mut Event) {
        self.follow_reload();
        let decision = self.shared.proxies.decide(event);
        client_address::apply(&decision, event);
        if let Some(address) = decision.address {
            self.add_address(address, event);
        }
        self.add_site(event);
        self.add_user_agent(event);
        self.shared.keys.fill(event);
    }

    /// The state of every database.
    #[must_use]
    pub fn databases(&self) -> Vec<DatabaseStatus> {
        self.shared.store.status()
    }

    /// What is known about an address, in words.
    #[must_use]
    pub fn describe_address(&self, address: IpAddr) -> AddressDescription {
        self.resolve(address.to_canonical(), &self.shared.store.current())
            .describe()
    }

    /// Loads database files that were replaced since; one outcome per file
    /// that changed. A file that cannot be used leaves the old version in use
    /// and is reported once. Meant for a background thread, every few seconds;
    /// loading takes as long as reading and verifying the file does.
    #[must_use]
    pub fn check_reload(&self) -> Vec<ReloadOutcome> {
        self.shared.store.check()
    }

    fn resolve(&self, address: IpAddr, databases: &Databases) -> AddressFacts {
        AddressFacts::resolve(
            address,
            &self.shared.networks,
            &self.shared.sites,
            databases,
        )
    }

    fn follow_reload(&mut self) {
        if !self.shared.store.is_current(self.databases.generation) {
            self.databases = self.shared.store.current();
            self.addresses.clear();
        }
    }

    fn add_address(&mut self, address: IpAddr, event: &mut Event) {
        let (shared, databases) = (&self.shared, &self.databases);
        let facts = self.addresses.get_or_insert_with(&address, || {
            AddressFacts::resolve(address, &shared.networks, &shared.sites, databases)
        });
        let Some(facts) = facts else { return };
        if event.network_kind == NetworkKind::Unknown {
            event.network_kind = facts.kind;
        }
        if event.as_number == 0 {
            event.as_number = facts.as_number;
        }
        event.location = event.location.or(facts.location);
        facts.texts.apply(event);
        if let Some(name) = &facts.network_name {
            event.set_label(NETWORK_NAME_LABEL, name);
        }
    }

    /// A site the record itself names; one found by address is among the
    /// address's facts.
    fn add_site(&self, event: &mut Event) {
        if self.shared.sites.is_empty() {
            return;
        }
        let Some(site) = event
            .get(Field::SidewatchSite)
            .and_then(|name| self.shared.sites.named(name))
        else {
            return;
        };
        event.network_kind = NetworkKind::Site;
        event.location = site.location.or(event.location);
        if event.get(Field::SidewatchSite) != Some(&site.name) {
            event.set(Field::SidewatchSite, &site.name);
        }
    }

    fn add_user_agent(&mut self, event: &mut Event) {
        let keys = &self.shared.keys;
        let Some(original) = event
            .get(Field::UserAgentOriginal)
            .and_then(user_agent::relevant)
        else {
            if let Some(family) = event.get(Field::UserAgentName) {
                event.keys.user_agent = keys.user_agent(
                    family,
                    event.get(Field::UserAgentOsName).unwrap_or_default(),
                );
            }
            return;
        };
        let facts = self
            .user_agents
            .get_or_insert_with(original, || UserAgentFacts::resolve(original, keys));
        if let Some(facts) = facts {
            event.keys.user_agent = facts.key;
            facts.texts.apply(event);
        }
    }
}

#[cfg(test)]
mod tests;
