//! Sidewatch as its users meet it: the real program beside a real nginx, with
//! a real rsyslogd and a Tirreno double behind it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests fail loudly"
)]

mod archivematica;
mod audit_trail;
mod auditmatica;
mod authoring;
mod bad_components;
mod bad_configuration;
mod bad_surroundings;
mod clock;
mod durable;
mod edge;
mod evaluate;
mod findings;
mod frames;
mod full_disk;
mod gap;
mod harmless;
mod health;
mod lifecycle;
mod lifecycle_mistakes;
mod lifecycle_restart;
mod losses;
mod mattermost;
mod mirror;
mod misbehaving;
mod outage;
mod overview;
mod replay;
mod resume;
mod rotation;

mod shutdown;
mod signing;
mod storage_faults;
mod swap_engine;
mod swaps;
mod vector_verb;
mod vectors;
