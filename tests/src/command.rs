//! The `sidewatch` program as a command that ends by itself.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::seed::seed;
use crate::wait::PATIENCE;

/// Cargo's output directory of this test run, such as `target/debug`.
///
/// # Panics
/// The test program lies elsewhere.
pub fn profile_directory() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let deps = program.parent().unwrap();
    deps.parent()
        .expect("cargo keeps test programs in target/<profile>/deps")
        .to_owned()
}

/// The program under test: what was built with the tests, or the one
/// `SIDEWATCH_PROGRAM` names, so that the long forms can take the release build.
///
/// # Panics
/// It was not built.
pub fn program() -> PathBuf {
    let path = std::env::var_os("SIDEWATCH_PROGRAM")
        .map_or_else(|| profile_directory().join("sidewatch"), PathBuf::from);
    assert!(
        path.is_file(),
        "{} is missing; run `make test`, which builds it first",
        path.display()
    );
    path
}

/// The directory with the rule components.
///
/// # Panics
/// They were not built.
pub fn rules() -> PathBuf {
    let beside = || profile_directory().parent().unwrap().join("rules");
    let path = std::env::var_os("SIDEWATCH_RULES").map_or_else(beside, PathBuf::from);
    assert!(
        path.join("event-mapping.wasm").is_file(),
        "no rules in {}; run `make test`, which builds them first, or set SIDEWATCH_RULES",
        path.display()
    );
    path
}

/// A component of `tests/fixtures`.
///
/// # Panics
/// It was not built.
pub fn fixture(name: &str) -> PathBuf {
    let path = rules()
        .with_file_name("rules-fixtures")
        .join(format!("{name}.wasm"));
    assert!(
        path.is_file(),
        "{} is missing; run `make test`, which builds it first",
        path.display()
    );
    path
}

/// The repository's root.
///
/// # Panics
/// The crate lies elsewhere.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The program with what it needs from its surroundings.
pub(crate) fn bare_command() -> Command {
    let mut command = Command::new(program());
    command
        .env("SIDEWATCH_RULES", rules())
        .env_remove("SIDEWATCH_LOG")
        .stdin(Stdio::null());
    command
}

/// The program with data in `directory/data`.
pub fn command(directory: &Path) -> Command {
    let data = directory.join("data");
    seed(&data);
    let mut command = bare_command();
    command.current_dir(directory).env("SIDEWATCH_DATA", data);
    command
}

/// The same command as arguments of another program.
pub(crate) fn wrapped(command: Command, wrapper: &[String]) -> Command {
    let Some((program, arguments)) = wrapper.split_first() else {
        return command;
    };
    let mut outer = Command::new(program);
    outer.args(arguments).arg(command.get_program());
    outer.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        outer.current_dir(directory);
    }
    outer.stdin(Stdio::null());
    outer
}

/// What a command that ended left behind.
#[derive(Debug)]
pub struct Output {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs the program with arguments and standard input, keeping its data in
/// `directory`, and waits for its end.
///
/// # Panics
/// It does not end in time.
pub fn sidewatch(directory: &Path, arguments: &[&str], input: &[u8]) -> Output {
    run(command(directory).args(arguments), input)
}

/// Runs any command to its end.
///
/// # Panics
/// It does not end in time.
pub fn run(command: &mut Command, input: &[u8]) -> Output {
    run_within(command, input, PATIENCE)
}

/// Runs any command to its end, with a limit of its own.
///
/// # Panics
/// It does not end in time.
pub fn run_within(command: &mut Command, input: &[u8], limit: Duration) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A program that ends before it has read everything is no failure here.
    std::thread::spawn(move || drop(stdin.write_all(&input)));
    let id = child.id();
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(ended) = receiver.recv_timeout(limit) else {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(id).unwrap());
        let killed = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        panic!("{command:?} did not end within {limit:?}; killing it: {killed:?}");
    };
    let ended = ended.unwrap();
    Output {
        code: ended.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&ended.stdout).into_owned(),
        err: String::from_utf8_lossy(&ended.stderr).into_owned(),
    }
}
