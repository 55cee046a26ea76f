//! `loomdb bench open`: how long it takes to open a database, with every byte verified, and to
//! answer the first queries.
//!
//! The database is written, closed, and opened again and again, so its files are in the cache of
//! the system: what is measured is the work, not the disk. With `--cold` it is opened with an empty
//! cache as well. Each time a search is made, whose answer must be that of before.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use loomdb::{Batch, Database, Id, Metadata, OpenOptions, Schema};
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

/// Where Linux is told to empty its cache.
const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";

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
    /// Also with an empty cache, which empties that of the whole system: on Linux, for root
    #[arg(long)]
    cold: bool,
}

/// What opening took, in milliseconds.
#[derive(Serialize)]
#[allow(clippy::struct_field_names, reason = "a unit stands last in every name of a report")]
struct Times {
    open_p50_ms: f64,
    open_max_ms: f64,
    /// The first query behind opening, and the same one again.
    first_query_p50_ms: f64,
    second_query_p50_ms: f64,
    /// The first look for an id, which makes the map of ids.
    first_get_p50_ms: f64,
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
    /// With all files in the cache of the system.
    warm: Times,
    /// With none of them there.
    cold: Option<Times>,
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
    let mut answers = Vec::new();
    let warm = measure(&path, &sample, (arguments.repeat, Cache::Warm), &mut answers)?;
    let cold = arguments
        .cold
        .then(|| measure(&path, &sample, (arguments.repeat, Cache::Cold), &mut answers));
    if answers.iter().any(|answer| *answer != answers[0]) {
        bail!("the database gave different answers when it was opened again");
    }
    output.report(&Report {
        dataset: sample.dataset,
        rows: sample.base.len(),
        dim: sample.base.dim(),
        metric: metric.name(),
        disk_bytes: checked.len_bytes(),
        repeat: arguments.repeat,
        warm,
        cold: cold.transpose()?,
        check_ms,
    })
}

/// Whether files are in the cache of the system.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cache {
    Warm,
    Cold,
}

/// What a query found.
type Answer = Vec<(Id, f32)>;

fn measure(
    path: &Path,
    sample: &Sample,
    (repeat, cache): (usize, Cache),
    answers: &mut Vec<Answer>,
) -> Result<Times> {
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..repeat {
        check_interrupt()?;
        if cache == Cache::Cold {
            std::fs::write(DROP_CACHES, "1").context("emptying the cache of the system")?;
        }
        let mut started = Instant::now();
        let db = OpenOptions::new().read_only().open(path)?;
        let docs = db.existing_collection(NAME)?;
        times[0].push(lap(&mut started));
        for times in &mut times[1..3] {
            let hits = docs.search(sample.queries.row(0)).run()?;
            times.push(lap(&mut started));
            answers.push(hits.into_iter().map(|hit| (hit.id, hit.distance)).collect());
        }
        let mut started = Instant::now();
        let is_there = docs.contains(&answers[0][0].0);
        times[3].push(lap(&mut started));
        if !is_there {
            bail!("the database does not find an id that it gave");
        }
    }
    for times in &mut times {
        times.sort_unstable_by(f64::total_cmp);
    }
    let [open, first, second, get] = &times;
    Ok(Times {
        open_p50_ms: percentile(open, 0.5),
        open_max_ms: percentile(open, 1.0),
        first_query_p50_ms: percentile(first, 0.5),
        second_query_p50_ms: percentile(second, 0.5),
        first_get_p50_ms: percentile(get, 0.5),
    })
}

/// Milliseconds since `started`, which begins anew.
fn lap(started: &mut Instant) -> f64 {
    let elapsed = milliseconds(*started);
    *started = Instant::now();
    elapsed
}

/// Writes the rows with ids and two fields of metadata, and closes the database.
fn write(path: &Path, sample: &Sample) -> Result<()> {
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
        table.row(["check".to_owned(), format!("{:.1} ms", self.check_ms)]);
        write!(formatter, "{} under {}\n\n{table}", self.dataset, self.metric)?;
        let mut table = Table::new(&[
            Align::Left,
            Align::Right,
            Align::Right,
            Align::Right,
            Align::Right,
            Align::Right,
        ]);
        let title = ["cache", "open p50 ms", "max", "first query", "second", "first id"];
        table.row(title.map(str::to_owned));
        for (name, times) in [("warm", Some(&self.warm)), ("cold", self.cold.as_ref())] {
            let Some(times) = times else { continue };
            table.row([
                name.to_owned(),
                format!("{:.1}", times.open_p50_ms),
                format!("{:.1}", times.open_max_ms),
                format!("{:.2}", times.first_query_p50_ms),
                format!("{:.2}", times.second_query_p50_ms),
                format!("{:.1}", times.first_get_p50_ms),
            ]);
        }
        write!(formatter, "\n{table}")
    }
}
