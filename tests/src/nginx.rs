//! A real nginx with the files of `deploy/nginx` as they are, addresses aside.
//!
//! The application behind it is a second server of the same nginx: `/login`
//! paths answer what the header `X-Outcome` asks for, everything else 200.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::repository;
use crate::http::Client;
use crate::process::{Process, free_address, system_command};
use crate::until;

/// An nginx being put together.
#[derive(Debug)]
pub struct Builder {
    directory: PathBuf,
    mirror: String,
    log: String,
    log_format: String,
    application: String,
    mirrored: bool,
    bodies: bool,
}

/// What the application does unless a test says otherwise.
const APPLICATION: &str = "location / { return 200 fine; }
    location ~ /login$ { if ($http_x_outcome = refused) { return 401 refused; } return 200 welcome; }";

impl Builder {
    /// Lets the application have these locations instead.
    #[must_use]
    pub fn application(mut self, locations: &str) -> Self {
        locations.clone_into(&mut self.application);
        self
    }

    /// Mirrors bodies, too.
    #[must_use]
    pub fn with_bodies(mut self) -> Self {
        self.bodies = true;
        self
    }

    /// Writes the access log to a file in this format.
    #[must_use]
    pub fn log_to(mut self, path: &Path, format: &str) -> Self {
        self.log_format = format!("log_format tested '{format}';");
        self.log = format!("access_log {} tested;", path.display());
        self
    }

    /// Writes the access log to a file in our own format.
    #[must_use]
    pub fn log_file(mut self, path: &Path) -> Self {
        self.log = format!("access_log {} sidewatch;", path.display());
        self
    }

    /// Mirrors to a unix socket or, with a token, to an address.
    #[must_use]
    pub fn mirror_to(mut self, target: &str) -> Self {
        target.clone_into(&mut self.mirror);
        self
    }

    /// Leaves the mirror out.
    #[must_use]
    pub fn without_mirror(mut self) -> Self {
        self.mirrored = false;
        self
    }

    /// Sends the access log there by syslog.
    #[must_use]
    pub fn syslog_to(mut self, address: SocketAddr) -> Self {
        self.log = format!("access_log syslog:server={address},tag=nginx sidewatch;");
        self
    }

    fn snippet(&self, name: &str, replace: &[(&str, &str)]) {
        let path = repository().join("deploy/nginx").join(name);
        let mut text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for (ours, theirs) in replace {
            assert!(text.contains(ours), "{name} does not hold {ours}");
            text = text.replace(ours, theirs);
        }
        std::fs::write(self.directory.join(name), text).unwrap();
    }

    fn configuration(&self, front: SocketAddr, application: SocketAddr) -> String {
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {kind};\n"))
            .concat();
        let (mirror, form) = if self.mirrored {
            (
                if self.bodies {
                    "mirror /sidewatch-mirror;"
                } else {
                    "mirror /sidewatch-mirror; mirror_request_body off;"
                },
                "mirror /tirreno-mirror; mirror_request_body off;",
            )
        } else {
            ("", "")
        };
        let Self {
            log,
            log_format,
            application: locations,
            ..
        } = self;
        format!(
            "daemon off; master_process off; worker_processes 1; pid nginx.pid; error_log error.log;
             events {{ worker_connections 512; }}
             http {{
               {temporary}
               access_log off; keepalive_requests 100000;
               include sidewatch-upstream.conf;
               include sidewatch-log-format.conf;
               {log_format}
               upstream application {{ server {application}; keepalive 8; }}
               server {{
                 listen {application}; keepalive_requests 100000;
                 {locations}
               }}
               server {{
                 listen {front};
                 include sidewatch-mirror.conf;
                 include tirreno-tutorial.conf;
                 {log}
                 proxy_http_version 1.1;
                 proxy_set_header Connection \"\";
                 location / {{ {mirror} proxy_pass http://application; }}
                 location /tutorial/ {{ {form} proxy_pass http://application; }}
               }}
             }}"
        )
    }

    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// nginx is not installed or refuses the configuration.
    pub fn start(self) -> Nginx {
        let (front, application, backup) =
            (free_address(), free_address(), free_address().to_string());
        std::fs::create_dir_all(&self.directory).unwrap();
        let upstream = [
            ("unix:/run/sidewatch/mirror.sock", self.mirror.as_str()),
            ("127.0.0.1:8786", &backup),
        ];
        self.snippet("sidewatch-upstream.conf", &upstream);
        let without_body = [
            ("    proxy_pass_request_body off;\n", ""),
            ("    proxy_set_header Content-Length \"\";\n", ""),
        ];
        let replaced = without_body.get(..if self.bodies { 2 } else { 0 });
        self.snippet("sidewatch-mirror.conf", replaced.unwrap_or_default());
        self.snippet("sidewatch-log-format.conf", &[]);
        self.snippet("tirreno-tutorial.conf", &[(&"0".repeat(32), SENSOR_KEY)]);
        std::fs::write(
            self.directory.join("nginx.conf"),
            self.configuration(front, application),
        )
        .unwrap();
        let tested = command(&self.directory)
            .arg("-t")
            .output()
            .expect("nginx; `make test` installs it");
        assert!(
            tested.status.success(),
            "{}",
            String::from_utf8_lossy(&tested.stderr)
        );
        let process = Process::start(
            "nginx",
            command(&self.directory)
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        until("nginx", || TcpStream::connect(front).ok());
        Nginx {
            directory: self.directory,
            front,
            process,
        }
    }
}

/// The key nginx sends with forms.
pub const SENSOR_KEY: &str = "00112233445566778899aabbccddeeff";

fn command(directory: &Path) -> Command {
    let mut command = system_command("nginx");
    command
        .arg("-p")
        .arg(directory)
        .args(["-e", "error.log", "-c", "nginx.conf"])
        .stdin(Stdio::null());
    command
}

/// A running nginx; killed when dropped.
#[derive(Debug)]
pub struct Nginx {
    directory: PathBuf,
    front: SocketAddr,
    process: Process,
}

impl Nginx {
    /// An nginx that keeps everything in this directory and mirrors to a
    /// socket nobody has made yet.
    pub fn in_directory(directory: &Path) -> Builder {
        Builder {
            directory: directory.join("nginx"),
            mirror: format!("unix:{}", directory.join("mirror.sock").display()),
            log: String::new(),
            log_format: String::new(),
            application: APPLICATION.to_owned(),
            mirrored: true,
            bodies: false,
        }
    }

    /// A kept-alive connection to it.
    pub fn client(&self) -> Client {
        Client::connect(self.front)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.front
    }

    /// What it complained about so far.
    pub fn errors(&self) -> String {
        std::fs::read_to_string(self.directory.join("error.log")).unwrap_or_default()
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }
}
