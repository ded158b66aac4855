//! Families about places and what databases make of them.

use rule_sdk::detection::NetworkKind;

use super::journey;
use crate::person::{DAY, Thing};
use crate::scenario::{Stage, small};
use crate::traffic::milliseconds;
use crate::world::Network;

/// The household's record moves to another town, back and forth.
pub(super) fn moved_record(stage: &mut Stage) -> usize {
    let (mut person, start) = stage.person(1, 6);
    let home = person.home[0];
    let mut now = start + 7.0 * 60.0;
    stage.at_home(&mut person, now);
    for _ in 0..stage.random.count(1, 4) {
        let abroad = stage.random.chance(0.2);
        let elsewhere = stage.town(&person.city, abroad, 150.0, 1e9);
        let moved = Network {
            record: Some((
                elsewhere.latitude,
                elsewhere.longitude,
                stage.random.pick(&[10.0, 50.0], 20.0),
            )),
            country: elsewhere.country,
            ..home
        };
        now += stage.random.between(21.0, 50.0);
        person.uses(Thing::Laptop, &moved, now, now + 20.0, 4.0, &mut stage.out);
        person.uses(Thing::Phone, &moved, now, now + 20.0, 4.0, &mut stage.out);
        person.logs_in(Thing::Tablet, &moved, now + 5.0, &mut stage.out);
        let office = person.office;
        person.uses(
            Thing::Laptop,
            &office,
            now + 50.0,
            now + 90.0,
            9.0,
            &mut stage.out,
        );
        now += 150.0;
        person.uses(Thing::Phone, &home, now, now + 20.0, 5.0, &mut stage.out);
    }
    1
}

/// Home, shop, school and back, each a few kilometres on.
pub(super) fn near(stage: &mut Stage) -> usize {
    stage.only_log(0.25);
    let (mut person, start) = stage.person(0, 6);
    let mut now = start + 15.0 * 60.0;
    for _ in 0..stage.random.count(3, 10) {
        let place = person
            .city
            .away(stage.random.between(1.0, 35.0), &mut stage.random);
        let mut network = stage.world.exit(place, NetworkKind::Unknown);
        network.as_number += 1;
        let thing = stage
            .random
            .pick(&[Thing::Phone, Thing::Laptop, Thing::Tablet], Thing::Phone);
        if stage.random.chance(0.3) {
            person.logs_in(thing, &network, now, &mut stage.out);
        }
        person.uses(thing, &network, now, now + 4.0, 1.0, &mut stage.out);
        now += stage.random.between(4.0, 10.0);
    }
    1
}

/// The store's Wi-Fi shows the headquarters' address, far away.
pub(super) fn store(stage: &mut Stage) -> usize {
    let (mut person, start) = stage.person(1, 6);
    let headquarters = stage.town(&person.city, false, 150.0, 1500.0);
    let mut exit = stage.world.exit(headquarters, NetworkKind::Unknown);
    let home = person.home[0];
    let carrier = person.carrier;
    for day in 0..stage.random.count(1, 6) {
        let now = start + small(day) * DAY + 16.0 * 60.0;
        stage.at_home(&mut person, now);
        let phone = person.client(Thing::Phone);
        stage.clicks(&phone, &carrier, now + 21.0, now + 30.0, 4.0);
        stage.clicks(&phone, &exit, now + 31.0, now + 50.0, 4.0);
        let laptop = person.client(Thing::Laptop);
        stage.clicks(&laptop, &home, now + 25.0, now + 60.0, 6.0);
        stage.clicks(&phone, &home, now + 62.0, now + 80.0, 4.0);
        if stage.random.chance(0.3) {
            exit = stage.world.exit(headquarters, NetworkKind::Unknown);
        }
    }
    1
}

/// Coordinates of 0,0, off the globe or not a number; times cut to the hour.
pub(super) fn impossible(stage: &mut Stage) -> usize {
    stage.only_log(0.25);
    let (mut person, start) = stage.person(0, 6);
    let first = stage.out.events.len();
    let mut now = start + 8.0 * 60.0;
    stage.at_home(&mut person, now);
    let wrong = [
        (0.0, 0.0, 10.0),
        (f64::NAN, 10.0, 5.0),
        (95.0, 10.0, 5.0),
        (10.0, -190.0, 5.0),
        (50.0, 14.0, 9000.0),
    ];
    for _ in 0..stage.random.count(3, 10) {
        now += stage.random.between(21.0, 30.0);
        let mut network = stage.world.fixed(person.city);
        network.record = Some(stage.random.pick(&wrong, (0.0, 0.0, 0.0)));
        let thing = stage
            .random
            .pick(&[Thing::Phone, Thing::Laptop, Thing::Tablet], Thing::Phone);
        person.uses(thing, &network, now, now + 10.0, 3.0, &mut stage.out);
        stage.at_home(&mut person, now + 12.0);
    }
    let abroad = stage.random.chance(0.4);
    let there = stage.town(&person.city, abroad, 100.0, 3000.0);
    let hotel = stage.world.exit(there, NetworkKind::Unknown);
    let arrives = now + 60.0 + journey(&person, &hotel, &mut stage.random) + 60.0;
    person.uses(
        Thing::Laptop,
        &hotel,
        arrives,
        arrives + 120.0,
        15.0,
        &mut stage.out,
    );
    for event in stage.out.events.iter_mut().skip(first) {
        event.numbers.time -= event.numbers.time.rem_euclid(3_600_000);
    }
    1
}

/// IPv6 whose place is unknown, or known to lie in the country.
pub(super) fn unknown_sixth(stage: &mut Stage) -> usize {
    stage.only_log(0.25);
    let (mut person, start) = stage.person(0, 6);
    let home = person.home[0];
    let mut sixth = stage.world.sixth(&home);
    let mut now = start + 19.0 * 60.0;
    for _ in 0..stage.random.count(3, 12) {
        let middle = stage.town(&person.city, false, 0.0, 1e9);
        let vague = (
            middle.latitude,
            middle.longitude,
            stage.random.pick(&[1000.0, 5000.0], 1000.0),
        );
        let far = person.city.distance_km(&middle) > f64::from(vague.2);
        sixth.record = (!far && stage.random.chance(0.6)).then_some(vague);
        let thing = stage
            .random
            .pick(&[Thing::Phone, Thing::Laptop, Thing::Tablet], Thing::Phone);
        person.uses(thing, &sixth, now, now + 6.0, 2.0, &mut stage.out);
        person.uses(thing, &home, now + 6.0, now + 12.0, 2.0, &mut stage.out);
        now += stage.random.between(12.0, 40.0);
    }
    1
}

/// One device, two protocols, two records.
pub(super) fn dual_stack(stage: &mut Stage) -> usize {
    let (mut person, start) = stage.person(0, 6);
    let mut home = person.home[0];
    home.record = Some((person.city.latitude, person.city.longitude, 20.0));
    let elsewhere = stage.town(&person.city, false, 100.0, 1e9);
    let mut sixth = stage.world.sixth(&home);
    sixth.record = Some((
        elsewhere.latitude,
        elsewhere.longitude,
        stage.random.pick(&[20.0, 100.0], 50.0),
    ));
    let mut now = start + 18.0 * 60.0;
    let forgetful = stage.random.chance(0.3);
    for _ in 0..stage.random.count(5, 30) {
        let thing = stage
            .random
            .pick(&[Thing::Phone, Thing::Laptop, Thing::Tablet], Thing::Phone);
        let network = stage.random.pick(&[home, sixth], home);
        if forgetful {
            // An application without sessions or device names.
            let client = crate::traffic::Client {
                session: 0,
                device: 0,
                ..person.client(thing)
            };
            stage.clicks(&client, &network, now, now + 2.0, 1.0);
        } else {
            person.uses(thing, &network, now, now + 2.0, 1.0, &mut stage.out);
        }
        now += stage.random.between(0.5, 10.0);
    }
    debug_assert!(
        stage
            .out
            .events
            .iter()
            .all(|event| event.arrival >= milliseconds(0.0))
    );
    1
}
