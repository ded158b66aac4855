//! The sidecar: takes mirrored requests and log lines, runs rules on them and
//! delivers enriched events and findings.
//!
//! Map: `config` (file as typed → validated settings), `pipeline` (sources →
//! join → enrich → rules → sinks; the only part that spawns), `admin` (health
//! and metrics), `lifecycle` (changing rules while traffic flows), `cli` (one file per verb), `vectors` (a rule's tests through its
//! component), `demo` (an invented site to try it all on).

pub mod admin;
pub mod cli;
pub mod config;
pub mod demo;
pub mod lifecycle;
pub mod pipeline;
pub mod telemetry;
pub mod vectors;
