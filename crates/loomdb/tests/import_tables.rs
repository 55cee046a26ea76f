//! Parquet and Arrow: every list and id type is read, and what cannot be used is named by its row.

mod common;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Float32Builder, LargeListBuilder, ListBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type, Int8Type, Int64Type, UInt8Type};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, DictionaryArray, Float32Array, Int16Array, Int64Array,
    LargeListViewArray, ListArray, ListViewArray, RecordBatch, StringArray,
};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_schema::{DataType, Field};
use common::random_rows;
use half::f16;
use loomdb::import::{Imported, Options, read};
use loomdb::{Error, ErrorKind, Ids, Result};
use loomdb_graph::Vectors;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;

/// How a table is written.
#[derive(Clone, Copy, Debug)]
enum Writer {
    Parquet(Compression),
    File(Option<CompressionType>),
    Stream(Option<CompressionType>),
}

const WRITERS: [Writer; 3] =
    [Writer::Parquet(Compression::SNAPPY), Writer::File(None), Writer::Stream(None)];

/// A directory for tables, and what is read of them.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, writer: Writer, batches: &[RecordBatch]) -> PathBuf {
        let name = match writer {
            Writer::Parquet(_) => "a.parquet",
            Writer::File(_) => "a.feather",
            Writer::Stream(_) => "a.arrow",
        };
        let path = self.0.path().join(name);
        let (file, schema) = (File::create(&path).unwrap(), batches[0].schema());
        let options =
            |compression| IpcWriteOptions::default().try_with_compression(compression).unwrap();
        match writer {
            Writer::Parquet(compression) => {
                let properties = WriterProperties::builder().set_compression(compression);
                let properties = properties.set_max_row_group_row_count(Some(700)).build();
                let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).unwrap();
                for batch in batches {
                    writer.write(batch).unwrap();
                }
                writer.close().unwrap();
            }
            Writer::File(compression) => {
                let options = options(compression);
                let mut writer = FileWriter::try_new_with_options(file, &schema, options).unwrap();
                for batch in batches {
                    writer.write(batch).unwrap();
                }
                writer.finish().unwrap();
            }
            Writer::Stream(compression) => {
                let options = options(compression);
                let mut writer =
                    StreamWriter::try_new_with_options(file, &schema, options).unwrap();
                for batch in batches {
                    writer.write(batch).unwrap();
                }
                writer.finish().unwrap();
            }
        }
        path
    }

    fn read(&self, writer: Writer, batches: &[RecordBatch]) -> Result<Imported> {
        read(&self.write(writer, batches), &Options::default())
    }

    /// The error of every format, whose message says these words.
    fn refusals(&self, batches: &[RecordBatch], words: &str) -> Vec<Error> {
        let refusal = |writer: &Writer| {
            let error = self.read(*writer, batches).unwrap_err();
            assert!(error.to_string().contains(words), "{writer:?}: {words}: {error}");
            assert!(error.file().is_some());
            error
        };
        WRITERS.iter().map(refusal).collect()
    }
}

fn batch(columns: &[(&str, ArrayRef)]) -> RecordBatch {
    let nullable = columns.iter().map(|(name, column)| (*name, Arc::clone(column), true));
    RecordBatch::try_from_iter_with_nullable(nullable).unwrap()
}

/// A column of lists of this type.
fn lists<T: ArrowPrimitiveType>(rows: &Vectors, cast: impl Fn(f32) -> T::Native) -> ArrayRef {
    let row = |row| Some(rows.row(row).iter().map(|value| Some(cast(*value))).collect::<Vec<_>>());
    Arc::new(ListArray::from_iter_primitive::<T, _, _>((0..rows.len()).map(row)))
}

fn f32_lists(rows: &Vectors) -> ArrayRef {
    lists::<Float32Type>(rows, |value| value)
}

/// A column of lists that are given value by value.
fn ragged(rows: &[Option<Vec<Option<f32>>>]) -> ArrayRef {
    Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows.iter().cloned()))
}

/// Rows of small whole numbers, which every type holds exactly.
fn whole_rows(rows: usize, dim: usize) -> Vectors {
    let values: Vec<f32> = (0..rows * dim).map(|index| (index * 7 % 101) as f32).collect();
    Vectors::from_flat(dim, &values).unwrap()
}

fn assert_rows(imported: &Imported, rows: &Vectors) {
    assert_eq!(imported.vectors.dim(), rows.dim());
    assert!(imported.vectors.as_flat() == rows.as_flat(), "other values");
}

#[test]
fn every_number_type_is_read() {
    let (desk, rows) = (Desk::new(), whole_rows(50, 3));
    let columns: [ArrayRef; 5] = [
        lists::<Float32Type>(&rows, |value| value),
        lists::<Float64Type>(&rows, f64::from),
        lists::<Float16Type>(&rows, f16::from_f32),
        lists::<UInt8Type>(&rows, |value| value as u8),
        lists::<Int8Type>(&rows, |value| value as i8),
    ];
    for column in columns {
        for writer in WRITERS {
            let batches = [batch(&[("vector", Arc::clone(&column))])];
            assert_rows(&desk.read(writer, &batches).unwrap(), &rows);
        }
    }
}

#[test]
fn every_list_type_is_read() {
    let (desk, rows) = (Desk::new(), whole_rows(50, 3));
    let mut list = ListBuilder::new(Float32Builder::new());
    let mut large = LargeListBuilder::new(Float32Builder::new());
    let mut fixed = FixedSizeListBuilder::new(Float32Builder::new(), 3);
    for row in 0..rows.len() {
        let values = rows.row(row);
        list.values().append_slice(values);
        list.append(true);
        large.values().append_slice(values);
        large.append(true);
        fixed.values().append_slice(values);
        fixed.append(true);
    }
    let columns: [ArrayRef; 3] =
        [Arc::new(list.finish()), Arc::new(large.finish()), Arc::new(fixed.finish())];
    for column in columns {
        for writer in WRITERS {
            // A slice begins in the middle of the values.
            let sliced = [column.slice(7, 11), column.slice(30, 20)];
            let batches = sliced.map(|column| batch(&[("vector", column)]));
            let expected = [&rows.as_flat()[21..54], &rows.as_flat()[90..]].concat();
            let expected = Vectors::from_flat(3, &expected).unwrap();
            assert_rows(&desk.read(writer, &batches).unwrap(), &expected);
        }
    }
}

#[test]
fn views_may_lie_in_any_order() {
    let desk = Desk::new();
    let values: ArrayRef =
        Arc::new(Float32Array::from_iter_values((0..12).map(|value| value as f32)));
    let field = Arc::new(Field::new("item", DataType::Float32, true));
    // The rows, as the numbers of their first values: in order, and in disorder with overlaps.
    for firsts in [[0, 3, 6, 9], [9, 0, 1, 0], [2, 5, 8, 0]] {
        let expected: Vec<f32> =
            firsts.iter().flat_map(|first| (0..3).map(move |at| (first + at) as f32)).collect();
        let expected = Vectors::from_flat(3, &expected).unwrap();
        let view = ListViewArray::new(
            Arc::clone(&field),
            firsts.to_vec().into(),
            vec![3; 4].into(),
            Arc::clone(&values),
            None,
        );
        let large = LargeListViewArray::new(
            Arc::clone(&field),
            firsts.iter().map(|first| i64::from(*first)).collect::<Vec<_>>().into(),
            vec![3; 4].into(),
            Arc::clone(&values),
            None,
        );
        let columns: [ArrayRef; 2] = [Arc::new(view), Arc::new(large)];
        for column in columns {
            for writer in WRITERS {
                let whole = desk.read(writer, &[batch(&[("vector", Arc::clone(&column))])]);
                assert_rows(&whole.unwrap(), &expected);
                let behind = desk.read(writer, &[batch(&[("vector", column.slice(1, 3))])]);
                let expected = Vectors::from_flat(3, &expected.as_flat()[3..]).unwrap();
                assert_rows(&behind.unwrap(), &expected);
            }
        }
    }
}

#[test]
fn ids_may_stand_in_a_dictionary() {
    let (desk, rows) = (Desk::new(), whole_rows(4, 2));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["spring", "summer", "autumn", "winter"]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![10, 20, 30, 40]));
    let keys = |keys: [i16; 4]| Int16Array::from(keys.to_vec());
    for (values, expected) in [
        (&texts, Ids::Text(["winter", "spring", "summer", "autumn"].map(str::to_owned).to_vec())),
        (&numbers, Ids::from(vec![40, 10, 20, 30])),
    ] {
        let ids: ArrayRef = Arc::new(DictionaryArray::new(keys([3, 0, 1, 2]), Arc::clone(values)));
        let whole = batch(&[("id", ids), ("vector", f32_lists(&rows))]);
        let batches = [whole.slice(0, 1), whole.slice(1, 3)];
        let compressed = [
            Writer::File(Some(CompressionType::ZSTD)),
            Writer::Stream(Some(CompressionType::ZSTD)),
        ];
        for writer in WRITERS.into_iter().chain(compressed) {
            let imported = desk.read(writer, &batches).unwrap();
            assert_eq!(imported.ids.as_ref(), Some(&expected), "{writer:?}");
            assert_rows(&imported, &rows);
        }
    }
    let ids: ArrayRef = Arc::new(DictionaryArray::new(keys([3, 0, 3, 0]), texts));
    let repeated = [batch(&[("id", ids), ("vector", f32_lists(&rows))])];
    desk.refusals(&repeated, "row 2: row 0 has the same id: winter; give every row");
}

#[test]
fn columns_of_other_types_are_named_with_their_type() {
    let (desk, rows) = (Desk::new(), whole_rows(4, 2));
    let tokens = lists::<Int64Type>(&rows, |value| value as i64);
    let scores: ArrayRef = Arc::new(Float32Array::from(vec![0.5; 4]));
    let batches = [batch(&[("tokens", tokens), ("score", scores), ("vector", f32_lists(&rows))])];
    for writer in WRITERS {
        let path = desk.write(writer, &batches);
        let refusal = |vector: Option<&str>, id: Option<&str>| {
            let (vector_column, id_column) = (vector.map(str::to_owned), id.map(str::to_owned));
            let options = Options { vector_column, id_column, ..Options::default() };
            read(&path, &options).unwrap_err().to_string()
        };
        let message = refusal(Some("tokens"), None);
        let words =
            "\"tokens\" holds List(Int64), not lists of f32, f64, f16, u8 or i8; convert it";
        assert!(message.contains(words), "{writer:?}: {message}");
        let message = refusal(None, Some("score"));
        let words = "\"score\" holds Float32, not integers or texts; convert it";
        assert!(message.contains(words), "{writer:?}: {message}");
    }
}

/// A file of pyarrow, since this build of the parquet crate cannot write the codec either.
#[test]
fn a_codec_that_is_not_built_in_is_named() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/brotli.parquet");
    let error = read(&path, &Options::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let words = "compressed with Brotli, which is not supported; write it again with another codec";
    assert!(error.to_string().contains(words), "{error}");
    // Only the columns that are read count: `plain` is compressed with snappy.
    let vector_column = Some("plain".to_owned());
    let imported = read(&path, &Options { vector_column, ..Options::default() }).unwrap();
    assert_eq!(imported.vectors.as_flat(), [0.0, 1.0, 2.0, 3.0]);
}

#[test]
fn every_compression_is_read() {
    let (desk, rows) = (Desk::new(), whole_rows(3_000, 8));
    let ids: Vec<String> = (0..3_000).map(|row| format!("number {row}")).collect();
    let column: ArrayRef = Arc::new(StringArray::from(ids.clone()));
    let batches = [batch(&[("id", column), ("vector", f32_lists(&rows))])];
    for writer in [
        Writer::Parquet(Compression::UNCOMPRESSED),
        Writer::Parquet(Compression::SNAPPY),
        Writer::Parquet(Compression::LZ4_RAW),
        Writer::Parquet(Compression::GZIP(GzipLevel::default())),
        Writer::Parquet(Compression::ZSTD(ZstdLevel::default())),
        Writer::File(Some(CompressionType::LZ4_FRAME)),
        Writer::File(Some(CompressionType::ZSTD)),
        Writer::Stream(Some(CompressionType::LZ4_FRAME)),
        Writer::Stream(Some(CompressionType::ZSTD)),
    ] {
        let imported = desk.read(writer, &batches).unwrap();
        assert_rows(&imported, &rows);
        assert_eq!(imported.ids, Some(Ids::Text(ids.clone())), "{writer:?}");
    }
}

#[test]
fn columns_and_ids_are_those_that_were_asked_for() {
    let (desk, rows, other) = (Desk::new(), whole_rows(4, 3), random_rows(4, 2, 1));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![40, 30, 20, 10]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d"]));
    let batches = [batch(&[
        ("key", texts),
        ("other", f32_lists(&other)),
        ("id", numbers),
        ("embedding", f32_lists(&rows)),
    ])];
    for writer in WRITERS {
        let path = desk.write(writer, &batches);
        let guessed = read(&path, &Options::default()).unwrap();
        assert_rows(&guessed, &rows);
        assert_eq!(guessed.ids, Some(Ids::from(vec![40, 30, 20, 10])));
        let names = (guessed.vector_column.as_deref(), guessed.id_column.as_deref());
        assert_eq!(names, (Some("embedding"), Some("id")));
        let named = |vector: &str, id: &str| {
            let (vector_column, id_column) = (Some(vector.to_owned()), Some(id.to_owned()));
            read(&path, &Options { vector_column, id_column, ..Options::default() })
        };
        let imported = named("other", "key").unwrap();
        assert_rows(&imported, &other);
        let texts = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        assert_eq!(imported.ids, Some(Ids::Text(texts)));
        let error = named("embeddings", "key").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("did you mean \"embedding\"? "), "{error}");
        assert!(error.to_string().contains("key (Utf8), other (List"), "{error}");
    }
}

#[test]
fn rows_are_counted_over_the_file() {
    let desk = Desk::new();
    let whole: Vec<Option<Vec<Option<f32>>>> =
        (0..2_000).map(|row| Some(vec![Some(row as f32), Some(1.0)])).collect();
    let spoilt = |row: usize, value: Option<Vec<Option<f32>>>| {
        let mut rows = whole.clone();
        rows[row] = value;
        let batches: Vec<RecordBatch> =
            rows.chunks(900).map(|rows| batch(&[("vector", ragged(rows))])).collect();
        batches
    };
    assert_eq!(desk.read(WRITERS[0], &spoilt(0, whole[0].clone())).unwrap().vectors.len(), 2_000);
    for (row, value, words) in [
        (1_950, None, "row 1950: the vector is null"),
        (901, Some(vec![Some(1.0), None]), "row 901: the value at position 1 is null"),
        (1_799, Some(vec![Some(1.0)]), "row 1799: the vector has 1 values, the first has 2"),
        (5, Some(vec![Some(1.0); 3]), "row 5: the vector has 3 values"),
        (1_999, Some(Vec::new()), "row 1999: the vector has 0 values"),
        (1_024, Some(vec![Some(f32::NAN), Some(0.0)]), "row 1024 has NaN at position 0"),
        (0, Some(vec![None, Some(0.0)]), "row 0: the value at position 0 is null"),
        (0, None, "row 0: the vector is null"),
        (0, Some(Vec::new()), "row 0: the vector has no values"),
    ] {
        for error in desk.refusals(&spoilt(row, value), words) {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{words}");
        }
    }
}

#[test]
fn ids_that_cannot_be_used_are_named_by_their_row() {
    let (desk, rows) = (Desk::new(), whole_rows(1_500, 2));
    let spoilt = |row: usize, id: Option<i64>| {
        let ids =
            (0..1_500_i64).map(|number| if number as usize == row { id } else { Some(number) });
        let ids: ArrayRef = Arc::new(Int64Array::from(ids.collect::<Vec<_>>()));
        let whole = batch(&[("id", ids), ("vector", f32_lists(&rows))]);
        vec![whole.slice(0, 1_100), whole.slice(1_100, 400)]
    };
    desk.refusals(&spoilt(1_300, None), "row 1300: the id is null");
    desk.refusals(&spoilt(1_300, Some(-1)), "row 1300: the id -1 is negative");
    desk.refusals(&spoilt(1_300, Some(1_200)), "row 1300: row 1200 has the same id: 1200");
}

#[test]
fn limit_and_progress_are_kept() {
    let (desk, rows) = (Desk::new(), random_rows(2_500, 4, 9));
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..2_500));
    let whole = batch(&[("id", ids), ("vector", f32_lists(&rows))]);
    for writer in WRITERS {
        let path = desk.write(writer, &[whole.slice(0, 1_000), whole.slice(1_000, 1_500)]);
        for limit in [1, 999, 1_000, 1_001, 1_024, 2_500, 9_000] {
            let options = Options { limit: Some(limit), ..Options::default() };
            let imported = read(&path, &options).unwrap();
            let expected = limit.min(2_500);
            assert_eq!(imported.vectors.as_flat(), &rows.as_flat()[..expected * 4], "{limit}");
            assert_eq!(imported.ids.unwrap().len(), expected);
        }
        let total = if matches!(writer, Writer::Stream(_)) { 0 } else { 2_500 };
        let last = std::cell::Cell::new((0, 0));
        let progress = |done, total| {
            last.set((done, total));
            true
        };
        read(&path, &Options { progress: &progress, ..Options::default() }).unwrap();
        assert_eq!(last.get(), (2_500, total), "{writer:?}");
        let options = Options { progress: &|done, _| done > 2_400, ..Options::default() };
        assert_eq!(read(&path, &options).unwrap_err().kind(), ErrorKind::Canceled);
    }
}

#[test]
fn tables_without_rows_or_vectors_are_explained() {
    let (desk, rows) = (Desk::new(), whole_rows(3, 2));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
    let whole = batch(&[("vector", f32_lists(&rows))]);
    desk.refusals(&[whole.slice(0, 0)], "there are no vectors in it");
    let words = "no column holds lists of f32, f64, f16, u8 or i8; the columns are title (Utf8)";
    for error in desk.refusals(&[batch(&[("title", texts)])], words) {
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    let two = batch(&[("a", f32_lists(&rows)), ("b", f32_lists(&rows))]);
    desk.refusals(&[two], "several columns may be the vectors: a, b");
    for name in ["a.parquet", "a.arrow"] {
        let path = desk.0.path().join(name);
        fs::write(&path, "").unwrap();
        let error = read(&path, &Options::default()).unwrap_err();
        assert!(error.to_string().contains("the file is empty"), "{error}");
    }
    let path = desk.0.path().join("old.feather");
    fs::write(&path, "FEA1 and more").unwrap();
    let error = read(&path, &Options::default()).unwrap_err();
    assert!(error.to_string().contains("Feather file of version 1"), "{error}");
}

#[test]
fn no_cut_and_no_change_of_a_byte_is_a_crash() {
    let (desk, rows) = (Desk::new(), whole_rows(40, 4));
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values((0..40).map(|row| row.to_string())));
    let plain = batch(&[("id", Arc::clone(&ids)), ("vector", f32_lists(&rows))]);
    let keys = Int16Array::from_iter_values((0..40).rev());
    let looked_up: ArrayRef = Arc::new(DictionaryArray::new(keys, ids));
    let view: ListViewArray = f32_lists(&rows).as_list::<i32>().clone().into();
    let unusual = batch(&[("id", looked_up), ("vector", Arc::new(view))]);
    for (writer, batch) in [
        (Writer::Parquet(Compression::SNAPPY), &plain),
        (Writer::File(None), &plain),
        (Writer::File(None), &unusual),
        (Writer::File(Some(CompressionType::LZ4_FRAME)), &plain),
        (Writer::Stream(None), &unusual),
        (Writer::Stream(Some(CompressionType::ZSTD)), &plain),
    ] {
        let path = desk.write(writer, std::slice::from_ref(batch));
        let sound = fs::read(&path).unwrap();
        for index in (0..sound.len()).step_by(7) {
            for value in [0x7f, 0xff] {
                let mut forged = sound.clone();
                forged[index] = value;
                fs::write(&path, forged).unwrap();
                if let Ok(imported) = read(&path, &Options::default()) {
                    assert!(imported.vectors.len() <= 40, "{writer:?}: byte {index}");
                }
            }
            fs::write(&path, &sound[..index]).unwrap();
            let cut = read(&path, &Options::default());
            assert!(cut.is_err() || is_whole(writer, &sound, index), "{writer:?} cut at {index}");
        }
    }
}

/// A stream may end without its mark of the end, which takes eight bytes.
fn is_whole(writer: Writer, sound: &[u8], len: usize) -> bool {
    matches!(writer, Writer::Stream(_)) && len + 8 >= sound.len()
}
