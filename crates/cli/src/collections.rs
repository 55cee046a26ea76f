//! `loomdb collections`: which there are, and the verbs that concern a collection as a whole.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use anyhow::Result;
use loomdb::{CollectionInfo, OpenOptions};
use serde::Serialize;

use crate::consent;
use crate::database;
use crate::output::Output;
use crate::quantity::{self, count};
use crate::table::{Align, Table};

/// List the collections of a database, drop or rename one
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct Command {
    /// Directory of the database
    #[arg(value_name = "DB", required = true)]
    database: Option<PathBuf>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// List the collections (the same as without a verb)
    List {
        /// Directory of the database
        #[arg(value_name = "DB")]
        database: PathBuf,
    },
    /// Remove a collection with all its points
    Drop {
        /// Directory of the database
        #[arg(value_name = "DB")]
        database: PathBuf,
        /// Name of the collection
        #[arg(value_name = "COLLECTION")]
        name: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Give a collection another name
    Rename {
        /// Directory of the database
        #[arg(value_name = "DB")]
        database: PathBuf,
        /// Name that it has
        #[arg(value_name = "COLLECTION")]
        name: String,
        /// Name that it gets
        #[arg(value_name = "NEW_NAME")]
        new_name: String,
    },
}

const EXAMPLES: &str = "\
On a terminal dropping a collection asks first; scripts are not asked.

Examples:
  loomdb collections my.loom
  loomdb collections rename my.loom articles papers
  loomdb collections drop my.loom papers --yes";

#[derive(Serialize)]
struct Listed {
    path: PathBuf,
    collections: Vec<Named>,
}

/// A collection with its name.
#[derive(Serialize)]
pub struct Named {
    pub name: String,
    #[serde(flatten)]
    pub info: CollectionInfo,
}

#[derive(Serialize)]
struct Dropped {
    path: PathBuf,
    #[serde(rename = "dropped")]
    name: String,
    points: usize,
}

#[derive(Serialize)]
struct Renamed {
    path: PathBuf,
    collection: String,
    was: String,
}

/// # Errors
/// When the database cannot be opened, there is no such collection, or someone says no.
pub fn run(command: Command, output: &Output) -> Result<()> {
    match (command.verb, command.database) {
        (None, Some(database)) | (Some(Verb::List { database }), _) => list(database, output),
        (Some(Verb::Drop { database, name, yes }), _) => drop_one(database, name, yes, output),
        (Some(Verb::Rename { database, name, new_name }), _) => {
            let db = database::open_to_write(&database, OpenOptions::new())?;
            db.rename_collection(&name, &new_name)?;
            db.close()?;
            output.report(&Renamed { path: database, collection: new_name, was: name })
        }
        (None, None) => Ok(()),
    }
}

fn list(path: PathBuf, output: &Output) -> Result<()> {
    let collections = all(&path)?;
    output.report(&Listed { path, collections })
}

/// All collections of a database.
///
/// # Errors
/// When the database cannot be opened.
fn all(path: &Path) -> Result<Vec<Named>> {
    let db = database::open(path)?;
    let named = |name: String| {
        let info = db.existing_collection(&name)?.info();
        Ok(Named { name, info })
    };
    db.collection_names().into_iter().map(named).collect()
}

fn drop_one(path: PathBuf, name: String, yes: bool, output: &Output) -> Result<()> {
    let db = database::open_to_write(&path, OpenOptions::new())?;
    let points = db.existing_collection(&name)?.count();
    if points > 0 && !yes {
        consent::ask(&format!("Drop {name:?} with {}?", quantity::points(points)))?;
    }
    db.drop_collection(&name)?;
    db.close()?;
    output.report(&Dropped { path, name, points })
}

impl Display for Listed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Align::{Left, Right};
        if self.collections.is_empty() {
            return writeln!(formatter, "{}: there is no collection", self.path.display());
        }
        let mut table =
            Table::new(&[Left, Right, Right, Left, Left, Left]).with_head().cut_to_terminal();
        let head = ["collection", "points", "dim", "metric", "ids", "metadata"];
        table.row(head.map(str::to_owned));
        for Named { name, info } in &self.collections {
            let dim = info.dim.map_or_else(|| "-".to_owned(), |dim| dim.to_string());
            let ids = info.id_type.clone().unwrap_or_else(|| "-".to_owned());
            let fields: Vec<&str> = info.fields.iter().map(|(name, _)| name.as_str()).collect();
            let points = count(info.points as u64);
            table.row([name.clone(), points, dim, info.metric.clone(), ids, fields.join(", ")]);
        }
        write!(formatter, "{table}")
    }
}

impl Display for Dropped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, name, points) = (self.path.display(), &self.name, self.points);
        writeln!(formatter, "{path}: dropped {name:?} with {}", quantity::points(points))
    }
}

impl Display for Renamed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        writeln!(formatter, "{path}: renamed {:?} to {:?}", self.was, self.collection)
    }
}
