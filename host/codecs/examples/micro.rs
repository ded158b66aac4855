use sidewatch_codecs::*;
use sidewatch_event::{Event, Field};
use std::hint::black_box;
use std::time::Instant;
fn t(name: &str, mut f: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..2000 {
        let s = Instant::now();
        for _ in 0..200 {
            f();
        }
        best = best.min(s.elapsed().as_secs_f64() / 200.0);
    }
    println!("{name}: {:.0} ns", best * 1e9);
}
fn main() {
    let mut e = Event::new();
    t("clear", || {
        e.clear();
        black_box(&e);
    });
    t("set ua", || {
        e.clear();
        e.set(
            Field::UserAgentOriginal,
            black_box("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        );
        black_box(&e);
    });
    let mut s = String::new();
    t("redact url", || {
        s.clear();
        redact::url(
            black_box("https://chat.example.org/team/channels/town-square"),
            &mut s,
        );
        black_box(&s);
    });
    t("redact q", || {
        s.clear();
        redact::query(black_box("?page=0&per_page=60"), &mut s);
        black_box(&s);
    });
    for (n, f, l) in [
        ("status", "$status", "200"),
        ("addr", "$remote_addr", "203.0.113.77"),
        ("time", "$time_local", "21/Nov/2026:01:02:03 +0000"),
        (
            "request",
            "$request",
            "GET /api/v4/channels/8w5wm1s6zpbq9r1ofrqwpnzy4e/posts?page=0&per_page=60 HTTP/2.0",
        ),
        (
            "req nq",
            "$request",
            "GET /api/v4/channels/8w5wm1s6zpbq9r1ofrqwpnzy4e/posts HTTP/2.0",
        ),
        (
            "ua",
            "$http_user_agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        ),
        (
            "ref",
            "$http_referer",
            "https://chat.example.org/team/channels/town-square",
        ),
        ("bytes", "$body_bytes_sent", "15326"),
    ] {
        let fm = LogFormat::compile(f).unwrap();
        t(n, || {
            e.clear();
            fm.decode(black_box(l.as_bytes()), &mut e).unwrap();
            black_box(&e);
        });
    }
    t("utf8", || {
        black_box(std::str::from_utf8(black_box(&[b'a'; 270])).unwrap());
    });
}
