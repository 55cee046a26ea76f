//! Rows that are byte for byte equal: one of each group is linked like any other row, the others
//! hang below it.
//!
//! Left in, a thousand equal rows would fill each other's candidate lists and cut themselves off.
//! A walk that arrives at the first of a group finds the others behind it: they form a tree.

use rayon::prelude::*;

use crate::graph::Graph;
use crate::random::hash;
use crate::space::Space;

/// Children of a duplicate within the tree of its group.
const FAN_OUT: usize = 4;

/// The duplicates of a set of rows.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Each duplicate with the first row that equals it, ascending by that row.
    pub duplicates: Vec<(u32, u32)>,
}

/// Finds all rows that equal an earlier one.
pub(super) fn find(space: &Space) -> Groups {
    let rows = 0..space.len() as u32;
    let mut hashed: Vec<(u64, u32)> =
        rows.into_par_iter().map(|row| (hash_row(space.row(row)), row)).collect();
    hashed.par_sort_unstable();
    let mut duplicates = Vec::new();
    for same_hash in hashed.chunk_by(|left, right| left.0 == right.0) {
        let mut firsts: Vec<u32> = Vec::new();
        for &(_, row) in same_hash {
            match firsts.iter().find(|first| is_equal(space.row(**first), space.row(row))) {
                Some(first) => duplicates.push((row, *first)),
                None => firsts.push(row),
            }
        }
    }
    duplicates.sort_unstable_by_key(|(row, first)| (*first, *row));
    Groups { duplicates }
}

impl Groups {
    /// The rows that are the first of their kind, ascending.
    pub(super) fn unique_rows(&self, rows: usize) -> Vec<u32> {
        let mut is_duplicate = vec![false; rows];
        for (row, _) in &self.duplicates {
            is_duplicate[*row as usize] = true;
        }
        (0..rows as u32).filter(|row| !is_duplicate[*row as usize]).collect()
    }

    /// Puts the duplicates behind the unique rows of `order`, and calls rows by their places.
    pub(super) fn append_to(&mut self, order: &mut Vec<u32>) {
        let unique = order.len() as u32;
        order.extend(self.duplicates.iter().map(|(row, _)| *row));
        if self.duplicates.is_empty() {
            return;
        }
        let mut places = vec![0; order.len()];
        for (place, row) in (0..).zip(order.iter()) {
            places[*row as usize] = place;
        }
        for (place, (row, first)) in (unique..).zip(&mut self.duplicates) {
            (*row, *first) = (place, places[*first as usize]);
        }
    }

    /// Links every group as a tree below its first row, up and down.
    pub(super) fn link(&self, graph: &Graph) {
        for group in self.duplicates.chunk_by(|left, right| left.1 == right.1) {
            for (index, (node, first)) in group.iter().enumerate() {
                let parent = if index == 0 { *first } else { group[(index - 1) / FAN_OUT].0 };
                force_link(graph, parent, *node);
                force_link(graph, *node, parent);
            }
        }
    }
}

/// Adds a link on level 0, in place of the last one when the list is full.
fn force_link(graph: &Graph, from: u32, to: u32) {
    let list = from as usize;
    if !graph.links.push(list, to) {
        let mut kept: Vec<u32> = graph.links.neighbors(list).collect();
        kept.pop();
        kept.push(to);
        graph.links.set(list, kept.into_iter());
    }
}

/// Whether two rows are equal, bit by bit.
pub(super) fn is_equal(left: &[f32], right: &[f32]) -> bool {
    left.iter().zip(right).all(|(x, y)| x.to_bits() == y.to_bits())
}

fn hash_row(row: &[f32]) -> u64 {
    // Four sums apart, so that one multiplication need not wait for the other.
    let mut lanes = [1_u64, 2, 3, 4];
    for values in row.chunks(2 * lanes.len()) {
        for (lane, pair) in lanes.iter_mut().zip(values.chunks(2)) {
            let high = pair.get(1).map_or(0, |value| value.to_bits());
            let word = u64::from(pair[0].to_bits()) | u64::from(high) << 32;
            *lane = (*lane ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        }
    }
    lanes.into_iter().fold(row.len() as u64, hash)
}
