//! Incidents every detector is asked about, each many times with varied
//! numbers, in the midst of ordinary traffic of their victims.

use rule_sdk::detection::NetworkKind;

use crate::person::{DAY, Thing};
use crate::random::Random;
use crate::scenario::{Scenario, Stage, small};
use crate::traffic::{Client, DESKTOPS, draw};

mod guessing;
mod sharing;

/// A kind of incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// What happens.
    pub name: &'static str,
    /// Whether it can be seen from places at all.
    pub of_places: bool,
    /// Rules that exist to find it.
    pub duty: &'static [&'static str],
}

const TRAVEL: &[&str] = &["impossible-travel"];
const SESSION: &[&str] = &["session-moved"];

/// The kinds, in the order of their numbers.
pub const KINDS: [Kind; 15] = [
    Kind {
        name: "takeover from another country",
        of_places: true,
        duty: TRAVEL,
    },
    Kind {
        name: "phishing relay in the same country",
        of_places: true,
        duty: &["impossible-travel", "session-moved"],
    },
    Kind {
        name: "stolen session",
        of_places: true,
        duty: SESSION,
    },
    Kind {
        name: "slow travel with a stolen session",
        of_places: true,
        duty: SESSION,
    },
    Kind {
        name: "simultaneous use",
        of_places: true,
        duty: TRAVEL,
    },
    Kind {
        name: "A-B-A hops",
        of_places: true,
        duty: TRAVEL,
    },
    Kind {
        name: "overlapping sharing",
        of_places: true,
        duty: &["account-sharing"],
    },
    Kind {
        name: "low-and-slow sharing",
        of_places: true,
        duty: &["account-sharing"],
    },
    Kind {
        name: "eduroam concurrent logins",
        of_places: true,
        duty: TRAVEL,
    },
    Kind {
        name: "password spray",
        of_places: false,
        duty: &["password-spray"],
    },
    Kind {
        name: "stuffing followed by success",
        of_places: false,
        duty: &["password-spray"],
    },
    Kind {
        name: "failed-login burst",
        of_places: false,
        duty: &["failed-logins"],
    },
    Kind {
        name: "MFA fatigue",
        of_places: false,
        duty: &["failed-logins"],
    },
    Kind {
        name: "one device for many accounts",
        of_places: false,
        duty: &["shared-device"],
    },
    Kind {
        name: "one account on many devices",
        of_places: false,
        duty: &["many-devices"],
    },
];

/// Scenario number `number` of kind `kind`.
#[must_use]
pub fn scenario(kind: usize, number: u64, random: &Random) -> Scenario {
    let seed = random
        .part(1000 + u64::try_from(kind).unwrap_or(0))
        .part(number);
    let stage = Stage::new(&seed);
    match kind {
        0 => takeover(stage),
        1 => phishing_relay(stage),
        2 => stolen_session(stage, 0.02, 0.5),
        3 => stolen_session(stage, 1.0, 6.0),
        4 => simultaneous(stage),
        5 => hops(stage),
        6 => sharing::overlapping(stage),
        7 => sharing::by_turns(stage),
        8 => sharing::eduroam(stage),
        9 => guessing::spray(stage, false),
        10 => guessing::spray(stage, true),
        11 => guessing::burst(stage),
        12 => guessing::fatigue(stage),
        13 => sharing::one_device(stage),
        _ => sharing::many_devices(stage),
    }
}

/// Somebody abroad logs in with the user's password and comes back to it over
/// hours, while the user lives on.
fn takeover(mut stage: Stage) -> Scenario {
    stage.only_log(0.25);
    let (mut person, start) = stage.person(2, 12);
    let far = stage.town(&person.city, true, 300.0, 1e9);
    let lair = stage.lair(far);
    let client = stage.stranger(person.user, 0.2);
    let from = start + stage.random.between(0.0, DAY);
    let mut now = from;
    let until = now + stage.random.between(3.0, 40.0);
    stage.intrudes(&client, &lair, now, until);
    for _ in 0..stage.random.count(1, 6) {
        now += stage.random.between(60.0, 500.0);
        let until = now + stage.random.between(2.0, 40.0);
        stage.clicks(&client, &lair, now, until, 5.0);
    }
    live_on(&mut stage, &mut person, start, 3);
    stage.incident(1, from)
}

/// The victim signs in through a relay in the own country; the thief goes on
/// with the session from elsewhere.
fn phishing_relay(mut stage: Stage) -> Scenario {
    let (mut person, start) = stage.person(2, 12);
    let from = start + stage.random.between(9.0, 20.0) * 60.0;
    stage.at_home(&mut person, from - 22.0);
    let near = stage.town(&person.city, false, 130.0, 5000.0);
    let kind = stage.random.pick(
        &[NetworkKind::Hosting, NetworkKind::Unknown],
        NetworkKind::Unknown,
    );
    let relay = stage.world.exit(near, kind);
    let victim = person.client(Thing::Laptop);
    let caught = Client {
        session: stage.random.bits() | 1,
        device: 0,
        ..victim
    };
    stage.intrudes(&caught, &relay, from, from + 3.0);
    let elsewhere = stage.town(&person.city, false, 0.0, 5000.0);
    let lair = stage.lair(elsewhere);
    let thief = Client {
        agent: stage.stranger(0, 0.0).agent,
        ..caught
    };
    let takes = from + stage.random.between(1.0, 120.0);
    let until = takes + stage.random.between(5.0, 90.0);
    stage.clicks(&thief, &lair, takes, until, 4.0);
    live_on(&mut stage, &mut person, start, 2);
    stage.incident(1, from)
}

/// A session is used by somebody else, minutes or days after it was stolen.
fn stolen_session(mut stage: Stage, least_days: f64, most_days: f64) -> Scenario {
    let (mut person, start) = stage.person(2, 10);
    let stolen_at = start + 18.0 * 60.0;
    stage.at_home(&mut person, stolen_at - 21.0);
    let session = person.client(Thing::Laptop);
    let from = stolen_at + stage.random.between(least_days, most_days) * DAY;
    let abroad = stage.random.chance(0.7);
    let city = stage.town(&person.city, abroad, 0.0, 1e9);
    let lair = stage.lair(city);
    let mimics = least_days < 1.0 && stage.random.chance(0.1);
    let mut agent = draw(&mut stage.random, &DESKTOPS);
    while agent == session.agent && !mimics {
        agent = draw(&mut stage.random, &DESKTOPS);
    }
    let thief = Client {
        agent: if mimics { session.agent } else { agent },
        device: 0,
        ..session
    };
    for visit in 0..stage.random.count(1, 5) {
        let at = from + small(visit) * stage.random.between(15.0, 300.0);
        let until = at + stage.random.between(3.0, 60.0);
        stage.clicks(&thief, &lair, at, until, 4.0);
    }
    live_on(&mut stage, &mut person, start, 2);
    stage.incident(1, from)
}

/// Somebody elsewhere uses the account in the very minutes its owner does.
fn simultaneous(mut stage: Stage) -> Scenario {
    stage.only_log(0.25);
    let (mut person, start) = stage.person(1, 10);
    let from = start + stage.random.between(8.0, 20.0) * 60.0;
    let home = person.home[0];
    let abroad = stage.random.chance(0.6);
    let city = stage.town(&person.city, abroad, 300.0, 1e9);
    let other = stage.world.placed(city);
    let client = stage.stranger(person.user, 0.3);
    let until = from + stage.random.between(10.0, 120.0);
    person.uses(
        Thing::Laptop,
        &home,
        from - 10.0,
        until,
        2.0,
        &mut stage.out,
    );
    stage.intrudes(&client, &other, from, until);
    stage.incident(1, from)
}

/// The account hops between two places, or three.
fn hops(mut stage: Stage) -> Scenario {
    stage.only_log(0.25);
    let (mut person, start) = stage.person(1, 10);
    let from = start + stage.random.between(8.0, 16.0) * 60.0;
    let home = person.home[0];
    let third = stage.random.chance(0.3);
    let mut others = Vec::new();
    for _ in 0..=usize::from(third) {
        let abroad = stage.random.chance(0.6);
        let city = stage.town(&person.city, abroad, 400.0, 1e9);
        others.push((stage.stranger(person.user, 0.3), stage.world.placed(city)));
    }
    person.uses(
        Thing::Laptop,
        &home,
        from - 15.0,
        from - 5.0,
        2.0,
        &mut stage.out,
    );
    let mut now = from;
    for _ in 0..stage.random.count(2, 8) {
        for (client, network) in &others {
            stage.intrudes(client, network, now, now + 3.0);
            now += stage.random.between(4.0, 25.0);
        }
        person.uses(Thing::Laptop, &home, now, now + 3.0, 1.0, &mut stage.out);
        now += stage.random.between(4.0, 25.0);
    }
    stage.incident(1, from)
}

/// The victim's ordinary days after the incident began.
fn live_on(stage: &mut Stage, person: &mut crate::person::Person, start: f64, days: usize) {
    for day in 0..days {
        person.day(start / DAY + small(day), &mut stage.world, &mut stage.out);
    }
}
