//! Incidents of accounts and devices in several hands.

use rule_sdk::detection::{Activity, NetworkKind};

use crate::person::{DAY, Thing};
use crate::scenario::{Scenario, Stage, small};
use crate::traffic::{Client, NOTHING};
use crate::world::Network;

/// Two to four households in different towns use one account at once.
pub(super) fn overlapping(mut stage: Stage) -> Scenario {
    let (mut person, start) = stage.person(1, 5);
    let mut others = households(&mut stage, &person.city.clone(), person.user, 1, 3);
    let home = person.home[0];
    for day in 0..stage.random.count(4, 14) {
        let evening = start + small(day) * DAY + 18.0 * 60.0;
        let until = evening + stage.random.between(60.0, 180.0);
        person.uses(Thing::Laptop, &home, evening, until, 6.0, &mut stage.out);
        person.uses(Thing::Phone, &home, evening, until, 10.0, &mut stage.out);
        for (clients, network) in &mut others {
            let from = evening + stage.random.between(0.0, 60.0);
            for client in clients {
                stage.clicks(client, network, from, until, 7.0);
            }
        }
    }
    stage.incident(1, start)
}

/// Two households far apart take turns: one in the day, one in the evening.
pub(super) fn by_turns(mut stage: Stage) -> Scenario {
    let (mut person, start) = stage.person(1, 5);
    let others = households(&mut stage, &person.city.clone(), person.user, 1, 1);
    let home = person.home[0];
    for day in 0..stage.random.count(8, 21) {
        let midnight = start + small(day) * DAY;
        if stage.random.chance(0.9) {
            let from = midnight + stage.random.between(6.0, 9.0) * 60.0;
            person.uses(
                Thing::Laptop,
                &home,
                from,
                from + stage.random.between(20.0, 180.0),
                12.0,
                &mut stage.out,
            );
        }
        for (clients, network) in &others {
            if stage.random.chance(0.9) {
                let from = midnight + stage.random.between(17.0, 20.0) * 60.0;
                let until = from + stage.random.between(20.0, 180.0);
                for client in clients {
                    stage.clicks(client, network, from, until, 12.0);
                }
            }
        }
    }
    stage.incident(1, start)
}

/// Strangers' households, each with one or two devices.
fn households(
    stage: &mut Stage,
    home: &crate::world::City,
    user: u64,
    least: usize,
    most: usize,
) -> Vec<(Vec<Client>, Network)> {
    let mut list = Vec::new();
    for _ in 0..stage.random.count(least, most) {
        let abroad = stage.random.chance(0.3);
        let city = stage.town(home, abroad, 350.0, 3000.0);
        let network = stage.world.placed(city);
        let clients = (0..stage.random.count(1, 2))
            .map(|_| stage.stranger(user, 0.3))
            .collect();
        list.push((clients, network));
    }
    list
}

/// One identity at two institutions faster than any train, with two devices.
pub(super) fn eduroam(mut stage: Stage) -> Scenario {
    let city = stage
        .random
        .pick(&crate::world::CITIES, crate::world::CITIES[0]);
    let campus = stage.world.site(city);
    let elsewhere = stage.town(&city, false, 60.0, 2000.0);
    let other = stage.world.site(elsewhere);
    let user = stage.random.bits() | 1;
    let own = Client {
        user,
        session: 0,
        device: stage.random.bits() | 1,
        agent: NOTHING,
    };
    let stolen = Client {
        device: stage.random.bits() | 1,
        ..own
    };
    let days = stage.random.count(1, 10);
    for day in 0..=days {
        let morning = small(day) * DAY + 9.0 * 60.0;
        attends(&mut stage, &own, &campus, morning, morning + 400.0);
    }
    let from = small(days) * DAY + stage.random.between(10.0, 15.0) * 60.0;
    let until = from + stage.random.between(20.0, 120.0);
    attends(&mut stage, &stolen, &other, from, until);
    stage.incident(1, from)
}

/// Authentications of a device on a campus: every so often while it roams.
pub(crate) fn attends(stage: &mut Stage, client: &Client, site: &Network, from: f64, until: f64) {
    let mut now = from;
    while now < until {
        stage.out.add(now, client, site, Activity::LoginSuccess);
        now += stage.random.pause(18.0).max(0.5);
    }
}

/// An intruder's device signs in as many.
pub(super) fn one_device(mut stage: Stage) -> Scenario {
    let city = stage
        .random
        .pick(&crate::world::CITIES, crate::world::CITIES[0]);
    let lair = stage.lair(city);
    let device = stage.random.bits() | 1;
    let agent = stage.stranger(0, 0.0).agent;
    let victims = stage.random.count(3, 20);
    let from = 600.0;
    for victim in 0..victims {
        let client = Client {
            user: stage.random.bits() | 1,
            session: stage.random.bits() | 1,
            device,
            agent,
        };
        let at = from + small(victim) * stage.random.between(2.0, 200.0);
        stage.intrudes(&client, &lair, at, at + 4.0);
    }
    stage.incident(victims, from)
}

/// An account sold to many, each with a device of their own.
pub(super) fn many_devices(mut stage: Stage) -> Scenario {
    let (person, start) = stage.person(1, 4);
    for buyer in 0..stage.random.count(8, 30) {
        let mut client = stage.stranger(person.user, 1.0);
        client.session = stage.random.bits() | 1;
        let place = person
            .city
            .away(stage.random.between(0.0, 40.0), &mut stage.random);
        let network = stage.world.exit(place, NetworkKind::Unknown);
        let at = start + small(buyer) * stage.random.between(10.0, 240.0);
        stage.intrudes(&client, &network, at, at + 10.0);
    }
    stage.incident(1, start)
}
