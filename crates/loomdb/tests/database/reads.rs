//! Every way to read gives what a scan of plain rows gives.
//!
//! The story: points lie in a graph and behind it, some were deleted, and a field says which half
//! of them they belong to. Many queries at once must find what each finds alone; a radius must
//! find exactly the points within it; and pages, columns and counts must agree with each other.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch};
use loomdb::index::IndexParams;
use loomdb::{Batch, Collection, Database, ErrorKind, Filter, Hit, Id, Ids, OpenOptions, Schema};
use loomdb_graph::{Metric, Vectors};
use loomdb_testkit::{Metric as OracleMetric, generate};

const DIM: usize = 8;
const ROWS: usize = 1_200;
const TAIL: usize = 150;
const QUERIES: usize = 9;

/// Points whose ids are ten times their rows; every seventh is gone.
struct Made {
    docs: Collection,
    values: Vec<f32>,
    queries: Vectors,
    metric: OracleMetric,
    db: Database,
    parent: tempfile::TempDir,
}

fn made(metric: Metric) -> Made {
    let parent = tempfile::tempdir().unwrap();
    let index = IndexParams { m: 6, flat_limit: Some(200), ..IndexParams::default() };
    let db = OpenOptions::new().index(index).open(parent.path().join("docs.loom")).unwrap();
    let docs = db.collection("docs", Schema::new(DIM).metric(metric)).unwrap();
    let values = generate::uniform(3, ROWS + TAIL, DIM);
    for part in [0..ROWS, ROWS..ROWS + TAIL] {
        let ids: Vec<u64> = part.clone().map(|row| 10 * row as u64).collect();
        let vectors = Vectors::from_flat(DIM, &values[part.start * DIM..part.end * DIM]).unwrap();
        let halves: Vec<i64> = part.map(|row| (row % 2) as i64).collect();
        let columns = [("half", Arc::new(Int64Array::from(halves)) as _)];
        let columns = RecordBatch::try_from_iter(columns).unwrap();
        docs.add(&Batch::new(ids, vectors).unwrap().with_metadata(columns).unwrap()).unwrap();
    }
    let gone: Vec<u64> = (0..ROWS + TAIL).step_by(7).map(|row| 10 * row as u64).collect();
    docs.delete(&Ids::from(gone)).unwrap();
    let queries = Vectors::from_flat(DIM, &generate::uniform(4, QUERIES, DIM)).unwrap();
    let metric = OracleMetric::named(metric.name());
    Made { docs, values, queries, metric, db, parent }
}

impl Made {
    fn is_there(row: usize, half: Option<usize>) -> bool {
        !row.is_multiple_of(7) && half.is_none_or(|half| row % 2 == half)
    }

    fn rows_of_queries(&self) -> impl Iterator<Item = &[f32]> {
        self.queries.as_flat().chunks(DIM)
    }

    /// The rows that are there, nearest first, with their distances.
    fn exact(&self, query: &[f32], half: Option<usize>) -> Vec<(f64, u64)> {
        let rows = (0..ROWS + TAIL).filter(|row| Self::is_there(*row, half));
        let distance = |row: usize| self.metric.distance(query, &self.values[row * DIM..][..DIM]);
        let mut near: Vec<_> = rows.map(|row| (distance(row), 10 * row as u64)).collect();
        near.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        near
    }
}

fn filter(half: Option<usize>) -> Filter {
    half.map_or(Filter::all(), |half| Filter::eq("half", half as i64))
}

fn integers(ids: &Ids) -> Vec<u64> {
    let Ids::Integer(ids) = ids else { panic!("{ids:?}") };
    ids.clone()
}

#[test]
fn many_queries_find_what_each_finds_alone() {
    for metric in Metric::ALL {
        let made = made(metric);
        for (half, k) in [(None, 10), (Some(1), 10), (Some(0), 700)] {
            for is_exact in [true, false] {
                let many = made.docs.search_many(&made.queries).k(k).filter(filter(half));
                let many = if is_exact { many.exact() } else { many.ef_search(80) };
                let hits = many.run().unwrap();
                assert_eq!(hits.queries(), QUERIES);
                for (row, query) in made.rows_of_queries().enumerate() {
                    let one = made.docs.search(query).k(k).filter(filter(half)).ef_search(80);
                    let one = if is_exact { one.exact() } else { one };
                    let alone: Vec<Hit> = one.run().unwrap();
                    assert_eq!(hits.to_hits(row), alone, "{metric}, {half:?}, {is_exact}");
                    let exact = made.exact(query, half);
                    assert_eq!(alone.len(), k.min(exact.len()));
                    for (hit, exact) in alone.iter().zip(&exact).filter(|_| is_exact) {
                        let off = f64::from(hit.distance) - exact.0;
                        assert!(off.abs() < 1e-4, "{metric}, {half:?}: {hit:?} for {exact:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn flat_arrays_hold_what_hits_hold() {
    let made = made(Metric::L2);
    let query = made.queries.row(0);
    let alone = made.docs.search(query).k(30).with_vectors().run().unwrap();
    let hits = made.docs.search(query).k(30).hits().unwrap();
    let ids: Vec<Id> = alone.iter().map(|hit| hit.id.clone()).collect();
    assert_eq!((0..30).map(|row| hits.ids().get(row)).collect::<Vec<_>>(), ids);
    assert_eq!(hits.distances(), alone.iter().map(|hit| hit.distance).collect::<Vec<_>>());
    let vectors: Vec<f32> = alone.iter().flat_map(|hit| hit.vector.clone().unwrap()).collect();
    assert_eq!(hits.points().vectors().unwrap().as_flat(), vectors);
    let table = hits.points().metadata().unwrap();
    assert_eq!((table.num_columns(), table.num_rows()), (1, 30));
    let halves = table.column_by_name("half").unwrap().as_primitive::<Int64Type>();
    for (half, hit) in halves.iter().zip(&alone) {
        assert_eq!(half, hit.metadata["half"].as_i64());
    }
}

#[test]
fn a_radius_finds_all_within_it_and_nothing_else() {
    for metric in Metric::ALL {
        let made = made(metric);
        let halves = [None, Some(0), Some(1)].into_iter().cycle();
        for (query, half) in made.rows_of_queries().zip(halves) {
            let exact = made.exact(query, half);
            for rank in [0, 1, 17, 400, exact.len() - 1] {
                // Halfway between two neighbors, where rounding cannot decide.
                let next = exact.get(rank + 1).map_or(exact[rank].0 + 1.0, |next| next.0);
                let radius = f64::midpoint(exact[rank].0, next);
                let within = made.docs.within(query, radius as f32).filter(filter(half));
                let hits = within.clone().run().unwrap();
                // Rounding may order two that are as good as equally near.
                let sorted = |ids: &[u64]| ids.iter().copied().collect::<BTreeSet<u64>>();
                let expected: Vec<u64> = exact[..=rank].iter().map(|near| near.1).collect();
                let found = integers(&hits.ids());
                assert!(sorted(&found) == sorted(&expected), "{metric}, {half:?}, rank {rank}");
                assert_eq!(found.len(), expected.len());
                assert!(hits.distances().is_sorted());
                for (found, exact) in hits.distances().iter().zip(&exact) {
                    assert!((f64::from(*found) - exact.0).abs() < 1e-4);
                }
                let nearest = within.limit(5).run().unwrap();
                assert_eq!(integers(&nearest.ids()), found[..found.len().min(5)]);
            }
            // The distance that a search reports is within that distance.
            let third = made.docs.search(query).k(3).exact().run().unwrap()[2].distance;
            assert!(made.docs.within(query, third).run().unwrap().len() >= 3, "{metric}");
        }
    }
}

#[test]
fn a_radius_is_checked() {
    let made = made(Metric::Cosine);
    let query = made.queries.row(0);
    assert!(made.docs.within(query, -0.5).run().unwrap().is_empty());
    assert_eq!(made.docs.within(query, f32::INFINITY).run().unwrap().len(), made.docs.count());
    let refused = |error: loomdb::Error| assert_eq!(error.kind(), ErrorKind::InvalidInput);
    refused(made.docs.within(query, f32::NAN).run().unwrap_err());
    refused(made.docs.within(&query[1..], 1.0).run().unwrap_err());
    refused(made.docs.within(&[0.0; DIM], 1.0).run().unwrap_err());
    let wrong = made.docs.within(query, 1.0).filter(Filter::eq("hlaf", 1)).run().unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::InvalidFilter);
    let empty = Database::in_memory().unwrap().collection("new", Schema::new(2)).unwrap();
    assert!(empty.within(&[1.0, 0.0], 1.0).run().unwrap().is_empty());
    refused(empty.within(&[1.0], 1.0).run().unwrap_err());
}

#[test]
fn wrong_queries_are_named_by_their_row() {
    let made = made(Metric::Cosine);
    let mut values = made.queries.as_flat().to_vec();
    values[4 * DIM..5 * DIM].fill(0.0);
    let queries = Vectors::from_flat(DIM, &values).unwrap();
    for search in [made.docs.search_many(&queries), made.docs.search_many(&queries).exact()] {
        let error = search.run().unwrap_err();
        assert!(error.to_string().contains("row 4"), "{error}");
    }
    let narrow = Vectors::from_flat(2, &[1.0, 1.0]).unwrap();
    assert!(made.docs.search_many(&narrow).run().is_err());
    assert!(made.docs.search_many(&made.queries).k(0).run().is_err());
    let none = Vectors::new(DIM).unwrap();
    assert_eq!(made.docs.search_many(&none).run().unwrap().queries(), 0);
    let empty = Database::in_memory().unwrap().collection("new", Schema::new(DIM)).unwrap();
    let hits = empty.search_many(&made.queries).run().unwrap();
    assert_eq!((hits.queries(), hits.len(), hits.range(8)), (QUERIES, 0, 0..0));
    assert!(empty.search_many(&narrow).run().is_err());
}

#[test]
fn pages_hold_every_match_once() {
    let made = made(Metric::L2);
    for half in [None, Some(0), Some(1)] {
        let expected: Vec<u64> = (0..ROWS + TAIL)
            .filter(|row| Made::is_there(*row, half))
            .map(|row| 10 * row as u64)
            .collect();
        for len in [1, 100, expected.len(), 10_000] {
            let filter = filter(half);
            let pages: Vec<_> = made.docs.pages(len, half.map(|_| &filter)).unwrap().collect();
            assert!(pages.iter().all(|page| (1..=len).contains(&page.len())));
            let found: Vec<u64> = pages.iter().flat_map(|page| integers(&page.ids())).collect();
            assert_eq!(found, expected);
            let values = pages.iter().flat_map(|page| page.rows_of_vectors().flatten().copied());
            let rows = expected.iter().map(|id| *id as usize / 10);
            let own = rows.flat_map(|row| made.values[row * DIM..][..DIM].iter().copied());
            assert!(values.eq(own), "the vectors are others");
        }
    }
    assert!(made.docs.pages(0, None).is_err());
    assert!(made.docs.pages(5, Some(&Filter::eq("no", 1))).is_err());
}

#[test]
fn ids_that_are_not_there_are_named() {
    let made = made(Metric::L2);
    let found = made.docs.find(&Ids::from(vec![50, 0, 11, 40, 50])).unwrap();
    assert_eq!(found.points.ids(), Ids::from(vec![50, 40, 50]));
    assert_eq!(found.missing, Ids::from(vec![0, 11]));
    let points = made.docs.get(&found.points.ids());
    let points: Vec<_> = points.into_iter().map(Option::unwrap).collect();
    assert_eq!(found.points.to_points(), points);
    let error = made.docs.find(&Ids::from(vec!["a".to_owned()])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn info_tells_sizes() {
    let made = made(Metric::L2);
    let info = made.docs.info();
    let index = info.index.as_ref().unwrap();
    assert_eq!((info.points, info.deleted_rows), (made.docs.count(), (ROWS + TAIL).div_ceil(7)));
    assert_eq!((index.graph_rows, index.tail_rows), (ROWS, TAIL));
    assert!(info.metadata_bytes >= 16 * (ROWS + TAIL), "ids and a field: {info:?}");
    made.db.commit().unwrap();
    let info = made.docs.info();
    let directories = std::fs::read_dir(made.parent.path().join("docs.loom")).unwrap();
    let collection = directories
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_dir())
        .expect("the collection has a directory");
    assert_eq!(info.disk_bytes, bytes_below(&collection));
    assert!(info.segments >= 1 && info.disk_bytes > (4 * DIM * (ROWS + TAIL)) as u64, "{info:?}");
}

fn bytes_below(path: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let bytes = |entry: std::fs::DirEntry| {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() { bytes_below(&entry.path()) } else { metadata.len() }
    };
    entries.map(bytes).sum()
}

/// Many rows are shared out to threads in pieces.
#[test]
fn a_radius_looks_at_every_piece_of_many_rows() {
    const MANY: usize = 20_000;
    let db = Database::in_memory().unwrap();
    let docs = db.collection("many", Schema::new(1).metric(Metric::L2)).unwrap();
    let values: Vec<f32> = (0..MANY).map(|row| row as f32).collect();
    docs.add(&Batch::without_ids(Vectors::from_flat(1, &values).unwrap())).unwrap();
    for first in [0, 8_190, 16_380, MANY - 10] {
        let hits = docs.within(&[first as f32 + 4.5], 4.6).run().unwrap();
        let mut found = integers(&hits.ids());
        found.sort_unstable();
        assert_eq!(found, (first as u64..first as u64 + 10).collect::<Vec<_>>());
    }
    assert_eq!(docs.within(&[0.0], f32::INFINITY).run().unwrap().len(), MANY);
}
