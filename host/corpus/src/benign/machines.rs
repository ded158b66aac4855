//! Families about many users behind one address, and users who are no people.

use rule_sdk::detection::{Activity, NetworkKind};

use super::{bare, fails, script};
use crate::person::{DAY, Thing};
use crate::scenario::{Stage, small};
use crate::traffic::Client;

/// Records that name nobody, from everywhere.
pub(super) fn placeholder(stage: &mut Stage) -> usize {
    stage.only_log(0.25);
    let (person, start) = stage.person(0, 2);
    for number in 0..stage.random.count(30, 120) {
        let city = stage.random.pick(&crate::world::CITIES, person.city);
        let network = stage.world.fixed(city);
        let at = start + 600.0 + small(number) * stage.random.between(0.1, 5.0);
        let device = stage.random.bits() | 1;
        let client = if stage.random.chance(0.5) {
            stage.stranger(0, 0.0)
        } else {
            bare(0, device)
        };
        let activity = stage.random.pick(
            &[
                Activity::Other,
                Activity::LoginSuccess,
                Activity::LoginFailure,
            ],
            Activity::Other,
        );
        stage.out.add(at, &client, &network, activity);
    }
    1
}

/// An office or carrier behind one network: a morning in which people mistype,
/// forget, and mostly get in.
pub(super) fn shared_address(stage: &mut Stage) -> usize {
    stage.only_log(0.25);
    let users = stage.random.count(40, 400);
    let city = stage
        .random
        .pick(&crate::world::CITIES, crate::world::CITIES[0]);
    let kind = stage.random.pick(
        &[
            NetworkKind::Unknown,
            NetworkKind::Corporate,
            NetworkKind::Mobile,
        ],
        NetworkKind::Unknown,
    );
    let network = stage.world.exit(city, kind);
    let (mistypes, forgets) = (
        stage.random.between(0.02, 0.2),
        stage.random.between(0.0, 0.04),
    );
    for _ in 0..users {
        let user = stage.random.bits() | 1;
        let mut client = stage.stranger(user, 0.2);
        let session = std::mem::take(&mut client.session);
        let mut at = 8.0 * 60.0 + stage.random.between(0.0, 150.0);
        if stage.random.chance(forgets) {
            for _ in 0..stage.random.count(2, 6) {
                fails(stage, at, &client, &network);
                at += stage.random.between(0.2, 2.0);
            }
            if stage.random.chance(0.6) {
                continue;
            }
        } else if stage.random.chance(mistypes) {
            fails(stage, at, &client, &network);
            at += 0.3;
        }
        client.session = session;
        stage.out.add(at, &client, &network, Activity::LoginSuccess);
        stage.clicks(&client, &network, at + 1.0, at + 60.0, 20.0);
    }
    users
}

/// Events that arrive minutes late, out of order and twice, of people who
/// also travel.
pub(super) fn late(stage: &mut Stage) -> usize {
    stage.only_log(0.25);
    let first = stage.out.events.len();
    let (_, _) = stage.person(5, 12);
    let share = stage.random.between(0.05, 0.5);
    let longest = stage.random.between(1.0, 15.0) * 60_000.0;
    let mut doubles = Vec::new();
    for event in stage.out.events.iter_mut().skip(first) {
        if stage.random.chance(share) {
            #[expect(clippy::cast_possible_truncation, reason = "minutes")]
            let delay = stage.random.between(0.0, longest) as i64;
            event.arrival += delay;
            if stage.random.chance(0.3) {
                let mut double = *event;
                double.arrival += delay / 2;
                doubles.push(double);
            }
        }
    }
    stage.out.events.extend(doubles);
    1
}

/// Bots that log in from several regions, and people with scripts of their own.
pub(super) fn service(stage: &mut Stage) -> usize {
    let (mut person, start) = stage.person(1, 5);
    let bot = stage.random.bits() | 1;
    let regions = stage.random.count(2, 6);
    let kinds = [NetworkKind::Hosting, NetworkKind::Unknown];
    let logs_in = stage.random.chance(0.5);
    for region in 0..regions {
        let city = stage.random.pick(&crate::world::CITIES, person.city);
        let kind = stage.random.pick(&kinds, NetworkKind::Hosting);
        let network = stage.world.exit(city, kind);
        let client = script(bot, &mut stage.random);
        let from = start + small(region) * 3.0;
        if logs_in {
            stage
                .out
                .add(from, &client, &network, Activity::LoginSuccess);
        }
        stage.clicks(&client, &network, from + 0.5, from + 2.0 * DAY, 45.0);
        // Runners with a new identifier each time.
        for run in 0..stage.random.count(0, 12) {
            let runner = Client {
                device: stage.random.bits() | 1,
                ..client
            };
            stage
                .out
                .add(from + small(run) * 60.0, &runner, &network, Activity::Other);
        }
        let own = script(person.user, &mut stage.random);
        stage.clicks(&own, &network, from + 10.0, from + DAY, 60.0);
    }
    for hour in 8..20 {
        let home = person.home[0];
        let now = start + small(hour) * 60.0;
        person.uses(Thing::Laptop, &home, now, now + 30.0, 10.0, &mut stage.out);
    }
    2
}
