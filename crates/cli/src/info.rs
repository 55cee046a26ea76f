//! `loomdb info`: what a database holds, in rows, links and bytes.

use std::fmt::{self, Display};
use std::path::PathBuf;

use anyhow::Result;
use loomdb::Ids;
use loomdb::index::{IndexInfo, IndexParams};
use serde::Serialize;

use crate::database::{self, StoredFile};
use crate::output::Output;
use crate::quantity::{bytes, count};
use crate::table::{Align, Table};

/// Show what a database holds: rows, graph, files and their sizes
#[derive(clap::Args)]
pub struct Command {
    /// Directory of the database
    #[arg(value_name = "DB")]
    database: PathBuf,
}

#[derive(Serialize)]
struct Report {
    path: PathBuf,
    #[serde(flatten)]
    index: IndexInfo,
    ids: &'static str,
    bytes: u64,
    files: Vec<StoredFile>,
    warnings: Vec<String>,
}

/// # Errors
/// When the database cannot be opened.
pub fn run(command: Command, output: &Output) -> Result<()> {
    let path = command.database;
    let opened = database::open(&path, IndexParams::default())?;
    let files = database::files(&path)?;
    output.report(&Report {
        index: opened.index.info(),
        ids: kind_of(&opened.ids),
        bytes: files.iter().map(|file| file.bytes).sum(),
        files,
        warnings: opened.warnings,
        path,
    })
}

fn kind_of(ids: &Ids) -> &'static str {
    match ids {
        Ids::Integer(_) => "integer",
        Ids::Text(_) => "text",
    }
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = &self.index;
        let (path, rows, dim) = (self.path.display(), count(index.rows as u64), index.dim);
        writeln!(formatter, "{path}: {rows} x {dim}, {}, {} ids\n", index.metric, self.ids)?;
        write!(formatter, "{}\n{}", self.parts(), self.stored())
    }
}

impl Report {
    fn parts(&self) -> Table {
        let mut table = Table::new(&[Align::Left, Align::Left]);
        let index = &self.index;
        table.row(["graph".to_owned(), describe_graph(index)]);
        table.row(["tail".to_owned(), describe_tail(index)]);
        let (vectors, links) = (bytes(index.vector_bytes as u64), bytes(index.link_bytes as u64));
        table.row(["memory".to_owned(), format!("{vectors} of vectors, {links} of links")]);
        table.row(["disk".to_owned(), bytes(self.bytes)]);
        table
    }

    fn stored(&self) -> Table {
        let mut table = Table::new(&[Align::Left, Align::Right]);
        for file in &self.files {
            table.row([file.name.clone(), bytes(file.bytes)]);
        }
        table
    }
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
