//! What the tests of this crate share: building graphs from data sets, and asking the oracle.

// Each test is a program of its own and uses its part of this.
#![allow(dead_code)]

pub mod check;
pub mod ways;

use std::sync::LazyLock;

use loomdb_graph::{
    Build, BuildParams, Graph, Metric, Neighbor, Strategy, Vectors, Workers, build,
};
use loomdb_testkit::{DataSet, Oracle};

/// Two threads, for every test that is not about threads.
pub static WORKERS: LazyLock<Workers> = LazyLock::new(|| Workers::new(2).unwrap());

pub fn vectors(set: &DataSet) -> Vectors {
    Vectors::from_flat(set.dim, &set.values).unwrap()
}

pub fn oracle(metric: Metric, set: &DataSet) -> Oracle<'_> {
    Oracle::new(loomdb_testkit::Metric::named(metric.name()), set.dim, &set.values)
}

/// The parameters of most tests: a narrow beam where recall is not the point.
pub fn params(m: usize, strategy: Strategy) -> BuildParams {
    BuildParams { m, ef_construction: 40, strategy, ..BuildParams::default() }
}

pub fn build_from(set: &DataSet, metric: Metric, params: &BuildParams) -> Build {
    build(vectors(set), metric, params, &WORKERS, &())
        .unwrap_or_else(|error| panic!("{} under {metric}, {params:?}: {error}", set.name))
}

/// The rows of a graph in the order of its nodes.
pub fn rows_of(graph: &Graph) -> DataSet {
    let nodes = 0..graph.len() as u32;
    let values = nodes.flat_map(|node| graph.vector(node).iter().copied()).collect();
    DataSet::new("rows of a graph", graph.dim(), values)
}

pub fn nodes_of(found: &[Neighbor]) -> Vec<u32> {
    found.iter().map(|neighbor| neighbor.node).collect()
}

/// How far a distance in `f32` may be from the one in `f64`: some units in the last place of the
/// largest sum on the way.
pub fn tolerance(metric: Metric, query: &[f32], row: &[f32]) -> f64 {
    let norm = |row: &[f32]| row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let oracle = loomdb_testkit::Metric::named(metric.name());
    let scale = match metric {
        Metric::L2 => oracle.distance(query, row),
        Metric::Cosine => 1.0,
        Metric::Ip => norm(query) * norm(row),
    };
    4.0e-6 * scale
}

/// The first two neighbors in the wrong order: by distance, ties by node. Roots of different sums
/// may round to one distance, so a tie under `l2` is one that the oracle confirms.
pub fn out_of_order(
    oracle: &Oracle<'_>,
    query: &[f32],
    found: &[Neighbor],
) -> Option<[Neighbor; 2]> {
    let is_root = oracle.metric() == loomdb_testkit::Metric::L2;
    let exact = |near: Neighbor| oracle.distance(query, near.node);
    let is_misplaced = |[left, right]: &[Neighbor; 2]| {
        let is_tie = left.distance >= right.distance && (!is_root || exact(*left) >= exact(*right));
        left.distance > right.distance || is_tie && left.node >= right.node
    };
    found.windows(2).map(|pair| [pair[0], pair[1]]).find(is_misplaced)
}
