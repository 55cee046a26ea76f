//! Which candidates become neighbors: the diversity rule of HNSW (Malkov and Yashunin,
//! arXiv:1603.09320, algorithm 4) with the slack `alpha` of Vamana.
//!
//! A candidate is kept when no neighbor that is already kept lies clearly nearer to it than the
//! node does. Candidates are met in order of distance, and each is compared with the kept ones
//! only until the first that rules it out: most are ruled out by the nearest, so a node costs a
//! few distances for each candidate instead of a matrix of all pairs.

use crate::Metric;
use crate::candidate::Candidate;
use crate::space::Space;

/// The rule that chooses neighbors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prune<'a> {
    space: &'a Space,
    /// A kept neighbor rules out a candidate that is `alpha` times nearer to it than to the node.
    /// 1 is the rule of HNSW; more keeps more links. Applied to squared distances.
    alpha: f32,
}

impl<'a> Prune<'a> {
    pub(crate) fn new(space: &'a Space, alpha: f32) -> Self {
        // A factor on a negative distance would turn the comparison around.
        let alpha = if space.metric() == Metric::Ip { 1.0 } else { alpha };
        Self { space, alpha }
    }

    /// Moves at most `limit` diverse neighbors out of `candidates`, which are in ascending order,
    /// to the empty list `kept`, and returns the number of distances computed.
    pub(crate) fn select(
        &self,
        candidates: &[Candidate],
        limit: usize,
        kept: &mut Vec<Candidate>,
    ) -> u64 {
        let mut computed = 0;
        for &candidate in candidates {
            if kept.len() == limit {
                break;
            }
            let ruled_out = kept.iter().any(|neighbor| {
                computed += 1;
                let apart = self.space.between(neighbor.node(), candidate.node());
                self.alpha * apart < candidate.distance()
            });
            if !ruled_out {
                kept.push(candidate);
            }
        }
        computed
    }
}

#[cfg(test)]
mod tests {
    use super::Prune;
    use crate::candidate::Candidate;
    use crate::space::Space;
    use crate::{Metric, Vectors};

    /// The node is at the origin of the plane; the candidates are the rows.
    fn selected(rows: &[f32], alpha: f32, limit: usize) -> Vec<u32> {
        let vectors = Vectors::from_flat(2, rows).unwrap();
        let space = Space::new(Metric::L2, vectors).unwrap();
        let distance = |row: u32| space.row(row).iter().map(|x| x * x).sum();
        let rows = 0..space.len() as u32;
        let mut candidates: Vec<_> = rows.map(|row| Candidate::new(distance(row), row)).collect();
        candidates.sort_unstable();
        let mut kept = Vec::new();
        Prune::new(&space, alpha).select(&candidates, limit, &mut kept);
        kept.iter().map(|candidate| candidate.node()).collect()
    }

    #[test]
    fn a_neighbor_behind_a_kept_one_is_ruled_out() {
        let rows = [1.0, 0.0, 2.0, 0.0, 0.0, 1.5, -3.0, 0.0];
        assert_eq!(selected(&rows, 1.0, 8), [0, 2, 3]);
        assert_eq!(selected(&rows, 1.0, 2), [0, 2]);
    }

    #[test]
    fn alpha_keeps_more() {
        let rows = [1.0, 0.0, 2.0, 0.0, 0.0, 1.5, -3.0, 0.0];
        assert_eq!(selected(&rows, 4.1, 8), [0, 2, 1, 3]);
    }
}
