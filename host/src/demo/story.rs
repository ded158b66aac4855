//! Five days of the demonstration's site: ordinary work, planted incidents,
//! and the requests of both in order of time.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::incidents::{self, Incident};
use super::people::Person;
use super::random::Random;
use super::request::{Request, Sender, Session};

/// Milliseconds of a minute.
pub const MINUTE: i64 = 60_000;
/// Milliseconds of an hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Milliseconds of a day.
pub const DAY: i64 = 24 * HOUR;
/// Days the story takes: account sharing shows over days only.
pub const DAYS: u8 = 5;
/// People at the site, unless said otherwise.
pub const PEOPLE: u8 = 72;
/// Fewest people a story can be told with.
pub const FEWEST: u8 = 24;

/// A client's part of the story being written.
#[derive(Debug, Clone)]
pub struct Client {
    /// User agent.
    pub agent: &'static str,
    /// Address.
    pub address: IpAddr,
    /// Session.
    pub session: Session,
}

/// The whole story.
#[derive(Debug)]
pub struct Story {
    /// Requests in order of time.
    pub requests: Vec<Request>,
    /// What was planted.
    pub incidents: Vec<Incident>,
    /// Everybody.
    pub people: Vec<Person>,
}

/// Collects requests.
#[derive(Debug)]
pub struct Writer {
    /// Where chance comes from.
    pub random: Random,
    /// Midnight (UTC) of the first day.
    pub start: i64,
    requests: Vec<Request>,
}

impl Story {
    /// Tells the story whose last day is over before `now` (milliseconds),
    /// everywhere on earth: nothing in it lies in the future.
    #[must_use]
    pub fn tell(seed: u64, people: u8, now: i64) -> Self {
        let mut random = Random::new(seed);
        let people = Person::population(people.clamp(FEWEST, 250), &mut random);
        let start = (now.div_euclid(DAY) - i64::from(DAYS) - 1) * DAY;
        let mut writer = Writer {
            random,
            start,
            requests: Vec::new(),
        };
        let away = incidents::who_is_away(&people);
        for day in 0..DAYS {
            for (number, person) in people.iter().enumerate() {
                if !away.contains(&(number, day)) {
                    writer.workday(person, day);
                }
            }
        }
        let incidents = incidents::plant(&people, &mut writer);
        let mut requests = writer.requests;
        requests.sort_by_key(|request| (request.time, request.id));
        Self {
            requests,
            incidents,
            people,
        }
    }

    /// Every password, session token and their like, which nobody may find in
    /// any output.
    #[must_use]
    pub fn secrets(&self) -> BTreeSet<Arc<str>> {
        let of = |request: &Request| match &request.sender {
            Sender::Login(credentials) => Arc::clone(&credentials.password),
            Sender::Session(session) => Arc::clone(&session.token),
        };
        self.requests.iter().map(of).collect()
    }
}

impl Writer {
    /// The time of a day at an hour there, with up to half an hour of chance.
    pub fn at(&mut self, day: u8, offset: i64, hour: i64) -> i64 {
        self.start
            + i64::from(day) * DAY
            + (hour - offset) * HOUR
            + self.random.between(0, 30 * MINUTE)
    }

    /// One request.
    pub fn request(
        &mut self,
        time: i64,
        client: (&'static str, IpAddr),
        sender: Sender,
        (method, target): (&'static str, String),
        status: u16,
    ) {
        let random = &mut self.random;
        self.requests.push(Request {
            time,
            id: u128::from(random.number()) << 64 | u128::from(random.number()),
            address: client.1,
            port: u16::try_from(random.between(32_768, 60_999)).unwrap_or(40_000),
            method,
            target,
            agent: client.0,
            sender,
            status,
            bytes: u32::try_from(random.between(120, 9_000)).unwrap_or(120),
        });
    }

    /// A login and its outcome.
    pub fn login(
        &mut self,
        time: i64,
        client: (&'static str, IpAddr),
        sender: Sender,
        right: bool,
    ) {
        let target = "/api/v4/users/login".to_owned();
        self.request(
            time,
            client,
            sender,
            ("POST", target),
            if right { 200 } else { 401 },
        );
    }

    /// A look at the chat: a few requests within a minute.
    pub fn visit(&mut self, time: i64, client: &Client) {
        let mut time = time;
        for _ in 0..self.random.between(2, 6) {
            time += self.random.between(300, 9_000);
            let (method, target, status) = self.activity();
            let sender = Sender::Session(client.session.clone());
            self.request(
                time,
                (client.agent, client.address),
                sender,
                (method, target),
                status,
            );
        }
    }

    fn activity(&mut self) -> (&'static str, String, u16) {
        let chance = self.random.below(100);
        let channel = self.random.below(40);
        let number = self.random.below(9_000);
        let (method, target) = match chance {
            0..=29 => (
                "GET",
                format!("/api/v4/channels/channel{channel:02}/posts?since={number}"),
            ),
            30..=44 => ("POST", "/api/v4/channels/members/me/view".to_owned()),
            45..=59 => ("POST", "/api/v4/posts".to_owned()),
            60..=71 => ("POST", "/api/v4/users/status/ids".to_owned()),
            72..=77 => ("GET", "/api/v4/users/me/teams/unread".to_owned()),
            78..=82 => ("GET", format!("/static/emoji/{number}.png")),
            83..=86 => ("GET", format!("/api/v4/files/file{number:04}")),
            87..=89 => ("POST", "/api/v4/files".to_owned()),
            90..=92 => ("POST", "/api/v4/teams/works/posts/search".to_owned()),
            93..=95 => ("PUT", format!("/api/v4/posts/post{number:04}/patch")),
            96 => (
                "GET",
                format!("/api/v4/users/user{channel:02}/image?_={number}"),
            ),
            97 => {
                return (
                    "GET",
                    format!("/api/v4/files/file{number:04}/thumbnail"),
                    404,
                );
            }
            98 => return ("GET", "/api/v4/channels/board/posts".to_owned(), 403),
            _ => ("GET", "/api/v4/websocket".to_owned()),
        };
        let status = match target.as_str() {
            "/api/v4/websocket" => 101,
            "/api/v4/posts" | "/api/v4/files" => 201,
            _ => 200,
        };
        (method, target, status)
    }

    /// Visits from `from` to `to`, about every `minutes`.
    pub fn presence(&mut self, from: i64, to: i64, minutes: i64, client: &Client) {
        let mut time = from;
        while time < to {
            self.visit(time, client);
            time += self
                .random
                .between(minutes * MINUTE / 2, minutes * MINUTE * 3 / 2);
        }
    }

    fn workday(&mut self, person: &Person, day: u8) {
        let offset = person.city.offset;
        let desk = Client {
            agent: person.desktop,
            address: person.desk(day),
            session: person.desk_session.clone(),
        };
        let phone = |address| Client {
            agent: person.phone,
            address,
            session: person.phone_session.clone(),
        };
        let begin = self.at(day, offset, 8);
        let at_desk = (desk.agent, desk.address);
        if day == 0 || self.random.happens(15) {
            if self.random.happens(12) {
                let typo = format!("{}x", person.password);
                self.login(begin - MINUTE, at_desk, person.credentials(&typo), false);
            }
            self.login(
                begin - MINUTE / 4,
                at_desk,
                person.credentials(&person.password),
                true,
            );
        }
        let noon = self.at(day, offset, 12);
        self.presence(begin, noon, 17, &desk);
        let evening = self.at(day, offset, 17);
        self.presence(noon + 45 * MINUTE, evening, 18, &desk);
        self.presence(begin - HOUR, begin - HOUR / 2, 20, &phone(person.out()));
        self.presence(
            evening + HOUR,
            evening + 4 * HOUR,
            55,
            &phone(person.home(2)),
        );
    }
}

#[cfg(test)]
mod tests;
