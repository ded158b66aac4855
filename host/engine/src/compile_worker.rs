//! Compiling in a process of its own, with little memory and time.
//!
//! A component that makes the compiler loop or swallow memory is not a fault
//! the runtime protects from. So a sidecar hands components it has not seen to
//! a child of itself ([`work`]), which limits itself before it reads a byte,
//! knows nothing but the component and has nothing to write to but a pipe.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use nix::sys::resource::{Resource, setrlimit};
use wasmtime::{Config, Engine as Wasmtime};

/// However busy the machine is: this long and no longer. Processor time is
/// limited by itself; this is for a child that sleeps.
const PATIENCE: Duration = Duration::from_secs(600);
/// Largest result accepted, in bytes.
const LARGEST: u64 = 64 << 20;
/// Exit code of a child that says the bytes are no component.
const MALFORMED: i32 = 3;

/// How to start the child.
#[derive(Debug, Clone)]
pub struct CompileWorker {
    /// The program, which calls [`work`] when started so.
    pub program: PathBuf,
    /// Its arguments, before the two limits.
    pub arguments: Vec<String>,
    /// Address space of the child, in bytes.
    pub memory_bytes: u64,
    /// Processor time of the child, in seconds.
    pub seconds: u64,
}

impl CompileWorker {
    /// A child with the usual limits.
    #[must_use]
    pub fn new(program: PathBuf, arguments: Vec<String>) -> Self {
        Self {
            program,
            arguments,
            memory_bytes: 1 << 30,
            seconds: 30,
        }
    }
}

/// Why nothing was compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The bytes are no component.
    #[error("{0}")]
    Malformed(String),
    /// Compiling took more than it may.
    #[error("compiling it takes more than {mebibytes} MiB of memory or {seconds} s ({ended})")]
    Limit {
        /// How much it was given.
        mebibytes: u64,
        /// How long.
        seconds: u64,
        /// How the child ended.
        ended: String,
    },
    /// The child cannot be started or spoken to.
    #[error("cannot compile in a process of its own: {0}")]
    Process(#[from] std::io::Error),
}

impl CompileWorker {
    /// Compiles a component in a child.
    ///
    /// # Errors
    /// The component is malformed or takes too much.
    pub(crate) fn compile(&self, component: &[u8]) -> Result<Vec<u8>, CompileError> {
        let mut child = self.start()?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let (sender, receiver) = sync_channel(1);
        std::thread::Builder::new()
            .name("compile-reader".to_owned())
            .spawn(move || {
                let mut bytes = Vec::new();
                let read = stdout.map(|out| out.take(LARGEST + 1).read_to_end(&mut bytes));
                drop(sender.send(read.transpose().map(|_| bytes)));
            })?;
        // The child reads everything before it writes anything.
        let written = stdin.map(|mut input| input.write_all(component));
        let Ok(read) = receiver.recv_timeout(PATIENCE) else {
            child.kill()?;
            child.wait()?;
            return Err(self.limit(format!("no end after {PATIENCE:?}")));
        };
        let status = child.wait()?;
        let bytes = read?;
        match status.code() {
            Some(0) if bytes.len() as u64 <= LARGEST => {
                written.transpose()?;
                Ok(bytes)
            }
            Some(0) => Err(self.limit("the machine code is too large".to_owned())),
            Some(MALFORMED) => Err(CompileError::Malformed(
                String::from_utf8_lossy(&bytes).into_owned(),
            )),
            _ => Err(self.limit(status.to_string())),
        }
    }

    fn limit(&self, ended: String) -> CompileError {
        CompileError::Limit {
            mebibytes: self.memory_bytes >> 20,
            seconds: self.seconds,
            ended,
        }
    }

    /// At the usual priority: with the least one, a busy machine would never
    /// come to the end of it.
    fn start(&self) -> std::io::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .args([self.memory_bytes, self.seconds].map(|most| most.to_string()))
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
    }
}

/// How every engine compiles; child and parent must agree.
pub(crate) fn configuration(count_instructions: bool) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.consume_fuel(count_instructions);
    // Rules compute and return; nothing of theirs is ever waited for.
    config.concurrency_support(false);
    config
}

/// The child, with its limits: a component on standard input, machine code on standard output.
/// Returns the exit code.
#[must_use]
pub fn work(memory_bytes: u64, seconds: u64) -> u8 {
    match limited(memory_bytes, seconds) {
        Ok(Ok(())) => 0,
        Ok(Err(message)) => {
            drop(std::io::stdout().write_all(message.as_bytes()));
            u8::try_from(MALFORMED).unwrap_or(1)
        }
        Err(_) => 1,
    }
}

fn limited(memory_bytes: u64, seconds: u64) -> std::io::Result<Result<(), String>> {
    for (resource, most) in [
        (Resource::RLIMIT_AS, memory_bytes),
        (Resource::RLIMIT_CPU, seconds),
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_CORE, 0),
    ] {
        setrlimit(resource, most, most)?;
    }
    let mut component = Vec::new();
    std::io::stdin().take(LARGEST).read_to_end(&mut component)?;
    let mut config = configuration(false);
    // Threads would each want address space.
    config.parallel_compilation(false);
    let compiled =
        Wasmtime::new(&config).and_then(|engine| engine.precompile_component(&component));
    match compiled {
        Ok(artifact) => std::io::stdout().write_all(&artifact).map(Ok),
        Err(error) => Ok(Err(format!("{error:#}"))),
    }
}
