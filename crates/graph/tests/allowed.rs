//! Promise: a search among allowed rows returns allowed rows only, and the nearest of them.
//!
//! Exact search among rows is compared with the oracle over just these rows. A walk that returns
//! `k` allowed nodes must be right nearly always, also where the allowed nodes are far from the
//! query; where it cannot be, it must return fewer instead of worse ones.

mod common;

use std::collections::HashSet;

use common::{nodes_of, oracle, params, rows_of, vectors};
use loomdb_graph::{Error, Flat, Graph, Metric, Neighbor, Scratch, Strategy};
use loomdb_testkit::{DataSet, Random, generate, recall_at};

fn sets() -> [DataSet; 6] {
    [
        DataSet::new("uniform", 8, generate::uniform(1, 1_500, 8)),
        DataSet::new("mixture", 16, generate::mixture(2, 2_000, 16)),
        DataSet::new("clusters", 8, generate::clusters(3, 2_000, 8)),
        DataSet::new("duplicates", 8, generate::duplicates(4, 1_500, 8)),
        DataSet::new("all equal", 3, generate::all_equal(300, 3)),
        DataSet::new("few", 8, generate::uniform(5, 9, 8)),
    ]
}

/// The rows that are drawn with a chance of one in `share`.
fn drawn(rows: usize, share: usize) -> Vec<u32> {
    let mut random = Random::new(share as u64);
    (0..rows as u32).filter(|_| random.below(share) == 0).collect()
}

fn part(set: &DataSet, rows: &[u32]) -> DataSet {
    let values = rows.iter().flat_map(|row| set.row(*row as usize).to_vec()).collect();
    DataSet::new("part", set.dim, values)
}

#[test]
fn exact_search_among_rows_is_that_of_a_table_of_them() {
    for set in sets() {
        for metric in Metric::ALL {
            let flat = Flat::from_vectors(metric, vectors(&set)).unwrap();
            for rows in [1, 2, 7, 90].map(|share| drawn(set.len(), share)) {
                let part = part(&set, &rows);
                let alone = Flat::from_vectors(metric, vectors(&part)).unwrap();
                for (query, k) in [(0, 1), (set.len() / 2, 10), (set.len() - 1, set.len())] {
                    let found = flat.search_among(set.row(query), k, &rows).unwrap();
                    let expected = alone.search(set.row(query), k).unwrap();
                    let named =
                        |near: &Neighbor| Neighbor { node: rows[near.node as usize], ..*near };
                    let expected: Vec<_> = expected.iter().map(named).collect();
                    assert_eq!(found, expected, "{} under {metric}, k = {k}", set.name);
                    assert_eq!(found.len(), k.min(rows.len()));
                }
            }
        }
    }
}

/// The allowed nodes around a query, and those farthest from it.
fn sides(graph: &Graph, set: &DataSet, query: &[f32], share: usize) -> [HashSet<u32>; 2] {
    let all = oracle(graph.metric(), set).exact_neighbors(query, set.len());
    let nodes: Vec<u32> = all.iter().map(|near| near.row).collect();
    let count = (set.len() / share).max(1);
    [&nodes[..count], &nodes[nodes.len() - count..]].map(|nodes| nodes.iter().copied().collect())
}

#[test]
fn a_walk_returns_the_nearest_allowed_nodes_or_fewer() {
    let mut scratch = Scratch::new();
    for set in sets() {
        for metric in Metric::ALL {
            let graph = common::build_from(&set, metric, &params(16, Strategy::Auto)).graph;
            let nodes = rows_of(&graph);
            let mut recalls = Vec::new();
            for query in [1, set.len() / 2, set.len() - 1].map(|row| set.row(row).to_vec()) {
                let [near, far] = sides(&graph, &nodes, &query, 5);
                let drawn: HashSet<u32> = drawn(set.len(), 5).into_iter().collect();
                for allowed in [near, far, drawn] {
                    for ef in [10, 200, set.len()] {
                        let is_allowed = |node| allowed.contains(&node);
                        let found =
                            graph.search_allowed(&query, 10, ef, is_allowed, &mut scratch).unwrap();
                        let case = format!("{} under {metric}, ef_search = {ef}", set.name);
                        assert!(found.iter().all(|near| allowed.contains(&near.node)), "{case}");
                        let order =
                            found.is_sorted_by(|left, right| left.distance <= right.distance);
                        assert!(order && found.len() <= 10, "{case}: {found:?}");
                        if ef == set.len() {
                            assert_eq!(found.len(), allowed.len().min(10), "{case}");
                        }
                        if found.len() == 10 {
                            recalls.push(recall(&nodes, metric, &query, (&allowed, &found)));
                        }
                    }
                }
            }
            let mean = recalls.iter().sum::<f64>() / recalls.len().max(1) as f64;
            assert!(recalls.is_empty() || mean >= 0.97, "{} under {metric}: {mean}", set.name);
        }
    }
}

fn recall(
    nodes: &DataSet,
    metric: Metric,
    query: &[f32],
    (allowed, found): (&HashSet<u32>, &[Neighbor]),
) -> f64 {
    let oracle = oracle(metric, nodes);
    let exact = oracle.exact_neighbors(query, nodes.len()).into_iter();
    let exact: Vec<_> = exact.filter(|near| allowed.contains(&near.row)).take(10).collect();
    recall_at(10, &exact, &oracle.measure(query, nodes_of(found)))
}

/// What a filter costs is looking up bits, never another walk.
#[test]
fn with_everything_allowed_it_is_the_plain_search() {
    for set in sets() {
        let graph = common::build_from(&set, Metric::L2, &params(8, Strategy::Auto)).graph;
        let (mut plain, mut allowed) = (Scratch::new(), Scratch::new());
        for (row, k, ef) in [(0, 1, 1), (3, 10, 5), (8, 10, 64)] {
            let expected = graph.search(set.row(row), k, ef, &mut plain);
            let found = graph.search_allowed(set.row(row), k, ef, |_| true, &mut allowed);
            assert_eq!(found, expected, "{}", set.name);
            let none = graph.search_allowed(set.row(row), k, ef, |_| false, &mut Scratch::new());
            assert_eq!(none, Ok(Vec::new()));
        }
        assert_eq!(plain.distance_computations(), allowed.distance_computations());
    }
}

#[test]
fn wrong_questions_are_refused() {
    let set = DataSet::new("uniform", 4, generate::uniform(6, 50, 4));
    let graph = common::build_from(&set, Metric::Cosine, &params(4, Strategy::Auto)).graph;
    let ask = |query: &[f32], k, ef| {
        let walked = graph.search_allowed(query, k, ef, |_| true, &mut Scratch::new());
        let scanned = graph.flat().search_among(query, k, &[]);
        (walked.map(drop), scanned.map(drop))
    };
    let good = set.row(0);
    let mismatch = Error::DimMismatch { expected: 4, given: 3 };
    assert_eq!(ask(&good[..3], 1, 1), (Err(mismatch.clone()), Err(mismatch)));
    let zero = Error::ZeroVector { row: 0 };
    assert_eq!(ask(&[0.0; 4], 1, 1), (Err(zero.clone()), Err(zero)));
    let (walked, scanned) = ask(good, 0, 1);
    assert!(walked.is_err() && scanned.is_err());
    let (walked, scanned) = ask(good, 1, 0);
    assert!(walked.is_err() && scanned.is_ok());
}
