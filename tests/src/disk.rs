//! A disk of its own for a test, small enough to be filled.

use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// A small disk in memory, seen by this thread and what it starts; nobody else
/// sees it, and it is gone with them.
#[derive(Debug)]
pub struct SmallDisk {
    place: std::path::PathBuf,
}

impl SmallDisk {
    /// Mounts one at a directory, which is made. None where this is not
    /// allowed, which is said loudly.
    ///
    /// # Panics
    /// The directory cannot be made.
    pub fn mount(place: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(place).unwrap();
        let nothing = None::<&str>;
        let private = || {
            unshare(CloneFlags::CLONE_NEWNS)?;
            mount(
                nothing,
                "/",
                nothing,
                MsFlags::MS_REC | MsFlags::MS_PRIVATE,
                nothing,
            )?;
            let options = format!("size={size},mode=0700");
            mount(
                Some("tmpfs"),
                place,
                Some("tmpfs"),
                MsFlags::empty(),
                Some(options.as_str()),
            )
        };
        if let Err(error) = private() {
            eprintln!(
                "NOTICE: this user may not mount ({error}); full disks were NOT tested: run as root"
            );
            return None;
        }
        Some(Self {
            place: place.to_owned(),
        })
    }
}

impl SmallDisk {
    /// Makes it larger while it is in use.
    ///
    /// # Panics
    /// The system refuses.
    pub fn grow(&self, size: &str) {
        let options = format!("size={size}");
        let nothing = None::<&str>;
        let options = Some(options.as_str());
        mount(nothing, &self.place, nothing, MsFlags::MS_REMOUNT, options).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What still uses it keeps it until its own end.
        umount2(&self.place, MntFlags::MNT_DETACH).ok();
    }
}
