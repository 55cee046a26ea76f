//! `loomdb bench open`: how long it takes to open a database, with every byte verified.
//!
//! The database is written, closed, and opened again and again, so its files are in the cache of
//! the system: what is measured is the work, not the disk. Each time a search is made, whose
//! answer must be that of before.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use loomdb::{Batch, Database, Metadata, OpenOptions, Schema};
use loomdb_graph::{MAX_DIM, MAX_ROWS, Metric};
use serde::Serialize;

use super::check_interrupt;
use super::inputs::Sample;
use super::statistics::percentile;
use crate::arguments;
use crate::output::Output;
use crate::quantity::count;
use crate::table::{Align, Table};

const NAME: &str = "bench";

#[derive(clap::Args)]
pub struct Arguments {
    /// File of vectors; without one, rows are made up
    #[arg(long, value_name = "FILE", requires = "metric")]
    base: Option<PathBuf>,
    /// How distances are measured
    #[arg(long, value_parser = arguments::metric())]
    metric: Option<Metric>,
    /// Rows of the database
    #[arg(long, default_value = "100000", value_parser = arguments::up_to(MAX_ROWS))]
    rows: usize,
    /// Dimension of rows that are made up
    #[arg(long, default_value = "128", conflicts_with = "base",
          value_parser = arguments::up_to(MAX_DIM))]
    dim: usize,
    /// How often it is opened
    #[arg(long, default_value = "9", value_parser = arguments::up_to(1_000))]
    repeat: usize,
}

#[derive(Serialize)]
struct Report {
    dataset: String,
    rows: usize,
    dim: usize,
    metric: &'static str,
    /// Bytes of all files.
    disk_bytes: u64,
    repeat: usize,
    open_p50_ms: f64,
    open_max_ms: f64,
    /// The time of a check of the same files.
    check_ms: f64,
}

/// # Errors
/// When the file cannot be used, or there is no room for the database.
pub fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let metric = arguments.metric.unwrap_or(Metric::L2);
    let sample = match &arguments.base {
        Some(base) => Sample::read(base, None, metric, arguments.rows)?,
        None => Sample::made(arguments.dim, arguments.rows, metric, 1)?,
    };
    let parent = tempfile::tempdir()?;
    let path = parent.path().join("bench.loom");
    write(&path, &sample)?;
    let started = Instant::now();
    let checked = loomdb::check(&path, &loomdb::CheckOptions::default())?;
    let check_ms = milliseconds(started);
    if let Some(finding) = checked.findings.first() {
        bail!("what was written is not sound: {finding}");
    }
    let mut times = Vec::new();
    let mut answers = Vec::new();
    for _ in 0..arguments.repeat {
        check_interrupt()?;
        let started = Instant::now();
        let db = OpenOptions::new().read_only().open(&path)?;
        times.push(milliseconds(started));
        let hits = db.existing_collection(NAME)?.search(sample.queries.row(0)).run()?;
        answers.push(hits.into_iter().map(|hit| (hit.id, hit.distance)).collect::<Vec<_>>());
    }
    if answers.iter().any(|answer| *answer != answers[0]) {
        bail!("the database gave different answers when it was opened again");
    }
    times.sort_unstable_by(f64::total_cmp);
    let [open_p50_ms, open_max_ms] = [0.5, 1.0].map(|share| percentile(&times, share));
    output.report(&Report {
        dataset: sample.dataset,
        rows: sample.base.len(),
        dim: sample.base.dim(),
        metric: metric.name(),
        disk_bytes: checked.len_bytes(),
        repeat: arguments.repeat,
        open_p50_ms,
        open_max_ms,
        check_ms,
    })
}

/// Writes the rows with ids and two fields of metadata, and closes the database.
fn write(path: &std::path::Path, sample: &Sample) -> Result<()> {
    let db = Database::open(path)?;
    let schema = Schema::new(sample.base.dim()).metric(sample.metric);
    let docs = db.collection(NAME, schema)?;
    let record = |row: usize| {
        let fields = [("title", format!("row {row}").into()), ("number", row.into())];
        fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect::<Metadata>()
    };
    let ids: Vec<String> = (0..sample.base.len()).map(|row| format!("id {row}")).collect();
    let records: Vec<Metadata> = (0..sample.base.len()).map(record).collect();
    docs.add(&Batch::new(ids, sample.base.clone())?.with_records(&records)?)?;
    db.commit()?;
    drop(docs);
    db.close()?;
    Ok(())
}

fn milliseconds(started: Instant) -> f64 {
    1_000.0 * started.elapsed().as_secs_f64()
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&[Align::Left, Align::Right]);
        table.row(["rows".to_owned(), count(self.rows as u64)]);
        table.row(["dim".to_owned(), self.dim.to_string()]);
        table.row(["on the disk".to_owned(), format!("{} MB", self.disk_bytes / 1_000_000)]);
        table.row(["open, p50".to_owned(), format!("{:.1} ms", self.open_p50_ms)]);
        table.row(["open, max".to_owned(), format!("{:.1} ms", self.open_max_ms)]);
        table.row(["check".to_owned(), format!("{:.1} ms", self.check_ms)]);
        write!(formatter, "{} under {}\n\n{table}", self.dataset, self.metric)
    }
}
