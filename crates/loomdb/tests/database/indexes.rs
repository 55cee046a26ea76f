//! Which fields are indexed is kept like everything else: it survives what points survive.
//!
//! That an index changes no answer is in `tests/filter/indexed.rs` and in `model_test`.

use std::sync::{Arc, Mutex};

use loomdb::storage::RealFs;
use loomdb::{
    BackupOptions, Batch, Collection, Database, Durability, ErrorKind, Filter, Ids, RepairOptions,
    Schema, repair,
};
use loomdb_graph::Vectors;

use crate::model::{ROOT, options};
use crate::sim::SimFs;

/// Points of an even number, a text and a flag each.
fn batch(ids: std::ops::Range<u64>) -> Batch {
    let record = |id: u64| {
        let value = serde_json::json!({"number": 2 * id, "text": format!("{id}"), "flag": true});
        serde_json::from_value(value).unwrap()
    };
    let records: Vec<_> = ids.clone().map(record).collect();
    let values: Vec<f32> = ids.clone().map(|id| 1.0 + id as f32).collect();
    let vectors = Vectors::from_flat(1, &values).unwrap();
    Batch::new(ids.collect::<Vec<_>>(), vectors).unwrap().with_records(&records).unwrap()
}

fn indexed(docs: &Collection) -> Vec<String> {
    docs.info().indexed_fields
}

fn open(fs: &SimFs, durability: Durability) -> (Database, Collection) {
    let db = options(Arc::new(fs.clone()), durability).open(ROOT).unwrap();
    let docs = db.collection("docs", Schema::new(1)).unwrap();
    (db, docs)
}

#[test]
fn fields_are_indexed_and_given_up() {
    let (_db, docs) = open(&SimFs::new(), Durability::Synced);
    docs.index_field("text").unwrap();
    docs.add(&batch(0..200)).unwrap();
    assert_eq!((indexed(&docs), docs.info().field_index_bytes), (vec!["text".to_owned()], 0));
    let older = docs.snapshot();
    docs.index_field("number").unwrap();
    docs.index_field("number").unwrap();
    assert_eq!(indexed(&docs), ["number", "text"]);
    let bytes = docs.info().field_index_bytes;
    assert!((1_000..20_000).contains(&bytes), "{bytes}");
    let filter = Filter::gte("number", 390).and(Filter::ne("text", "197"));
    for snapshot in [&older, &docs.snapshot()] {
        assert_eq!(snapshot.count_matching(&filter).unwrap(), 4);
    }
    assert!(docs.info().field_index_bytes > bytes, "the index of the texts was not made");
    docs.unindex_field("text").unwrap();
    docs.unindex_field("number").unwrap();
    assert_eq!((indexed(&docs).len(), docs.info().field_index_bytes), (0, 0));
    assert_eq!(docs.count_matching(&filter).unwrap(), 4);
}

#[test]
fn what_cannot_be_indexed_is_refused_with_the_nearest_name() {
    let (db, docs) = open(&SimFs::new(), Durability::Synced);
    docs.add(&batch(0..3)).unwrap();
    let error = docs.index_field("nunber").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("did you mean \"number\"?"), "{error}");
    let error = docs.index_field("zzz").unwrap_err();
    assert!(error.to_string().contains("there are: flag, number, text"), "{error}");
    for name in ["", "id", "$n"] {
        assert_eq!(docs.index_field(name).unwrap_err().kind(), ErrorKind::InvalidInput, "{name}");
    }
    docs.index_field("text").unwrap();
    let error = docs.unindex_field("number").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("not indexed; there are: text"), "{error}");
    db.drop_collection("docs").unwrap();
    assert_eq!(docs.index_field("text").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn indexes_survive_opening_compacting_copying_and_repairing() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("db");
    let open = |path: &std::path::Path| {
        let db = options(Arc::new(RealFs), Durability::Synced).open(path).unwrap();
        let docs = db.existing_collection("docs").unwrap();
        (db, docs)
    };
    let db = options(Arc::new(RealFs), Durability::Synced).open(&path).unwrap();
    let docs = db.collection("docs", Schema::new(1)).unwrap();
    docs.add(&batch(0..100)).unwrap();
    docs.index_field("number").unwrap();
    docs.delete(&Ids::from(vec![7])).unwrap();
    let copy = parent.path().join("copy");
    db.backup(&copy, &BackupOptions::default()).unwrap();
    docs.compact().unwrap();
    assert_eq!(indexed(&docs), ["number"]);
    drop((docs, db));
    for path in [&path, &copy] {
        let reader = options(Arc::new(RealFs), Durability::Synced).read_only().open(path).unwrap();
        let (_db, docs) = open(path);
        for docs in [docs, reader.existing_collection("docs").unwrap()] {
            assert_eq!(indexed(&docs), ["number"]);
            assert_eq!(docs.count_matching(&Filter::lt("number", 20)).unwrap(), 9);
        }
    }
    let inner = |path: &std::path::Path| {
        let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        entries.into_iter().find(|path| path.is_dir()).unwrap()
    };
    std::fs::write(inner(&inner(&path)).join("vectors.npy"), [0; 10]).unwrap();
    assert!(repair(&path, &RepairOptions::default()).unwrap().is_changed);
    assert_eq!(indexed(&open(&path).1), ["number"]);
}

#[test]
fn on_commit_indexes_come_with_the_commit() {
    let fs = SimFs::new();
    let (db, docs) = open(&fs, Durability::OnCommit);
    docs.index_field("number").unwrap();
    docs.add(&batch(0..50)).unwrap();
    db.commit().unwrap();
    docs.index_field("text").unwrap();
    drop((docs, db));
    let (db, docs) = open(&fs, Durability::OnCommit);
    assert_eq!(indexed(&docs), ["number"]);
    docs.index_field("text").unwrap();
    db.commit().unwrap();
    drop((docs, db));
    assert_eq!(indexed(&open(&fs, Durability::Synced).1), ["number", "text"]);
}

#[test]
fn when_an_index_is_declared_it_survives_the_power() {
    for durability in [Durability::Synced, Durability::Buffered] {
        let crashes = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&crashes);
        let fs = SimFs::new();
        let (db, docs) = open(&fs, durability);
        docs.add(&batch(0..40)).unwrap();
        db.sync().unwrap();
        drop((docs, db));
        let fs = SimFs::on(fs.disk().clone()).watched(move |fs, call| {
            for luck in 0..4 {
                let disk = fs.disk().crash(call as u64 * 4 + luck);
                let (_db, docs) = open(&SimFs::on(disk), Durability::Synced);
                seen.lock().unwrap().push((indexed(&docs), docs.count()));
            }
        });
        let (db, docs) = open(&fs, durability);
        docs.index_field("number").unwrap();
        let disk = fs.disk().crash(1);
        assert_eq!(indexed(&open(&SimFs::on(disk), Durability::Synced).1), ["number"]);
        drop((docs, db));
        let crashes = crashes.lock().unwrap();
        let [none, one] = [vec![], vec!["number".to_owned()]];
        assert!(crashes.len() > 20 && crashes.contains(&(none.clone(), 40)));
        for (indexed, points) in crashes.iter() {
            assert!((*indexed == none || *indexed == one) && *points == 40, "{indexed:?} {points}");
        }
    }
}
