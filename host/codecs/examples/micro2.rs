use sidewatch_codecs::*;
use sidewatch_event::Event;
use std::hint::black_box;
fn main() {
    let a = std::env::args().nth(1).unwrap();
    let l = std::env::args().nth(2).unwrap();
    let n: usize = std::env::args().nth(3).unwrap().parse().unwrap();
    let fm = LogFormat::preset(&a).unwrap_or_else(|| LogFormat::compile(&a).unwrap());
    let mut e = Event::new();
    for _ in 0..n {
        e.clear();
        fm.decode(black_box(l.as_bytes()), &mut e).unwrap();
        black_box(&e);
    }
}
