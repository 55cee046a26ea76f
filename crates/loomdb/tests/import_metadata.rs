//! Columns of tables become metadata: the same values by every way in, and filters find them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::types::{Float32Type, Int8Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Float32Array, Int16Array, ListArray,
    RecordBatch, StringArray, StructArray, TimestampMillisecondArray,
};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_schema::{DataType, Field};
use loomdb::import::{Imported, MetadataColumns, Options, read, read_all};
use loomdb::{Batch, Collection, Database, Filter, Ids, Metadata, Schema};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

const ROWS: usize = 3_000;

fn vectors() -> ArrayRef {
    let vector = |row: usize| Some(vec![Some(row as f32), Some(1.0)]);
    Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>((0..ROWS).map(vector)))
}

fn id(row: usize) -> String {
    format!("id {row}")
}

/// Columns of every type, with values that follow from the row.
fn table() -> RecordBatch {
    let rows = || 0..ROWS;
    let mut tags = ListBuilder::new(StringBuilder::new());
    for row in rows() {
        tags.append_value((0..row % 3).map(|tag| Some(format!("t{tag}"))));
    }
    let year: Int16Array =
        rows().map(|row| (row % 7 != 0).then_some(2_000 + row as i16 % 25)).collect();
    let lang: DictionaryArray<Int8Type> =
        rows().map(|row| if row % 4 == 0 { "de" } else { "en" }).collect();
    let stars: Float32Array = rows().map(|row| Some(row as f32 / 4.0)).collect();
    let fresh: BooleanArray = rows().map(|row| Some(row % 2 == 0)).collect();
    let times = rows().map(|row| row as i64 * 1_000).collect::<Vec<_>>();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("lang", Arc::new(lang)),
        ("key", Arc::new(StringArray::from_iter_values(rows().map(id)))),
        ("year", Arc::new(year)),
        ("embedding", vectors()),
        ("stars", Arc::new(stars)),
        ("fresh", Arc::new(fresh)),
        ("tags", Arc::new(tags.finish())),
        ("at", Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC"))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn metadata(row: usize) -> Value {
    let tags: Vec<String> = (0..row % 3).map(|tag| format!("t{tag}")).collect();
    let at = format!("1970-01-01T{:02}:{:02}:{:02}Z", row / 3600, row / 60 % 60, row % 60);
    let mut metadata = json!({
        "lang": if row.is_multiple_of(4) { "de" } else { "en" }, "stars": row as f64 / 4.0,
        "fresh": row.is_multiple_of(2), "tags": tags, "at": at,
    });
    if !row.is_multiple_of(7) {
        metadata["year"] = json!(2_000 + row % 25);
    }
    metadata
}

fn write(directory: &Path, name: &str, table: &RecordBatch) -> PathBuf {
    let path = directory.join(name);
    let (file, schema) = (File::create(&path).unwrap(), table.schema());
    // Three batches, so that rows behind the first are counted on.
    let parts = [(0, 1_000), (1_000, 1_500), (2_500, 500)];
    let parts = parts.map(|(from, len)| table.slice(from, len));
    match path.extension().unwrap().to_str().unwrap() {
        "parquet" => {
            let mut writer = ArrowWriter::try_new(file, schema, None).unwrap();
            for part in &parts {
                writer.write(part).unwrap();
            }
            writer.close().unwrap();
        }
        "feather" => {
            let mut writer = FileWriter::try_new(file, &schema).unwrap();
            for part in &parts {
                writer.write(part).unwrap();
            }
            writer.finish().unwrap();
        }
        _ => {
            let mut writer = StreamWriter::try_new(file, &schema).unwrap();
            for part in &parts {
                writer.write(part).unwrap();
            }
            writer.finish().unwrap();
        }
    }
    path
}

fn options() -> Options<'static> {
    Options {
        id_column: Some("key".to_owned()),
        metadata_columns: MetadataColumns::All,
        ..Options::default()
    }
}

fn stored(imported: Imported) -> (Database, Collection) {
    let db = Database::in_memory().unwrap();
    let docs = db.collection("docs", Schema::learned()).unwrap();
    docs.add(&imported.into_batch().unwrap()).unwrap();
    (db, docs)
}

fn assert_row(docs: &Collection, row: usize, expected: &Value) {
    let point = docs.get(&Ids::Text(vec![id(row)]))[0].clone().unwrap();
    assert_eq!(point.vector, [row as f32, 1.0]);
    assert_eq!(Value::Object(point.metadata), *expected, "row {row}");
}

#[test]
fn every_column_becomes_metadata_from_every_format() {
    let desk = tempfile::tempdir().unwrap();
    for name in ["a.parquet", "a.feather", "a.arrow"] {
        let path = write(desk.path(), name, &table());
        let (_db, docs) = stored(read(&path, &options()).unwrap());
        for row in [0, 1, 7, 999, 1_000, 2_499, 2_500, 2_999] {
            assert_row(&docs, row, &metadata(row));
        }
        let filter =
            str::parse::<Filter>(r#"{"lang": "de", "tags": "t1", "year": {"$gte": 2010}}"#);
        let is_meant = |row: &usize| {
            row.is_multiple_of(4) && row % 3 == 2 && !row.is_multiple_of(7) && row % 25 >= 10
        };
        let expected = (0..ROWS).filter(is_meant).count();
        assert_eq!(docs.count_matching(&filter.unwrap()).unwrap(), expected, "{name}");
    }
}

#[test]
fn named_columns_alone_are_read() {
    let desk = tempfile::tempdir().unwrap();
    let path = write(desk.path(), "a.parquet", &table());
    let columns = MetadataColumns::Named(vec!["year".to_owned(), "key".to_owned()]);
    let options = Options { metadata_columns: columns, limit: Some(1_700), ..options() };
    let (_db, docs) = stored(read(&path, &options).unwrap());
    assert_eq!(docs.count(), 1_700);
    assert_row(&docs, 1_699, &json!({"year": 2_024, "key": "id 1699"}));
}

#[test]
fn files_with_other_columns_are_joined() {
    let desk = tempfile::tempdir().unwrap();
    let vectors: Vec<Option<Vec<Option<f32>>>> = vec![Some(vec![Some(5_000.0), Some(1.0)])];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("vector", Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(vectors))),
        ("key", Arc::new(StringArray::from(vec![id(5_000)]))),
        ("year", Arc::new(Float32Array::from(vec![0.5]))),
        ("extra", Arc::new(StringArray::from(vec!["new"]))),
    ];
    let other = RecordBatch::try_from_iter(columns).unwrap();
    let path = desk.path().join("b.parquet");
    let mut writer =
        ArrowWriter::try_new(File::create(&path).unwrap(), other.schema(), None).unwrap();
    writer.write(&other).unwrap();
    writer.close().unwrap();
    let files = [write(desk.path(), "a.feather", &table()), path.clone()];
    let (_db, docs) = stored(read_all(&files, &options()).unwrap());
    assert_eq!(docs.count(), ROWS + 1);
    let mut expected = metadata(1);
    expected["year"] = json!(2_001.0);
    assert_row(&docs, 1, &expected);
    assert_row(&docs, 5_000, &json!({"year": 0.5, "extra": "new"}));
    // The same ids again.
    let twice = [path.clone(), path];
    let message = read_all(&twice, &options()).unwrap_err().to_string();
    assert!(message.contains("row 0 has the same id"), "{message}");
}

/// A struct with a text, a struct and a list of numbers in it, null in every fifth row; the text
/// is null in every third.
fn structs() -> ArrayRef {
    let texts: StringArray =
        (0..ROWS).map(|row| (row % 3 != 0).then(|| format!("name {row}"))).collect();
    let depths: Int16Array = (0..ROWS).map(|row| Some(row as i16)).collect();
    let inner = StructArray::from(vec![(
        Arc::new(Field::new("depth", DataType::Int16, true)),
        Arc::new(depths) as ArrayRef,
    )]);
    let fields = vec![
        Field::new("name", DataType::Utf8, true),
        Field::new("inner", inner.data_type().clone(), true),
        Field::new("numbers", vectors().data_type().clone(), true),
    ];
    let columns: Vec<ArrayRef> = vec![Arc::new(texts), Arc::new(inner), vectors()];
    let nulls: Vec<bool> = (0..ROWS).map(|row| row % 5 != 0).collect();
    Arc::new(StructArray::new(fields.into(), columns, Some(nulls.into())))
}

#[test]
fn structs_become_fields_with_a_dot() {
    let desk = tempfile::tempdir().unwrap();
    let keys = StringArray::from_iter_values((0..ROWS).map(id));
    let columns: Vec<(&str, ArrayRef)> =
        vec![("key", Arc::new(keys)), ("embedding", vectors()), ("a", structs())];
    let table = RecordBatch::try_from_iter(columns).unwrap();
    for name in ["a.parquet", "a.feather", "a.arrow"] {
        let imported = read(&write(desk.path(), name, &table), &options()).unwrap();
        assert!(imported.left_out[0].starts_with("a.numbers (List("), "{:?}", imported.left_out);
        assert_eq!(imported.left_out.len(), 1);
        let (_db, docs) = stored(imported);
        assert_row(&docs, 1, &json!({"a.name": "name 1", "a.inner.depth": 1}));
        assert_row(&docs, 3, &json!({"a.inner.depth": 3}));
        assert_row(&docs, 1_005, &json!({}));
        assert_row(&docs, 2_999, &json!({"a.name": "name 2999", "a.inner.depth": 2_999}));
        for (filter, rows) in [
            (r#"{"a.inner.depth": {"$lt": 10}}"#, 8),
            (r#"{"a.inner.depth": null}"#, 600),
            (r#"{"a.name": {"$exists": true}}"#, 1_600),
            (r#"{"a.name": "name 7"}"#, 1),
        ] {
            let count = docs.count_matching(&filter.parse().unwrap()).unwrap();
            assert_eq!(count, rows, "{filter}");
        }
    }
    // A column that is named must fit as a whole.
    let columns = MetadataColumns::Named(vec!["a".to_owned()]);
    let options = Options { metadata_columns: columns, ..options() };
    let message = read(&desk.path().join("a.parquet"), &options).unwrap_err().to_string();
    assert!(message.contains("not values that metadata have"), "{message}");
}

#[test]
fn tables_of_structs_are_added_and_updated() {
    let db = Database::in_memory().unwrap();
    let docs = db.collection("docs", Schema::new(1)).unwrap();
    let record = |value: Value| serde_json::from_value::<Metadata>(value).unwrap();
    let first = record(json!({"a": {"b": 1, "c": "x"}}));
    let vectors = || loomdb_graph::Vectors::from_flat(1, &[1.0]).unwrap();
    let batch = Batch::new(vec![7], vectors()).unwrap();
    docs.add(&batch.with_records(&[first]).unwrap()).unwrap();
    let number: ArrayRef = Arc::new(Int16Array::from(vec![5]));
    let inner = StructArray::from(vec![(
        Arc::new(Field::new("b", DataType::Int16, true)),
        Arc::clone(&number),
    )]);
    let table = RecordBatch::try_from_iter([("a", Arc::new(inner) as ArrayRef)]).unwrap();
    docs.update(&Ids::from(vec![7]), &table).unwrap();
    let metadata = || Value::Object(docs.get(&Ids::from(vec![7]))[0].clone().unwrap().metadata);
    assert_eq!(metadata(), json!({"a.b": 5, "a.c": "x"}));
    let change = record(json!({"a": {"c": null, "b": 6}}));
    docs.update_records(&Ids::from(vec![7]), &[change]).unwrap();
    assert_eq!(metadata(), json!({"a.b": 6}));
    // The same field twice would lose one of the values.
    let twice = [("a", table.column(0).clone()), ("a.b", number)];
    let batch = Batch::without_ids(vectors());
    let batch = batch.with_metadata(RecordBatch::try_from_iter(twice).unwrap()).unwrap();
    let message = docs.add(&batch).unwrap_err().to_string();
    assert!(message.contains("\"a.b\" is given twice"), "{message}");
}
