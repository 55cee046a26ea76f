//! A stream may be larger than memory: what is written as a segment leaves the heap.
//!
//! The story: a child may take so much memory of its own and no more; files that it maps do not
//! count. It streams nearly twice as many bytes of vectors through a writer, builds their graph,
//! searches them, writes more, and finds them again behind opening, at every level of durability.
//! And it adds a batch that fits into that memory once, but not twice.
#![cfg(target_os = "linux")]

use std::process::Command;

use loomdb::{Batch, Collection, Database, Durability, OpenOptions, Schema};
use loomdb_graph::{Metric, Vectors};
use loomdb_testkit::{Random, generate};

const DIRECTORY: &str = "LOOMDB_TEST_LIMITED";
const DURABILITY: &str = "LOOMDB_TEST_DURABILITY";
const DIM: usize = 3_072;
const ROWS: usize = 20_000;
const LATER_ROWS: usize = 3_000;
const BATCH: usize = 250;
const PIECE_BYTES: usize = 8 << 20;
const QUERIES: usize = 40;

/// Rows of a single batch: 98 MB.
const BATCH_ROWS: usize = 8_000;
const K: usize = 10;

/// What the child may take of its own, for 283 MB of vectors: their codes, and while the graph is
/// built these once more, each take a quarter of that.
const LIMIT_BYTES: usize = 184 << 20;

/// Makes rows around those of a set.
struct Source(Vec<f32>);

impl Source {
    fn new() -> Self {
        Self(generate::mixture(7, BATCH, DIM))
    }

    fn rows(&self, batch: usize) -> Vectors {
        let mut random = Random::new(batch as u64);
        let values: Vec<f32> = self.0.iter().map(|value| value + 0.3 * random.signed()).collect();
        Vectors::from_flat(DIM, &values).unwrap()
    }
}

/// How many of the nearest by exact search are found.
fn recall(docs: &Collection, source: &Source) -> f64 {
    let queries = source.rows(10_000);
    let near = |query, is_exact: bool| {
        let search = docs.search(query).k(K).ef_search(100);
        let hits = if is_exact { search.exact() } else { search }.run().unwrap();
        hits.into_iter().map(|hit| hit.id).collect::<Vec<_>>()
    };
    let found = (0..QUERIES).map(|row| queries.row(row)).map(|query| {
        let expected = near(query, true);
        near(query, false).iter().filter(|id| expected.contains(id)).count()
    });
    found.sum::<usize>() as f64 / (QUERIES * K) as f64
}

fn docs(db: &Database) -> Collection {
    db.collection("docs", Schema::new(DIM).metric(Metric::Cosine)).unwrap()
}

/// Opens the database of a limited child; nothing in a process that is no child.
fn open() -> Option<Database> {
    let directory = std::env::var(DIRECTORY).ok()?;
    let durability = match std::env::var(DURABILITY).as_deref() {
        Ok("buffered") => Durability::Buffered,
        Ok("on commit") => Durability::OnCommit,
        _ => Durability::Synced,
    };
    Some(OpenOptions::new().durability(durability).open(directory).unwrap())
}

/// What a limited child streams.
#[test]
fn limited_stream() {
    let Some(db) = open() else { return };
    let (collection, source) = (docs(&db), Source::new());
    let mut writer = collection.writer().piece_bytes(PIECE_BYTES);
    for batch in 0..ROWS / BATCH {
        writer.write(&Batch::without_ids(source.rows(batch))).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), ROWS as u64);
    let index = collection.info().index.unwrap();
    assert_eq!((index.graph_rows, index.tail_rows), (ROWS, 0));
    let found = recall(&collection, &source);
    db.commit().unwrap();
    // A part is linked by chunks, into the graph that is there.
    let mut writer = collection.writer().piece_bytes(PIECE_BYTES);
    for batch in 0..LATER_ROWS / BATCH {
        writer.write(&Batch::without_ids(source.rows(1_000 + batch))).unwrap();
    }
    writer.finish().unwrap();
    db.commit().unwrap();
    drop(collection);
    db.close().unwrap();
    let db = open().unwrap();
    let again = recall(&docs(&db), &source);
    println!("recall {found:.4}, and {again:.4} behind opening");
    assert!(found >= 0.95 && again >= 0.95, "recall {found} and {again}");
    assert_eq!(docs(&db).count(), ROWS + LATER_ROWS);
}

/// What a limited child adds at once.
#[test]
fn limited_batch() {
    let Some(db) = open() else { return };
    let (collection, source) = (docs(&db), Source::new());
    let mut vectors = Vectors::with_capacity(DIM, BATCH_ROWS).unwrap();
    for batch in 0..BATCH_ROWS / BATCH {
        vectors.push_rows(source.rows(batch).as_flat()).unwrap();
    }
    let batch = Batch::without_ids(vectors);
    collection.add(&batch).unwrap();
    let index = collection.info().index.unwrap();
    assert_eq!((index.graph_rows, index.tail_rows), (BATCH_ROWS, 0));
    let found = recall(&collection, &source);
    println!("recall {found:.4}");
    assert!(found >= 0.95, "recall {found}");
}

/// Runs a test as a child with a limit of private memory that can be written to.
fn run_limited(test: &str, durability: &str) {
    let parent = tempfile::tempdir().unwrap();
    let limit = format!("ulimit -d {} && exec \"$0\" \"$@\"", LIMIT_BYTES >> 10);
    let mut child = Command::new("sh");
    child.args(["-c", &limit]).arg(std::env::current_exe().unwrap());
    child.args(["--exact", &format!("larger_than_memory::{test}"), "--nocapture"]);
    child.args(["--test-threads=1"]).env(DIRECTORY, parent.path().join("a.loom"));
    child.env(DURABILITY, durability);
    // What is freed is given back at once: counted is what is held.
    child.env("MALLOC_MMAP_THRESHOLD_", "65536").env("MALLOC_ARENA_MAX", "1");
    let output = child.output().unwrap();
    let (out, errors) = (&output.stdout, &output.stderr);
    let (out, errors) = (String::from_utf8_lossy(out), String::from_utf8_lossy(errors));
    println!("{test}, {durability}: {out}");
    assert!(output.status.success(), "{test}, {durability}: {}\n{errors}", output.status);
    assert!(out.contains("1 passed"), "{out}");
}

#[test]
fn a_stream_needs_no_memory_for_its_vectors() {
    for durability in ["synced", "buffered", "on commit"] {
        run_limited("limited_stream", durability);
    }
}

#[test]
fn a_large_batch_is_not_copied() {
    for durability in ["synced", "buffered"] {
        run_limited("limited_batch", durability);
    }
}
