//! A month of ordinary traffic, day by day: what a detector lives with.

use rule_sdk::detection::{Activity, NetworkKind};

use crate::person::{DAY, Person, door_to_door};
use crate::random::Random;
use crate::scenario::small;
use crate::traffic::{Client, CorpusEvent, NOTHING, Traffic};
use crate::world::{CITIES, Network, World};

/// Makes the days of a population one after the other, so that only one day is
/// ever in memory.
#[derive(Debug)]
pub struct Month {
    people: Vec<Person>,
    students: Vec<Student>,
    world: World,
    day: usize,
    days: usize,
}

impl Month {
    /// A month of `users`, one in ten of whom is seen through eduroam only.
    #[must_use]
    pub fn new(users: usize, days: usize, random: &Random) -> Self {
        let random = random.part(77);
        let mut world = World::new(random.part(1)).with_grossly_wrong(0.02);
        let students = users / 10;
        let index = |number: usize| u64::try_from(number).unwrap_or(0);
        let people = (0..users - students)
            .map(|number| Person::new(index(number), &mut world, &random.part(2)))
            .collect();
        let campuses: Vec<Network> = CITIES.iter().map(|city| world.site(*city)).collect();
        let students = (0..students)
            .map(|number| Student::new(random.part(3).part(index(number)), &campuses))
            .collect();
        Self {
            people,
            students,
            world,
            day: 0,
            days,
        }
    }
}

impl Iterator for Month {
    type Item = Vec<CorpusEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.day == self.days {
            return None;
        }
        let day = small(self.day);
        self.day += 1;
        let mut out = Traffic::default();
        for person in &mut self.people {
            person.day(day, &mut self.world, &mut out);
        }
        for student in &mut self.students {
            student.day(day, &mut out);
        }
        Some(out.arrived())
    }
}

/// Somebody seen only when a device signs in to a campus network.
#[derive(Debug)]
struct Student {
    phone: Client,
    laptop: Client,
    campus: Network,
    others: Vec<Network>,
    random: Random,
}

impl Student {
    fn new(mut random: Random, campuses: &[Network]) -> Self {
        let fallback = Network {
            city: CITIES[0],
            base: (0, 0),
            record: None,
            country: CITIES[0].country,
            as_number: 0,
            kind: NetworkKind::Site,
        };
        let campus = random.pick(campuses, fallback);
        let phone = Client {
            user: random.bits() | 1,
            session: 0,
            device: random.bits() | 1,
            agent: NOTHING,
        };
        let laptop = Client {
            device: random.bits() | 1,
            ..phone
        };
        let within_reach =
            |other: &&Network| (1.0..900.0).contains(&campus.city.distance_km(&other.city));
        let others = campuses.iter().filter(within_reach).copied().collect();
        Self {
            phone,
            laptop,
            campus,
            others,
            random,
        }
    }

    fn day(&mut self, day: f64, out: &mut Traffic) {
        let morning = day * DAY + self.random.between(8.0, 10.0) * 60.0;
        let until = morning + self.random.between(120.0, 420.0);
        if day.rem_euclid(7.0) >= 5.0 {
            return;
        }
        let (phone, laptop, campus) = (self.phone, self.laptop, self.campus);
        self.attends(&phone, &campus, morning, until, out);
        self.attends(&laptop, &campus, morning + 10.0, until, out);
        if self.random.chance(0.03) && !self.others.is_empty() {
            let there = self.random.pick(&self.others.clone(), campus);
            let way =
                door_to_door(campus.city.distance_km(&there.city)) * self.random.between(1.0, 1.6);
            self.attends(&phone, &there, until + way, until + way + 90.0, out);
            if self.random.chance(0.5) {
                self.attends(&laptop, &there, until + way, until + way + 90.0, out);
            }
        }
    }

    fn attends(
        &mut self,
        client: &Client,
        site: &Network,
        from: f64,
        until: f64,
        out: &mut Traffic,
    ) {
        let mut now = from;
        while now < until {
            let activity = if self.random.chance(0.02) {
                Activity::LoginFailure
            } else {
                Activity::LoginSuccess
            };
            out.add(now, client, site, activity);
            now += self.random.pause(25.0).max(0.5);
        }
    }
}
