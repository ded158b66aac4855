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

/// At most `N` plain records in order, stored back to back: decoding is one
/// copy, so a state of many points costs little per event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounded<T, const N: usize> {
    items: [T; N],
    length: usize,
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
        let size = size_of::<T>();
        if size == 0 || !bytes.len().is_multiple_of(size) || bytes.len() / size > N {
            return None;
        }
        let mut list = Self::default();
        bytemuck::cast_slice_mut::<T, u8>(&mut list.items)
            .get_mut(..bytes.len())?
            .copy_from_slice(bytes);
        list.length = bytes.len() / size;
        Some(list)
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
