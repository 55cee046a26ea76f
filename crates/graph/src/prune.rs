//! Which candidates become neighbors: the diversity rule of HNSW (Malkov and Yashunin,
//! arXiv:1603.09320, algorithm 4).
//!
//! A candidate is kept when no neighbor that is already kept lies nearer to it than the node
//! does. Each kept neighbor rules out, all at once, what it lies nearer to: most candidates are
//! ruled out by the nearest, so a node costs a few distances for each candidate instead of a
//! matrix of all pairs.

use crate::candidate::Candidate;
use crate::ruler::Ruler;

/// Candidates that are looked at together. Those behind the group in which the limit is reached
/// cost nothing.
const GROUP: usize = 32;

/// Memory that the selections of one thread share.
#[derive(Debug, Default)]
pub(crate) struct Pruner {
    /// The candidates that are not ruled out yet, nearest last, and the nodes that they are.
    left: Vec<Candidate>,
    nodes: Vec<u32>,
    distances: Vec<f32>,
    /// Distances computed.
    pub computed: u64,
}

impl Pruner {
    /// Moves diverse neighbors of a node out of `candidates`, which are in ascending order, to
    /// `kept`, which may hold some already, until there are `limit`.
    pub(crate) fn select(
        &mut self,
        ruler: Ruler<'_>,
        candidates: &[Candidate],
        limit: usize,
        kept: &mut Vec<Candidate>,
    ) {
        for group in candidates.chunks(GROUP) {
            self.left.clear();
            self.left.extend(group.iter().rev());
            self.nodes.clear();
            self.nodes.extend(self.left.iter().map(|candidate| candidate.node()));
            for neighbor in kept.iter() {
                self.rule_out(ruler, neighbor.node());
            }
            while kept.len() < limit
                && let Some((nearest, node)) = self.left.pop().zip(self.nodes.pop())
            {
                kept.push(nearest);
                self.rule_out(ruler, node);
            }
            if kept.len() >= limit {
                break;
            }
        }
    }

    /// Drops the candidates that lie nearer to `neighbor` than to the node.
    fn rule_out(&mut self, ruler: Ruler<'_>, neighbor: u32) {
        if self.left.is_empty() {
            return;
        }
        self.distances.resize(self.nodes.len(), 0.0);
        ruler.distances(neighbor, &self.nodes, &mut self.distances);
        self.computed += self.nodes.len() as u64;
        // Whether one is ruled out cannot be predicted, so nothing branches on it.
        let mut left = 0;
        for (place, distance) in self.distances.iter().enumerate() {
            let candidate = self.left[place];
            self.left[left] = candidate;
            self.nodes[left] = candidate.node();
            left += usize::from(*distance >= candidate.distance());
        }
        self.left.truncate(left);
        self.nodes.truncate(left);
    }
}

#[cfg(test)]
mod tests {
    use super::Pruner;
    use crate::candidate::Candidate;
    use crate::ruler::Ruler;
    use crate::space::Space;
    use crate::{Metric, Vectors};

    /// The node is at the origin of the plane; the candidates are the rows.
    fn selected(rows: &[f32], limit: usize) -> Vec<u32> {
        let vectors = Vectors::from_flat(2, rows).unwrap();
        let space = Space::new(Metric::L2, vectors).unwrap();
        let distance = |row: u32| space.row(row).iter().map(|x| x * x).sum();
        let rows = 0..space.len() as u32;
        let mut candidates: Vec<_> = rows.map(|row| Candidate::new(distance(row), row)).collect();
        candidates.sort_unstable();
        let mut kept = Vec::new();
        Pruner::default().select(Ruler::sharp(&space), &candidates, limit, &mut kept);
        kept.iter().map(|candidate| candidate.node()).collect()
    }

    #[test]
    fn a_neighbor_behind_a_kept_one_is_ruled_out() {
        let rows = [1.0, 0.0, 2.0, 0.0, 0.0, 1.5, -3.0, 0.0];
        assert_eq!(selected(&rows, 8), [0, 2, 3]);
        assert_eq!(selected(&rows, 2), [0, 2]);
    }
}
