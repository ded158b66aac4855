//! A rule's state as bytes, and containers that make bounded states easy.
//!
//! The host keeps the bytes; the rule alone knows their meaning. A state that
//! cannot be decoded (another version's, say) makes the rule start anew, unless
//! its `decode` knows how to migrate the older form.

use bytemuck::Pod;

/// A state that fits into bytes.
pub trait State: Default {
    /// Reads the bytes as last written, or an older form. `None` starts anew.
    fn decode(bytes: &[u8]) -> Option<Self>;
    /// Appends the bytes. Writing none forgets the state.
    fn encode(&self, out: &mut Vec<u8>);

    /// Becomes what the bytes say, or a new state. A large state does this in
    /// place: making one and moving it costs a copy of its whole size each.
    fn load(&mut self, bytes: Option<&[u8]>) {
        *self = bytes.and_then(Self::decode).unwrap_or_default();
    }
}

/// Implements [`State`] for a tuple struct of plain numbers (or other
/// [`Pod`] values), with a length check instead of a version.
#[macro_export]
macro_rules! pod_state {
    ($name:ident($inner:ty)) => {
        impl $crate::State for $name {
            fn decode(bytes: &[u8]) -> Option<Self> {
                (bytes.len() == ::core::mem::size_of::<$inner>())
                    .then(|| Self($crate::bytemuck::pod_read_unaligned::<$inner>(bytes)))
            }
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice($crate::bytemuck::bytes_of(&self.0));
            }
        }
    };
}

/// Implements [`State`] for a tuple struct of plain numbers whose form has a
/// version: `compact_state!(Name(Inner), 1)`. Another version starts anew,
/// unless a function knows what to make of it: with
/// `compact_state!(Name(Inner), 2, from = migrate)`, `migrate(version, bytes)`
/// is asked, which returns an `Option<Inner>`; [`read_compact`] reads the older
/// form. Zeros at the end are not stored, so what is not yet used costs nothing.
///
/// [`read_compact`]: crate::state::read_compact
#[macro_export]
macro_rules! compact_state {
    ($name:ident($inner:ty), $version:literal) => {
        $crate::compact_state!(
            $name($inner),
            $version,
            from = |_: u8, _: &[u8]| None::<$inner>
        );
    };
    ($name:ident($inner:ty), $version:literal, from = $migrate:expr) => {
        #[allow(
            unreachable_pub,
            dead_code,
            reason = "as visible as the state itself; not every rule asks"
        )]
        impl $name {
            /// Most bytes a state takes.
            pub const LIMIT: u32 = ::core::mem::size_of::<$inner>() as u32 + 1;
        }
        impl $crate::State for $name {
            fn decode(bytes: &[u8]) -> Option<Self> {
                let (version, stored) = bytes.split_first()?;
                let inner: Option<$inner> = if *version == $version {
                    $crate::state::read_compact(stored)
                } else {
                    ($migrate)(*version, stored)
                };
                inner.map(Self)
            }
            fn encode(&self, out: &mut Vec<u8>) {
                let bytes = $crate::bytemuck::bytes_of(&self.0);
                let used = bytes
                    .iter()
                    .rposition(|byte| *byte != 0)
                    .map_or(0, |last| last + 1);
                out.push($version);
                out.extend(bytes.iter().take(used));
            }
        }
    };
}

/// Reads plain numbers stored without the zeros at their end, as
/// [`compact_state!`](crate::compact_state) stores them behind the version.
#[must_use]
pub fn read_compact<T: Pod>(stored: &[u8]) -> Option<T> {
    let mut inner = T::zeroed();
    let whole = bytemuck::bytes_of_mut(&mut inner);
    if stored.len() > whole.len() {
        return None;
    }
    for (byte, value) in whole.iter_mut().zip(stored) {
        *byte = *value;
    }
    Some(inner)
}

/// At most `N` plain records in order, stored back to back: decoding is one
/// copy, so a state of many points costs little per event.
///
/// Invariant: what lies behind `length` is never looked at.
#[derive(Debug, Clone, Copy)]
pub struct Bounded<T, const N: usize> {
    items: [T; N],
    length: usize,
}

impl<T: Pod + PartialEq, const N: usize> PartialEq for Bounded<T, N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl<T: Pod, const N: usize> Default for Bounded<T, N> {
    fn default() -> Self {
        Self {
            items: [T::zeroed(); N],
            length: 0,
        }
    }
}

impl<T: Pod, const N: usize> Bounded<T, N> {
    /// The records, oldest place first.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        self.items.get(..self.length).unwrap_or_default()
    }

    /// The records, to be changed in place.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        self.items.get_mut(..self.length).unwrap_or_default()
    }

    /// Inserts at `index` (clamped); when full the first record is dropped to
    /// make room.
    pub fn insert(&mut self, index: usize, item: T) {
        let mut index = index.min(self.length);
        if self.length == N {
            self.items.rotate_left(1);
            self.length -= 1;
            index = index.saturating_sub(1);
        }
        self.length += 1;
        if let Some(tail) = self.items.get_mut(index..self.length) {
            tail.rotate_right(1);
        }
        if let Some(slot) = self.items.get_mut(index) {
            *slot = item;
        }
    }

    /// Appends; when full the first record is dropped to make room.
    pub fn push(&mut self, item: T) {
        self.insert(self.length, item);
    }

    /// Appends; when full the first record of the least `worth` makes room.
    pub fn push_in_place_of_least<W: Ord>(&mut self, item: T, worth: impl Fn(&T) -> W) {
        if self.length == N {
            let least = self
                .as_slice()
                .iter()
                .enumerate()
                .min_by_key(|(_, known)| worth(known));
            if let Some(tail) = least
                .map(|(index, _)| index)
                .and_then(|index| self.items.get_mut(index..))
            {
                tail.rotate_left(1);
                self.length -= 1;
            }
        }
        self.push(item);
    }

    /// Keeps the records `keep` accepts, in order.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        let mut kept = Self::default();
        for item in self.as_slice() {
            if keep(item) {
                kept.push(*item);
            }
        }
        *self = kept;
    }

    /// Reads as many whole records as the bytes hold, `N` at most.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut list = Self::default();
        list.replace(bytes).then_some(list)
    }

    /// The same in place; false, and empty, when the bytes are no such list.
    pub fn replace(&mut self, bytes: &[u8]) -> bool {
        self.length = 0;
        let size = size_of::<T>();
        if size == 0 || !bytes.len().is_multiple_of(size) {
            return false;
        }
        let room = bytemuck::cast_slice_mut::<T, u8>(&mut self.items);
        let Some(room) = room.get_mut(..bytes.len()) else {
            return false;
        };
        room.copy_from_slice(bytes);
        self.length = bytes.len() / size;
        true
    }

    /// Forgets every record.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Appends the records' bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(bytemuck::cast_slice(self.as_slice()));
    }
}

impl<T: Pod, const N: usize> State for Bounded<T, N> {
    fn decode(bytes: &[u8]) -> Option<Self> {
        Self::decode(bytes)
    }
    fn encode(&self, out: &mut Vec<u8>) {
        Self::encode(self, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_list_drops_its_first_record_when_full() {
        let mut list = Bounded::<u32, 3>::default();
        for item in 1..=4 {
            list.push(item);
        }
        assert_eq!(list.as_slice(), [2, 3, 4]);
        list.insert(1, 9);
        assert_eq!(list.as_slice(), [9, 3, 4]);
        list.retain(|item| *item != 3);
        list.insert(0, 1);
        assert_eq!(list.as_slice(), [1, 9, 4]);
    }

    #[derive(Debug, Default, PartialEq)]
    struct Compact([u32; 4]);
    crate::compact_state!(Compact([u32; 4]), 3);

    #[test]
    fn zeros_at_the_end_are_not_stored() {
        let stored = |state: &Compact| {
            let mut bytes = Vec::new();
            state.encode(&mut bytes);
            bytes
        };
        let state = Compact([1, 0, 0x0203, 0]);
        let bytes = stored(&state);
        assert_eq!(bytes, [3, 1, 0, 0, 0, 0, 0, 0, 0, 3, 2]);
        assert_eq!(Compact::decode(&bytes), Some(state));
        assert_eq!(
            Compact::decode(&stored(&Compact::default())),
            Some(Compact::default())
        );
        assert_eq!(
            stored(&Compact([u32::MAX; 4])).len(),
            Compact::LIMIT as usize
        );
    }

    #[test]
    fn another_version_or_a_longer_state_starts_anew() {
        assert_eq!(Compact::decode(&[2, 1]), None);
        assert_eq!(Compact::decode(&[3; 18]), None);
        assert_eq!(Compact::decode(&[]), None);
        assert!(Compact::decode(&[3; 17]).is_some());
    }

    /// The same user's counts, once more finely counted.
    #[derive(Debug, Default, PartialEq)]
    struct Finer([u64; 4]);
    crate::compact_state!(Finer([u64; 4]), 4, from = finer);

    fn finer(version: u8, stored: &[u8]) -> Option<[u64; 4]> {
        match version {
            3 => Some(read_compact::<[u32; 4]>(stored)?.map(u64::from)),
            _ => None,
        }
    }

    #[test]
    fn a_state_of_an_older_version_is_migrated_where_the_rule_knows_how() {
        let mut old = Vec::new();
        Compact([7, 0, 9, 0]).encode(&mut old);
        assert_eq!(Finer::decode(&old), Some(Finer([7, 0, 9, 0])));
        let mut new = Vec::new();
        Finer([7, 0, 9, 0]).encode(&mut new);
        assert_eq!(new[0], 4);
        assert_eq!(Finer::decode(&new), Some(Finer([7, 0, 9, 0])));
        assert_eq!(Finer::decode(&[2, 1]), None, "too old to be known");
        assert_eq!(Compact::decode(&new), None, "the older version starts anew");
    }

    #[test]
    fn the_least_worthy_record_makes_room() {
        let mut list = Bounded::<u32, 3>::default();
        for item in [5, 2, 9, 7, 1, 4] {
            list.push_in_place_of_least(item, |item| *item);
        }
        assert_eq!(list.as_slice(), [9, 7, 4]);
    }

    #[test]
    fn a_list_may_be_the_whole_state() {
        let mut list = Bounded::<u32, 3>::default();
        list.push(7);
        let mut bytes = Vec::new();
        State::encode(&list, &mut bytes);
        let mut loaded = Bounded::<u32, 3>::default();
        loaded.load(Some(&bytes));
        assert_eq!(loaded.as_slice(), [7]);
        loaded.load(None);
        assert_eq!(loaded.as_slice(), [0; 0]);
    }

    #[test]
    fn bytes_of_another_shape_are_refused() {
        let mut list = Bounded::<u64, 4>::default();
        list.push(7);
        let mut bytes = Vec::new();
        list.encode(&mut bytes);
        assert_eq!(Bounded::<u64, 4>::decode(&bytes), Some(list));
        assert_eq!(Bounded::<u64, 4>::decode(&bytes[1..]), None);
        assert_eq!(Bounded::<u64, 4>::decode(&[0; 40]), None);
    }
}
