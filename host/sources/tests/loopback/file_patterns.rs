//! Patterns among the paths of a file source.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::file::{append, directory, following};
use crate::file_rotation::numbered;
use crate::support::{Keep, codecs, settings, start, start_with};

#[test]
fn a_pattern_follows_each_log_once_and_finds_new_ones() {
    let (directory, path) = directory();
    let at = |name: &str| directory.path().join(name);
    append(&at("access.log.1"), "history\n");
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(b"packed history\n").unwrap();
    append(&at("access.log.2.gz"), packed.finish().unwrap());
    append(&path, "access\n");
    append(&at("access.log.internal"), "internal\n");
    append(&at("app-1.log"), "app\n");
    append(&at("notes.txt"), "no log\n");
    fs::create_dir(at("directory.log")).unwrap();
    std::os::unix::fs::symlink(at("app-1.log"), at("current.log")).unwrap();
    let mut source = start(&following(&at("*.log*")));
    let first: HashSet<_> = source.messages(3).into_iter().collect();
    assert_eq!(
        first,
        ["access", "internal", "app"].map(str::to_owned).into()
    );
    append(&at("new.log"), "new\n");
    assert_eq!(source.messages(1), ["new"]);

    // A rotation within the pattern.
    append(&path, "last of the old\n");
    fs::rename(&path, at("access.log.1")).unwrap();
    append(&at("access.log.1"), "late\n");
    append(&path, "first of the new\n");
    let rotated = source.messages(3);
    assert_eq!(rotated, ["last of the old", "late", "first of the new"]);
    // Longer than until the next look for names.
    std::thread::sleep(Duration::from_millis(2500));
    append(&path, "end\n");
    assert_eq!(source.messages(1), ["end"]);
    let followed = source.counters.files.report();
    assert_eq!((followed.followed, followed.unreadable), (4, 0));
    assert!(source.stop().0.is_empty());
}

#[test]
fn a_pattern_that_matches_nothing_waits_and_an_older_file_is_left_to_its_log() {
    let (_directory, path) = directory();
    let kept = codecs(Keep);
    let pattern = path.with_file_name("acc*");
    let mut source = start_with(&following(&pattern), &kept, 100);
    std::thread::sleep(Duration::from_millis(100));
    // Between renaming and creating the older file stands alone.
    append(&numbered(&path, ".1"), "old\n");
    assert_eq!(source.messages(1), ["old"]);
    append(&numbered(&path, ".1"), "older file\n");
    assert_eq!(source.messages(1), ["older file"]);
    append(&path, "new\n");
    assert_eq!(source.messages(1), ["new"]);
    fs::rename(numbered(&path, ".1"), numbered(&path, ".2")).unwrap();
    fs::rename(&path, numbered(&path, ".1")).unwrap();
    append(&path, "newest\n");
    assert_eq!(source.messages(1), ["newest"]);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(source.counters.files.report().followed, 1);
    assert!(source.stop().0.is_empty());
}

#[test]
fn a_name_that_looks_like_a_pattern_and_exists_is_a_name() {
    let (directory, path) = directory();
    let literal = directory.path().join("access[l].log");
    append(&literal, "literal\n");
    append(&path, "another\n");
    append(&directory.path().join("accessl.log"), "matched\n");
    let mut source = start(&following(&literal));
    assert_eq!(source.messages(1), ["literal"]);
    assert!(source.stop().0.is_empty());
}

#[test]
fn a_packed_file_read_on_its_own_is_not_read_again_as_an_older_file() {
    let (_directory, path) = directory();
    let kept = codecs(Keep);
    append(&path, "first\n");
    assert_eq!(
        start_with(&following(&path), &kept, 100).messages(1),
        ["first"]
    );
    let older = numbered(&path, ".1");
    fs::rename(&path, &older).unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(b"packed\n").unwrap();
    let packed_path = numbered(&path, ".2.gz");
    append(&packed_path, packed.finish().unwrap());
    let pattern = following(&path.with_file_name("acc*"));
    let mut source = start_with(&pattern, &kept, 100);
    assert_eq!(source.messages(1), ["packed"]);
    append(&path, "log\n");
    assert_eq!(source.messages(1), ["log"]);
    assert!(source.stop().0.is_empty());
    let mut source = start_with(&pattern, &kept, 100);
    append(&path, "more\n");
    assert_eq!(source.messages(1), ["more"]);
    assert!(source.stop().0.is_empty());
}

#[test]
fn what_a_source_would_follow_can_be_asked() {
    let paths = ["/var/log/a.log", "/var/log/nginx/*.log"].map(Into::into);
    let settings = sidewatch_sources::file::FileSettings::of(paths.into());
    for (path, expected) in [
        ("/var/log/a.log", true),
        ("/var/log/nginx/access.log", true),
        ("/var/log/nginx/sub/access.log", false),
        ("/var/log/b.log", false),
    ] {
        assert_eq!(settings.follows(path.as_ref()), expected, "{path}");
    }
}

#[test]
fn a_pattern_that_cannot_be_read_is_refused() {
    let text = "type = \"file\"\npaths = [\"/nowhere/[a.log\"]\n";
    let error = settings(text).bind("test", &codecs(Keep)).err().unwrap();
    assert!(error.to_string().contains("/nowhere/[a.log"), "{error}");
}
