//! A scenario: some users, their traffic, and what is wrong with it, if
//! anything.

use rule_sdk::detection::{Activity, NetworkKind};

use crate::person::{DAY, Person, Thing};
use crate::random::Random;
use crate::traffic::{Agent, Client, CorpusEvent, DESKTOPS, PHONES, Traffic, draw};
use crate::world::{City, Network, World};

/// Traffic with a label.
#[derive(Debug)]
pub struct Scenario {
    /// Its events in the order they arrive.
    pub events: Vec<CorpusEvent>,
    /// When the incident begins, milliseconds since the epoch; `None` when all
    /// is well. Alerts before it are false.
    pub incident: Option<i64>,
    /// How many users take part.
    pub users: usize,
}

/// What a scenario is made with.
#[derive(Debug)]
pub struct Stage {
    /// Chance.
    pub random: Random,
    /// Networks.
    pub world: World,
    /// Events made so far.
    pub out: Traffic,
    /// Whether only an access log is seen: no session, no device.
    only_log: bool,
}

impl Stage {
    /// A stage for one scenario.
    #[must_use]
    pub fn new(random: &Random) -> Self {
        Self {
            random: random.part(1),
            world: World::new(random.part(2)),
            out: Traffic::default(),
            only_log: false,
        }
    }

    /// With this probability the scenario is seen through an access log only,
    /// which names neither sessions nor devices.
    pub fn only_log(&mut self, probability: f64) {
        self.only_log = self.random.chance(probability);
    }

    fn events(self) -> Vec<CorpusEvent> {
        let mut events = self.out.arrived();
        if self.only_log {
            for event in &mut events {
                (event.numbers.session, event.numbers.device) = (0, 0);
            }
        }
        events
    }

    /// A person who has been living quietly for some days, and the minute at
    /// which the next day begins.
    pub fn person(&mut self, least_days: usize, most_days: usize) -> (Person, f64) {
        let index = self.random.bits();
        let seed = self.random.clone();
        let mut person = Person::new(index, &mut self.world, &seed);
        // Without sessions nothing tells an unlisted tunnel from a stranger.
        person.tunnel = person
            .tunnel
            .filter(|tunnel| !self.only_log || tunnel.kind != NetworkKind::Unknown);
        // That is for the month: a scenario is about one thing.
        person.leaves_desktop_on = false;
        let least = self.random.count(least_days, most_days);
        let mut days = 0;
        // A scenario begins at home: who is on a journey comes back first.
        while days < least || person.is_away(small(days) * DAY) {
            person.day(small(days), &mut self.world, &mut self.out);
            days += 1;
        }
        (person, small(days) * DAY)
    }

    /// A person at home with a session on phone and laptop, at minute `now`.
    pub fn at_home(&mut self, person: &mut Person, now: f64) {
        let home = person.home[0];
        person.uses(Thing::Laptop, &home, now, now + 20.0, 4.0, &mut self.out);
        person.uses(Thing::Phone, &home, now, now + 20.0, 4.0, &mut self.out);
    }

    /// A town of the person's own country or another one, some way off.
    pub fn town(&mut self, from: &City, abroad: bool, least_km: f64, most_km: f64) -> City {
        let towns = from.others(abroad, least_km, most_km);
        let fallback = from.away(least_km.max(150.0) * 1.2, &mut self.random);
        self.random.pick(&towns, fallback)
    }

    /// A stranger's client for a user: another device, a fresh session.
    pub fn stranger(&mut self, user: u64, named: f64) -> Client {
        let phone = self.random.chance(0.25);
        let agent: Agent = draw(&mut self.random, if phone { &PHONES } else { &DESKTOPS });
        let device = if self.random.chance(named) {
            self.random.bits() | 1
        } else {
            0
        };
        Client {
            user,
            session: self.random.bits() | 1,
            device,
            agent,
        }
    }

    /// Events of a client from one minute to another.
    pub fn clicks(&mut self, client: &Client, network: &Network, from: f64, to: f64, pause: f64) {
        let mut now = from;
        while now <= to {
            self.out.add(now, client, network, Activity::Other);
            now += self.random.pause(pause).max(0.05);
        }
    }

    /// A login and what follows.
    pub fn intrudes(&mut self, client: &Client, network: &Network, from: f64, to: f64) {
        self.out.add(from, client, network, Activity::LoginSuccess);
        self.clicks(client, network, from + 0.2, to, 4.0);
    }

    /// A network intruders come from: mostly a fixed line, often rented.
    pub fn lair(&mut self, city: City) -> Network {
        match self.random.weighted(&[0.75, 0.15, 0.1]) {
            0 => self.world.placed(city),
            1 => self.world.exit(city, NetworkKind::Hosting),
            _ => self.world.exit(city, NetworkKind::Vpn),
        }
    }

    /// Ends a scenario in which all is well.
    #[must_use]
    pub fn benign(self, users: usize) -> Scenario {
        Scenario {
            events: self.events(),
            incident: None,
            users,
        }
    }

    /// Ends a scenario whose incident begins at minute `from`.
    #[must_use]
    pub fn incident(self, users: usize, from: f64) -> Scenario {
        let incident = Some(crate::traffic::milliseconds(from));
        Scenario {
            events: self.events(),
            incident,
            users,
        }
    }
}

/// A small count as a number of days, minutes or people.
#[must_use]
pub fn small(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_a_scenario_is_about_is_at_home_when_it_begins() {
        for number in 0..500 {
            let mut stage = Stage::new(&Random::new(number));
            let (person, start) = stage.person(0, 12);
            assert!(!person.is_away(start), "{number}");
        }
    }
}
