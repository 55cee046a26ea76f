//! Space is given back without being asked for.
//!
//! The story: points are deleted and replaced until the dead rows are more than the live ones, and
//! batches are committed one by one until there would be many segments. Nothing is lost, a
//! snapshot that is older stays as it was, and what the collection takes follows what it holds.
//! That a crash at any call does no harm is in `crash`, whose workload rewrites its collection too.

use std::sync::Arc;

use loomdb::index::IndexParams;
use loomdb::{Batch, Collection, Compaction, Database, Durability, Id, Ids, OpenOptions, Schema};
use loomdb_graph::{Metric, Vectors};

use crate::model::ids;
use crate::sim::{Fault, FaultKind, SimFs};

const FLAT_LIMIT: usize = 50;

fn open(fs: &SimFs, durability: Durability) -> (Database, Collection) {
    open_with(fs, durability, Compaction::BehindWrites)
}

fn open_with(fs: &SimFs, durability: Durability, compaction: Compaction) -> (Database, Collection) {
    let index = IndexParams { m: 4, flat_limit: Some(FLAT_LIMIT), ..IndexParams::default() };
    let options = OpenOptions::new().index(index).durability(durability).compaction(compaction);
    let db = options.file_system(Arc::new(fs.clone())).open("/db").unwrap();
    let docs = db.collection("docs", Schema::new(1).metric(Metric::L2)).unwrap();
    (db, docs)
}

fn batch(ids: std::ops::Range<u64>) -> Batch {
    let values: Vec<f32> = ids.clone().map(|id| id as f32).collect();
    Batch::new(ids.collect::<Vec<_>>(), Vectors::from_flat(1, &values).unwrap()).unwrap()
}

#[test]
fn dead_rows_go_by_themselves() {
    for durability in [Durability::Synced, Durability::Buffered, Durability::OnCommit] {
        let fs = SimFs::new();
        let (db, docs) = open(&fs, durability);
        docs.add(&batch(0..1_000)).unwrap();
        db.commit().unwrap();
        let (before, full) = (docs.snapshot(), docs.info().disk_bytes);
        docs.delete(&Ids::from((0..500).collect::<Vec<u64>>())).unwrap();
        assert_eq!(docs.info().deleted_rows, 500, "as many dead as live");
        docs.delete(&Ids::from(vec![500])).unwrap();
        if durability == Durability::OnCommit {
            assert_eq!(docs.info().deleted_rows, 501, "before the commit nothing is written");
            db.commit().unwrap();
        }
        let info = docs.info();
        assert_eq!((info.points, info.deleted_rows), (499, 0), "{durability:?}");
        assert!(info.disk_bytes < full * 6 / 10, "{} of {full} bytes", info.disk_bytes);
        assert_eq!((before.len(), before.contains(&Id::from(3))), (1_000, true));
        let hits = before.search(&[3.0]).k(1).run().unwrap();
        assert_eq!((&hits[0].id, hits[0].distance), (&Id::from(3), 0.0));
        assert_eq!(ids(&docs), (501..1_000).collect::<Vec<_>>());
        assert_eq!(docs.search(&[3.0]).k(1).run().unwrap()[0].id, Id::from(501));
        docs.upsert(&batch(600..610)).unwrap();
        drop((before, docs, db));
        let (_db, docs) = open(&fs, durability);
        let expected = if durability == Durability::OnCommit { 0 } else { 10 };
        assert_eq!((docs.count(), docs.info().deleted_rows), (499, expected));
    }
}

#[test]
fn in_memory_too_and_over_and_over() {
    let options = OpenOptions::new().compaction(Compaction::BehindWrites);
    let docs =
        options.in_memory().unwrap().collection("docs", Schema::new(1).metric(Metric::L2)).unwrap();
    for round in 0..40 {
        docs.upsert(&batch(0..400)).unwrap();
        let info = docs.info();
        assert_eq!(info.points, 400);
        // The flat limit of one dimension is 2,000 rows.
        assert!(info.deleted_rows <= 2_000, "round {round}: {} are dead", info.deleted_rows);
    }
    assert_eq!(ids(&docs), (0..400).collect::<Vec<_>>());
}

#[test]
fn segments_stay_few() {
    let fs = SimFs::new();
    let (db, docs) = open(&fs, Durability::Synced);
    for round in 0..200 {
        docs.add(&batch(round..round + 1)).unwrap();
        db.commit().unwrap();
        assert!(docs.info().segments <= 7 * 3, "{} in round {round}", docs.info().segments);
    }
    drop((docs, db));
    let (_db, docs) = open(&fs, Durability::Synced);
    assert_eq!(ids(&docs), (0..200).collect::<Vec<_>>());
}

/// A rewrite that fails does no harm to the write before it, and is not tried with each write.
#[test]
fn a_full_disk_leaves_everything_as_it_is() {
    let fs = SimFs::new();
    let (db, docs) = open(&fs, Durability::Buffered);
    docs.add(&batch(0..1_000)).unwrap();
    db.commit().unwrap();
    docs.delete(&Ids::from((0..500).collect::<Vec<u64>>())).unwrap();
    // The record of the deletion still fits, the new segment does not.
    fs.set_fault(Some(Fault { kind: FaultKind::NoSpace, at: 1, and_later: true }));
    assert_eq!(docs.delete(&Ids::from(vec![500])).unwrap(), 1);
    let calls = fs.calls();
    assert_eq!((docs.count(), docs.info().deleted_rows), (499, 501));
    assert!(db.warnings().iter().any(|warning| warning.contains("is safe")), "{:?}", db.warnings());
    fs.set_fault(None);
    assert_eq!(docs.delete(&Ids::from(vec![501])).unwrap(), 1);
    assert_eq!(fs.calls(), calls + 1, "the rewrite is tried again too soon");
    assert_eq!(ids(&docs), (502..1_000).collect::<Vec<_>>());
    docs.compact().unwrap();
    assert_eq!((docs.count(), docs.info().deleted_rows), (498, 0));
}
