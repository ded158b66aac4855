//! Three plain detectors in use elsewhere, on the same events.
//!
//! Each is treated kindly: it sees only users who were let in, leaves out
//! missing and 0,0 coordinates, and tells of one pair of networks of a user
//! only once a day.

use std::collections::{HashMap, HashSet};

use rule_sdk::detection::presence::Sight;
use rule_sdk::detection::{Event, wire};
use rule_sdk::geo::Point;

use crate::detector::{Alert, Detector, Make};
use crate::traffic::CorpusEvent;

/// The baselines.
pub const BASELINES: [Make; 3] = [
    || Box::new(Baseline::new("1000 km within 3 h", thousand_in_three)),
    || Box::new(Baseline::new("900 km/h since last login", nine_hundred)),
    || Box::new(SameDay::default()),
];

/// Where a user was let in.
#[derive(Debug, Clone, Copy)]
struct Visit {
    seconds: i64,
    point: Point,
    door: u64,
}

const DAY: i64 = 24 * 60 * 60;

fn visit(numbers: &wire::Event) -> Option<(Visit, bool)> {
    let event = Event::without_texts(numbers);
    let sight = Sight::of(&event, 0.0, None)?;
    let location = event.location()?;
    #[expect(clippy::cast_possible_truncation, reason = "degrees")]
    let point = Point {
        latitude: location.latitude as f32,
        longitude: location.longitude as f32,
    };
    let door = if sight.address == (0, 0) {
        sight.door
    } else {
        event.network()
    };
    (event.user() != 0).then_some((
        Visit {
            seconds: numbers.time.div_euclid(1000),
            point,
            door,
        },
        sight.login,
    ))
}

/// More than 1000 km between the last two events within three hours.
fn thousand_in_three(last: &Visit, now: &Visit, _: bool) -> bool {
    (now.seconds - last.seconds).abs() <= 3 * 60 * 60 && last.point.distance_km(now.point) > 1000.0
}

/// More than 900 km/h since the last login, over more than nothing.
fn nine_hundred(last: &Visit, now: &Visit, _: bool) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "seconds of a month")]
    let hours = ((now.seconds - last.seconds).abs() as f64 / 3600.0).max(0.0001);
    last.point.distance_km(now.point) / hours > 900.0
}

/// A user, two networks and a day.
type Pair = (u64, u64, u64, i64);

fn pair(user: u64, a: &Visit, b: &Visit) -> Pair {
    (
        user,
        a.door.min(b.door),
        a.door.max(b.door),
        b.seconds.div_euclid(DAY),
    )
}

/// Compares an event with the one before it.
struct Baseline {
    name: &'static str,
    contradicts: fn(&Visit, &Visit, bool) -> bool,
    last: HashMap<u64, Visit>,
    told: HashSet<Pair>,
}

impl Baseline {
    fn new(name: &'static str, contradicts: fn(&Visit, &Visit, bool) -> bool) -> Self {
        Self {
            name,
            contradicts,
            last: HashMap::new(),
            told: HashSet::new(),
        }
    }
}

impl Detector for Baseline {
    fn name(&self) -> &'static str {
        self.name
    }

    fn feed(&mut self, event: &CorpusEvent, alerts: &mut Vec<Alert>) {
        let Some((visit, login)) = visit(&event.numbers) else {
            return;
        };
        let user = event.numbers.user;
        let Some(last) = self.last.insert(user, visit) else {
            return;
        };
        if last.door != visit.door
            && (self.contradicts)(&last, &visit, login)
            && self.told.insert(pair(user, &last, &visit))
        {
            alerts.push(Alert {
                time: event.numbers.time,
                kind: 0,
            });
        }
    }
}

/// Any two places within a calendar day that 100 km/h do not connect.
#[derive(Default)]
struct SameDay {
    day: i64,
    visits: HashMap<u64, Vec<Visit>>,
    told: HashSet<Pair>,
}

impl Detector for SameDay {
    fn name(&self) -> &'static str {
        "100 km/h within a calendar day"
    }

    fn feed(&mut self, event: &CorpusEvent, alerts: &mut Vec<Alert>) {
        let Some((visit, _)) = visit(&event.numbers) else {
            return;
        };
        let day = visit.seconds.div_euclid(DAY);
        if day > self.day {
            self.day = day;
            self.visits.clear();
            self.told.clear();
        }
        let user = event.numbers.user;
        let visits = self.visits.entry(user).or_default();
        for other in visits
            .iter()
            .filter(|other| other.door != visit.door && other.seconds.div_euclid(DAY) == day)
        {
            let needed = other.point.distance_km(visit.point) / 100.0 * 3600.0;
            #[expect(clippy::cast_precision_loss, reason = "seconds of a day")]
            let elapsed = (visit.seconds - other.seconds).abs() as f64;
            if elapsed < needed.floor() && self.told.insert(pair(user, other, &visit)) {
                alerts.push(Alert {
                    time: event.numbers.time,
                    kind: 0,
                });
            }
        }
        // One visit a minute and network is enough for a rule of hours.
        let known =
            |other: &Visit| other.door == visit.door && (visit.seconds - other.seconds).abs() < 60;
        if !visits.iter().rev().take(8).any(known) {
            visits.push(visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use rule_sdk::detection::harness::TestEvent;

    use super::*;
    use crate::traffic::NOTHING;

    fn alerts(make: Make, events: &[TestEvent]) -> usize {
        let (mut detector, mut alerts) = (make(), Vec::new());
        for event in events {
            let numbers = event.numbers();
            detector.feed(
                &CorpusEvent {
                    numbers,
                    agent: NOTHING,
                    arrival: numbers.time,
                },
                &mut alerts,
            );
        }
        alerts.len()
    }

    fn at(minutes: f64, address: &str, latitude: f64, longitude: f64) -> TestEvent {
        TestEvent::new("zoe", minutes)
            .from(address)
            .at(latitude, longitude, 10.0)
    }

    #[test]
    fn each_does_what_its_name_says() {
        let (prague, brno, york) = (
            |minutes| at(minutes, "192.0.2.1", 50.09, 14.42),
            |minutes| at(minutes, "198.51.100.1", 49.20, 16.61),
            |minutes| at(minutes, "203.0.113.1", 40.71, -74.01),
        );
        let [three, speed, day] = BASELINES;
        assert_eq!(alerts(three, &[prague(0.0), york(170.0)]), 1);
        assert_eq!(alerts(three, &[prague(0.0), york(190.0)]), 0);
        assert_eq!(alerts(three, &[prague(0.0), brno(1.0)]), 0);
        assert_eq!(alerts(speed, &[prague(0.0), york(430.0)]), 1);
        assert_eq!(alerts(speed, &[prague(0.0), york(445.0)]), 0);
        assert_eq!(alerts(day, &[prague(0.0), brno(100.0)]), 1);
        assert_eq!(alerts(day, &[prague(0.0), brno(120.0)]), 0);
        assert_eq!(
            alerts(
                day,
                &[prague(0.0), prague(50.0), brno(100.0), prague(110.0)]
            ),
            1
        );
        assert_eq!(
            alerts(day, &[prague(955.0), york(965.0)]),
            0,
            "beyond midnight"
        );
    }
}
