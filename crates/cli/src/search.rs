//! `loomdb search`: the nearest points of one query or of a file of queries.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context, Result};
use loomdb::import;
use loomdb::{Collection, ErrorKind, Explanation, Filter, Hit, Hits, Id, SearchStrategy, Snapshot};
use loomdb_graph::{MAX_EF, MAX_K, Vectors};
use serde::Serialize;

use crate::arguments::{self, up_to};
use crate::database::Target;
use crate::failure::Refusal;
use crate::output::Output;
use crate::point::{line, parse_ids};
use crate::progress::Progress;
use crate::quantity::{count, points};
use crate::table::{Align, Table};

/// Neighbors that are returned when nothing is said.
const K: usize = 10;

/// Find the nearest points of one or many queries
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Command {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    queries: Queries,
    /// Neighbors of each query; by default 10, and all with --radius
    #[arg(short, value_parser = up_to(MAX_K))]
    k: Option<usize>,
    #[arg(long, value_name = "JSON", value_parser = arguments::filter, help = arguments::FILTER)]
    filter: Option<Filter>,
    /// Beam width in the graph: wider finds more of the true neighbors, slower
    #[arg(long, default_value = "64", value_parser = up_to(MAX_EF))]
    ef_search: usize,
    /// Compare with every point instead of walking through the graph
    #[arg(long)]
    exact: bool,
    /// All points at most so far away instead of the nearest ones
    #[arg(long, value_name = "DISTANCE", allow_hyphen_values = true)]
    radius: Option<f32>,
    /// Tell how each search went and what it cost
    #[arg(long, conflicts_with = "radius")]
    explain: bool,
    /// Print the vectors too, with --json
    #[arg(long)]
    vectors: bool,
    /// Answer only the first queries of the file
    #[arg(long, value_name = "QUERIES", conflicts_with_all = ["vector", "id"],
          value_parser = up_to(usize::MAX))]
    limit: Option<usize>,
    /// Column of the vectors in the query file
    #[arg(long, value_name = "NAME", conflicts_with_all = ["vector", "id"])]
    vector_column: Option<String>,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Queries {
    /// File of query vectors, in any format that `import` reads
    #[arg(long, value_name = "FILE")]
    query_file: Option<PathBuf>,
    /// One query vector: numbers with commas or blanks between them
    #[arg(long, value_name = "NUMBERS", allow_hyphen_values = true)]
    vector: Option<QueryVector>,
    /// Points like the one of this id, which is left out itself
    #[arg(long, value_name = "ID")]
    id: Option<String>,
}

const EXAMPLES: &str = "\
If at least k points match, k points come back, whatever the filter.

Examples:
  loomdb search my.loom --query-file queries.npy -k 5
  loomdb search my.loom --id 17 --filter '{\"lang\": \"en\"}' --explain
  loomdb search my.loom --vector 0.1,0.9,-0.2 --radius 0.25 --json | jq '.hits[0][].id'";

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

/// The queries of a command.
struct Asked {
    vectors: Vectors,
    /// What to call them in messages.
    origin: String,
    /// The point whose vector is the query, which is no answer.
    own: Option<Id>,
}

#[derive(Serialize)]
struct Report {
    collection: String,
    metric: String,
    k: Option<usize>,
    ef_search: usize,
    exact: bool,
    radius: Option<f32>,
    seconds: f64,
    /// The hits of each query, nearest first.
    hits: Vec<Vec<Hit>>,
    /// How the search of each query went.
    #[serde(skip_serializing_if = "Option::is_none")]
    explanations: Option<Vec<Explanation>>,
}

/// # Errors
/// When the database, the queries or the filter cannot be used.
pub fn run(command: &Command, output: &Output) -> Result<()> {
    let collection = command.target.read()?;
    let asked = command.asked(&collection)?;
    let k = if command.radius.is_some() { command.k } else { Some(command.k.unwrap_or(K)) };
    let snapshot = collection.snapshot();
    let started = Instant::now();
    let found = command.answer(&snapshot, &asked, k);
    let seconds = started.elapsed().as_secs_f64();
    let hits = found.with_context(|| asked.origin.clone())?;
    let explanations = command.explain.then(|| command.explanations(&snapshot, &asked, k));
    output.report(&Report {
        collection: collection.name(),
        metric: collection.info().metric,
        k,
        ef_search: command.ef_search,
        exact: command.exact,
        radius: command.radius,
        seconds,
        hits,
        explanations: explanations.transpose()?,
    })
}

impl Command {
    fn asked(&self, collection: &Collection) -> Result<Asked> {
        let Queries { query_file, vector, id } = &self.queries;
        if let Some(id) = id {
            let ids = parse_ids(std::slice::from_ref(id), collection)?;
            let point = collection.get(&ids).into_iter().next().flatten().ok_or_else(|| {
                let what = format!("there is no point with the id {id}");
                Refusal::new(ErrorKind::NotFound, &self.target.database, what)
            })?;
            let vectors = vectors_of(&point.vector)?;
            return Ok(Asked { vectors, origin: format!("--id {id}"), own: Some(point.id) });
        }
        let Some(file) = query_file else {
            let origin = "--vector".to_owned();
            let numbers = vector.as_ref().map_or(&[][..], |vector| &vector.0);
            let vectors = vectors_of(numbers).with_context(|| origin.clone())?;
            return Ok(Asked { vectors, origin, own: None });
        };
        let progress = Progress::new("reading");
        let options = import::Options {
            vector_column: self.vector_column.clone(),
            limit: self.limit,
            progress: &|done, total| progress.reached(done, total),
            ..import::Options::default()
        };
        let vectors = import::read(file, &options)?.vectors;
        Ok(Asked { vectors, origin: file.display().to_string(), own: None })
    }

    /// The hits of each query.
    fn answer(
        &self,
        snapshot: &Snapshot,
        asked: &Asked,
        k: Option<usize>,
    ) -> loomdb::Result<Vec<Vec<Hit>>> {
        // One more, which the point itself may take.
        let wanted = k.map(|k| (k + usize::from(asked.own.is_some())).min(MAX_K));
        let mut all = Vec::new();
        if let Some(radius) = self.radius {
            for row in 0..asked.vectors.len() {
                let mut search = snapshot.within(asked.vectors.row(row), radius);
                if let Some(filter) = &self.filter {
                    search = search.filter(filter.clone());
                }
                if let Some(wanted) = wanted {
                    search = search.limit(wanted);
                }
                all.extend(self.hits(&search.run()?));
            }
        } else {
            let mut search = snapshot.search_many(&asked.vectors).ef_search(self.ef_search);
            if let Some(filter) = &self.filter {
                search = search.filter(filter.clone());
            }
            search = if self.exact { search.exact() } else { search };
            all = self.hits(&search.k(wanted.unwrap_or(K)).run()?);
        }
        for hits in &mut all {
            hits.retain(|hit| Some(&hit.id) != asked.own.as_ref());
            hits.truncate(k.unwrap_or(usize::MAX));
        }
        Ok(all)
    }

    /// The hits of each query, with vectors if they are asked for.
    fn hits(&self, found: &Hits) -> Vec<Vec<Hit>> {
        let mut all: Vec<Vec<Hit>> =
            (0..found.queries()).map(|query| found.to_hits(query)).collect();
        if self.vectors {
            let vectors = found.points().rows_of_vectors();
            for (hit, vector) in all.iter_mut().flatten().zip(vectors) {
                hit.vector = Some(vector.to_vec());
            }
        }
        all
    }

    fn explanations(
        &self,
        snapshot: &Snapshot,
        asked: &Asked,
        k: Option<usize>,
    ) -> Result<Vec<Explanation>> {
        let explain = |row| {
            let mut search = snapshot.search(asked.vectors.row(row)).ef_search(self.ef_search);
            if let Some(filter) = &self.filter {
                search = search.filter(filter.clone());
            }
            search = if self.exact { search.exact() } else { search };
            Ok(search.k(k.unwrap_or(K)).explain()?)
        };
        (0..asked.vectors.len()).map(explain).collect()
    }
}

fn vectors_of(values: &[f32]) -> loomdb::Result<Vectors> {
    Ok(Vectors::from_flat(values.len(), values)?)
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.table())?;
        if self.hits.iter().all(Vec::is_empty) {
            writeln!(formatter, "  no point matches")?;
        }
        if let Some(explanations) = &self.explanations {
            writeln!(formatter)?;
            for (query, explanation) in explanations.iter().enumerate() {
                let query = if self.hits.len() > 1 { format!("{query}: ") } else { String::new() };
                writeln!(formatter, "  {query}{}", describe(explanation))?;
            }
        }
        Ok(())
    }
}

impl Report {
    /// A line for each hit; the columns of the query and of the metadata only if there are any.
    fn table(&self) -> Table {
        let has_queries = self.hits.len() > 1;
        let has_metadata = self.hits.iter().flatten().any(|hit| !hit.metadata.is_empty());
        let mut columns = vec![Align::Right, Align::Left, Align::Right];
        let mut head = ["rank", "id", "distance"].map(str::to_owned).to_vec();
        if has_queries {
            columns.insert(0, Align::Right);
            head.insert(0, "query".to_owned());
        }
        if has_metadata {
            columns.push(Align::Left);
            head.push("metadata".to_owned());
        }
        let mut table = Table::new(&columns).with_head();
        if has_metadata {
            table = table.cut_to_terminal();
        }
        table.push(head);
        for (query, hits) in self.hits.iter().enumerate() {
            for (place, hit) in hits.iter().enumerate() {
                let (rank, distance) = ((place + 1).to_string(), format!("{:.6}", hit.distance));
                let mut row = vec![rank, hit.id.to_string(), distance];
                if has_queries {
                    row.insert(0, query.to_string());
                }
                if has_metadata {
                    row.push(line(&hit.metadata));
                }
                table.push(row);
            }
        }
        table
    }
}

/// A search in a sentence.
fn describe(explanation: &Explanation) -> String {
    let Explanation { strategy, matches, selectivity, beams, distance_computations, .. } =
        explanation;
    let widths: Vec<String> = beams.iter().map(|beam| count(*beam as u64)).collect();
    let widths = widths.join(", then ");
    let how = match strategy {
        SearchStrategy::Walk => format!("walked through the graph with a beam of {widths}"),
        SearchStrategy::WideWalk => {
            format!("walked through the graph with a wide beam of {widths}")
        }
        SearchStrategy::Scan if beams.is_empty() => "looked at every match".to_owned(),
        SearchStrategy::Scan => {
            format!("found too few with a beam of {widths}, and looked at every match")
        }
    };
    format!(
        "{how}: {} match ({:.1} %), {} distances computed",
        points(*matches),
        selectivity * 100.0,
        count(*distance_computations)
    )
}
