//! Which node reaches which level, and where searches start.
//!
//! Levels follow the HNSW paper, algorithm 4 line 4: `floor(-ln(u) / ln(m))`, with `u` a hash of
//! the node number, so that the same input gives the same levels.

use crate::candidate::Candidate;
use crate::graph::Graph;
use crate::limits::MAX_LEVEL;
use crate::params::BuildParams;
use crate::random::{hash, unit};

/// What the draws are for.
const PURPOSE: u64 = 0x6C65_7665_6C73;

/// The level of a node.
pub(super) fn of_node(node: u32, m: usize, seed: u64) -> u8 {
    let unit = unit(hash(seed ^ PURPOSE, u64::from(node)));
    let level = (-unit.ln() / (m as f64).ln()).floor();
    level.min(f64::from(MAX_LEVEL)) as u8
}

/// The levels of `nodes` nodes, of which those from `unique` on are duplicates and stay low.
pub(super) fn draw(unique: usize, nodes: usize, params: &BuildParams) -> Vec<u8> {
    let level = |node| {
        if node < unique { of_node(node as u32, params.m, params.seed) } else { 0 }
    };
    (0..nodes).map(level).collect()
}

/// The nodes that reach `level`.
pub(super) fn members(levels: &[u8], level: u8) -> Vec<u32> {
    let nodes = levels.iter().zip(0..);
    nodes.filter(|(top, _)| **top >= level).map(|(_, node)| node).collect()
}

/// The node of the top level that is nearest to the centre of the graph.
pub(super) fn entry_point(graph: &Graph, levels: &[u8]) -> Option<u32> {
    let top = levels.iter().copied().max()?;
    nearest_to_centre(graph, &members(levels, top))
}

/// The one of `nodes` that is nearest to the mean of all nodes above level 0, which are a random
/// sample of the rows.
pub(super) fn nearest_to_centre(graph: &Graph, nodes: &[u32]) -> Option<u32> {
    let mean = mean(graph);
    // Rows may cancel out; any node of the top level then serves as well as another.
    let Ok(query) = graph.space.query(&mean) else { return nodes.first().copied() };
    let mut distances = vec![0.0; nodes.len()];
    graph.space.distances(&query, nodes, &mut distances);
    let candidates = nodes.iter().zip(distances);
    let nearest = candidates.map(|(node, distance)| Candidate::new(distance, *node)).min();
    nearest.map(Candidate::node)
}

fn mean(graph: &Graph) -> Vec<f32> {
    let mut sum = vec![0.0_f64; graph.dim()];
    let mut count = 0;
    for node in (0..graph.len() as u32).filter(|node| graph.level(*node) > 0) {
        count += 1;
        for (sum, value) in sum.iter_mut().zip(graph.vector(node)) {
            *sum += f64::from(*value);
        }
    }
    sum.into_iter().map(|sum| (sum / f64::from(count.max(1))) as f32).collect()
}
