//! `loomdb bench flat`: an exact scan against a graph, query by query.
//!
//! The scan costs as much as there are rows, the graph hardly more with more of them. Where they
//! meet is where a collection should get a graph; its answers are exact up to there, for nothing.

use std::convert::identity;
use std::fmt::{self, Display};
use std::time::Instant;

use anyhow::Result;
use loomdb_graph::{BuildParams, Flat, MAX_DIM, MAX_ROWS, Metric, Vectors, Workers, build};
use serde::Serialize;

use super::check_interrupt;
use super::inputs::Sample;
use super::queries::{K, Questions, Searcher, nearest_rows, time};
use crate::arguments;
use crate::output::Output;
use crate::progress::Progress;
use crate::quantity::count;
use crate::table::{Align, Table};

const EF_SEARCH: usize = 64;

#[derive(clap::Args)]
pub struct Arguments {
    /// Dimensions to compare at
    #[arg(long, value_delimiter = ',', default_value = "128,384,784,1536",
          value_parser = arguments::up_to(MAX_DIM))]
    dims: Vec<usize>,
    /// Row counts to compare at
    #[arg(long, value_delimiter = ',', default_value = "250,500,1000,2000,4000,8000",
          value_parser = arguments::up_to(MAX_ROWS))]
    rows: Vec<usize>,
    /// How distances are measured
    #[arg(long, default_value = "l2", value_parser = arguments::metric())]
    metric: Metric,
    /// Threads that build; 0 stands for one for each core
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Where the rows, and all choices of a build, come from
    #[arg(long, default_value_t = BuildParams::default().seed)]
    seed: u64,
}

#[derive(Serialize)]
struct Report {
    dataset: String,
    metric: &'static str,
    threads: usize,
    ef_search: usize,
    queries: usize,
    instruction_set: &'static str,
    dims: Vec<Comparison>,
}

/// A scan and a graph over more and more rows of one dimension.
#[derive(Serialize)]
struct Comparison {
    dim: usize,
    crossover: Option<Crossover>,
    sizes: Vec<Size>,
}

/// A scan and a graph over the same rows.
#[derive(Debug, Serialize)]
struct Size {
    rows: usize,
    /// A query in the middle: the mean would hold every moment that others had the processor.
    scan_p50_us: f64,
    graph_p50_us: f64,
    recall_at_10: f64,
    build_seconds: f64,
}

/// From how many rows on the graph answers sooner.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "rows_are", content = "rows", rename_all = "snake_case")]
enum Crossover {
    /// It does with all row counts that were measured; this is the smallest.
    AtMost(usize),
    /// Between two that were measured.
    About(usize),
    /// It does with none that was measured; this is the largest.
    MoreThan(usize),
}

/// # Errors
/// When there is too little memory for threads.
pub fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let workers = Workers::new(arguments.threads)?;
    let mut row_counts = arguments.rows.clone();
    row_counts.sort_unstable();
    row_counts.dedup();
    let largest = row_counts.last().copied().unwrap_or_default();
    let mut report = Report {
        dataset: String::new(),
        metric: arguments.metric.name(),
        threads: workers.threads(),
        ef_search: EF_SEARCH,
        queries: 0,
        instruction_set: loomdb_graph::instruction_set(),
        dims: Vec::new(),
    };
    for dim in arguments.dims.iter().copied() {
        let sample = Sample::made(dim, largest, arguments.metric, arguments.seed)?;
        let compare = |rows: &usize| compare(&sample, *rows, arguments.seed, &workers);
        let sizes = row_counts.iter().map(compare).collect::<loomdb::Result<Vec<_>>>()?;
        report.dims.push(Comparison { dim, crossover: crossover(&sizes), sizes });
        (report.dataset, report.queries) = (sample.dataset, sample.queries.len());
    }
    output.report(&report)
}

fn compare(sample: &Sample, rows: usize, seed: u64, workers: &Workers) -> loomdb::Result<Size> {
    check_interrupt()?;
    let (metric, dim, queries) = (sample.metric, sample.base.dim(), &sample.queries);
    let base = Vectors::from_flat(dim, &sample.base.as_flat()[..rows * dim])?;
    let flat = Flat::from_vectors(metric, base.clone())?;
    let scan_p50_us = time(queries, |query| flat.search(query, K))?.micros(0.5);
    let nearest = nearest_rows(&flat, identity, queries, workers)?;
    let questions = Questions { metric, queries: queries.clone(), nearest };
    let params = BuildParams { seed, ..BuildParams::default() };
    let progress = Progress::new("building");
    let started = Instant::now();
    let build = build(base, metric, &params, workers, &progress)?;
    let build_seconds = started.elapsed().as_secs_f64();
    let searched = Searcher::new(&build).search(&questions, EF_SEARCH)?;
    Ok(Size {
        rows,
        scan_p50_us,
        graph_p50_us: searched.p50_us,
        recall_at_10: searched.recall_at_10,
        build_seconds,
    })
}

/// Where the graph begins to answer sooner, for ascending row counts; nothing without any.
fn crossover(sizes: &[Size]) -> Option<Crossover> {
    let lead = |size: &Size| (size.scan_p50_us / size.graph_p50_us).ln();
    // A graph that leads once and then falls behind has led by chance.
    let behind = sizes.iter().rposition(|size| lead(size) < 0.0);
    let Some(behind) = behind else { return Some(Crossover::AtMost(sizes.first()?.rows)) };
    let Some(ahead) = sizes.get(behind + 1) else {
        return Some(Crossover::MoreThan(sizes[behind].rows));
    };
    // On paper with logarithmic axes both curves are nearly straight.
    let behind = &sizes[behind];
    let way = -lead(behind) / (lead(ahead) - lead(behind));
    let [from, to] = [behind, ahead].map(|size| (size.rows as f64).ln());
    Some(Crossover::About((from + way * (to - from)).exp().round() as usize))
}

impl Display for Crossover {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (words, rows) = match self {
            Self::AtMost(rows) => ("at most", rows),
            Self::About(rows) => ("about", rows),
            Self::MoreThan(rows) => ("more than", rows),
        };
        write!(formatter, "{words} {}", count(*rows as u64))
    }
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dataset, metric, threads, ef_search, queries, .. } = self;
        writeln!(formatter, "{dataset}, {metric}, {}", self.instruction_set)?;
        writeln!(
            formatter,
            "{queries} queries, ef_search {ef_search}; built by threads {threads}"
        )?;
        for comparison in &self.dims {
            let dim = comparison.dim;
            write!(formatter, "\ndim {dim}")?;
            if let Some(crossover) = comparison.crossover {
                write!(formatter, ": the graph is faster from {crossover} rows on")?;
            }
            write!(formatter, "\n{}", comparison.table())?;
        }
        Ok(())
    }
}

impl Comparison {
    fn table(&self) -> Table {
        let mut table = Table::new(&[Align::Right; 5]);
        let columns = ["rows", "scan p50 us", "graph p50 us", "recall@10", "build seconds"];
        table.row(columns.map(str::to_owned));
        for size in &self.sizes {
            table.row([
                count(size.rows as u64),
                format!("{:.1}", size.scan_p50_us),
                format!("{:.1}", size.graph_p50_us),
                format!("{:.4}", size.recall_at_10),
                format!("{:.4}", size.build_seconds),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::{Crossover, Size, crossover};

    fn sizes(times: &[(usize, f64, f64)]) -> Vec<Size> {
        let size = |&(rows, scan_p50_us, graph_p50_us): &(usize, f64, f64)| Size {
            rows,
            scan_p50_us,
            graph_p50_us,
            recall_at_10: 1.0,
            build_seconds: 0.0,
        };
        times.iter().map(size).collect()
    }

    #[test]
    fn the_crossover_lies_between_row_counts() {
        let sizes = sizes(&[(500, 5.0, 20.0), (1_000, 10.0, 20.0), (4_000, 40.0, 20.0)]);
        assert_eq!(crossover(&sizes), Some(Crossover::About(2_000)));
        assert_eq!(crossover(&sizes[..2]), Some(Crossover::MoreThan(1_000)));
        assert_eq!(crossover(&sizes[2..]), Some(Crossover::AtMost(4_000)));
        assert_eq!(crossover(&[]), None);
    }

    #[test]
    fn a_lead_by_chance_does_not_count() {
        let sizes = sizes(&[(500, 5.0, 4.0), (1_000, 10.0, 20.0), (4_000, 40.0, 20.0)]);
        assert_eq!(crossover(&sizes), Some(Crossover::About(2_000)));
    }
}
