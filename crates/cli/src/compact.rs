//! `loomdb compact`: the space of deleted and replaced points given back, the graph built anew.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use loomdb::OpenOptions;
use serde::Serialize;

use crate::output::Output;
use crate::progress::Builds;
use crate::quantity::{self, count};
use crate::table::{Align, Table};
use crate::{database, interrupt};

/// Give back the space of deleted and replaced points, and build the graph anew
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Command {
    /// Directory of the database
    #[arg(value_name = "DB")]
    database: PathBuf,
    /// Name of the collection; by default all of them
    #[arg(short, long, value_name = "NAME")]
    collection: Option<String>,
}

const EXAMPLES: &str = "\
Searches are right without it; readers go on meanwhile.

Example:
  loomdb compact my.loom";

#[derive(Serialize)]
struct Report {
    path: PathBuf,
    collections: Vec<Compacted>,
    bytes_before: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Compacted {
    name: String,
    points: usize,
    /// Rows of deleted and replaced points that were given back.
    removed_rows: usize,
    seconds: f64,
}

/// # Errors
/// When the database cannot be written to, or someone stops it, which changes nothing.
pub fn run(command: &Command, output: &Output) -> Result<()> {
    interrupt::listen()?;
    let path = &command.database;
    let builds = Arc::new(Builds::default());
    let db = database::open_to_write(path, OpenOptions::new().observer(builds.clone()))?;
    let names = match &command.collection {
        Some(name) => vec![name.clone()],
        None => db.collection_names(),
    };
    let bytes_before = database::bytes(path)?;
    let mut collections = Vec::new();
    for name in names {
        interrupt::check()?;
        let collection = db.existing_collection(&name)?;
        let removed_rows = collection.info().deleted_rows;
        let started = Instant::now();
        collection.compact()?;
        builds.clear();
        let (points, seconds) = (collection.count(), started.elapsed().as_secs_f64());
        collections.push(Compacted { name, points, removed_rows, seconds });
    }
    // What is left of the log goes too.
    db.commit()?;
    db.close()?;
    let bytes = database::bytes(path)?;
    output.report(&Report { path: path.clone(), collections, bytes_before, bytes })
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Align::{Left, Right};
        let (before, after) = (quantity::bytes(self.bytes_before), quantity::bytes(self.bytes));
        writeln!(formatter, "{}: {before} before, {after} now\n", self.path.display())?;
        let mut table = Table::new(&[Left, Right, Right, Right]).with_head();
        table.row(["collection", "points", "rows removed", "time"].map(str::to_owned));
        for one in &self.collections {
            let (points, rows) = (count(one.points as u64), count(one.removed_rows as u64));
            table.row([one.name.clone(), points, rows, quantity::seconds(one.seconds)]);
        }
        write!(formatter, "{table}")
    }
}
