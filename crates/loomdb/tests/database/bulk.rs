//! A large batch is written while its graph is built, and counts when both are done.
//!
//! The story: points are replaced and added in one batch that goes straight to a segment. Whenever
//! the power goes or a call fails, the database is the one before the batch or the one behind it;
//! whoever cancels the build finds everything as it was, also the files. The disk sees the same
//! calls each time, whatever the threads that build are doing.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use loomdb::index::IndexParams;
use loomdb::{
    Batch, CheckOptions, Collection, Database, Durability, ErrorKind, Ids, Result, Schema,
};
use loomdb_graph::{Metric, Observer, Vectors};

use crate::model::{ROOT, options};
use crate::sim::{Disk, Fault, FaultKind, SimFs};
use crate::tier::times;

const DIM: usize = 8_192;

/// Rows of a batch, whose vectors are as many bytes as make it a large one.
const ROWS: u64 = 256;

/// Points that are there before, and the first of those that are replaced.
const OLDER: u64 = 40;
const FIRST: u64 = 30;

fn batch(ids: std::ops::Range<u64>, stamp: u64) -> Batch {
    let row = |id: u64| (0..DIM as u64).map(move |at| ((id * 31 + at * stamp) % 97) as f32);
    let values: Vec<f32> = ids.clone().flat_map(row).collect();
    Batch::new(ids.collect::<Vec<_>>(), Vectors::from_flat(DIM, &values).unwrap()).unwrap()
}

fn open(fs: &SimFs) -> (Database, Collection) {
    // The batch is built, and nothing else is.
    let index = IndexParams { flat_limit: Some(100), threads: 2, m: 4, ..IndexParams::default() };
    let db = options(Arc::new(fs.clone()), Durability::Synced).index(index).open(ROOT).unwrap();
    let docs = db.collection("docs", Schema::new(DIM).metric(Metric::L2)).unwrap();
    (db, docs)
}

/// A disk with some points in the log, of which one is deleted.
fn prepared() -> Disk {
    let fs = SimFs::new();
    let (db, docs) = open(&fs);
    docs.add(&batch(0..OLDER, 1)).unwrap();
    docs.delete(&Ids::from(vec![0])).unwrap();
    drop(docs);
    db.close().unwrap();
    fs.disk()
}

fn write(docs: &Collection, observer: &dyn Observer) -> Result<()> {
    docs.upsert_watched(&batch(FIRST..FIRST + ROWS, 2), observer).map(drop)
}

/// The number of points, and a value of the last that was there before and of the last of all.
fn content(docs: &Collection) -> (usize, Vec<Option<f32>>) {
    let points = docs.get(&vec![FIRST - 1, OLDER - 1, FIRST + ROWS - 1].into());
    for point in points.iter().flatten() {
        assert_eq!(docs.search(&point.vector).k(1).run().unwrap()[0].distance, 0.0);
    }
    (docs.count(), points.into_iter().map(|point| Some(point?.vector[1])).collect())
}

fn value(id: u64, stamp: u64) -> f32 {
    ((id * 31 + stamp) % 97) as f32
}

fn before() -> (usize, Vec<Option<f32>>) {
    (OLDER as usize - 1, vec![Some(value(FIRST - 1, 1)), Some(value(OLDER - 1, 1)), None])
}

fn behind() -> (usize, Vec<Option<f32>>) {
    let values = [value(FIRST - 1, 1), value(OLDER - 1, 2), value(FIRST + ROWS - 1, 2)];
    ((FIRST + ROWS) as usize - 1, values.map(Some).to_vec())
}

/// What is there on a disk, which is sound and has no file too many.
fn found(disk: Disk) -> (usize, Vec<Option<f32>>) {
    let fs = SimFs::on(disk);
    let (db, docs) = open(&fs);
    let report = db.check(&CheckOptions::default()).unwrap();
    assert!(report.is_sound() && report.leftovers.is_empty(), "{report:?}");
    content(&docs)
}

fn files(fs: &SimFs) -> BTreeSet<PathBuf> {
    fs.disk().files().map(|(path, _)| path.to_owned()).collect()
}

#[test]
fn a_crash_shows_all_of_a_batch_or_nothing() {
    let crashes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&crashes);
    let luck = times(3, 8, 8) as u64;
    let fs = SimFs::on(prepared()).watched(move |fs, call| {
        for turn in 0..luck {
            let disk = fs.disk().crash(call as u64 * luck + turn);
            seen.lock().unwrap().push(found(disk));
        }
    });
    let (db, docs) = open(&fs);
    write(&docs, &()).unwrap();
    assert_eq!(content(&docs), behind());
    let info = docs.info().index.unwrap();
    assert_eq!((info.graph_rows, info.tail_rows), ((OLDER + ROWS) as usize, 0));
    drop((db, docs));
    assert_eq!(found(fs.disk().crash(1)), behind());
    let crashes = crashes.lock().unwrap();
    println!("{} crashes", crashes.len());
    assert!(crashes.len() > 60 && crashes.contains(&before()), "{}", crashes.len());
    for found in crashes.iter() {
        assert!(*found == before() || *found == behind(), "{found:?}");
    }
}

#[test]
fn a_failing_call_leaves_all_of_a_batch_or_nothing() {
    let disk = prepared();
    let mut runs = 0;
    for kind in FaultKind::ERRORS {
        for at in 0.. {
            let fs = SimFs::on(disk.clone());
            let (db, docs) = open(&fs);
            let older = files(&fs);
            fs.set_fault(Some(Fault { kind, at, and_later: false }));
            let written = write(&docs, &());
            let is_struck = fs.struck() > 0;
            fs.set_fault(None);
            assert_eq!(content(&docs), if written.is_ok() { behind() } else { before() });
            if kind == FaultKind::NoSpace && written.is_err() {
                assert_eq!(files(&fs), older, "a full disk is no fuller, at {at}");
                write(&docs, &()).unwrap();
                assert_eq!(content(&docs), behind(), "there is room again, at {at}");
            }
            drop((db, docs));
            let found = found(fs.disk());
            assert!(found == behind() || written.is_err() && found == before(), "{kind:?} {at}");
            runs += 1;
            if !is_struck {
                break;
            }
        }
    }
    println!("{runs} runs");
}

/// Stops when it is asked for the time that it was made with.
struct CancelAt {
    asked: AtomicUsize,
    at: usize,
}

impl Observer for CancelAt {
    fn canceled(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed) >= self.at
    }
}

#[test]
fn whoever_cancels_finds_the_files_as_they_were() {
    let fs = SimFs::on(prepared());
    let (db, docs) = open(&fs);
    let older = files(&fs);
    let mut at = 0;
    while let Err(error) = write(&docs, &CancelAt { asked: AtomicUsize::new(0), at }) {
        assert_eq!(error.kind(), ErrorKind::Canceled, "{error:#}");
        assert_eq!(content(&docs), before(), "canceled at {at}");
        assert_eq!(files(&fs), older, "canceled at {at}");
        at += 1 + at / 4;
    }
    assert!(at > 1, "the build asks {at} times");
    assert_eq!(content(&docs), behind());
    drop((db, docs));
    assert_eq!(found(fs.disk()), behind());
}

/// What the disk is asked for, by the numbers of the calls and the bytes behind each.
#[test]
fn the_disk_sees_the_same_calls_each_time() {
    let disk = prepared();
    let calls = |_| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&seen);
        let fs = SimFs::on(disk.clone()).watched(move |fs, call| {
            let disk = fs.disk();
            let files = disk.files().map(|(path, bytes)| (path.to_owned(), bytes.len()));
            notes.lock().unwrap().push((call, files.collect::<Vec<_>>()));
        });
        let (db, docs) = open(&fs);
        write(&docs, &()).unwrap();
        drop((db, docs));
        std::mem::take(&mut *seen.lock().unwrap())
    };
    let runs: Vec<_> = (0..3).map(calls).collect();
    assert!(runs[0].len() > 20);
    assert!(runs.iter().all(|run| *run == runs[0]));
}
