//! What is remembered of a network: who fails, who succeeds, and with what.

use bytemuck::{Pod, Zeroable};
use rule_sdk::incident::Incident;
use rule_sdk::recent::{Distinct, Recent};

/// Most failing users remembered.
pub(crate) const FAILED: usize = 64;
/// Most clients remembered of those who fail.
pub(crate) const AGENTS: usize = 4;

/// What is known of one network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Spray {
    pub(crate) incident: Incident,
    /// Failed logins since the state began.
    pub(crate) attempts: u32,
    padding: u32,
    /// User-agent families of those who fail.
    pub(crate) agents: Recent<AGENTS>,
    /// Estimates how many users succeed.
    pub(crate) successes: Distinct,
    /// Users who succeeded lately.
    pub(crate) locals: Recent<32>,
    /// Users who failed and did not succeed since.
    pub(crate) failed: Recent<FAILED>,
}

/// The state of one network.
#[derive(Debug, Default, PartialEq)]
pub struct PasswordSprayState(pub(crate) Spray);
rule_sdk::compact_state!(PasswordSprayState(Spray), 1);
