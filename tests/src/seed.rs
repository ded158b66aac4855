//! Data directories that hold the compiled rules already, because compiling
//! them anew for every test would take most of the time.
//!
//! Only the compiled rules and the key that authenticates them are copied; the
//! program compiles whatever it does not trust or find.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::command::{bare_command, profile_directory, program, rules, run};

/// Makes `directory` a data directory with compiled rules.
///
/// # Panics
/// It cannot be written.
pub fn seed(directory: &Path) {
    let compiled = directory.join("compiled");
    if directory.exists() {
        return;
    }
    std::fs::create_dir_all(&compiled).unwrap();
    // As the program makes it itself.
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(directory, private).unwrap();
    for entry in std::fs::read_dir(made().join("compiled"))
        .unwrap()
        .flatten()
    {
        std::fs::copy(entry.path(), compiled.join(entry.file_name())).unwrap();
    }
}

/// The directory all others are copied from; made by whichever test is first.
fn made() -> PathBuf {
    let home = profile_directory()
        .parent()
        .unwrap()
        .join("compiled-for-tests");
    let path = home.join(newest().to_string());
    if path.is_dir() {
        return path;
    }
    std::fs::create_dir_all(&home).unwrap();
    let draft = tempfile::tempdir_in(&home).unwrap();
    let inspected = run(
        bare_command()
            .args(["replay", "--quiet", "-"])
            .env("SIDEWATCH_DATA", draft.path()),
        b"",
    );
    assert_eq!(inspected.code, 0, "{}", inspected.err);
    let draft = draft.keep();
    if std::fs::rename(&draft, &path).is_err() {
        // Another test was first; its directory is as good.
        std::fs::remove_dir_all(&draft).unwrap();
    }
    path
}

/// When program or rules last changed, in milliseconds.
fn newest() -> u128 {
    let changed = |path: &Path| {
        path.metadata()
            .and_then(|data| data.modified())
            .unwrap_or(UNIX_EPOCH)
    };
    let rules = std::fs::read_dir(rules())
        .unwrap()
        .flatten()
        .map(|entry| changed(&entry.path()));
    let newest = rules
        .chain([changed(&program())])
        .max()
        .unwrap_or_else(SystemTime::now);
    newest.duration_since(UNIX_EPOCH).unwrap().as_millis()
}
