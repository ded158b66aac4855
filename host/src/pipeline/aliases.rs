//! Names of users by their identifiers, and identifiers by their sessions.
//!
//! Mattermost's audit log tells which name belongs to an identifier; mirrored
//! requests and most audit records know the identifier alone (or, from a
//! cookie, its keyed hash). Filling in the name makes them one user for rules
//! and for people. Old servers write the target over the actor; who it was
//! says the session, which other records name together with its owner.
//!
//! Invariants: only pairs the server itself wrote are learnt, never a name
//! somebody tried at a login nor anything from a source clients can forge;
//! memory is bounded, the pairs not used longest go first. They are kept in
//! the store like a rule's states: who a user is must not depend on when the
//! process was last started.

use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use sidewatch_codecs::PseudonymKey;
use sidewatch_codecs::mattermost::{DATASET, RESOLVED};
use sidewatch_codecs::request::USER_DOMAIN;
use sidewatch_event::{Event, Field};

/// Pairs in one generation; there are two.
const GENERATION: usize = 30_000;

/// Longest identifier or name that is remembered.
const LONGEST: usize = 128;

/// What a session's identifier is remembered under: no name begins so.
const SESSION: &str = "\u{1}session ";

/// Names by identifier, keyed hash of the identifier, and e-mail address.
#[derive(Debug)]
pub struct Aliases {
    key: Option<PseudonymKey>,
    recent: HashMap<Box<str>, Arc<str>>,
    older: HashMap<Box<str>, Arc<str>>,
    /// What the store has to learn, when there is one: a name, or that it was
    /// forgotten.
    news: Option<Vec<Learnt>>,
}

/// An identifier, and its name unless it was forgotten.
type Learnt = (Box<str>, Option<Arc<str>>);

/// Stands for the names where the store wants the id of a rule. No rule's id
/// has a colon.
pub(super) const STORED_AS: &str = "sidewatch:names";

/// Parts identifier and name in what is stored.
const SEPARATOR: u8 = 0;

impl Aliases {
    /// Remembers nothing and fills in nothing without a key.
    #[must_use]
    pub fn new(key: Option<PseudonymKey>) -> Self {
        Self {
            key,
            recent: HashMap::new(),
            older: HashMap::new(),
            news: None,
        }
    }

    /// From now on keeps what [`Aliases::tell`] tells.
    pub(super) fn keep_news(&mut self) {
        self.news.get_or_insert_default();
    }

    /// Tells what changed: the key it is stored under, and the pair unless it
    /// was forgotten.
    pub(super) fn tell(&mut self, mut tell: impl FnMut(u64, Option<&[u8]>)) {
        let mut pair = Vec::new();
        for (id, name) in self.news.iter_mut().flat_map(|news| news.drain(..)) {
            pair.clear();
            pair.extend_from_slice(id.as_bytes());
            let key = stored_under(&id);
            match name {
                None => tell(key, None),
                Some(name) => {
                    pair.push(SEPARATOR);
                    pair.extend_from_slice(name.as_bytes());
                    tell(key, Some(&pair));
                }
            }
        }
    }

    /// Takes up a pair of an earlier run.
    pub(super) fn restore(&mut self, pair: &[u8]) {
        let parts = std::str::from_utf8(pair)
            .ok()
            .and_then(|pair| pair.split_once(char::from(SEPARATOR)));
        if let (Some(_), Some((id, name))) = (&self.key, parts) {
            self.put(id.into(), &name.into());
        }
    }

    /// Forgets a pair an earlier run forgot.
    pub(super) fn forget(&mut self, key: u64) {
        for names in [&mut self.recent, &mut self.older] {
            names.retain(|id, _| stored_under(id) != key);
        }
    }

    /// Learns from an event and fills in what it lacks.
    pub fn apply(&mut self, event: &mut Event) {
        if self.key.is_none() {
            return;
        }
        if event.own(Field::EventDataset) == Some(DATASET) {
            self.learn(event);
            self.owner(event);
        }
        for (id, name) in [
            (Field::UserId, Field::UserName),
            (Field::UserEmail, Field::UserName),
            (Field::UserTargetId, Field::UserTargetName),
        ] {
            self.fill(event, id, name);
        }
        // People log in by their address, too.
        let tried = event.own(Field::UserName).filter(|name| name.contains('@'));
        if let Some(name) = tried.and_then(|name| self.name(&name.to_ascii_lowercase())) {
            event.set(Field::UserName, &name);
        }
    }

    fn learn(&mut self, event: &Event) {
        let trusted = event.own(Field::SidewatchTrust).is_none()
            && event.own(Field::EventOutcome) == Some("success");
        if !trusted {
            return;
        }
        for (id, name, email) in [
            (Field::UserId, Field::UserName, Field::UserEmail),
            (
                Field::UserTargetId,
                Field::UserTargetName,
                Field::UserTargetEmail,
            ),
        ] {
            let text = |field| {
                event
                    .own(field)
                    .filter(|text| !text.is_empty() && text.len() <= LONGEST)
            };
            let (Some(id), Some(name)) = (text(id), text(name)) else {
                continue;
            };
            if self.name(id).is_some_and(|known| *known == *name) || id.contains(',') {
                continue;
            }
            let name: Arc<str> = name.into();
            if let Some(email) = text(email) {
                self.remember(email.to_ascii_lowercase().into(), &name);
            }
            if let Some(key) = &self.key {
                let mut hash = String::new();
                key.write(USER_DOMAIN, id.as_bytes(), &mut hash);
                self.remember(hash.into(), &name);
            }
            self.remember(id.into(), &name);
        }
    }

    /// Learns whose session it is, or fills in the actor from it.
    fn owner(&mut self, event: &mut Event) {
        let text = |field| {
            event
                .own(field)
                .filter(|text: &&str| !text.is_empty() && text.len() <= LONGEST)
        };
        let Some(session) = text(Field::SessionId) else {
            return;
        };
        let session = [SESSION, session].concat();
        let known = self.name(&session);
        match (text(Field::UserId), known) {
            (Some(actor), known) => {
                let trusted = event.own(Field::SidewatchTrust).is_none();
                if trusted && known.is_none_or(|known| *known != *actor) {
                    self.remember(session.into(), &actor.into());
                }
            }
            (None, Some(actor)) => {
                event.set(Field::UserId, &actor);
                resolved(event, Field::UserId);
            }
            (None, None) => {}
        }
    }

    fn remember(&mut self, id: Box<str>, name: &Arc<str>) {
        if let Some(news) = &mut self.news {
            news.push((id.clone(), Some(Arc::clone(name))));
        }
        self.put(id, name);
    }

    fn put(&mut self, id: Box<str>, name: &Arc<str>) {
        self.older.remove(&id);
        if self.recent.len() >= GENERATION {
            let recent = std::mem::take(&mut self.recent);
            let gone = std::mem::replace(&mut self.older, recent);
            if let Some(news) = &mut self.news {
                news.extend(gone.into_keys().map(|id| (id, None)));
            }
        }
        match self.recent.entry(id) {
            Entry::Occupied(mut known) => drop(known.insert(Arc::clone(name))),
            Entry::Vacant(free) => drop(free.insert(Arc::clone(name))),
        }
    }

    fn name(&mut self, id: &str) -> Option<Arc<str>> {
        if let Some(name) = self.recent.get(id) {
            return Some(Arc::clone(name));
        }
        let (id, name) = self.older.remove_entry(id)?;
        self.put(id, &name);
        Some(name)
    }

    fn fill(&mut self, event: &mut Event, id: Field, name: Field) {
        if event.own(name).is_some() {
            return;
        }
        let Some(id) = event.own(id).filter(|id| !id.is_empty()) else {
            return;
        };
        let known = match self.recent.get(id) {
            Some(name) => Some(Arc::clone(name)),
            None => {
                let id = id.to_owned();
                self.name(&id)
            }
        };
        if let Some(known) = known {
            event.set(name, &known);
            if name == Field::UserTargetName {
                resolved(event, name);
            }
        }
    }
}

/// Notes that the record itself did not say this.
fn resolved(event: &mut Event, field: Field) {
    match event.label(RESOLVED) {
        Some(others) => {
            let all = [others, field.name()].join(",");
            event.set_label(RESOLVED, &all);
        }
        None => event.set_label(RESOLVED, field.name()),
    }
}

/// Keys have to stay the same from run to run: FNV-1a, which is as good as any
/// for a few ten thousand identifiers the server itself chose.
fn stored_under(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> PseudonymKey {
        PseudonymKey::new([3; 32])
    }

    fn audit(outcome: &str, id: &str, name: &str) -> Event {
        let mut event = Event::new();
        event.set(Field::EventDataset, DATASET);
        event.set(Field::EventOutcome, outcome);
        event.set(Field::UserId, id);
        event.set(Field::UserName, name);
        event.set(Field::UserEmail, "Zoe@Example.org");
        event
    }

    fn name_of(aliases: &mut Aliases, field: Field, text: &str) -> Option<String> {
        let mut event = Event::new();
        event.set(field, text);
        aliases.apply(&mut event);
        event.get(Field::UserName).map(str::to_owned)
    }

    #[test]
    fn identifiers_hashes_and_addresses_get_their_name() {
        let mut aliases = Aliases::new(Some(key()));
        aliases.apply(&mut audit("success", "id7", "zoe"));
        let mut hash = String::new();
        key().write(USER_DOMAIN, b"id7", &mut hash);
        for text in ["id7", &hash] {
            assert_eq!(
                name_of(&mut aliases, Field::UserId, text).as_deref(),
                Some("zoe")
            );
        }
        let by_address = name_of(&mut aliases, Field::UserName, "zoe@example.ORG");
        assert_eq!(by_address.as_deref(), Some("zoe"));
        assert_eq!(name_of(&mut aliases, Field::UserId, "id8"), None);
    }

    #[test]
    fn what_clients_can_choose_is_not_learnt() {
        let mut aliases = Aliases::new(Some(key()));
        aliases.apply(&mut audit("failure", "id7", "eve"));
        let mut forged = audit("success", "id7", "eve");
        forged.set(Field::SidewatchTrust, "low");
        aliases.apply(&mut forged);
        let mut access = audit("success", "id7", "eve");
        access.set(Field::EventDataset, "mattermost.access");
        aliases.apply(&mut access);
        assert_eq!(name_of(&mut aliases, Field::UserId, "id7"), None);
    }

    #[test]
    fn an_actor_that_was_written_over_is_known_by_the_session() {
        let mut aliases = Aliases::new(Some(key()));
        let mut named = audit("success", "id7", "zoe");
        named.set(Field::SessionId, "s1");
        aliases.apply(&mut named);
        let mut event = Event::new();
        event.set(Field::EventDataset, DATASET);
        event.set(Field::SessionId, "s1");
        event.set(Field::UserTargetId, "id7");
        aliases.apply(&mut event);
        assert_eq!(event.get(Field::UserId), Some("id7"));
        assert_eq!(event.get(Field::UserName), Some("zoe"));
        assert_eq!(event.label(RESOLVED), Some("user.id,user.target.name"));
        // Nothing forged may say whose a session is.
        let mut forged = audit("success", "id8", "eve");
        forged.set(Field::SessionId, "s2");
        forged.set(Field::SidewatchTrust, "low");
        aliases.apply(&mut forged);
        let mut event = Event::new();
        event.set(Field::EventDataset, DATASET);
        event.set(Field::SessionId, "s2");
        aliases.apply(&mut event);
        assert_eq!(event.get(Field::UserId), None);
    }

    #[test]
    fn names_and_what_was_forgotten_survive() {
        let mut stored = std::collections::BTreeMap::new();
        let mut aliases = Aliases::new(Some(key()));
        aliases.keep_news();
        aliases.apply(&mut audit("success", "id7", "zoe"));
        for number in 0..3 * GENERATION {
            aliases.remember(format!("id-{number}").into(), &"x".into());
            assert!(name_of(&mut aliases, Field::UserId, "id7").is_some());
            aliases.tell(|key, pair| drop(stored.insert(key, pair.map(<[u8]>::to_vec))));
        }
        let mut restored = Aliases::new(Some(key()));
        for (key, pair) in &stored {
            match pair {
                Some(pair) => restored.restore(pair),
                None => restored.forget(*key),
            }
        }
        assert_eq!(
            name_of(&mut restored, Field::UserId, "id7").as_deref(),
            Some("zoe")
        );
        let kept = stored.values().flatten().count();
        assert!(kept <= 2 * GENERATION, "{kept} are kept");
        assert_eq!(kept, aliases.recent.len() + aliases.older.len());
    }

    #[test]
    fn memory_is_bounded_and_used_names_stay() {
        let mut aliases = Aliases::new(Some(key()));
        aliases.apply(&mut audit("success", "first", "zoe"));
        for number in 0..3 * GENERATION {
            let id = format!("id{number}");
            aliases.remember(id.into(), &"x".into());
            if number % 1000 == 0 {
                assert!(name_of(&mut aliases, Field::UserId, "first").is_some());
            }
        }
        assert!(aliases.recent.len() + aliases.older.len() <= 2 * GENERATION);
    }
}
