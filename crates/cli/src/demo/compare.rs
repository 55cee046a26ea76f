//! One batch against the same rows inserted one by one: time, work, recall and query speed.
//!
//! Both graphs have the same parameters and one thread, and the runs take turns, so that a slow
//! spell of the machine hits both. Recall is taken against exact search, over all queries.

use std::fmt::{self, Display};
use std::time::Instant;

use anyhow::Result;
use loomdb_graph::{Build, BuildParams, Flat, Metric, Scratch, Strategy, Vectors, Workers, build};
use serde::Serialize;

use crate::interrupt::Stop;
use crate::progress::Progress;
use crate::quantity::{count, rate, seconds};
use crate::table::{Align, Table};

/// Beam width of all searches of the demo.
pub const EF_SEARCH: usize = 64;

const SIZES: [usize; 2] = [1_500, 5_000];
const WAYS: [Strategy; 2] = [Strategy::Insert { chunk: 1 }, Strategy::Auto];
const K: usize = 10;
const METRIC: Metric = Metric::Cosine;
const THREADS: usize = 1;

/// Times that all queries are asked in a run.
const ROUNDS: usize = 40;

/// Both ways at several sizes.
#[derive(Serialize)]
pub struct Comparison {
    threads: usize,
    /// Builds in each way; the median counts.
    runs: usize,
    queries: usize,
    ef_search: usize,
    sizes: Vec<Size>,
}

#[derive(Serialize)]
struct Size {
    rows: usize,
    one_by_one: Measured,
    batch: Measured,
    /// How many times as fast the batch is built.
    build_ratio: f64,
    /// How many times as fast its graph answers.
    query_ratio: f64,
}

/// One way at one size.
#[derive(Serialize)]
struct Measured {
    strategy: &'static str,
    build_seconds: f64,
    vectors_per_second: f64,
    distance_computations: u64,
    recall_at_10: f64,
    queries_per_second: f64,
}

/// # Errors
/// When the rows cannot be used, or someone stops it.
pub fn run(rows: &Vectors, queries: &Vectors, runs: usize) -> Result<Comparison> {
    let progress = Progress::new("measuring");
    let workers = Workers::new(THREADS)?;
    let total = SIZES.len() * runs * WAYS.len();
    let mut done = 0;
    let mut built = || {
        done += 1;
        progress.reached(done, total);
    };
    let mut sizes = Vec::new();
    for size in SIZES {
        let task = Task::new(rows, size, queries, &workers)?;
        sizes.push(task.compare(runs, &mut built)?);
    }
    Ok(Comparison { threads: THREADS, runs, queries: queries.len(), ef_search: EF_SEARCH, sizes })
}

/// What both ways have in common.
struct Task<'a> {
    rows: Vectors,
    queries: &'a Vectors,
    /// The exact answer to each query, as rows.
    truth: Vec<Vec<u32>>,
    workers: &'a Workers,
}

/// What one way gave in one run.
struct Run {
    build: Build,
    build_seconds: f64,
    query_seconds: f64,
}

impl<'a> Task<'a> {
    fn new(
        rows: &Vectors,
        size: usize,
        queries: &'a Vectors,
        workers: &'a Workers,
    ) -> Result<Self> {
        let rows = Vectors::from_flat(rows.dim(), &rows.as_flat()[..size * rows.dim()])?;
        let exact = Flat::from_vectors(METRIC, rows.clone())?.search_many(queries, K, workers)?;
        let truth = exact.iter().map(|nearest| nearest.iter().map(|row| row.node).collect());
        Ok(Self { rows, queries, truth: truth.collect(), workers })
    }

    fn compare(&self, runs: usize, built: &mut dyn FnMut()) -> Result<Size> {
        let mut all = WAYS.map(|_| Vec::new());
        for _ in 0..runs {
            for (way, runs) in WAYS.into_iter().zip(&mut all) {
                runs.push(self.run(way)?);
                built();
            }
        }
        let [one_by_one, batch] = all.map(|runs| self.measured(&runs));
        let (one_by_one, batch) = (one_by_one?, batch?);
        Ok(Size {
            rows: self.rows.len(),
            build_ratio: one_by_one.build_seconds / batch.build_seconds,
            query_ratio: batch.queries_per_second / one_by_one.queries_per_second,
            one_by_one,
            batch,
        })
    }

    fn run(&self, strategy: Strategy) -> Result<Run> {
        let (rows, params) =
            (self.rows.clone(), BuildParams { strategy, ..BuildParams::default() });
        let started = Instant::now();
        let build = build(rows, METRIC, &params, self.workers, &Stop)?;
        let build_seconds = started.elapsed().as_secs_f64();
        let started = Instant::now();
        for _ in 0..ROUNDS {
            self.answers(&build)?;
        }
        let query_seconds = started.elapsed().as_secs_f64();
        Ok(Run { build, build_seconds, query_seconds })
    }

    /// The rows that the graph finds for each query.
    fn answers(&self, build: &Build) -> Result<Vec<Vec<u32>>> {
        let mut scratch = Scratch::new();
        let mut answer = |query: usize| {
            let query = self.queries.row(query);
            let found = build.graph.search(query, K, EF_SEARCH, &mut scratch)?;
            Ok(found.iter().map(|near| build.order[near.node as usize]).collect())
        };
        (0..self.queries.len()).map(&mut answer).collect()
    }

    /// The medians of some runs; the graph is the same in all of them.
    fn measured(&self, runs: &[Run]) -> Result<Measured> {
        let build_seconds = median(runs.iter().map(|run| run.build_seconds));
        let query_seconds = median(runs.iter().map(|run| run.query_seconds));
        let Build { stats, .. } = &runs[0].build;
        Ok(Measured {
            strategy: stats.strategy.name(),
            build_seconds,
            vectors_per_second: rate(self.rows.len(), build_seconds),
            distance_computations: stats.distance_computations,
            recall_at_10: self.recall(&self.answers(&runs[0].build)?),
            queries_per_second: rate(ROUNDS * self.queries.len(), query_seconds),
        })
    }

    /// The share of the true neighbors that were found.
    fn recall(&self, answers: &[Vec<u32>]) -> f64 {
        let pairs = answers.iter().zip(&self.truth);
        let found =
            pairs.map(|(answer, truth)| truth.iter().filter(|row| answer.contains(row)).count());
        let sought = self.truth.iter().map(Vec::len).sum::<usize>();
        found.sum::<usize>() as f64 / sought.max(1) as f64
    }
}

/// The value in the middle, the lower one of two.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[(values.len() - 1) / 2]
}

impl Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Align::{Left, Right};
        let mut table = Table::new(&[Right, Left, Right, Right, Right, Right, Right]);
        let head = ["rows", "inserted", "time", "vectors/s", "distances", "recall@10", "queries/s"];
        table.row(head.map(str::to_owned));
        for size in &self.sizes {
            size.show(&mut table);
        }
        let runs = match self.runs {
            1 => "one run".to_owned(),
            runs => format!("medians of {runs} runs, which took turns"),
        };
        let (queries, ef_search) = (self.queries, self.ef_search);
        write!(
            formatter,
            "{table}\n  \
             One thread for everything; {runs}.\n  \
             Recall@10 against exact search and speed are those of {queries} queries at ef_search \
             {ef_search}.\n"
        )
    }
}

impl Size {
    fn show(&self, table: &mut Table) {
        let rows = count(self.rows as u64);
        self.one_by_one.show(rows, "one by one", table);
        self.batch.show(String::new(), "one batch", table);
        let none = String::new;
        let (label, build) = ("ratio".to_owned(), format!("{:.1} x", self.build_ratio));
        let query = format!("{:.2} x", self.query_ratio);
        table.row([none(), label, none(), build, none(), none(), query]);
    }
}

impl Measured {
    fn show(&self, rows: String, way: &str, table: &mut Table) {
        table.row([
            rows,
            way.to_owned(),
            seconds(self.build_seconds),
            count(self.vectors_per_second as u64),
            count(self.distance_computations),
            format!("{:.3}", self.recall_at_10),
            count(self.queries_per_second as u64),
        ]);
    }
}
