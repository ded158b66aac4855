//! Notices that a proxy hides the clients: nearly every event then comes from
//! one private address, and rules about places would judge nonsense.
//!
//! Invariants: bounded memory whatever addresses come; said once per change,
//! never per event; no clock.

use std::net::IpAddr;

use sidewatch_event::{Event, Evidence, EvidenceValue, NetworkKind};

/// Events needed for a verdict.
const ENOUGH: u32 = 100;
/// Events after which the past counts half.
const HALVED: u32 = 4096;
/// Private addresses counted at a time; a proxy is among the most frequent.
const CANDIDATES: usize = 4;

/// What to do about it, for logs and summaries.
pub const HINT: &str = "more than 90 % of events come from one private address, so a proxy hides the clients and rules about \
     places stay silent; let nginx pass the client on (proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for) and list \
     the proxy in enrichment.trusted_proxies";

/// How often private addresses occur among recent events.
#[derive(Debug, Default)]
pub struct HiddenClients {
    total: u32,
    candidates: [Option<(IpAddr, u32)>; CANDIDATES],
    hidden: bool,
}

impl HiddenClients {
    /// Counts an enriched event.
    pub fn observe(&mut self, event: &Event) {
        let Some(address) = event.source_ip else {
            return;
        };
        self.total += 1;
        if event.network_kind == NetworkKind::Private {
            self.count(address);
        }
        if self.total >= HALVED {
            self.total /= 2;
            for (_, count) in self.candidates.iter_mut().flatten() {
                *count /= 2;
            }
        }
    }

    /// The most frequent addresses in little room: a newcomer without a place
    /// costs every candidate one (Misra and Gries).
    fn count(&mut self, address: IpAddr) {
        let known = self.candidates.iter_mut().flatten();
        if let Some((_, count)) = known
            .into_iter()
            .find(|(candidate, _)| *candidate == address)
        {
            *count += 1;
            return;
        }
        if let Some(free) = self.candidates.iter_mut().find(|slot| slot.is_none()) {
            *free = Some((address, 1));
            return;
        }
        for slot in &mut self.candidates {
            *slot = slot
                .filter(|(_, count)| *count > 1)
                .map(|(address, count)| (address, count - 1));
        }
    }

    /// The address that hides the clients, if one does.
    #[must_use]
    pub fn proxy(&self) -> Option<IpAddr> {
        let most = self
            .candidates
            .iter()
            .flatten()
            .max_by_key(|(_, count)| *count)?;
        let nearly_all = u64::from(most.1) * 10 > u64::from(self.total) * 9;
        (self.total >= ENOUGH && nearly_all).then_some(most.0)
    }

    /// Looks at the verdict after a batch and says in the log when it changes.
    pub fn review(&mut self) {
        match (self.proxy(), self.hidden) {
            (Some(address), false) => {
                self.hidden = true;
                tracing::warn!(%address, "{HINT}");
            }
            (None, true) => {
                self.hidden = false;
                tracing::info!("clients are no longer hidden; rules about places judge again");
            }
            _ => {}
        }
    }

    /// Whether a finding must be held back: clients are hidden and it rests on
    /// a place.
    #[must_use]
    pub fn withholds(&self, evidence: &[Evidence]) -> bool {
        self.hidden
            && evidence
                .iter()
                .any(|item| matches!(item.value, EvidenceValue::Coordinates(..)))
    }

    /// Whether clients are hidden, as of the last review.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.hidden
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(address: &str) -> Event {
        let mut event = Event::new();
        let address: IpAddr = address.parse().unwrap();
        event.source_ip = Some(address);
        if address.to_string().starts_with("10.") {
            event.network_kind = NetworkKind::Private;
        }
        event
    }

    fn after(addresses: &[(&str, usize)]) -> HiddenClients {
        let mut clients = HiddenClients::default();
        for (address, count) in addresses {
            for _ in 0..*count {
                clients.observe(&event(address));
            }
        }
        clients.review();
        clients
    }

    #[test]
    fn one_private_address_for_nearly_everybody_is_a_proxy() {
        assert!(after(&[("10.0.0.7", 100)]).is_hidden());
        assert!(after(&[("192.0.2.1", 9), ("10.0.0.7", 91)]).is_hidden());
        assert!(!after(&[("192.0.2.1", 10), ("10.0.0.7", 90)]).is_hidden());
        assert!(!after(&[("10.0.0.7", 99)]).is_hidden(), "too few to tell");
        assert!(!after(&[("192.0.2.1", 500)]).is_hidden(), "public");
    }

    #[test]
    fn many_private_addresses_are_an_intranet() {
        let mut clients = HiddenClients::default();
        for number in 0..5_000 {
            clients.observe(&event(&format!(
                "10.0.{}.{}",
                number / 250 % 4,
                number % 250
            )));
        }
        clients.review();
        assert!(!clients.is_hidden());
    }

    #[test]
    fn once_the_proxy_passes_clients_on_the_verdict_ends() {
        let mut clients = after(&[("10.0.0.7", 20_000)]);
        assert!(clients.is_hidden());
        for _ in 0..2_000 {
            clients.observe(&event("192.0.2.1"));
        }
        clients.review();
        assert!(!clients.is_hidden());
    }

    #[test]
    fn only_findings_that_rest_on_a_place_are_held_back() {
        let place = [Evidence {
            name: "place".to_owned(),
            value: EvidenceValue::Coordinates(50.0, 14.0),
        }];
        let count = [Evidence {
            name: "failures".to_owned(),
            value: EvidenceValue::Integer(10),
        }];
        let hidden = after(&[("10.0.0.7", 100)]);
        assert!(hidden.withholds(&place) && !hidden.withholds(&count));
        assert!(!after(&[("192.0.2.1", 100)]).withholds(&place));
    }
}
