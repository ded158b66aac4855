//! Event ids beside those of auditmatica 0.1.0 on generated logs.
//!
//! The pack `auditmatica` must decide as it does on every line. The pack
//! `archivematica` must decide on every line as auditmatica does on the same
//! request written plainly (decoded, without a query, from a page of the
//! application it is for), but for the corrections listed in `corrected`; each
//! is a row of the table in `rules/packs/archivematica/README.md`.
//!
//! `make test` installs auditmatica into `target/auditmatica`; where that is
//! impossible it says so, and these tests say so too and do nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use integration_tests::command;

/// Lines per run.
const LINES: usize = 6_000;
const STORAGE: &str = "http://127.0.0.1:62081";
const UUID: &str = "5e2a1c9d-04bb-4f7e-9d11-0c3f8a7b6e55";

fn auditmatica() -> Option<PathBuf> {
    let target = command::profile_directory().parent()?.to_owned();
    let program = target.join("auditmatica/bin/auditmatica");
    if program.is_file() {
        return Some(program);
    }
    eprintln!(
        "NOTICE: skipped, because {} is not there; `make test` installs it where there is a Python package index",
        program.display()
    );
    None
}

/// Numbers that look random and are the same every time (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap() % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Request {
    method: String,
    target: String,
    status: u16,
    referer: String,
}

/// Targets of both applications, known and unknown.
const TARGETS: &[&str] = &[
    "/administration/accounts/login/",
    "/administration/accounts/logout/",
    "/administration/accounts/add/",
    "/administration/accounts/3/edit/",
    "/administration/accounts/3/delete/",
    "/administration/accounts/",
    "/api/v2beta/package/",
    "/api/transfer/start_transfer/",
    "/mcp/execute/",
    "/backlog/download/U/",
    "/filesystem/U/preview/",
    "/filesystem/U/download/",
    "/backlog/search/?q=1",
    "/archival-storage/search/?q=1&id=U",
    "/archival-storage/thumbnail/U/",
    "/archival-storage/U/",
    "/archival-storage/download/aip/U/",
    "/archival-storage/download/aip/U/mets_download/",
    "/archival-storage/download/aip/U/pointer_file/",
    "/ingest/preview/aip/U/",
    "/ingest/preview/dip/U/",
    "/fpr/fprule/create/",
    "/fpr/fprule/U/edit/",
    "/fpr/fprule/U/delete/",
    "/fpr/fpcommand/create/",
    "/fpr/fpcommand/U/edit/",
    "/fpr/fpcommand/U/delete/",
    "/administration/processing/add/",
    "/administration/processing/edit/default/",
    "/administration/processing/delete/own/",
    "/administration/processing/download/default/",
    "/administration/general/",
    "/administration/dips/atom/",
    "/administration/dips/as/",
    "/administration/premis/agent/",
    "/administration/api/",
    "/administration/handle/",
    "/administration/i18n/setlang/",
    "/api/transfer/unapproved/",
    "/api/transfer/approve/",
    "/api/transfer/status/U/",
    "/api/transfer/U/delete/",
    "/api/transfer/completed/",
    "/api/transfer/reingest/",
    "/api/ingest/status/U/",
    "/api/ingest/U/delete/",
    "/api/ingest/waiting/",
    "/api/ingest/completed/",
    "/api/ingest/reingest/",
    "/filesystem/copy_from_arrange/",
    "/transfer/",
    "/transfer/U/",
    "/",
    "/status/",
    "/media/main.css",
    "/tasks/U/",
    "/api/v2beta/jobs/U/",
    "/favicon.ico",
    "/login/",
    "/logout/",
    "/packages/",
    "/packages_ajax?draw=1",
    "/packages/package_delete_request/",
    "/api/v2/file/U/download/",
    "/api/v2/file/U/pointer_file/",
    "/api/v2/file/U/delete_aip/",
    "/api/v2/file/U/extract_file/",
    "/api/v2/file/U/contents/",
    "/api/v2/file/U/reingest/",
    "/api/v2/file/U/move/",
    "/administration/users/create/",
    "/administration/users/4/edit/",
    "/locations/",
];

/// Paths that only the Storage Service has.
fn is_storage(path: &str) -> bool {
    [
        "/api/v2/",
        "/packages",
        "/login",
        "/logout",
        "/administration/users/",
        "/locations/",
    ]
    .iter()
    .any(|start| path.starts_with(start))
}

fn request(random: &mut Random) -> Request {
    let mut target = random.pick(TARGETS).replace('U', UUID);
    match random.below(40) {
        0..=2 => target = target.trim_end_matches('/').to_owned(),
        3 | 4 => target.push_str("?next=/"),
        5 => target = target.replacen('/', "//", 1),
        6 => target = target.replace('a', "%61"),
        7 => target = format!("/x/..{target}"),
        8 => target = format!("http://am.example{target}"),
        9 => target = target.replace('i', "I"),
        10 => target = target.to_uppercase().replace(&UUID.to_uppercase(), UUID),
        11 if ["/archival-storage/", "/packages/", "/fpr/"]
            .iter()
            .any(|start| target.starts_with(start)) =>
        {
            target.push('x');
        }
        _ => {}
    }
    if target.is_empty() {
        target.push('/');
    }
    let statuses = [
        200, 200, 200, 302, 302, 201, 202, 204, 206, 301, 304, 401, 403, 404, 500,
    ];
    Request {
        method: random
            .pick(&[
                "GET", "GET", "GET", "POST", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS",
            ])
            .to_owned(),
        target,
        status: statuses[random.below(statuses.len())],
        referer: random
            .pick(&[
                "-",
                "http://am.example/",
                "http://am.example/",
                STORAGE,
                "http://127.0.0.1:62081/packages/",
            ])
            .to_owned(),
    }
}

/// The same request written plainly: decoded, without a query where none
/// matters, whole, from a page of the application it is for.
fn plainly(request: &Request) -> Request {
    let target = request
        .target
        .trim_start_matches("http://am.example")
        .trim_start_matches("/x/..")
        .replace("%61", "a")
        .replace("//", "/");
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let target = if path.ends_with("/search/") && !query.is_empty() {
        format!("{path}?{query}")
    } else {
        path.to_owned()
    };
    let downloads = [
        "/download",
        "/preview/",
        "thumbnail/",
        "pointer_file",
        "extract_file",
    ];
    let partly = request.status == 206
        && downloads.iter().any(|part| target.contains(part))
        && !target.contains("/administration/");
    Request {
        referer: if is_storage(&target) {
            format!("{STORAGE}/")
        } else {
            "http://am.example/".to_owned()
        },
        status: if partly { 200 } else { request.status },
        method: request.method.clone(),
        target,
    }
}

/// `None`: discarded.
type Id = Option<u16>;

/// What we say of a plain request where it is not what auditmatica says.
fn corrected(plain: &Request, theirs: Id) -> Id {
    let Request {
        method,
        target,
        status,
        ..
    } = plain;
    let path = target.trim_end_matches('/');
    let is = |wanted: &str, statuses: &[u16]| method == wanted && statuses.contains(status);
    match path {
        _ if *status == 403 && theirs == Some(1) => Some(200),
        "/administration/accounts/login" if is("POST", &[200]) => Some(201),
        "/login" if is("POST", &[200]) => Some(301),
        "/administration/accounts/logout" if is("POST", &[302]) => Some(6),
        "/logout" if is("POST", &[302]) => Some(102),
        "/administration/processing/edit/default" if is("POST", &[302]) => Some(30),
        "/administration/processing/edit/default" if is("GET", &[302]) => Some(1),
        "/administration/processing/delete/own" if is("GET", &[302]) => Some(31),
        _ if path.starts_with("/backlog/download/") && is("GET", &[301]) => Some(1),
        _ => theirs,
    }
}

/// A line with an address of its own, by which its record is known.
fn line(at: usize, request: &Request, random: &mut Random) -> String {
    let Request {
        method,
        target,
        status,
        referer,
    } = request;
    let agent = random.pick(&[
        "Mozilla/5.0 (X11; rv:1=2) Firefox/128.0",
        "curl/8.5 a|b",
        "-",
    ]);
    let user = random.pick(&["alice", "bob smith", "-", "o=k"]);
    let start = format!(
        "{} - - [{:02}/Nov/2026:{:02}:02:03 +0000] \"{method} {target} HTTP/1.1\" {status} 17 \"{referer}\" \"{agent}\"",
        address(at),
        1 + at % 28,
        at % 24,
    );
    match at % 3 {
        0 => start,
        1 => format!("{start} \"10.0.0.1, 10.0.0.2\""),
        _ => format!("{start} \"-\" user={user}"),
    }
}

fn address(at: usize) -> String {
    format!("10.{}.{}.{}", at >> 16, (at >> 8) & 255, at & 255)
}

/// Records by their line.
fn records(cef: &str) -> BTreeMap<usize, String> {
    cef.lines()
        .map(|record| {
            let address = record.split(" src=10.").nth(1).unwrap();
            let address = address.split(' ').next().unwrap();
            let at = address
                .split('.')
                .fold(0, |at, octet| at * 256 + octet.parse::<usize>().unwrap());
            (at, record.to_owned())
        })
        .collect()
}

fn id(record: Option<&String>) -> Id {
    record.map(|record| record.split('|').nth(4).unwrap().parse().unwrap())
}

fn run_auditmatica(program: &Path, log: &Path) -> BTreeMap<usize, String> {
    let mut command = Command::new(program);
    command.arg("write-cef").arg(log).env("LC_ALL", "C.UTF-8");
    let ended = command::run_within(&mut command, b"", Duration::from_secs(120));
    assert!(!ended.err.contains("Errors:"), "{}", ended.err);
    records(&ended.out)
}

fn run_sidewatch(directory: &Path, pack: &str, log: &Path) -> BTreeMap<usize, String> {
    let log = log.to_str().unwrap();
    let ended = command::sidewatch(
        directory,
        &["replay", "--pack", pack, "--format", "cef", log],
        b"",
    );
    assert_eq!(ended.code, 0, "{}", ended.err);
    let records = records(&ended.out);
    let counted = format!("{LINES} lines in ");
    assert!(ended.err.contains(&counted), "{}", ended.err);
    assert!(
        ended.err.contains(&format!(
            ": {} events, {} discarded, 0 suppressed, 0 unreadable",
            records.len(),
            LINES - records.len()
        )),
        "{}",
        ended.err
    );
    records
}

fn write(path: &Path, requests: &[Request]) {
    let mut random = Random(3);
    let lines: Vec<_> = requests
        .iter()
        .enumerate()
        .map(|(at, request)| line(at, request, &mut random) + "\n")
        .collect();
    std::fs::write(path, lines.concat()).unwrap();
}

#[test]
fn the_compatible_pack_writes_the_same_records() {
    let Some(auditmatica) = auditmatica() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("access.log");
    let mut random = Random(1);
    let requests: Vec<_> = (0..LINES).map(|_| request(&mut random)).collect();
    write(&log, &requests);
    let theirs = run_auditmatica(&auditmatica, &log);
    let ours = run_sidewatch(directory.path(), "auditmatica", &log);
    // An absent user agent is left out instead of called `None`.
    let theirs: BTreeMap<_, _> = theirs
        .into_iter()
        .map(|(at, record)| {
            (
                at,
                record.replace("cs1Label=requestClientApplication cs1=None ", ""),
            )
        })
        .collect();
    for (at, request) in requests.iter().enumerate() {
        assert_eq!(ours.get(&at), theirs.get(&at), "line {at}: {request:?}");
    }
    let specific = ours
        .values()
        .filter(|record| !record.contains("|hosted|1|"));
    assert!(
        specific.count() > LINES / 10,
        "the comparison says something"
    );
}

#[test]
fn the_pack_decides_as_auditmatica_would_without_its_faults() {
    let Some(auditmatica) = auditmatica() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("access.log");
    let plain_log = directory.path().join("plain.log");
    let mut random = Random(2);
    let requests: Vec<_> = (0..LINES).map(|_| request(&mut random)).collect();
    let plain: Vec<_> = requests.iter().map(plainly).collect();
    write(&log, &requests);
    write(&plain_log, &plain);
    let theirs = run_auditmatica(&auditmatica, &log);
    let theirs_plain = run_auditmatica(&auditmatica, &plain_log);
    let ours = run_sidewatch(directory.path(), "archivematica", &log);
    let mut untouched = 0;
    for (at, (request, plain)) in requests.iter().zip(&plain).enumerate() {
        let ours = id(ours.get(&at));
        let mut expected = corrected(plain, id(theirs_plain.get(&at)));
        let hidden = request.referer == "-" && !plain.target.starts_with("/api/");
        let foreign_login =
            plain.target.starts_with("/login/") && !request.referer.starts_with(STORAGE);
        if expected == Some(1) && (hidden || foreign_login) {
            expected = None;
        }
        assert_eq!(ours, expected, "line {at}: {request:?}");
        untouched += usize::from(ours == id(theirs.get(&at)) && ours.is_some_and(|id| id != 1));
    }
    assert!(
        untouched > LINES / 10,
        "{untouched} lines have the very same id"
    );
}
