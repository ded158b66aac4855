//! Does nginx know where the mirror is, and may it connect?
//!
//! nginx is asked itself (`nginx -T` prints the whole configuration in force).
//! Where it runs elsewhere, or may not be asked, only that is said.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Gid, Group, User};
use sidewatch_sources::SourceSettings;

use super::Findings;
use crate::config::ConfigFile;

/// Most bytes of configuration looked at.
const LARGEST: u64 = 16 << 20;
/// Whom workers run as unless the configuration says otherwise: it depends on
/// how nginx was built.
const USUAL_USERS: [&str; 3] = ["www-data", "nginx", "nobody"];

/// Looks whether nginx' configuration names the mirrors, and whether its
/// workers may write to their sockets.
pub(super) fn check(findings: &mut Findings, config: &ConfigFile) {
    let mirrors = config.sources.iter().filter_map(|source| {
        let SourceSettings::Mirror(settings) = &source.settings else {
            return None;
        };
        Some((source.id.as_str(), settings))
    });
    let mirrors: Vec<_> = mirrors.collect();
    if mirrors.is_empty() {
        return;
    }
    let dump = match configuration() {
        Ok(dump) => dump,
        Err(reason) => {
            findings.warn("nginx", &reason);
            return;
        }
    };
    for (id, settings) in mirrors {
        if let Some(path) = &settings.socket {
            named(findings, &dump, id, &format!("unix:{}", path.display()));
            may_connect(findings, &dump, path);
        }
        if let Some(address) = settings.listen {
            named(findings, &dump, id, &address.to_string());
        }
    }
}

fn named(findings: &mut Findings, dump: &str, id: &str, target: &str) {
    let mut lines = dump
        .lines()
        .map(|line| line.split('#').next().unwrap_or(line));
    if lines.any(|line| line.contains(target)) {
        findings.ok("nginx", &format!("its configuration names {target}"));
    } else {
        findings.warn(
            "nginx",
            &format!("its configuration does not name {target}: nothing will come to source {id}; include deploy/nginx/sidewatch-upstream.conf with this address"),
        );
    }
}

/// The configuration in force, as nginx prints it.
fn configuration() -> Result<String, String> {
    // Many users' search paths lack the directories of system programs.
    let mut child = ["nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"]
        .into_iter()
        .find_map(|program| {
            Command::new(program)
                .args(["-T", "-q"])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .ok()
        })
        .ok_or("is not installed here; its side was not checked")?;
    let mut dump = Vec::new();
    let read = child
        .stdout
        .take()
        .map(|out| out.take(LARGEST).read_to_end(&mut dump));
    let ended = child.wait();
    match (read, ended) {
        (Some(Ok(_)), Ok(status)) if status.success() => {
            Ok(String::from_utf8_lossy(&dump).into_owned())
        }
        _ => Err("`nginx -T` fails; run this as root, and see what `nginx -t` says".to_owned()),
    }
}

/// Whether the workers may write to the socket: without that nginx uses the
/// backup for every request, and says so only in its error log.
fn may_connect(findings: &mut Findings, dump: &str, socket: &Path) {
    let Some(user) = worker(dump) else {
        findings.warn("nginx", "it is not known which user its workers run as");
        return;
    };
    let Ok(metadata) = std::fs::metadata(socket) else {
        // Said where the mirror itself is looked at.
        return;
    };
    let mode = metadata.mode();
    let in_group = Group::from_gid(Gid::from_raw(metadata.gid()))
        .ok()
        .flatten()
        .is_some_and(|group| user.gid == group.gid || group.mem.contains(&user.name));
    let may = user.uid.is_root()
        || (user.uid.as_raw() == metadata.uid() && mode & 0o200 != 0)
        || (in_group && mode & 0o020 != 0)
        || mode & 0o002 != 0;
    let (name, path) = (&user.name, socket.display());
    if may {
        findings.ok("nginx", &format!("its user {name} may write to {path}"));
    } else {
        findings.fail(
            "nginx",
            &format!("its user {name} may not write to {path} (mode {:o}): add it to the group that owns it", mode & 0o777),
        );
    }
}

fn worker(dump: &str) -> Option<User> {
    let configured = dump.lines().find_map(|line| {
        let rest = line.trim_start().strip_prefix("user ")?;
        rest.split([' ', ';']).find(|word| !word.is_empty())
    });
    // Workers keep the user of a master that is not root.
    let usual = || USUAL_USERS.into_iter();
    configured
        .into_iter()
        .chain(usual())
        .find_map(|name| User::from_name(name).ok().flatten())
}
