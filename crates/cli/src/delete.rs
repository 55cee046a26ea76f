//! `loomdb delete`: points of some ids, or all that match a filter, in one atomic batch.

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use anyhow::Result;
use loomdb::{Collection, Filter, Id};
use serde::Serialize;

use crate::database::Target;
use crate::output::Output;
use crate::point::parse_ids;
use crate::quantity::{count, points};
use crate::{arguments, consent};

/// A person is asked before more points than these go.
const UNASKED: usize = 10;

/// Delete points by id or by filter, all of them at once or none
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Command {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    points: Points,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Only tell how many points would be deleted
    #[arg(long)]
    dry_run: bool,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Points {
    /// Ids of the points; those that are not there do no harm
    #[arg(long, value_name = "ID", num_args = 1..)]
    ids: Vec<String>,
    #[arg(long, value_name = "JSON", value_parser = arguments::filter, help = arguments::FILTER)]
    filter: Option<Filter>,
}

const EXAMPLES: &str = "\
On a terminal a filter that matches more than 10 points asks first; scripts are not asked.
Searches never return a deleted point; `loomdb compact` gives its space back.

Examples:
  loomdb delete my.loom --ids 17 18
  loomdb delete my.loom --filter '{\"year\": {\"$lt\": 2010}}' --dry-run";

#[derive(Serialize)]
struct Report {
    collection: String,
    deleted: usize,
    /// Points that are left.
    points: usize,
    dry_run: bool,
}

/// # Errors
/// When the database cannot be written to, the filter does not fit, or someone says no.
pub fn run(command: &Command, output: &Output) -> Result<()> {
    if command.dry_run {
        let collection = command.target.read()?;
        let deleted = command.points.count(&collection)?;
        let (name, left) = (collection.name(), collection.count() - deleted);
        return output.report(&Report { collection: name, deleted, points: left, dry_run: true });
    }
    let (db, collection) = command.target.write()?;
    let name = collection.name();
    let deleted = match &command.points.filter {
        None => collection.delete(&parse_ids(&command.points.ids, &collection)?)?,
        Some(filter) => {
            let matches = collection.count_matching(filter)?;
            if matches > UNASKED && !command.yes {
                let (matches, all) = (count(matches as u64), points(collection.count()));
                consent::ask(&format!("Delete {matches} of {all} in {name:?}?"))?;
            }
            collection.delete_matching(filter)?
        }
    };
    let left = collection.count();
    drop(collection);
    db.close()?;
    output.report(&Report { collection: name, deleted, points: left, dry_run: false })
}

impl Points {
    /// How many points are meant.
    fn count(&self, collection: &Collection) -> Result<usize> {
        if let Some(filter) = &self.filter {
            return Ok(collection.count_matching(filter)?);
        }
        let found = collection.get(&parse_ids(&self.ids, collection)?).into_iter().flatten();
        let ids: BTreeSet<Id> = found.map(|point| point.id).collect();
        Ok(ids.len())
    }
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (deleted, left) = (points(self.deleted), count(self.points as u64));
        let would = if self.dry_run { "would be deleted" } else { "deleted" };
        writeln!(formatter, "{}: {deleted} {would}, {left} left", self.collection)
    }
}
