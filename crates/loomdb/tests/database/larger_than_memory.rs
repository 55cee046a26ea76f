//! A stream may be larger than memory: what is written as a segment leaves the heap.
//!
//! The story: a child may take so much memory of its own and no more; files that it maps do not
//! count. It streams nearly twice as many bytes of vectors through a writer, builds their graph,
//! searches them, writes more, and finds them again behind opening.
#![cfg(target_os = "linux")]

use std::process::Command;

use loomdb::{Batch, Collection, Database, Schema};
use loomdb_graph::{Metric, Vectors};
use loomdb_testkit::{Random, generate};

const DIRECTORY: &str = "LOOMDB_TEST_LIMITED";
const DIM: usize = 3_072;
const ROWS: usize = 20_000;
const LATER_ROWS: usize = 3_000;
const BATCH: usize = 250;
const PIECE_BYTES: usize = 8 << 20;
const QUERIES: usize = 40;
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

/// What the limited child runs; without a directory it is no child.
#[test]
fn limited_child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let db = Database::open(&directory).unwrap();
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
    let db = Database::open(&directory).unwrap();
    let again = recall(&docs(&db), &source);
    println!("recall {found:.4}, and {again:.4} behind opening");
    assert!(found >= 0.95 && again >= 0.95, "recall {found} and {again}");
    assert_eq!(docs(&db).count(), ROWS + LATER_ROWS);
}

/// Runs the child with a limit of private memory that can be written to.
fn run_limited(directory: &std::path::Path) {
    let limit = format!("ulimit -d {} && exec \"$0\" \"$@\"", LIMIT_BYTES >> 10);
    let mut child = Command::new("sh");
    child.args(["-c", &limit]).arg(std::env::current_exe().unwrap());
    child.args(["--exact", "larger_than_memory::limited_child", "--nocapture"]);
    child.args(["--test-threads=1"]).env(DIRECTORY, directory);
    // What is freed is given back at once: counted is what is held.
    child.env("MALLOC_MMAP_THRESHOLD_", "65536").env("MALLOC_ARENA_MAX", "1");
    let output = child.output().unwrap();
    let (out, errors) = (&output.stdout, &output.stderr);
    let (out, errors) = (String::from_utf8_lossy(out), String::from_utf8_lossy(errors));
    println!("{out}");
    assert!(output.status.success(), "{}\n{errors}", output.status);
    assert!(out.contains("1 passed"), "{out}");
}

#[test]
fn a_stream_needs_no_memory_for_its_vectors() {
    let parent = tempfile::tempdir().unwrap();
    run_limited(&parent.path().join("a.loom"));
}
