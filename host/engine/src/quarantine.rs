//! Keys whose events make a rule fail: set aside for a pause that doubles, so
//! that one poisoned state or one hostile user does not cost the rule its time
//! with everybody else.
//!
//! Invariant: at most [`MOST`] keys are remembered.

use std::time::{Duration, Instant};

use hashbrown::HashMap;

/// Most keys set aside at once; beyond, only the rule's suspension helps.
const MOST: usize = 4096;
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

#[derive(Debug)]
struct Pause {
    until: Instant,
    length: Duration,
}

/// The keys set aside for one rule.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    keys: HashMap<u64, Pause>,
}

impl Quarantine {
    /// Whether no key is remembered.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether events of this key go past the rule now.
    pub(crate) fn holds(&self, key: u64, now: Instant) -> bool {
        self.keys.get(&key).is_some_and(|pause| now < pause.until)
    }

    /// An event of this key made the rule fail. Returns whether it had done so
    /// before: then its state is to blame as likely as the event.
    pub(crate) fn strike(&mut self, key: u64, now: Instant) -> bool {
        if let Some(pause) = self.keys.get_mut(&key) {
            pause.length = (pause.length * 2).min(LONGEST);
            pause.until = now + pause.length;
            return true;
        }
        if self.keys.len() >= MOST {
            // Whoever has behaved for as long as the pause was is forgiven.
            self.keys
                .retain(|_, pause| now < pause.until + pause.length);
        }
        if self.keys.len() < MOST {
            let until = now + SHORTEST;
            self.keys.insert(
                key,
                Pause {
                    until,
                    length: SHORTEST,
                },
            );
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_for_the_key_alone() {
        let now = Instant::now();
        let mut quarantine = Quarantine::default();
        assert!(!quarantine.strike(1, now));
        assert!(quarantine.holds(1, now) && !quarantine.holds(2, now));
        let later = now + SHORTEST;
        assert!(!quarantine.holds(1, later));
        assert!(quarantine.strike(1, later));
        assert!(
            quarantine.holds(1, later + SHORTEST) && !quarantine.holds(1, later + SHORTEST * 2)
        );
    }

    #[test]
    fn memory_is_bounded_and_the_forgiven_make_room() {
        let now = Instant::now();
        let mut quarantine = Quarantine::default();
        for key in 0..2 * MOST as u64 {
            quarantine.strike(key, now);
        }
        assert_eq!(quarantine.keys.len(), MOST);
        let later = now + SHORTEST * 3;
        quarantine.strike(u64::MAX, later);
        assert!(quarantine.holds(u64::MAX, later) && quarantine.keys.len() == 1);
    }
}
