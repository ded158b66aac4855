//! Content that is not whole, was lost, or took the place of other content.

use std::fs::{self, File};
use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::file::{append, directory, following};
use crate::file_rotation::lines;
use crate::file_trouble::report;
use crate::support::{Keep, codecs, start, start_with};

fn packed(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

#[test]
fn a_packed_file_that_is_not_whole_is_handed_over_once_and_read_on_when_it_is() {
    let (directory, _) = directory();
    let path = directory.path().join("access.log.gz");
    let whole = packed(&lines(0..5_000));
    let (half, _) = whole.split_at(whole.len() / 2);
    fs::write(&path, half).unwrap();
    let mut source = start(&following(&path));
    let mut begun = source.events(1).len();
    while let more @ 1.. = source.try_events(Duration::from_millis(500)).len() {
        begun += more;
        assert!(begun < 5_000, "{begun}");
    }
    report(&source, |report| report.unreadable == 1);
    // Many looks.
    std::thread::sleep(Duration::from_millis(300));
    assert!(source.try_events(Duration::from_millis(50)).is_empty());
    fs::write(&path, &whole).unwrap();
    let rest = source.ended();
    assert_eq!(begun + rest.len(), 5_000);
}

#[test]
fn a_packed_file_with_a_wrong_checksum_is_handed_over_once() {
    let (directory, _) = directory();
    let path = directory.path().join("access.log.gz");
    let mut wrong = packed(&lines(0..100));
    let at = wrong.len() - 6;
    wrong[at] ^= 1;
    fs::write(&path, wrong).unwrap();
    let mut source = start(&following(&path));
    source.events(90);
    std::thread::sleep(Duration::from_millis(300));
    let (rest, counts) = source.stop();
    assert!(rest.len() <= 10, "{} more", rest.len());
    assert!(counts.is_conserved());
}

#[test]
fn what_a_cut_takes_is_counted_as_far_as_it_was_seen() {
    let (_directory, path) = directory();
    let all = lines(0..300_000);
    append(&path, &all);
    // The pipeline takes few, so most of it is still in the file.
    let mut source = start_with(&following(&path), &codecs(Keep), 8);
    let mut taken: u64 = lengths(&source.messages(10));
    File::create(&path).unwrap();
    append(&path, "new\n");
    loop {
        let texts = source.messages(1);
        if texts == ["new"] {
            break;
        }
        taken += lengths(&texts);
    }
    let (rest, counts) = source.stop();
    assert!(rest.is_empty());
    assert_eq!(taken + counts.lost_bytes, all.len() as u64);
    assert!(counts.lost_bytes > 1 << 20, "{}", counts.lost_bytes);
}

/// Of lines with their ends.
fn lengths(texts: &[String]) -> u64 {
    texts.iter().map(|text| text.len() as u64 + 1).sum()
}

#[test]
fn what_takes_the_place_of_other_content_has_other_identifiers() {
    let (_directory, path) = directory();
    append(&path, "banner\na1\na2\n");
    let mut source = start(&following(&path));
    let before = source.events(3);
    File::create(&path).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    append(&path, "banner\nb1\nb2\n");
    let after = source.events(3);
    for (old, new) in before.iter().zip(&after).skip(1) {
        assert_ne!(old.id, new.id);
    }
    source.stop();
}

#[test]
fn a_copy_written_over_an_older_copy_is_not_taken_for_more_of_that() {
    let (directory, path) = directory();
    let copy = directory.path().join("access.log.1");
    let mut source = start(&following(&path));
    for round in 0..4 {
        append(&path, lines(round * 10..(round + 1) * 10 + round));
        source.events(10 + round);
        fs::copy(&path, &copy).unwrap();
        File::create(&path).unwrap();
        // The copy comes to rest.
        std::thread::sleep(Duration::from_millis(250));
        assert!(source.try_events(Duration::from_millis(50)).is_empty());
    }
    let (rest, counts) = source.stop();
    assert!(rest.is_empty());
    assert_eq!((counts.rejected, counts.lost_bytes), (0, 0));
}
