//! Incidents of passwords and second factors being guessed.

use rule_sdk::detection::{Activity, NetworkKind};

use crate::scenario::{Scenario, Stage, small};
use crate::traffic::{Client, TOOLS, draw};

/// Few passwords for many users from one network, or a list of stolen ones;
/// `succeeds` when one of them is right.
pub(super) fn spray(mut stage: Stage, succeeds: bool) -> Scenario {
    stage.only_log(0.3);
    let city = stage
        .random
        .pick(&crate::world::CITIES, crate::world::CITIES[0]);
    let lair = stage.lair(city);
    let tool = stage.random.chance(0.6);
    let agent = if tool {
        draw(&mut stage.random, &TOOLS)
    } else {
        stage.stranger(0, 0.0).agent
    };
    let users = stage.random.count(12, 300);
    let pause = stage.random.between(0.02, 3.0);
    let from = 600.0;
    let mut now = from;
    let lucky = if succeeds {
        stage.random.count(10, users - 1)
    } else {
        usize::MAX
    };
    for victim in 0..users {
        let client = Client {
            user: stage.random.bits() | 1,
            session: 0,
            device: 0,
            agent,
        };
        for _ in 0..stage.random.count(1, 2) {
            stage.out.add(now, &client, &lair, Activity::LoginFailure);
            now += stage.random.pause(pause).max(0.01);
        }
        if victim == lucky {
            let client = Client {
                session: stage.random.bits() | 1,
                ..client
            };
            stage.out.add(now, &client, &lair, Activity::LoginSuccess);
        }
    }
    stage.incident(users, from)
}

/// Many passwords for one user, from one network or many.
pub(super) fn burst(mut stage: Stage) -> Scenario {
    let (mut person, start) = stage.person(1, 6);
    let from = start + stage.random.between(0.0, 20.0) * 60.0;
    let many = stage.random.chance(0.4);
    let city = stage.town(&person.city, true, 0.0, 1e9);
    let mut lair = stage.lair(city);
    let mut client = stage.stranger(person.user, 0.0);
    client.session = 0;
    let mut now = from;
    for _ in 0..stage.random.count(12, 200) {
        if many {
            lair = stage.lair(city);
        }
        stage.out.add(now, &client, &lair, Activity::LoginFailure);
        now += stage.random.between(0.02, 2.4);
    }
    if stage.random.chance(0.3) {
        client.session = stage.random.bits() | 1;
        stage.intrudes(&client, &lair, now, now + 10.0);
    }
    person.day(start / crate::person::DAY, &mut stage.world, &mut stage.out);
    stage.incident(1, from)
}

/// A known password, and prompts until the user gives in or does not.
pub(super) fn fatigue(mut stage: Stage) -> Scenario {
    let (mut person, start) = stage.person(1, 6);
    let from = start + stage.random.between(0.0, 23.0) * 60.0;
    let city = stage.random.pick(&crate::world::CITIES, person.city);
    let kind = stage.random.pick(
        &[NetworkKind::Vpn, NetworkKind::Hosting, NetworkKind::Unknown],
        NetworkKind::Unknown,
    );
    let lair = stage.world.exit(city, kind);
    let mut client = stage.stranger(person.user, 0.0);
    client.session = 0;
    let mut now = from;
    for prompt in 0..stage.random.count(6, 40) {
        let activity = if prompt % 3 == 2 {
            Activity::MfaFailure
        } else {
            Activity::MfaPrompt
        };
        stage.out.add(now, &client, &lair, activity);
        now += stage.random.between(0.1, 2.0);
    }
    if stage.random.chance(0.5) {
        client.session = stage.random.bits() | 1;
        stage.intrudes(&client, &lair, now, now + small(20));
    }
    person.day(start / crate::person::DAY, &mut stage.world, &mut stage.out);
    stage.incident(1, from)
}
