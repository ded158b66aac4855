//! The file source while it has more to read than it gets done: what happens
//! to the log meanwhile is read all the same, in order.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use sidewatch_event::{Event, Origin};
use sidewatch_sources::Codecs;
use sidewatch_sources::file::MemoryPositions;

use crate::file::{append, directory, following};
use crate::file_rotation::{copy_and_truncate, numbered};
use crate::support::{Keep, Running, codecs, messages, start_with};

/// Events the source may be ahead: it waits in the middle of a turn.
const AHEAD: usize = 1_600;

/// Lines of a kilobyte: twenty thousand take more than one turn.
fn long_lines(range: std::ops::Range<usize>) -> String {
    range.map(|number| format!("{number:01023}\n")).collect()
}

/// How far files were read, as a store would know it from the events.
#[derive(Default)]
struct Known(BTreeMap<u128, Origin>);

impl Known {
    /// These are the next lines. Gives the number after them.
    fn check(&mut self, events: &[Box<Event>], mut next: usize) -> usize {
        for (event, text) in events.iter().zip(messages(events)) {
            assert_eq!(text.parse(), Ok(next));
            let origin = event.origin.unwrap();
            self.0.insert(origin.file, origin);
            next += 1;
        }
        next
    }

    /// The lines that come are these.
    fn assert_lines(&mut self, source: &mut Running, range: std::ops::Range<usize>) {
        let mut next = range.start;
        while next < range.end {
            let events = source.events((range.end - next).min(1_000));
            next = self.check(&events, next);
        }
    }

    fn codecs(&self) -> Codecs {
        let mut codecs = codecs(Keep);
        codecs.positions = Arc::new(MemoryPositions::of(self.0.values().copied()));
        codecs
    }
}

fn rotate(path: &Path, kept: usize) {
    let name = |number: usize| numbered(path, &format!(".{number}"));
    for number in (1..=kept).rev() {
        fs::rename(name(number), name(number + 1)).unwrap();
    }
    fs::rename(path, name(1)).unwrap();
    // Which file is older is told by its time.
    std::thread::sleep(std::time::Duration::from_millis(20));
}

#[test]
fn a_log_that_is_cut_again_while_its_copy_is_read_is_read_from_both() {
    let (_directory, path) = directory();
    append(&path, long_lines(0..50_000));
    let mut source = start_with(&following(&path), &codecs(Keep), AHEAD);
    let mut known = Known::default();
    known.assert_lines(&mut source, 0..1_000);
    copy_and_truncate(&path);
    append(&path, long_lines(50_000..50_010));
    // Its look at the name finds that, and it reads the copy.
    known.assert_lines(&mut source, 1_000..25_000);
    copy_and_truncate(&path);
    append(&path, long_lines(50_010..50_013));
    known.assert_lines(&mut source, 25_000..50_013);
    let (rest, counts) = source.stop();
    assert_eq!((rest.len(), counts.lost_bytes), (0, 0));
}

#[test]
fn rotations_while_older_files_wait_change_neither_order_nor_what_a_restart_knows() {
    for restarts in [false, true] {
        let (_directory, path) = directory();
        let mut known = Known::default();
        append(&path, long_lines(0..10));
        let mut source = start_with(&following(&path), &known.codecs(), AHEAD);
        known.assert_lines(&mut source, 0..10);
        source.stop();
        append(&path, long_lines(10..30_000));
        for file in 0..3 {
            rotate(&path, file);
            let first = 30_000 + file * 10;
            append(&path, long_lines(first..first + 10));
        }

        let mut source = start_with(&following(&path), &known.codecs(), AHEAD);
        known.assert_lines(&mut source, 10..1_000);
        rotate(&path, 3);
        append(&path, long_lines(30_030..30_040));
        let mut next = 1_000;
        if restarts {
            known.assert_lines(&mut source, next..25_000);
            let (rest, _) = source.stop();
            next = known.check(&rest, 25_000);
            source = start_with(&following(&path), &known.codecs(), AHEAD);
        }
        known.assert_lines(&mut source, next..30_040);
        let (rest, counts) = source.stop();
        assert_eq!((rest.len(), counts.lost_bytes), (0, 0));
    }
}

#[test]
fn reading_from_the_end_goes_on_after_a_restart() {
    for before in ["old\n", "old\nhalf a", ""] {
        let (_directory, path) = directory();
        append(&path, before);
        let known = codecs(Keep);
        let settings = format!("{}start = \"end\"\n", following(&path));
        let wait = |source: &Running| {
            let begun = std::time::Instant::now();
            while source.counters.files.report().followed == 0 {
                assert!(begun.elapsed() < crate::support::PATIENCE);
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        };
        let source = start_with(&settings, &known, 100);
        wait(&source);
        assert_eq!(source.stop().0.len(), 0);
        append(&path, " line\none\n");
        // Of a line that had begun only the rest came.
        let lines = if before.ends_with('a') { 1 } else { 2 };
        let mut source = start_with(&settings, &known, 100);
        let read = source.messages(lines);
        assert_eq!(read.last().unwrap(), "one", "{before:?}");
        source.stop();
        append(&path, "two\n");
        rotate(&path, 0);
        append(&path, "three\n");
        let mut source = start_with(&settings, &known, 100);
        assert_eq!(source.messages(2), ["two", "three"]);
        assert_eq!(source.stop().0.len(), 0);
    }
}
