//! What the graphs of a collection are built with is said when it is made, and kept.
//!
//! The story: a collection is made with `m` 6 once. Whoever opens the database later, with other
//! parameters or none, compacts, copies or repairs it, gets a graph of that `m` again.

use std::path::Path;

use loomdb::index::IndexParams;
use loomdb::{
    BackupOptions, Batch, Collection, Database, Durability, ErrorKind, Ids, OpenOptions,
    RepairOptions, Schema, repair,
};
use loomdb_graph::{Metric, Vectors};
use loomdb_testkit::generate;

const DIM: usize = 8;
const ROWS: usize = 200;

/// What everybody else has: a graph early, of another `m`.
fn options(durability: Durability) -> OpenOptions {
    let index = IndexParams { flat_limit: Some(24), m: 4, ..IndexParams::default() };
    OpenOptions::new().durability(durability).index(index)
}

fn schema() -> Schema {
    Schema::new(DIM).metric(Metric::L2).m(6).ef_construction(70)
}

fn rows(seed: u64) -> Batch {
    let vectors = Vectors::from_flat(DIM, &generate::uniform(seed, ROWS, DIM)).unwrap();
    Batch::without_ids(vectors)
}

/// What a collection says it is built with, and the `m` of the graph that it has.
fn built_with(docs: &Collection) -> (usize, usize, Option<usize>) {
    let info = docs.info();
    (info.m, info.ef_construction, info.index.filter(|one| one.graph_rows > 0).map(|one| one.m))
}

fn open(path: &Path) -> (Database, Collection) {
    let db = options(Durability::Synced).open(path).unwrap();
    let docs = db.existing_collection("docs").unwrap();
    (db, docs)
}

#[test]
fn a_collection_keeps_what_it_was_made_with() {
    let parent = tempfile::tempdir().unwrap();
    for durability in [Durability::Synced, Durability::OnCommit] {
        let path = parent.path().join(format!("{durability:?}"));
        let db = options(durability).open(&path).unwrap();
        let docs = db.create_collection("docs", schema()).unwrap();
        let others = db.create_collection("others", Schema::new(DIM)).unwrap();
        assert_eq!((built_with(&docs), built_with(&others)), ((6, 70, None), (4, 200, None)));
        docs.add(&rows(1)).unwrap();
        others.add(&rows(1)).unwrap();
        db.commit().unwrap();
        assert_eq!((built_with(&docs).2, built_with(&others).2), (Some(6), Some(4)));
        drop((docs, others, db));
        for _ in 0..2 {
            let (_db, docs) = open(&path);
            assert_eq!(built_with(&docs), (6, 70, Some(6)));
            docs.delete(&Ids::from((0..20).collect::<Vec<_>>())).unwrap();
            docs.compact().unwrap();
            assert_eq!(built_with(&docs), (6, 70, Some(6)), "after compacting");
        }
    }
}

#[test]
fn an_empty_collection_keeps_it_too() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("db");
    options(Durability::Synced).open(&path).unwrap().create_collection("docs", schema()).unwrap();
    let (_db, docs) = open(&path);
    docs.add(&rows(1)).unwrap();
    assert_eq!(built_with(&docs), (6, 70, Some(6)));
}

#[test]
fn copies_and_repairs_keep_it() {
    let parent = tempfile::tempdir().unwrap();
    let (path, copy) = (parent.path().join("db"), parent.path().join("copy"));
    let db = options(Durability::Synced).open(&path).unwrap();
    let docs = db.create_collection("docs", schema()).unwrap();
    docs.add(&rows(1)).unwrap();
    db.backup(&copy, &BackupOptions::default()).unwrap();
    db.close().unwrap();
    assert_eq!(built_with(&open(&copy).1), (6, 70, Some(6)));

    let memory = options(Durability::Synced).in_memory().unwrap();
    memory.create_collection("docs", schema()).unwrap().add(&rows(1)).unwrap();
    let saved = parent.path().join("saved");
    memory.backup(&saved, &BackupOptions::default()).unwrap();
    assert_eq!(built_with(&open(&saved).1), (6, 70, Some(6)));

    let inner = |path: &Path| {
        let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        entries.into_iter().find(|path| path.is_dir()).unwrap()
    };
    std::fs::write(inner(&inner(&path)).join("points.arrow"), [0; 10]).unwrap();
    assert!(repair(&path, &RepairOptions::default()).unwrap().is_changed);
    let (_db, docs) = open(&path);
    docs.add(&rows(2)).unwrap();
    assert_eq!(built_with(&docs), (6, 70, Some(6)));
}

#[test]
fn another_number_is_refused() {
    let db = options(Durability::Synced).in_memory().unwrap();
    db.collection("docs", schema()).unwrap();
    db.collection("docs", schema()).unwrap();
    db.collection("docs", Schema::learned()).unwrap();
    for (schema, expected) in [
        (Schema::learned().m(7), "has m 6, not 7"),
        (Schema::learned().ef_construction(200), "has ef_construction 70, not 200"),
    ] {
        let error = db.collection("docs", schema).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(expected), "{error}");
    }
    for (schema, expected) in [
        (Schema::learned().m(1), "m = 1 is not valid"),
        (Schema::learned().ef_construction(0), "ef_construction = 0 is not valid"),
    ] {
        let error = db.create_collection("new", schema).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert_eq!(db.collection_names(), ["docs"]);
}

#[test]
fn only_a_database_that_needs_it_is_of_the_newer_format() {
    let minor = |schema: Schema| {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("db");
        let db = options(Durability::Synced).open(&path).unwrap();
        db.create_collection("docs", schema).unwrap();
        db.close().unwrap();
        let names = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
        let is_manifest = |path: &std::path::PathBuf| path.to_string_lossy().contains("manifest-");
        let manifest = std::fs::read_to_string(names.filter(is_manifest).max().unwrap()).unwrap();
        let (_, rest) = manifest.split_once("\"minor\":").unwrap();
        rest.split(',').next().unwrap().to_owned()
    };
    assert_eq!(minor(Schema::new(DIM).metric(Metric::L2)), "0");
    assert_eq!(minor(Schema::new(DIM).m(16)), "3");
    assert_eq!(minor(Schema::new(DIM).ef_construction(200)), "3");
}
