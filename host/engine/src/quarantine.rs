//! Keys whose events cost a rule its time: set aside for a pause that doubles,
//! so that one poisoned state or one hostile user does not get the rule
//! suspended for everybody else.
//!
//! Invariants: a fault that costs next to nothing costs the event alone, or a
//! user could hide behind one; at most [`MOST`] keys are remembered.

use std::time::{Duration, Instant};

use hashbrown::HashMap;

/// Most keys set aside at once; beyond, only the rule's suspension helps.
const MOST: usize = 4096;
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);
/// Time over which faults add up.
const WINDOW: Duration = Duration::from_secs(10);
/// What a key's faults may cost within it: one deadline, not two. Less than
/// what suspends the rule, the search for the event included.
const SHARE: Duration = Duration::from_millis(15);

#[derive(Debug)]
struct Record {
    window_began: Instant,
    spent: Duration,
    until: Instant,
    /// Length of the latest pause; zero before the first.
    pause: Duration,
}

/// The keys set aside for one rule.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    keys: HashMap<u64, Record>,
}

impl Quarantine {
    /// Whether no key is remembered.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether events of this key go past the rule now.
    pub(crate) fn holds(&self, key: u64, now: Instant) -> bool {
        self.keys.get(&key).is_some_and(|record| now < record.until)
    }

    /// An event of this key made the rule fail, which took `cost`. Returns
    /// whether the key was set aside before: then its state is to blame as
    /// likely as its events.
    pub(crate) fn strike(&mut self, key: u64, now: Instant, cost: Duration) -> bool {
        if self.keys.len() >= MOST {
            // Whoever has behaved for as long as the pause was is forgiven.
            self.keys
                .retain(|_, record| now < record.until + record.pause.max(WINDOW));
        }
        if self.keys.len() >= MOST && !self.keys.contains_key(&key) {
            return false;
        }
        let record = self.keys.entry(key).or_insert(Record {
            window_began: now,
            spent: Duration::ZERO,
            until: now,
            pause: Duration::ZERO,
        });
        if now.saturating_duration_since(record.window_began) > WINDOW {
            (record.window_began, record.spent) = (now, Duration::ZERO);
        }
        record.spent += cost;
        if record.spent < SHARE {
            return false;
        }
        let again = !record.pause.is_zero();
        record.pause = (record.pause * 2).clamp(SHORTEST, LONGEST);
        record.until = now + record.pause;
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_for_the_key_alone() {
        let now = Instant::now();
        let mut quarantine = Quarantine::default();
        assert!(!quarantine.strike(1, now, SHARE));
        assert!(quarantine.holds(1, now) && !quarantine.holds(2, now));
        let later = now + SHORTEST;
        assert!(!quarantine.holds(1, later));
        assert!(quarantine.strike(1, later, SHARE));
        assert!(quarantine.holds(1, later + SHORTEST));
        assert!(!quarantine.holds(1, later + SHORTEST * 2));
    }

    #[test]
    fn cheap_faults_cost_the_event_alone() {
        let mut now = Instant::now();
        let mut quarantine = Quarantine::default();
        for _ in 0..100 {
            assert!(!quarantine.strike(1, now, SHARE / 200));
            assert!(!quarantine.holds(1, now));
        }
        // One deadline now and then is forgiven, two at once are not.
        for _ in 0..3 {
            now += WINDOW * 2;
            quarantine.strike(2, now, SHARE * 2 / 3);
            assert!(!quarantine.holds(2, now));
        }
        quarantine.strike(2, now, SHARE * 2 / 3);
        assert!(quarantine.holds(2, now));
    }

    #[test]
    fn memory_is_bounded_and_the_forgiven_make_room() {
        let now = Instant::now();
        let mut quarantine = Quarantine::default();
        for key in 0..2 * MOST as u64 {
            quarantine.strike(key, now, SHARE);
        }
        assert_eq!(quarantine.keys.len(), MOST);
        let later = now + WINDOW * 2;
        quarantine.strike(u64::MAX, later, SHARE);
        assert!(quarantine.holds(u64::MAX, later) && quarantine.keys.len() == 1);
    }
}
