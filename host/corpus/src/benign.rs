//! The sixteen families of false alarms, each of which somebody reported
//! against some other detector. No rule may say anything about any of them.
//!
//! Numbers vary with the seed; so does how much history a user has.

use rule_sdk::detection::{Activity, NetworkKind};

use crate::person::{DAY, Person, Thing, door_to_door, tunnel};
use crate::random::Random;
use crate::scenario::{Scenario, Stage, small};
use crate::traffic::{Client, NOTHING, TOOLS, draw};
use crate::world::Network;

mod machines;
mod places;

/// Names of the families, in the order of their numbers in the literature.
pub const FAMILIES: [&str; 16] = [
    "commercial VPN",
    "privacy relay",
    "satellite and in-flight Wi-Fi",
    "one address whose record moved",
    "near places within minutes",
    "mobile carrier's egress town",
    "zero-trust egress beside a phone",
    "corporate ranges",
    "store Wi-Fi that exits at headquarters",
    "missing or impossible coordinates, rounded times",
    "IPv6 of unknown place",
    "placeholder users",
    "dual stack",
    "office and carrier NAT",
    "late and doubled events",
    "service accounts and tokens",
];

/// Scenario number `number` of family `family`.
#[must_use]
pub fn scenario(family: usize, number: u64, random: &Random) -> Scenario {
    let seed = random.part(u64::try_from(family).unwrap_or(0)).part(number);
    let mut stage = Stage::new(&seed);
    let users = match family {
        0 => commercial_tunnel(&mut stage),
        1 => privacy_relay(&mut stage),
        2 => satellite(&mut stage),
        3 => places::moved_record(&mut stage),
        4 => places::near(&mut stage),
        5 => carrier(&mut stage),
        6 => zero_trust(&mut stage),
        7 => corporate(&mut stage),
        8 => places::store(&mut stage),
        9 => places::impossible(&mut stage),
        10 => places::unknown_sixth(&mut stage),
        11 => machines::placeholder(&mut stage),
        12 => places::dual_stack(&mut stage),
        13 => machines::shared_address(&mut stage),
        14 => machines::late(&mut stage),
        _ => machines::service(&mut stage),
    };
    stage.benign(users)
}

/// The laptop goes in and out of a tunnel; the phone stays where it is.
fn commercial_tunnel(stage: &mut Stage) -> usize {
    let (mut person, start) = stage.person(1, 8);
    let mut now = start + 19.0 * 60.0;
    stage.at_home(&mut person, now);
    let mut exit = tunnel(&mut stage.world, &mut stage.random);
    for _ in 0..stage.random.count(1, 5) {
        now += stage.random.between(22.0, 60.0);
        let length = stage.random.between(5.0, 120.0);
        // Somebody who logs in anew does it through a tunnel that is known as one.
        if exit.kind != NetworkKind::Unknown && stage.random.chance(0.2) {
            person.logs_in(Thing::Laptop, &exit, now, &mut stage.out);
        }
        let client = person.client(Thing::Laptop);
        stage.clicks(&client, &exit, now + 1.0, now + length, 6.0);
        let (phone, home) = (person.client(Thing::Phone), person.home[0]);
        stage.clicks(&phone, &home, now, now + length, 9.0);
        now += length;
        stage.at_home(&mut person, now + 1.0);
        if stage.random.chance(0.5) {
            exit = tunnel(&mut stage.world, &mut stage.random);
        }
    }
    1
}

/// A phone or tablet whose browser goes through a relay, its apps do not.
fn privacy_relay(stage: &mut Stage) -> usize {
    stage.only_log(0.25);
    let (mut person, start) = stage.person(0, 6);
    let now = start + 18.0 * 60.0;
    stage.at_home(&mut person, now);
    for hop in 0..stage.random.count(3, 12) {
        let abroad = stage.random.chance(0.3);
        let city = stage.town(&person.city, abroad, 0.0, 1e9);
        let relay = stage.world.exit(city, NetworkKind::Relay);
        let at = now + 22.0 + small(hop) * stage.random.between(1.0, 20.0);
        let browser = person.client(Thing::Tablet);
        let session = if browser.session == 0 {
            stage.random.bits() | 1
        } else {
            browser.session
        };
        stage.clicks(&Client { session, ..browser }, &relay, at, at + 6.0, 2.0);
        let (phone, home) = (person.client(Thing::Phone), person.home[0]);
        stage.clicks(&phone, &home, at, at + 6.0, 3.0);
    }
    1
}

/// A flight with Wi-Fi on board, and what comes after it.
fn satellite(stage: &mut Stage) -> usize {
    stage.only_log(0.25);
    let (mut person, start) = stage.person(1, 6);
    let boards = start + 9.0 * 60.0;
    let (carrier, home) = (person.carrier, person.home[0]);
    person.uses(
        Thing::Laptop,
        &home,
        start + 6.0 * 60.0,
        start + 6.5 * 60.0,
        5.0,
        &mut stage.out,
    );
    person.uses(
        Thing::Phone,
        &carrier,
        start + 7.0 * 60.0,
        boards,
        15.0,
        &mut stage.out,
    );
    let abroad = stage.random.chance(0.7);
    let there = stage.town(&person.city, abroad, 700.0, 1e9);
    let operator = stage.town(&person.city, true, 3000.0, 1e9);
    let aloft = stage.world.exit(operator, NetworkKind::Satellite);
    let flight = 60.0 + person.city.distance_km(&there) / 850.0 * 60.0;
    person.uses(
        Thing::Laptop,
        &aloft,
        boards + 40.0,
        boards + flight - 20.0,
        12.0,
        &mut stage.out,
    );
    person.uses(
        Thing::Phone,
        &aloft,
        boards + 40.0,
        boards + flight - 20.0,
        25.0,
        &mut stage.out,
    );
    let hotel = stage.world.fixed(there);
    let lands = boards + flight + stage.random.between(60.0, 120.0);
    person.uses(
        Thing::Laptop,
        &hotel,
        lands,
        lands + 180.0,
        20.0,
        &mut stage.out,
    );
    // Or a cabin that only ever has a dish.
    person.uses(
        Thing::Tablet,
        &aloft,
        lands + 200.0,
        lands + 260.0,
        20.0,
        &mut stage.out,
    );
    1
}

/// A phone changes between Wi-Fi and a carrier whose gateway is far away.
fn carrier(stage: &mut Stage) -> usize {
    stage.only_log(0.25);
    let (mut person, start) = stage.person(0, 6);
    let mut now = start + 8.0 * 60.0;
    let roams = stage.random.chance(0.4);
    let gateway = stage.town(&person.city, roams, 150.0, 1e9);
    let carrier = stage.world.exit(gateway, NetworkKind::Mobile);
    let home = person.home[0];
    stage.at_home(&mut person, now);
    for _ in 0..stage.random.count(4, 20) {
        now += stage.random.between(21.0, 40.0);
        person.uses(Thing::Phone, &carrier, now, now + 8.0, 2.0, &mut stage.out);
        person.uses(
            Thing::Phone,
            &home,
            now + 8.5,
            now + 14.0,
            3.0,
            &mut stage.out,
        );
        person.uses(Thing::Laptop, &home, now, now + 20.0, 5.0, &mut stage.out);
        if stage.random.chance(0.1) {
            person.logs_in(Thing::Phone, &carrier, now + 16.0, &mut stage.out);
        }
    }
    1
}

/// A laptop leaves through a provider's nodes in changing towns, with hundreds
/// of addresses a week, while the phone is at home.
fn zero_trust(stage: &mut Stage) -> usize {
    let (mut person, start) = stage.person(1, 5);
    let listed = stage.random.chance(0.75);
    let kinds = [
        NetworkKind::Corporate,
        NetworkKind::Hosting,
        NetworkKind::Vpn,
    ];
    let kind = if listed {
        stage.random.pick(&kinds, NetworkKind::Corporate)
    } else {
        NetworkKind::Unknown
    };
    let home = person.home[0];
    for day in 0..stage.random.count(2, 6) {
        let morning = start + small(day) * DAY + 8.0 * 60.0;
        stage.at_home(&mut person, morning - 30.0);
        let mut now = morning;
        while now < morning + 8.0 * 60.0 {
            let abroad = stage.random.chance(0.5);
            let node = stage.town(&person.city, abroad, 0.0, 2000.0);
            let exit: Network = stage.world.exit(node, kind);
            let laptop = person.client(Thing::Laptop);
            stage.clicks(&laptop, &exit, now, now + 3.0, 2.0);
            let phone = person.client(Thing::Phone);
            stage.clicks(&phone, &home, now + 1.0, now + 4.0, 3.0);
            now += stage.random.between(5.0, 25.0);
        }
    }
    1
}

/// Offices and tunnels the operator has named, in other towns.
fn corporate(stage: &mut Stage) -> usize {
    stage.only_log(0.25);
    let (mut person, start) = stage.person(0, 6);
    let abroad = stage.random.chance(0.4);
    let headquarters = stage.town(&person.city, abroad, 200.0, 1e9);
    let office = stage.world.exit(headquarters, NetworkKind::Corporate);
    let home = person.home[0];
    for day in 0..stage.random.count(1, 5) {
        let morning = start + small(day) * DAY + 9.0 * 60.0;
        person.uses(
            Thing::Laptop,
            &home,
            morning - 30.0,
            morning,
            5.0,
            &mut stage.out,
        );
        person.uses(
            Thing::Laptop,
            &office,
            morning + 1.0,
            morning + 300.0,
            15.0,
            &mut stage.out,
        );
        person.uses(
            Thing::Desktop,
            &office,
            morning + 1.0,
            morning + 300.0,
            10.0,
            &mut stage.out,
        );
        person.uses(
            Thing::Phone,
            &home,
            morning,
            morning + 300.0,
            20.0,
            &mut stage.out,
        );
        if stage.random.chance(0.3) {
            person.replaces(Thing::Laptop);
        }
    }
    1
}

/// Waits until a journey of this length can have been made.
fn journey(person: &Person, to: &Network, random: &mut Random) -> f64 {
    door_to_door(person.city.distance_km(&to.city)) * random.between(1.0, 1.5)
}

/// A client that is a script of this user.
fn script(user: u64, random: &mut Random) -> Client {
    Client {
        user,
        session: random.bits() | 1,
        device: 0,
        agent: draw(random, &TOOLS),
    }
}

/// A client that names nothing but its device.
fn bare(user: u64, device: u64) -> Client {
    Client {
        user,
        session: 0,
        device,
        agent: NOTHING,
    }
}

/// Adds a failed login.
fn fails(stage: &mut Stage, at: f64, client: &Client, network: &Network) {
    stage.out.add(at, client, network, Activity::LoginFailure);
}
