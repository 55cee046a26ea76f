//! Lists of links of equal capacity, which readers walk without a lock while one writer changes
//! them.
//!
//! A list ends at its first empty slot. A reader that meets a list in the middle of a change
//! sees a mixture of the old and the new links; each of them names a node, so a walk stays
//! correct, and a link seen twice is stopped by the visited set.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::aligned::Aligned;
use crate::blocks::{Blocks, Rows};
use crate::kernels::prefetch;

/// No node.
const EMPTY: u32 = u32::MAX;

/// One slot of a list.
#[derive(Debug)]
pub(crate) struct Slot(AtomicU32);

impl Slot {
    /// The node that the slot links to; nothing behind the end of a list.
    #[inline]
    pub(crate) fn node(&self) -> Option<u32> {
        let node = self.0.load(Ordering::Relaxed);
        (node != EMPTY).then_some(node)
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self(AtomicU32::new(EMPTY))
    }
}

/// A version of a growing table of link lists; versions share the lists.
#[derive(Clone, Debug)]
pub(crate) struct LinkTable {
    lists: Blocks<Slot>,
}

/// The lists of a table as loops read them.
#[derive(Clone, Copy)]
pub(crate) struct Lists<'a>(Rows<'a, Slot>);

impl<'a> Lists<'a> {
    /// The slots of a list; the links end at the first empty one.
    #[inline]
    pub(crate) fn slots(self, list: usize) -> &'a [Slot] {
        self.0.row(list)
    }

    /// Asks for a list to be brought into the cache.
    #[inline]
    pub(crate) fn prefetch(self, list: usize) {
        prefetch(self.0.row(list));
    }
}

impl LinkTable {
    /// `lists` empty lists of `max_degree` slots.
    pub(crate) fn new(max_degree: usize, lists: usize) -> Self {
        let mut slots = Aligned::with_capacity(lists * max_degree);
        slots.extend((0..lists * max_degree).map(|_| Slot::default()));
        Self { lists: Blocks::new(max_degree, slots) }
    }

    pub(crate) fn max_degree(&self) -> usize {
        self.lists.stride()
    }

    /// The number of lists.
    pub(crate) fn len(&self) -> usize {
        self.lists.len()
    }

    /// Adds empty lists.
    pub(crate) fn grow(&mut self, lists: usize) {
        self.lists.grow(lists);
    }

    /// The links of a list.
    #[inline]
    pub(crate) fn neighbors(&self, list: usize) -> impl Iterator<Item = u32> + '_ {
        self.lists.row(list).iter().map_while(Slot::node)
    }

    /// The lists for loops over some of them.
    pub(crate) fn lists(&self) -> Lists<'_> {
        Lists(self.lists.rows())
    }

    pub(crate) fn degree(&self, list: usize) -> usize {
        self.neighbors(list).count()
    }

    /// Replaces the links of a list.
    ///
    /// # Panics
    /// When there are more than `max_degree`.
    pub(crate) fn set(&self, list: usize, nodes: impl ExactSizeIterator<Item = u32>) {
        let slots = self.lists.row(list);
        let count = nodes.len();
        assert!(count <= slots.len(), "{count} links do not fit a list of {}", slots.len());
        for (slot, node) in slots.iter().zip(nodes) {
            slot.0.store(node, Ordering::Relaxed);
        }
        if let Some(end) = slots.get(count) {
            end.0.store(EMPTY, Ordering::Relaxed);
        }
    }

    /// Adds a link behind the others; whether there was room.
    pub(crate) fn push(&self, list: usize, node: u32) -> bool {
        let degree = self.degree(list);
        let free = self.lists.row(list).get(degree);
        if let Some(slot) = free {
            if let Some(end) = self.lists.row(list).get(degree + 1) {
                end.0.store(EMPTY, Ordering::Relaxed);
            }
            slot.0.store(node, Ordering::Relaxed);
        }
        free.is_some()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.lists.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::LinkTable;

    #[test]
    fn a_list_ends_at_the_first_empty_slot() {
        let mut table = LinkTable::new(3, 1);
        table.grow(2);
        assert_eq!((table.len(), table.degree(2)), (3, 0));
        table.set(2, [7, 8, 9].into_iter());
        assert!(!table.push(2, 10));
        table.set(2, [4].into_iter());
        assert_eq!(table.neighbors(2).collect::<Vec<_>>(), [4]);
        assert!(table.push(2, 5));
        assert_eq!(table.neighbors(2).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(table.degree(1), 0);
    }
}
