//! Logging of the sidecar itself.
//!
//! Logs go to standard error, so that standard output stays free for events.
//! The level comes from `--log` or `SIDEWATCH_LOG`, in the usual filter syntax.
//!
//! Invariant: a record is one line, whatever an error in it looks like.

use std::io::{self, IsTerminal as _, Write};

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
        .with_writer(|| OneLine(io::stderr()))
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

/// Writes each record, which comes whole, as one line.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let body = record.strip_suffix(b"\n").unwrap_or(record);
        let several = body.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
        let written = if several {
            let text = String::from_utf8_lossy(body);
            let mut lines = text.lines().map(str::trim_end);
            let mut joined = lines.next().unwrap_or_default().to_owned();
            for line in lines.map(str::trim_start).filter(|line| !line.is_empty()) {
                joined.push_str(" | ");
                joined.push_str(line);
            }
            let mut joined = joined.replace('\r', " ");
            joined.push('\n');
            self.0.write_all(joined.as_bytes())
        } else {
            self.0.write_all(record)
        };
        written.map(|()| record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(record: &str) -> String {
        let mut out = Vec::new();
        OneLine(&mut out).write_all(record.as_bytes()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_record_of_several_lines_becomes_one() {
        assert_eq!(
            written("ERROR refused: at line 3\n  |\n\n3 | x = \r\n  | ^\n"),
            "ERROR refused: at line 3 | | | 3 | x = | | ^\n"
        );
        assert_eq!(written("a\rb\n"), "a b\n");
    }

    #[test]
    fn a_record_on_one_line_stays_as_it_is() {
        for record in ["INFO  started: é \t x\n", "no end", "\n", ""] {
            assert_eq!(written(record), record);
        }
    }
}
