//! A day of use in an hour: nothing grows but the data, and searches stay as good as they were.
//!
//! The story: points are replaced one by one at full speed, with a search for each, and now and
//! then the database is committed, loses some points, is compacted, is closed and opened again.
//! Memory, open files, the bytes on the disk, the slowest searches and recall are looked at all
//! along.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use loomdb::storage::RealFs;
use loomdb::{Batch, CheckOptions, Collection, Database, Durability, Ids, OpenOptions, Schema};
use loomdb_graph::{Metric, Vectors};
use loomdb_testkit::Random;
use peak_alloc::PeakAlloc;

use crate::model::NAME;
use crate::tier::{seed, times};

/// Counts what is allocated and not given back. What a process takes is no measure of that: for
/// as many threads as ever lived at a time, glibc keeps what one of them took at its peak.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const DIM: usize = 32;

/// Bytes on the disk for each byte of live vectors and ids behind a compaction, at most; the graph
/// takes about as many as these.
const MAX_DISK: f64 = 2.5;

/// How much recall may be lost against a fresh build.
const MAX_LOSS: f64 = 0.005;

/// What was measured at one time.
#[derive(Debug)]
struct Sample {
    writes: usize,
    allocated: usize,
    resident: u64,
    open_files: usize,
    disk: f64,
    is_compacted: bool,
    /// Of the searches since the sample before, that which 99 of 100 were faster than.
    p99: Duration,
}

fn open(path: &Path) -> (Database, Collection) {
    let options = OpenOptions::new().file_system(Arc::new(RealFs));
    let db = options.durability(Durability::Buffered).open(path).unwrap();
    let docs = db.collection(NAME, Schema::new(DIM).metric(Metric::L2)).unwrap();
    (db, docs)
}

fn vector(random: &mut Random) -> Vec<f32> {
    (0..DIM).map(|_| random.normal()).collect()
}

fn upsert(docs: &Collection, id: u64, random: &mut Random) {
    let vectors = Vectors::from_flat(DIM, &vector(random)).unwrap();
    docs.upsert(&Batch::new(vec![id], vectors).unwrap()).unwrap();
}

/// Pages of this process in memory, in bytes; 0 where the system does not tell.
fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn disk_bytes(path: &Path) -> u64 {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.metadata().unwrap() {
            metadata if metadata.is_dir() => disk_bytes(&entry.path()),
            metadata => metadata.len(),
        })
        .sum()
}

fn p99(times: &mut Vec<Duration>) -> Duration {
    times.sort_unstable();
    let found = times[times.len() * 99 / 100];
    times.clear();
    found
}

/// What is done between two stretches of writes: everything that moves files.
fn turn(
    number: usize,
    (db, docs): (Database, Collection),
    path: &Path,
    points: u64,
) -> (Database, Collection) {
    match number % 4 {
        0 => db.commit().unwrap(),
        1 => {
            let first = number as u64 * 97 % points;
            docs.delete(&Ids::from((first..first + points / 100).collect::<Vec<_>>())).unwrap();
        }
        2 => {
            drop((db, docs));
            return open(path);
        }
        _ => {}
    }
    docs.compact().unwrap();
    db.commit().unwrap();
    (db, docs)
}

fn sampled_recall(docs: &Database) -> f64 {
    let options = CheckOptions { recall_queries: 300, ..CheckOptions::default() };
    let report = docs.check(&options).unwrap();
    assert!(report.is_sound(), "{report:?}");
    report.collections[0].recall.unwrap().recall
}

#[test]
fn nothing_grows_but_the_data() {
    let writes = times(12_000, 430_000, 4_300_000);
    let points = times(3_000, 20_000, 50_000) as u64;
    let stretch = writes / times(12, 40, 86);
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("soak.loom");
    let mut random = Random::new(seed());
    let (mut db, mut docs) = open(&path);
    for id in 0..points {
        upsert(&docs, id, &mut random);
    }
    let mut samples: Vec<Sample> = Vec::new();
    let mut times = Vec::new();
    for number in 0..writes / stretch {
        for _ in 0..stretch {
            upsert(&docs, random.below(points as usize) as u64, &mut random);
            let query = vector(&mut random);
            let start = Instant::now();
            let hits = docs.search(&query).k(10).run().unwrap();
            times.push(start.elapsed());
            assert_eq!(hits.len(), 10);
        }
        (db, docs) = turn(number, (db, docs), &path, points);
        let live = docs.count() * (DIM * size_of::<f32>() + size_of::<u64>());
        samples.push(Sample {
            writes: (number + 1) * stretch,
            allocated: MEMORY.current_usage(),
            resident: resident(),
            open_files: open_files(),
            disk: disk_bytes(&path) as f64 / live as f64,
            is_compacted: number % 4 != 2,
            p99: p99(&mut times),
        });
        println!("{:?}", samples[samples.len() - 1]);
    }
    docs.compact().unwrap();
    let worn = sampled_recall(&db);
    let fresh = Database::in_memory().unwrap();
    let again = fresh.collection(NAME, Schema::new(DIM).metric(Metric::L2)).unwrap();
    for point in docs.snapshot().scan(0, usize::MAX).points {
        let loomdb::Id::Integer(id) = point.id else { panic!("a text") };
        let vectors = Vectors::from_flat(DIM, &point.vector).unwrap();
        again.add(&Batch::new(vec![id], vectors).unwrap()).unwrap();
    }
    again.compact().unwrap();
    let built = sampled_recall(&fresh);
    println!("recall {worn:.4}, built anew {built:.4}");
    assert!(worn >= built - MAX_LOSS, "{worn} {built}");
    judge(&samples);
}

fn judge(samples: &[Sample]) {
    for sample in samples.iter().filter(|sample| sample.is_compacted) {
        assert!(sample.disk <= MAX_DISK, "{sample:?}");
    }
    // Beside other tests of one process, neither memory nor time means anything.
    if std::env::var("LOOMDB_TIER").is_err() {
        return;
    }
    let (quarter, end) = (samples.len() / 4, samples.len() - 1);
    // Both behind the same kind of turn: a database that was just opened holds less.
    let (first, last) = (&samples[quarter + (end - quarter) % 4], &samples[end]);
    assert!(last.open_files <= first.open_files + 2, "{first:?} {last:?}");
    let millions = (last.writes - first.writes) as f64 / 1e6;
    let growth = last.allocated as f64 / first.allocated as f64 - 1.0;
    println!("memory grew by {:.2} % a million writes", 100.0 * growth / millions);
    // A few percent: the tail and the dead rows of the moment.
    assert!(growth < 0.05 + 0.01 * millions, "{first:?} {last:?}");
    assert!(last.resident <= 2 * first.resident, "{first:?} {last:?}");
    let tenth = (samples.len() / 10).max(1);
    let slowest = |part: &[Sample]| part.iter().map(|sample| sample.p99).max().unwrap();
    let (early, late) = (slowest(&samples[..tenth]), slowest(&samples[samples.len() - tenth..]));
    println!("p99 of the first tenth {early:?}, of the last {late:?}");
    assert!(late <= early.mul_f64(1.5), "{early:?} {late:?}");
}
