//! Who works with the demonstration's site, from where, and with what.

use std::net::IpAddr;
use std::sync::Arc;

use super::random::Random;
use super::request::{Credentials, Sender, Session};
use super::world::{self, BERLIN, BRNO, City, LISBON, NEW_YORK, PRAGUE, SYDNEY};

/// Where people live: most of them near the office.
const HOMES: [City; 12] = [
    PRAGUE, PRAGUE, BRNO, PRAGUE, BERLIN, PRAGUE, LISBON, PRAGUE, BRNO, NEW_YORK, PRAGUE, SYDNEY,
];

const FIRST: [&str; 20] = [
    "adam", "alice", "bara", "carlos", "dana", "emil", "eva", "filip", "greta", "hana", "ivan",
    "jana", "karel", "lena", "maria", "nina", "oto", "petra", "rui", "vera",
];
const LAST: [&str; 17] = [
    "almeida", "bauer", "cerny", "dvorak", "fiala", "gomez", "horak", "jelinek", "kolar", "lang",
    "marek", "novak", "pokorny", "ruzicka", "schulz", "tran", "urban",
];

/// What people use at a desk.
pub const DESKTOPS: [&str; 6] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Mattermost/6.0.1 Chrome/140.0.0.0 Electron/38.2.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
];
/// What only intruders use here.
pub const INTRUDER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const PHONES: [&str; 2] = [
    "Mattermost Mobile/2.34.0+683 (Android; 15; Pixel 8)",
    "Mattermost Mobile/2.34.0+683 (iOS; 18.6; iPhone 15)",
];

/// One person's account with its two clients.
#[derive(Debug, Clone)]
pub struct Person {
    /// What they type at the login.
    pub login: Arc<str>,
    /// The application's identifier of them.
    pub user_id: Arc<str>,
    /// The right password.
    pub password: Arc<str>,
    /// Where they live.
    pub city: City,
    /// Number of their household in that city.
    pub household: u8,
    /// Their desk's user agent.
    pub desktop: &'static str,
    /// Their phone's.
    pub phone: &'static str,
    /// Session of the desk.
    pub desk_session: Session,
    /// Session of the phone.
    pub phone_session: Session,
    /// Days of the week in the office, as bits.
    pub office_days: u8,
    /// Number at the carrier and in the office.
    pub number: u8,
}

impl Person {
    fn new(number: u8, random: &mut Random) -> Self {
        let place = usize::from(number);
        let pick = |list: &[&'static str]| {
            list.get(place % list.len().max(1))
                .copied()
                .unwrap_or_default()
        };
        let city = HOMES.get(place % HOMES.len()).copied().unwrap_or(PRAGUE);
        let user_id: Arc<str> = random.identifier().into();
        let session = |random: &mut Random| Session {
            user_id: Arc::clone(&user_id),
            token: format!("demotoken{}", random.identifier())
                .chars()
                .take(26)
                .collect::<String>()
                .into(),
        };
        Self {
            login: format!("{}.{}", pick(&FIRST), pick(&LAST)).into(),
            password: format!("demo-password-{}", random.identifier()).into(),
            city,
            household: number,
            desktop: pick(&DESKTOPS),
            phone: random.one_of(&PHONES),
            desk_session: session(random),
            phone_session: session(random),
            office_days: if city == PRAGUE {
                random.one_of(&[0b01011, 0b10110, 0b00111, 0])
            } else {
                0
            },
            number,
            user_id,
        }
    }

    /// So many people, the same for the same seed.
    #[must_use]
    pub fn population(count: u8, random: &mut Random) -> Vec<Self> {
        (0..count).map(|number| Self::new(number, random)).collect()
    }

    /// Address of a device at home.
    #[must_use]
    pub fn home(&self, device: u16) -> IpAddr {
        world::home(self.city, self.household, device)
    }

    /// Where the desk is on a day of the story.
    #[must_use]
    pub fn desk(&self, day: u8) -> IpAddr {
        if self.office_days >> day.min(7) & 1 == 1 {
            world::office(self.number)
        } else {
            self.home(1)
        }
    }

    /// Where the phone is, out and about.
    #[must_use]
    pub fn out(&self) -> IpAddr {
        if self.city == PRAGUE || self.city == BRNO {
            world::mobile(self.number)
        } else {
            self.home(2)
        }
    }

    /// A login with this password.
    #[must_use]
    pub fn credentials(&self, password: &str) -> Sender {
        Sender::Login(Credentials {
            login: Arc::clone(&self.login),
            password: password.into(),
        })
    }
}
