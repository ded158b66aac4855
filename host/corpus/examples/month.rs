//! Counts alerts of an ordinary month by rule and kind, and shows some:
//! `month SEED USERS DAYS`.

#[path = "../tests/native/mod.rs"]
mod native;

use std::collections::BTreeMap;

use sidewatch_corpus::detector::Panel;
use sidewatch_corpus::month::Month;
use sidewatch_corpus::random::Random;

#[expect(clippy::print_stdout, reason = "an example that prints its result")]
fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let numbers: Vec<u64> = std::env::args()
        .skip(1)
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    let [seed, users, days] = numbers.as_slice() else {
        return Err("usage: month SEED USERS DAYS".into());
    };
    let mut rules = native::rules();
    let names = rules.names();
    let mut alerts = vec![Vec::new(); names.len()];
    let mut counts = BTreeMap::new();
    let month = Month::new(
        usize::try_from(*users)?,
        usize::try_from(*days)?,
        &Random::new(*seed),
    );
    let mut history: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for day in month {
        for event in &day {
            alerts.iter_mut().for_each(Vec::clear);
            rules.fold(std::slice::from_ref(event), &mut alerts);
            let lines = history.entry(event.numbers.user).or_default();
            lines.push(format!("{} {}", native::clock(event), native::line(event)));
            for (name, raised) in names.iter().zip(&alerts) {
                for alert in raised {
                    let count = counts.entry((name.clone(), alert.kind)).or_insert(0);
                    *count += 1;
                    if *count <= 6 {
                        println!("== {name}/{}", alert.kind);
                        for line in lines.iter().rev().take(14).rev() {
                            println!("{line}");
                        }
                    }
                }
            }
        }
    }
    println!("{counts:?}");
    Ok(())
}
