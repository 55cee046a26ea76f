//! Readers see whole batches, never go back, and see every write that has finished.
//!
//! The story: one thread writes batches of 64 points that all carry one number, others take
//! snapshots. In each snapshot all numbers are equal, none is lower than that of a write that had
//! finished before, none is higher than that of a write that had begun, and none is lower than the
//! reader has seen. Now and then the writer compacts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use loomdb::storage::RealFs;
use loomdb::{Batch, Durability, Ids, Metadata, Schema};
use loomdb_graph::{Metric, Vectors};

use crate::model::options;

const POINTS: usize = 64;
const RUN: Duration = Duration::from_secs(4);

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
    let read = || {
        let (mut last, mut count) = (0, 0);
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
            (last, count) = (stamps[0], count + 1);
        }
        count
    };
    let (reads, writes) = thread::scope(|scope| {
        let readers: Vec<_> = (0..8).map(|_| scope.spawn(read)).collect();
        let start = Instant::now();
        let mut stamp = 0;
        while start.elapsed() < RUN {
            stamp += 1;
            begun.store(stamp, Ordering::Release);
            write(stamp);
            finished.store(stamp, Ordering::Release);
            if stamp % 50 == 0 {
                docs.compact().unwrap();
            }
        }
        is_over.store(true, Ordering::Release);
        (readers.into_iter().map(|reader| reader.join().unwrap()).sum::<usize>(), stamp)
    });
    println!("{reads} reads beside {writes} writes");
    assert!(reads > 100 && writes > 50, "{reads} reads, {writes} writes");
}
