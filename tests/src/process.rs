//! Child processes that end with their test, and ports for those that cannot
//! choose one themselves.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU16, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::until;

/// A child process, killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts it.
    ///
    /// # Panics
    /// It cannot be started; `make test` installs what the tests need.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("cannot start {name}: {error}; `make test` installs what the tests need")
        });
        Self {
            child,
            name: name.to_owned(),
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// It is gone.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, signal).unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.name));
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It does not end in time.
    pub fn wait(&mut self) -> ExitStatus {
        let Self { child, name } = self;
        until(&format!("the end of {name}"), || child.try_wait().unwrap())
    }

    /// Bytes of memory it holds at present.
    ///
    /// # Panics
    /// It is gone.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().unwrap();
        kilobytes * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL ends a stopped process too.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A loopback address nobody uses, for TCP and UDP. Taken below the range
/// the kernel gives to outgoing connections, so that nobody gets it meanwhile.
///
/// # Panics
/// There is none.
pub fn free_address() -> SocketAddr {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    // Tests run in processes of their own; the factor keeps neighbours apart.
    let start = std::process::id().wrapping_mul(53);
    (0..COUNT)
        .find_map(|_| {
            let next = u32::from(TAKEN.fetch_add(1, Ordering::Relaxed));
            let port = u16::try_from(FIRST + start.wrapping_add(next) % COUNT).ok()?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let free = TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok();
            free.then_some(address)
        })
        .expect("a free port")
}

/// A program by name, also where only root's search path has it.
pub fn system_command(program: &str) -> Command {
    let directories = [
        "/usr/sbin",
        "/usr/local/sbin",
        "/usr/bin",
        "/usr/local/bin",
        "/sbin",
    ];
    let path = directories
        .iter()
        .map(|directory| Path::new(directory).join(program))
        .find(|path| path.is_file());
    Command::new(path.unwrap_or_else(|| program.into()))
}
