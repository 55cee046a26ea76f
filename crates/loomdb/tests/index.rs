//! The adaptive index: whatever way rows come in, every row is found as soon as `add` returns,
//! under the number that `add` gave it, and the answers do not change for the worse when the
//! index turns from a scan into a graph.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use loomdb::Ids;
use loomdb::index::{Index, IndexParams};
use loomdb::storage::SaveOptions;
use loomdb_graph::{Metric, Vectors};
use loomdb_testkit::wordnet;

const LIMIT: usize = 300;

fn params() -> IndexParams {
    IndexParams { flat_limit: Some(LIMIT), threads: 2, ..IndexParams::default() }
}

/// The first rows of the real data.
fn rows(count: usize) -> Vectors {
    let base = wordnet().rows;
    Vectors::from_flat(base.dim, &base.values[..count * base.dim]).unwrap()
}

fn part(vectors: &Vectors, rows: std::ops::Range<usize>) -> Vectors {
    let dim = vectors.dim();
    Vectors::from_flat(dim, &vectors.as_flat()[rows.start * dim..rows.end * dim]).unwrap()
}

/// How many of some rows are their own nearest neighbor, under their own number.
fn found_share(index: &Index, vectors: &Vectors, points: impl Iterator<Item = usize>) -> f64 {
    let (mut found, mut asked) = (0_usize, 0_usize);
    for point in points {
        let hits = index.search(vectors.row(point), 10, 64).unwrap();
        assert_eq!(hits.len(), 10.min(index.len()));
        assert!(hits.is_sorted_by(|left, right| left.distance <= right.distance));
        found += usize::from(hits.iter().any(|hit| hit.point == point));
        asked += 1;
    }
    found as f64 / asked as f64
}

/// Recall@10 of the index against its own exact search.
fn recall(index: &Index, queries: &Vectors) -> f64 {
    let exact = index.search_exact(queries, 10).unwrap();
    let found = index.search_many(queries, 10, 64).unwrap();
    let pairs = exact.iter().zip(&found).map(|(exact, found)| {
        let worst = exact.last().unwrap().distance;
        found.iter().filter(|hit| hit.distance <= worst).count()
    });
    pairs.sum::<usize>() as f64 / (10 * queries.len()) as f64
}

#[test]
fn a_row_is_found_at_once_however_it_comes() {
    let vectors = rows(2_000);
    for batch in [1, 100, 2_000] {
        let index = Index::new(vectors.dim(), Metric::Cosine, params()).unwrap();
        for first in (0..vectors.len()).step_by(batch) {
            let last = (first + batch).min(vectors.len());
            let added = index.add(&part(&vectors, first..last)).unwrap();
            assert_eq!(added, first..last);
            let newest = [last - 1].into_iter();
            assert!(found_share(&index, &vectors, newest) > 0.0, "row {} of {batch}", last - 1);
        }
        index.wait();
        let share = found_share(&index, &vectors, (0..vectors.len()).step_by(7));
        assert!(share > 0.98, "batches of {batch}: {share}");
        assert!(recall(&index, &part(&vectors, 0..200)) > 0.98);
    }
}

#[test]
fn below_the_limit_answers_are_exact_and_nothing_is_built() {
    let vectors = rows(LIMIT);
    let index = Index::build(vectors.clone(), Metric::Cosine, params(), &()).unwrap();
    let info = index.info();
    assert_eq!((info.graph_rows, info.tail_rows, info.distance_computations), (0, LIMIT, 0));
    assert!((recall(&index, &vectors) - 1.0).abs() < f64::EPSILON);
}

#[test]
fn one_row_over_the_limit_is_linked_in_the_background() {
    let vectors = rows(LIMIT + 1);
    let index = Index::build(part(&vectors, 0..LIMIT), Metric::Cosine, params(), &()).unwrap();
    index.add(&part(&vectors, LIMIT..LIMIT + 1)).unwrap();
    index.wait();
    let info = index.info();
    assert_eq!((info.graph_rows, info.tail_rows, info.unreachable_nodes), (LIMIT + 1, 0, 0));
}

#[test]
fn a_large_batch_bypasses_the_tail() {
    let vectors = rows(1_500);
    let index = Index::new(vectors.dim(), Metric::Cosine, params()).unwrap();
    index.add(&part(&vectors, 0..100)).unwrap();
    index.add(&part(&vectors, 100..1_500)).unwrap();
    let info = index.info();
    assert_eq!((info.graph_rows, info.tail_rows), (1_500, 0));
    assert_eq!(info.strategy.as_deref(), Some("partition"));
    assert!(found_share(&index, &vectors, (0..1_500).step_by(5)) > 0.98);
}

#[test]
fn a_refused_batch_changes_nothing() {
    let vectors = rows(400);
    let index = Index::build(vectors.clone(), Metric::Cosine, params(), &()).unwrap();
    assert!(index.add(&Vectors::from_flat(3, &[1.0; 6]).unwrap()).is_err());
    let mut with_zero = part(&vectors, 0..1);
    with_zero.push_rows(&vec![0.0; vectors.dim()]).unwrap();
    let message = index.add(&with_zero).unwrap_err().to_string();
    assert!(message.contains("row 1"), "{message}");
    assert_eq!(index.len(), 400);
    assert_eq!(index.add(&part(&vectors, 0..2)).unwrap(), 400..402);
}

#[test]
fn ids_follow_their_rows_to_disk_and_back() {
    let vectors = rows(1_000);
    let texts = (0..1_003).map(|point| format!("point {point}")).collect();
    let ids = Ids::Text(texts);
    let index = Index::build(vectors.clone(), Metric::Cosine, params(), &()).unwrap();
    index.add(&part(&vectors, 0..3)).unwrap();
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("words.loom");
    index.save(&dir, Some(&ids), &SaveOptions::default()).unwrap();
    assert!(index.save(&dir, Some(&ids), &SaveOptions::default()).is_err());
    let opened = Index::open(&dir, params()).unwrap();
    assert!(opened.warnings.is_empty());
    assert_eq!(opened.index.info().tail_rows, 3);
    let named = |index: &Index, ids: &Ids, query| -> Vec<(String, f32)> {
        let hits = index.search(query, 5, 1_003).unwrap();
        let mut named: Vec<_> =
            hits.iter().map(|hit| (ids.get(hit.point).to_string(), hit.distance)).collect();
        named.sort_by(|left, right| left.1.total_cmp(&right.1).then(left.0.cmp(&right.0)));
        named
    };
    for query in (0..1_000).step_by(50) {
        let query = vectors.row(query);
        assert_eq!(named(&index, &ids, query), named(&opened.index, &opened.ids, query));
    }
}

#[test]
fn a_lost_graph_is_a_warning_and_is_linked_anew() {
    let vectors = rows(1_000);
    let index = Index::build(vectors.clone(), Metric::Cosine, params(), &()).unwrap();
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("words.loom");
    index.save(&dir, None, &SaveOptions::default()).unwrap();
    std::fs::remove_file(dir.join("default/graph-00000001")).unwrap();
    let opened = Index::open(&dir, params()).unwrap();
    assert_eq!(opened.warnings.len(), 1, "{:?}", opened.warnings);
    opened.index.wait();
    assert_eq!(opened.index.info().graph_rows, 1_000);
    assert!(recall(&opened.index, &part(&vectors, 0..100)) > 0.98);
}

#[test]
fn readers_see_whole_batches_while_rows_are_added_and_linked() {
    const BATCH: usize = 50;
    let vectors = rows(2_500);
    let index = Index::new(vectors.dim(), Metric::Cosine, params()).unwrap();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let read = || {
            let mut seen = 0;
            while !is_done.load(Ordering::Relaxed) {
                let len = index.len();
                assert!(len >= seen && len.is_multiple_of(BATCH), "{len} after {seen}");
                seen = len;
                if len > 0 {
                    let hits = index.search(vectors.row(len - 1), 10, 64).unwrap();
                    assert_eq!(hits.len(), 10);
                    assert!(hits[0].distance < 1.0e-3);
                }
            }
        };
        let readers = [scope.spawn(read), scope.spawn(read)];
        for first in (0..vectors.len()).step_by(BATCH) {
            index.add(&part(&vectors, first..first + BATCH)).unwrap();
        }
        index.wait();
        is_done.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
    });
    assert!(recall(&index, &part(&vectors, 0..200)) > 0.98);
}
