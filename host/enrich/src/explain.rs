//! Every decision of enrichment about one event, in words.

use sidewatch_event::{Event, Field, Location, REAL_IP_LABEL};

use crate::Enricher;
use crate::client_address::{ClientAddress, IpSource, Peer};
use crate::geoip::Databases;
use crate::keys::is_nobody;
use crate::network::Reason;
use crate::user_agent::{UserAgent, relevant};

impl Enricher {
    /// What [`Enricher::enrich`] decides about an event and why: pairs of a
    /// subject and a sentence. Names and addresses appear as the event has
    /// them; hashes and secrets do not appear.
    #[must_use]
    pub fn explain(&mut self, event: &Event) -> Vec<(String, String)> {
        self.follow_reload();
        let decision = self.shared.proxies.decide(event);
        let mut lines = vec![line("client address", client(&decision, event))];
        if let Some(address) = decision.address {
            let facts = self.resolve(address, &self.databases);
            lines.push(line(
                "network kind",
                format!("{}, {}", facts.kind.as_str(), reason(&facts.reason)),
            ));
            lines.push(line(
                "location",
                location(facts.location, facts.texts.get(Field::SourceGeoCityName)),
            ));
            lines.push(line("databases", databases(&self.databases)));
            if facts.as_number != 0 {
                let name = facts
                    .texts
                    .get(Field::SourceAsOrganizationName)
                    .unwrap_or("without a name");
                lines.push(line(
                    "autonomous system",
                    format!("AS{}, {name}", facts.as_number),
                ));
            }
            if let Some(name) = &facts.network_name {
                lines.push(line(
                    "network name",
                    format!("{name}, from the operator's table"),
                ));
            }
        }
        lines.push(line("site", self.site_words(event)));
        lines.push(line("user agent", agent_words(event)));
        lines.push(line("user key", user_words(event)));
        lines
    }

    fn site_words(&self, event: &Event) -> String {
        match event.get(Field::SidewatchSite) {
            None => "the record names none".into(),
            Some(name) => match self.shared.sites.named(name) {
                Some(site) => format!(
                    "`{name}` is {}; {}; {}",
                    site.name,
                    reason(&Reason::NamedSite),
                    location(site.location, None)
                ),
                None => format!("`{name}` is not among the configured sites"),
            },
        }
    }
}

fn line(subject: &str, words: String) -> (String, String) {
    (subject.into(), words)
}

fn client(decision: &ClientAddress, event: &Event) -> String {
    let forwarded =
        event.get(Field::HttpRequestForwarded).is_some() || event.label(REAL_IP_LABEL).is_some();
    let peer = match decision.peer {
        Peer::Address(address) => address.to_string(),
        Peer::Unix => "a unix socket".into(),
        Peer::Unknown => return "unknown: the record names no peer".into(),
    };
    let address = decision
        .address
        .map_or_else(|| "unknown".into(), |address| address.to_string());
    match decision.source {
        IpSource::ForwardedFor(hop) => {
            format!(
                "{address}, hop {hop} from the right of X-Forwarded-For; the peer {peer} is a trusted proxy"
            )
        }
        IpSource::RealIp => {
            format!("{address}, from X-Real-IP; the peer {peer} is a trusted proxy")
        }
        IpSource::Peer if !forwarded => format!("{address}, the peer ({peer})"),
        IpSource::Peer if decision.peer_trusted => {
            format!("{address}, the peer ({peer}); the forwarded header holds no address")
        }
        IpSource::Peer => {
            format!(
                "{address}, the peer ({peer}); forwarded headers are ignored, because it is not in `trusted_proxies`"
            )
        }
    }
}

fn reason(reason: &Reason) -> String {
    match reason {
        Reason::Operator(network) => format!("by the configured network {network}"),
        Reason::Site(network) => format!("by the configured site addresses {network}"),
        Reason::NamedSite => "named by the record, which beats the address".into(),
        Reason::Reserved(meaning) => format!("a {meaning}"),
        Reason::Database(flag) => format!("a database says `{flag}`"),
        Reason::AsNumber(owner) => format!("the autonomous system is well known ({owner})"),
        Reason::AsName(word) => format!("the name of the autonomous system holds `{word}`"),
        Reason::Nothing => "nothing says otherwise".into(),
    }
}

fn location(location: Option<Location>, city: Option<&str>) -> String {
    match location {
        None => "unknown".into(),
        Some(Location {
            latitude,
            longitude,
            accuracy_km,
        }) => {
            let near = city.map(|city| format!(", {city}")).unwrap_or_default();
            format!("{latitude:.4}, {longitude:.4}, within {accuracy_km:.0} km{near}")
        }
    }
}

fn databases(databases: &Databases) -> String {
    let asked: Vec<_> = [&databases.city, &databases.asn, &databases.anonymous]
        .into_iter()
        .flatten()
        .map(|database| format!("{} ({})", database.kind.as_str(), database.path.display()))
        .collect();
    if asked.is_empty() {
        "none configured".into()
    } else {
        format!("asked {}", asked.join(", "))
    }
}

fn agent_words(event: &Event) -> String {
    let Some(original) = event.get(Field::UserAgentOriginal).and_then(relevant) else {
        return "absent".into();
    };
    let agent = UserAgent::scan(original);
    let or_unknown = |text: &str| {
        if text.is_empty() {
            "unknown".to_owned()
        } else {
            text.to_owned()
        }
    };
    format!(
        "{} {} on {} {}, device {}; the key is of family and system only",
        agent.family,
        or_unknown(agent.version),
        or_unknown(agent.os_name),
        agent.os_version,
        or_unknown(agent.device)
    )
}

fn user_words(event: &Event) -> String {
    for (field, name) in [
        (Field::UserName, "user.name"),
        (Field::UserId, "user.id"),
        (Field::UserEmail, "user.email"),
    ] {
        match event.get(field).map(str::trim) {
            Some(text) if !is_nobody(text) => return format!("from {name} `{text}`"),
            _ => {}
        }
    }
    "none: the record names no user, or a placeholder".into()
}
