//! What a newcomer tries first works, and what cannot work says what to do.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{Float64Array, RecordBatch, StringArray, TimestampSecondArray};
use loomdb::{
    Batch, Collection, Database, Durability, ErrorKind, Id, Ids, Metadata, OpenOptions, Schema,
};
use loomdb_graph::{Metric, Vectors};
use serde_json::{Value, json};

use crate::model::{ROOT, options};
use crate::sim::SimFs;

fn records(values: &Value) -> Vec<Metadata> {
    serde_json::from_value(values.clone()).unwrap()
}

fn rows(count: usize) -> Vectors {
    let values: Vec<f32> = (0..count).flat_map(|row| [row as f32, 1.0]).collect();
    Vectors::from_flat(2, &values).unwrap()
}

fn batch(ids: impl Into<Ids>, metadata: &Value) -> Batch {
    let ids = ids.into();
    let vectors = rows(ids.len());
    Batch::new(ids, vectors).unwrap().with_records(&records(metadata)).unwrap()
}

fn texts(ids: &[&str]) -> Ids {
    Ids::Text(ids.iter().map(|id| (*id).to_owned()).collect())
}

fn metadata_of(docs: &Collection, id: u64) -> Value {
    Value::Object(docs.get(&Ids::from(vec![id]))[0].as_ref().unwrap().metadata.clone())
}

fn docs() -> (Database, Collection) {
    let db = Database::in_memory().unwrap();
    let docs = db.collection("docs", Schema::learned().metric(Metric::L2)).unwrap();
    (db, docs)
}

#[test]
fn existing_ids_are_refused_and_the_first_five_are_named() {
    let (_db, docs) = docs();
    docs.add(&Batch::new((0..10).collect::<Vec<u64>>(), rows(10)).unwrap()).unwrap();
    let error =
        docs.add(&Batch::new((2..12).collect::<Vec<u64>>(), rows(10)).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(error.to_string().contains("the ids 2, 3, 4, 5, 6 and 3 others exist"), "{error}");
    assert_eq!(docs.count(), 10);
    let error = docs
        .update_records(&Ids::from(vec![1, 11]), &records(&json!([{"a": 1}, {"a": 2}])))
        .unwrap_err();
    assert_eq!((error.kind(), error.row()), (ErrorKind::NotFound, Some(1)), "{error}");
}

#[test]
fn ids_are_made_up_and_never_twice() {
    let (_db, docs) = docs();
    assert_eq!(docs.add(&Batch::without_ids(rows(3))).unwrap(), Ids::from(vec![0, 1, 2]));
    docs.add(&Batch::new(vec![100], rows(1)).unwrap()).unwrap();
    assert_eq!(docs.delete(&Ids::from(vec![100, 100, 5])).unwrap(), 1);
    assert_eq!(docs.add(&Batch::without_ids(rows(1))).unwrap(), Ids::from(vec![101]));
    let error = docs.add(&Batch::new(texts(&["a"]), rows(1)).unwrap()).unwrap_err();
    assert!(error.to_string().contains("are integers, these are texts"), "{error}");
    let db = Database::in_memory().unwrap();
    let named = db.collection("named", Schema::new(2)).unwrap();
    named.add(&Batch::new(texts(&["a", "b"]), rows(2)).unwrap()).unwrap();
    assert!(named.contains(&Id::from("b")) && !named.contains(&Id::from(0)));
    assert!(named.add(&Batch::without_ids(rows(1))).is_err());
    assert!(docs.add(&Batch::new(vec![u64::MAX], rows(1)).unwrap()).is_ok());
    assert!(docs.add(&Batch::without_ids(rows(1))).is_err(), "no integer is left");
}

#[test]
fn fields_appear_widen_and_keep_their_type() {
    let (_db, docs) = docs();
    docs.add(&batch(vec![1, 2], &json!([{"n": 1, "t": "x"}, {"n": 2}]))).unwrap();
    docs.add(&batch(vec![3], &json!([{"n": 2.5, "flag": true}]))).unwrap();
    assert_eq!(metadata_of(&docs, 1), json!({"n": 1.0, "t": "x"}));
    assert_eq!(metadata_of(&docs, 3), json!({"n": 2.5, "flag": true}));
    docs.add(&batch(vec![4], &json!([{"n": 7}]))).unwrap();
    assert_eq!(metadata_of(&docs, 4), json!({"n": 7.0}));
    for (bad, word) in [
        (json!([{"t": 5}]), "\"t\" holds text, and this is integer"),
        (json!([{"flag": "yes"}]), "\"flag\" holds bool, and this is text"),
        (json!([{"n": (1_i64 << 53) + 1}]), "is not exact"),
        (json!([{"id": 5}]), "cannot be the name"),
        (json!([{"$or": 5}]), "cannot be the name"),
        (json!([{"t": "x".repeat(1 << 20) + "x"}]), "more than 1048576"),
    ] {
        let error = docs.add(&batch(vec![9], &bad)).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!(docs.count(), 4);
    }
    docs.update_records(&Ids::from(vec![1, 2]), &records(&json!([{"t": null}, {"n": 9}]))).unwrap();
    assert_eq!(metadata_of(&docs, 1), json!({"n": 1.0}));
    assert_eq!(metadata_of(&docs, 2), json!({"n": 9.0}));
}

#[test]
fn arrow_columns_of_many_types_are_kept() {
    let (_db, docs) = docs();
    let columns = RecordBatch::try_from_iter([
        ("when", Arc::new(TimestampSecondArray::from(vec![Some(0), None])) as _),
        ("text", Arc::new(StringArray::from(vec!["a", "b"])) as _),
        ("x", Arc::new(Float64Array::from(vec![0.5, 1.5])) as _),
    ])
    .unwrap();
    let given = Batch::new(vec![1, 2], rows(2)).unwrap();
    docs.add(&given.with_metadata(columns).unwrap()).unwrap();
    let when = json!({"when": "1970-01-01T00:00:00Z", "text": "a", "x": 0.5});
    assert_eq!(metadata_of(&docs, 1), when);
    assert_eq!(metadata_of(&docs, 2), json!({"text": "b", "x": 1.5}));
    let nan =
        RecordBatch::try_from_iter([("x", Arc::new(Float64Array::from(vec![f64::NAN])) as _)])
            .unwrap();
    let given = Batch::new(vec![3], rows(1)).unwrap().with_metadata(nan).unwrap();
    assert!(docs.add(&given).is_err());
}

#[test]
fn collections_are_made_found_renamed_and_dropped() {
    let fs = SimFs::new();
    let open = || options(Arc::new(fs.clone()), Durability::Synced).open(ROOT).unwrap();
    let db = open();
    let one = db.create_collection("one", Schema::new(2)).unwrap();
    db.collection("../two", Schema::learned().metric(Metric::Ip)).unwrap();
    one.add(&Batch::new(vec![1], rows(1)).unwrap()).unwrap();
    assert_eq!(db.collection_names(), ["../two", "one"]);
    let error = db.create_collection("one", Schema::new(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let error = db.existing_collection("ome").unwrap_err();
    assert!(error.to_string().contains("did you mean \"one\"?"), "{error}");
    assert!(db.collection("one", Schema::new(3)).is_err());
    assert!(db.collection("one", Schema::new(2).metric(Metric::L2)).is_err());
    db.rename_collection("one", "three").unwrap();
    one.add(&Batch::new(vec![2], rows(1)).unwrap()).unwrap();
    assert_eq!(one.name(), "three");
    db.drop_collection("../two").unwrap();
    drop((one, db));
    let db = open();
    assert_eq!(db.collection_names(), ["three"]);
    let three = db.existing_collection("three").unwrap();
    assert_eq!(three.count(), 2);
    db.drop_collection("three").unwrap();
    let error = three.add(&Batch::new(vec![3], rows(1)).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    drop((three, db));
    let names: Vec<_> = fs.disk().files().map(|(path, _)| path.to_owned()).collect();
    assert!(names.iter().all(|path| !path.to_str().unwrap().contains("collection")), "{names:?}");
    assert!(open().collection_names().is_empty());
}

#[test]
fn a_second_writer_is_refused_and_a_reader_follows() {
    let fs = SimFs::new();
    let options = || options(Arc::new(fs.clone()), Durability::Synced);
    let error = options().read_only().open(ROOT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let db = options().open(ROOT).unwrap();
    let docs = db.collection("docs", Schema::learned()).unwrap();
    let error = options().open(ROOT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    let reader = options().read_only().open(ROOT).unwrap();
    let read = reader.existing_collection("docs").unwrap();
    docs.add(&Batch::new(vec![1, 2], rows(2)).unwrap()).unwrap();
    assert_eq!(read.count(), 0);
    reader.refresh().unwrap();
    assert_eq!(read.count(), 2);
    docs.compact().unwrap();
    db.commit().unwrap();
    docs.delete(&Ids::from(vec![1])).unwrap();
    reader.refresh().unwrap();
    assert_eq!((read.count(), read.contains(&Id::from(2))), (1, true));
    let error = read.delete(&Ids::from(vec![2])).unwrap_err();
    assert!(error.to_string().contains("only to be read"), "{error}");
    assert!(reader.create_collection("x", Schema::learned()).is_err());
    assert!(db.refresh().is_err());
    drop(docs);
    db.close().unwrap();
    assert!(options().open(ROOT).is_ok());
}

#[test]
fn a_directory_of_other_files_is_left_alone() {
    let parent = tempfile::tempdir().unwrap();
    std::fs::write(parent.path().join("thesis.tex"), "x").unwrap();
    let error = Database::open(parent.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1);
    let file = parent.path().join("thesis.tex");
    assert_eq!(Database::open(&file).unwrap_err().kind(), ErrorKind::AlreadyExists);
    let error = OpenOptions::new().read_only().open(parent.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[test]
fn bad_vectors_and_queries_are_named() {
    let db = Database::in_memory().unwrap();
    let docs = db.collection("docs", Schema::new(2)).unwrap();
    assert!(docs.search(&[1.0, 0.0]).run().unwrap().is_empty());
    assert!(docs.search(&[1.0]).run().is_err());
    let mut zero = rows(700);
    zero.push_rows(&[0.0, 0.0]).unwrap();
    let error = docs.add(&Batch::without_ids(zero)).unwrap_err();
    assert!(error.to_string().contains("row 700 is zero"), "{error}");
    let three = Vectors::from_flat(3, &[1.0; 3]).unwrap();
    assert!(docs.add(&Batch::without_ids(three)).is_err());
    docs.add(&Batch::without_ids(rows(5))).unwrap();
    docs.delete(&Ids::from((0..5).collect::<Vec<u64>>())).unwrap();
    assert!(docs.search(&[1.0, 0.0]).run().unwrap().is_empty());
    for bad in [[f32::NAN, 1.0], [0.0, 0.0]] {
        assert!(docs.search(&bad).run().is_err());
    }
    assert!(docs.search(&[1.0, 0.0]).k(0).run().is_err());
    assert!(docs.search(&[1.0, 0.0]).k(10_001).run().is_err());
    assert!(docs.search(&[1.0, 0.0]).ef_search(0).run().is_err());
}

/// A batch of more than 8 MiB goes to a segment, whose files are plain `NumPy` and Arrow.
#[test]
fn large_batches_go_to_segments_and_come_back() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("a.loom");
    let values: Vec<f32> = (0..40_000 * 64).map(|at| (at * 7 % 1_013) as f32).collect();
    let vectors = Vectors::from_flat(64, &values).unwrap();
    let small = Vectors::from_flat(64, &values[..64 * 3]).unwrap();
    let db = Database::open(&path).unwrap();
    let docs = db.collection("docs", Schema::new(64).metric(Metric::L2)).unwrap();
    docs.add(&Batch::new(vec![900_000, 900_001, 900_002], small.clone()).unwrap()).unwrap();
    docs.delete(&Ids::from(vec![900_001])).unwrap();
    docs.add(&Batch::new((0..40_000).collect::<Vec<u64>>(), vectors).unwrap()).unwrap();
    docs.upsert(&Batch::new(vec![1, 2, 3], small).unwrap()).unwrap();
    let expected = docs.search(&values[..64]).k(20).ef_search(200).run().unwrap();
    assert_eq!(docs.count(), 40_002);
    let segment = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.unwrap().file_name().to_str().unwrap().starts_with("seg-")
    };
    let directory = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
    let mut directory = directory.filter(|path| path.is_dir());
    assert!(std::fs::read_dir(directory.next().unwrap()).unwrap().any(segment));
    drop((docs, db));
    let db = Database::open(&path).unwrap();
    let docs = db.existing_collection("docs").unwrap();
    assert_eq!((docs.count(), db.warnings().len()), (40_002, 0));
    assert_eq!(docs.search(&values[..64]).k(20).ef_search(200).run().unwrap(), expected);
    assert!(docs.info().index.unwrap().graph_rows >= 40_000, "the graph is not rebuilt");
    docs.compact().unwrap();
    assert_eq!(docs.info().deleted_rows, 0);
    assert_eq!(docs.count(), 40_002);
}

/// What `Index::save` wrote, as `loomdb import` does, is a database of one collection.
#[test]
fn a_saved_index_is_a_database() {
    use loomdb::index::{Index, IndexParams};
    use loomdb::storage::{SaveOptions, open};
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("a.loom");
    let params = IndexParams { flat_limit: Some(100), ..IndexParams::default() };
    let values: Vec<f32> = (0..600).map(|at| (at * 37 % 101) as f32).collect();
    let vectors = Vectors::from_flat(2, &values).unwrap();
    let index = Index::build(vectors, Metric::L2, params, &()).unwrap();
    index.save(&path, None, &SaveOptions::default()).unwrap();
    let db = Database::open(Path::new(&path)).unwrap();
    let docs = db.existing_collection("default").unwrap();
    assert_eq!((docs.count(), db.warnings().len()), (300, 0));
    let point = docs.get(&Ids::from(vec![7]))[0].clone().unwrap();
    assert_eq!(point.vector, values[14..16]);
    assert_eq!(docs.add(&Batch::without_ids(rows(1))).unwrap(), Ids::from(vec![300]));
    docs.delete(&Ids::from(vec![0])).unwrap();
    drop((docs, db));
    let db = Database::open(&path).unwrap();
    assert_eq!(db.existing_collection("default").unwrap().count(), 300);
    drop(db);
    assert_eq!(open(&path).unwrap_err().kind(), ErrorKind::Unsupported);
}
