//! What is remembered of a user: networks and since when, the last steps, and
//! refusals.

use bytemuck::{Pod, Zeroable};
use rule_sdk::incident::Incident;
pub(crate) use rule_sdk::recent::short;

/// Most refusals remembered.
pub(crate) const DENIALS: usize = 32;

/// Networks remembered.
const NETWORKS: usize = 8;

/// Seconds by which the last use of a network may lag behind.
const GRANULARITY: u32 = 10 * 60;

/// A step of a takeover: when, and from where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Step {
    /// Seconds since the epoch; 0 for none.
    pub(crate) time: u32,
    /// Half a hash of the network.
    pub(crate) network: u32,
}

impl Step {
    pub(crate) fn of(time: u32, network: u64) -> Self {
        Self {
            time,
            network: short(network),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
struct Network {
    hash: u32,
    first: u32,
    last: u32,
}

/// The networks last used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct Networks([Network; NETWORKS]);

impl Networks {
    /// Whether noting the network again would say nothing new.
    pub(crate) fn is_current(&self, network: u64, now: u32) -> bool {
        let hash = short(network);
        self.0.iter().any(|known| {
            known.hash == hash && now < known.last.saturating_add(GRANULARITY) && now >= known.first
        })
    }

    /// Notes that the network was used; the one not used longest makes room.
    pub(crate) fn saw(&mut self, network: u64, now: u32) {
        let hash = short(network);
        if let Some(known) = self.0.iter_mut().find(|known| known.hash == hash) {
            known.first = known.first.min(now);
            known.last = known.last.max(now);
        } else if let Some(oldest) = self
            .0
            .iter_mut()
            .min_by_key(|known| (known.hash != 0, known.last))
        {
            *oldest = Network {
                hash,
                first: now,
                last: now,
            };
        }
    }

    /// Whether the network was used at `before` or earlier.
    pub(crate) fn known_since(&self, network: u64, before: u32) -> bool {
        let hash = short(network);
        self.0
            .iter()
            .any(|known| known.hash == hash && known.first <= before)
    }

    /// Whether any network was.
    pub(crate) fn any_since(&self, before: u32) -> bool {
        self.0
            .iter()
            .any(|known| known.hash != 0 && known.first <= before)
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.iter().map(|known| u32::from(known.hash != 0)).sum()
    }
}

/// Times of the last refusals, in no particular order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct Denials([u32; DENIALS]);

impl Default for Denials {
    fn default() -> Self {
        Self([0; DENIALS])
    }
}

impl Denials {
    /// Notes one in place of the earliest.
    pub(crate) fn note(&mut self, now: u32) {
        if let Some(earliest) = self.0.iter_mut().min()
            && *earliest <= now
        {
            *earliest = now;
        }
    }

    /// How many fall within `window` seconds before `now`.
    pub(crate) fn within(&self, now: u32, window: u32) -> u32 {
        let recent = |time: &&u32| **time != 0 && now.saturating_sub(**time) <= window;
        u32::try_from(self.0.iter().filter(recent).count()).unwrap_or(u32::MAX)
    }
}

/// What is known of one user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Known {
    pub(crate) password: Step,
    pub(crate) factor: Step,
    pub(crate) token: Incident,
    pub(crate) login: Incident,
    pub(crate) burst: Incident,
    pub(crate) networks: Networks,
    pub(crate) denials: Denials,
}

/// The state of one user.
#[derive(Debug, Default, PartialEq)]
pub struct TakeoverStepsState(pub(crate) Known);
rule_sdk::compact_state!(TakeoverStepsState(Known), 1);
