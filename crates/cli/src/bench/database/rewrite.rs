//! How long writes wait while a collection is rewritten without its dead rows: beside the thread
//! that does it, and when the write that makes it due does it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use loomdb::{Batch, Compaction, Durability, Ids, OpenOptions};
use loomdb_graph::Vectors;
use serde::Serialize;

use super::super::inputs::Sample;
use super::writes::{batch, collection};

/// How long the writer does nothing.
const BETWEEN_WRITES: Duration = Duration::from_millis(1);

/// Writes during one rewrite.
#[derive(Serialize)]
pub struct Rewrite {
    pub way: &'static str,
    /// Rows that stay.
    pub rows: usize,
    /// Until the rewrite is over.
    pub seconds: f64,
    /// Writes until then.
    pub writes: usize,
    pub longest_ms: f64,
}

pub fn measure(
    sample: &Sample,
    rows: usize,
    path: &Path,
    compaction: Compaction,
) -> Result<Rewrite> {
    let options = OpenOptions::new().durability(Durability::Buffered).compaction(compaction);
    let db = options.open(path)?;
    let docs = collection(&db, sample)?;
    let rows = docs.add(&batch(sample, rows)?)?.len();
    let dead = (rows / 2) as u64;
    docs.delete(&Ids::from((0..dead).collect::<Vec<_>>()))?;
    let is_over = AtomicBool::new(false);
    let started = Instant::now();
    // More than half makes it due, and the rows that are added meanwhile leave it due.
    let dead = dead + (rows / 10) as u64;
    docs.delete(&Ids::from((rows as u64 / 2..dead).collect::<Vec<_>>()))?;
    let mut longest = started.elapsed();
    let writes = std::thread::scope(|scope| {
        scope.spawn(|| {
            db.wait_for_compaction();
            is_over.store(true, Ordering::Relaxed);
        });
        let mut writes = 1;
        while !is_over.load(Ordering::Relaxed) {
            let row = sample.base.row((rows + writes) % sample.base.len());
            let one = Batch::without_ids(Vectors::from_flat(sample.base.dim(), row)?);
            let before = Instant::now();
            docs.add(&one)?;
            longest = longest.max(before.elapsed());
            writes += 1;
            // At full speed a writer would soon wait for the linking of what it wrote.
            std::thread::sleep(BETWEEN_WRITES);
        }
        loomdb::Result::Ok(writes)
    })?;
    let seconds = started.elapsed().as_secs_f64();
    let left = docs.info().deleted_rows;
    anyhow::ensure!(left == 0, "{left} dead rows are left: {:?}", db.warnings());
    let way = match compaction {
        Compaction::InBackground => "on a thread beside",
        Compaction::BehindWrites => "behind the write",
    };
    let longest_ms = longest.as_secs_f64() * 1e3;
    Ok(Rewrite { way, rows: rows - dead as usize, seconds, writes, longest_ms })
}
