//! What is remembered of a user: attempts, prompts and what is familiar.

use bytemuck::{Pod, Zeroable};
use rule_sdk::incident::Incident;
use rule_sdk::recent::{Recent, short};

/// Most failed logins remembered.
pub(crate) const ATTEMPTS: usize = 48;
/// Most second-factor prompts remembered.
pub(crate) const PROMPTS: usize = 24;

/// When something was refused, and where it came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Attempt {
    /// Seconds since the epoch; 0 for an unused place.
    pub(crate) time: u32,
    /// Half a hash of the network.
    pub(crate) network: u32,
}

/// The last `N` attempts, in no particular order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct Attempts<const N: usize>([Attempt; N]);

impl<const N: usize> Default for Attempts<N> {
    fn default() -> Self {
        Self([Attempt::default(); N])
    }
}

impl<const N: usize> Attempts<N> {
    /// Notes an attempt in place of the earliest.
    pub(crate) fn note(&mut self, time: u32, network: u64) {
        if let Some(earliest) = self.0.iter_mut().min_by_key(|attempt| attempt.time)
            && earliest.time <= time
        {
            *earliest = Attempt {
                time,
                network: short(network),
            };
        }
    }

    /// Those within `window` seconds of `now`, before or after it.
    pub(crate) fn within(&self, now: u32, window: u32) -> impl Iterator<Item = &Attempt> {
        self.0
            .iter()
            .filter(move |attempt| attempt.time != 0 && now.abs_diff(attempt.time) <= window)
    }

    /// Forgets those `unwanted`.
    pub(crate) fn forget(&mut self, unwanted: impl Fn(&Attempt) -> bool) {
        for attempt in &mut self.0 {
            if unwanted(attempt) {
                *attempt = Attempt::default();
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|attempt| attempt.time == 0)
    }
}

/// What is known of one user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Known {
    /// Networks the user was let in from.
    pub(crate) networks: Recent<8>,
    /// User-agent families the user was let in with.
    pub(crate) agents: Recent<4>,
    pub(crate) burst: Incident,
    pub(crate) fatigue: Incident,
    pub(crate) prompts: Attempts<PROMPTS>,
    pub(crate) failures: Attempts<ATTEMPTS>,
}

/// The state of one user.
#[derive(Debug, Default, PartialEq)]
pub struct FailedLoginsState(pub(crate) Known);
rule_sdk::compact_state!(FailedLoginsState(Known), 1);
