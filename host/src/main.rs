//! Arguments in, exit code out; everything else is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;
use sidewatch::cli::{Arguments, run};

// Events are made by one thread and freed by another all the time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    run(Arguments::parse())
}
