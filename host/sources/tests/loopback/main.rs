//! Sources as a user meets them: real sockets on loopback, real files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    clippy::needless_pass_by_value,
    reason = "tests may fail loudly"
)]

mod file;
mod file_backlog;
mod file_content;
mod file_late;
mod file_names;
mod file_patterns;
mod file_rotation;
mod file_stress;
mod file_trouble;
mod file_unseen;
mod lines;
mod mirror;
mod mirror_abuse;
mod nginx;
mod sensor;
mod settings;
mod support;
mod syslog;
mod tcp;
mod tls;
