//! Everything that must hold in every graph, written without the help of the crate: its own
//! walk, its own reading of the plain arrays.

use std::collections::BTreeSet;

use loomdb_graph::{Graph, GraphParts, MAX_LEVEL, Scratch, Vectors};
use loomdb_testkit::DataSet;

use super::nodes_of;

/// Answers that the round trip through plain arrays is compared on.
const COMPARED_QUERIES: usize = 3;

/// Stops with a message unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}

/// Checks a graph that was made of the rows of `set`, node `i` of row `order[i]`.
///
/// # Errors
/// The first thing that does not hold.
pub fn check_graph(graph: &Graph, order: &[u32], set: &DataSet) -> Result<(), String> {
    let parts = graph.to_parts();
    check_rows(graph, order, set)?;
    check_levels(graph, &parts)?;
    check_lists(graph, &parts)?;
    check_reachable(&parts)?;
    check_round_trip(graph, &parts)
}

/// The order is a permutation, and every row is where it says.
fn check_rows(graph: &Graph, order: &[u32], set: &DataSet) -> Result<(), String> {
    ensure!(graph.len() == set.len(), "{} nodes of {} rows", graph.len(), set.len());
    ensure!(graph.dim() == set.dim, "dim {} of {}", graph.dim(), set.dim);
    ensure!(graph.is_empty() == set.is_empty(), "is_empty contradicts len");
    let mut seen = order.to_vec();
    seen.sort_unstable();
    ensure!(seen.into_iter().eq(0..set.len() as u32), "the order is not a permutation");
    for (node, row) in (0..).zip(order) {
        let (stored, given) = (graph.vector(node), set.row(*row as usize));
        let is_same = stored.iter().zip(given).all(|(x, y)| x.to_bits() == y.to_bits());
        ensure!(stored.len() == given.len() && is_same, "node {node} is not row {row}");
    }
    Ok(())
}

/// The entry point exists and is on the top level.
fn check_levels(graph: &Graph, parts: &GraphParts) -> Result<(), String> {
    ensure!(parts.levels.len() == graph.len(), "{} levels", parts.levels.len());
    ensure!(parts.m == graph.m(), "m is {} and {}", parts.m, graph.m());
    ensure!(parts.entry_point == graph.entry_point(), "two entry points");
    let top = parts.levels.iter().copied().max();
    ensure!(top.is_none_or(|top| top <= MAX_LEVEL), "level {top:?}");
    let entry = parts.entry_point.map(|node| parts.levels[node as usize]);
    ensure!(entry == top, "the entry point is on level {entry:?} of {top:?}");
    for (node, level) in (0..).zip(&parts.levels) {
        ensure!(graph.level(node) == *level, "two levels of node {node}");
    }
    Ok(())
}

/// Degrees, node numbers, levels of neighbors; and the arrays say what the graph says.
fn check_lists(graph: &Graph, parts: &GraphParts) -> Result<(), String> {
    let lists = lists(parts);
    for (node, level, links) in &lists {
        let place = format!("node {node} on level {level}");
        let max_degree = if *level == 0 { 2 * parts.m } else { parts.m };
        ensure!(links.len() <= max_degree, "{place} has {} links", links.len());
        let unique: BTreeSet<u32> = links.iter().copied().collect();
        ensure!(unique.len() == links.len(), "{place} has a link twice: {links:?}");
        ensure!(!unique.contains(node), "{place} links to itself");
        for link in &unique {
            let reached = parts.levels.get(*link as usize);
            ensure!(reached >= Some(level), "{place} links to {link} on level {reached:?}");
        }
        ensure!(graph.neighbors(*node, *level).eq(links.iter().copied()), "{place} has two lists");
    }
    let max = lists.iter().filter(|list| list.1 == 0).map(|list| list.2.len()).max();
    ensure!(graph.degrees().max == max.unwrap_or(0), "degrees() has another maximum");
    Ok(())
}

/// Each list of the arrays with its node and level.
fn lists(parts: &GraphParts) -> Vec<(u32, u8, Vec<u32>)> {
    let nodes = || (0..).zip(&parts.levels);
    let level_0 = nodes().map(|(node, _)| (node, 0));
    let above = nodes().flat_map(|(node, top)| (1..=*top).map(move |level| (node, level)));
    let mut links = parts.links.iter().copied();
    let mut list = |((node, level), degree): ((u32, u8), &u16)| {
        (node, level, links.by_ref().take(usize::from(*degree)).collect())
    };
    level_0.chain(above).zip(&parts.degrees).map(&mut list).collect()
}

/// No node is alone on a level that others reach. A bulk build keeps this; where a graph grew, a
/// node may have none but newer neighbors, or the nodes of a later batch only each other.
///
/// # Errors
/// The first node that is.
pub fn check_company(graph: &Graph) -> Result<(), String> {
    let parts = graph.to_parts();
    let is_shared = |level| parts.levels.iter().filter(|top| **top >= level).nth(1).is_some();
    let is_shared: Vec<bool> = (0..=MAX_LEVEL).map(is_shared).collect();
    for (node, level, links) in lists(&parts) {
        let is_alone = links.is_empty() && is_shared[usize::from(level)];
        ensure!(!is_alone, "node {node} has no link on level {level}");
    }
    Ok(())
}

/// Every node is reached on level 0 from the entry point.
fn check_reachable(parts: &GraphParts) -> Result<(), String> {
    let unreached = unreached(parts);
    ensure!(unreached.is_empty(), "{} nodes not reached: {unreached:?}", unreached.len());
    Ok(())
}

/// The nodes that no walk on level 0 from the entry point reaches.
pub fn unreached(parts: &GraphParts) -> Vec<u32> {
    let nodes = parts.levels.len();
    let mut ends = vec![0];
    for degree in &parts.degrees[..nodes] {
        ends.push(ends[ends.len() - 1] + usize::from(*degree));
    }
    let mut is_reached = vec![false; nodes];
    let mut pending: Vec<usize> = parts.entry_point.iter().map(|node| *node as usize).collect();
    while let Some(node) = pending.pop() {
        if !std::mem::replace(&mut is_reached[node], true) {
            let links = &parts.links[ends[node]..ends[node + 1]];
            pending.extend(links.iter().map(|link| *link as usize));
        }
    }
    (0..nodes as u32).filter(|node| !is_reached[*node as usize]).collect()
}

/// A graph of the arrays gives the same arrays and the same answers.
fn check_round_trip(graph: &Graph, parts: &GraphParts) -> Result<(), String> {
    let values: Vec<f32> =
        (0..graph.len() as u32).flat_map(|node| graph.vector(node)).copied().collect();
    let vectors = Vectors::from_flat(graph.dim(), &values).map_err(|error| error.to_string())?;
    let loaded = Graph::from_parts(parts, vectors, graph.metric());
    let loaded = loaded.map_err(|error| format!("refused by from_parts: {error}"))?;
    ensure!(loaded.to_parts() == *parts, "the round trip changed the arrays");
    let step = (graph.len() / COMPARED_QUERIES).max(1);
    for node in (0..graph.len() as u32).step_by(step).take(COMPARED_QUERIES) {
        let answers = [graph, &loaded].map(|graph| {
            // Codes are derived anew, so a narrow walk may take another turn; one that goes
            // through every node may not.
            let found = graph.search(graph.vector(node), 10, graph.len(), &mut Scratch::new());
            nodes_of(&found.unwrap())
        });
        ensure!(answers[0] == answers[1], "around node {node}: {answers:?}");
        ensure!(answers[0].len() == graph.len().min(10), "{:?}", answers[0]);
    }
    Ok(())
}
