//! Promise: the same rows, parameters and seed give the same graph, for any number of threads.
//!
//! An index can then be checked by building it again, and a failure can be repeated. What breaks
//! this is never the plan of a build but a tie that falls to whoever comes first, or a sum whose
//! terms meet in another order: hence sets that are full of ties, sizes that make several tiles,
//! and more threads than there are processors.

mod common;

use common::ways::{WAYS, Way};
use common::{WORKERS, params};
use loomdb_graph::{BuildParams, GraphParts, Metric, Strategy, Workers};
use loomdb_testkit::{DataSet, generate};

/// The first of all runs has two threads, so two threads also run twice.
const THREADS: [usize; 4] = [1, 2, 7, 16];

/// All that a build decides.
type Outcome = (GraphParts, Vec<u32>);

fn outcome(way: Way, set: &DataSet, metric: Metric, workers: &Workers) -> Outcome {
    let made = way.versions(set, metric, &way.params(8), workers).pop().unwrap();
    (made.graph.to_parts(), made.order)
}

fn check(name: &'static str, dim: usize, values: Vec<f32>, metric: Metric) {
    let set = DataSet::new(name, dim, values);
    let workers = THREADS.map(|threads| Workers::new(threads).unwrap());
    for way in WAYS {
        let expected = outcome(way, &set, metric, &WORKERS);
        assert_eq!(expected.0.levels.len(), set.len());
        for (threads, workers) in THREADS.iter().zip(&workers) {
            let is_same = outcome(way, &set, metric, workers) == expected;
            assert!(is_same, "{name} by {way} differs on {threads} threads");
        }
    }
}

#[test]
fn uniform_rows() {
    check("uniform", 12, generate::uniform(1, 1_500, 12), Metric::L2);
}

#[test]
fn a_mixture() {
    check("mixture", 24, generate::mixture(2, 1_500, 24), Metric::Cosine);
}

#[test]
fn clusters() {
    check("clusters", 8, generate::clusters(3, 1_500, 8), Metric::Ip);
}

#[test]
fn whole_numbers_that_often_tie() {
    check("grid", 3, generate::grid(4, 1_500, 3), Metric::L2);
}

#[test]
fn rows_that_all_tie() {
    check("one-hot", 900, generate::one_hot(900, 900), Metric::L2);
}

#[test]
fn another_seed_gives_another_graph() {
    let set = DataSet::new("mixture", 8, generate::mixture(5, 1_200, 8));
    for way in WAYS {
        let parts = |seed| {
            let params = BuildParams { seed, ..way.params(8) };
            let made = way.versions(&set, Metric::L2, &params, &WORKERS).pop().unwrap();
            let parts = made.graph.to_parts();
            assert_eq!(parts.seed, seed);
            GraphParts { seed: 0, ..parts }
        };
        assert!(parts(1) != parts(2), "{way}");
    }
}

/// What a build costs is part of what it does.
#[test]
fn the_count_of_distances_does_not_depend_on_threads() {
    let set = DataSet::new("mixture", 16, generate::mixture(6, 1_500, 16));
    let workers = THREADS.map(|threads| Workers::new(threads).unwrap());
    for way in WAYS {
        let counts = workers.each_ref().map(|workers| {
            let versions = way.versions(&set, Metric::L2, &way.params(8), workers);
            versions.iter().map(|made| made.stats.distance_computations).sum::<u64>()
        });
        assert!(counts.iter().all(|count| *count == counts[0] && *count > 0), "{way}: {counts:?}");
    }
}

/// `Graph::insert` takes rows from outside and a build has them at hand; the graph is the same.
#[test]
fn chunks_of_a_build_are_inserts() {
    let set = DataSet::new("mixture", 16, generate::mixture(7, 600, 16));
    for chunk in [1, 40, 250] {
        let built = Way::Build(Strategy::Insert { chunk }).make(&set, Metric::L2, 8).graph;
        let params = params(8, Strategy::Insert { chunk });
        let none = common::vectors(&set.slice(0..0));
        let nothing = loomdb_graph::build(none, Metric::L2, &params, &WORKERS, &());
        let mut graph = nothing.unwrap().graph;
        for first in (0..set.len()).step_by(chunk) {
            let rows = common::vectors(&set.slice(first..(first + chunk).min(set.len())));
            graph = graph.insert(&rows, &params, &WORKERS, &()).unwrap().0;
        }
        assert!(graph.to_parts() == built.to_parts(), "chunks of {chunk}");
    }
}
