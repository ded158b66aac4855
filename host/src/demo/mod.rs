//! The demonstration: a site of our own invention, five days of its traffic,
//! and what the sidecar makes of it.
//!
//! Map: `world` (networks), `people`, `story` and `incidents` (who does what,
//! from one seed), `request` (what nginx makes of it), `setup` (directory and
//! configuration), `player` (sends it through the real inputs), `tap` and
//! `outcome` (what came of it). The story knows what it planted, and what was
//! found is compared with that.

pub mod incidents;
pub mod outcome;
pub mod people;
pub mod player;
pub mod random;
pub mod request;
pub mod setup;
pub mod story;
pub mod tap;
pub mod world;

pub use outcome::Outcome;
pub use setup::Setup;
pub use story::Story;

/// Seed of the story everybody sees.
pub const SEED: u64 = 0x51de_0a7c;

#[cfg(test)]
mod tests;
