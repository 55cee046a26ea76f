//! The nearest candidates of many rows at once, kept as a stream of distances goes by.
//!
//! A short list is kept sorted. A long one has room for twice as many as it keeps: whatever is
//! under the threshold is appended, and when the room is full, the nearest half is selected and
//! the threshold falls. What is kept follows from the total order of candidates alone, so it does
//! not depend on the order in which they came.

use std::ops::Range;

use crate::candidate::Candidate;
use crate::kernels::{Kernels, Passed, SHORT_LIST};

/// Lists of the nearest candidates of some rows.
#[derive(Debug)]
pub(crate) struct Nearest {
    kernels: Kernels,
    keep: usize,
    /// Distances matter below this, for each row.
    thresholds: Vec<f32>,
    counts: Vec<u32>,
    entries: Vec<Candidate>,
}

impl Nearest {
    /// Empty lists that keep the `keep` nearest candidates of each of `rows` rows.
    pub(crate) fn new(kernels: Kernels, rows: usize, keep: usize) -> Self {
        let (thresholds, counts, entries) = Default::default();
        let mut lists = Self { kernels, keep, thresholds, counts, entries };
        lists.restart(rows, keep);
        lists
    }

    /// Empties the lists and changes their number and length.
    pub(crate) fn restart(&mut self, rows: usize, keep: usize) {
        self.keep = keep;
        self.thresholds.clear();
        self.thresholds.resize(rows, f32::INFINITY);
        self.counts.clear();
        self.counts.resize(rows, 0);
        self.entries.clear();
        self.entries.resize(rows * self.room(), Candidate::LAST);
    }

    pub(crate) fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// Distances below the threshold of a row may be among its nearest.
    #[inline]
    pub(crate) fn threshold(&self, row: usize) -> f32 {
        self.thresholds[row]
    }

    pub(crate) fn thresholds(&self, rows: Range<usize>) -> &[f32] {
        &self.thresholds[rows]
    }

    /// Adds a candidate when it may be among the nearest of a row.
    #[inline]
    pub(crate) fn offer(&mut self, row: usize, distance: f32, node: u32) {
        if distance < self.thresholds[row] {
            let candidate = Candidate::new(distance, node);
            if self.keep <= SHORT_LIST {
                self.insert(row, candidate);
            } else {
                self.append(row, candidate);
            }
        }
    }

    /// Adds what passed the threshold of a row; columns are called `first_node` and up.
    #[inline]
    pub(crate) fn offer_all(&mut self, row: usize, passed: &Passed, first_node: u32) {
        for (column, distance) in passed.iter() {
            self.offer(row, distance, first_node + column);
        }
    }

    /// Puts a candidate in its place of a short list; the last one falls off.
    #[inline]
    fn insert(&mut self, row: usize, candidate: Candidate) {
        let (lists, _) = self.entries.as_chunks_mut::<SHORT_LIST>();
        self.kernels.insert_sorted(&mut lists[row], candidate);
        self.thresholds[row] = lists[row][self.keep - 1].threshold();
    }

    /// Puts a candidate behind a long list.
    #[inline]
    fn append(&mut self, row: usize, candidate: Candidate) {
        let room = self.room();
        let count = &mut self.counts[row];
        self.entries[row * room + *count as usize] = candidate;
        *count += 1;
        if *count as usize == room {
            self.select(row);
        }
    }

    /// The nearest candidates of a row, nearest first.
    pub(crate) fn sorted(&mut self, row: usize) -> &[Candidate] {
        let room = self.room();
        let entries = &mut self.entries[row * room..][..room];
        if self.keep <= SHORT_LIST {
            let count = entries.partition_point(|entry| *entry != Candidate::LAST);
            return &entries[..count.min(self.keep)];
        }
        let entries = &mut entries[..self.counts[row] as usize];
        entries.sort_unstable();
        &entries[..entries.len().min(self.keep)]
    }

    /// Takes over what lists of the same shape have found.
    pub(crate) fn merge(&mut self, mut others: Self) {
        for row in 0..others.thresholds.len() {
            for candidate in others.sorted(row) {
                self.offer(row, candidate.distance(), candidate.node());
            }
        }
    }

    fn room(&self) -> usize {
        if self.keep <= SHORT_LIST { SHORT_LIST } else { 2 * self.keep }
    }

    /// Cuts a full list back to the nearest half. A tie with the last one kept may still win by
    /// its node number, so the threshold lies just above.
    fn select(&mut self, row: usize) {
        let start = row * self.room();
        let entries = &mut self.entries[start..start + self.counts[row] as usize];
        let (_, last, _) = entries.select_nth_unstable(self.keep - 1);
        self.thresholds[row] = last.threshold();
        self.counts[row] = self.keep as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::Nearest;
    use crate::candidate::Candidate;
    use crate::kernels::Kernels;
    use crate::random::Random;

    #[test]
    fn keeps_the_nearest_whatever_the_order() {
        let mut random = Random::new(1, 2);
        for keep in [1, 2, 7, 64] {
            let mut stream: Vec<_> =
                (0..500).map(|node| (random.below(40) as f32 - 20.0, node)).collect();
            let mut oracle: Vec<_> =
                stream.iter().map(|(distance, node)| Candidate::new(*distance, *node)).collect();
            oracle.sort_unstable();
            for _ in 0..5 {
                let mut lists = Nearest::new(Kernels::detect(), 2, keep);
                for &(distance, node) in &stream {
                    lists.offer(1, distance, node);
                }
                assert_eq!(lists.sorted(1), &oracle[..keep]);
                assert!(lists.sorted(0).is_empty());
                for place in (1..stream.len()).rev() {
                    stream.swap(place, random.below(place + 1));
                }
            }
        }
    }
}
