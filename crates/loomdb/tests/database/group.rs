//! Writers that wait for the disk at the same time share one sync.
//!
//! The story: eight threads write synced points to a disk that takes its time. Everybody's points
//! are there, also for a reader that opens the database after the power went; who was refused was
//! refused alone; and there were fewer syncs than writes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use loomdb::{Batch, Durability, ErrorKind, Id, Ids, Metadata};
use loomdb_graph::Vectors;

use crate::model::{DIM, open};
use crate::sim::SimFs;

const THREADS: u64 = 8;
const WRITES: u64 = 30;

#[test]
fn threads_share_syncs_and_nothing_else() {
    let fs = SimFs::new().watched(|_, _| thread::sleep(Duration::from_micros(300)));
    let (db, docs) = open(Arc::new(fs.clone()), Durability::Synced).unwrap();
    let point = |id: u64| {
        let vectors = Vectors::from_flat(DIM, &[id as f32; DIM]).unwrap();
        Batch::new(vec![id], vectors).unwrap()
    };
    docs.add(&point(0)).unwrap();
    let before = fs.calls();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (docs, point) = (&docs, &point);
            scope.spawn(move || {
                for write in 0..WRITES {
                    let id = 1 + thread * WRITES + write;
                    assert_eq!(docs.add(&point(id)).unwrap(), Ids::from(vec![id]));
                    // Its own writes are visible at once.
                    assert!(docs.contains(&id.into()));
                    if write % 10 == 0 {
                        let error = docs.add(&point(0)).unwrap_err();
                        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
                    }
                }
            });
        }
    });
    let (writes, calls) = (THREADS * WRITES, (fs.calls() - before) as u64);
    println!("{writes} synced writes by {THREADS} threads took {calls} calls");
    assert!(calls >= writes, "each has a record");
    assert!(calls < writes + writes / 2, "{calls} calls: the threads share no syncs");
    assert_eq!(docs.count() as u64, 1 + writes);
    let made_up = docs.add(&Batch::without_ids(Vectors::from_flat(DIM, &[0.5; DIM]).unwrap()));
    assert_eq!(made_up.unwrap(), Ids::from(vec![writes + 1]));
    drop((docs, db));
    let (_db, docs) = open(Arc::new(fs), Durability::Synced).unwrap();
    for id in 0..writes + 2 {
        assert!(docs.contains(&id.into()), "{id} is lost");
    }
}

/// Deletions and updates are small writes like others.
#[test]
fn deletions_and_updates_share_syncs_too() {
    let fs = SimFs::new().watched(|_, _| thread::sleep(Duration::from_micros(300)));
    let (db, docs) = open(Arc::new(fs.clone()), Durability::Synced).unwrap();
    let points = 2 * THREADS * WRITES;
    let vectors = Vectors::from_flat(DIM, &vec![0.5; points as usize * DIM]).unwrap();
    docs.add(&Batch::new((0..points).collect::<Vec<_>>(), vectors).unwrap()).unwrap();
    let turn = |id: u64| Metadata::from_iter([("turn".to_owned(), id.into())]);
    let before = fs.calls();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (docs, turn) = (&docs, &turn);
            scope.spawn(move || {
                for write in 0..WRITES {
                    let gone = 2 * (thread * WRITES + write);
                    assert_eq!(docs.delete(&Ids::from(vec![gone])).unwrap(), 1);
                    docs.update_records(&Ids::from(vec![gone + 1]), &[turn(gone)]).unwrap();
                    if write % 10 == 0 {
                        assert_eq!(docs.delete(&Ids::from(vec![gone])).unwrap(), 0);
                        let refused = docs.update_records(&Ids::from(vec![gone]), &[turn(gone)]);
                        assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
                    }
                }
            });
        }
    });
    let (writes, calls) = (points, (fs.calls() - before) as u64);
    println!("{writes} deletions and updates by {THREADS} threads took {calls} calls");
    assert!(calls >= writes && calls < writes + writes / 2, "{calls} calls for {writes} writes");
    drop((docs, db));
    let (_db, docs) = open(Arc::new(fs), Durability::Synced).unwrap();
    assert_eq!(docs.count() as u64, points / 2);
    for point in docs.snapshot().scan(0, usize::MAX).points {
        let Id::Integer(id) = point.id else { panic!("{:?} is no integer", point.id) };
        assert_eq!(point.metadata, turn(id - 1));
    }
}

/// A write is made of what the writes before it in its group leave, not of what was there before.
#[test]
fn threads_that_want_the_same_point_see_each_other() {
    let fs = SimFs::new().watched(|_, _| thread::sleep(Duration::from_micros(300)));
    let (_db, docs) = open(Arc::new(fs), Durability::Synced).unwrap();
    let point = |id: u64| {
        let vectors = Vectors::from_flat(DIM, &[id as f32; DIM]).unwrap();
        Batch::new(vec![id], vectors).unwrap()
    };
    docs.add(&point(0)).unwrap();
    let (barrier, added) = (Barrier::new(THREADS as usize), AtomicU64::new(0));
    let field = |thread: u64| format!("field {thread}");
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (docs, point, barrier, added) = (&docs, &point, &barrier, &added);
            scope.spawn(move || {
                for write in 0..WRITES {
                    barrier.wait();
                    match docs.add(&point(1 + write)) {
                        Ok(_) => drop(added.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists),
                    }
                    let record = Metadata::from_iter([(field(thread), write.into())]);
                    docs.update_records(&Ids::from(vec![0]), &[record]).unwrap();
                }
            });
        }
    });
    assert_eq!(added.into_inner(), WRITES, "one thread adds each of them");
    let point = docs.get(&Ids::from(vec![0])).remove(0).unwrap();
    let last = (0..THREADS).map(|thread| (field(thread), (WRITES - 1).into()));
    assert_eq!(point.metadata, last.collect::<Metadata>());
}
