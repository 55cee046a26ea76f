//! `loomdb info`: what a database holds, in points, links and bytes.

use std::fmt::{self, Display};
use std::path::PathBuf;

use anyhow::Result;
use loomdb::CollectionInfo;
use loomdb::index::IndexInfo;
use serde::Serialize;

use crate::collections::Named;
use crate::database::{self, StoredFile};
use crate::output::Output;
use crate::quantity::{bytes, count};
use crate::table::{Align, Table};

/// Show what a database holds: collections, graphs, files and their sizes
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Command {
    /// Directory of the database
    #[arg(value_name = "DB")]
    database: PathBuf,
    /// Name of the collection; by default all of them
    #[arg(short, long, value_name = "NAME")]
    collection: Option<String>,
    /// List the files too; with --json they are always there
    #[arg(long)]
    files: bool,
}

const EXAMPLES: &str = "\
Example:
  loomdb info my.loom --files";

#[derive(Serialize)]
struct Report {
    path: PathBuf,
    bytes: u64,
    collections: Vec<Named>,
    warnings: Vec<String>,
    files: Vec<StoredFile>,
    #[serde(skip)]
    shows_files: bool,
}

/// # Errors
/// When the database cannot be opened.
pub fn run(command: &Command, output: &Output) -> Result<()> {
    let path = &command.database;
    let db = database::open(path)?;
    let names = match &command.collection {
        Some(name) => vec![name.clone()],
        None => db.collection_names(),
    };
    let named = |name: String| {
        let info = db.existing_collection(&name)?.info();
        Ok(Named { name, info })
    };
    let collections = names.into_iter().map(named).collect::<Result<_>>()?;
    let files = database::files(path)?;
    output.report(&Report {
        path: path.clone(),
        bytes: files.iter().map(|file| file.bytes).sum(),
        collections,
        warnings: db.warnings(),
        files,
        shows_files: command.files,
    })
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let collections = match self.collections.len() {
            0 => "no collection".to_owned(),
            1 => "1 collection".to_owned(),
            several => format!("{several} collections"),
        };
        writeln!(formatter, "{}: {collections}, {}", self.path.display(), bytes(self.bytes))?;
        for Named { name, info } in &self.collections {
            write!(formatter, "\n{}\n{}", headline(name, info), parts(info))?;
        }
        if self.shows_files {
            let mut table = Table::new(&[Align::Left, Align::Right]);
            for file in &self.files {
                table.row([file.name.clone(), bytes(file.bytes)]);
            }
            write!(formatter, "\n{table}")?;
        }
        Ok(())
    }
}

fn headline(name: &str, info: &CollectionInfo) -> String {
    let dim = info.dim.map_or_else(|| "no dimension yet".to_owned(), |dim| dim.to_string());
    let ids = info.id_type.as_ref().map_or(String::new(), |ids| format!(", {ids} ids"));
    format!("{name}: {} x {dim}, {}{ids}", count(info.points as u64), info.metric)
}

fn parts(info: &CollectionInfo) -> Table {
    let mut table = Table::new(&[Align::Left, Align::Left]).cut_to_terminal();
    if !info.fields.is_empty() {
        let fields = info.fields.iter().map(|(name, sort)| format!("{name} ({sort})"));
        table.row(["metadata".to_owned(), fields.collect::<Vec<_>>().join(", ")]);
    }
    if !info.indexed_fields.is_empty() {
        table.row(["indexed".to_owned(), info.indexed_fields.join(", ")]);
    }
    let links = format!("m {}, ef_construction {}", info.m, info.ef_construction);
    table.row(["built with".to_owned(), links]);
    if let Some(index) = &info.index {
        table.row(["graph".to_owned(), describe_graph(index)]);
        table.row(["tail".to_owned(), describe_tail(index)]);
        let (vectors, links) = (bytes(index.vector_bytes as u64), bytes(index.link_bytes as u64));
        table.row(["memory".to_owned(), format!("{vectors} of vectors, {links} of links")]);
    }
    if info.deleted_rows > 0 {
        let rows = count(info.deleted_rows as u64);
        let what = format!("{rows} deleted or replaced rows; `loomdb compact` gives them back");
        table.row(["spare".to_owned(), what]);
    }
    table
}

fn describe_graph(index: &IndexInfo) -> String {
    if index.graph_rows == 0 {
        return format!("none: up to {} rows are scanned", count(index.flat_limit as u64));
    }
    let reach = match index.unreachable_nodes {
        0 => "every row can be reached".to_owned(),
        unreachable => format!("{} rows CANNOT be reached", count(unreachable as u64)),
    };
    format!(
        "{} rows on {} levels, {:.1} links each (at most {}), {reach}",
        count(index.graph_rows as u64),
        u32::from(index.top_level) + 1,
        index.mean_degree,
        index.max_degree,
    )
}

fn describe_tail(index: &IndexInfo) -> String {
    match index.tail_rows {
        0 => "empty".to_owned(),
        rows => format!("{} rows, scanned exactly", count(rows as u64)),
    }
}
