//! Promise: if at least `k` points match, `k` points come back, and all of them match.
//!
//! The story: matches lie around the query, far from it, or anywhere, from none to all; rows were
//! deleted, and some are behind the graph. And what a filter deletes stays deleted.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch};
use loomdb::index::IndexParams;
use loomdb::{
    Batch, Collection, Database, Durability, ErrorKind, Filter, Id, Ids, OpenOptions, Schema,
    SearchStrategy,
};
use loomdb_graph::{Metric, Vectors};
use loomdb_testkit::{Metric as OracleMetric, Oracle, Random, generate};

use crate::model::ROOT;
use crate::sim::SimFs;

const DIM: usize = 6;
const ROWS: usize = 3_000;
const TAIL: usize = 100;
const K: usize = 10;

/// Points with their rank by distance from the first of them, and with a rank by chance.
struct Ranked {
    docs: Collection,
    values: Vec<f32>,
    near: Vec<i64>,
    any: Vec<i64>,
    _db: Database,
}

fn ranks(order: impl IntoIterator<Item = usize>, rows: usize) -> Vec<i64> {
    let mut ranks = vec![0; rows];
    for (rank, row) in order.into_iter().enumerate() {
        ranks[row] = rank as i64;
    }
    ranks
}

fn table(columns: [(&str, &[i64]); 2]) -> RecordBatch {
    let column = |values: &[i64]| Arc::new(Int64Array::from(values.to_vec())) as _;
    RecordBatch::try_from_iter(columns.map(|(name, values)| (name, column(values)))).unwrap()
}

/// Links are few, so that a walk is cheaper than a scan already in a small collection.
fn options() -> OpenOptions {
    let index = IndexParams { m: 4, flat_limit: Some(300), ..IndexParams::default() };
    OpenOptions::new().index(index)
}

fn ranked(metric: Metric, tail: usize) -> Ranked {
    let rows = ROWS + tail;
    let values = generate::uniform(1, rows, DIM);
    let oracle = Oracle::new(OracleMetric::named(metric.name()), DIM, &values);
    let order = oracle.exact_neighbors(&values[..DIM], rows);
    let near = ranks(order.iter().map(|near| near.row as usize), rows);
    let mut order: Vec<usize> = (0..rows).collect();
    Random::new(2).shuffle(&mut order);
    let any = ranks(order, rows);
    let options = options().file_system(Arc::new(SimFs::new())).durability(Durability::OnCommit);
    let db = options.open(Path::new(ROOT)).unwrap();
    let docs = db.collection("docs", Schema::new(DIM).metric(metric)).unwrap();
    for part in [0..ROWS, ROWS..rows].into_iter().filter(|part| !part.is_empty()) {
        let vectors = Vectors::from_flat(DIM, &values[part.start * DIM..part.end * DIM]).unwrap();
        let ids: Vec<u64> = part.clone().map(|row| row as u64).collect();
        let columns = table([("near", &near[part.clone()]), ("any", &any[part])]);
        docs.add(&Batch::new(ids, vectors).unwrap().with_metadata(columns).unwrap()).unwrap();
    }
    let index = docs.info().index.unwrap();
    assert_eq!((index.graph_rows, index.tail_rows), (ROWS, tail));
    Ranked { docs, values, near, any, _db: db }
}

impl Ranked {
    /// Filters that match `count` rows, each with whether it matches a row.
    fn filters(&self, count: usize) -> [(Filter, Vec<bool>); 3] {
        let (count, rows) = (count as i64, self.near.len() as i64);
        let below = |ranks: &[i64]| ranks.iter().map(|rank| *rank < count).collect();
        let above = self.near.iter().map(|rank| *rank >= rows - count).collect();
        [
            (Filter::lt("near", count), below(&self.near)),
            (Filter::gte("near", rows - count), above),
            (Filter::lt("any", count), below(&self.any)),
        ]
    }

    /// Checks searches for the matches that `is_there` says exist.
    fn check(&self, metric: Metric, is_there: impl Fn(usize) -> bool) -> Vec<SearchStrategy> {
        let metric = OracleMetric::named(metric.name());
        let mut strategies = Vec::new();
        let all = self.near.len();
        let counts = [0, 1, K - 1, K, K + 1, 40, 200, 700, 1_500, all - 1, all];
        for (filter, is_match) in counts.iter().flat_map(|count| self.filters(*count)) {
            let rows: Vec<usize> =
                (0..all).filter(|row| is_match[*row] && is_there(*row)).collect();
            assert_eq!(self.docs.count_matching(&filter).unwrap(), rows.len(), "{filter}");
            let values: Vec<f32> =
                rows.iter().flat_map(|row| self.values[row * DIM..][..DIM].to_vec()).collect();
            for query in [0, 1_234].map(|row| &self.values[row * DIM..][..DIM]) {
                let search = self.docs.search(query).k(K).filter(filter.clone());
                let exact = Oracle::new(metric, DIM, &values).exact_neighbors(query, K);
                for is_exact in [false, true] {
                    let search = search.clone().ef_search(20);
                    let search = if is_exact { search.exact() } else { search };
                    let hits = search.run().unwrap();
                    assert_eq!(hits.len(), K.min(rows.len()), "{filter}");
                    for (hit, exact) in hits.iter().zip(&exact) {
                        let Id::Integer(id) = hit.id else { panic!("{hit:?}") };
                        assert!(rows.binary_search(&(id as usize)).is_ok(), "{filter}: {hit:?}");
                        let own = metric.distance(query, &self.values[id as usize * DIM..][..DIM]);
                        let given = f64::from(hit.distance);
                        assert!((given - own).abs() < 1e-4, "{given} is not {own}");
                        let is_nearest = (given - exact.distance).abs() < 1e-4;
                        assert!(!is_exact || is_nearest, "{filter}: {hit:?} before {exact:?}");
                    }
                    assert!(hits.is_sorted_by(|one, next| one.distance <= next.distance));
                }
                let explanation = search.clone().ef_search(20).explain().unwrap();
                assert_eq!(explanation.matches, rows.len());
                assert_eq!(explanation.hits, K.min(rows.len()));
                strategies.push(explanation.strategy);
            }
        }
        strategies
    }
}

#[test]
fn k_points_come_back_whenever_k_match() {
    // Rows behind the graph that match would hide a walk that came back with too few.
    for (metric, tail) in [(Metric::L2, 0), (Metric::L2, TAIL), (Metric::Cosine, TAIL)] {
        let ranked = ranked(metric, tail);
        let strategies = ranked.check(metric, |_| true);
        for used in [SearchStrategy::Walk, SearchStrategy::WideWalk, SearchStrategy::Scan] {
            assert!(strategies.contains(&used), "{used:?} is not tried: {strategies:?}");
        }
        // Two of three around the query are gone, and all of one end of the tail.
        let gone =
            |row: usize| ranked.near[row] < 900 && !row.is_multiple_of(3) || row >= ROWS + 60;
        let ids: Vec<u64> =
            (0..ROWS + tail).filter(|row| gone(*row)).map(|row| row as u64).collect();
        assert_eq!(ranked.docs.delete(&Ids::from(ids.clone())).unwrap(), ids.len());
        ranked.check(metric, |row| !gone(row));
        let hits = ranked.docs.search(&ranked.values[..DIM]).k(300).run().unwrap();
        assert_eq!(hits.len(), 300);
        assert!(hits.iter().all(|hit| matches!(hit.id, Id::Integer(id) if !gone(id as usize))));
    }
}

#[test]
fn a_search_tells_how_it_went() {
    let ranked = ranked(Metric::L2, TAIL);
    let query = &ranked.values[..DIM];
    let explain = |filter| ranked.docs.search(query).filter(filter).explain().unwrap();
    let all = ranked.docs.search(query).explain().unwrap();
    assert_eq!((all.strategy, all.matches, all.selectivity), (SearchStrategy::Walk, 3_100, 1.0));
    assert_eq!((all.hits, all.beams.as_slice()), (10, &[64][..]));
    assert!((TAIL as u64..2_000).contains(&all.distance_computations), "{all:?}");
    let few = explain(Filter::lt("any", 31));
    assert_eq!((few.strategy, few.matches, few.selectivity), (SearchStrategy::Scan, 31, 0.01));
    assert_eq!((few.beams.len(), few.distance_computations), (0, 31));
    let around = ranked.docs.search(query).ef_search(20).filter(Filter::lt("near", 700));
    let around = around.explain().unwrap();
    assert_eq!(around.strategy, SearchStrategy::WideWalk, "{around:?}");
    // The first walk finds nothing that matches, so wider ones and at last a scan follow.
    let far = explain(Filter::gte("near", 1_600));
    assert_eq!((far.strategy, far.matches), (SearchStrategy::Scan, 1_500), "{far:?}");
    assert_eq!(far.beams, [64], "{far:?}");
    assert!(far.distance_computations > far.matches as u64);
    let none = explain(Filter::lt("any", 0));
    assert_eq!((none.matches, none.hits, none.distance_computations), (0, 0, 0));
}

#[test]
fn what_a_filter_deletes_stays_deleted() {
    let levels = [Durability::Synced, Durability::Buffered, Durability::OnCommit];
    for (durability, has_texts) in levels.into_iter().flat_map(|one| [(one, false), (one, true)]) {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("docs.loom");
        let open = || options().durability(durability).open(&path).unwrap();
        let db = open();
        let docs = db.collection("docs", Schema::new(1).metric(Metric::L2)).unwrap();
        let ids = if has_texts {
            Ids::Text((0..400).map(|row| format!("row {row}")).collect())
        } else {
            Ids::Integer((0..400).collect())
        };
        let values: Vec<f32> = (0..400_u16).map(f32::from).collect();
        let numbers: Vec<i64> = (0..400).collect();
        let batch = Batch::new(ids.clone(), Vectors::from_flat(1, &values).unwrap()).unwrap();
        let columns = table([("n", &numbers), ("twice", &numbers)]);
        docs.add(&batch.with_metadata(columns).unwrap()).unwrap();
        let before = docs.snapshot();
        assert_eq!(docs.delete_matching(&Filter::gte("n", 100)).unwrap(), 300);
        assert_eq!(docs.delete_matching(&Filter::gte("n", 100)).unwrap(), 0);
        assert_eq!(docs.delete_matching(&Filter::eq("n", 7)).unwrap(), 1);
        assert_eq!(before.count_matching(&Filter::gte("n", 100)).unwrap(), 300);
        drop(docs);
        if durability == Durability::OnCommit {
            db.commit().unwrap();
        }
        db.close().unwrap();
        let db = open();
        let docs = db.existing_collection("docs").unwrap();
        assert_eq!(docs.count(), 99, "{durability:?}");
        let found = docs.get(&ids);
        for (row, point) in found.iter().enumerate() {
            assert_eq!(point.is_some(), row < 100 && row != 7, "row {row}, {durability:?}");
        }
        let hits = docs.search(&[399.0]).k(1).filter(Filter::exists("n")).run().unwrap();
        assert_eq!(hits[0].distance, 300.0);
        assert_eq!(docs.delete_matching(&Filter::all()).unwrap(), 99);
        assert_eq!((docs.count(), docs.count_matching(&Filter::all()).unwrap()), (0, 0));
    }
}

/// A batch of deletions beyond the limit of a record goes into a segment.
#[test]
fn a_filter_may_delete_very_many_points() {
    const POINTS: usize = 90_000;
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("docs.loom");
    let index = IndexParams { flat_limit: Some(POINTS), ..IndexParams::default() };
    let open = || OpenOptions::new().index(index.clone()).open(&path).unwrap();
    let db = open();
    let docs = db.collection("docs", Schema::new(1).metric(Metric::L2)).unwrap();
    let ids = Ids::Text((0..POINTS).map(|row| format!("{row:0>100}")).collect());
    let numbers: Vec<i64> = (0..POINTS as i64).collect();
    let vectors = Vectors::from_flat(1, &vec![1.0; POINTS]).unwrap();
    let columns = table([("n", &numbers), ("twice", &numbers)]);
    docs.add(&Batch::new(ids, vectors).unwrap().with_metadata(columns).unwrap()).unwrap();
    assert_eq!(docs.delete_matching(&Filter::gte("n", 5)).unwrap(), POINTS - 5);
    drop((docs, db));
    let docs = open().existing_collection("docs").unwrap();
    assert_eq!(docs.count(), 5);
    assert_eq!(docs.search(&[0.0]).run().unwrap().len(), 5);
}

#[test]
fn wrong_filters_are_refused_and_change_nothing() {
    let ranked = ranked(Metric::L2, TAIL);
    let query = &ranked.values[..DIM];
    for (wrong, path) in [(Filter::eq("nera", 1), "nera"), (Filter::eq("near", "x"), "near")] {
        let found = ranked.docs.search(query).filter(wrong.clone()).run().map(drop);
        let explained = ranked.docs.search(query).filter(wrong.clone()).explain().map(drop);
        let counted = ranked.docs.count_matching(&wrong).map(drop);
        let deleted = ranked.docs.delete_matching(&wrong).map(drop);
        for refused in [found, explained, counted, deleted] {
            let error = refused.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidFilter);
            assert_eq!(error.filter_path(), Some(path), "{error}");
        }
    }
    assert_eq!(ranked.docs.count(), ROWS + TAIL);
    let short = ranked.docs.search(&query[1..]).filter(Filter::lt("any", 0)).run();
    assert_eq!(short.unwrap_err().kind(), ErrorKind::InvalidInput, "also when nothing matches");
}

/// Before the first points nobody can know the fields.
#[test]
fn without_points_nothing_matches() {
    let db = Database::in_memory().unwrap();
    let docs = db.collection("docs", Schema::new(2)).unwrap();
    let filter = Filter::eq("lang", "en");
    assert_eq!(docs.count_matching(&filter).unwrap(), 0);
    assert_eq!(docs.delete_matching(&!filter.clone()).unwrap(), 0);
    assert!(docs.search(&[1.0, 0.0]).filter(filter.clone()).run().unwrap().is_empty());
    assert!(docs.count_matching(&Filter::eq("$or", 1)).is_err());
    docs.add(&Batch::without_ids(Vectors::from_flat(2, &[1.0, 0.0]).unwrap())).unwrap();
    assert_eq!(docs.count_matching(&Filter::all()).unwrap(), 1);
    assert!(docs.count_matching(&filter).is_err(), "now the fields are known: there are none");
}
