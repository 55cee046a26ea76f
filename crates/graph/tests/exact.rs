//! Promise: exact search is exact. It is what small collections, the tail behind a graph and
//! every measured recall rest on.
//!
//! One query at a time and many at a time take different paths, by rows and by tiles, and each
//! has wide loops with a remainder: so lengths around every width, each metric, ties, and tables
//! that grew by uneven steps. Rows far from the first cost a product its digits, so they are
//! here too.

mod common;

use common::{WORKERS, nodes_of, oracle, out_of_order, tolerance, vectors};
use loomdb_graph::{Error, Flat, MAX_K, MAX_VALUE, Metric, Neighbor, Strategy, Vectors, build};
use loomdb_testkit::{DataSet, generate};

const DIMS: [usize; 10] = [1, 2, 3, 7, 15, 16, 17, 31, 100, 4_096];

fn flat(metric: Metric, rows: &DataSet) -> Flat {
    Flat::from_vectors(metric, vectors(rows)).unwrap()
}

/// Checks one answer: as many as there are, in order, with true distances, and none nearer left
/// out.
fn check(metric: Metric, rows: &DataSet, query: &[f32], (k, found): (usize, &[Neighbor])) {
    let case = format!("{} under {metric}, dim {}, k = {k}", rows.name, rows.dim);
    let oracle = oracle(metric, rows);
    let exact = oracle.exact_neighbors(query, k);
    assert_eq!(found.len(), exact.len(), "{case}");
    let misplaced = out_of_order(&oracle, query, found);
    assert_eq!(misplaced, None, "{case}: not in order");
    for (found, exact) in found.iter().zip(&exact) {
        let bound = tolerance(metric, query, rows.row(found.node as usize))
            + tolerance(metric, query, rows.row(exact.row as usize));
        let own = oracle.distance(query, found.node);
        assert!((f64::from(found.distance) - own).abs() <= bound, "{case}: {found:?} is at {own}");
        assert!((own - exact.distance).abs() <= bound, "{case}: {found:?} before {exact:?}");
    }
}

/// One by one and all at once.
fn check_both(metric: Metric, rows: &DataSet, queries: &DataSet, ks: &[usize]) {
    let flat = flat(metric, rows);
    assert_eq!((flat.len(), flat.is_empty()), (rows.len(), rows.is_empty()));
    for &k in ks {
        let together = flat.search_many(&vectors(queries), k, &WORKERS).unwrap();
        assert_eq!(together.len(), queries.len());
        for (query, together) in queries.rows().zip(&together) {
            let alone = flat.search(query, k).unwrap();
            check(metric, rows, query, (k, &alone));
            assert_eq!(*together, alone, "{} under {metric}, k = {k}", rows.name);
        }
    }
}

#[test]
fn every_length_and_metric() {
    for dim in DIMS {
        let rows = if dim > 1_000 { 80 } else { 700 };
        let values = generate::mixture(dim as u64, rows, dim);
        let (rows, queries) = DataSet::new("mixture", dim, values).hold_out(rows / 10);
        for metric in Metric::ALL {
            check_both(metric, &rows, &queries, &[1, 10, 100]);
        }
    }
}

/// Sizes around a group of rows and around a tile, and numbers of queries around a tile.
#[test]
fn every_size_around_a_border() {
    let set = DataSet::new("uniform", 5, generate::uniform(1, 1_100, 5));
    for rows in [0, 1, 2, 63, 64, 65, 127, 1_023, 1_024, 1_025] {
        for queries in [0, 1, 63, 64, 65] {
            let (rows, queries) = (set.slice(0..rows), set.slice(1_100 - queries..1_100));
            for metric in Metric::ALL {
                check_both(metric, &rows, &queries, &[7]);
            }
        }
    }
}

/// Some of the rows, for one query and for many, by rows and by tiles.
#[test]
fn among_some_rows() {
    for dim in [3, 16, 100] {
        let set = DataSet::new("uniform", dim, generate::uniform(dim as u64, 1_340, dim));
        let (rows, queries) = (set.slice(0..1_300), set.slice(1_300..1_340));
        for metric in Metric::ALL {
            let flat = flat(metric, &rows);
            let among: Vec<u32> = (0..1_300).filter(|row| row % 3 != 1).collect();
            let picked: Vec<f32> =
                among.iter().flat_map(|row| rows.row(*row as usize).to_vec()).collect();
            let picked = DataSet::new("picked", dim, picked);
            let oracle = oracle(metric, &picked);
            for (k, among) in [(1, &among[..]), (50, &among), (1_000, &among), (5, &[])] {
                let together =
                    flat.search_many_among(&vectors(&queries), k, among, &WORKERS).unwrap();
                for (query, together) in queries.rows().zip(&together) {
                    let alone = flat.search_among(query, k, among).unwrap();
                    assert_eq!(*together, alone, "{metric}, dim {dim}, k = {k}");
                    assert_eq!(alone.len(), k.min(among.len()));
                    if among.is_empty() {
                        continue;
                    }
                    for (found, exact) in alone.iter().zip(oracle.exact_neighbors(query, k)) {
                        assert!(among.binary_search(&found.node).is_ok());
                        let bound = 2.0 * tolerance(metric, query, rows.row(found.node as usize));
                        let off = f64::from(found.distance) - exact.distance;
                        assert!(off.abs() <= bound, "{metric}, dim {dim}: {found:?} {exact:?}");
                    }
                }
            }
        }
    }
}

/// What is within a distance is what the whole answer has up to that distance.
#[test]
fn within_a_distance() {
    let set = DataSet::new("uniform", 7, generate::uniform(7, 501, 7));
    let (rows, query) = (set.slice(0..500), set.row(500));
    for metric in Metric::ALL {
        let flat = flat(metric, &rows);
        let all = flat.search(query, 500).unwrap();
        for last in [0, 1, 250, 499] {
            let radius = all[last].distance;
            let mut expected: Vec<_> =
                all.iter().filter(|near| near.distance <= radius).copied().collect();
            expected.sort_by_key(|near| near.node);
            assert_eq!(flat.within(query, radius, None).unwrap(), expected);
            let even: Vec<u32> = (0..500).step_by(2).collect();
            expected.retain(|near| near.node % 2 == 0);
            assert_eq!(flat.within(query, radius, Some(&even)).unwrap(), expected);
        }
        assert!(flat.within(query, all[0].distance - 0.01, None).unwrap().is_empty());
        assert!(flat.within(&query[1..], 1.0, None).is_err());
    }
}

/// Many ties at the end of the answer: the lowest rows win, on both paths.
#[test]
fn ties_fall_to_the_lowest_row() {
    let sets = [
        DataSet::new("all equal", 9, generate::all_equal(1_500, 9)),
        DataSet::new("duplicates", 9, generate::duplicates(2, 3_000, 9)),
        DataSet::new("grid", 3, generate::grid(3, 3_000, 3)),
        DataSet::new("one-hot", 50, generate::one_hot(1_500, 50)),
        DataSet::new("line", 4, generate::line(1_200, 4)),
    ];
    for set in sets {
        let queries = set.slice(set.len() - 5..set.len());
        for metric in Metric::ALL {
            check_both(metric, &set, &queries, &[1, 10, 500, set.len()]);
        }
    }
}

/// Whole numbers are exact in every sum, so the answer is the oracle's to the last row.
#[test]
fn whole_numbers_give_the_very_rows_of_the_oracle() {
    let (rows, queries) = DataSet::new("grid", 6, generate::grid(4, 1_500, 6)).hold_out(50);
    for metric in [Metric::L2, Metric::Ip] {
        let (flat, oracle) = (flat(metric, &rows), oracle(metric, &rows));
        let together = flat.search_many(&vectors(&queries), 40, &WORKERS).unwrap();
        for (query, found) in queries.rows().zip(&together) {
            let exact = oracle.exact_neighbors(query, 40);
            let exact: Vec<u32> = exact.iter().map(|neighbor| neighbor.row).collect();
            assert_eq!(nodes_of(found), exact, "{metric}");
        }
    }
}

/// Beside a squared norm of a billion, a distance of one has no digits left.
#[test]
fn rows_far_from_the_first() {
    let sets = [
        DataSet::new("two far sets", 16, generate::two_far_sets(5, 2_000, 16)),
        DataSet::new("outlier", 16, generate::outlier_first(6, 2_000, 16)),
    ];
    for set in sets {
        let (rows, queries) = set.hold_out(50);
        for metric in Metric::ALL {
            check_both(metric, &rows, &queries, &[10]);
        }
    }
}

#[test]
fn the_largest_and_the_smallest_values() {
    let unit = generate::uniform(7, 500, 33);
    for (name, factor) in [("huge", MAX_VALUE), ("tiny", 1.0e-14)] {
        let values = unit.iter().map(|value| value * factor).collect();
        let (rows, queries) = DataSet::new(name, 33, values).hold_out(20);
        for metric in Metric::ALL {
            check_both(metric, &rows, &queries, &[10]);
        }
    }
}

#[test]
fn versions_do_not_change_when_rows_are_appended() {
    let set = DataSet::new("mixture", 7, generate::mixture(8, 1_200, 7));
    let queries = set.slice(1_190..1_200);
    for metric in Metric::ALL {
        let mut newest = Flat::new(metric, set.dim).unwrap();
        let mut versions = vec![newest.clone()];
        for step in [1, 62, 1, 1, 63, 64, 65, 0, 200, 700, 1].into_iter().cycle().take(14) {
            let end = (newest.len() + step).min(1_190);
            newest.append(&vectors(&set.slice(newest.len()..end))).unwrap();
            versions.push(newest.clone());
        }
        assert_eq!(newest.len(), 1_190);
        for version in versions {
            let rows = set.slice(0..version.len());
            for (row, vector) in (0..).zip(rows.rows()) {
                assert_eq!(version.vector(row), vector);
            }
            let together = version.search_many(&vectors(&queries), 20, &WORKERS).unwrap();
            for (query, found) in queries.rows().zip(&together) {
                check(metric, &rows, query, (20, found));
                assert_eq!(version.search(query, 20).as_ref(), Ok(found));
            }
        }
    }
}

/// Two versions may both grow; neither sees the rows of the other.
#[test]
fn versions_part_ways() {
    let set = DataSet::new("uniform", 3, generate::uniform(9, 300, 3));
    let mut left = flat(Metric::Cosine, &set.slice(0..100));
    let mut right = left.clone();
    left.append(&vectors(&set.slice(100..150))).unwrap();
    right.append(&vectors(&set.slice(200..300))).unwrap();
    left.append(&vectors(&set.slice(150..200))).unwrap();
    assert_eq!((left.len(), right.len()), (200, 200));
    for row in 0..200 {
        let place = row as usize;
        assert_eq!(left.vector(row), set.row(place));
        assert_eq!(right.vector(row), set.row(if row < 100 { place } else { place + 100 }));
    }
}

#[test]
fn a_graph_lends_its_rows() {
    let set = DataSet::new("mixture", 10, generate::mixture(10, 800, 10));
    let params = common::params(8, Strategy::Partition);
    let built = build(vectors(&set), Metric::Cosine, &params, &WORKERS, &()).unwrap();
    let rows = common::rows_of(&built.graph);
    let flat = built.graph.flat();
    for row in 0..20 {
        let found = flat.search(set.row(row), 10).unwrap();
        check(Metric::Cosine, &rows, set.row(row), (10, &found));
        assert_eq!(built.order[found[0].node as usize], row as u32);
    }
}

#[test]
fn wrong_questions_and_rows_are_refused() {
    let set = DataSet::new("uniform", 3, generate::uniform(11, 40, 3));
    let mut flat = flat(Metric::Cosine, &set);
    let good = set.row(0);
    for k in [0, MAX_K + 1] {
        let refused = flat.search(good, k);
        assert!(matches!(refused, Err(Error::InvalidParameter { name: "k", .. })), "{refused:?}");
        let refused = flat.search_many(&vectors(&set), k, &WORKERS);
        assert!(matches!(refused, Err(Error::InvalidParameter { name: "k", .. })), "{refused:?}");
    }
    let mismatch = Error::DimMismatch { expected: 3, given: 2 };
    let short = Vectors::from_flat(2, &[1.0; 8]).unwrap();
    assert_eq!(flat.search(&good[..2], 1), Err(mismatch.clone()));
    assert_eq!(flat.search_many(&short, 1, &WORKERS), Err(mismatch.clone()));
    assert_eq!(flat.append(&short), Err(mismatch));
    let not_a_number = flat.search(&[1.0, f32::NAN, 0.0], 1);
    assert!(matches!(not_a_number, Err(Error::UnfitValue { row: 0, column: 1, .. })));
    let mut with_zero = set.slice(0..9);
    with_zero.values[6 * 3..7 * 3].fill(0.0);
    let zero = Error::ZeroVector { row: 6 };
    assert_eq!(flat.search_many(&vectors(&with_zero), 1, &WORKERS), Err(zero.clone()));
    assert_eq!(flat.append(&vectors(&with_zero)), Err(zero));
    assert_eq!(flat.len(), set.len(), "a refused append changed the table");
    assert_eq!(Flat::new(Metric::L2, 0).unwrap_err(), Error::DimOutOfRange { dim: 0 });
}
