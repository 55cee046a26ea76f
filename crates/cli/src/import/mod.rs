//! `loomdb import`: files of vectors in, points of a collection out.
//!
//! The place is looked at first: nobody should wait for a build whose result has nowhere to go.
//! Everything that follows is one change of the database, so whatever goes wrong, and whenever
//! someone stops it, the database stays as it was, or is not there if it was not.

mod job;

use std::path::PathBuf;

use anyhow::Result;
use loomdb::import::{MetadataColumns, Options};
use loomdb::index::IndexParams;
use loomdb_graph::{Metric, Strategy};

use crate::arguments::{self, GraphParams, STRATEGIES};
use crate::interrupt;
use crate::output::Output;
pub use job::{Existing, Job, Report};

/// Import files of vectors, with ids and metadata, as one change
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Command {
    /// Files of vectors (.npy .fvecs .bvecs .ivecs .parquet .arrow .feather), read in their order
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Directory of the database, made when it is missing
    #[arg(value_name = "DB", required = true)]
    database: PathBuf,
    /// Name of the collection, made when it is missing; by default the only one, or `default`
    #[arg(short, long, value_name = "NAME")]
    collection: Option<String>,
    /// How distances are measured; by default as the collection does it, or cosine
    #[arg(long, value_parser = arguments::metric())]
    metric: Option<Metric>,
    /// Column of the vectors; by default `vector`, `embedding` or the only one that fits
    #[arg(long, value_name = "NAME")]
    vector_column: Option<String>,
    /// Column of the ids; by default `id` if there is one, else rows are numbered from 0
    #[arg(long, value_name = "NAME")]
    id_column: Option<String>,
    /// Columns that become metadata, with commas between them, `all` or `none`
    #[arg(long, value_name = "NAMES", default_value = "all", value_parser = metadata_columns)]
    metadata_columns: MetadataColumns,
    /// Take only the first rows
    #[arg(long, value_name = "ROWS", value_parser = arguments::up_to(usize::MAX))]
    limit: Option<usize>,
    #[command(flatten)]
    existing: ExistingPoints,
    #[command(flatten)]
    build: Build,
}

/// What becomes of the points that are there.
#[derive(clap::Args)]
#[group(multiple = false)]
struct ExistingPoints {
    /// Add to the points that are there; an id that is there already is an error
    #[arg(long)]
    append: bool,
    /// Add to the points that are there, and replace those with the same ids
    #[arg(long)]
    upsert: bool,
    /// Put the rows in the place of all points of the collection
    #[arg(long)]
    replace: bool,
}

/// How the graph is built.
#[derive(clap::Args)]
struct Build {
    #[command(flatten)]
    params: GraphParams,
    /// Threads that build; 0 stands for one for each core
    #[arg(long, default_value = "0", value_parser = arguments::threads())]
    threads: usize,
    #[arg(long, default_value = "auto", value_parser = arguments::strategy, help = STRATEGIES)]
    strategy: Strategy,
}

const EXAMPLES: &str = "\
The points of an import are there completely or not at all.

Examples:
  loomdb import embeddings.npy my.loom
  loomdb import part-*.parquet my.loom --vector-column embedding --id-column url --metric ip
  loomdb import new.parquet my.loom --collection articles --upsert";

fn metadata_columns(text: &str) -> Result<MetadataColumns, String> {
    match text {
        "all" => Ok(MetadataColumns::All),
        "none" => Ok(MetadataColumns::None),
        names => {
            let names: Vec<String> = names.split(',').map(|name| name.trim().to_owned()).collect();
            if names.iter().any(String::is_empty) {
                return Err("expected all, none, or names such as title,year".to_owned());
            }
            Ok(MetadataColumns::Named(names))
        }
    }
}

/// # Errors
/// When a file cannot be read, or the points cannot be added.
pub fn run(command: Command, output: &Output) -> Result<()> {
    interrupt::listen()?;
    let Build { params, threads, strategy } = command.build;
    let job = Job {
        files: &command.files,
        database: &command.database,
        collection: command.collection.as_deref(),
        metric: command.metric,
        graph: params,
        records: None,
        options: Options {
            vector_column: command.vector_column,
            id_column: command.id_column,
            metadata_columns: command.metadata_columns,
            limit: command.limit,
            ..Options::default()
        },
        params: IndexParams { threads, strategy, ..IndexParams::default() },
        existing: command.existing.chosen(),
    };
    output.report(&job.run()?)
}

impl ExistingPoints {
    fn chosen(&self) -> Existing {
        match (self.append, self.upsert, self.replace) {
            (true, _, _) => Existing::Append,
            (_, true, _) => Existing::Upsert,
            (_, _, true) => Existing::Replace,
            _ => Existing::Refuse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::metadata_columns;
    use loomdb::import::MetadataColumns;

    #[test]
    fn metadata_columns_are_named_all_or_none() {
        assert_eq!(metadata_columns("all"), Ok(MetadataColumns::All));
        assert_eq!(metadata_columns("none"), Ok(MetadataColumns::None));
        let names = ["title", "year"].map(str::to_owned).to_vec();
        assert_eq!(metadata_columns("title, year"), Ok(MetadataColumns::Named(names)));
        assert!(metadata_columns("").is_err() && metadata_columns("a,,b").is_err());
    }
}
