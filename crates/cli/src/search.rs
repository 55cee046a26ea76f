//! `loomdb search`: the nearest rows of one query or of a file of queries.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context, Result};
use loomdb::Id;
use loomdb::import;
use loomdb::index::{Hit, IndexParams, OpenedIndex};
use loomdb_graph::{MAX_EF, MAX_K, Vectors};
use serde::Serialize;

use crate::arguments::{threads, up_to};
use crate::database;
use crate::output::Output;
use crate::progress::Progress;
use crate::table::{Align, Table};

/// Find the nearest rows of one or many queries
#[derive(clap::Args)]
pub struct Command {
    /// Directory of the database
    #[arg(value_name = "DB")]
    database: PathBuf,
    #[command(flatten)]
    queries: Queries,
    /// Neighbors of each query
    #[arg(short, default_value = "10", value_parser = up_to(MAX_K))]
    k: usize,
    /// Beam width in the graph: wider finds more of the true neighbors, slower
    #[arg(long, default_value = "64", value_parser = up_to(MAX_EF))]
    ef_search: usize,
    /// Compare with every row instead of walking through the graph
    #[arg(long)]
    exact: bool,
    /// Answer only the first queries of the file
    #[arg(long, value_name = "QUERIES", conflicts_with = "query", value_parser = up_to(usize::MAX))]
    limit: Option<usize>,
    /// Column of the vectors in the query file
    #[arg(long, value_name = "NAME", conflicts_with = "query")]
    vector_column: Option<String>,
    /// Threads that answer; 0 stands for one for each core
    #[arg(long, default_value = "0", value_parser = threads())]
    threads: usize,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Queries {
    /// File of query vectors, in any format that `import` reads
    #[arg(long, value_name = "FILE")]
    query_file: Option<PathBuf>,
    /// One query vector: numbers with commas or blanks between them
    #[arg(long, value_name = "NUMBERS", allow_hyphen_values = true)]
    query: Option<QueryVector>,
}

/// A vector as it is typed.
#[derive(Clone, Debug)]
struct QueryVector(Vec<f32>);

impl FromStr for QueryVector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().trim_start_matches('[').trim_end_matches(']');
        let words = text.split(|letter: char| letter == ',' || letter.is_whitespace());
        let number = |word: &str| word.parse().map_err(|_| format!("{word:?} is not a number"));
        let words = words.filter(|word| !word.is_empty());
        let numbers = words.map(number).collect::<Result<Vec<f32>, _>>()?;
        if numbers.is_empty() { Err("there is no number".to_owned()) } else { Ok(Self(numbers)) }
    }
}

#[derive(Serialize)]
struct Report {
    k: usize,
    ef_search: usize,
    exact: bool,
    metric: String,
    seconds: f64,
    /// The neighbors of each query, nearest first.
    ids: Vec<Vec<Id>>,
    /// Their distances, in the same order.
    distances: Vec<Vec<f32>>,
}

/// # Errors
/// When the database or the queries cannot be used.
pub fn run(command: &Command, output: &Output) -> Result<()> {
    let params = IndexParams { threads: command.threads, ..IndexParams::default() };
    let OpenedIndex { index, ids, .. } = database::open(&command.database, params)?;
    let (queries, origin) = command.read_queries()?;
    let started = Instant::now();
    let answers = if command.exact {
        index.search_exact(&queries, command.k)
    } else {
        index.search_many(&queries, command.k, command.ef_search)
    };
    let seconds = started.elapsed().as_secs_f64();
    let answers = answers.with_context(|| origin)?;
    let ids_of = |hits: &Vec<Hit>| hits.iter().map(|hit| ids.get(hit.point)).collect();
    let distances_of = |hits: &Vec<Hit>| hits.iter().map(|hit| hit.distance).collect();
    output.report(&Report {
        k: command.k,
        ef_search: command.ef_search,
        exact: command.exact,
        metric: index.info().metric,
        seconds,
        ids: answers.iter().map(ids_of).collect(),
        distances: answers.iter().map(distances_of).collect(),
    })
}

impl Command {
    /// The queries, and what to call them in messages.
    fn read_queries(&self) -> Result<(Vectors, String)> {
        let Some(file) = &self.queries.query_file else {
            let origin = "--query".to_owned();
            let numbers = self.queries.query.as_ref().map_or(&[][..], |query| &query.0);
            let vectors = Vectors::from_flat(numbers.len(), numbers);
            return Ok((vectors.with_context(|| origin.clone())?, origin));
        };
        let progress = Progress::new("reading");
        let options = import::Options {
            vector_column: self.vector_column.clone(),
            limit: self.limit,
            progress: &|done, total| progress.reached(done, total),
            ..import::Options::default()
        };
        Ok((import::read(file, &options)?.vectors, file.display().to_string()))
    }
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&[Align::Right, Align::Right, Align::Left, Align::Right]);
        table.row(["query", "rank", "id", "distance"].map(str::to_owned));
        for (query, (ids, distances)) in self.ids.iter().zip(&self.distances).enumerate() {
            for (place, (id, distance)) in ids.iter().zip(distances).enumerate() {
                let (query, rank) = (query.to_string(), (place + 1).to_string());
                table.row([query, rank, id.to_string(), format!("{distance:.6}")]);
            }
        }
        write!(formatter, "{table}")
    }
}
