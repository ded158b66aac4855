//! Builders for the integration tests: the real `sidewatch` program, a real
//! nginx, a real rsyslogd and a Tirreno double, each in directories and on
//! ports of its own.
//!
//! Invariants: everything listens on loopback or a unix socket; every process
//! ends with its test, whatever becomes of the test; every wait has an end
//! ([`wait::PATIENCE`]) and says what it waited for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "test helpers fail loudly"
)]

pub mod clock;
pub mod command;
pub mod disk;
pub mod http;
pub mod metrics;
pub mod nginx;
pub mod places;
pub mod process;
pub mod receiver;
pub mod rsyslog;
pub mod seed;
pub mod sidecar;
pub mod spin;
pub mod tirreno;
pub mod versions;
pub mod wait;

pub use command::{Output, sidewatch};
pub use disk::SmallDisk;
pub use metrics::Metrics;
pub use nginx::Nginx;
pub use receiver::Receiver;
pub use rsyslog::Rsyslog;
pub use sidecar::Sidecar;
pub use spin::Spin;
pub use tirreno::Tirreno;
pub use wait::until;
