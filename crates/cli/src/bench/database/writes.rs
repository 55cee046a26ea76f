//! What it takes to write: in bulk, one row at a time, and with a sync behind each.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use arrow_array::{Int64Array, RecordBatch, StringArray};
use loomdb::index::{Index, IndexParams};
use loomdb::{Batch, Collection, Database, Durability, OpenOptions, Schema};
use loomdb_graph::Vectors;
use serde::Serialize;

use super::super::inputs::Sample;
use super::super::statistics::percentile;
use super::{build_alone, head};

/// Values of the field `label`.
const LABELS: usize = 45;

/// About what a record of one row takes.
const SYNCED_BYTES: usize = 2_048;

/// All rows with metadata at once, and the graph of the same rows.
#[derive(Serialize)]
pub struct Bulk {
    pub rows: usize,
    pub build_seconds: f64,
    /// Until everything is synced.
    pub add_seconds: f64,
}

/// Rows one by one, each searchable at once.
#[derive(Serialize)]
pub struct Single {
    pub way: String,
    pub dim: usize,
    pub rows: usize,
    pub rows_per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
}

/// Threads that add synced rows one by one beside each other.
#[derive(Serialize)]
pub struct Synced {
    pub threads: usize,
    pub rows_per_second: f64,
}

pub fn collection(db: &Database, sample: &Sample) -> loomdb::Result<Collection> {
    db.collection("docs", Schema::new(sample.base.dim()).metric(sample.metric))
}

/// The first rows with a title and a label each.
pub fn batch(sample: &Sample, rows: usize) -> Result<Batch> {
    let vectors = head(&sample.base, rows)?;
    let rows = vectors.len();
    let titles = StringArray::from_iter_values((0..rows).map(|row| format!("title of row {row}")));
    let labels = Int64Array::from_iter_values((0..rows).map(|row| (row % LABELS) as i64));
    let metadata = RecordBatch::try_from_iter([
        ("title", Arc::new(titles) as _),
        ("label", Arc::new(labels) as _),
    ])?;
    Ok(Batch::new((0..rows as u64).collect::<Vec<_>>(), vectors)?.with_metadata(metadata)?)
}

pub fn bulk(sample: &Sample, rows: usize, path: &Path) -> Result<Bulk> {
    let vectors = head(&sample.base, rows)?;
    let started = Instant::now();
    let index = build_alone(vectors, sample.metric)?;
    let build_seconds = started.elapsed().as_secs_f64();
    drop(index);
    let batch = batch(sample, rows)?;
    let db = OpenOptions::new().durability(Durability::Buffered).open(path)?;
    let docs = collection(&db, sample)?;
    let started = Instant::now();
    docs.add(&batch)?;
    db.sync()?;
    let add_seconds = started.elapsed().as_secs_f64();
    Ok(Bulk { rows: batch.len(), build_seconds, add_seconds })
}

pub fn single(db: &Database, sample: &Sample, rows: usize, way: &str) -> Result<Single> {
    let docs = collection(db, sample)?;
    let dim = sample.base.dim();
    let rows = rows.min(sample.base.len());
    let batch = |row: usize| {
        let vectors = Vectors::from_flat(dim, sample.base.row(row))?;
        Batch::new(vec![row as u64], vectors)
    };
    let batches = (0..rows).map(batch).collect::<loomdb::Result<Vec<_>>>()?;
    let way = format!("collection, {way}");
    timed(way, dim, rows, |row| docs.add(&batches[row]).map(drop))
}

pub fn bare_index(sample: &Sample, rows: usize) -> Result<Single> {
    let dim = sample.base.dim();
    let index = Index::new(dim, sample.metric, IndexParams::default())?;
    let row = |row: usize| Vectors::from_flat(dim, sample.base.row(row));
    let vectors = (0..rows).map(row).collect::<Result<Vec<_>, _>>()?;
    timed("bare index".to_owned(), dim, rows, |row| index.add(&vectors[row]).map(drop))
}

fn timed(
    way: String,
    dim: usize,
    rows: usize,
    add: impl Fn(usize) -> loomdb::Result<()>,
) -> Result<Single> {
    let mut micros = Vec::with_capacity(rows);
    let started = Instant::now();
    for row in 0..rows {
        let before = Instant::now();
        add(row)?;
        micros.push(before.elapsed().as_secs_f64() * 1e6);
    }
    let rows_per_second = rows as f64 / started.elapsed().as_secs_f64();
    micros.sort_unstable_by(f64::total_cmp);
    let (p50_us, p99_us) = (percentile(&micros, 0.5), percentile(&micros, 0.99));
    Ok(Single { way, dim, rows, rows_per_second, p50_us, p99_us })
}

/// How often the disk syncs a few bytes behind a file.
pub fn bare_syncs(path: &Path, seconds: f64) -> Result<f64> {
    let mut file = File::create(path)?;
    let started = Instant::now();
    let mut syncs = 0;
    while started.elapsed().as_secs_f64() < seconds {
        file.write_all(&[7; SYNCED_BYTES])?;
        file.sync_data()?;
        syncs += 1;
    }
    Ok(f64::from(syncs) / started.elapsed().as_secs_f64())
}

pub fn synced(sample: &Sample, path: &Path, threads: usize, seconds: f64) -> Result<Synced> {
    let db = OpenOptions::new().durability(Durability::Synced).open(path)?;
    let docs = collection(&db, sample)?;
    let dim = sample.base.dim();
    let started = Instant::now();
    let write = |thread: usize| {
        let mut written = 0_usize;
        while started.elapsed() < Duration::from_secs_f64(seconds) {
            let row = (written * threads + thread) % sample.base.len();
            let vectors = Vectors::from_flat(dim, sample.base.row(row))?;
            let id = (written * threads + thread) as u64;
            docs.add(&Batch::new(vec![id], vectors)?)?;
            written += 1;
        }
        loomdb::Result::Ok(written)
    };
    let written = std::thread::scope(|scope| {
        let write = &write;
        let writers: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || write(thread))).collect();
        let joined = writers.into_iter().map(|writer| writer.join().expect("a writer panicked"));
        joined.sum::<loomdb::Result<usize>>()
    })?;
    Ok(Synced { threads, rows_per_second: written as f64 / started.elapsed().as_secs_f64() })
}
