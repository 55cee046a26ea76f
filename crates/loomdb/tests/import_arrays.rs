//! `.npy`, `.fvecs`, `.bvecs`, `.ivecs` and truth: read as they are, or refused with the row.

mod common;

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use common::random_rows;
use loomdb::import::{Format, Imported, Options, read, read_truth};
use loomdb::{Error, ErrorKind, Result};

/// A directory for files, and what is read of them.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn read(&self, name: &str, bytes: &[u8]) -> Result<Imported> {
        read(&self.write(name, bytes), &Options::default())
    }

    fn flat(&self, name: &str, bytes: &[u8]) -> (usize, Vec<f32>) {
        let vectors = self.read(name, bytes).unwrap().vectors;
        (vectors.dim(), vectors.as_flat().to_vec())
    }

    /// The error, whose message says these words and the name of the file.
    fn refusal(&self, name: &str, bytes: &[u8], words: &str) -> Error {
        let error = self.read(name, bytes).unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
        assert_eq!(error.file(), Some(self.0.path().join(name).as_path()));
        error
    }
}

/// An `.npy` file of version 1 with this header.
fn npy(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let fields = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    let fields = format!("{fields:117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((fields.len() as u16).to_le_bytes());
    bytes.extend(fields.as_bytes());
    bytes.extend(data);
    bytes
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Rows of `f32`, each behind its length.
fn fvecs(rows: &[&[f32]]) -> Vec<u8> {
    let row = |row: &&[f32]| [(row.len() as i32).to_le_bytes().to_vec(), f32s(row)].concat();
    rows.iter().flat_map(row).collect()
}

#[test]
fn npy_of_every_type_is_read() {
    let desk = Desk::new();
    let values = [1.0, -2.5, 0.25, 3.0, 100.0, -0.5];
    let f64s: Vec<u8> = values.iter().flat_map(|value| f64::from(*value).to_le_bytes()).collect();
    let f16s = values.iter().flat_map(|value| half::f16::from_f32(*value).to_le_bytes());
    let f16s: Vec<u8> = f16s.collect();
    for (descr, data) in [("<f4", f32s(&values)), ("<f8", f64s), ("<f2", f16s)] {
        let read = desk.flat("a.npy", &npy(descr, "False", "(2, 3)", &data));
        assert_eq!(read, (3, values.to_vec()), "{descr}");
    }
    let bytes = [0, 1, 127, 128, 255, 7];
    let read = desk.flat("a.npy", &npy("|u1", "False", "(3, 2)", &bytes));
    assert_eq!(read, (2, vec![0.0, 1.0, 127.0, 128.0, 255.0, 7.0]));
    let read = desk.flat("a.npy", &npy("|i1", "False", "(1, 6)", &bytes));
    assert_eq!(read, (6, vec![0.0, 1.0, 127.0, -128.0, -1.0, 7.0]));
}

#[test]
fn many_pieces_join_to_the_same_rows() {
    let desk = Desk::new();
    let rows = random_rows(5_000, 300, 1);
    let shape = "(5000, 300)";
    let bytes = npy("<f4", "False", shape, &f32s(rows.as_flat()));
    assert_eq!(desk.flat("a.npy", &bytes).1, rows.as_flat());
    let by_row: Vec<&[f32]> = (0..rows.len()).map(|row| rows.row(row)).collect();
    assert_eq!(desk.flat("a.fvecs", &fvecs(&by_row)).1, rows.as_flat());
    // A row larger than a piece.
    let wide = random_rows(3, 65_536, 2);
    let f64s: Vec<u8> =
        wide.as_flat().iter().flat_map(|value| f64::from(*value).to_le_bytes()).collect();
    let bytes = npy("<f8", "False", "(3, 65536)", &f64s);
    assert_eq!(desk.flat("a.npy", &bytes).1, wide.as_flat());
}

#[test]
fn progress_and_limit_are_kept() {
    let desk = Desk::new();
    let rows = random_rows(5_000, 300, 1);
    let by_row: Vec<&[f32]> = (0..rows.len()).map(|row| rows.row(row)).collect();
    let npy = desk.write("a.npy", &npy("<f4", "False", "(5000, 300)", &f32s(rows.as_flat())));
    let fvecs = desk.write("a.fvecs", &fvecs(&by_row));
    for path in [npy, fvecs] {
        for (limit, expected) in [(None, 5_000), (Some(1_234), 1_234), (Some(9_999), 5_000)] {
            let seen = RefCell::new(Vec::new());
            let progress = |done: usize, total: usize| {
                seen.borrow_mut().push((done, total));
                true
            };
            let options = Options { limit, progress: &progress, ..Options::default() };
            let vectors = read(&path, &options).unwrap().vectors;
            assert_eq!(vectors.as_flat(), &rows.as_flat()[..expected * 300]);
            let seen = seen.into_inner();
            assert_eq!(seen.last(), Some(&(expected, expected)));
            assert!(seen.is_sorted() && seen.len() > 1, "{seen:?}");
        }
        let options = Options { progress: &|done, _| done > 4_000, ..Options::default() };
        assert_eq!(read(&path, &options).unwrap_err().kind(), ErrorKind::Canceled);
        let options = Options { limit: Some(0), ..Options::default() };
        assert_eq!(read(&path, &options).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn npy_that_cannot_be_used_is_explained() {
    let desk = Desk::new();
    let data = f32s(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let file = |descr, fortran, shape| npy(descr, fortran, shape, &data);
    for (bytes, words) in [
        (file("<f4", "True", "(2, 3)"), "Fortran order; save it in C order"),
        (file("<f4", "False", "(6,)"), "1 axes instead of 2"),
        (file("<f4", "False", "(1, 2, 3)"), "3 axes instead of 2"),
        (file(">f4", "False", "(2, 3)"), "type \">f4\" cannot be imported"),
        (file("<i4", "False", "(2, 3)"), "array.astype(\"float32\")"),
        (file("<U6", "False", "(2, 3)"), "type \"<U6\""),
        (file("<f4", "Perhaps", "(2, 3)"), "the header cannot be understood"),
        (file("<f4", "False", "(6, 0)"), "dim 0 is out of range"),
        (file("<f4", "False", "(0, 65537)"), "dim 65537 is out of range"),
        (npy("<f4", "False", "(0, 3)", &[]), "no vectors"),
        (b"no array at all".to_vec(), "no .npy file"),
        (b"\x93NUMPY\x09\x00\x00\x00\x00\x00\x00".to_vec(), "no .npy file"),
        (Vec::new(), "the file is empty"),
    ] {
        assert_eq!(desk.refusal("a.npy", &bytes, words).kind(), ErrorKind::InvalidInput, "{words}");
    }
    for (bytes, words) in [
        (file("<f4", "False", "(3, 3)"), "cut off: the header promises 3 x 3 values"),
        (file("<f4", "False", "(2, 2)"), "too long: the header promises 2 x 2 values"),
        (file("<f4", "False", "(1152921504606846976, 3)"), "cut off"),
        (file("<f4", "False", "(4611686018427387904, 4)"), "cut off"),
        (file("<f4", "False", "(18446744073709551615, 65536)"), "cut off"),
        (b"\x93NUM".to_vec(), "cut off"),
        (b"\x93NUMPY\x02\x00\xff\xff\x00\x00".to_vec(), "cut off within its header"),
    ] {
        assert_eq!(desk.refusal("a.npy", &bytes, words).kind(), ErrorKind::Corrupted, "{words}");
    }
}

#[test]
fn values_that_are_not_finite_are_named_with_row_and_position() {
    let desk = Desk::new();
    let mut values = random_rows(4_000, 200, 3).as_flat().to_vec();
    values[3_000 * 200 + 17] = f32::NAN;
    let npy = npy("<f4", "False", "(4000, 200)", &f32s(&values));
    let by_row: Vec<&[f32]> = values.chunks(200).collect();
    for (name, bytes) in [("a.npy", npy), ("a.fvecs", fvecs(&by_row))] {
        let error = desk.refusal(name, &bytes, "row 3000 has NaN at position 17");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    let infinite = npy_of_f64(&[1.0, 1e300]);
    desk.refusal("b.npy", &infinite, "row 0 has inf at position 1");
}

fn npy_of_f64(values: &[f64]) -> Vec<u8> {
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    npy("<f8", "False", &format!("(1, {})", values.len()), &data)
}

#[test]
fn vecs_of_every_type_are_read() {
    let desk = Desk::new();
    let read = desk.flat("a.fvecs", &fvecs(&[&[1.5, -2.0], &[3.0, 4.0]]));
    assert_eq!(read, (2, vec![1.5, -2.0, 3.0, 4.0]));
    let bytes = [&3_i32.to_le_bytes()[..], &[1, 2, 255], &3_i32.to_le_bytes(), &[0, 128, 7]];
    let read = desk.flat("a.bvecs", &bytes.concat());
    assert_eq!(read, (3, vec![1.0, 2.0, 255.0, 0.0, 128.0, 7.0]));
    let numbers = [2, 7, -8, 2, 1 << 20, 0];
    let bytes: Vec<u8> = numbers.iter().flat_map(|number: &i32| number.to_le_bytes()).collect();
    let read = desk.flat("a.ivecs", &bytes);
    assert_eq!(read, (2, vec![7.0, -8.0, 1_048_576.0, 0.0]));
}

#[test]
fn vecs_that_cannot_be_used_are_explained() {
    let desk = Desk::new();
    let rows: Vec<Vec<f32>> = (0..1_000).map(|row| vec![row as f32; 400]).collect();
    let mut rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
    let whole = fvecs(&rows);
    let cut = &whole[..whole.len() - 3];
    let error = desk.refusal("a.fvecs", cut, "the last row is cut off: 1601 of 1604 bytes");
    let place = (error.kind(), error.row(), error.offset());
    assert_eq!(place, (ErrorKind::Corrupted, Some(999), Some(999 * 1604)));
    // Rows that are asked for are read all the same.
    let limited = Options { limit: Some(999), ..Options::default() };
    assert_eq!(read(&desk.write("a.fvecs", cut), &limited).unwrap().vectors.len(), 999);

    let shorter = [0.5; 399];
    rows[888] = &shorter;
    let error = desk.refusal("a.fvecs", &fvecs(&rows), "it has 399 values, the first row has 400");
    assert_eq!((error.row(), error.offset()), (Some(888), Some(888 * 1604)));
    for length in [0, -1, 65_537, i32::MAX, i32::MIN] {
        let bytes = [&length.to_le_bytes()[..], &[0; 40]].concat();
        desk.refusal("a.fvecs", &bytes, &format!("the first row claims {length} values"));
    }
    let error = desk.refusal("a.fvecs", &[4, 0, 0], "cut off");
    assert_eq!(error.kind(), ErrorKind::Corrupted);
    desk.refusal("a.fvecs", &[4, 0, 0, 0, 1, 2], "the last row is cut off: 6 of 20 bytes");
    desk.refusal("a.bvecs", &[], "the file is empty");
}

#[test]
fn names_and_formats_are_explained() {
    let desk = Desk::new();
    for (name, words) in [
        ("vectors.csv", "\"csv\" is not a format that can be imported; known are npy, fvecs"),
        ("vectors", "has no extension"),
    ] {
        desk.refusal(name, b"1,2,3", words);
    }
    let bytes = npy("<f4", "False", "(1, 2)", &f32s(&[1.0, 2.0]));
    let named = desk.write("vectors.dat", &bytes);
    let options = Options { format: Some(Format::Npy), ..Options::default() };
    assert_eq!(read(&named, &options).unwrap().vectors.len(), 1);
    assert_eq!(desk.read("UPPER.NPY", &bytes).unwrap().vectors.len(), 1);
    let options = Options { id_column: Some("id".to_owned()), ..Options::default() };
    let error = read(&desk.write("a.npy", &bytes), &options).unwrap_err();
    assert!(error.to_string().contains("npy has no columns, but \"id\" was named"), "{error}");
    let missing = read(Path::new("/nowhere/a.npy"), &Options::default()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    fs::create_dir(desk.0.path().join("b.npy")).unwrap();
    let directory = read(&desk.0.path().join("b.npy"), &Options::default()).unwrap_err();
    assert!(directory.to_string().contains("a directory"), "{directory}");
    for format in [Format::Npy, Format::Bvecs, Format::Parquet, Format::Arrow] {
        assert_eq!(format.to_string().parse::<Format>().unwrap(), format);
    }
}

#[test]
fn truth_is_read_from_every_integer_type() {
    let desk = Desk::new();
    let numbers = [5_i32, 0, 7, 1, 2, 3];
    let i4: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let i8: Vec<u8> = numbers.iter().flat_map(|number| i64::from(*number).to_le_bytes()).collect();
    let ivecs = [&3_i32.to_le_bytes()[..], &i4[..12], &3_i32.to_le_bytes(), &i4[12..]].concat();
    for (name, bytes) in [
        ("a.npy", npy("<i4", "False", "(2, 3)", &i4)),
        ("b.npy", npy("<u4", "False", "(2, 3)", &i4)),
        ("c.npy", npy("<i8", "False", "(2, 3)", &i8)),
        ("d.npy", npy("<u8", "False", "(2, 3)", &i8)),
        ("e.ivecs", ivecs),
    ] {
        let truth = read_truth(&desk.write(name, &bytes)).unwrap();
        assert_eq!((truth.len(), truth.k()), (2, 3), "{name}");
        let rows: Vec<&[u32]> = truth.iter().collect();
        assert_eq!(rows, [[5, 0, 7], [1, 2, 3]], "{name}");
    }
}

#[test]
fn truth_that_cannot_be_used_is_explained() {
    let desk = Desk::new();
    let numbers: Vec<u8> =
        [1_i32, 2, 3, -1].iter().flat_map(|number| number.to_le_bytes()).collect();
    for (name, bytes, words) in [
        (
            "a.npy",
            npy("<i4", "False", "(2, 2)", &numbers),
            "row 1: it holds a number that is no row",
        ),
        ("b.npy", npy("<f4", "False", "(2, 2)", &numbers), "save them as int32"),
        ("c.npy", npy("<i4", "False", "(2, 3)", &numbers), "cut off"),
        ("d.npy", npy("<i4", "False", "(0, 3)", &[]), "no vectors"),
        ("e.ivecs", [&2_i32.to_le_bytes()[..], &numbers[8..]].concat(), "row 0: it holds a number"),
        ("f.fvecs", Vec::new(), "ground truth is not read from the format fvecs"),
    ] {
        let error = read_truth(&desk.write(name, &bytes)).unwrap_err();
        assert!(error.to_string().contains(words), "{name}: {error}");
    }
}

#[test]
fn no_change_of_a_byte_is_a_crash() {
    let desk = Desk::new();
    let data = f32s(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let vectors = fvecs(&[&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]]);
    for (name, sound) in [("a.npy", npy("<f4", "False", "(2, 3)", &data)), ("a.fvecs", vectors)] {
        assert_eq!(desk.read(name, &sound).unwrap().vectors.len(), 2);
        for index in 0..sound.len() {
            for value in [0, b'9', 0x7f, 0x80, 0xff] {
                let mut forged = sound.clone();
                forged[index] = value;
                let read = desk.read(name, &forged);
                // Whatever is read then is a table within the bytes of the file.
                assert!(read.map_or(0, |read| read.vectors.as_flat().len()) <= 24, "{index}");
            }
            // Half of the other file is a whole row.
            let is_whole = name == "a.fvecs" && index == sound.len() / 2;
            assert_eq!(desk.read(name, &sound[..index]).is_ok(), is_whole, "cut at {index}");
        }
    }
}
