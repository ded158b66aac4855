//! Arguments in, exit code out; everything else is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use sidewatch::cli::{Arguments, run};

fn main() -> ExitCode {
    run(Arguments::parse())
}
