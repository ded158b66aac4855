//! One finding per incident instead of one per event.
//!
//! A rule keeps an [`Incident`] in its state and shows it every further
//! occurrence; it says when another report is due: the first, second, fourth,
//! eighth … time. So an incident that goes on stays visible and never floods.

use bytemuck::{Pod, Zeroable};

use crate::detection::incident;

/// An incident being followed. All zero means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Incident {
    /// Stable number of the incident.
    pub id: u64,
    /// Seconds since the epoch of its first occurrence.
    pub first: u32,
    /// Of its latest.
    pub last: u32,
    /// How often it occurred.
    pub count: u32,
    /// What the incident is about, chosen by the rule; 0 when it does not care.
    pub subject: u32,
}

/// How long an incident stays the same, in seconds since its last occurrence.
#[derive(Debug, Clone, Copy)]
pub struct Continuation {
    /// Whatever the subject.
    pub any_subject: u32,
    /// With the same subject, when that is longer.
    pub same_subject: u32,
}

impl Continuation {
    /// The same for every subject.
    #[must_use]
    pub fn within(seconds: u32) -> Self {
        Self {
            any_subject: seconds,
            same_subject: seconds,
        }
    }
}

impl Incident {
    /// Notes an occurrence at `now`: part of the running incident or the first
    /// of a new one, whose number is made of `key` and the time. Returns
    /// whether a report is due.
    pub fn occurred(
        &mut self,
        key: &[u64],
        now: u32,
        subject: u32,
        continuation: Continuation,
    ) -> bool {
        let age = now.abs_diff(self.last);
        let continues = self.count > 0
            && (age <= continuation.any_subject
                || (age <= continuation.same_subject && subject == self.subject));
        if continues {
            self.count = self.count.saturating_add(1);
            self.last = self.last.max(now);
        } else {
            let mut parts = key.to_vec();
            parts.extend([u64::from(now), u64::from(subject)]);
            *self = Self {
                id: incident(&parts),
                first: now,
                last: now,
                count: 1,
                subject,
            };
        }
        self.count.is_power_of_two()
    }

    /// For incidents that are a number of equal events, `step` of which make
    /// the first occurrence: notes one more event beyond them and returns
    /// whether a report is due, after `step` × 1, 2, 4, 8 … events. `count`
    /// holds the events, [`occurrence`](Self::occurrence) the multiple.
    pub fn counted(&mut self, key: &[u64], now: u32, quiet: u32, step: u32) -> bool {
        let step = step.max(1);
        if self.is_open(now, quiet) {
            self.count = self.count.saturating_add(1);
            self.last = self.last.max(now);
        } else {
            let mut parts = key.to_vec();
            parts.push(u64::from(now));
            *self = Self {
                id: incident(&parts),
                first: now,
                last: now,
                count: step,
                subject: step,
            };
        }
        self.count.is_multiple_of(step) && (self.count / step).is_power_of_two()
    }

    /// How often the incident occurred, when it is [`counted`](Self::counted).
    #[must_use]
    pub fn occurrence(&self) -> u32 {
        self.count / self.subject.max(1)
    }

    /// Whether the incident last occurred within `seconds` of `now`.
    #[must_use]
    pub fn is_open(&self, now: u32, seconds: u32) -> bool {
        self.count > 0 && now.abs_diff(self.last) <= seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_due_at_powers_of_two() {
        let mut followed = Incident::default();
        let due: Vec<u32> = (1..=16)
            .filter(|second| followed.occurred(&[1], 100 + second, 0, Continuation::within(60)))
            .collect();
        assert_eq!(due, [1, 2, 4, 8, 16]);
        assert_eq!(followed.count, 16);
        assert_eq!((followed.first, followed.last), (101, 116));
    }

    #[test]
    fn equal_events_are_reported_when_their_number_has_doubled() {
        let mut followed = Incident::default();
        let due: Vec<(u32, u32)> = (0..95)
            .map(|second| {
                let due = followed.counted(&[1], 100 + second, 60, 10);
                (due, (followed.count, followed.occurrence()))
            })
            .filter(|(due, _)| *due)
            .map(|(_, counts)| counts)
            .collect();
        assert_eq!(due, [(10, 1), (20, 2), (40, 4), (80, 8)]);
        let first = followed.id;
        assert!(!followed.counted(&[1], 194, 60, 10));
        assert!(followed.counted(&[1], 255, 60, 10));
        assert_eq!((followed.count, followed.first), (10, 255));
        assert_ne!(followed.id, first);
    }

    #[test]
    fn a_long_pause_starts_another_incident() {
        let mut followed = Incident::default();
        assert!(followed.occurred(&[1], 100, 7, Continuation::within(60)));
        let first = followed.id;
        assert!(followed.occurred(&[1], 160, 7, Continuation::within(60)));
        assert_eq!(followed.id, first);
        assert!(followed.is_open(220, 60));
        assert!(!followed.is_open(221, 60));
        assert!(followed.occurred(&[1], 221, 7, Continuation::within(60)));
        assert_ne!(followed.id, first);
        assert_eq!(followed.count, 1);
    }

    #[test]
    fn the_same_subject_keeps_an_incident_open_for_longer() {
        let windows = Continuation {
            any_subject: 60,
            same_subject: 600,
        };
        let mut followed = Incident::default();
        followed.occurred(&[1], 100, 7, windows);
        followed.occurred(&[1], 600, 7, windows);
        assert_eq!(followed.count, 2);
        followed.occurred(&[1], 1200, 8, windows);
        assert_eq!(followed.count, 1);
        followed.occurred(&[1], 1260, 9, windows);
        assert_eq!(followed.count, 2);
    }

    #[test]
    fn a_late_occurrence_does_not_move_the_incident_back() {
        let mut followed = Incident::default();
        followed.occurred(&[1], 100, 0, Continuation::within(60));
        followed.occurred(&[1], 50, 0, Continuation::within(60));
        assert_eq!((followed.last, followed.count), (100, 2));
        assert!(!Incident::default().is_open(0, 60));
    }
}
