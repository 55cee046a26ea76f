//! Promise: readers search while the writer inserts, each a version of its own; what a reader
//! holds stays valid, and a failed or canceled insert changes nothing.
//!
//! Versions share rows and links, and the writer changes lists in place. A reader may thus walk
//! over a list in the middle of a change, and over links to nodes that its version does not know.
//! Neither may show: not as a foreign node, not as a short answer, not as lost recall.

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, mpsc};
use std::time::Duration;

use common::check::{check_graph, unreached};
use common::ways::{WAYS, Way};
use common::{WORKERS, build_from, nodes_of, oracle, params, tolerance, vectors};
use loomdb_graph::{Error, Graph, Metric, Observer, Scratch, Strategy, Vectors, build};
use loomdb_testkit::{DataSet, generate, recall_at};

const K: usize = 10;

/// Recall of a version while it is changed under the reader: 0.995 was measured.
const FLOOR: f64 = 0.97;

/// The answers to some queries by a version, checked; returns their recall.
fn checked_recall(graph: &Graph, order: &[u32], all: &DataSet, queries: &DataSet) -> f64 {
    let rows = all.slice(0..graph.len());
    let oracle = oracle(graph.metric(), &rows);
    let mut scratch = Scratch::new();
    let recall = |query: &[f32]| {
        let found = graph.search(query, K, 64, &mut scratch).unwrap();
        assert_eq!(found.len(), K.min(graph.len()), "of {} nodes", graph.len());
        assert!(found.is_sorted_by(|left, right| left.distance <= right.distance));
        for near in &found {
            assert!((near.node as usize) < graph.len(), "{} is of a newer version", near.node);
            let row = order[near.node as usize];
            let error = (f64::from(near.distance) - oracle.distance(query, row)).abs();
            assert!(error <= tolerance(graph.metric(), query, rows.row(row as usize)));
        }
        let found = nodes_of(&found).into_iter().map(|node| order[node as usize]);
        recall_at(K, &oracle.exact_neighbors(query, K), &oracle.measure(query, found))
    };
    queries.rows().map(recall).sum::<f64>() / queries.len() as f64
}

/// Versions as a writer publishes them.
struct Published {
    first: Graph,
    newest: Mutex<Graph>,
    is_finished: AtomicBool,
    /// Holds the writer back until both readers are there.
    begin: Barrier,
}

impl Published {
    fn new(first: &Graph) -> Self {
        Self {
            first: first.clone(),
            newest: Mutex::new(first.clone()),
            is_finished: AtomicBool::new(false),
            begin: Barrier::new(3),
        }
    }
}

/// Searches the newest version again and again, and the first one to the end; returns the lowest
/// recall and how many versions were seen.
fn read(published: &Published, order: &[u32], all: &DataSet, queries: &DataSet) -> (f64, usize) {
    let (mut lowest, mut versions, mut len) = (1.0_f64, 0, 0);
    published.begin.wait();
    loop {
        // Asked before the version is taken, so that the last one is always seen.
        let is_last = published.is_finished.load(Ordering::Acquire);
        let newest = published.newest.lock().unwrap().clone();
        assert!(newest.len() >= len, "a version went back");
        versions += usize::from(newest.len() > len);
        len = newest.len();
        for graph in [&newest, &published.first] {
            lowest = lowest.min(checked_recall(graph, order, all, queries));
        }
        if is_last {
            return (lowest, versions);
        }
    }
}

fn check_reading_while_writing(metric: Metric, values: Vec<f32>, (first, step): (usize, usize)) {
    let (all, queries) = DataSet::new("rows", 16, values).hold_out(40);
    let params = params(16, Strategy::AllPairs);
    let built = build_from(&all.slice(0..first), metric, &params);
    let order: Vec<u32> = built.order.into_iter().chain(first as u32..all.len() as u32).collect();
    let published = Published::new(&built.graph);
    let seen = std::thread::scope(|scope| {
        let read = || read(&published, &order, &all, &queries);
        let readers = [scope.spawn(read), scope.spawn(read)];
        let mut graph = built.graph.clone();
        published.begin.wait();
        for start in (first..all.len()).step_by(step) {
            let rows = vectors(&all.slice(start..(start + step).min(all.len())));
            graph = graph.insert(&rows, &params, &WORKERS, &()).unwrap().0;
            *published.newest.lock().unwrap() = graph.clone();
        }
        published.is_finished.store(true, Ordering::Release);
        readers.map(|reader| reader.join().unwrap())
    });
    for (lowest, versions) in seen {
        println!("{metric}: {versions} versions, lowest recall {lowest:.4}");
        assert!(lowest >= FLOOR, "recall fell to {lowest} under {metric}");
    }
    let newest = published.newest.into_inner().unwrap();
    check_graph(&newest, &order, &all).unwrap();
    check_graph(&built.graph, &order[..first], &all.slice(0..first)).unwrap();
}

#[test]
fn reading_while_batches_are_inserted() {
    let values = generate::mixture(1, 4_040, 16);
    check_reading_while_writing(Metric::L2, values, (1_000, 100));
}

#[test]
fn reading_while_single_rows_are_inserted() {
    let values = generate::mixture(2, 1_540, 16);
    check_reading_while_writing(Metric::Cosine, values, (500, 1));
}

/// Each batch is far from all before it, so the lists of a few nodes change all the time.
#[test]
fn reading_while_clusters_arrive_one_by_one() {
    let values = generate::clusters(3, 3_040, 16);
    check_reading_while_writing(Metric::L2, values, (600, 60));
}

#[test]
fn only_the_newest_version_can_grow() {
    let set = DataSet::new("mixture", 8, generate::mixture(4, 900, 8));
    let params = params(8, Strategy::AllPairs);
    let built = build_from(&set.slice(0..500), Metric::L2, &params);
    let insert = |graph: &Graph, rows: std::ops::Range<usize>| {
        graph.insert(&vectors(&set.slice(rows)), &params, &WORKERS, &()).map(|(next, _)| next)
    };
    let old = built.graph;
    let next = insert(&old, 500..700).unwrap();
    for _ in 0..2 {
        assert_eq!(insert(&old, 700..900).err(), Some(Error::StaleGraph));
    }
    let newest = insert(&next, 700..900).unwrap();
    assert_eq!(insert(&next, 700..900).err(), Some(Error::StaleGraph));
    let order: Vec<u32> = built.order.into_iter().chain(500..900).collect();
    for graph in [&old, &next, &newest] {
        let rows = set.slice(0..graph.len());
        check_graph(graph, &order[..graph.len()], &rows).unwrap();
    }
}

/// Two writers, one version: one of them extends it, the other is told. They share their threads,
/// and a thread that waits for a part of one insert may be handed the other: it must not wait for
/// a lock that it holds itself.
#[test]
fn of_two_writers_one_wins() {
    let set = DataSet::new("mixture", 8, generate::mixture(5, 600, 8));
    let params = params(8, Strategy::AllPairs);
    for _ in 0..20 {
        let graph = build_from(&set.slice(0..400), Metric::L2, &params).graph;
        let rows = vectors(&set.slice(400..600));
        let (sender, outcomes) = mpsc::channel();
        for _ in 0..2 {
            let (graph, rows, params) = (graph.clone(), rows.clone(), params.clone());
            let sender = sender.clone();
            std::thread::spawn(move || {
                let next = graph.insert(&rows, &params, &WORKERS, &());
                sender.send(next.map(|(next, _)| next.len()))
            });
        }
        let patience = Duration::from_mins(1);
        let outcomes =
            [(); 2].map(|()| outcomes.recv_timeout(patience).expect("the writers wait forever"));
        assert!(outcomes.contains(&Ok(600)), "{outcomes:?}");
        assert!(outcomes.contains(&Err(Error::StaleGraph)), "{outcomes:?}");
    }
}

/// Asks to stop once it has been asked `allowed` times.
struct CancelAfter {
    allowed: usize,
    asked: AtomicUsize,
}

impl CancelAfter {
    fn new(allowed: usize) -> Self {
        Self { allowed, asked: AtomicUsize::new(0) }
    }
}

impl Observer for CancelAfter {
    fn canceled(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed) >= self.allowed
    }
}

/// Stopped at each of the places where a build looks up.
#[test]
fn a_build_can_be_canceled_anywhere() {
    let set = DataSet::new("mixture", 8, generate::mixture(6, 1_100, 8));
    for way in WAYS.into_iter().filter(|way| matches!(way, Way::Build(_))) {
        let params = way.params(4);
        let attempt = |allowed| {
            build(vectors(&set), Metric::L2, &params, &WORKERS, &CancelAfter::new(allowed))
        };
        assert_eq!(attempt(0).err(), Some(Error::Canceled), "{way}");
        let step = if way.is_bulk() { 1 } else { 7 };
        let outcomes = (0..).step_by(step).map(attempt);
        let mut outcomes = outcomes.skip_while(|built| matches!(built, Err(Error::Canceled)));
        let built = outcomes.next().unwrap().unwrap();
        check_graph(&built.graph, &built.order, &set).unwrap();
    }
}

#[test]
fn a_canceled_insert_changes_nothing() {
    let set = DataSet::new("mixture", 8, generate::mixture(7, 1_000, 8));
    for strategy in [Strategy::AllPairs, Strategy::Insert { chunk: 50 }] {
        let params = params(8, strategy);
        let grown = || {
            let graph = build_from(&set.slice(0..300), Metric::L2, &params).graph;
            let rows = vectors(&set.slice(300..600));
            graph.insert(&rows, &params, &WORKERS, &()).unwrap().0
        };
        let (graph, twin) = (grown(), grown());
        let before = graph.to_parts();
        let rows = vectors(&set.slice(600..1_000));
        let attempt = |allowed| graph.insert(&rows, &params, &WORKERS, &CancelAfter::new(allowed));
        let mut stops = 0;
        let next = loop {
            match attempt(stops) {
                Err(Error::Canceled) => assert!(graph.to_parts() == before, "stop {stops}"),
                done => break done.unwrap().0,
            }
            stops += 1;
        };
        assert!(stops > 0, "an insert never looks up");
        let expected = twin.insert(&rows, &params, &WORKERS, &()).unwrap().0;
        assert!(next.to_parts() == expected.to_parts(), "the stops left something behind");
        let (old_rows, all) = (set.slice(0..600), common::rows_of(&next));
        assert_eq!(common::rows_of(&graph).values.len(), old_rows.values.len());
        let order: Vec<u32> = (0..1_000).collect();
        check_graph(&next, &order, &all).unwrap();
        assert_eq!(unreached(&graph.to_parts()), []);
    }
}

#[test]
fn a_refused_insert_changes_nothing() {
    let set = DataSet::new("mixture", 4, generate::mixture(8, 400, 4));
    let params = params(8, Strategy::AllPairs);
    let built = build_from(&set.slice(0..300), Metric::Cosine, &params);
    let graph = built.graph;
    let before = graph.to_parts();
    let insert = |rows: &Vectors| graph.insert(rows, &params, &WORKERS, &()).map(|(next, _)| next);
    let mut with_zero = set.slice(300..400);
    with_zero.values[50 * 4..51 * 4].fill(0.0);
    let refused = insert(&vectors(&with_zero));
    assert_eq!(refused.err(), Some(Error::ZeroVector { row: 50 }));
    let refused = insert(&Vectors::from_flat(3, &[1.0; 9]).unwrap());
    assert_eq!(refused.err(), Some(Error::DimMismatch { expected: 4, given: 3 }));
    let wrong = loomdb_graph::BuildParams { ef_construction: 0, ..params.clone() };
    let refused = graph.insert(&vectors(&set.slice(300..400)), &wrong, &WORKERS, &());
    assert!(matches!(refused, Err(Error::InvalidParameter { name: "ef_construction", .. })));
    assert!(graph.to_parts() == before);
    let next = insert(&vectors(&set.slice(300..400))).unwrap();
    let order: Vec<u32> = built.order.into_iter().chain(300..400).collect();
    check_graph(&next, &order, &set).unwrap();
}

/// No rows make no new version worth the name, and hold nobody up.
#[test]
fn an_insert_of_nothing() {
    let set = DataSet::new("mixture", 4, generate::mixture(9, 60, 4));
    let params = params(8, Strategy::AllPairs);
    for rows in [0, 50] {
        let graph = build_from(&set.slice(0..rows), Metric::L2, &params).graph;
        let none = Vectors::new(4).unwrap();
        let same = graph.insert(&none, &params, &WORKERS, &()).unwrap().0;
        assert!(same.to_parts() == graph.to_parts());
        let next = same.insert(&vectors(&set.slice(50..60)), &params, &WORKERS, &()).unwrap().0;
        assert_eq!(next.len(), rows + 10);
    }
}
