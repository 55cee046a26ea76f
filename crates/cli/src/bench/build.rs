//! `loomdb bench build`: one graph over one data set, and searches at several beam widths.
//!
//! The memory peak is that of the process up to the end of the first build, with the base in
//! memory once: what repetitions, exact answers and searches need comes later and does not count.

use std::fmt::{self, Display};
use std::path::PathBuf;

use anyhow::{Result, bail};
use loomdb_graph::{
    Build, BuildParams, MAX_EF, MAX_M, MAX_ROWS, Metric, Strategy, Vectors, Workers,
};
use serde::Serialize;

use super::floor::Floor;
use super::inputs::{name_of, read_queries, read_rows, read_truth};
use super::memory::peak_rss_mib;
use super::phases::{Phases, Stopwatch};
use super::queries::{Questions, Searched, Searcher, nearest_rows};
use super::statistics::Seconds;
use crate::arguments;
use crate::output::Output;
use crate::progress::Progress;
use crate::quantity::{count, rate, seconds};
use crate::table::{Align, Table};

const STRATEGIES: &str =
    "auto, all_pairs, partition, insert (row by row) or insert:ROWS (so many at a time)";

#[derive(clap::Args)]
pub struct Arguments {
    /// File of vectors to build from
    #[arg(long, value_name = "FILE")]
    base: PathBuf,
    /// File of query vectors
    #[arg(long, value_name = "FILE")]
    queries: PathBuf,
    /// File of the rows nearest to each query, 10 or more; found by exact search if not given
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// How distances are measured
    #[arg(long, value_parser = arguments::metric())]
    metric: Metric,
    /// Take only the first rows of the base
    #[arg(long, value_parser = arguments::up_to(MAX_ROWS))]
    rows: Option<usize>,
    #[arg(long, default_value = "auto", help = STRATEGIES, value_parser = arguments::strategy)]
    strategy: Strategy,
    /// Rows that the strategy insert links at a time
    #[arg(long, value_name = "ROWS", value_parser = arguments::up_to(MAX_ROWS))]
    chunk: Option<usize>,
    /// Threads that build; 0 stands for one for each core
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Links of a row in the graph; twice as many at the bottom
    #[arg(long, default_value = "16", value_parser = arguments::up_to(MAX_M))]
    m: usize,
    /// Beam width of the searches for the neighbors of a single new row
    #[arg(long, default_value = "200", value_parser = arguments::up_to(MAX_EF))]
    ef_construction: usize,
    /// Beam widths to search with
    #[arg(long, value_delimiter = ',', default_value = "10,16,24,32,48,64,96,128,200,400",
          value_parser = arguments::up_to(MAX_EF))]
    ef_search: Vec<usize>,
    /// Builds to time
    #[arg(long, default_value = "1", value_parser = arguments::up_to(1_000_000))]
    repeat: usize,
    /// Where every random choice comes from
    #[arg(long, default_value_t = BuildParams::default().seed)]
    seed: u64,
}

/// What one build and its searches gave.
#[derive(Serialize)]
struct Report {
    dataset: String,
    n: usize,
    dim: usize,
    metric: &'static str,
    threads: usize,
    /// The one that was used.
    strategy: &'static str,
    parameters: Parameters,
    build_seconds: Seconds,
    vectors_per_second: f64,
    /// Of the last build, as are all that follow.
    phases: Phases,
    floor: Floor,
    distance_computations: u64,
    /// Nothing where the system does not tell.
    peak_rss_mib: Option<f64>,
    index_mib: f64,
    mean_degree: f64,
    max_degree: usize,
    unreachable_nodes: usize,
    reconnected: usize,
    duplicates: usize,
    instruction_set: &'static str,
    searches: Vec<Searched>,
}

#[derive(Serialize)]
struct Parameters {
    m: usize,
    ef_construction: usize,
    /// Nothing unless rows are inserted.
    chunk: Option<usize>,
    seed: u64,
}

/// The last of some builds.
struct Built {
    build: Build,
    phases: Phases,
    seconds: Seconds,
    peak_rss_mib: Option<f64>,
}

/// # Errors
/// When a file or a parameter cannot be used.
pub fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let params = arguments.params()?;
    let workers = Workers::new(arguments.threads)?;
    let built = arguments.build(&params, &workers)?;
    let questions = arguments.questions(&built.build, &workers)?;
    let searcher = Searcher::new(&built.build);
    let search = |ef_search: &usize| searcher.search(&questions, *ef_search);
    let searches = arguments.ef_search.iter().map(search).collect::<loomdb::Result<_>>()?;
    output.report(&arguments.report(&params, &workers, built, searches))
}

impl Arguments {
    fn params(&self) -> Result<BuildParams> {
        let strategy = with_chunk(self.strategy, self.chunk)?;
        let Self { m, ef_construction, seed, .. } = *self;
        let params = BuildParams { m, ef_construction, seed, strategy };
        params.validate()?;
        Ok(params)
    }

    /// Builds several times, each time from rows that are read anew, so that they are in memory
    /// only once.
    fn build(&self, params: &BuildParams, workers: &Workers) -> Result<Built> {
        let base = read_rows(&self.base, self.rows)?;
        // Nobody should wait for a build whose queries then turn out to be of no use.
        self.read_questions(base.len(), base.dim())?;
        let (mut build, first, mut phases) = self.timed_build(base, params, workers)?;
        let peak_rss_mib = peak_rss_mib();
        let mut all = vec![first];
        for _ in 1..self.repeat {
            drop(build);
            let base = read_rows(&self.base, self.rows)?;
            let seconds;
            (build, seconds, phases) = self.timed_build(base, params, workers)?;
            all.push(seconds);
        }
        Ok(Built { build, phases, seconds: Seconds::new(all), peak_rss_mib })
    }

    fn timed_build(
        &self,
        base: Vectors,
        params: &BuildParams,
        workers: &Workers,
    ) -> loomdb::Result<(Build, f64, Phases)> {
        let progress = Progress::new("building");
        let watch = Stopwatch::start(&progress);
        let build = loomdb_graph::build(base, self.metric, params, workers, &watch)?;
        let (seconds, phases) = watch.stop();
        Ok((build, seconds, phases))
    }

    /// The queries, and the rows nearest to each if they are given.
    fn read_questions(&self, rows: usize, dim: usize) -> Result<(Vectors, Option<Vec<Vec<u32>>>)> {
        let queries = read_queries(&self.queries, dim)?;
        let truth = self.truth.as_ref().map(|truth| read_truth(truth, queries.len(), rows));
        Ok((queries, truth.transpose()?))
    }

    fn questions(&self, build: &Build, workers: &Workers) -> Result<Questions> {
        let (graph, metric) = (&build.graph, self.metric);
        let (queries, truth) = self.read_questions(graph.len(), graph.dim())?;
        let row_of = |node| build.order[node as usize];
        let nearest = match truth {
            Some(nearest) => nearest,
            None => nearest_rows(&graph.flat(), row_of, &queries, workers)?,
        };
        Ok(Questions { metric, queries, nearest })
    }

    fn report(
        &self,
        params: &BuildParams,
        workers: &Workers,
        built: Built,
        searches: Vec<Searched>,
    ) -> Report {
        let Built { build: Build { graph, stats, .. }, phases, seconds, peak_rss_mib } = built;
        let floor = Floor::new(&stats, graph.dim(), seconds.median, workers);
        let degrees = graph.degrees();
        Report {
            dataset: name_of(&self.base),
            n: graph.len(),
            dim: graph.dim(),
            metric: self.metric.name(),
            threads: workers.threads(),
            strategy: stats.strategy.name(),
            parameters: Parameters::new(params),
            vectors_per_second: rate(graph.len(), seconds.median),
            build_seconds: seconds,
            phases,
            floor,
            distance_computations: stats.distance_computations,
            peak_rss_mib,
            index_mib: mib(graph.bytes()),
            mean_degree: degrees.mean,
            max_degree: degrees.max,
            unreachable_nodes: graph.unreachable_count(),
            reconnected: stats.reconnected,
            duplicates: stats.duplicates,
            instruction_set: loomdb_graph::instruction_set(),
            searches,
        }
    }
}

impl Parameters {
    fn new(params: &BuildParams) -> Self {
        let BuildParams { m, ef_construction, seed, strategy } = *params;
        let chunk = match strategy {
            Strategy::Insert { chunk } => Some(chunk),
            _ => None,
        };
        Self { m, ef_construction, chunk, seed }
    }
}

/// `--strategy` and `--chunk` in one.
fn with_chunk(strategy: Strategy, chunk: Option<usize>) -> Result<Strategy> {
    match (strategy, chunk) {
        (strategy, None) => Ok(strategy),
        (Strategy::Insert { chunk: 1 }, Some(chunk)) => Ok(Strategy::Insert { chunk }),
        (Strategy::Insert { chunk: named }, Some(chunk)) if named == chunk => Ok(strategy),
        (Strategy::Insert { chunk: named }, Some(chunk)) => {
            bail!("--strategy insert:{named} and --chunk {chunk} contradict each other")
        }
        _ => bail!("--chunk is for --strategy insert only, not for {}", strategy.name()),
    }
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = count(self.n as u64);
        writeln!(formatter, "{}: {rows} x {}, {}\n", self.dataset, self.dim, self.metric)?;
        write!(formatter, "{}\n{}", self.facts(), self.searched())
    }
}

impl Report {
    fn facts(&self) -> Table {
        let mut table = Table::new(&[Align::Left, Align::Left]);
        let mut fact = |name: &str, text: String| table.row([name.to_owned(), text]);
        fact("build", self.describe_build());
        fact("phases", self.describe_phases());
        fact("floor", self.describe_floor());
        fact("strategy", self.describe_strategy());
        fact("distances", count(self.distance_computations));
        let peak = self.peak_rss_mib.map_or("unknown".to_owned(), |peak| format!("{peak:.1} MiB"));
        fact("memory", format!("peak {peak}, index {:.1} MiB", self.index_mib));
        fact("links", format!("{:.1} a row, at most {}", self.mean_degree, self.max_degree));
        fact(
            "unreachable",
            format!("{} ({} reconnected)", self.unreachable_nodes, self.reconnected),
        );
        fact("duplicates", count(self.duplicates as u64));
        fact("instructions", self.instruction_set.to_owned());
        table
    }

    fn describe_build(&self) -> String {
        let Seconds { median, all } = &self.build_seconds;
        let speed = count(self.vectors_per_second as u64);
        let built = format!("{}, {speed} vectors/s, threads {}", seconds(*median), self.threads);
        if all.len() == 1 {
            return built;
        }
        let all: Vec<String> = all.iter().map(|time| seconds(*time)).collect();
        format!("{built} (median of {})", all.join(", "))
    }

    fn describe_phases(&self) -> String {
        let taken = self.phases.named().into_iter().filter(|(_, time)| *time > 0.0);
        let taken: Vec<_> = taken.map(|(name, time)| format!("{name} {}", seconds(time))).collect();
        taken.join(", ")
    }

    fn describe_floor(&self) -> String {
        let floor = &self.floor;
        let giga = |count: u64| count as f64 / 1.0e9;
        let mut products = vec![format!(
            "{:.2} G multiply-adds of f32 at {:.0} GFLOP/s",
            giga(floor.multiply_adds_f32),
            floor.rate_f32_gflops
        )];
        if let Some(rate) = floor.rate_bytes_gops {
            let count = giga(floor.multiply_adds_bytes);
            products.insert(0, format!("{count:.2} G multiply-adds of bytes at {rate:.0} GOP/s"));
        }
        let (all, ratio) = (products.join(", "), floor.ratio);
        format!("{}, of which the build takes {ratio:.1} times ({all})", seconds(floor.seconds))
    }

    fn describe_strategy(&self) -> String {
        let Parameters { m, ef_construction, chunk, seed } = self.parameters;
        let chunk = chunk.map_or(String::new(), |chunk| format!(", chunk {}", count(chunk as u64)));
        let strategy = self.strategy;
        format!("{strategy}{chunk}, m {m}, ef_construction {ef_construction}, seed {seed}")
    }

    fn searched(&self) -> Table {
        let mut table = Table::new(&[Align::Right; 6]);
        let columns =
            ["ef_search", "recall@10", "queries/s", "distances/query", "p50 us", "p99 us"];
        table.row(columns.map(str::to_owned));
        for search in &self.searches {
            table.row([
                search.ef_search.to_string(),
                format!("{:.4}", search.recall_at_10),
                count(search.queries_per_second as u64),
                format!("{:.1}", search.distances_per_query),
                format!("{:.1}", search.p50_us),
                format!("{:.1}", search.p99_us),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::with_chunk;
    use loomdb_graph::Strategy;

    #[test]
    fn a_chunk_is_for_inserts_only() {
        let insert = |chunk| Strategy::Insert { chunk };
        assert_eq!(with_chunk(Strategy::Auto, None).unwrap(), Strategy::Auto);
        assert_eq!(with_chunk(insert(1), Some(100)).unwrap(), insert(100));
        assert_eq!(with_chunk(insert(100), Some(100)).unwrap(), insert(100));
        assert!(with_chunk(insert(200), Some(100)).is_err());
        let message = with_chunk(Strategy::AllPairs, Some(100)).unwrap_err().to_string();
        assert!(message.ends_with("not for all_pairs"), "{message}");
    }
}
