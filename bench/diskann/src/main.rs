//! One build with the crate `diskann` and searches at several beam widths, for the harness in
//! `bench/`: it gets the flags of every peer and prints the JSON object that is read from each.

mod index;
mod memory;
mod rows;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Parser;
use diskann_utils::views::rowmajor::Matrix;
use serde::Serialize;

use index::{Index, K, Metric, Parameters};
use rows::Rows;

/// Times that all queries are asked; the fastest pass counts, as the least disturbed one.
const PASSES: usize = 3;

#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// File of vectors to build from
    #[arg(long)]
    base: PathBuf,
    /// File of query vectors
    #[arg(long)]
    queries: PathBuf,
    /// File of the rows nearest to each query
    #[arg(long)]
    truth: PathBuf,
    #[arg(long)]
    metric: Metric,
    /// Take only the first rows of the base
    #[arg(long)]
    rows: usize,
    #[arg(long)]
    threads: usize,
    /// Half the links of a row
    #[arg(long)]
    m: usize,
    /// Beam width of the searches for the neighbors of a row
    #[arg(long)]
    ef_construction: usize,
    #[arg(long, value_delimiter = ',')]
    ef_search: Vec<usize>,
    /// Builds to time
    #[arg(long)]
    repeat: usize,
}

#[derive(Serialize)]
struct Report {
    n: usize,
    dim: usize,
    metric: Metric,
    threads: usize,
    build_seconds: Seconds,
    vectors_per_second: f64,
    peak_rss_mib: f64,
    searches: Vec<Searched>,
}

#[derive(Serialize)]
struct Seconds {
    median: f64,
    all: Vec<f64>,
}

#[derive(Serialize)]
struct Searched {
    ef_search: usize,
    recall_at_10: f64,
    queries_per_second: f64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut base = rows::read(&arguments.base, Some(arguments.rows))?;
    let (index, seconds) = arguments.timed_builds(&mut base)?;
    let peak_rss_mib = memory::peak_rss_mib()?;
    let report = Report {
        n: base.nrows(),
        dim: base.ncols(),
        metric: arguments.metric,
        threads: arguments.threads,
        vectors_per_second: base.nrows() as f64 / seconds.median,
        build_seconds: seconds,
        peak_rss_mib,
        searches: arguments.searches(&index)?,
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

impl Arguments {
    fn parameters(&self) -> Parameters {
        let Self { metric, threads, m, ef_construction, .. } = *self;
        Parameters { metric, threads, degree: 2 * m, window: ef_construction }
    }

    /// The last of the builds. The one before goes first, or the memory peak would be that of two.
    fn timed_builds(&self, base: &mut Rows) -> Result<(Index, Seconds)> {
        let (mut index, first) = self.timed_build(base)?;
        let mut all = vec![first];
        for _ in 1..self.repeat {
            drop(index);
            let seconds;
            (index, seconds) = self.timed_build(base)?;
            all.push(seconds);
        }
        Ok((index, Seconds { median: median(&all), all }))
    }

    fn timed_build(&self, base: &mut Rows) -> Result<(Index, f64)> {
        let started = Instant::now();
        let index = Index::build(base, &self.parameters())?;
        Ok((index, started.elapsed().as_secs_f64()))
    }

    fn searches(&self, index: &Index) -> Result<Vec<Searched>> {
        let mut queries = rows::read(&self.queries, None)?;
        self.metric.prepare(&mut queries);
        let truth = rows::read_truth(&self.truth)?;
        ensure!(
            truth.len() == queries.nrows(),
            "{} answers {} queries, not the {} of {}: give the truth of these queries",
            self.truth.display(),
            truth.len(),
            queries.nrows(),
            self.queries.display(),
        );
        let search = |ef_search: &usize| searched(index, &queries, &truth, *ef_search);
        self.ef_search.iter().map(search).collect()
    }
}

fn searched(
    index: &Index,
    queries: &Rows,
    truth: &[Vec<u32>],
    ef_search: usize,
) -> Result<Searched> {
    let mut fastest = f64::INFINITY;
    let mut answers = Vec::new();
    for _ in 0..PASSES {
        let started = Instant::now();
        answers = index.search_all(queries, ef_search)?;
        fastest = fastest.min(started.elapsed().as_secs_f64());
    }
    let recall_at_10 = recall(&answers, truth);
    Ok(Searched { ef_search, recall_at_10, queries_per_second: queries.nrows() as f64 / fastest })
}

/// The share of the [`K`] nearest rows of each query that its answer has.
fn recall(answers: &[[u32; K]], truth: &[Vec<u32>]) -> f64 {
    let right = |(answer, nearest): (&[u32; K], &Vec<u32>)| {
        nearest.iter().take(K).filter(|row| answer.contains(row)).count()
    };
    let found: usize = answers.iter().zip(truth).map(right).sum();
    found as f64 / (K * truth.len()) as f64
}

fn median(all: &[f64]) -> f64 {
    let mut sorted = all.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { sorted[middle - 1].midpoint(sorted[middle]) }
}
