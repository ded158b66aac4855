//! Sources as a user meets them: real sockets on loopback, real files.

mod file;
mod file_rotation;
mod lines;
mod mirror;
mod mirror_abuse;
mod nginx;
mod sensor;
mod settings;
mod support;
mod syslog;
mod tcp;
