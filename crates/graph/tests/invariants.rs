//! Promise: whatever the rows are, and however the graph came to be, it is well formed and every
//! node can be reached.
//!
//! Graphs of this kind break on data that nobody measures on: separate clusters fall apart into
//! as many pieces, equal rows fill each other's lists, ties let everyone choose the same few, and
//! a handful of rows leaves nothing to choose. So every strategy, and growth by inserts, is run
//! over all of these, under every metric and with lists that are as short as they may be.

mod common;

use common::check::{check_company, check_graph};
use common::ways::{Made, WAYS, Way};
use loomdb_graph::{MAX_VALUE, Metric, Strategy, plan};
use loomdb_testkit::{DataSet, generate};

const DEGREES: [usize; 3] = [2, 3, 16];

/// Every way, metric and length of lists for which a graph of these rows is not as it must be.
fn violations(set: &DataSet, metrics: &[Metric], degrees: &[usize]) -> Vec<String> {
    let mut violations = Vec::new();
    for metric in metrics {
        for m in degrees {
            for way in WAYS {
                violations.extend(violation(set, *metric, *m, way));
            }
        }
    }
    violations
}

fn violation(set: &DataSet, metric: Metric, m: usize, way: Way) -> Option<String> {
    let versions = way.versions(set, metric, &way.params(m), &common::WORKERS);
    let case = format!("{} under {metric} by {way}, m = {m}", set.name);
    // Older versions are looked at through all the changes that came after them.
    let step = (versions.len() / 3).max(1);
    let check = |Made { graph, order, .. }: &Made| {
        let what = check_graph(graph, order, &set.slice(0..graph.len())).err()?;
        Some(format!("{case}, {} of {} rows: {what}", graph.len(), set.len()))
    };
    let alone = || check_company(&versions[0].graph).err();
    versions
        .iter()
        .rev()
        .step_by(step)
        .find_map(check)
        .or_else(|| way.is_bulk().then(alone)?.map(|what| format!("{case}: {what}")))
}

fn assert_none(violations: &[String]) {
    assert!(violations.is_empty(), "{}:\n{}", violations.len(), violations.join("\n"));
}

fn check_every_way(name: &'static str, dim: usize, values: Vec<f32>) {
    let set = DataSet::new(name, dim, values);
    assert_none(&violations(&set, &Metric::ALL, &DEGREES));
}

#[test]
fn random_rows() {
    check_every_way("uniform", 8, generate::uniform(1, 1_200, 8));
}

#[test]
fn separate_clusters() {
    check_every_way("clusters", 8, generate::clusters(2, 2_000, 8));
}

#[test]
fn two_sets_far_apart() {
    check_every_way("two far sets", 8, generate::two_far_sets(3, 1_200, 8));
}

#[test]
fn equal_rows() {
    check_every_way("all equal", 4, generate::all_equal(1_100, 4));
}

#[test]
fn a_thousand_copies_of_each_row() {
    check_every_way("duplicates", 6, generate::duplicates(4, 3_000, 6));
}

#[test]
fn rows_on_a_line() {
    check_every_way("line", 3, generate::line(1_300, 3));
}

#[test]
fn sorted_rows() {
    check_every_way("sorted", 8, generate::sorted(5, 1_200, 8));
}

#[test]
fn rows_that_all_tie() {
    check_every_way("one-hot", 700, generate::one_hot(700, 700));
}

#[test]
fn whole_numbers_that_often_tie() {
    check_every_way("grid", 5, generate::grid(6, 1_200, 5));
}

#[test]
fn one_dimension() {
    check_every_way("dim 1", 1, generate::uniform(7, 1_200, 1));
}

#[test]
fn many_dimensions() {
    check_every_way("dim 4,096", 4_096, generate::uniform(8, 130, 4_096));
}

#[test]
fn the_largest_and_the_smallest_values() {
    let unit = generate::uniform(9, 600, 16);
    let scaled = |factor: f32| unit.iter().map(|value| value * factor).collect();
    check_every_way("huge", 16, scaled(MAX_VALUE));
    check_every_way("tiny", 16, scaled(1.0e-14));
}

/// No rows, one, two, as many as a list holds, one more, and one more or less than a chunk, a
/// tile, a block or a leaf.
#[test]
fn every_size_around_a_border() {
    let borders = [32, 64, 100, 128, 256, 384, 500, 512, 1_024];
    let around = borders.into_iter().flat_map(|border| [border - 1, border, border + 1]);
    let uniform = DataSet::new("uniform", 6, generate::uniform(10, 1_025, 6));
    for rows in (0..=7).chain([15, 16, 17, 33]).chain(around) {
        let metric = Metric::ALL[rows % Metric::ALL.len()];
        assert_none(&violations(&uniform.slice(0..rows), &[metric], &[2 + rows % 2, 16]));
    }
}

/// A graph of nothing and of few rows grows by inserts like any other.
#[test]
fn growth_from_almost_nothing() {
    let uniform = DataSet::new("uniform", 6, generate::uniform(11, 40, 6));
    let mut found = Vec::new();
    for metric in Metric::ALL {
        for rows in [0, 1, 2, 3, 5, 17, 40] {
            for (m, step) in [(2, 1), (2, 40), (3, 2), (16, 1), (16, 9)] {
                let way = Way::Grow { half: Strategy::AllPairs, step };
                found.extend(violation(&uniform.slice(0..rows), metric, m, way));
            }
        }
    }
    assert_none(&found);
}

/// Long lists: more candidates matter than a node usually looks at.
#[test]
fn the_longest_lists() {
    let set = DataSet::new("mixture", 8, generate::mixture(12, 1_500, 8));
    assert_none(&violations(&set, &[Metric::L2, Metric::Ip], &[100, 512]));
}

#[test]
fn auto_is_what_the_planner_says() {
    let uniform = DataSet::new("uniform", 2, generate::uniform(13, 20_000, 2));
    let border = (0..uniform.len())
        .rev()
        .find(|rows| plan(*rows, Strategy::Auto) != plan(uniform.len(), Strategy::Auto));
    let border = border.expect("small and large sets are built in different ways") + 1;
    for rows in [border - 1, border] {
        let set = uniform.slice(0..rows);
        let Made { graph, order, stats } = Way::Build(Strategy::Auto).make(&set, Metric::L2, 8);
        assert_eq!(stats.strategy, plan(rows, Strategy::Auto));
        check_graph(&graph, &order, &set).unwrap();
    }
}

/// Each level holds about one in `m` of the nodes below it.
#[test]
fn levels_thin_out_by_m() {
    let set = DataSet::new("uniform", 2, generate::uniform(14, 6_000, 2));
    for way in [Way::Build(Strategy::Partition), Way::Build(Strategy::Insert { chunk: 500 })] {
        for m in [4, 16] {
            let graph = way.make(&set, Metric::L2, m).graph;
            let reach = |level| (0..6_000).filter(|node| graph.level(*node) >= level).count();
            for level in 1..=2 {
                let (above, below) = (reach(level), reach(level - 1));
                let is_fair = (below / m / 2..below / m * 2 + 4).contains(&above);
                assert!(is_fair, "{way}, m = {m}: {above} of {below} reach level {level}");
            }
        }
    }
}

/// Random candidates join the clusters; the repair of what is left over is for odd cases. A
/// graph that lives on repairs hangs together by single threads, and searches go astray.
#[test]
fn clusters_need_hardly_any_repair() {
    let set = DataSet::new("clusters", 8, generate::clusters(15, 3_000, 8));
    for strategy in [Strategy::AllPairs, Strategy::Partition] {
        for metric in [Metric::L2, Metric::Cosine] {
            let stats = Way::Build(strategy).make(&set, metric, 16).stats;
            assert!(stats.reconnected <= 2, "{strategy:?} under {metric}: {stats:?}");
        }
    }
}

#[test]
fn duplicates_are_counted() {
    let sets = [
        (999, DataSet::new("all equal", 3, generate::all_equal(1_000, 3))),
        (2_997, DataSet::new("duplicates", 6, generate::duplicates(16, 3_000, 6))),
        (0, DataSet::new("uniform", 6, generate::uniform(17, 1_000, 6))),
        (150, DataSet::new("one-hot", 50, generate::one_hot(200, 50))),
    ];
    for (expected, set) in sets {
        for strategy in [Strategy::AllPairs, Strategy::Partition] {
            let stats = Way::Build(strategy).make(&set, Metric::L2, 8).stats;
            assert_eq!(stats.duplicates, expected, "{}", set.name);
        }
    }
}

#[test]
fn lists_of_a_bulk_build_are_nearest_first() {
    let set = DataSet::new("uniform", 12, generate::uniform(19, 1_500, 12));
    for metric in Metric::ALL {
        for way in WAYS.into_iter().filter(|way| way.is_bulk()) {
            let Made { graph, stats, .. } = way.make(&set, metric, 16);
            assert_eq!(stats.reconnected, 0, "a link for reachability alone comes last");
            let rows = common::rows_of(&graph);
            let oracle = common::oracle(metric, &rows);
            for (node, row) in (0..).zip(rows.rows()) {
                for level in 0..=graph.level(node) {
                    let links = oracle.measure(row, graph.neighbors(node, level));
                    let mut pairs = links.windows(2);
                    let misplaced = pairs.find(|pair| pair[0].distance > pair[1].distance + 1e-5);
                    assert_eq!(misplaced, None, "node {node}, level {level}, {metric} by {way}");
                }
            }
        }
    }
}

/// A link is taken up at its other end unless nearer ones fill the list: most links go both
/// ways. One that is dropped on the way costs no invariant, only quality.
#[test]
fn most_links_go_both_ways() {
    let set = DataSet::new("mixture", 16, generate::mixture(18, 2_000, 16));
    for way in WAYS {
        let graph = way.make(&set, Metric::L2, 16).graph;
        let links =
            || (0..2_000).flat_map(|node| graph.neighbors(node, 0).map(move |to| (node, to)));
        let is_mutual = |&(node, to): &(u32, u32)| graph.neighbors(to, 0).any(|back| back == node);
        let share = links().filter(is_mutual).count() as f64 / links().count() as f64;
        let floor = if way.is_bulk() { 0.96 } else { 0.86 };
        assert!(share > floor, "{way}: {share}");
    }
}
