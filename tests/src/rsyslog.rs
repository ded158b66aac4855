//! A real rsyslogd that writes what it received to files.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::process::{Process, free_address, system_command};
use crate::until;

/// A running rsyslogd; killed when dropped.
#[derive(Debug)]
pub struct Rsyslog {
    directory: PathBuf,
    process: Process,
    /// UDP input (`imudp`).
    pub udp: SocketAddr,
    /// TCP input (`imtcp`).
    pub tcp: SocketAddr,
    /// Plain TCP input (`imptcp`).
    pub plain_tcp: SocketAddr,
}

/// A message as rsyslogd understood it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `APP-NAME`.
    pub program: String,
    /// Facility by name.
    pub facility: String,
    /// Severity by name.
    pub severity: String,
    /// The text.
    pub text: String,
}

impl Rsyslog {
    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// rsyslogd is not installed or refuses the configuration.
    pub fn start(directory: &Path) -> Self {
        let directory = directory.join("rsyslog");
        std::fs::create_dir_all(&directory).unwrap();
        let (udp, tcp, plain_tcp) = (free_address(), free_address(), free_address());
        let at = directory.display();
        let inputs: String = [("imudp", udp), ("imtcp", tcp), ("imptcp", plain_tcp)]
            .map(|(module, address)| {
                let port = address.port();
                format!(
                    "module(load=\"{module}\")\n\
                     ruleset(name=\"{module}\") {{ action(type=\"omfile\" file=\"{at}/{module}.log\" template=\"received\") }}\n\
                     input(type=\"{module}\" address=\"127.0.0.1\" port=\"{port}\" ruleset=\"{module}\")\n"
                )
            })
            .concat();
        let configuration = format!(
            "global(workDirectory=\"{at}\")\n\
             template(name=\"received\" type=\"string\" \
             string=\"%app-name% %syslogfacility-text% %syslogseverity-text% %msg%\\n\")\n{inputs}"
        );
        let file = directory.join("rsyslog.conf");
        std::fs::write(&file, configuration).unwrap();
        let errors = std::fs::File::create(directory.join("stderr")).unwrap();
        let mut command = system_command("rsyslogd");
        command
            .arg("-n")
            .arg("-f")
            .arg(&file)
            .arg("-i")
            .arg(directory.join("pid"));
        let process = Process::start(
            "rsyslogd",
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(errors),
        );
        for address in [tcp, plain_tcp] {
            until("rsyslogd", || TcpStream::connect(address).ok());
        }
        Self {
            directory,
            process,
            udp,
            tcp,
            plain_tcp,
        }
    }

    /// Messages that came in over a module: `imudp`, `imtcp` or `imptcp`.
    pub fn messages(&self, module: &str) -> Vec<Message> {
        let text = std::fs::read_to_string(self.directory.join(format!("{module}.log")))
            .unwrap_or_default();
        // The last line may be half written.
        let whole = text
            .rfind('\n')
            .and_then(|end| text.get(..end))
            .unwrap_or_default();
        whole.lines().filter_map(message).collect()
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }
}

fn message(line: &str) -> Option<Message> {
    let mut parts = line.splitn(4, ' ').map(str::to_owned);
    Some(Message {
        program: parts.next()?,
        facility: parts.next()?,
        severity: parts.next()?,
        text: parts.next()?,
    })
}
