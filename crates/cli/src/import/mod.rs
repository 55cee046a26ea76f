//! `loomdb import`: files of vectors in, a database out.
//!
//! The place of the database is looked at first: nobody should wait for a build whose result has
//! nowhere to go. Nothing is written before the graph is finished, and then beside the place, so
//! whatever goes wrong, and whenever someone stops it, the place stays as it was.

mod read;

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Instant;

use anyhow::Result;
use loomdb::import::Options;
use loomdb::index::{Index, IndexParams};
use loomdb::storage::{Existing, SaveOptions};
use loomdb_graph::{MAX_EF, MAX_M, Metric, Strategy};
use serde::Serialize;

use crate::arguments::{self, STRATEGIES};
use crate::output::Output;
use crate::progress::Progress;
use crate::quantity::{bytes, count, rate, seconds};
use crate::table::{Align, Table};
use crate::{database, interrupt};
use read::Rows;

/// Build a database from one or more files of vectors
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Command {
    /// Files of vectors (.npy, .fvecs, .bvecs, .parquet, .arrow, .feather), read one after another
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Directory that the database becomes
    #[arg(value_name = "DB", required = true)]
    database: PathBuf,
    /// How distances are measured
    #[arg(long, default_value = "cosine", value_parser = arguments::metric())]
    metric: Metric,
    /// Column of the vectors; by default `vector`, `embedding` or the only one that fits
    #[arg(long, value_name = "NAME")]
    vector_column: Option<String>,
    /// Column of the ids; by default `id` if there is one, else rows are numbered from 0
    #[arg(long, value_name = "NAME")]
    id_column: Option<String>,
    /// Take only the first rows
    #[arg(long, value_name = "ROWS", value_parser = arguments::up_to(usize::MAX))]
    limit: Option<usize>,
    /// Replace a database that is there
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    build: Build,
}

/// How the graph is built.
#[derive(clap::Args)]
struct Build {
    /// Links of a row in the graph; twice as many at the bottom
    #[arg(long, default_value = "16", value_parser = arguments::between(2, MAX_M))]
    m: usize,
    /// Beam width of the searches for the neighbors of a single new row
    #[arg(long, default_value = "200", value_parser = arguments::up_to(MAX_EF))]
    ef_construction: usize,
    /// Threads that build; 0 stands for one for each core
    #[arg(long, default_value = "0", value_parser = arguments::threads())]
    threads: usize,
    #[arg(long, default_value = "auto", value_parser = arguments::strategy, help = STRATEGIES)]
    strategy: Strategy,
}

const EXAMPLES: &str = "\
Examples:
  loomdb import embeddings.npy my.loom
  loomdb import part-*.parquet my.loom --vector-column embedding --id-column id --metric ip";

/// An import with everything that it needs to know.
pub struct Job<'a> {
    pub files: &'a [PathBuf],
    pub database: &'a Path,
    pub metric: Metric,
    pub options: Options<'a>,
    pub params: IndexParams,
    pub existing: Existing,
}

/// What an import made, and what it took.
#[derive(Serialize)]
pub struct Report {
    pub path: PathBuf,
    pub rows: usize,
    pub dim: usize,
    pub metric: String,
    /// Nothing when the rows are so few that they are scanned, without a graph.
    pub strategy: Option<String>,
    pub threads: usize,
    pub read_seconds: f64,
    pub build_seconds: f64,
    pub save_seconds: f64,
    /// Rows of the build in a second; reading and saving are not in it.
    pub vectors_per_second: f64,
    pub distance_computations: u64,
    pub bytes: u64,
}

/// # Errors
/// When a file cannot be read, or the database cannot be made.
pub fn run(command: Command, output: &Output) -> Result<()> {
    interrupt::listen()?;
    let Build { m, ef_construction, threads, strategy } = command.build;
    let params = IndexParams { m, ef_construction, threads, strategy, ..IndexParams::default() };
    let job = Job {
        files: &command.files,
        database: &command.database,
        metric: command.metric,
        options: Options {
            vector_column: command.vector_column,
            id_column: command.id_column,
            limit: command.limit,
            ..Options::default()
        },
        params,
        existing: if command.replace { Existing::Replace } else { Existing::Refuse },
    };
    output.report(&job.run()?)
}

impl Job<'_> {
    /// Reads, builds and saves.
    ///
    /// # Errors
    /// When a file cannot be read, or the database cannot be made.
    pub fn run(self) -> Result<Report> {
        database::check_place(self.database, self.existing)?;
        let (rows, read_seconds) = timed(|| read::read(self.files, &self.options))?;
        let Rows { vectors, ids } = rows;
        let threads = match self.params.threads {
            0 => available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let build = || Index::build(vectors, self.metric, self.params, &Progress::new("building"));
        let (index, build_seconds) = timed(build)?;
        let ((), save_seconds) = timed(|| {
            let progress = Progress::new("saving");
            let reached = |done, total| progress.reached(done, total);
            let options = SaveOptions { existing: self.existing, progress: &reached };
            index.save(self.database, ids.as_ref(), &options)
        })?;
        let info = index.info();
        Ok(Report {
            path: self.database.to_owned(),
            rows: info.rows,
            dim: info.dim,
            metric: info.metric,
            strategy: info.strategy,
            threads,
            read_seconds,
            build_seconds,
            save_seconds,
            vectors_per_second: rate(info.rows, build_seconds),
            distance_computations: info.distance_computations,
            bytes: database::files(self.database)?.iter().map(|file| file.bytes).sum(),
        })
    }
}

/// What `work` makes, and the seconds that it takes.
fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<(T, f64), E> {
    let started = Instant::now();
    let made = work()?;
    Ok((made, started.elapsed().as_secs_f64()))
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, rows) = (self.path.display(), count(self.rows as u64));
        write!(formatter, "{path}: {rows} x {}, {}\n\n{}", self.dim, self.metric, self.steps())
    }
}

impl Report {
    /// What each step took.
    pub fn steps(&self) -> Table {
        let mut table = Table::new(&[Align::Left, Align::Right, Align::Left]);
        let how = match &self.strategy {
            None => "no graph: so few rows are scanned".to_owned(),
            Some(strategy) => {
                let speed = count(self.vectors_per_second as u64);
                format!("{speed} vectors/s, {strategy}, {}", threads(self.threads))
            }
        };
        table.row(["read".to_owned(), seconds(self.read_seconds), String::new()]);
        table.row(["build".to_owned(), seconds(self.build_seconds), how]);
        table.row(["save".to_owned(), seconds(self.save_seconds), bytes(self.bytes)]);
        table
    }
}

fn threads(count: usize) -> String {
    if count == 1 { "1 thread".to_owned() } else { format!("{count} threads") }
}
