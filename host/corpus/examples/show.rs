//! Shows one scenario and what the rules said of it: `show SEED incident|benign KIND NUMBER`.

#[path = "../tests/native/mod.rs"]
mod native;

use sidewatch_corpus::detector::Panel;
use sidewatch_corpus::random::Random;
use sidewatch_corpus::{benign, incidents};

#[expect(clippy::print_stdout, reason = "an example that prints its result")]
fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [seed, what, kind, number] = arguments.as_slice() else {
        return Err("usage: show SEED incident|benign KIND NUMBER".into());
    };
    let (random, kind, number) = (Random::new(seed.parse()?), kind.parse()?, number.parse()?);
    let scenario = match what.as_str() {
        "benign" => benign::scenario(kind, number, &random),
        _ => incidents::scenario(kind, number, &random),
    };
    let mut rules = native::rules();
    let names = rules.names();
    let mut alerts = vec![Vec::new(); names.len()];
    let mut last = None;
    for event in &scenario.events {
        alerts.iter_mut().for_each(Vec::clear);
        rules.fold(std::slice::from_ref(event), &mut alerts);
        let raised: Vec<String> = names
            .iter()
            .zip(&alerts)
            .filter(|(_, alerts)| !alerts.is_empty())
            .map(|(name, alerts)| {
                format!(
                    "{name}/{}",
                    alerts
                        .iter()
                        .map(|alert| alert.kind.to_string())
                        .collect::<String>()
                )
            })
            .collect();
        let incident = scenario
            .incident
            .is_some_and(|begins| event.numbers.time >= begins);
        let shown = native::line(event);
        if !raised.is_empty() || last.as_ref() != Some(&shown) {
            println!(
                "{} {} {shown}  {}",
                native::clock(event),
                if incident { "!" } else { " " },
                raised.join(" ")
            );
        }
        last = Some(shown);
    }
    Ok(())
}
