//! Damaged, cut, swapped and forged files: an error that names the file, or the same content.
//!
//! Every byte of a small database is changed, and every file is cut at every length. The graph can
//! be rebuilt from the rest, so its damage is a warning. Files that were forged together with their
//! checksums may not crash or take memory either.

mod common;

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt32Array, UInt64Array};
use arrow_ipc::writer::FileWriter;
use common::{Collection, MemoryFs, integer_ids, text_ids};
use loomdb::storage::Opened;
use loomdb::{Error, ErrorKind};
use loomdb_graph::Metric;
use serde_json::Value;

const GRAPH: &str = "default/graph-00000001";
const POINTS: &str = "default/seg-00000001/points.arrow";
const VECTORS: &str = "default/seg-00000001/vectors.npy";
const MANIFEST: &str = "manifest-00000001";

/// A small collection and the files that it was saved as.
struct Patient {
    collection: Collection,
    files: MemoryFs,
}

impl Patient {
    fn new() -> Self {
        let collection = Collection::small();
        let files = saved(&collection);
        collection.assert_is(&files.open().unwrap());
        Self { collection, files }
    }

    /// Opens with other bytes in `file`.
    fn open_with(&self, file: &Path, bytes: &[u8]) -> Result<Opened, Error> {
        self.files.with(file, bytes).open()
    }

    /// The contract for a file whose bytes are not those that were written.
    fn assert_noticed(&self, file: &Path, bytes: &[u8], what: &str) {
        let name = file.file_name().unwrap().to_str().unwrap();
        match self.open_with(file, bytes) {
            Ok(opened) => {
                assert_eq!(file, Path::new(GRAPH), "{what} of {name} went unnoticed");
                self.assert_left_out(&opened, name);
            }
            Err(error) => {
                assert_ne!(file, Path::new(GRAPH), "{what}: the graph is expendable: {error}");
                assert_eq!(error.kind(), ErrorKind::Corrupted, "{what} of {name}: {error:#}");
                assert!(error.to_string().contains(name), "{what} of {name}: {error}");
                assert!(error.file().unwrap().ends_with(file), "{what} of {name}: {error}");
            }
        }
    }

    /// The contract for a graph that cannot be used.
    fn assert_left_out(&self, opened: &Opened, mention: &str) {
        assert!(opened.graph.is_none());
        assert_eq!(opened.warnings.len(), 1);
        assert!(opened.warnings[0].contains(mention), "{mention}: {}", opened.warnings[0]);
        self.collection.assert_rows_are(opened);
    }

    /// Opens with other bytes in `file` and a manifest that agrees with them.
    fn open_forged(&self, file: &str, bytes: &[u8]) -> Result<Opened, Error> {
        let manifest = forged_manifest(self.files.bytes(MANIFEST), file, bytes);
        self.files.with(MANIFEST, &manifest).with(file, bytes).open()
    }
}

/// The files of a collection.
fn saved(collection: &Collection) -> MemoryFs {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a.loom");
    collection.save(&directory).unwrap();
    MemoryFs::of(&directory)
}

/// A manifest in which the length and the sums of `file` are those of `bytes`.
fn forged_manifest(manifest: &[u8], file: &str, bytes: &[u8]) -> Vec<u8> {
    let body = manifest.split(|byte| *byte == b'\n').next().unwrap();
    let mut manifest: Value = serde_json::from_slice(body).unwrap();
    let segment = &mut manifest["collections"][0]["segments"][0];
    let record = match file {
        GRAPH => &mut manifest["collections"][0]["graph"],
        POINTS => &mut segment["points"],
        _ => &mut segment["vectors"],
    };
    assert_eq!(record["name"], file);
    let blocks = bytes.chunks(65_536).map(|block| format!("{:08x}", crc32c::crc32c(block)));
    record["len_bytes"] = bytes.len().into();
    record["crc32c"] = crc32c::crc32c(bytes).into();
    record["blocks"] = blocks.collect::<String>().into();
    let body = format!("{manifest}\n");
    format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes())).into_bytes()
}

#[test]
fn every_changed_byte_is_noticed() {
    let patient = Patient::new();
    let mut flips = 0;
    for file in patient.files.names() {
        let healthy = patient.files.bytes(&file).to_vec();
        for index in 0..healthy.len() {
            let mut damaged = healthy.clone();
            damaged[index] ^= 1 << (index % 8);
            patient.assert_noticed(&file, &damaged, &format!("a flip of byte {index}"));
            flips += 1;
        }
    }
    assert!(flips > 2_000, "{flips} flips");
}

#[test]
fn every_cut_and_every_addition_is_noticed() {
    let patient = Patient::new();
    for file in patient.files.names() {
        let healthy = patient.files.bytes(&file).to_vec();
        for len in 0..healthy.len() {
            patient.assert_noticed(&file, &healthy[..len], &format!("a cut at {len}"));
        }
        for addition in [vec![0], vec![b'\n'], vec![7; 70_000], healthy.clone()] {
            let longer = [healthy.as_slice(), &addition].concat();
            patient.assert_noticed(&file, &longer, "an addition");
            let shifted = [addition, healthy.clone()].concat();
            patient.assert_noticed(&file, &shifted, "an addition in front");
        }
        patient.assert_noticed(&file, &vec![0; healthy.len()], "zeroing");
    }
}

#[test]
fn files_of_another_database_are_noticed() {
    let patient = Patient::new();
    // The same metric, dim, number of rows and nodes: only checksums tell them apart.
    let other = saved(&Collection::new(Metric::Cosine, 5, (20, 3), integer_ids(23)));
    assert_eq!(other.bytes(VECTORS), patient.files.bytes(VECTORS), "the rows are the same");
    for file in [POINTS, MANIFEST] {
        match patient.open_with(Path::new(file), other.bytes(file)) {
            Ok(_) => panic!("{file} went unnoticed"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupted, "{error:#}"),
        }
    }
    for (from, to) in [(POINTS, VECTORS), (VECTORS, POINTS), (GRAPH, VECTORS), (POINTS, GRAPH)] {
        patient.assert_noticed(Path::new(to), patient.files.bytes(from), from);
    }
}

#[test]
fn missing_files_are_noticed() {
    let patient = Patient::new();
    for file in [POINTS, VECTORS, GRAPH] {
        match patient.files.without(file).open() {
            Ok(opened) => patient.assert_left_out(&opened, "graph-00000001: the file is missing"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupted, "{error:#}");
                assert!(error.to_string().contains("the file is missing"), "{error}");
                assert_ne!(file, GRAPH);
            }
        }
    }
    let error = patient.files.without(MANIFEST).with("manifest", b"{}").open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn the_newest_manifest_counts_even_when_it_is_damaged() {
    let patient = Patient::new();
    let newer = Path::new("manifest-00000002");
    let mut manifest = patient.files.bytes(MANIFEST).to_vec();
    patient.collection.assert_is(&patient.open_with(newer, &manifest).unwrap());
    manifest[3] ^= 4;
    let error = patient.open_with(newer, &manifest).unwrap_err();
    assert_eq!((error.kind(), error.file()), (ErrorKind::Corrupted, Some(newer)));
}

#[test]
fn the_damaged_block_is_named() {
    let files = saved(&Collection::new(Metric::L2, 2, (0, 300_000), integer_ids(300_000)));
    for (byte, block) in [(0, 0), (65_535, 0), (65_536, 1), (20 * 65_536 + 9, 20), (2_400_127, 36)]
    {
        let mut damaged = files.bytes(VECTORS).to_vec();
        damaged[byte] ^= 1;
        let error = files.with(VECTORS, &damaged).open().unwrap_err();
        assert_eq!(error.offset(), Some(block * 65_536), "byte {byte}: {error}");
        assert!(error.to_string().contains("vectors.npy, byte "), "{error}");
    }
}

/// The bytes of the graph file with a number replaced and its own checksum set right.
fn forged_graph(healthy: &[u8], at: usize, number: &[u8]) -> Vec<u8> {
    let mut body = healthy[..healthy.len() - 4].to_vec();
    body[at..at + number.len()].copy_from_slice(number);
    let sum = crc32c::crc32c(&body);
    body.extend(sum.to_le_bytes());
    body
}

#[test]
fn a_forged_graph_is_left_out_and_takes_no_memory() {
    let patient = Patient::new();
    let healthy = patient.files.bytes(GRAPH);
    for (at, number, mention) in [
        (0, 0_u64, "does not begin as a graph"),
        (8, 2, "format 2.0"),
        (16, 1, "m = 1"),
        (16, u64::MAX, "m = "),
        (32, 20, "entry point"),
        (32, 1 << 40, "entry point is no node"),
        (32, u64::MAX, "entry point"),
        (40, 1 << 60, "do not add up"),
        (48, 1 << 60, "do not add up"),
        (56, 1 << 60, "do not add up"),
        (40, u64::MAX, "do not add up"),
    ] {
        let forged = forged_graph(healthy, at, &number.to_le_bytes());
        let opened = patient.open_forged(GRAPH, &forged).unwrap();
        patient.assert_left_out(&opened, mention);
    }
    let lists = u64::from_le_bytes(healthy[48..56].try_into().unwrap()) as usize;
    let (levels, links) = (64, 64 + 20 + 2 * lists);
    for (at, number, mention) in [
        (levels, &[255][..], "is above 31"),
        (levels + 20, &[255, 255], "links where the degrees add up to"),
        (links, &0_u32.to_le_bytes(), "node 0 on level 0 links to itself"),
        (links, &20_u32.to_le_bytes(), "links to 20, which is not there"),
        (links, &healthy[links + 4..links + 8], "has a link twice"),
    ] {
        let forged = forged_graph(healthy, at, number);
        let opened = patient.open_forged(GRAPH, &forged).unwrap();
        patient.assert_left_out(&opened, mention);
    }
    // More nodes than rows, in a graph that is sound in itself.
    let larger = saved(&Collection::new(Metric::Cosine, 5, (40, 0), text_ids(40)));
    let opened = patient.open_forged(GRAPH, larger.bytes(GRAPH)).unwrap();
    patient.assert_left_out(&opened, "the graph has 40 nodes, but there are 23 rows");
}

/// An Arrow file of one column.
fn arrow_file(name: &str, column: ArrayRef) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable([(name, column, true)]).unwrap();
    let mut writer = FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn forged_points_are_refused() {
    let patient = Patient::new();
    let texts = |count: usize| (0..count).map(|row| row.to_string()).collect::<Vec<_>>();
    let with = |row: usize, text: Option<&str>| {
        let mut texts: Vec<Option<String>> = texts(23).into_iter().map(Some).collect();
        texts[row] = text.map(str::to_owned);
        Arc::new(StringArray::from(texts)) as ArrayRef
    };
    let cases: [(&str, ArrayRef, &str); 7] = [
        ("id", Arc::new(StringArray::from(texts(22))), "there are 22 ids, the manifest says 23"),
        ("id", Arc::new(UInt64Array::from_iter_values(0..24)), "there are 24 ids"),
        ("ID", Arc::new(StringArray::from(texts(23))), "there is no column `id`"),
        ("id", Arc::new(UInt32Array::from_iter_values(0..23)), "there is no column `id`"),
        ("id", with(9, Some("4")), "row 4 has the same id: 4"),
        ("id", with(22, None), "row 22: the id is null"),
        ("id", with(3, Some(&"x".repeat(513))), "row 3: the id has 513 bytes"),
    ];
    for (name, column, mention) in cases {
        let error = patient.open_forged(POINTS, &arrow_file(name, column)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupted, "{mention}: {error:#}");
        assert!(error.to_string().contains(mention), "{mention}: {error}");
        assert!(error.file().unwrap().ends_with(POINTS), "{error}");
    }
    let sound = arrow_file("id", Arc::new(UInt64Array::from_iter_values(0..23)));
    assert!(patient.open_forged(POINTS, &sound).is_ok(), "the forgery itself is sound");
}

#[test]
fn forged_vectors_are_refused() {
    let patient = Patient::new();
    let healthy = patient.files.bytes(VECTORS);
    let text = String::from_utf8_lossy(&healthy[10..127]).into_owned();
    let with_header = |from: &str, to: &str| {
        let mut forged = healthy.to_vec();
        let header = format!("{:117}", text.replacen(from, to, 1).trim_end());
        assert_ne!(header, text, "{from} is not in the header");
        forged[10..127].copy_from_slice(header.as_bytes());
        forged
    };
    let mut infinite = healthy.to_vec();
    infinite[128 + 4 * (5 * 7 + 2)..][..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    for (forged, mention) in [
        (with_header("(23, 5)", "(5, 23)"), "it is not a table of 23 x 5 f32"),
        (with_header("(23, 5)", "(22, 5)"), "it is not a table"),
        (with_header("<f4", ">f4"), "it is not a table"),
        (with_header("<f4", "<i4"), "it is not a table"),
        (with_header("False", "True"), "it is not a table"),
        (with_header("shape", "shade"), "no header"),
        (healthy[..healthy.len() - 4].to_vec(), "it is not a table"),
        ([healthy, &[0; 20]].concat(), "it is not a table"),
        (Vec::new(), "no header"),
        (infinite, "row 7 has inf at position 2"),
    ] {
        let error = patient.open_forged(VECTORS, &forged).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupted, "{mention}: {error:#}");
        assert!(error.to_string().contains(mention), "{mention}: {error}");
        assert!(error.file().unwrap().ends_with(VECTORS), "{error}");
    }
}
