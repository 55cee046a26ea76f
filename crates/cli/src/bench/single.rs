//! `loomdb bench single`: a database that grows row by row, each found as soon as it is there.
//!
//! Writes are buffered, as in databases that do not sync each of them: a row survives the death
//! of the process, not the loss of power. Only the time within the calls that add counts; what the
//! database links in the background on other cores does not, and is reported as rows in the graph.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use loomdb::index::IndexParams;
use loomdb::{Batch, Collection, Durability, Id, OpenOptions, Schema};
use loomdb_graph::{MAX_ROWS, Metric, Vectors};
use serde::Serialize;

use super::check_interrupt;
use super::inputs::{name_of, read_rows};
use super::memory::peak_rss_mib;
use super::queries::Searched;
use super::statistics::Seconds;
use crate::arguments;
use crate::output::Output;
use crate::quantity::{count, rate, seconds};

/// Every so many-th row is asked for right after its call, outside of the timing.
const PROBE_EVERY: usize = 100;

#[derive(clap::Args)]
pub struct Arguments {
    /// File of vectors to add
    #[arg(long, value_name = "FILE")]
    base: PathBuf,
    /// How distances are measured
    #[arg(long, value_parser = arguments::metric())]
    metric: Metric,
    /// Rows to add
    #[arg(long, default_value = "10000", value_parser = arguments::up_to(MAX_ROWS))]
    rows: usize,
    /// Threads that link in the background; 0 stands for one for each core
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Databases to fill
    #[arg(long, default_value = "1", value_parser = arguments::up_to(1_000_000))]
    repeat: usize,
}

#[derive(Serialize)]
struct Report {
    dataset: String,
    n: usize,
    dim: usize,
    metric: &'static str,
    threads: usize,
    /// Within the calls that add.
    build_seconds: Seconds,
    vectors_per_second: f64,
    /// The share of the rows asked for that were found right after their call.
    found_at_once: f64,
    /// Rows that were linked when the last call returned; the others are scanned.
    graph_rows: usize,
    peak_rss_mib: Option<f64>,
    instruction_set: &'static str,
    /// None: rows are asked for on the way.
    searches: Vec<Searched>,
}

/// One database that was filled.
struct Filled {
    seconds: f64,
    found_at_once: f64,
    graph_rows: usize,
}

/// # Errors
/// When the file cannot be used, or there is no room for the database.
pub fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let rows = read_rows(&arguments.base, Some(arguments.rows))?;
    let fill = |_| arguments.fill(&rows);
    let filled = (0..arguments.repeat).map(fill).collect::<Result<Vec<_>>>()?;
    let build_seconds = Seconds::new(filled.iter().map(|filled| filled.seconds).collect());
    let least = filled.iter().map(|filled| filled.found_at_once).fold(1.0, f64::min);
    output.report(&Report {
        dataset: name_of(&arguments.base),
        n: rows.len(),
        dim: rows.dim(),
        metric: arguments.metric.name(),
        threads: arguments.threads,
        vectors_per_second: rate(rows.len(), build_seconds.median),
        build_seconds,
        found_at_once: least,
        graph_rows: filled[filled.len() - 1].graph_rows,
        peak_rss_mib: peak_rss_mib(),
        instruction_set: loomdb_graph::instruction_set(),
        searches: Vec::new(),
    })
}

impl Arguments {
    /// Fills a database in a directory of its own, which is removed again.
    fn fill(&self, rows: &Vectors) -> Result<Filled> {
        let directory = tempfile::tempdir()?;
        let index = IndexParams { threads: self.threads, ..IndexParams::default() };
        let options = OpenOptions::new().durability(Durability::Buffered).index(index);
        let database = options.open(directory.path().join("single.loom"))?;
        let schema = Schema::new(rows.dim()).metric(self.metric);
        let filled = add_one_by_one(&database.collection("rows", schema)?, rows)?;
        database.close()?;
        Ok(filled)
    }
}

fn add_one_by_one(collection: &Collection, rows: &Vectors) -> Result<Filled> {
    let (mut seconds, mut probed, mut found) = (0.0, 0_usize, 0_usize);
    for row in 0..rows.len() {
        let vector = rows.row(row);
        let batch = Batch::new(vec![row as u64], Vectors::from_flat(rows.dim(), vector)?)?;
        let started = Instant::now();
        collection.add(&batch)?;
        seconds += started.elapsed().as_secs_f64();
        if row % PROBE_EVERY == 0 {
            check_interrupt()?;
            probed += 1;
            found += usize::from(is_found(collection, row as u64, vector)?);
        }
    }
    let index = collection.info().index;
    let graph_rows = index.map_or(0, |index| index.graph_rows);
    Ok(Filled { seconds, found_at_once: found as f64 / probed as f64, graph_rows })
}

/// Whether a row is nearest to itself.
fn is_found(collection: &Collection, row: u64, vector: &[f32]) -> loomdb::Result<bool> {
    let hits = collection.search(vector).k(1).run()?;
    Ok(hits.first().is_some_and(|hit| hit.id == Id::from(row)))
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = count(self.n as u64);
        writeln!(formatter, "{}: {rows} x {}, {}", self.dataset, self.dim, self.metric)?;
        let (total, speed) =
            (seconds(self.build_seconds.median), count(self.vectors_per_second as u64));
        writeln!(formatter, "one row a call: {total} in calls, {speed} vectors/s, not synced")?;
        let percent = 100.0 * self.found_at_once;
        let linked = count(self.graph_rows as u64);
        write!(formatter, "found at once: {percent:.0} %; linked at the end: {linked} rows")
    }
}

#[cfg(test)]
mod tests {
    use loomdb::{Database, Schema};
    use loomdb_graph::Metric;

    use super::add_one_by_one;
    use crate::bench::made::Mixture;

    #[test]
    fn every_row_is_added_and_found_at_once() {
        let rows = Mixture::new(8, 1).rows(350).unwrap();
        let database = Database::in_memory().unwrap();
        let schema = Schema::new(8).metric(Metric::L2);
        let collection = database.collection("rows", schema).unwrap();
        let filled = add_one_by_one(&collection, &rows).unwrap();
        assert_eq!(collection.count(), 350);
        assert_eq!(filled.found_at_once, 1.0);
        assert!(filled.seconds > 0.0);
    }
}
