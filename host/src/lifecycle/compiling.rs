//! Which program compiles rules in a process of its own: this one, when it is
//! the `sidewatch` program and not something the library was built into.

use std::path::PathBuf;
use std::sync::OnceLock;

use sidewatch_engine::CompileWorker;

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// This very program, even when another lies at its path by now.
const OURSELVES: &str = "/proc/self/exe";

/// Called once by the program, whose verb `compile-rule` is the child.
pub fn register() {
    let ourselves = PathBuf::from(OURSELVES);
    if ourselves.exists() {
        PROGRAM.get_or_init(|| ourselves);
    } else if let Ok(program) = std::env::current_exe() {
        PROGRAM.get_or_init(|| program);
    }
}

/// How to start the child; none in other programs, which compile themselves.
#[must_use]
pub fn worker() -> Option<CompileWorker> {
    let program = PROGRAM.get()?.clone();
    Some(CompileWorker::new(program, vec!["compile-rule".to_owned()]))
}
