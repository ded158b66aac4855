//! The thread of a file source: looks at all its names, round after round.
//!
//! Invariant: shutdown is looked at before every name and between any two
//! pieces of work that take long, so the thread ends at once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::fingerprint::{self, Inode};
use super::follow::{Follower, Progress, Standing};
use super::health::FileReport;
use super::paths::{Matches, Paths};
use super::{FileSettings, LineSink, Start};

/// Longest sleep between two looks for shutdown.
const SLICE: Duration = Duration::from_millis(50);

/// Time between two notes that the files we hold are still followed.
const TOUCH: Duration = Duration::from_secs(60);

/// Follows all paths until shutdown, or until nothing more can come.
pub(super) fn watch(paths: Paths, settings: &FileSettings, sink: &LineSink) {
    let mut watch = Watch::new(paths, settings, sink);
    while !sink.shutdown.is_triggered() && !watch.is_over() {
        let Some(moved) = watch.round() else {
            return;
        };
        if !moved {
            sleep(Duration::from_millis(settings.poll_interval_ms), sink);
        }
    }
}

struct Watch<'a> {
    paths: Paths,
    settings: &'a FileSettings,
    sink: &'a LineSink,
    followers: Vec<Follower>,
    /// Packed files that were read, by the names they had.
    done: HashMap<PathBuf, Inode>,
    /// What patterns could not be looked at, and why.
    unreadable: Vec<(PathBuf, String)>,
    report: FileReport,
    last_touch: Instant,
    /// When patterns were last looked at.
    looked: Option<SystemTime>,
    /// It was said that descriptors have run out.
    complained: bool,
}

impl<'a> Watch<'a> {
    fn new(paths: Paths, settings: &'a FileSettings, sink: &'a LineSink) -> Self {
        let names: Vec<_> = paths.names().map(Path::to_owned).collect();
        let mut watch = Self {
            settings,
            sink,
            followers: Vec::new(),
            done: HashMap::new(),
            unreadable: Vec::new(),
            report: FileReport::default(),
            last_touch: Instant::now(),
            looked: None,
            complained: false,
            paths,
        };
        for name in names {
            watch.follow(name, settings.start, None);
        }
        watch
    }

    /// `absent`: when there was no such name.
    fn follow(&mut self, path: PathBuf, start: Start, absent: Option<SystemTime>) {
        let registered = self.sink.followed.register(&path);
        let mut follower = Follower::new(path, start, self.settings, registered);
        follower.was_absent(absent);
        self.followers.push(follower);
    }

    fn is_over(&self) -> bool {
        self.followers.is_empty() && !self.paths.may_grow()
    }

    /// Looks at every name once; whether something was read. None when the
    /// pipeline has ended, or it is time to end.
    fn round(&mut self) -> Option<bool> {
        self.look_for_names();
        self.sink.listings.forget();
        for follower in &mut self.followers {
            if self.sink.shutdown.is_triggered() {
                return None;
            }
            follower.look();
        }
        let mut moved = false;
        let mut ended = Vec::new();
        for (at, follower) in self.followers.iter_mut().enumerate() {
            if self.sink.shutdown.is_triggered() {
                return None;
            }
            let before = follower.standing.clone();
            match follower.poll(self.sink).ok()? {
                Progress::Moved => moved = true,
                Progress::Quiet => {}
                Progress::Ended => ended.push(at),
            }
            if follower.standing != before {
                tell(follower, &before, &mut self.complained);
            }
        }
        for at in ended.into_iter().rev() {
            let follower = self.followers.swap_remove(at);
            if let Ok(metadata) = std::fs::metadata(&follower.path) {
                let inode = fingerprint::inode(&metadata);
                self.done.insert(follower.path, inode);
            }
        }
        self.note();
        Some(moved)
    }

    /// Follows the names patterns match now, and no longer those that turn out
    /// to be older files, or that are gone for good.
    fn look_for_names(&mut self) {
        let now = SystemTime::now();
        let followed = self.followers.iter().map(|it| it.path.as_path());
        let Some(Matches {
            mut names,
            unreadable,
            idle,
        }) = self.paths.look(followed)
        else {
            return;
        };
        self.unreadable = unreadable;
        let before = self.looked.replace(now);
        let first = before.is_none();
        for pattern in idle.into_iter().filter(|_| first) {
            tracing::warn!(
                pattern,
                "no file matches; new names are looked for every few seconds"
            );
        }
        let given = &self.paths;
        self.followers.retain(|follower| {
            given.names().any(|name| name == follower.path)
                || names.contains(&follower.path)
                || (!follower.path.exists() && !follower.is_over())
        });
        for follower in &self.followers {
            names.remove(&follower.path);
        }
        let start = if first {
            self.settings.start
        } else {
            Start::Beginning
        };
        for name in names {
            if !self.is_done(&name) {
                self.follow(name, start, before);
            }
        }
    }

    fn is_done(&self, name: &Path) -> bool {
        let named = std::fs::metadata(name).ok();
        self.done
            .get(name)
            .is_some_and(|inode| named.is_some_and(|it| fingerprint::inode(&it) == *inode))
    }

    /// Reports which files can be read, and that all are still followed.
    fn note(&mut self) {
        let mut report = FileReport {
            followed: self.followers.len(),
            ..FileReport::default()
        };
        for follower in &self.followers {
            match &follower.standing {
                Standing::Readable => {}
                Standing::Missing => report.waiting += 1,
                Standing::Unreadable(why) => report.add(follower.path.clone(), why.clone()),
            }
        }
        for (path, why) in &self.unreadable {
            report.add(path.clone(), why.clone());
        }
        if report != self.report {
            self.report = report.clone();
            self.sink.records.intake.counters().files.set(report);
        }
        if self.last_touch.elapsed() >= TOUCH {
            self.last_touch = Instant::now();
            self.followers
                .iter()
                .for_each(|follower| follower.touch(self.sink));
        }
    }
}

/// Says why a path cannot be read; that descriptors have run out is said once
/// for all.
fn tell(follower: &Follower, before: &Standing, complained: &mut bool) {
    let path = follower.path.display();
    match &follower.standing {
        Standing::Readable if matches!(before, Standing::Unreadable(_)) => {
            tracing::info!(%path, "file can be read again");
        }
        Standing::Missing if !follower.had_file => {
            tracing::info!(%path, "file does not exist; it is waited for");
        }
        // As at every rotation.
        Standing::Readable | Standing::Missing => {}
        Standing::Unreadable(error) if follower.out_of_descriptors => {
            if !std::mem::replace(complained, true) {
                tracing::error!(%path, %error, "file cannot be read for now, and others neither");
            }
        }
        Standing::Unreadable(error) => {
            tracing::warn!(%path, %error, "file cannot be read for now");
        }
    }
}

fn sleep(interval: Duration, sink: &LineSink) {
    let mut left = interval;
    while left > Duration::ZERO && !sink.shutdown.is_triggered() {
        let slice = left.min(SLICE);
        std::thread::sleep(slice);
        left -= slice;
    }
}
