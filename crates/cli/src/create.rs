//! `loomdb create`: an empty collection, and the database around it.

use std::fmt::{self, Display};
use std::path::PathBuf;

use anyhow::Result;
use loomdb::Schema;
use loomdb_graph::{MAX_DIM, Metric};
use serde::Serialize;

use crate::arguments::{self, GraphParams};
use crate::database::{self, DEFAULT_COLLECTION};
use crate::output::Output;

/// Make an empty collection, and the database if there is none
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Command {
    /// Directory of the database, made when it is missing
    #[arg(value_name = "DB")]
    database: PathBuf,
    /// Name of the collection
    #[arg(value_name = "COLLECTION", default_value = DEFAULT_COLLECTION)]
    collection: String,
    /// Vector length; by default that of the first vectors
    #[arg(long, value_parser = arguments::up_to(MAX_DIM))]
    dim: Option<usize>,
    /// How distances are measured
    #[arg(long, default_value = "cosine", value_parser = arguments::metric())]
    metric: Metric,
    #[command(flatten)]
    graph: GraphParams,
}

const EXAMPLES: &str = "\
Examples:
  loomdb create my.loom articles --dim 384 --metric cosine
  loomdb create my.loom articles --m 32 --ef-construction 400";

#[derive(Serialize)]
struct Report {
    path: PathBuf,
    collection: String,
    dim: Option<usize>,
    metric: String,
    m: usize,
    ef_construction: usize,
}

/// # Errors
/// When there is such a collection, or the database cannot be made.
pub fn run(command: &Command, output: &Output) -> Result<()> {
    let path = &command.database;
    let place = database::Place::prepare(path)?;
    let db = database::open_or_make(path, loomdb::OpenOptions::new())?;
    let schema = command.dim.map_or(Schema::learned(), Schema::new).metric(command.metric);
    let schema = command.graph.in_schema(schema);
    let info = db.create_collection(&command.collection, schema)?.info();
    db.close()?;
    place.keep();
    output.report(&Report {
        path: path.clone(),
        collection: command.collection.clone(),
        dim: command.dim,
        metric: info.metric,
        m: info.m,
        ef_construction: info.ef_construction,
    })
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, name, metric) = (self.path.display(), &self.collection, &self.metric);
        let dim = match self.dim {
            Some(dim) => format!("{dim} dimensions"),
            None => "the dimension of its first vectors".to_owned(),
        };
        writeln!(formatter, "{path}: made the collection {name:?} with {dim}, {metric}")
    }
}
