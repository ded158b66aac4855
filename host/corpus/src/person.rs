//! A person with things and habits, who makes ordinary traffic day by day.

use rule_sdk::detection::{Activity, NetworkKind};

use crate::random::Random;
use crate::traffic::{Agent, Client, DESKTOPS, PHONES, TABLETS, Traffic, draw};
use crate::world::{City, Network, World};

/// Minutes of a day.
pub const DAY: f64 = 1440.0;

/// A device with the session its browser holds.
#[derive(Debug, Clone, Copy)]
pub struct Device {
    /// Its identifier; 0 when it names none.
    pub id: u64,
    /// Browser or app.
    pub agent: Agent,
    session: u64,
    /// Minute at which the session ends.
    session_ends: f64,
    session_days: f64,
}

/// Which device of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// Carried everywhere.
    Phone,
    /// Carried between home, office and hotels.
    Laptop,
    /// Stays in the office, or at home when there is none.
    Desktop,
    /// Stays at home.
    Tablet,
}

/// A person.
#[derive(Debug, Clone)]
pub struct Person {
    /// Hash of the user name.
    pub user: u64,
    /// The town lived in.
    pub city: City,
    /// The household's network, and its IPv6 side.
    pub home: [Network; 2],
    /// The office's network.
    pub office: Network,
    /// The phone's carrier.
    pub carrier: Network,
    /// A tunnel, for those who have one.
    pub tunnel: Option<Network>,
    things: [Device; 4],
    random: Random,
    trip: Option<Trip>,
    second_factor: bool,
    /// Whether the desktop stays on and refreshes its pages during journeys.
    pub leaves_desktop_on: bool,
}

#[derive(Debug, Clone, Copy)]
struct Trip {
    hotel: Network,
    phone: Network,
    /// Minute of leaving home.
    departs: f64,
    /// Minute of arrival there, and of leaving there again.
    arrives: f64,
    leaves: f64,
    /// Minute of being back.
    back: f64,
}

impl Person {
    /// Number `index` of a population.
    #[must_use]
    pub fn new(index: u64, world: &mut World, random: &Random) -> Self {
        let mut random = random.part(index);
        let towns = &crate::world::CITIES;
        let city = random
            .pick(towns, crate::world::CITIES[0])
            .away(15.0, &mut random);
        let home = world.fixed(city);
        let sixth = world.sixth(&home);
        let office_place = city.away(random.between(1.0, 30.0), &mut random);
        let office = match random.weighted(&[0.6, 0.3, 0.1]) {
            0 => world.fixed(office_place),
            1 => world.exit(office_place, NetworkKind::Corporate),
            // No office: works at home.
            _ => home,
        };
        let gateway = random.pick(&city.others(false, 0.0, 1e9), city);
        let carrier = world.exit(gateway, NetworkKind::Mobile);
        let tunnel = random.chance(0.08).then(|| tunnel(world, &mut random));
        let things = [
            Device::new(draw(&mut random, &PHONES), 0.5, &mut random),
            Device::new(draw(&mut random, &DESKTOPS), 0.15, &mut random),
            Device::new(draw(&mut random, &DESKTOPS), 0.15, &mut random),
            Device::new(draw(&mut random, &TABLETS), 0.3, &mut random),
        ];
        let user = random.bits() | 1;
        let second_factor = random.chance(0.3);
        let leaves_desktop_on = random.chance(0.25);
        Self {
            user,
            city,
            home: [home, if random.chance(0.3) { sixth } else { home }],
            office,
            carrier,
            tunnel,
            things,
            random,
            trip: None,
            second_factor,
            leaves_desktop_on,
        }
    }

    /// One of the person's devices.
    pub fn thing(&mut self, thing: Thing) -> &mut Device {
        let [phone, laptop, desktop, tablet] = &mut self.things;
        match thing {
            Thing::Phone => phone,
            Thing::Laptop => laptop,
            Thing::Desktop => desktop,
            Thing::Tablet => tablet,
        }
    }

    /// The client a device is at a time, without logging in.
    pub fn client(&mut self, thing: Thing) -> Client {
        let user = self.user;
        let device = self.thing(thing);
        Client {
            user,
            session: device.session,
            device: device.id,
            agent: device.agent,
        }
    }

    /// Uses a device through a network from one minute to another, with the
    /// given mean pause between events; logs in when its session has ended.
    pub fn uses(
        &mut self,
        thing: Thing,
        network: &Network,
        from: f64,
        to: f64,
        pause: f64,
        out: &mut Traffic,
    ) {
        let mut now = from + self.random.between(0.0, pause.min(to - from).max(0.0));
        while now < to {
            if self.thing(thing).session_ends <= now {
                self.logs_in(thing, network, now, out);
            } else {
                let client = self.client(thing);
                let event = out.add(now, &client, network, Activity::Other);
                late_or_doubled(event, &mut self.random);
            }
            now += self.random.pause(pause).max(0.05);
        }
    }

    /// Logs in with a device: now and then after a mistake, and with a second
    /// factor for some.
    pub fn logs_in(&mut self, thing: Thing, network: &Network, now: f64, out: &mut Traffic) {
        let mistakes = [0, 0, 0, 0, 0, 0, 0, 0, 1, 2];
        let mut at = now;
        let mut client = self.client(thing);
        client.session = 0;
        for _ in 0..self.random.pick(&mistakes, 0) {
            out.add(at, &client, network, Activity::LoginFailure);
            at += 0.2;
        }
        if self.second_factor {
            out.add(at, &client, network, Activity::MfaPrompt);
            at += 0.3;
        }
        let (session, days) = (self.random.bits() | 1, self.thing(thing).session_days);
        let device = self.thing(thing);
        device.session = session;
        device.session_ends = now + days * DAY;
        client.session = session;
        out.add(at, &client, network, Activity::LoginSuccess);
    }

    /// Buys a new device in place of an old one.
    pub fn replaces(&mut self, thing: Thing) {
        let shares: &[(Agent, f64)] = match thing {
            Thing::Phone => &PHONES,
            Thing::Tablet => &TABLETS,
            _ => &DESKTOPS,
        };
        let agent = draw(&mut self.random, shares);
        let device = Device::new(agent, 0.3, &mut self.random);
        *self.thing(thing) = device;
    }

    /// The household's line as a device happens to use it: one protocol or the
    /// other.
    fn line(&mut self) -> Network {
        let [fourth, sixth] = self.home;
        if self.random.chance(0.5) {
            sixth
        } else {
            fourth
        }
    }

    /// One ordinary day.
    pub fn day(&mut self, day: f64, world: &mut World, out: &mut Traffic) {
        if self.random.chance(0.002) {
            let thing = self
                .random
                .pick(&[Thing::Phone, Thing::Laptop, Thing::Tablet], Thing::Phone);
            self.replaces(thing);
        }
        let start = day * DAY;
        if self.trip.is_some_and(|trip| start >= trip.back) {
            self.trip = None;
        }
        if self.trip.is_none() && self.random.chance(0.015) {
            self.trip = Some(self.plans(start, world));
        }
        match self.trip {
            Some(trip) => self.day_of_trip(start, &trip, out),
            None => self.day_at_home(day, start, out, world),
        }
    }

    /// Whether the person is on a journey at minute `now`.
    #[must_use]
    pub fn is_away(&self, now: f64) -> bool {
        self.trip.is_some_and(|trip| trip.back > now)
    }

    fn plans(&mut self, start: f64, world: &mut World) -> Trip {
        let abroad = self.random.chance(0.35);
        let choices = self.city.others(abroad, 60.0, 1e9);
        let city = self.random.pick(&choices, self.city);
        let distance = self.city.distance_km(&city);
        let way = door_to_door(distance) * self.random.between(1.0, 1.5);
        let arrives = start + 7.0 * 60.0 + way + 30.0;
        let days = self.random.between(0.3, 6.0);
        let leaves = arrives + days * DAY;
        let roams_at_home = self.random.chance(0.6);
        let local = world.exit(city, NetworkKind::Mobile);
        Trip {
            hotel: world.fixed(city),
            phone: if roams_at_home { self.carrier } else { local },
            departs: arrives - way,
            arrives,
            leaves,
            back: leaves + way + 60.0,
        }
    }

    fn day_of_trip(&mut self, start: f64, trip: &Trip, out: &mut Traffic) {
        let (wakes, sleeps) = (start + 7.0 * 60.0, start + 22.5 * 60.0);
        let (home, carrier) = (self.home[0], self.carrier);
        // Until leaving home, and after being back.
        self.uses(
            Thing::Phone,
            &home,
            start + 390.0,
            (start + 420.0).min(trip.departs),
            8.0,
            out,
        );
        let away = (wakes.max(trip.arrives), sleeps.min(trip.leaves));
        if away.0 < away.1 {
            // The phone is out of the pocket before the laptop is out of the bag.
            let settled = (away.0 + 30.0).min(away.1);
            self.uses(Thing::Phone, &trip.hotel, away.0, settled, 4.0, out);
            self.uses(Thing::Laptop, &trip.hotel, settled, away.1, 35.0, out);
            self.uses(Thing::Phone, &trip.phone, settled, away.1, 50.0, out);
            self.uses(Thing::Phone, &trip.hotel, away.0, away.1, 60.0, out);
        }
        if trip.back < sleeps {
            self.uses(
                Thing::Phone,
                &carrier,
                trip.back.max(wakes),
                sleeps,
                60.0,
                out,
            );
            self.uses(
                Thing::Laptop,
                &home,
                trip.back.max(wakes),
                sleeps,
                40.0,
                out,
            );
        }
        if self.leaves_desktop_on {
            let office = self.office;
            self.uses(Thing::Desktop, &office, start, start + DAY, 45.0, out);
        }
    }

    fn day_at_home(&mut self, day: f64, start: f64, out: &mut Traffic, world: &mut World) {
        let clock = |hour: f64| start + hour * 60.0;
        let [home, sixth] = [self.line(), self.line()];
        let (office, carrier) = (self.office, self.carrier);
        let weekend = day.rem_euclid(7.0) >= 5.0;
        let late = self.random.between(-1.0, 1.0);
        self.uses(
            Thing::Phone,
            &home,
            clock(6.5 + late),
            clock(7.5 + late),
            12.0,
            out,
        );
        if weekend {
            self.uses(
                Thing::Laptop,
                &sixth,
                clock(10.0 + late),
                clock(13.0),
                25.0,
                out,
            );
            self.uses(
                Thing::Phone,
                &carrier,
                clock(14.0),
                clock(17.0 + late),
                30.0,
                out,
            );
            if self.random.chance(0.3) {
                let cafe = self
                    .city
                    .away(self.random.between(0.0, 20.0), &mut self.random);
                let cafe = world.fixed(cafe);
                self.uses(Thing::Phone, &cafe, clock(15.0), clock(16.0), 15.0, out);
            }
        } else {
            self.uses(
                Thing::Phone,
                &carrier,
                clock(7.6 + late),
                clock(8.4 + late),
                10.0,
                out,
            );
            self.uses(
                Thing::Desktop,
                &office,
                clock(8.5 + late),
                clock(16.5 + late),
                20.0,
                out,
            );
            self.uses(Thing::Laptop, &office, clock(9.0), clock(12.0), 40.0, out);
            self.uses(Thing::Phone, &carrier, clock(12.0), clock(12.8), 15.0, out);
        }
        let evening = match self.tunnel {
            Some(tunnel) if self.random.chance(0.4) => tunnel,
            _ => sixth,
        };
        self.uses(
            Thing::Laptop,
            &evening,
            clock(19.0 + late),
            clock(22.0 + late),
            25.0,
            out,
        );
        self.uses(Thing::Tablet, &home, clock(20.0), clock(21.0), 30.0, out);
        self.uses(
            Thing::Phone,
            &home,
            clock(18.0 + late),
            clock(23.0),
            30.0,
            out,
        );
    }
}

/// A tunnel as people buy it: most exits are in the databases.
pub fn tunnel(world: &mut World, random: &mut Random) -> Network {
    let kind = match random.weighted(&[0.8, 0.15, 0.05]) {
        0 => NetworkKind::Vpn,
        1 => NetworkKind::Hosting,
        _ => NetworkKind::Unknown,
    };
    let city = random.pick(&crate::world::CITIES, crate::world::CITIES[0]);
    world.exit(city, kind)
}

/// Minutes a journey takes, from door to door: rail or road, or a flight with
/// all that goes with it.
#[must_use]
pub fn door_to_door(km: f64) -> f64 {
    let ground = 30.0 + km / 110.0 * 60.0;
    let air = 200.0 + km / 800.0 * 60.0;
    ground.min(air)
}

fn late_or_doubled(event: &mut crate::traffic::CorpusEvent, random: &mut Random) {
    if random.chance(0.005) {
        #[expect(clippy::cast_possible_truncation, reason = "a few minutes")]
        let delay = random.between(0.0, 300_000.0) as i64;
        event.arrival += delay;
    }
}

impl Device {
    fn new(agent: Agent, named: f64, random: &mut Random) -> Self {
        let id = if random.chance(named) {
            random.bits() | 1
        } else {
            0
        };
        let session_days = random.pick(&[0.5, 3.0, 7.0, 14.0, 30.0], 7.0);
        Self {
            id,
            agent,
            session: 0,
            session_ends: f64::NEG_INFINITY,
            session_days,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::CorpusEvent;

    #[test]
    fn nobody_is_seen_while_on_the_way() {
        let mut journeys = 0;
        for index in 0..200 {
            let mut world = World::new(Random::new(index));
            let mut person = Person::new(index, &mut world, &Random::new(3));
            person.leaves_desktop_on = false;
            let mut out = Traffic::default();
            let mut ways = Vec::new();
            for day in 0..20 {
                person.day(f64::from(day), &mut world, &mut out);
                if let Some(trip) = person.trip {
                    ways.push((trip.departs, trip.arrives));
                    ways.push((trip.leaves, trip.back));
                }
            }
            journeys += ways.len();
            for (from, to) in ways {
                let [from, to] = [from, to].map(crate::traffic::milliseconds);
                let seen =
                    |event: &&CorpusEvent| from < event.numbers.time && event.numbers.time < to;
                let event = out.events.iter().find(seen);
                assert!(event.is_none(), "{:?}", event.map(|event| event.numbers));
            }
        }
        assert!(journeys > 100, "{journeys}");
    }
}
