//! The edge application as `sidewatch edge build` writes it, served by a
//! stand-in for Spin, beside the sidecar's own engine.

mod application;
mod bounds;
mod contention;
mod equality;
mod harness;
mod sidecar;
mod signatures;
