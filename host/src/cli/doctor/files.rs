//! May the sidecar use its data directory, and read the logs it is to follow?
//!
//! The question is about the user the sidecar runs as: whoever owns the data
//! directory. Where somebody else asks, modes and groups answer, which know
//! nothing of access lists.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User, geteuid};
use sidewatch_sources::SourceSettings;
use sidewatch_sources::file::try_open;

use super::Findings;
use crate::config::ConfigFile;
use crate::config::paths::followed_twice;

pub(super) fn permissions(findings: &mut Findings, config: &ConfigFile) {
    let directory = config.directory();
    let Ok(metadata) = std::fs::metadata(directory) else {
        let path = directory.display();
        return findings.ok(
            "permissions",
            &format!("not run yet: {path} is made by the first start"),
        );
    };
    let open = metadata.mode() & 0o077;
    if open != 0 {
        findings.fail(
            "permissions",
            &format!(
                "{} can be entered by others (mode {:o}); run: chmod 700 {}",
                directory.display(),
                metadata.mode() & 0o777,
                directory.display()
            ),
        );
        return;
    }
    let probe = directory.join(".doctor");
    let written = std::fs::write(&probe, b"probe").and_then(|()| std::fs::remove_file(&probe));
    findings.judge(
        "permissions",
        written
            .map(|()| format!("{} is ours alone and writable", directory.display()))
            .map_err(|error| format!("{} cannot be written: {error}", directory.display())),
    );
}

/// Whether the logs of file sources can be read.
pub(super) fn logs(findings: &mut Findings, config: &ConfigFile) {
    let own = geteuid();
    let owner = std::fs::metadata(config.directory()).map(|found| Uid::from_raw(found.uid()));
    let reader = owner.unwrap_or(own);
    let known = User::from_uid(reader).ok().flatten();
    let user = known.as_ref().map_or_else(
        || format!("user {reader}"),
        |user| format!("user {}", user.name),
    );
    for source in &config.sources {
        let SourceSettings::File(settings) = &source.settings else {
            continue;
        };
        let what = format!("log {}", source.id);
        let (names, idle) = match settings.present() {
            Ok(present) => present,
            Err(error) => {
                findings.fail(&what, &error.to_string());
                continue;
            }
        };
        for pattern in idle {
            findings.warn(
                &what,
                &format!("{pattern} matches no file; new names are looked for every few seconds"),
            );
        }
        for path in &names {
            let opened = try_open(path);
            let shown = path.display();
            match opened {
                Err(error) if error.kind() == ErrorKind::NotFound => missing(findings, &what, path),
                // No regular file: the message has its own hint.
                Err(error) if error.kind() == ErrorKind::InvalidInput => {
                    findings.fail(&what, &format!("{shown}: {error}"));
                }
                Err(error) if reader == own => {
                    findings.fail(&what, &format!("{shown} cannot be read by {user}: {error}; {}", hint(path, &user)));
                }
                Err(error) => findings.warn(&what, &format!("{shown} cannot be read by user {own}, who asks: {error}; whether {user} may, whom the sidecar runs as, is not known")),
                Ok(()) if reader == own || known.as_ref().is_none_or(|user| may_read(path, user)) => {
                    findings.ok(&what, &format!("{shown} can be read by {user}"));
                }
                Ok(()) => findings.warn(&what, &format!("{shown} cannot be read by {user}, whom the sidecar runs as, unless an access list lets it; {}", hint(path, &user))),
            }
        }
    }
    for twice in followed_twice(config) {
        findings.warn("logs", &twice);
    }
}

/// A log may come later; its directory hardly does.
fn missing(findings: &mut Findings, what: &str, path: &Path) {
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
    let shown = path.display();
    match directory.filter(|directory| !directory.is_dir()) {
        Some(directory) => findings.fail(what, &format!("{shown} can never be read: there is no directory {}; is it written correctly, and mounted?", directory.display())),
        None => findings.warn(what, &format!("{shown} does not exist; it is read from its beginning when it comes")),
    }
}

/// What lets a user read a file: being in the group that may.
fn hint(path: &Path, user: &str) -> String {
    let group = std::fs::metadata(path)
        .ok()
        .filter(|found| found.mode() & 0o040 != 0)
        .and_then(|found| Group::from_gid(Gid::from_raw(found.gid())).ok().flatten())
        .filter(|group| group.name != "root");
    let name = user.trim_start_matches("user ");
    match group {
        Some(group) => format!(
            "add it to the group of the file: usermod -aG {} {name}",
            group.name
        ),
        None => format!("let it: setfacl -m u:{name}:r {}", path.display()),
    }
}

/// Whether modes let a user read a file and enter the directories it is in.
fn may_read(path: &Path, user: &User) -> bool {
    let Ok(path) = path.canonicalize() else {
        return false;
    };
    let allows = |path: &Path, bit: u32| {
        std::fs::metadata(path).is_ok_and(|found| allows(&found, user, bit))
    };
    user.uid.is_root()
        || (allows(&path, 4)
            && path
                .ancestors()
                .skip(1)
                .all(|directory| allows(directory, 1)))
}

fn allows(found: &Metadata, user: &User, bit: u32) -> bool {
    let in_group = || {
        let group = Group::from_gid(Gid::from_raw(found.gid())).ok().flatten();
        user.gid.as_raw() == found.gid()
            || group.is_some_and(|group| group.mem.contains(&user.name))
    };
    let shift = if found.uid() == user.uid.as_raw() {
        6
    } else if in_group() {
        3
    } else {
        0
    };
    found.mode() >> shift & bit != 0
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, chown};

    use super::*;

    #[test]
    fn modes_of_a_file_and_its_directories_say_who_may_read_it() {
        let place = tempfile::tempdir().unwrap();
        let own = User::from_uid(geteuid()).ok().flatten();
        let Some(own) = own else { return };
        // Somebody in no group of ours.
        let other = User {
            name: "nobody-at-all".to_owned(),
            uid: Uid::from_raw(54_321),
            gid: Gid::from_raw(54_321),
            ..own.clone()
        };
        let log = place.path().join("access.log");
        std::fs::write(&log, "").unwrap();
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        };
        mode(place.path(), 0o755);
        mode(&log, 0o640);
        assert!(may_read(&log, &own));
        assert!(!may_read(&log, &other));
        mode(&log, 0o644);
        assert!(may_read(&log, &other));
        mode(place.path(), 0o700);
        assert!(!may_read(&log, &other), "its directory cannot be entered");
        if geteuid().is_root() {
            mode(place.path(), 0o755);
            mode(&log, 0o640);
            chown(&log, None, Some(54_321)).unwrap();
            assert!(may_read(&log, &other), "by its group");
        }
        assert!(!may_read(&place.path().join("absent"), &own));
    }
}
