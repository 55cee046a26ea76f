//! `loomdb bench ladder`: the ways to link rows, from one by one up to whole batches.
//!
//! Every rung links the same rows, on the same threads, in the same run. Turn by turn all rungs
//! are climbed once, so that a slow spell of the machine hits all of them alike.

use std::convert::identity;
use std::fmt::{self, Display};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use loomdb_graph::{
    Build, BuildParams, Flat, MAX_ROWS, Metric, Observer, Phase, Strategy, Vectors, Workers, build,
};
use serde::Serialize;

use super::inputs::Sample;
use super::queries::{K, Questions, Searcher, nearest_rows, rows};
use super::statistics::Seconds;
use crate::arguments;
use crate::output::Output;
use crate::progress::Progress;
use crate::quantity::{count, rate, seconds};
use crate::table::{Align, Table};

const EF_SEARCH: usize = 64;

/// Rows up to which the buffer of the second rung is scanned and nothing is linked.
const BUFFER_ROWS: usize = 500;

/// Row counts to climb at unless others are asked for; those that the base does not have are
/// left out.
const ROW_COUNTS: [usize; 3] = [1_500, 5_000, 10_000];

#[derive(clap::Args)]
pub struct Arguments {
    /// File of vectors; without one, the definitions of the demo (5,000 x 384, cosine)
    #[arg(long, value_name = "FILE", requires = "metric")]
    base: Option<PathBuf>,
    /// File of query vectors; without one, some rows of the base are held out
    #[arg(long, value_name = "FILE", requires = "base")]
    queries: Option<PathBuf>,
    /// How distances are measured
    #[arg(long, value_parser = arguments::metric())]
    metric: Option<Metric>,
    /// Row counts to compare at [default: 1500, 5000 and 10000, as far as the base goes]
    #[arg(long, value_delimiter = ',', value_parser = arguments::up_to(MAX_ROWS))]
    rows: Vec<usize>,
    /// Threads that link; 0 stands for one for each core
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Times that each rung is climbed
    #[arg(long, default_value = "3", value_parser = arguments::up_to(1_000_000))]
    repeat: usize,
}

/// A way to link rows.
#[derive(Clone, Copy, Debug, Serialize)]
struct Rung {
    name: &'static str,
    explanation: &'static str,
    #[serde(skip)]
    way: Way,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    /// All rows are given to the builder.
    Build(Strategy),
    /// Row after row is given to the graph.
    Single,
    /// As [`Way::Single`], once there are more rows than a buffer holds.
    BufferedSingle,
}

const RUNGS: [Rung; 8] = [
    Rung {
        name: "one by one",
        explanation: "one call; each row searches the graph for its neighbors, one after the other",
        way: Way::Build(Strategy::Insert { chunk: 1 }),
    },
    Rung {
        name: "flat, then one by one",
        explanation: "a call for each row; up to 500 are scanned, with the 501st all are linked",
        way: Way::BufferedSingle,
    },
    Rung {
        name: "detected, one by one",
        explanation: "a large batch skips the buffer, but there is still a call for each row",
        way: Way::Single,
    },
    Rung {
        name: "chunks of 100",
        explanation: "100 rows find their neighbors together, then all their links are applied",
        way: Way::Build(Strategy::Insert { chunk: 100 }),
    },
    Rung {
        name: "chunks of 500",
        explanation: "500 rows find their neighbors together, then all their links are applied",
        way: Way::Build(Strategy::Insert { chunk: 500 }),
    },
    Rung {
        name: "all pairs",
        explanation: "the whole batch at once: all distances, as tiles of a matrix product",
        way: Way::Build(Strategy::AllPairs),
    },
    Rung {
        name: "partition",
        explanation: "the whole batch at once: all distances within overlapping partitions",
        way: Way::Build(Strategy::Partition),
    },
    Rung {
        name: "planner",
        explanation: "what a build does unless told otherwise: it picks by the number of rows",
        way: Way::Build(Strategy::Auto),
    },
];

#[derive(Serialize)]
struct Report {
    dataset: String,
    dim: usize,
    metric: &'static str,
    threads: usize,
    repeat: usize,
    ef_search: usize,
    queries: usize,
    /// Where the queries are from.
    queries_from: String,
    instruction_set: &'static str,
    rungs: [Rung; RUNGS.len()],
    ladders: Vec<Ladder>,
}

/// All rungs at one row count.
#[derive(Serialize)]
struct Ladder {
    rows: usize,
    rungs: Vec<Climbed>,
}

/// What a rung gave.
#[derive(Serialize)]
struct Climbed {
    name: &'static str,
    build_seconds: Seconds,
    vectors_per_second: f64,
    /// How many times faster than the first rung.
    ratio: f64,
    #[serde(flatten)]
    outcome: Outcome,
}

/// What the links of a rung are, whichever turn they are of.
#[derive(Serialize)]
struct Outcome {
    /// How they were found; nothing when there are none.
    strategy: Option<&'static str>,
    distance_computations: u64,
    recall_at_10: f64,
}

/// What rows have become.
enum Linked {
    Graph(Box<Build>),
    Flat(Box<Flat>),
}

impl Linked {
    fn graph(build: Build) -> Self {
        Self::Graph(Box::new(build))
    }
}

/// # Errors
/// When a file cannot be used, or has too few rows.
pub fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let workers = Workers::new(arguments.threads)?;
    let sample = arguments.sample()?;
    let row_counts = row_counts(&arguments.rows, sample.base.len())?;
    let repeat = arguments.repeat;
    let climb = |rows| Climb::new(&sample, rows, &workers)?.climb(repeat);
    let ladders = row_counts.into_iter().map(climb).collect::<loomdb::Result<_>>()?;
    output.report(&Report {
        dim: sample.base.dim(),
        metric: sample.metric.name(),
        threads: workers.threads(),
        repeat,
        ef_search: EF_SEARCH,
        queries: sample.queries.len(),
        queries_from: sample.origin,
        instruction_set: loomdb_graph::instruction_set(),
        rungs: RUNGS,
        ladders,
        dataset: sample.dataset,
    })
}

impl Arguments {
    fn sample(&self) -> Result<Sample> {
        let metric = self.metric.unwrap_or(Metric::Cosine);
        let asked = if self.rows.is_empty() { &ROW_COUNTS[..] } else { &self.rows };
        let limit = asked.iter().copied().max().unwrap_or(MAX_ROWS);
        match &self.base {
            Some(base) => Sample::read(base, self.queries.as_deref(), metric, limit),
            None => Sample::embedded(metric),
        }
    }
}

/// The row counts to climb at, with `available` rows.
fn row_counts(asked: &[usize], available: usize) -> Result<Vec<usize>> {
    if let Some(rows) = asked.iter().copied().find(|rows| *rows > available) {
        let (rows, available) = (count(rows as u64), count(available as u64));
        bail!("--rows {rows} is too many: the base has {available} rows besides the queries");
    }
    let fitting = ROW_COUNTS.into_iter().filter(|rows| *rows <= available);
    Ok(match asked {
        [] if available < ROW_COUNTS[0] => vec![available],
        [] => fitting.collect(),
        asked => asked.to_vec(),
    })
}

/// All rungs at one row count.
struct Climb<'a> {
    base: Vectors,
    questions: Questions,
    workers: &'a Workers,
}

impl<'a> Climb<'a> {
    fn new(sample: &Sample, rows: usize, workers: &'a Workers) -> loomdb::Result<Self> {
        let (metric, dim) = (sample.metric, sample.base.dim());
        let base = Vectors::from_flat(dim, &sample.base.as_flat()[..rows * dim])?;
        let flat = Flat::from_vectors(metric, base.clone())?;
        let nearest = nearest_rows(&flat, identity, &sample.queries, workers)?;
        let questions = Questions { metric, queries: sample.queries.clone(), nearest };
        Ok(Self { base, questions, workers })
    }

    fn climb(&self, repeat: usize) -> loomdb::Result<Ladder> {
        let mut times = vec![Vec::new(); RUNGS.len()];
        let mut outcomes = Vec::new();
        for turn in 0..repeat {
            for (rung, times) in RUNGS.iter().zip(&mut times) {
                let (linked, seconds) = self.timed(rung)?;
                times.push(seconds);
                // The same links come out of every turn, so one look at them is enough.
                if turn == 0 {
                    outcomes.push(self.outcome(&linked)?);
                }
            }
        }
        let times: Vec<Seconds> = times.into_iter().map(Seconds::new).collect();
        let first = times[0].median;
        let climbed = RUNGS.iter().zip(outcomes).zip(times);
        let climbed = climbed.map(|((rung, outcome), build_seconds)| Climbed {
            name: rung.name,
            vectors_per_second: rate(self.base.len(), build_seconds.median),
            ratio: first / build_seconds.median,
            build_seconds,
            outcome,
        });
        Ok(Ladder { rows: self.base.len(), rungs: climbed.collect() })
    }

    /// Links all rows once; the copy that a build takes is made before the clock starts.
    fn timed(&self, rung: &Rung) -> loomdb::Result<(Linked, f64)> {
        let batch = self.base.clone();
        let progress = Progress::new(rung.name);
        let started = Instant::now();
        let linked = match rung.way {
            Way::Build(strategy) => Linked::graph(self.build(batch, strategy, &progress)?),
            Way::Single => Linked::graph(self.link_singly(self.rows_from(0), &progress)?),
            Way::BufferedSingle => self.link_buffered(&progress)?,
        };
        Ok((linked, started.elapsed().as_secs_f64()))
    }

    fn build(
        &self,
        batch: Vectors,
        strategy: Strategy,
        observer: &dyn Observer,
    ) -> Result<Build, loomdb_graph::Error> {
        let params = BuildParams { strategy, ..BuildParams::default() };
        build(batch, self.questions.metric, &params, self.workers, observer)
    }

    /// Inserts row after row into a graph that is empty at first.
    fn link_singly<'r>(
        &self,
        rows: impl Iterator<Item = &'r [f32]>,
        observer: &dyn Observer,
    ) -> Result<Build, loomdb_graph::Error> {
        let dim = self.base.dim();
        let mut linked = self.build(Vectors::new(dim)?, Strategy::Insert { chunk: 1 }, observer)?;
        let params = BuildParams::default();
        for row in rows {
            let row = Vectors::from_flat(dim, row)?;
            let (next, stats) = linked.graph.insert(&row, &params, self.workers, observer)?;
            linked.order.push(linked.graph.len() as u32);
            linked.graph = next;
            linked.stats.distance_computations += stats.distance_computations;
            observer.progress(Phase::Insert, linked.graph.len(), self.base.len());
        }
        Ok(linked)
    }

    /// Collects rows in a buffer, and links all of them singly when there are too many for it.
    fn link_buffered(&self, observer: &dyn Observer) -> Result<Linked, loomdb_graph::Error> {
        let dim = self.base.dim();
        let mut buffer = Flat::new(self.questions.metric, dim)?;
        for row in self.rows_from(0).take(BUFFER_ROWS) {
            buffer.append(&Vectors::from_flat(dim, row)?)?;
        }
        if self.base.len() <= BUFFER_ROWS {
            return Ok(Linked::Flat(Box::new(buffer)));
        }
        let buffered = (0..buffer.len() as u32).map(|row| buffer.vector(row));
        let linked = self.link_singly(buffered.chain(self.rows_from(BUFFER_ROWS)), observer)?;
        Ok(Linked::graph(linked))
    }

    fn rows_from(&self, first: usize) -> impl Iterator<Item = &[f32]> {
        (first..self.base.len()).map(|row| self.base.row(row))
    }

    fn outcome(&self, linked: &Linked) -> loomdb::Result<Outcome> {
        match linked {
            Linked::Graph(build) => Ok(Outcome {
                strategy: Some(build.stats.strategy.name()),
                distance_computations: build.stats.distance_computations,
                recall_at_10: Searcher::new(build).search(&self.questions, EF_SEARCH)?.recall_at_10,
            }),
            Linked::Flat(flat) => Ok(Outcome {
                strategy: None,
                distance_computations: 0,
                recall_at_10: self.recall_of_scan(flat)?,
            }),
        }
    }

    fn recall_of_scan(&self, flat: &Flat) -> loomdb::Result<f64> {
        let queries = &self.questions.queries;
        let scan = |query| Ok(rows(&flat.search(queries.row(query), K)?, identity));
        let answers = (0..queries.len()).map(scan).collect::<loomdb::Result<Vec<_>>>()?;
        Ok(self.questions.recall(&answers, |row| flat.vector(row)))
    }
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dataset, dim, metric, threads, repeat, .. } = self;
        writeln!(formatter, "{dataset}: dim {dim}, {metric}")?;
        writeln!(formatter, "threads {threads}, medians of {repeat}, {}", self.instruction_set)?;
        let queries = count(self.queries as u64);
        writeln!(formatter, "{queries} queries: {}\n", self.queries_from)?;
        let mut explanations = Table::new(&[Align::Left, Align::Left]);
        for rung in &self.rungs {
            explanations.row([rung.name, rung.explanation].map(str::to_owned));
        }
        write!(formatter, "{explanations}")?;
        for ladder in &self.ladders {
            write!(formatter, "\n{} rows\n{}", count(ladder.rows as u64), ladder.table())?;
        }
        Ok(())
    }
}

impl Ladder {
    fn table(&self) -> Table {
        let [left, right] = [Align::Left, Align::Right];
        let mut table = Table::new(&[left, right, right, right, right, right]);
        let columns = ["", "time", "vectors/s", "distances", "recall@10", "ratio"];
        table.row(columns.map(str::to_owned));
        for rung in &self.rungs {
            let outcome = &rung.outcome;
            table.row([
                rung.name.to_owned(),
                seconds(rung.build_seconds.median),
                count(rung.vectors_per_second as u64),
                count(outcome.distance_computations),
                format!("{:.4}", outcome.recall_at_10),
                format!("{:.2}", rung.ratio),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use loomdb_graph::{Metric, Workers};

    use super::{BUFFER_ROWS, Climb, Linked, RUNGS, row_counts};
    use crate::bench::inputs::Sample;

    #[test]
    fn row_counts_go_as_far_as_the_base() {
        assert_eq!(row_counts(&[], 100_000).unwrap(), [1_500, 5_000, 10_000]);
        assert_eq!(row_counts(&[], 5_000).unwrap(), [1_500, 5_000]);
        assert_eq!(row_counts(&[], 700).unwrap(), [700]);
        assert_eq!(row_counts(&[700, 20], 700).unwrap(), [700, 20]);
        let message = row_counts(&[20, 5_000], 4_800).unwrap_err().to_string();
        assert!(message.contains("5,000") && message.contains("4,800"), "{message}");
    }

    fn climb(rows: usize, workers: &Workers) -> Climb<'_> {
        let sample = Sample::made(8, rows, Metric::L2, 1).unwrap();
        Climb::new(&sample, rows, workers).unwrap()
    }

    #[test]
    fn every_rung_finds_the_neighbors() {
        let workers = Workers::new(2).unwrap();
        for rows in [BUFFER_ROWS + 1, 5] {
            let ladder = climb(rows, &workers).climb(1).unwrap();
            assert_eq!((ladder.rows, ladder.rungs.len()), (rows, RUNGS.len()));
            for rung in &ladder.rungs {
                let recall = rung.outcome.recall_at_10;
                assert!((0.9..=1.0).contains(&recall), "{rows} rows, {}: {recall}", rung.name);
            }
            let is_linked = ladder.rungs[1].outcome.strategy.is_some();
            assert_eq!(is_linked, rows > BUFFER_ROWS);
        }
    }

    #[test]
    fn a_full_buffer_answers_exactly() {
        let workers = Workers::new(1).unwrap();
        let climb = climb(BUFFER_ROWS, &workers);
        let Linked::Flat(flat) = climb.timed(&RUNGS[1]).unwrap().0 else { panic!("a graph") };
        let outcome = climb.outcome(&Linked::Flat(flat)).unwrap();
        assert!((outcome.recall_at_10 - 1.0).abs() < f64::EPSILON);
        assert_eq!((outcome.strategy, outcome.distance_computations), (None, 0));
    }
}
