//! One query against rows, one after the other: exact, and the last resort where the products of
//! a tile are too coarse.

use crate::candidate::Candidate;
use crate::nearest::Nearest;
use crate::search::{ByValues, Target};
use crate::space::{Query, Space};

/// Rows whose distances are computed together.
const GROUP: usize = 64;

/// The `keep` nearest of `nodes`, nearest first, called by their places among them.
pub(crate) fn nearest(
    space: &Space,
    query: &Query<'_>,
    nodes: impl Iterator<Item = u32>,
    keep: usize,
) -> Vec<Candidate> {
    let mut lists = Nearest::new(space.kernels(), 1, keep);
    let mut place = 0;
    each(&ByValues { space, query: *query }, nodes, |_, distance| {
        lists.offer(0, distance, place);
        place += 1;
    });
    lists.sorted(0).to_vec()
}

/// Calls `take` with each of `nodes` and its distance, in their order.
pub(crate) fn each(
    target: &impl Target,
    mut nodes: impl Iterator<Item = u32>,
    mut take: impl FnMut(u32, f32),
) {
    let mut group = Vec::with_capacity(GROUP);
    let mut distances = [0.0; GROUP];
    loop {
        group.clear();
        group.extend(nodes.by_ref().take(GROUP));
        if group.is_empty() {
            return;
        }
        let distances = &mut distances[..group.len()];
        target.distances(&group, distances);
        for (node, distance) in group.iter().zip(distances) {
            take(*node, *distance);
        }
    }
}
