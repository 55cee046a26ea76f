//! `loomdb update`: other metadata for points that keep everything else.

use std::fmt::{self, Display};

use anyhow::Result;
use loomdb::{Collection, Filter, Ids, Metadata};
use serde::Serialize;

use crate::database::Target;
use crate::output::Output;
use crate::point::parse_ids;
use crate::quantity::{count, points};
use crate::{arguments, consent};

/// A person is asked before more points than these change.
const UNASKED: usize = 10;

/// Points that are looked at together.
const PAGE_POINTS: usize = 10_000;

/// Change the metadata of points, by id or by filter, all of them at once or none
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Command {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    points: Points,
    /// Fields and their new values; null takes a value away, other fields stay
    #[arg(long, value_name = "JSON", required = true, value_parser = arguments::metadata)]
    set: Metadata,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Points {
    /// Ids of the points
    #[arg(long, value_name = "ID", num_args = 1..)]
    ids: Vec<String>,
    #[arg(long, value_name = "JSON", value_parser = arguments::filter, help = arguments::FILTER)]
    filter: Option<Filter>,
}

const EXAMPLES: &str = "\
On a terminal a filter that matches more than 10 points asks first; scripts are not asked.

Examples:
  loomdb update my.loom --ids 17 18 --set '{\"lang\": \"de\", \"year\": null}'
  loomdb update my.loom --filter '{\"lang\": \"ger\"}' --set '{\"lang\": \"de\"}'";

#[derive(Serialize)]
struct Report {
    collection: String,
    updated: usize,
}

/// # Errors
/// When the database cannot be written to, an id is not there, the filter or a value does not fit,
/// or someone says no.
pub fn run(command: &Command, output: &Output) -> Result<()> {
    let (db, collection) = command.target.write()?;
    let name = collection.name();
    let ids = match &command.points.filter {
        None => parse_ids(&command.points.ids, &collection)?,
        Some(filter) => {
            let ids = matching(&collection, filter)?;
            if ids.len() > UNASKED && !command.yes {
                let (matches, all) = (count(ids.len() as u64), points(collection.count()));
                consent::ask(&format!("Change {matches} of {all} in {name:?}?"))?;
            }
            ids
        }
    };
    let records = vec![command.set.clone(); ids.len()];
    collection.update_records(&ids, &records)?;
    drop(collection);
    db.close()?;
    output.report(&Report { collection: name, updated: ids.len() })
}

/// The ids of the points that match.
fn matching(collection: &Collection, filter: &Filter) -> Result<Ids> {
    let mut all = Ids::Integer(Vec::new());
    for page in collection.pages(PAGE_POINTS, Some(filter))? {
        match (&mut all, page.ids()) {
            (Ids::Integer(all), Ids::Integer(ids)) => all.extend(ids),
            (Ids::Text(all), Ids::Text(ids)) => all.extend(ids),
            (all, ids) => *all = ids,
        }
    }
    Ok(all)
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}: {} updated", self.collection, points(self.updated))
    }
}
