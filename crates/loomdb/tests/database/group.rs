//! Writers that wait for the disk at the same time share one sync.
//!
//! The story: eight threads write synced points to a disk that takes its time. Everybody's points
//! are there, also for a reader that opens the database after the power went; who was refused was
//! refused alone; and there were fewer syncs than writes.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use loomdb::{Batch, Durability, ErrorKind, Ids};
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
