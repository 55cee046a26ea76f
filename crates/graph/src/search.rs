//! The walk through the graph: greedy descent, then a beam (Malkov and Yashunin,
//! arXiv:1603.09320, algorithms 2 and 5). Queries and the build use the same loop.
//!
//! The beam is W of the paper: the `ef` nearest nodes seen, in order, each marked once its
//! neighbors have been looked at; the nearest unmarked one is the next step, so C of the paper
//! needs no list of its own.

use crate::candidate::Candidate;
use crate::kernels::{Kernels, LIST_LANES};
use crate::links::{LinkTable, Slot};
use crate::space::{Query, Space};
use crate::visited::Visited;

/// Nodes whose distances are computed together.
pub(crate) const GROUP: usize = 32;

/// What a search looks for: how far nodes are from it.
pub(crate) trait Target {
    /// Asks for what [`Self::distances`] reads of a node to be brought into the cache.
    fn prefetch(&self, node: u32);

    /// The distances of `nodes`.
    fn distances(&self, nodes: &[u32], out: &mut [f32]);
}

/// A vector whose distances to the rows of a space are asked for.
pub(crate) struct ByValues<'a> {
    pub space: &'a Space,
    pub query: Query<'a>,
}

impl Target for ByValues<'_> {
    #[inline]
    fn prefetch(&self, node: u32) {
        self.space.prefetch(node);
    }

    #[inline]
    fn distances(&self, nodes: &[u32], out: &mut [f32]) {
        self.space.distances(&self.query, nodes, out);
    }
}

/// Memory that searches reuse; one for each thread.
#[derive(Debug, Default)]
pub struct Scratch {
    visited: Visited,
    beam: Beam,
    /// The code of a query.
    pub(crate) code: Vec<i8>,
    /// Where a search starts, and what it found, nearest first.
    pub(crate) found: Vec<Candidate>,
    /// Distances computed since this scratch was made.
    pub(crate) computed: u64,
}

impl Scratch {
    /// Memory for any number of searches, one after the other.
    pub fn new() -> Self {
        Self::default()
    }

    /// Distances computed by all searches with this scratch.
    pub fn distance_computations(&self) -> u64 {
        self.computed
    }
}

/// One level of a graph as a search sees it.
#[derive(Clone, Copy)]
pub(crate) struct Layer<'a, F> {
    pub links: &'a LinkTable,
    /// The list of a node in `links`.
    pub list_of: F,
    /// Nodes from here on belong to newer versions and are passed over.
    pub len: usize,
}

impl<F: Fn(u32) -> usize> Layer<'_, F> {
    /// Replaces the starts in `scratch.found` by the `ef` nearest nodes that a walk from them
    /// finds, nearest first.
    pub(crate) fn search(&self, target: &impl Target, ef: usize, scratch: &mut Scratch) {
        let Scratch { visited, beam, found, computed, .. } = scratch;
        visited.restart(self.len);
        beam.restart(ef);
        for start in found.iter() {
            if visited.insert(start.node()) {
                beam.offer(std::iter::once(*start), |_| ());
            }
        }
        let lists = self.links.lists();
        let mut group = [0; GROUP];
        let mut distances = [0.0; GROUP];
        while let Some(node) = beam.step() {
            for slots in lists.slots((self.list_of)(node)).chunks(GROUP) {
                let count = self.unseen(slots, visited, &mut group);
                let (nodes, distances) = (&group[..count], &mut distances[..count]);
                for node in nodes {
                    target.prefetch(*node);
                }
                target.distances(nodes, distances);
                *computed += count as u64;
                let near = nodes.iter().zip(distances);
                let near = near.map(|(node, distance)| Candidate::new(*distance, *node));
                // Most of what enters the beam is looked at sooner or later.
                beam.offer(near, |node| lists.prefetch((self.list_of)(node)));
            }
        }
        found.clear();
        found.extend(beam.candidates());
    }

    /// Puts the nodes of `slots` that were not seen before into `group`; how many there are.
    #[inline]
    fn unseen(&self, slots: &[Slot], visited: &mut Visited, group: &mut [u32; GROUP]) -> usize {
        let mut count = 0;
        for slot in slots {
            let Some(node) = slot.node() else { break };
            if (node as usize) < self.len {
                // Whether a node is new cannot be predicted, so nothing branches on it.
                group[count] = node;
                count += usize::from(visited.insert(node));
            }
        }
        count
    }
}

/// The nearest nodes seen, nearest first.
#[derive(Debug)]
struct Beam {
    kernels: Kernels,
    /// Candidates, each with the lowest bit for "its neighbors have been looked at", then empty
    /// entries up to a whole register. What lies behind the first `ef` fell off.
    entries: Vec<u64>,
    ef: usize,
    /// Candidates that were added, whether they fell off or not.
    added: usize,
    /// Every entry before this one has been looked at.
    next: usize,
}

impl Default for Beam {
    fn default() -> Self {
        let (kernels, entries) = (Kernels::detect(), Vec::new());
        Self { kernels, entries, ef: 0, added: 0, next: 0 }
    }
}

impl Beam {
    const DONE: u64 = 1;
    /// Behind every candidate, and never a next step.
    const EMPTY: u64 = u64::MAX;

    fn restart(&mut self, ef: usize) {
        self.entries.clear();
        self.ef = ef;
        self.added = 0;
        self.next = 0;
    }

    /// Adds the candidates that are among the `ef` nearest, of a group at most, and calls `near`
    /// with the nodes that were when it was called.
    #[inline]
    fn offer(&mut self, candidates: impl Iterator<Item = Candidate>, near: impl Fn(u32)) {
        let last = self.entries.get(self.ef - 1).copied().unwrap_or(Self::EMPTY);
        let (mut group, mut count) = ([0; GROUP], 0);
        for candidate in candidates {
            // Whether one is near cannot be predicted, so nothing branches on it.
            group[count] = pack(candidate);
            count += usize::from(group[count] < last);
        }
        let group = &group[..count];
        for entry in group {
            near(unpack(*entry).node());
        }
        self.added += count;
        let room = self.added.min(self.ef).next_multiple_of(LIST_LANES);
        self.entries.resize(room, Self::EMPTY);
        self.next = self.next.min(self.kernels.insert_all(&mut self.entries, group));
    }

    /// Marks the nearest node that was not looked at, and returns it.
    #[inline]
    fn step(&mut self) -> Option<u32> {
        while *self.entries.get(self.next)? & Self::DONE != 0 {
            self.next += 1;
        }
        if self.next >= self.ef {
            return None;
        }
        let node = unpack(self.entries[self.next]).node();
        self.entries[self.next] |= Self::DONE;
        Some(node)
    }

    fn candidates(&self) -> impl Iterator<Item = Candidate> + '_ {
        let entries = self.entries.iter().take(self.ef);
        entries.take_while(|entry| **entry != Self::EMPTY).map(|entry| unpack(*entry))
    }
}

/// Node numbers leave one bit free ([`crate::limits::MAX_ROWS`]); the order stays.
#[inline]
fn pack(candidate: Candidate) -> u64 {
    let bits = candidate.bits();
    bits & !u64::from(u32::MAX) | (bits << 1) & u64::from(u32::MAX)
}

#[inline]
fn unpack(entry: u64) -> Candidate {
    Candidate::from_bits(entry & !u64::from(u32::MAX) | (entry & u64::from(u32::MAX)) >> 1)
}

#[cfg(test)]
mod tests {
    use super::{Beam, GROUP, pack, unpack};
    use crate::candidate::Candidate;
    use crate::limits::MAX_ROWS;
    use crate::random::Random;

    #[test]
    fn packing_keeps_node_and_distance() {
        for node in [0, 1, MAX_ROWS as u32 - 1] {
            let candidate = Candidate::new(-1.5, node);
            assert_eq!(unpack(pack(candidate)), candidate);
            assert_eq!(unpack(pack(candidate) | Beam::DONE), candidate);
        }
    }

    /// The nearest of a beam are those of a sort, whatever groups they came in; steps that are
    /// taken meanwhile change nothing, and in the end each of the nearest was one.
    #[test]
    fn a_beam_of_any_width_keeps_what_a_sort_does() {
        let mut random = Random::new(3, 4);
        for ef in [1, 7, 8, 9, 100, 300] {
            let (mut beam, mut oracle, mut steps) = (Beam::default(), Vec::new(), Vec::new());
            beam.restart(ef);
            while oracle.len() < 1_000 {
                let distance = |_| random.below(500) as f32;
                let distances: Vec<f32> = (0..=oracle.len() % GROUP).map(distance).collect();
                let group = distances.into_iter().zip(oracle.len() as u32..);
                let group: Vec<_> = group.map(|(d, node)| Candidate::new(d, node)).collect();
                beam.offer(group.iter().copied(), |_| ());
                oracle.extend(group);
                oracle.sort_unstable();
                steps.extend(beam.step());
                let kept = &oracle[..ef.min(oracle.len())];
                assert!(beam.candidates().eq(kept.iter().copied()), "{ef}");
            }
            steps.extend(std::iter::from_fn(|| beam.step()));
            assert!(beam.candidates().all(|near| steps.contains(&near.node())), "{ef}");
            steps.sort_unstable();
            assert!(steps.is_sorted_by(|left, right| left < right), "{ef}: a step was taken twice");
        }
    }

    #[test]
    fn the_beam_keeps_the_nearest_and_steps_through_them_in_order() {
        let mut beam = Beam::default();
        beam.restart(3);
        for (distance, node) in [(5.0, 1), (2.0, 2), (9.0, 3), (4.0, 4)] {
            beam.offer([Candidate::new(distance, node)].into_iter(), |_| ());
        }
        let nodes: Vec<u32> = beam.candidates().map(Candidate::node).collect();
        assert_eq!(nodes, [2, 4, 1]);
        assert_eq!(beam.step(), Some(2));
        beam.offer([Candidate::new(1.0, 5)].into_iter(), |_| ());
        assert_eq!((beam.step(), beam.step(), beam.step()), (Some(5), Some(4), None));
    }
}
