//! A full disk and failing calls lose nothing that was confirmed.
//!
//! The story: for every call of a workload and every sort of failure, that call fails, once or from
//! then on. A write that reports an error is not seen by readers, and those that report success
//! are. Then the disk is well again and the database is opened: what was confirmed is there. A
//! batch whose sync failed may be there too, because nobody can know, but only if nothing was
//! confirmed after it. The power may go first.

use std::sync::Arc;

use loomdb::{Durability, ErrorKind};
use loomdb_testkit::Random;

use crate::model::{Model, Op, content, open};
use crate::sim::{Fault, FaultKind, SimFs};
use crate::tier::{seed, times};

/// Runs the workload with a fault; whether it struck.
fn run(fault: Fault, durability: Durability, seed: u64) -> bool {
    let fs = SimFs::new();
    let mut model = Model::new();
    // Models that a reopened database may have instead.
    let mut doubtful: Vec<Model> = Vec::new();
    let mut synced = model.clone();
    let (db, docs) = open(Arc::new(fs.clone()), durability).unwrap();
    fs.set_fault(Some(fault));
    let mut random = Random::new(seed);
    let mut is_poisoned = false;
    for stamp in 0..40 {
        let op = Op::draw(&mut random);
        let Some(next) = op.applied(&model, stamp) else { continue };
        match op.run(&db, &docs, stamp) {
            Ok(()) => {
                assert!(!is_poisoned || next == model, "{fault:?}: written by a broken writer");
                model = next;
                doubtful.clear();
                if durability == Durability::Synced || matches!(op, Op::Sync | Op::Commit) {
                    synced.clone_from(&model);
                }
            }
            Err(error) => {
                assert!(
                    matches!(
                        error.kind(),
                        ErrorKind::Io | ErrorKind::StorageFull | ErrorKind::Poisoned
                    ),
                    "{fault:?}: {error:#}"
                );
                is_poisoned |= error.kind() == ErrorKind::Poisoned;
                if !is_poisoned {
                    doubtful.push(next);
                }
            }
        }
        assert_eq!(content(&docs), model, "{fault:?}: after {op:?}");
    }
    drop((db, docs));
    let struck = fs.struck() > 0;
    fs.set_fault(None);
    let (db, docs) = open(Arc::new(fs.clone()), durability)
        .unwrap_or_else(|error| panic!("{fault:?}: {error:#}"));
    let found = content(&docs);
    assert!(
        found == model || doubtful.contains(&found),
        "{fault:?}: {:?} instead of {:?}",
        found.keys(),
        model.keys()
    );
    drop((db, docs));
    if durability == Durability::Synced {
        let disk = fs.disk().crash(fault.at as u64);
        let (_db, docs) = open(Arc::new(SimFs::on(disk)), durability)
            .unwrap_or_else(|error| panic!("{fault:?}, then a crash: {error:#}"));
        assert_eq!(content(&docs), found, "{fault:?}");
    }
    struck
}

fn every_call(durability: Durability) -> usize {
    let mut runs = 0;
    let first = 5 * seed();
    for seed in first..first + times(2, 20, 200) as u64 {
        for kind in FaultKind::ERRORS {
            for and_later in [false, true] {
                for at in 0.. {
                    runs += 1;
                    if !run(Fault { kind, at, and_later }, durability, seed) {
                        break;
                    }
                }
            }
        }
    }
    println!("{runs} runs");
    runs
}

#[test]
fn no_failing_call_loses_a_synced_write() {
    assert!(every_call(Durability::Synced) > 500);
}

#[test]
fn no_failing_call_loses_a_buffered_write() {
    assert!(every_call(Durability::Buffered) > 300);
}

/// The cache of a system may hold what a failed sync did not write, and call it clean.
#[test]
fn what_a_failed_sync_lost_is_not_trusted_after_opening_again() {
    let fs = SimFs::new();
    let (db, docs) = open(Arc::new(fs.clone()), Durability::Buffered).unwrap();
    let mut model = Model::new();
    for stamp in 0..6 {
        let op = Op::Upsert(vec![stamp]);
        op.run(&db, &docs, stamp).unwrap();
        model = op.applied(&model, stamp).unwrap();
    }
    fs.set_fault(Some(Fault { kind: FaultKind::Sync, at: 0, and_later: false }));
    db.sync().unwrap_err();
    let error = Op::Delete(vec![1]).run(&db, &docs, 9).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned, "{error:#}");
    drop((db, docs));
    let (db, docs) = open(Arc::new(fs.clone()), Durability::Buffered).unwrap();
    let last = Op::Upsert(vec![50]);
    last.run(&db, &docs, 10).unwrap();
    model = last.applied(&model, 10).unwrap();
    db.sync().unwrap();
    for seed in 0..20 {
        let disk = fs.disk().crash(seed);
        let (_db, docs) = open(Arc::new(SimFs::on(disk)), Durability::Buffered).unwrap();
        assert_eq!(content(&docs), model, "crash {seed}");
    }
}
