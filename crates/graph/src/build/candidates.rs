//! The candidates of each member of a level: nodes that may become its neighbors.
//!
//! A member may be in several lists (one for each leaf that it lies in). Lists hold node numbers
//! without distances: those are measured again, unrounded, when the lists are joined.

use super::Computed;
use crate::aligned::Aligned;
use crate::kernels::prefetch_line;
use crate::visited::Visited;

/// No candidate.
const NONE: u32 = u32::MAX;

/// Candidate lists of equal length, and which of them belong to a member.
#[derive(Debug)]
pub(super) struct Candidates {
    per_list: usize,
    nodes: Aligned<u32>,
    lists: Lists,
    /// Distances that were computed to find them.
    pub computed: Computed,
}

/// The lists of each member, by the place of the member.
#[derive(Debug)]
pub(super) enum Lists {
    /// One list for each member, in order.
    One,
    /// The lists of place `p` are `lists[ends[p - 1]..ends[p]]`.
    Many { ends: Vec<u32>, lists: Vec<u32> },
}

impl Candidates {
    /// Room for `lists` lists of `per_list` nodes.
    pub(super) fn new(lists: usize, per_list: usize, owners: Lists) -> Self {
        Self {
            per_list,
            nodes: Aligned::filled(lists * per_list, NONE),
            lists: owners,
            computed: Computed::default(),
        }
    }

    /// All slots, list after list, to be filled from the front of each list.
    pub(super) fn slots(&mut self) -> &mut [u32] {
        &mut self.nodes
    }

    /// Adds the candidates of the member at `place` that are not in `met` yet.
    pub(super) fn of(&self, place: usize, met: &mut Visited, found: &mut Vec<u32>) {
        let mut add = |list| found.extend(self.list(list).filter(|node| met.insert(*node)));
        match &self.lists {
            Lists::One => add(place),
            Lists::Many { ends, lists } => {
                let start = place.checked_sub(1).map_or(0, |before| ends[before]);
                let lists = &lists[start as usize..ends[place] as usize];
                for list in lists {
                    add(*list as usize);
                }
            }
        }
    }

    /// Asks for the lists of the member at `place`, if there is one, to be brought into the cache.
    pub(super) fn prefetch(&self, place: usize) {
        if let Lists::Many { ends, lists } = &self.lists
            && place < ends.len()
        {
            for list in &lists[ends[place - 1] as usize..ends[place] as usize] {
                prefetch_line(&self.nodes[*list as usize * self.per_list..]);
            }
        }
    }

    fn list(&self, list: usize) -> impl Iterator<Item = u32> + '_ {
        let slots = &self.nodes[list * self.per_list..][..self.per_list];
        slots.iter().copied().take_while(|node| *node != NONE)
    }
}
