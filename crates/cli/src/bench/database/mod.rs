//! `loomdb bench database`: what writing costs beside building, and readers beside a writer.
//!
//! Every figure has its counterpart: a bulk add the build of the same graph, a synced add the sync
//! of a bare file, readers beside a writer the same readers alone.

mod readers;
mod rewrite;
mod writes;

use std::fmt::{self, Display};
use std::path::PathBuf;

use anyhow::Result;
use loomdb::index::{Index, IndexParams};
use loomdb::{Compaction, Database, Durability, OpenOptions};
use loomdb_graph::{MAX_ROWS, Metric, Vectors};
use serde::Serialize;

use super::check_interrupt;
use super::inputs::Sample;
use crate::arguments;
use crate::output::Output;
use crate::quantity::count;
use crate::table::{Align, Table};
use readers::Readers;
use rewrite::Rewrite;
use writes::{Bulk, Single, Synced};

/// Rows behind those that readers search, as far as there are so many: half of them for a writer
/// beside them, half as queries, so that few of these come twice.
const FURTHER_ROWS: usize = 40_000;

/// Threads that write synced rows beside each other.
const SYNCED_THREADS: [usize; 3] = [1, 2, 8];

#[derive(clap::Args)]
pub struct Arguments {
    /// Rows to write, in any format that can be imported; made rows without it
    #[arg(long, requires = "metric")]
    base: Option<PathBuf>,
    /// How distances are measured
    #[arg(long, value_parser = arguments::metric())]
    metric: Option<Metric>,
    /// Rows of the bulk add, and those that readers search
    #[arg(long, default_value_t = 20_000, value_parser = arguments::up_to(MAX_ROWS))]
    rows: usize,
    /// Rows that are added one by one
    #[arg(long, default_value_t = 20_000, value_parser = arguments::up_to(MAX_ROWS))]
    single_rows: usize,
    /// Dimension of made rows
    #[arg(long, default_value_t = 384)]
    dim: usize,
    /// Where databases are made; a directory for temporary files without it
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Seconds for which threads write or read together
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

#[derive(Serialize)]
struct Report {
    dataset: String,
    dim: usize,
    metric: &'static str,
    cores: usize,
    bulk: Bulk,
    single: Vec<Single>,
    /// Syncs of 2 KiB behind a bare file, each second.
    bare_syncs_per_second: f64,
    synced: Vec<Synced>,
    readers: Readers,
    rewrites: Vec<Rewrite>,
}

/// # Errors
/// When an input cannot be used, or the disk refuses.
pub fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let parent = match &arguments.directory {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    let rows = arguments.rows.max(arguments.single_rows).saturating_add(FURTHER_ROWS);
    let sample = match (&arguments.base, arguments.metric) {
        (Some(base), Some(metric)) => Sample::read(base, None, metric, rows)?,
        (_, metric) => Sample::made(arguments.dim, rows, metric.unwrap_or(Metric::L2), 1)?,
    };
    let place = |name: &str| parent.path().join(name);
    let bulk = writes::bulk(&sample, arguments.rows, &place("bulk"))?;
    let mut single = Vec::new();
    for (durability, name) in [(Some(Durability::Buffered), "buffered"), (None, "memory")] {
        check_interrupt()?;
        let db = match durability {
            Some(durability) => OpenOptions::new().durability(durability).open(place(name))?,
            None => Database::in_memory()?,
        };
        single.push(writes::single(&db, &sample, arguments.single_rows, name)?);
    }
    let narrow = Sample::made(128, arguments.single_rows, Metric::L2, 1)?;
    single.push(writes::bare_index(&narrow, arguments.single_rows)?);
    let bare_syncs_per_second = writes::bare_syncs(&place("bare"), arguments.seconds)?;
    let mut synced = Vec::new();
    for threads in SYNCED_THREADS {
        check_interrupt()?;
        let path = place(&format!("synced-{threads}"));
        synced.push(writes::synced(&sample, &path, threads, arguments.seconds)?);
    }
    let path = place("readers");
    let readers = readers::measure(&sample, arguments.rows, &path, arguments.seconds)?;
    let mut rewrites = Vec::new();
    for compaction in [Compaction::BehindWrites, Compaction::InBackground] {
        check_interrupt()?;
        let path = place(&format!("rewrite-{compaction:?}"));
        rewrites.push(rewrite::measure(&sample, arguments.rows, &path, compaction)?);
    }
    output.report(&Report {
        dataset: sample.dataset,
        dim: sample.base.dim(),
        metric: sample.metric.name(),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        bulk,
        single,
        bare_syncs_per_second,
        synced,
        readers,
        rewrites,
    })
}

/// The first rows of a table.
fn head(vectors: &Vectors, rows: usize) -> loomdb::Result<Vectors> {
    let rows = rows.min(vectors.len());
    Ok(Vectors::from_flat(vectors.dim(), &vectors.as_flat()[..rows * vectors.dim()])?)
}

/// Builds the graph of some rows and nothing else.
fn build_alone(vectors: Vectors, metric: Metric) -> loomdb::Result<Index> {
    Index::build(vectors, metric, IndexParams::default(), &())
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dataset, dim, metric, cores, bulk, readers, .. } = self;
        writeln!(formatter, "{dataset}, dim {dim}, {metric}; cores {cores}")?;
        writeln!(
            formatter,
            "\n{} rows with metadata, all at once: {:.2} s until synced; the graph alone {:.2} s, \
             ratio {:.2}",
            count(bulk.rows as u64),
            bulk.add_seconds,
            bulk.build_seconds,
            bulk.add_seconds / bulk.build_seconds
        )?;
        let mut table = Table::new(&[Align::Left, Align::Right, Align::Right, Align::Right]);
        table.row(["one by one", "rows/s", "p50 us", "p99 us"].map(str::to_owned));
        for single in &self.single {
            table.row([
                format!("{}, dim {}", single.way, single.dim),
                count(single.rows_per_second as u64),
                format!("{:.1}", single.p50_us),
                format!("{:.1}", single.p99_us),
            ]);
        }
        write!(formatter, "\n{table}")?;
        let mut table = Table::new(&[Align::Right; 2]);
        table.row(["synced by threads", "rows/s"].map(str::to_owned));
        for synced in &self.synced {
            table.row([synced.threads.to_string(), count(synced.rows_per_second as u64)]);
        }
        let bare = count(self.bare_syncs_per_second as u64);
        write!(formatter, "\n{table}  syncs/s of a bare file: {bare}\n\n{readers}")?;
        let mut table = Table::new(&[Align::Left, Align::Right, Align::Right, Align::Right]);
        table.row(["rewritten", "rows left", "seconds", "longest write, ms"].map(str::to_owned));
        for Rewrite { way, rows, seconds, longest_ms, .. } in &self.rewrites {
            let (rows, seconds) = (count(*rows as u64), format!("{seconds:.2}"));
            table.row([(*way).to_owned(), rows, seconds, format!("{longest_ms:.1}")]);
        }
        write!(formatter, "\n{table}")
    }
}
