//! Streams of batches are written in pieces, and long builds can be stopped.
//!
//! The story: batches of all shapes come one after the other and must be what they are when added
//! at once; a stream that breaks off keeps whole pieces and nothing of others; and whoever cancels
//! a batch finds the collection as it was, on the disk as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::types::Float32Type;
use arrow_array::{ArrayRef, FixedSizeListArray, Int64Array, RecordBatch, StringArray};
use loomdb::index::IndexParams;
use loomdb::{
    Batch, Collection, Database, Durability, ErrorKind, Filter, Ids, Metadata, OpenOptions, Schema,
};
use loomdb_graph::{Metric, Observer, Phase, Vectors};
use loomdb_testkit::generate;
use serde_json::json;

const DIM: usize = 4;

/// Cancels at the n-th question.
struct CancelAt(usize, AtomicUsize);

impl CancelAt {
    fn new(at: usize) -> Self {
        Self(at, AtomicUsize::new(0))
    }
}

impl Observer for CancelAt {
    fn canceled(&self) -> bool {
        self.1.fetch_add(1, Ordering::Relaxed) >= self.0
    }
}

/// Counts the reports.
#[derive(Default)]
struct Reports(AtomicUsize);

impl Observer for Reports {
    fn progress(&self, _: Phase, _: usize, _: usize) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn options() -> OpenOptions {
    let index = IndexParams { m: 4, flat_limit: Some(100), ..IndexParams::default() };
    OpenOptions::new().index(index)
}

fn batch(ids: std::ops::Range<u64>, stamp: u64) -> Batch {
    let count = (ids.end - ids.start) as usize;
    let vectors = Vectors::from_flat(DIM, &generate::uniform(stamp, count, DIM)).unwrap();
    let record = |id: u64| match stamp % 3 {
        0 => json!({"stamp": stamp}),
        1 => json!({"stamp": stamp as f64 + 0.5, "id text": id.to_string()}),
        _ => json!({}),
    };
    let records: Vec<Metadata> =
        ids.clone().map(|id| serde_json::from_value(record(id)).unwrap()).collect();
    Batch::new(ids.collect::<Vec<u64>>(), vectors).unwrap().with_records(&records).unwrap()
}

fn docs(db: &Database) -> Collection {
    db.collection("docs", Schema::new(DIM).metric(Metric::L2)).unwrap()
}

fn points(docs: &Collection) -> Vec<loomdb::Point> {
    docs.snapshot().scan(0, usize::MAX).points
}

#[test]
fn a_stream_is_what_its_batches_are() {
    let parent = tempfile::tempdir().unwrap();
    for durability in [Durability::Synced, Durability::Buffered, Durability::OnCommit] {
        for piece_bytes in [1, 3_000, 1 << 30] {
            let path = parent.path().join(format!("{durability:?}-{piece_bytes}.loom"));
            let db = options().durability(durability).open(&path).unwrap();
            let (streamed, expected) = (docs(&db), Database::in_memory().unwrap());
            let expected = docs(&expected);
            let reports = Reports::default();
            let mut writer = streamed.writer().piece_bytes(piece_bytes).observer(&reports);
            for stamp in 0..12 {
                let batch = batch(40 * stamp..40 * (stamp + 1), stamp);
                writer.write(&batch).unwrap();
                expected.add(&batch).unwrap();
                assert_eq!(writer.written(), streamed.count() as u64);
            }
            assert_eq!(writer.finish().unwrap(), 480);
            assert!(reports.0.load(Ordering::Relaxed) > 0, "nobody was told of the build");
            assert_eq!(points(&streamed), points(&expected));
            let index = streamed.info().index.unwrap();
            assert_eq!((index.graph_rows, index.tail_rows), (480, 0), "{durability:?}");
            let before = points(&streamed);
            drop(streamed);
            db.commit().unwrap();
            db.close().unwrap();
            let db = options().durability(durability).open(&path).unwrap();
            assert_eq!(points(&docs(&db)), before);
        }
    }
}

#[test]
fn a_broken_stream_keeps_whole_pieces() {
    let docs = docs(&Database::in_memory().unwrap());
    docs.add(&batch(1_000..1_001, 0)).unwrap();
    let mut writer = docs.writer().piece_bytes(40 * DIM * 4);
    writer.write(&batch(0..50, 0)).unwrap();
    assert_eq!((writer.written(), docs.count()), (50, 51));
    writer.write(&batch(50..60, 0)).unwrap();
    assert_eq!((writer.written(), docs.count()), (50, 51), "the piece is not full");
    let error = writer.write(&batch(970..1_010, 0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(error.row(), Some(50 + 10 + 30), "rows count from the first of the stream");
    assert_eq!((writer.written(), docs.count()), (50, 51));
    writer.write(&batch(50..100, 0)).unwrap();
    assert_eq!(writer.finish().unwrap(), 100);
    assert_eq!(docs.search(&[0.0; DIM]).run().unwrap().len(), 10);
}

#[test]
fn the_last_of_one_id_stays() {
    let docs = docs(&Database::in_memory().unwrap());
    let mut writer = docs.writer().upsert();
    for stamp in [3, 6, 9] {
        writer.write(&batch(stamp..stamp + 4, stamp)).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), 12);
    let found = docs.get(&Ids::from((3..13).collect::<Vec<u64>>()));
    let stamps: Vec<i64> = found
        .iter()
        .map(|point| point.as_ref().unwrap().metadata["stamp"].as_i64().unwrap())
        .collect();
    assert_eq!(stamps, [3, 3, 3, 6, 6, 6, 9, 9, 9, 9]);
}

#[test]
fn whoever_cancels_finds_everything_as_it_was() {
    let parent = tempfile::tempdir().unwrap();
    for (name, first) in [("empty", 0), ("small", 300), ("large", 3_000)] {
        let path = parent.path().join(name);
        let db = options().open(&path).unwrap();
        let docs = docs(&db);
        if first > 0 {
            docs.add(&batch(0..first, 0)).unwrap();
        }
        let before = points(&docs);
        let added = batch(10_000..11_200, 1);
        let mut at = 0;
        // Later and later, until nobody asks so often.
        while let Err(error) = docs.add_watched(&added, &CancelAt::new(at)) {
            assert_eq!(error.kind(), ErrorKind::Canceled, "{error:#}");
            assert_eq!(points(&docs), before, "{name}, canceled at {at}");
            let hits = docs.search(&[0.0; DIM]).k(5).run().unwrap();
            assert_eq!(hits.len(), 5.min(before.len()));
            at += 1 + at / 4;
        }
        assert!(at > 1, "{name}: the build asks {at} times");
        assert_eq!(docs.count(), before.len() + 1_200);
        let after = points(&docs);
        let near = docs.search(&after[after.len() - 1].vector).k(1).run().unwrap();
        assert_eq!(near[0].distance, 0.0);
        drop(docs);
        db.close().unwrap();
        let db = options().open(&path).unwrap();
        assert_eq!(points(&super::streams::docs(&db)), after, "{name}");
    }
}

#[test]
fn a_canceled_stream_keeps_its_pieces() {
    let docs = docs(&Database::in_memory().unwrap());
    let cancel = CancelAt::new(2);
    let mut writer = docs.writer().piece_bytes(1).observer(&cancel);
    writer.write(&batch(0..200, 0)).unwrap();
    writer.write(&batch(200..400, 0)).unwrap();
    let error = writer.write(&batch(400..600, 0)).unwrap_err();
    assert_eq!((error.kind(), writer.written(), docs.count()), (ErrorKind::Canceled, 400, 400));
    drop(writer);
    assert_eq!(docs.search(&[0.0; DIM]).k(400).run().unwrap().len(), 400);
}

#[test]
fn a_stream_of_one_piece_is_all_or_nothing() {
    let docs = docs(&Database::in_memory().unwrap());
    let mut at = 0;
    loop {
        let cancel = CancelAt::new(at);
        let mut writer = docs.writer().observer(&cancel);
        writer.write(&batch(0..3_000, 0)).unwrap();
        writer.write(&batch(3_000..6_000, 0)).unwrap();
        match writer.finish() {
            Ok(written) => break assert_eq!(written, 6_000),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Canceled, "{error:#}"),
        }
        assert_eq!(docs.count(), 0, "canceled at {at}");
        at += 1 + at / 4;
    }
    assert!(at > 1, "the build asks {at} times");
    assert_eq!(docs.count(), 6_000);
}

#[test]
fn the_ids_of_pieces_that_were_written_are_told() {
    let docs = docs(&Database::in_memory().unwrap());
    let mut ids = Ids::Integer(Vec::new());
    let mut writer = docs.writer().upsert().keep_ids(&mut ids);
    writer.write(&batch(5..8, 0)).unwrap();
    writer.write(&batch(6..8, 0)).unwrap();
    let vectors = Vectors::from_flat(DIM, &generate::uniform(1, 2, DIM)).unwrap();
    writer.write(&Batch::without_ids(vectors)).unwrap();
    assert_eq!(writer.finish().unwrap(), 7);
    assert_eq!(ids, Ids::from(vec![5, 6, 7, 6, 7, 8, 9]));
    let mut ids = Ids::Integer(Vec::new());
    let mut writer = docs.writer().piece_bytes(1).keep_ids(&mut ids);
    writer.write(&batch(20..22, 0)).unwrap();
    writer.write(&batch(9..11, 0)).unwrap_err();
    drop(writer);
    assert_eq!(ids, Ids::from(vec![20, 21]));
}

#[test]
fn rows_of_tables_are_counted_from_the_first_of_the_stream() {
    let docs = docs(&Database::in_memory().unwrap());
    let table = |values: [Option<f32>; DIM]| {
        let rows = [Some(vec![Some(1.0); DIM]), Some(values.to_vec())];
        let vectors = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, 4);
        RecordBatch::try_from_iter([("vector", Arc::new(vectors) as ArrayRef)]).unwrap()
    };
    for piece_bytes in [1, 1 << 30] {
        let mut writer = docs.writer().piece_bytes(piece_bytes);
        writer.write_table(&table([Some(1.0); DIM])).unwrap();
        writer.write_table(&table([Some(2.0); DIM])).unwrap();
        let error = writer.write_table(&table([Some(1.0), None, None, None])).unwrap_err();
        assert_eq!(error.row(), Some(5), "{error}");
    }
}

#[test]
fn tables_become_batches() {
    let docs = docs(&Database::in_memory().unwrap());
    let vectors = [[0.0_f32, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]];
    let rows = vectors.iter().map(|row| Some(row.iter().copied().map(Some)));
    let vectors = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, 4);
    let column = |name: &'static str, column: ArrayRef| (name, column);
    let table = RecordBatch::try_from_iter([
        column("title", Arc::new(StringArray::from(vec![Some("a"), None]))),
        column("vector", Arc::new(vectors)),
        column("year", Arc::new(Int64Array::from(vec![1, 2]))),
        column("id", Arc::new(Int64Array::from(vec![7, 8]))),
    ])
    .unwrap();
    docs.add(&Batch::from_table(&table).unwrap()).unwrap();
    let points = docs.get(&Ids::from(vec![7, 8]));
    let point = points[0].as_ref().unwrap();
    assert_eq!(point.vector, [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(serde_json::Value::from(point.metadata.clone()), json!({"title": "a", "year": 1}));
    assert_eq!(docs.count_matching(&Filter::eq("title", "a")).unwrap(), 1);
    let without = table.project(&[0, 1]).unwrap();
    assert_eq!(Batch::from_table(&without).unwrap().len(), 2);
    let error = Batch::from_table(&table.project(&[0, 2]).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}
