//! What is planted among the ordinary days, and who looks suspicious without
//! being so. Each incident says by which findings it is to be recognised.

use std::net::IpAddr;
use std::sync::Arc;

use sidewatch_event::{Field, Finding};

use super::people::{INTRUDER, Person};
use super::request::Sender;
use super::story::{Client, DAYS, FEWEST, HOUR, MINUTE, Writer};
use super::world;

/// Numbers of the people things happen to; chosen by where they live.
const TAKEN_OVER: usize = 2;
const SHARED: usize = 8;
const STOLEN: usize = 4;
const TRAVELLER: usize = 7;
const BEHIND_VPN: usize = 6;
const _: () = assert!(SHARED < FEWEST as usize);

/// A planted incident.
#[derive(Debug, Clone)]
pub struct Incident {
    /// What happens, for a reader.
    pub title: String,
    /// Words in the names of the rules that recognise it; a rule in force
    /// with one of them is enough.
    pub rules: &'static [&'static str],
    /// Kinds of findings that recognise it; none for any kind of those rules.
    pub kinds: &'static [&'static str],
    /// Accounts it concerns, by name and identifier.
    pub accounts: Vec<Arc<str>>,
    /// Address it comes from.
    pub address: Option<IpAddr>,
    /// From when, in milliseconds since the epoch.
    pub from: i64,
}

impl Incident {
    /// Whether a finding is about it.
    #[must_use]
    pub fn concerns(&self, finding: &Finding) -> bool {
        let event = &finding.event;
        let account = [Field::UserName, Field::UserId]
            .iter()
            .filter_map(|field| event.get(*field))
            .any(|user| self.accounts.iter().any(|account| **account == *user));
        let place = self.address.is_some() && event.source_ip == self.address;
        finding.time >= self.from && (account || place)
    }

    /// Whether a finding recognises it.
    #[must_use]
    pub fn recognised_by(&self, finding: &Finding) -> bool {
        let kind = self.kinds.is_empty() || self.kinds.contains(&&*finding.kind);
        kind && self.watched_by(&finding.rule) && self.concerns(finding)
    }

    /// Whether a rule of this name is there to recognise it.
    #[must_use]
    pub fn watched_by(&self, rule: &str) -> bool {
        self.rules.iter().any(|word| rule.contains(word))
    }
}

/// People whose ordinary days are replaced, with the day.
#[must_use]
pub fn who_is_away(people: &[Person]) -> Vec<(usize, u8)> {
    let traveller = [(TRAVELLER, 2), (TRAVELLER, 3), (TRAVELLER, 4)];
    let shared = (0..DAYS).map(|day| (SHARED, day));
    let vpn = (0..DAYS).map(|day| (BEHIND_VPN, day));
    let all = traveller.into_iter().chain(shared).chain(vpn);
    all.filter(|(number, _)| *number < people.len()).collect()
}

/// Writes all of them.
pub fn plant(people: &[Person], writer: &mut Writer) -> Vec<Incident> {
    let mut incidents = Vec::new();
    if let Some(person) = people.get(TAKEN_OVER) {
        incidents.push(taken_over(person, writer));
    }
    if let Some(person) = people.get(SHARED) {
        incidents.push(shared(person, writer));
    }
    if let Some(person) = people.get(STOLEN) {
        incidents.push(stolen(person, writer));
    }
    incidents.push(spray(people, writer));
    if let Some(person) = people.get(TRAVELLER) {
        travel(person, writer);
    }
    if let Some(person) = people.get(BEHIND_VPN) {
        behind_vpn(person, writer);
    }
    incidents
}

fn names(person: &Person) -> Vec<Arc<str>> {
    vec![Arc::clone(&person.login), Arc::clone(&person.user_id)]
}

/// Somebody in Singapore knows the password and logs in while the owner works
/// at home.
fn taken_over(person: &Person, writer: &mut Writer) -> Incident {
    let address = world::far_away(31);
    let from = writer.at(3, person.city.offset, 10);
    writer.login(
        from - 2 * MINUTE,
        (INTRUDER, address),
        person.credentials("demo-password-guess"),
        false,
    );
    writer.login(
        from,
        (INTRUDER, address),
        person.credentials(&person.password),
        true,
    );
    let mut session = person.desk_session.clone();
    session.token = format!("demotokenintruder{}", person.number).into();
    let client = Client {
        agent: INTRUDER,
        address,
        session,
    };
    writer.presence(from + 5_000, from + 40 * MINUTE, 4, &client);
    for number in 0..25 {
        let target = format!("/api/v4/files/file{number:04}");
        let sender = Sender::Session(client.session.clone());
        writer.request(
            from + 20 * MINUTE + number * 2_000,
            (INTRUDER, address),
            sender,
            ("GET", target),
            200,
        );
    }
    Incident {
        title: format!(
            "{}: account taken over from another continent",
            person.login
        ),
        rules: &["travel"],
        kinds: &["impossible-travel", "simultaneous-use", "unfamiliar-access"],
        accounts: names(person),
        address: None,
        from: from - HOUR,
    }
}

/// An account two strangers use at the same time, day after day.
fn shared(person: &Person, writer: &mut Writer) -> Incident {
    let mut session = person.desk_session.clone();
    let first = Client {
        agent: person.desktop,
        address: person.home(1),
        session: session.clone(),
    };
    session.token = format!("demotokenshared{}", person.number).into();
    let [agent, ..] = super::people::DESKTOPS;
    let second = Client {
        agent,
        address: world::home(world::BERLIN, 200, 1),
        session,
    };
    for day in 0..DAYS {
        let begin = writer.at(day, 1, 9);
        if day == 0 {
            for client in [&first, &second] {
                let sender = person.credentials(&person.password);
                writer.login(begin - MINUTE, (client.agent, client.address), sender, true);
            }
        }
        writer.presence(begin, begin + 6 * HOUR, 9, &first);
        writer.presence(begin + HOUR, begin + 7 * HOUR, 9, &second);
    }
    Incident {
        title: format!(
            "{}: one account, used in Brno and Berlin on five days",
            person.login
        ),
        rules: &["sharing"],
        kinds: &["account-shared"],
        accounts: names(person),
        address: None,
        from: writer.start,
    }
}

/// A session cookie copied from a desk in Berlin and used in New York.
fn stolen(person: &Person, writer: &mut Writer) -> Incident {
    let from = writer.at(4, person.city.offset, 14);
    let client = Client {
        agent: INTRUDER,
        address: world::home(world::NEW_YORK, 201, 1),
        session: person.desk_session.clone(),
    };
    writer.presence(from, from + 50 * MINUTE, 5, &client);
    Incident {
        title: format!("{}: stolen session used from New York", person.login),
        rules: &["session", "travel"],
        kinds: &[],
        accounts: names(person),
        address: None,
        from: from - HOUR,
    }
}

/// One address tries a common password on everybody, twice.
fn spray(people: &[Person], writer: &mut Writer) -> Incident {
    let address = world::hosting(16);
    let from = writer.at(4, 0, 3);
    let mut time = from;
    for password in ["demo-password-autumn", "demo-password-winter"] {
        for person in people {
            time += writer.random.between(2_000, 9_000);
            writer.login(
                time,
                (INTRUDER, address),
                person.credentials(password),
                false,
            );
        }
    }
    Incident {
        title: format!("password spray on {} accounts from {address}", people.len()),
        rules: &["credential", "spray", "password", "login"],
        kinds: &[],
        accounts: Vec::new(),
        address: Some(address),
        from: from - HOUR,
    }
}

/// Innocent: works in the morning, flies to New York, works there.
fn travel(person: &Person, writer: &mut Writer) {
    let client = |address| Client {
        agent: person.desktop,
        address,
        session: person.desk_session.clone(),
    };
    let morning = writer.at(2, person.city.offset, 6);
    writer.presence(morning, morning + HOUR, 15, &client(person.home(1)));
    let hotel = client(world::home(world::NEW_YORK, 210, 1));
    writer.presence(morning + 13 * HOUR, morning + 15 * HOUR, 20, &hotel);
    for day in 3..DAYS {
        let begin = writer.at(day, world::NEW_YORK.offset, 9);
        writer.presence(begin, begin + 7 * HOUR, 20, &hotel);
    }
}

/// Innocent: at home in Lisbon, now and then through a VPN that surfaces in
/// New York.
fn behind_vpn(person: &Person, writer: &mut Writer) {
    for day in 0..DAYS {
        let begin = writer.at(day, person.city.offset, 9);
        let mut client = Client {
            agent: person.desktop,
            address: person.home(1),
            session: person.desk_session.clone(),
        };
        writer.presence(begin, begin + 3 * HOUR, 10, &client);
        client.address = world::vpn(day);
        writer.presence(begin + 3 * HOUR, begin + 5 * HOUR, 10, &client);
        client.address = person.home(1);
        writer.presence(begin + 5 * HOUR, begin + 8 * HOUR, 10, &client);
    }
}
