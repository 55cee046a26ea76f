//! `loomdb bench adaptive`: single calls of an index that grows past its flat limit.
//!
//! The index changes its ways on the way: it scans, then it links its rows in the background,
//! then it links further rows in chunks. None of that may show as a cliff, neither in the time
//! of one call nor in the searches just behind it. Between segments the searches are measured,
//! which gives linking in the background some time.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use loomdb::index::{Index, IndexParams, flat_limit};
use loomdb_graph::{MAX_DIM, MAX_ROWS, Metric, Vectors};
use serde::Serialize;

use super::check_interrupt;
use super::inputs::Sample;
use super::queries::{K, time_once};
use super::statistics::percentile;
use crate::arguments;
use crate::output::Output;
use crate::quantity::{count, rate, seconds};
use crate::table::{Align, Table};

const EF_SEARCH: usize = 64;

/// Rows that are reported together.
const SEGMENT_ROWS: usize = 250;

/// The ways to add the same rows: rows of one call.
const CALL_ROWS: [(&str, usize); 3] =
    [("one at a time", 1), ("hundreds", 100), ("all at once", MAX_ROWS)];

#[derive(clap::Args)]
pub struct Arguments {
    /// File of vectors; without one, rows are made up
    #[arg(long, value_name = "FILE", requires = "metric")]
    base: Option<PathBuf>,
    /// How distances are measured
    #[arg(long, value_parser = arguments::metric())]
    metric: Option<Metric>,
    /// Rows to add
    #[arg(long, default_value = "5000", value_parser = arguments::up_to(MAX_ROWS))]
    rows: usize,
    /// Dimension of rows that are made up
    #[arg(long, default_value = "128", conflicts_with = "base",
          value_parser = arguments::up_to(MAX_DIM))]
    dim: usize,
    /// Rows up to which the index stays an exact scan [default: by dimension]
    #[arg(long, value_name = "ROWS")]
    flat_limit: Option<usize>,
    /// Threads of the index; 0 stands for one for each core
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Where every random choice comes from
    #[arg(long, default_value_t = IndexParams::default().seed)]
    seed: u64,
}

#[derive(Serialize)]
struct Report {
    dataset: String,
    rows: usize,
    dim: usize,
    metric: &'static str,
    flat_limit: usize,
    ef_search: usize,
    queries: usize,
    /// Where the queries are from.
    queries_from: String,
    instruction_set: &'static str,
    runs: Vec<Run>,
}

/// All rows, added in one way.
#[derive(Serialize)]
struct Run {
    name: &'static str,
    rows_per_call: usize,
    /// All calls together, without the searches between them.
    seconds: f64,
    vectors_per_second: f64,
    #[serde(flatten)]
    add: CallTimes,
    /// How long linking went on in the background after the last call.
    wait_seconds: f64,
    segments: Vec<Segment>,
}

/// The calls that begin within some rows, and the searches behind them.
#[derive(Debug, Serialize)]
struct Segment {
    /// Rows of the index behind the last call.
    rows: usize,
    calls: usize,
    vectors_per_second: f64,
    #[serde(flatten)]
    add: CallTimes,
    search_p50_us: f64,
    /// Rows that were linked when the searches were over; the others were scanned.
    graph_rows: usize,
}

/// How long one call took, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
struct CallTimes {
    #[serde(rename = "add_p50_us")]
    p50: f64,
    #[serde(rename = "add_p99_us")]
    p99: f64,
    #[serde(rename = "add_max_us")]
    max: f64,
}

impl CallTimes {
    fn new(micros: &[f64]) -> Self {
        let mut sorted = micros.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| percentile(&sorted, share));
        Self { p50, p99, max }
    }
}

/// # Errors
/// When the file cannot be used, or has too few rows.
pub fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let sample = arguments.sample()?;
    let params = || IndexParams {
        seed: arguments.seed,
        flat_limit: arguments.flat_limit,
        threads: arguments.threads,
        ..IndexParams::default()
    };
    let add = |(name, rows_per_call): (&'static str, usize)| {
        let index = Index::new(sample.base.dim(), sample.metric, params())?;
        let rows_per_call = rows_per_call.min(sample.base.len());
        Adding { index, sample: &sample, name, rows_per_call }.run()
    };
    let runs = CALL_ROWS.into_iter().map(add).collect::<loomdb::Result<_>>()?;
    output.report(&Report {
        rows: sample.base.len(),
        dim: sample.base.dim(),
        metric: sample.metric.name(),
        flat_limit: arguments.flat_limit.unwrap_or_else(|| flat_limit(sample.base.dim())),
        ef_search: EF_SEARCH,
        queries: sample.queries.len(),
        queries_from: sample.origin,
        instruction_set: loomdb_graph::instruction_set(),
        runs,
        dataset: sample.dataset,
    })
}

impl Arguments {
    fn sample(&self) -> Result<Sample> {
        let metric = self.metric.unwrap_or(Metric::L2);
        let Some(base) = &self.base else {
            return Sample::made(self.dim, self.rows, metric, self.seed);
        };
        let sample = Sample::read(base, None, metric, self.rows)?;
        let (rows, available) = (count(self.rows as u64), count(sample.base.len() as u64));
        if sample.base.len() < self.rows {
            bail!("--rows {rows} is too many: the base has {available} rows besides the queries");
        }
        Ok(sample)
    }
}

/// Rows on their way into an index.
struct Adding<'a> {
    index: Index,
    sample: &'a Sample,
    name: &'static str,
    rows_per_call: usize,
}

impl Adding<'_> {
    fn run(&self) -> loomdb::Result<Run> {
        let batches = self.batches()?;
        let mut reports = Vec::new();
        let mut micros = Vec::with_capacity(batches.len());
        for batches in segments(&batches) {
            let first = micros.len();
            self.add(batches, &mut micros)?;
            reports.push(self.segment(batches, &micros[first..])?);
        }
        let started = Instant::now();
        self.index.wait();
        let wait_seconds = started.elapsed().as_secs_f64();
        let seconds = micros.iter().sum::<f64>() / 1e6;
        Ok(Run {
            name: self.name,
            rows_per_call: self.rows_per_call,
            seconds,
            vectors_per_second: rate(self.sample.base.len(), seconds),
            add: CallTimes::new(&micros),
            wait_seconds,
            segments: reports,
        })
    }

    /// The rows of each call, made before any clock starts.
    fn batches(&self) -> loomdb::Result<Vec<Batch>> {
        let (dim, values) = (self.sample.base.dim(), self.sample.base.as_flat());
        let calls = values.chunks(self.rows_per_call * dim).enumerate();
        let batch = |(call, values): (usize, &[f32])| {
            let rows = Vectors::from_flat(dim, values)?;
            Ok(Batch { first_row: call * self.rows_per_call, rows })
        };
        calls.map(batch).collect()
    }

    /// Adds some batches, each in one call, and notes how long each call took.
    fn add(&self, batches: &[Batch], micros: &mut Vec<f64>) -> loomdb::Result<()> {
        check_interrupt()?;
        for batch in batches {
            let started = Instant::now();
            self.index.add(&batch.rows)?;
            micros.push(started.elapsed().as_secs_f64() * 1e6);
        }
        Ok(())
    }

    /// Searches, and reports the calls before.
    fn segment(&self, batches: &[Batch], micros: &[f64]) -> loomdb::Result<Segment> {
        let search = |query: &[f32]| self.index.search(query, K, EF_SEARCH);
        let search_p50_us = time_once(&self.sample.queries, search)?.micros(0.5);
        let info = self.index.info();
        let rows = batches.iter().map(|batch| batch.rows.len()).sum();
        Ok(Segment {
            rows: info.rows,
            calls: batches.len(),
            vectors_per_second: rate(rows, micros.iter().sum::<f64>() / 1e6),
            add: CallTimes::new(micros),
            search_p50_us,
            graph_rows: info.graph_rows,
        })
    }
}

/// The rows of one call.
struct Batch {
    first_row: usize,
    rows: Vectors,
}

/// The batches of each segment: those whose first row lies in it.
fn segments(batches: &[Batch]) -> impl Iterator<Item = &[Batch]> {
    let segment = |batch: &Batch| batch.first_row / SEGMENT_ROWS;
    batches.chunk_by(move |left, right| segment(left) == segment(right))
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dataset, dim, metric, ef_search, .. } = self;
        let (rows, limit) = (count(self.rows as u64), count(self.flat_limit as u64));
        writeln!(formatter, "{dataset}: {rows} x {dim}, {metric}, {}", self.instruction_set)?;
        writeln!(formatter, "up to {limit} rows are scanned, ef_search {ef_search}")?;
        writeln!(formatter, "{} queries: {}", count(self.queries as u64), self.queries_from)?;
        for run in &self.runs {
            write!(formatter, "\n{run}")?;
        }
        Ok(())
    }
}

impl Display for Run {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (total, wait) = (seconds(self.seconds), seconds(self.wait_seconds));
        let speed = count(self.vectors_per_second as u64);
        let [p50, p99, max] =
            [self.add.p50, self.add.p99, self.add.max].map(|micros| seconds(micros / 1e6));
        writeln!(formatter, "{}: {total} in calls, {speed} vectors/s", self.name)?;
        writeln!(formatter, "one call: p50 {p50}, p99 {p99}, max {max}")?;
        writeln!(formatter, "after the last call: {wait} until the index was at rest")?;
        write!(formatter, "{}", self.table())
    }
}

const COLUMNS: [&str; 8] = [
    "rows",
    "calls",
    "vectors/s",
    "add p50 us",
    "add p99 us",
    "add max us",
    "search p50 us",
    "linked",
];

impl Run {
    fn table(&self) -> Table {
        let mut table = Table::new(&[Align::Right; 8]);
        table.row(COLUMNS.map(str::to_owned));
        for segment in &self.segments {
            table.row([
                count(segment.rows as u64),
                count(segment.calls as u64),
                count(segment.vectors_per_second as u64),
                format!("{:.1}", segment.add.p50),
                format!("{:.1}", segment.add.p99),
                format!("{:.1}", segment.add.max),
                format!("{:.1}", segment.search_p50_us),
                count(segment.graph_rows as u64),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use loomdb_graph::Vectors;

    use super::{Batch, segments};

    fn calls_of_segments(rows: usize, rows_per_call: usize) -> Vec<usize> {
        let batch = |first_row| Batch { first_row, rows: Vectors::new(1).unwrap() };
        let batches: Vec<Batch> = (0..rows).step_by(rows_per_call).map(batch).collect();
        segments(&batches).map(<[Batch]>::len).collect()
    }

    #[test]
    fn a_call_belongs_to_the_segment_in_which_it_begins() {
        assert_eq!(calls_of_segments(600, 1), [250, 250, 100]);
        assert_eq!(calls_of_segments(1_000, 100), [3, 2, 3, 2]);
        assert_eq!(calls_of_segments(5_000, 5_000), [1]);
    }
}
