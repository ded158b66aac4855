//! Logging of the sidecar itself.
//!
//! Logs go to standard error, so that standard output stays free for events.
//! The level comes from `--log` or `SIDEWATCH_LOG`, in the usual filter syntax.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Sets up logging once; a second call changes nothing.
///
/// # Errors
/// The filter is none.
pub fn start(filter: Option<&str>, json: bool) -> Result<(), String> {
    let from_environment = std::env::var("SIDEWATCH_LOG").ok();
    let directives = filter
        .map(str::to_owned)
        .or(from_environment)
        .unwrap_or_else(|| "info".to_owned());
    let filter = EnvFilter::try_new(&directives).map_err(|error| {
        format!(
            "log filter `{directives}`: {error}; write `debug`, or levels by part: `sidewatch_sinks=debug,info`"
        )
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = if json {
        builder.json().try_init()
    } else {
        builder.with_target(false).try_init()
    };
    if started.is_err() {
        tracing::debug!("logging was already set up");
    }
    Ok(())
}
