//! The nearest candidates of many rows at once, kept as a stream of distances goes by.
//!
//! Each row has room for twice as many as it keeps. Whatever is under its threshold is appended;
//! when the room is full, the nearest half is selected and the threshold falls. What is kept
//! follows from the total order of candidates alone, so it does not depend on the order in which
//! they came.

use std::ops::Range;

use crate::candidate::Candidate;

/// Lists of the nearest candidates of some rows.
#[derive(Debug, Default)]
pub(crate) struct Nearest {
    keep: usize,
    /// Distances matter below this, for each row.
    thresholds: Vec<f32>,
    counts: Vec<u32>,
    entries: Vec<Candidate>,
}

impl Nearest {
    /// Empty lists that keep the `keep` nearest candidates of each of `rows` rows.
    pub(crate) fn new(rows: usize, keep: usize) -> Self {
        let mut lists = Self::default();
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
        self.entries.resize(rows * self.room(), Candidate::LAST);
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
            let room = self.room();
            let count = &mut self.counts[row];
            self.entries[row * room + *count as usize] = Candidate::new(distance, node);
            *count += 1;
            if *count as usize == room {
                self.select(row);
            }
        }
    }

    /// The nearest candidates of a row, nearest first.
    pub(crate) fn sorted(&mut self, row: usize) -> &[Candidate] {
        let start = row * self.room();
        let entries = &mut self.entries[start..start + self.counts[row] as usize];
        entries.sort_unstable();
        &entries[..entries.len().min(self.keep)]
    }

    /// Takes over what lists of the same shape have found.
    pub(crate) fn merge(&mut self, others: Self) {
        let room = others.room();
        for (row, count) in others.counts.iter().enumerate() {
            for candidate in &others.entries[row * room..][..*count as usize] {
                self.offer(row, candidate.distance(), candidate.node());
            }
        }
    }

    fn room(&self) -> usize {
        2 * self.keep
    }

    /// Cuts a full list back to the nearest half. A tie with the last one kept may still win by
    /// its node number, so the threshold lies just above.
    fn select(&mut self, row: usize) {
        let start = row * self.room();
        let entries = &mut self.entries[start..start + self.counts[row] as usize];
        let (_, last, _) = entries.select_nth_unstable(self.keep - 1);
        self.thresholds[row] = last.distance().next_up();
        self.counts[row] = self.keep as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::Nearest;
    use crate::candidate::Candidate;
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
                let mut lists = Nearest::new(2, keep);
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
