//! Readers see whole batches, never go back, and see every write that has finished.
//!
//! The story: one thread writes batches of 64 points that all carry one number, others take
//! snapshots. In each snapshot all numbers are equal, none is lower than that of a write that had
//! finished before, none is higher than that of a write that had begun, and none is lower than the
//! reader has seen. Now and then the writer compacts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use loomdb::storage::RealFs;
use loomdb::{Batch, Durability, Ids, Metadata, Schema};
use loomdb_graph::{Metric, Vectors};

use crate::model::options;
use crate::tier::times;

const POINTS: usize = 64;
/// Fewer reads and writes would show nothing, however slow the machine is.
const LEAST: usize = 100;

#[test]
fn snapshots_are_whole_and_in_order() {
    let parent = tempfile::tempdir().unwrap();
    let opened = options(Arc::new(RealFs), Durability::Buffered).open(parent.path().join("a.loom"));
    let db = opened.unwrap();
    let docs = db.collection("docs", Schema::new(2).metric(Metric::L2)).unwrap();
    let ids = Ids::from((0..POINTS as u64).collect::<Vec<_>>());
    let write = |stamp: u64| {
        let values = [stamp as f32, 1.0].repeat(POINTS);
        let record: Metadata = serde_json::from_value(serde_json::json!({"stamp": stamp})).unwrap();
        let vectors = Vectors::from_flat(2, &values).unwrap();
        let batch = Batch::new(ids.clone(), vectors).unwrap();
        docs.upsert(&batch.with_records(&vec![record; POINTS]).unwrap()).unwrap();
    };
    write(0);
    let (begun, finished, is_over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let reads = AtomicUsize::new(0);
    let read = || {
        let mut last = 0;
        while !is_over.load(Ordering::Acquire) {
            let low = finished.load(Ordering::Acquire).max(last);
            let snapshot = docs.snapshot();
            let high = begun.load(Ordering::Acquire);
            let points = snapshot.get(&ids);
            let stamps: Vec<u64> = points
                .iter()
                .map(|point| point.as_ref().unwrap().metadata["stamp"].as_u64().unwrap())
                .collect();
            assert!(stamps.iter().all(|stamp| *stamp == stamps[0]), "{stamps:?}");
            assert!((low..=high).contains(&stamps[0]), "{low} <= {} <= {high}", stamps[0]);
            assert_eq!(snapshot.len(), POINTS);
            let hits = snapshot.search(&[0.0, 0.0]).k(POINTS).run().unwrap();
            assert_eq!(hits.len(), POINTS);
            assert!(hits.iter().all(|hit| hit.metadata["stamp"].as_u64() == Some(stamps[0])));
            last = stamps[0];
            reads.fetch_add(1, Ordering::Relaxed);
        }
    };
    let writes = thread::scope(|scope| {
        let readers: Vec<_> = (0..8).map(|_| scope.spawn(read)).collect();
        let start = Instant::now();
        let mut stamp = 0;
        let run = Duration::from_secs(times(4, 600, 7_200) as u64);
        let is_enough = |stamp: u64| {
            let is_counted = reads.load(Ordering::Relaxed) >= LEAST && stamp >= LEAST as u64;
            start.elapsed() >= run && is_counted
        };
        // A reader ends early only when it found something wrong.
        while !is_enough(stamp) && !readers.iter().any(thread::ScopedJoinHandle::is_finished) {
            stamp += 1;
            begun.store(stamp, Ordering::Release);
            write(stamp);
            finished.store(stamp, Ordering::Release);
            if stamp % 50 == 0 {
                docs.compact().unwrap();
            }
        }
        is_over.store(true, Ordering::Release);
        for reader in readers {
            reader.join().unwrap();
        }
        stamp
    });
    println!("{} reads beside {writes} writes", reads.into_inner());
}
