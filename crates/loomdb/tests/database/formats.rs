//! Files that any older version wrote are opened by this one, and newer ones are refused politely.
//!
//! The fixtures in `tests/data/format-*` were written once and never change: a database of some
//! collections, all sorts of files and all types of metadata, and beside it, as JSON, what is in
//! it. A change of the format adds a fixture, written by the variable in [`WRITE`].

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use loomdb::index::{Index, IndexParams};
use loomdb::storage::RealFs;
use loomdb::{
    Batch, CheckOptions, Collection, Database, Durability, ErrorKind, Id, Ids, Schema, check,
};
use loomdb_graph::{Metric, Vectors};
use loomdb_testkit::generate;
use serde_json::{Value, json};

use crate::model::options;

/// Names the directory into which the fixture of the current format is written.
const WRITE: &str = "LOOMDB_WRITE_FIXTURE";

const EXPECTED: &str = "expected.json";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn open(path: &Path) -> Database {
    options(Arc::new(RealFs), Durability::Synced).open(path).unwrap()
}

/// Everything that a collection holds.
fn content(docs: &Collection) -> Value {
    let points = docs.snapshot().scan(0, usize::MAX).points;
    let by_id: BTreeMap<String, Value> = points
        .into_iter()
        .map(|point| (point.id.to_string(), json!([point.vector, point.metadata])))
        .collect();
    json!(by_id)
}

fn contents(db: &Database) -> Value {
    let names = db.collection_names();
    let all = names.iter().map(|name| (name, content(&db.existing_collection(name).unwrap())));
    json!(all.collect::<BTreeMap<_, _>>())
}

fn vectors(seed: u64, rows: usize, dim: usize) -> Vectors {
    Vectors::from_flat(dim, &generate::uniform(seed, rows, dim)).unwrap()
}

fn records(first: usize, count: usize) -> Vec<loomdb::Metadata> {
    let record = |row: usize| match row % 3 {
        0 => json!({"text": format!("the row {row}"), "when": "2026-11-24T12:00:00Z"}),
        1 => json!({"number": row, "is_odd": row % 2 == 1, "tags": ["a", format!("{row}")]}),
        _ => json!({"ratio": row as f64 / 7.0}),
    };
    (first..first + count).map(|row| serde_json::from_value(record(row)).unwrap()).collect()
}

fn write(directory: &Path) {
    let db = open(&directory.join("database"));
    let docs = db.collection("by text", Schema::new(5).metric(Metric::Cosine)).unwrap();
    let ids =
        |rows: std::ops::Range<usize>| Ids::Text(rows.map(|row| format!("id {row}")).collect());
    let batch = Batch::new(ids(0..60), vectors(1, 60, 5)).unwrap();
    docs.add(&batch.with_records(&records(0, 60)).unwrap()).unwrap();
    docs.delete(&ids(5..9)).unwrap();
    db.commit().unwrap();
    let batch = Batch::new(ids(50..70), vectors(2, 20, 5)).unwrap();
    docs.upsert(&batch.with_records(&records(100, 20)).unwrap()).unwrap();
    db.commit().unwrap();
    let batch = Batch::new(ids(68..72), vectors(3, 4, 5)).unwrap();
    docs.upsert(&batch.with_records(&records(200, 4)).unwrap()).unwrap();
    docs.delete(&ids(0..1)).unwrap();
    docs.index_field("number").unwrap();
    let numbers = db.collection("by number", Schema::new(3).metric(Metric::L2)).unwrap();
    numbers.add(&Batch::without_ids(vectors(4, 10, 3))).unwrap();
    // Rows that are long enough for codes, which stand in the file of the graph.
    let schema = Schema::new(32).metric(Metric::L2).m(6).ef_construction(70);
    let coded = db.collection("with codes", schema).unwrap();
    coded.add(&Batch::without_ids(vectors(6, 60, 32))).unwrap();
    drop(coded);
    let expected = serde_json::to_string(&contents(&db)).unwrap() + "\n";
    fs::write(directory.join(EXPECTED), expected).unwrap();
    drop((docs, numbers));
    db.close().unwrap();
    fs::remove_file(directory.join("database/LOCK")).unwrap();
    let index = Index::build(vectors(5, 80, 4), Metric::L2, IndexParams::default(), &()).unwrap();
    index.save(&directory.join("index"), None, &loomdb::storage::SaveOptions::default()).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn fixtures() -> Vec<PathBuf> {
    let entries = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let is_fixture =
        |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("format-");
    let mut found: Vec<PathBuf> = entries.filter(is_fixture).collect();
    found.sort();
    found
}

#[test]
fn the_current_format_is_written_when_asked_for() {
    let parent = tempfile::tempdir().unwrap();
    let directory = std::env::var(WRITE).map_or(parent.path().join("fixture"), PathBuf::from);
    fs::create_dir(&directory).unwrap();
    write(&directory);
    assert!(check(directory.join("database"), &CheckOptions::default()).unwrap().is_sound());
}

#[test]
fn every_older_format_opens_and_goes_on() {
    let parent = tempfile::tempdir().unwrap();
    let fixtures = fixtures();
    assert!(!fixtures.is_empty());
    for fixture in fixtures {
        let name = fixture.file_name().unwrap().to_str().unwrap().to_owned();
        let expected = fs::read_to_string(fixture.join(EXPECTED)).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        let path = parent.path().join(&name);
        copy(&fixture.join("database"), &path);
        let report = check(&path, &CheckOptions::default()).unwrap();
        assert!(report.is_sound() && report.findings.is_empty(), "{name}: {report:?}");
        let reader = options(Arc::new(RealFs), Durability::Synced).read_only().open(&path).unwrap();
        assert_eq!(contents(&reader), expected, "{name}");
        let db = open(&path);
        assert_eq!((contents(&db), db.warnings().len()), (expected.clone(), 0), "{name}");
        let indexed = db.existing_collection("by text").unwrap().info().indexed_fields;
        // Fields can be indexed since 1.2.
        let is_older = ["format-1.0", "format-1.1"].contains(&&*name);
        assert_eq!(indexed.is_empty(), is_older, "{name}: {indexed:?}");
        // Collections have an `m` of their own since 1.3.
        let is_older = ["format-1.0", "format-1.1", "format-1.2"].contains(&&*name);
        let m = db.existing_collection("with codes").map(|docs| docs.info().m);
        assert_eq!(m.ok() == Some(6), !is_older, "{name}");
        let docs = db.existing_collection("by number").unwrap();
        let added = docs.add(&Batch::without_ids(vectors(9, 1, 3))).unwrap();
        assert_eq!(added.get(0), Id::from(10));
        db.commit().unwrap();
        drop((docs, db));
        assert_eq!(open(&path).existing_collection("by number").unwrap().count(), 11);
        assert!(check(&path, &CheckOptions::default()).unwrap().is_sound());
        let index = Index::open(&fixture.join("index"), IndexParams::default()).unwrap();
        assert_eq!((index.index.len(), index.warnings.len()), (80, 0));
        let hits = index.index.search(vectors(5, 80, 4).row(7), 1, 64).unwrap();
        assert_eq!(hits[0].distance, 0.0);
    }
}

/// The manifest of a database with other text in it, and a checksum that fits.
fn change_manifest(path: &Path, from: &str, to: &str) {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let is_manifest =
        |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("manifest-");
    let manifest = names.into_iter().find(is_manifest).unwrap();
    let text = fs::read_to_string(&manifest).unwrap();
    let (body, _) = text.rsplit_once("crc32c ").unwrap();
    assert!(body.contains(from), "{from} is not in the manifest");
    let body = body.replacen(from, to, 1);
    let sum = crc32c::crc32c(body.as_bytes());
    fs::write(manifest, format!("{body}crc32c {sum:08x}\n")).unwrap();
}

#[test]
fn newer_formats_are_refused_politely_and_left_alone() {
    let parent = tempfile::tempdir().unwrap();
    let newest = fixtures().pop().unwrap();
    for (number, (from, to)) in [
        (r#""major":1"#, r#""major":2"#),
        (r#""minor":"#, r#""minor":99"#),
        (r#""must_understand":[]"#, r#""must_understand":["mirrors"]"#),
    ]
    .into_iter()
    .enumerate()
    {
        let path = parent.path().join(format!("{number}"));
        copy(&newest.join("database"), &path);
        change_manifest(&path, from, to);
        let error = options(Arc::new(RealFs), Durability::Synced).open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("use a newer version of loomdb"), "{error}");
        let report = check(&path, &CheckOptions::default()).unwrap();
        let advice = report.findings[0].advice.as_deref();
        assert_eq!(advice, Some("use a newer version of loomdb"));
        let error = loomdb::repair(&path, &loomdb::RepairOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "a newer format is no damage: {error}");
    }
}
