//! What is exported is what the collection holds, read back without it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use loomdb::import::{self, Format};
use loomdb::storage::Existing;
use loomdb::{Batch, Collection, Database, Durability, ErrorKind, ExportOptions, Id, Ids, Schema};
use loomdb_graph::{Metric, Vectors};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::damage::sample;
use crate::model::{NAME, content, open};
use crate::sim::{Fault, FaultKind, SimFs};

/// Points with every second one deleted, and one field that some have.
fn docs(count: u64, dim: usize) -> (Database, Collection) {
    let db = Database::in_memory().unwrap();
    let docs = db.collection(NAME, Schema::new(dim).metric(Metric::L2)).unwrap();
    let values: Vec<f32> = (0..count as usize * dim).map(|value| value as f32).collect();
    let batch = Batch::new(
        (0..count).map(|id| 3 * id).collect::<Vec<u64>>(),
        Vectors::from_flat(dim, &values).unwrap(),
    );
    let record = |id: u64| match id % 3 {
        0 => serde_json::json!({"n": id}),
        _ => serde_json::json!({}),
    };
    let records: Vec<_> =
        (0..count).map(|id| serde_json::from_value(record(id)).unwrap()).collect();
    docs.add(&batch.unwrap().with_records(&records).unwrap()).unwrap();
    docs.delete(&Ids::from((0..count).step_by(2).map(|id| 3 * id).collect::<Vec<u64>>())).unwrap();
    (db, docs)
}

fn parquet(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    reader.build().unwrap().map(Result::unwrap).collect()
}

/// Compares a table with the points of a collection, row by row.
fn check_table(batches: &[RecordBatch], docs: &Collection, has_vectors: bool) {
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), docs.count());
    for batch in batches {
        let ids = batch.column_by_name("id").unwrap().as_primitive::<UInt64Type>();
        let numbers = batch.column_by_name("n").unwrap().as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let point = docs.get(&Ids::from(vec![ids.value(row)]))[0].clone().unwrap();
            let number = numbers.is_valid(row).then(|| numbers.value(row));
            assert_eq!(point.metadata.get("n").and_then(Value::as_i64), number);
            if has_vectors {
                let vectors = batch.column_by_name("vector").unwrap().as_fixed_size_list();
                let vector = vectors.value(row);
                assert_eq!(vector.as_primitive::<Float32Type>().values(), &point.vector[..]);
            }
        }
    }
}

#[test]
fn tables_hold_every_point_and_nothing_else() {
    let parent = tempfile::tempdir().unwrap();
    // More rows than a piece has.
    let (_db, docs) = docs(20_001, 5);
    let path = parent.path().join("a.parquet");
    let exported = docs.export(&path, &ExportOptions::default()).unwrap();
    assert_eq!((exported.points, &exported.files[..]), (10_000, &[path.clone()][..]));
    let batches = parquet(&path);
    check_table(&batches, &docs, true);
    let schema = batches[0].schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["id", "vector", "n"]);
    let path = parent.path().join("a.arrow");
    docs.export(&path, &ExportOptions::default()).unwrap();
    let reader = arrow_ipc::reader::FileReader::try_new(File::open(&path).unwrap(), None).unwrap();
    check_table(&reader.map(Result::unwrap).collect::<Vec<_>>(), &docs, true);
    for file in ["a.parquet", "a.arrow"] {
        let read = import::read(&parent.path().join(file), &import::Options::default()).unwrap();
        let ids = read.ids.unwrap();
        for row in [0, 1, 9_999] {
            let point = docs.get(&Ids::from(match ids.get(row) {
                Id::Integer(id) => vec![id],
                Id::Text(_) => panic!("a text"),
            }));
            assert_eq!(read.vectors.row(row), point[0].as_ref().unwrap().vector, "{file}");
        }
    }
}

#[test]
fn arrays_have_their_points_beside_them_in_the_same_order() {
    let parent = tempfile::tempdir().unwrap();
    let (_db, docs) = docs(3_001, 7);
    let path = parent.path().join("a.npy");
    let exported = docs.export(&path, &ExportOptions::default()).unwrap();
    let beside = parent.path().join("a.points.parquet");
    assert_eq!(exported.files, [path.clone(), beside.clone()]);
    let vectors = import::read(&path, &import::Options::default()).unwrap().vectors;
    let batches = parquet(&beside);
    check_table(&batches, &docs, false);
    let mut row = 0;
    for batch in &batches {
        for id in batch.column(0).as_primitive::<UInt64Type>().values() {
            let point = docs.get(&Ids::from(vec![*id]))[0].clone().unwrap();
            assert_eq!(vectors.row(row), point.vector);
            row += 1;
        }
    }
    assert_eq!(row, vectors.len());
}

#[test]
fn what_is_there_stays_unless_it_may_be_replaced() {
    let parent = tempfile::tempdir().unwrap();
    let (_db, docs) = docs(9, 2);
    let path = parent.path().join("a.npy");
    let beside = parent.path().join("a.points.parquet");
    std::fs::write(&beside, "mine").unwrap();
    let error = docs.export(&path, &ExportOptions::default()).unwrap_err();
    assert_eq!((error.kind(), error.file()), (ErrorKind::AlreadyExists, Some(&*beside)));
    assert_eq!(std::fs::read(&beside).unwrap(), b"mine");
    let replace = ExportOptions { existing: Existing::Replace, ..ExportOptions::default() };
    docs.export(&path, &replace).unwrap();
    docs.export(&path, &replace).unwrap();
    let stop = ExportOptions { progress: &|_, _| false, ..replace };
    assert_eq!(docs.export(&path, &stop).unwrap_err().kind(), ErrorKind::Canceled);
    let mut names: Vec<_> =
        std::fs::read_dir(parent.path()).unwrap().map(|one| one.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a.npy", "a.points.parquet"]);
    let named = ExportOptions { format: Some(Format::Parquet), ..ExportOptions::default() };
    docs.export(parent.path().join("table"), &named).unwrap();
    assert_eq!(parquet(&parent.path().join("table"))[0].num_rows(), 4);
}

#[test]
fn what_cannot_be_exported_says_what_can() {
    let parent = tempfile::tempdir().unwrap();
    let (db, docs) = docs(4, 2);
    for (name, word) in [("a.fvecs", "use parquet, arrow or npy"), ("a.csv", "known are npy")] {
        let error = docs.export(parent.path().join(name), &ExportOptions::default()).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
    let none = db.collection("none", Schema::learned()).unwrap();
    let error = none.export(parent.path().join("a.npy"), &ExportOptions::default()).unwrap_err();
    assert!(error.to_string().contains("no dimension yet"), "{error}");
    let empty = db.collection("empty", Schema::new(3)).unwrap();
    for name in ["a.npy", "a.parquet", "a.arrow"] {
        let path = parent.path().join(name);
        assert_eq!(empty.export(&path, &ExportOptions::default()).unwrap().points, 0);
    }
}

/// The file is complete or not there, and nothing else is left, whichever call fails.
#[test]
fn an_export_is_whole_or_not_there_when_a_call_fails() {
    let (disk, model) = sample();
    let (_db, docs) = open(Arc::new(SimFs::on(disk)), Durability::Synced).unwrap();
    assert_eq!(content(&docs), model);
    let snapshot = docs.snapshot();
    let mut runs = 0;
    for name in ["a.parquet", "a.arrow", "a.npy"] {
        let whole = SimFs::new();
        snapshot.export_on(&whole, Path::new("/").join(name), &ExportOptions::default()).unwrap();
        let whole: Vec<(std::path::PathBuf, Vec<u8>)> =
            whole.disk().files().map(|(path, bytes)| (path.to_owned(), bytes.to_vec())).collect();
        for kind in FaultKind::ERRORS {
            for at in 0.. {
                let fs = SimFs::new();
                fs.set_fault(Some(Fault { kind, at, and_later: false }));
                let path = Path::new("/").join(name);
                let result = snapshot.export_on(&fs, &path, &ExportOptions::default());
                let disk = fs.disk();
                let found: Vec<_> =
                    disk.files().map(|(path, bytes)| (path.to_owned(), bytes.to_vec())).collect();
                let is_whole = found.iter().all(|file| whole.contains(file));
                assert!(is_whole, "{kind:?} at {at} of {name}: {:?}", found.len());
                let expected = if result.is_ok() { whole.len() } else { 0 };
                assert_eq!(found.len(), expected, "{kind:?} at {at}: {name}");
                runs += 1;
                if fs.struck() == 0 {
                    break;
                }
                let error = result.unwrap_err();
                assert!(error.file().is_some(), "{error:?}");
                let kinds = [ErrorKind::Io, ErrorKind::StorageFull];
                assert!(kinds.contains(&error.kind()), "{error:?}");
            }
        }
    }
    println!("{runs} failing exports");
    assert!(runs > 60, "{runs}");
}
