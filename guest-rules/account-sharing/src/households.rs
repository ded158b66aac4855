//! Which seats belong to one person or household.
//!
//! Things that were ever together are one household's: two clients behind one
//! door, or one client behind two. Whoever shares an account with strangers
//! never carries a device to their place.

use crate::state::{SEATS, Seat, Seats};

/// For each seat the number of its household: the lowest index of its members.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Households([usize; SEATS]);

impl Households {
    /// Connects the seats by what was seen together.
    pub(crate) fn of(seats: &Seats) -> Self {
        Self::connected(seats, |_, _| false)
    }

    /// Connects also what is near: home, office and the café are one person's
    /// town, and a journey from there connects all of it.
    pub(crate) fn of_towns(seats: &Seats, near: impl Fn(&Seat, &Seat) -> bool) -> Self {
        Self::connected(seats, near)
    }

    fn connected(seats: &Seats, near: impl Fn(&Seat, &Seat) -> bool) -> Self {
        let ambiguous = |agent: u64| seats.is_common(agent);
        let list = seats.seats.as_slice();
        let mut numbers = [0; SEATS];
        for (index, number) in numbers.iter_mut().enumerate() {
            *number = index;
        }
        // A label spreads along a chain one link a round: as many rounds as
        // seats are enough.
        for _ in list {
            let mut changed = false;
            for (i, seat) in list.iter().enumerate() {
                for (j, other) in list.iter().enumerate().skip(i + 1) {
                    let connects = together(seat, other, ambiguous) || near(seat, other);
                    changed |= connects && join(&mut numbers, i, j);
                }
            }
            if !changed {
                break;
            }
        }
        Self(numbers)
    }

    /// The household of seat number `index`.
    pub(crate) fn number(&self, index: usize) -> usize {
        self.0.get(index).copied().unwrap_or(index)
    }
}

fn join(numbers: &mut [usize; SEATS], i: usize, j: usize) -> bool {
    let lowest = [i, j]
        .iter()
        .filter_map(|index| numbers.get(*index))
        .copied()
        .min()
        .unwrap_or(0);
    let mut changed = false;
    for index in [i, j] {
        if let Some(number) = numbers.get_mut(index) {
            changed |= *number != lowest;
            *number = lowest;
        }
    }
    changed
}

/// Whether seats used by turns show that one user-agent family is several
/// devices: the session of `seat` went on although `other` had a session of
/// its own in between. One device would have replaced it.
pub(crate) fn session_survived(before: &Seat, seat: &Seat, session: u64, other: &Seat) -> bool {
    session != 0
        && before.has_session(session)
        && other.session != 0
        && seat.agent != 0
        && seat.agent == other.agent
        && !seat.shares_session(other)
        && !dual_stack(seat, other)
}

/// Whether seats in use at once show that one user-agent family is several
/// devices: only then does neither device, session nor provider explain it.
pub(crate) fn one_agent_two_devices(a: &Seat, b: &Seat) -> bool {
    let separate = a.device != 0 && b.device != 0 && a.device != b.device;
    a.agent != 0 && a.agent == b.agent && !separate && !a.shares_session(b) && !dual_stack(a, b)
}

/// Whether two seats show one household.
fn together(a: &Seat, b: &Seat, ambiguous: impl Fn(u64) -> bool) -> bool {
    if a.door == b.door
        || (a.device != 0 && a.device == b.device)
        || a.shares_session(b)
        || dual_stack(a, b)
    {
        return true;
    }
    // Without a name for either device its browser has to do, unless both keep
    // a session of their own for days: a device that moved would take its
    // session along.
    let unnamed = a.device == 0 || b.device == 0;
    let settled = a.keeps_session() && b.keeps_session();
    // Who moved for good left nothing behind: only a device that goes back and
    // forth makes two places one household's.
    let back_and_forth = a.first <= b.last && b.first <= a.last;
    let one_browser = a.agent != 0 && a.agent == b.agent;
    unnamed && one_browser && back_and_forth && !settled && !ambiguous(a.agent)
}

/// One client behind one provider's IPv4 and IPv6.
fn dual_stack(a: &Seat, b: &Seat) -> bool {
    let one_provider = a.as_number != 0 && a.as_number == b.as_number;
    one_provider
        && a.agent != 0
        && a.agent == b.agent
        && (a.address_high == 0) != (b.address_high == 0)
}
