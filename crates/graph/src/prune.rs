//! Which candidates become neighbors: the diversity rule of HNSW (Malkov and Yashunin,
//! arXiv:1603.09320, algorithm 4).
//!
//! A candidate is kept when no neighbor that is already kept lies nearer to it than the node
//! does. Candidates are met in order of distance, and each is compared with the kept ones
//! only until the first that rules it out: most are ruled out by the nearest, so a node costs a
//! few distances for each candidate instead of a matrix of all pairs.

use crate::candidate::Candidate;
use crate::space::Space;

/// Moves diverse neighbors of a node out of `candidates`, which are in ascending order, to `kept`,
/// which may hold some already, until there are `limit`. Returns the number of distances computed.
pub(crate) fn select(
    space: &Space,
    candidates: &[Candidate],
    limit: usize,
    kept: &mut Vec<Candidate>,
) -> u64 {
    let mut computed = 0;
    for &candidate in candidates {
        if kept.len() == limit {
            break;
        }
        let is_ruled_out = kept.iter().any(|neighbor| {
            computed += 1;
            space.between(neighbor.node(), candidate.node()) < candidate.distance()
        });
        if !is_ruled_out {
            kept.push(candidate);
        }
    }
    computed
}

#[cfg(test)]
mod tests {
    use super::select;
    use crate::candidate::Candidate;
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
        select(&space, &candidates, limit, &mut kept);
        kept.iter().map(|candidate| candidate.node()).collect()
    }

    #[test]
    fn a_neighbor_behind_a_kept_one_is_ruled_out() {
        let rows = [1.0, 0.0, 2.0, 0.0, 0.0, 1.5, -3.0, 0.0];
        assert_eq!(selected(&rows, 8), [0, 2, 3]);
        assert_eq!(selected(&rows, 2), [0, 2]);
    }
}
