//! A collection is rewritten while others write to it, and nobody waits or loses anything.
//!
//! The story: a compaction is asked between its steps whether to go on, and each time somebody
//! writes: points are replaced, deleted and added, fields come up, the database is committed. What
//! is there in the end is what all writes made of it, in memory, on the disk, and when any call
//! failed. Then the same on a thread of its own, with the database closed in the middle of it.
//! That the power may go before any call is in `crash`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use loomdb::index::IndexParams;
use loomdb::storage::RealFs;
use loomdb::{
    Batch, Collection, Compaction, Database, Durability, ErrorKind, Ids, OpenOptions, Schema,
};
use loomdb_graph::{Metric, Observer, Phase, Vectors};
use loomdb_testkit::Random;

use crate::model::{
    DIM, Model, NAME, Op, ROOT, check, compact_beside, content, ids, open, options,
};
use crate::sim::{Fault, FaultKind, SimFs};
use crate::tier::{seed, times};

/// Random operations that are not refused; a compaction within one would wait for itself.
fn ops(random: &mut Random, model: &mut Model, stamps: std::ops::Range<u64>) -> Vec<(u64, Op)> {
    let mut ops = Vec::new();
    for stamp in stamps {
        let op = Op::draw(random);
        let Some(next) = op.applied(model, stamp) else { continue };
        if !matches!(op, Op::Compact) {
            *model = next;
            ops.push((stamp, op));
        }
    }
    ops
}

fn run_all(db: &Database, docs: &Collection, ops: &[(u64, Op)]) {
    for (stamp, op) in ops {
        op.run(db, docs, *stamp).unwrap();
    }
}

fn in_memory() -> (Database, Collection) {
    let db = options(Arc::new(SimFs::new()), Durability::Synced).in_memory().unwrap();
    let docs = db.collection(NAME, Schema::new(DIM).metric(Metric::L2)).unwrap();
    (db, docs)
}

#[test]
fn what_is_written_between_the_steps_is_there() {
    for seed in 100 * seed()..100 * seed() + times(40, 1_000, 10_000) as u64 {
        let fs = SimFs::new();
        let (db, docs) = match seed % 3 {
            0 => open(Arc::new(fs.clone()), Durability::Synced).unwrap(),
            1 => open(Arc::new(fs.clone()), Durability::Buffered).unwrap(),
            _ => in_memory(),
        };
        let (mut random, mut model) = (Random::new(seed), Model::new());
        run_all(&db, &docs, &ops(&mut random, &mut model, 0..30));
        let older = (docs.snapshot(), model.clone());
        let between = Mutex::new(ops(&mut random, &mut model, 30..45));
        compact_beside(&docs, &|| {
            let mut left = between.lock().unwrap();
            let now = left.len().min(4);
            run_all(&db, &docs, &left.drain(..now).collect::<Vec<_>>());
        })
        .unwrap();
        run_all(&db, &docs, &between.into_inner().unwrap());
        check(&docs, &model, seed);
        assert_eq!(older.0.len(), older.1.len(), "an older snapshot stays as it was");
        if seed % 3 < 2 {
            db.close().unwrap();
            let (_db, docs) = open(Arc::new(fs.clone()), Durability::Synced).unwrap();
            check(&docs, &model, seed);
        }
    }
}

/// A collection that is dropped meanwhile stays dropped, and leaves no files.
#[test]
fn a_collection_that_goes_meanwhile_is_gone() {
    let fs = SimFs::new();
    let (db, docs) = open(Arc::new(fs.clone()), Durability::Synced).unwrap();
    Op::Upsert((0..50).collect()).run(&db, &docs, 1).unwrap();
    db.commit().unwrap();
    let is_dropped = AtomicBool::new(false);
    let error = compact_beside(&docs, &|| {
        if !is_dropped.swap(true, Ordering::Relaxed) {
            db.drop_collection(NAME).unwrap();
        }
    });
    assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
    let disk = fs.disk();
    let is_segment = |path: &Path| path.to_str().unwrap().contains("seg-");
    assert!(disk.files().all(|(path, _)| !is_segment(path)), "files are left");
    let docs = db.collection(NAME, Schema::new(DIM)).unwrap();
    assert_eq!(docs.count(), 0);
}

/// Whether a fault struck.
fn run_with(fault: Fault, durability: Durability) -> bool {
    let fs = SimFs::new();
    let (db, docs) = open(Arc::new(fs.clone()), durability).unwrap();
    let before = Op::Upsert((0..60).collect());
    before.run(&db, &docs, 1).unwrap();
    db.commit().unwrap();
    let state = Mutex::new((before.applied(&Model::new(), 1).unwrap(), Vec::new(), 2));
    let writes = [Op::Upsert(vec![3, 4, 70]), Op::Delete(vec![5, 70]), Op::Add(vec![80, 81])];
    fs.set_fault(Some(fault));
    let write = || {
        let (model, doubtful, stamp) = &mut *state.lock().unwrap();
        let Some(op) = writes.get(*stamp - 2) else { return };
        *stamp += 1;
        let next = op.applied(model, *stamp as u64);
        match op.run(&db, &docs, *stamp as u64) {
            Ok(()) => {
                doubtful.clear();
                *model = next.unwrap();
            }
            Err(error) if error.kind() == ErrorKind::Poisoned => {}
            Err(_) => doubtful.extend(next),
        }
        assert_eq!(content(&docs), *model, "{fault:?}");
    };
    compact_beside(&docs, &write).ok();
    let (model, doubtful, _) = state.into_inner().unwrap();
    assert_eq!(content(&docs), model, "{fault:?}");
    let struck = fs.struck() > 0;
    fs.set_fault(None);
    drop((db, docs));
    let (db, docs) = open(Arc::new(fs.clone()), durability).unwrap();
    let found = content(&docs);
    assert!(found == model || doubtful.contains(&found), "{fault:?}: {:?}", found.keys());
    db.sync().unwrap();
    let disk = fs.disk().crash(fault.at as u64);
    drop((db, docs));
    let (_db, docs) = open(Arc::new(SimFs::on(disk)), durability).unwrap();
    assert_eq!(content(&docs), found, "{fault:?}");
    struck
}

#[test]
fn no_failing_call_loses_what_was_confirmed() {
    let mut runs = 0;
    for durability in [Durability::Synced, Durability::Buffered] {
        for kind in FaultKind::ERRORS {
            for and_later in [false, true] {
                for at in 0.. {
                    runs += 1;
                    if !run_with(Fault { kind, at, and_later }, durability) {
                        break;
                    }
                }
            }
        }
    }
    println!("{runs} runs");
    assert!(runs > 200, "{runs}");
}

const ROWS: u64 = 3_000;

/// Waits in the middle of a build until it is let go.
#[derive(Default)]
struct Gate {
    has_begun: AtomicBool,
    is_open: AtomicBool,
}

impl Observer for Gate {
    fn progress(&self, _: Phase, _: usize, _: usize) {
        self.has_begun.store(true, Ordering::Release);
    }

    fn canceled(&self) -> bool {
        while self.has_begun.load(Ordering::Acquire) && !self.is_open.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }
}

fn batch(ids: std::ops::Range<u64>) -> Batch {
    let values: Vec<f32> = ids.clone().flat_map(|id| [id as f32, (id % 7) as f32]).collect();
    Batch::new(ids.collect::<Vec<_>>(), Vectors::from_flat(2, &values).unwrap()).unwrap()
}

fn open_at(path: &Path, gate: &Arc<Gate>) -> (Database, Collection) {
    let index = IndexParams { flat_limit: Some(500), ..IndexParams::default() };
    let options = OpenOptions::new().file_system(Arc::new(RealFs)).index(index);
    let options = options.compaction(Compaction::InBackground).observer(gate.clone());
    let db = options.durability(Durability::Buffered).open(path).unwrap();
    let docs = db.collection(NAME, Schema::new(2).metric(Metric::L2)).unwrap();
    (db, docs)
}

fn delete_most(docs: &Collection) {
    docs.delete(&Ids::from((0..=ROWS / 2).collect::<Vec<u64>>())).unwrap();
}

fn found(docs: &Collection) -> BTreeSet<u64> {
    ids(docs).into_iter().collect()
}

/// The write that makes it due returns while the build waits, and so do those behind it.
#[test]
fn writes_do_not_wait_for_the_build() {
    let parent = tempfile::tempdir().unwrap();
    let gate = Arc::new(Gate::default());
    let (db, docs) = open_at(&parent.path().join("a.loom"), &gate);
    docs.add(&batch(0..ROWS)).unwrap();
    delete_most(&docs);
    let waited = Instant::now();
    while !gate.has_begun.load(Ordering::Acquire) {
        assert!(waited.elapsed() < Duration::from_mins(1), "nothing is rewritten");
        std::thread::sleep(Duration::from_millis(1));
    }
    docs.upsert(&batch(ROWS - 10..ROWS + 10)).unwrap();
    docs.delete(&Ids::from(vec![ROWS - 1, ROWS + 9])).unwrap();
    db.sync().unwrap();
    assert_eq!(docs.info().deleted_rows as u64, ROWS / 2 + 1 + 10 + 2);
    gate.is_open.store(true, Ordering::Release);
    db.wait_for_compaction();
    let expected: BTreeSet<u64> = (ROWS / 2 + 1..ROWS + 9).filter(|id| *id != ROWS - 1).collect();
    // The replaced and deleted ones of the rewritten rows, and the row that came and went.
    assert_eq!((found(&docs), docs.info().deleted_rows), (expected.clone(), 10));
    let hits = docs.search(&[ROWS as f32 + 8.0, ((ROWS + 8) % 7) as f32]).k(1).run().unwrap();
    assert_eq!((hits[0].id.to_string(), hits[0].distance), ((ROWS + 8).to_string(), 0.0));
    assert!(db.warnings().is_empty(), "{:?}", db.warnings());
    db.close().unwrap();
    drop(docs);
    let (_db, docs) = open_at(&parent.path().join("a.loom"), &gate);
    assert_eq!(found(&docs), expected);
}

/// Closing stops the rewrite, and the next one opens the database at once.
#[test]
fn closing_in_the_middle_is_safe() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("a.loom");
    let gate = Arc::new(Gate::default());
    gate.is_open.store(true, Ordering::Release);
    let (db, docs) = open_at(&path, &gate);
    docs.add(&batch(0..ROWS)).unwrap();
    drop((db, docs));
    for round in 0..8 {
        let (db, docs) = open_at(&path, &gate);
        docs.upsert(&batch(0..ROWS)).unwrap();
        delete_most(&docs);
        std::thread::sleep(Duration::from_millis(5 * round));
        drop((docs, db));
        let (_db, docs) = open_at(&path, &gate);
        assert_eq!(found(&docs), (ROWS / 2 + 1..ROWS).collect(), "round {round}");
    }
    let report = loomdb::check(&path, &loomdb::CheckOptions::default()).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
}

/// The next one may have the directory as soon as it is unlocked.
#[test]
fn nothing_is_written_behind_closing() {
    let fs = SimFs::new().watched(|_, _| std::thread::sleep(Duration::from_millis(1)));
    let options = options(Arc::new(fs.clone()), Durability::Synced);
    let db = options.compaction(Compaction::InBackground).open(ROOT).unwrap();
    let docs = db.collection(NAME, Schema::new(DIM).metric(Metric::L2)).unwrap();
    Op::Upsert((0..60).collect()).run(&db, &docs, 1).unwrap();
    db.commit().unwrap();
    let segments = || {
        let disk = fs.disk();
        disk.files().filter(|(path, _)| path.ends_with("vectors.npy")).count()
    };
    assert_eq!(segments(), 1);
    Op::Delete((0..40).collect()).run(&db, &docs, 2).unwrap();
    let waited = Instant::now();
    while segments() == 1 {
        assert!(waited.elapsed() < Duration::from_mins(1), "nothing is rewritten");
        std::thread::yield_now();
    }
    drop((docs, db));
    let calls = fs.calls();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(fs.calls(), calls);
    let (_db, docs) = open(Arc::new(fs), Durability::Synced).unwrap();
    assert_eq!(content(&docs).into_keys().collect::<Vec<_>>(), (40..60).collect::<Vec<_>>());
}
