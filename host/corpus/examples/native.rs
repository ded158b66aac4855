//! Evaluates the rules natively: `native SEED SCALE [FAMILIES.. wrong|missed]`.
//! For tuning; `sidewatch evaluate` runs the components.

#[path = "../tests/native/mod.rs"]
mod native;

use sidewatch_corpus::{Size, evaluate};

#[expect(clippy::print_stdout, reason = "an example that prints its result")]
fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let seed = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let scale = arguments.next().map_or(Ok(0.1), |text| text.parse())?;
    let mut size = Size::of_scale(scale);
    if let Some(users) = arguments.next() {
        size.users = users.parse()?;
    }
    let report = evaluate(&mut native::rules(), seed, size, &mut |_| {})?;
    println!("{report}");
    for row in &report.rules {
        println!("{}: wrong {:?}", row.name, row.wrong);
    }
    for (kind, found) in report.all.found.iter().enumerate() {
        let all = 0..u64::try_from(size.incidents_each)?;
        let missed: Vec<u64> = all
            .filter(|number| !found.contains(number))
            .take(20)
            .collect();
        println!("missed {kind}: {missed:?}");
    }
    Ok(())
}
