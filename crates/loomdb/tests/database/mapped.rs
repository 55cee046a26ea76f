//! Files are verified and mapped when a database is opened, on the real file system.
//!
//! The story: a database of several segments, whose files are longer than what is read at once, is
//! closed and opened. It answers as before, from codes that were stored. A changed byte in any
//! block of any file is found when it is opened. A reader goes on reading files that a writer has
//! removed, and rows that are written later stand beside those in the files.

use std::fs;
use std::path::{Path, PathBuf};

use loomdb::{Batch, Collection, Database, ErrorKind, Id, OpenOptions, Schema};
use loomdb_graph::{Metric, Vectors};
use loomdb_testkit::generate;

const DIM: usize = 64;
const ROWS: usize = 4_000;

/// A block of a file has its own checksum.
const BLOCK_BYTES: usize = 64 << 10;

type Answers = Vec<Vec<(Id, f32)>>;

fn batch(ids: std::ops::Range<usize>) -> Batch {
    let all = generate::mixture(7, 2 * ROWS, DIM);
    let vectors = Vectors::from_flat(DIM, &all[ids.start * DIM..ids.end * DIM]).unwrap();
    let title = |id: usize| [("title".to_owned(), format!("the title of {id}").into())];
    let records: Vec<loomdb::Metadata> =
        ids.clone().map(|id| title(id).into_iter().collect()).collect();
    let ids: Vec<String> = ids.map(|id| format!("id {id}")).collect();
    Batch::new(ids, vectors).unwrap().with_records(&records).unwrap()
}

/// Writes and closes a database of two segments, with a graph over the first of them; what it
/// answered.
fn write(path: &Path, metric: Metric) -> Answers {
    let db = Database::open(path).unwrap();
    let docs = db.collection("docs", Schema::new(DIM).metric(metric)).unwrap();
    docs.add(&batch(0..3_000)).unwrap();
    db.commit().unwrap();
    docs.add(&batch(3_000..ROWS)).unwrap();
    docs.delete(&vec!["id 5".to_owned(), "id 3100".to_owned()].into()).unwrap();
    db.commit().unwrap();
    let answers = answers(&docs);
    drop(docs);
    db.close().unwrap();
    answers
}

fn docs(db: &Database) -> Collection {
    db.existing_collection("docs").unwrap()
}

/// The nearest ten of some queries.
fn answers(docs: &Collection) -> Answers {
    let queries = generate::mixture(8, 30, DIM);
    let ask = |query| {
        let hits = docs.search(query).k(10).run().unwrap();
        hits.into_iter().map(|hit| (hit.id, hit.distance)).collect()
    };
    queries.chunks(DIM).map(ask).collect()
}

fn files_of(path: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { files.extend(files_of(&entry)) } else { files.push(entry) }
    }
    files
}

fn is_graph(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    name.starts_with("graph-") || name.starts_with("order-")
}

#[test]
fn a_database_answers_from_its_files_as_before() {
    for metric in [Metric::Cosine, Metric::L2, Metric::Ip] {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a.loom");
        let before = write(&path, metric);
        let db = Database::open(&path).unwrap();
        assert!(db.warnings().is_empty(), "{:?}", db.warnings());
        let docs = docs(&db);
        assert_eq!(answers(&docs), before, "{metric}");
        let index = docs.info().index.unwrap();
        assert_eq!((docs.count(), index.graph_rows), (ROWS - 2, 3_000), "{metric}");
        for id in [0, 2_999, 3_000, ROWS - 1] {
            let found = docs.get(&vec![format!("id {id}")].into()).remove(0).unwrap();
            assert_eq!(found.vector, generate::mixture(7, 2 * ROWS, DIM)[id * DIM..][..DIM]);
            assert_eq!(found.metadata["title"], format!("the title of {id}"));
        }
        let is_links = |path: &PathBuf| path.to_str().unwrap().contains("graph-");
        let graph = files_of(&path).into_iter().find(is_links).unwrap();
        let minor = fs::read(&graph).unwrap()[10];
        assert_eq!(minor, u8::from(metric != Metric::Ip), "codes are where walks read them");
        docs.add(&batch(ROWS..ROWS + 500)).unwrap();
        docs.compact().unwrap();
        assert_eq!(docs.count(), ROWS + 498);
        drop((docs, db));
        let db = OpenOptions::new().read_only().open(&path).unwrap();
        let docs = self::docs(&db);
        let after = answers(&docs);
        let same = before.iter().zip(&after).filter(|(before, after)| before == after).count();
        assert!(same > 0, "{metric}: no answer stayed as it was");
        assert_eq!(answers(&docs), after);
    }
}

#[test]
fn a_changed_byte_in_any_block_is_found_when_it_is_opened() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("a.loom");
    let sound = write(&path, Metric::Cosine);
    let (mut refused, mut left_out) = (0, 0);
    for file in files_of(&path) {
        if file.ends_with("LOCK") {
            continue;
        }
        let bytes = fs::read(&file).unwrap();
        for block in 0..bytes.len().div_ceil(BLOCK_BYTES) {
            let place = (block * BLOCK_BYTES + 777).min(bytes.len() - 1);
            let mut damaged = bytes.clone();
            damaged[place] ^= 4;
            fs::write(&file, damaged).unwrap();
            let opened = OpenOptions::new().read_only().open(&path);
            match opened {
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupted, "{error:#}");
                    assert_eq!(error.file(), Some(&*file), "{error:#}");
                    refused += 1;
                }
                Ok(db) => {
                    assert!(is_graph(&file) && !db.warnings().is_empty(), "{}", file.display());
                    left_out += 1;
                }
            }
        }
        fs::write(&file, bytes).unwrap();
    }
    println!("{refused} changed bytes refused, {left_out} in graphs that were left out");
    assert!(refused > 15 && left_out > 5, "{refused} and {left_out}");
    assert_eq!(answers(&docs(&Database::open(&path).unwrap())), sound);
}

#[test]
fn a_reader_keeps_the_files_that_a_writer_removes() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("a.loom");
    let before = write(&path, Metric::Cosine);
    let reader = OpenOptions::new().read_only().open(&path).unwrap();
    let read = docs(&reader);
    let files = files_of(&path);
    let writer = Database::open(&path).unwrap();
    docs(&writer).compact().unwrap();
    let is_gone = |file: &&PathBuf| file.ends_with("vectors.npy") && !file.exists();
    assert_eq!(files.iter().filter(is_gone).count(), 2, "the older segments are still there");
    assert_eq!(answers(&read), before);
    reader.refresh().unwrap();
    assert_eq!(read.count(), ROWS - 2);
}
