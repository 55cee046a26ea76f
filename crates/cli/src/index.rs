//! `loomdb index`: metadata fields whose values are looked up instead of compared.

use std::fmt::{self, Display};

use anyhow::Result;
use serde::Serialize;

use crate::database::Target;
use crate::output::Output;

/// Index metadata fields that filters name often, or list the fields that are indexed
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Command {
    #[command(flatten)]
    target: Target,
    /// Names of the fields; without one the indexed fields are listed
    #[arg(value_name = "FIELD")]
    fields: Vec<String>,
    /// Give the indexes of these fields up
    #[arg(long, requires = "fields")]
    remove: bool,
}

const EXAMPLES: &str = "\
Filters find the same points with an index and without it.

Examples:
  loomdb index my.loom topic year
  loomdb index my.loom year --remove
  loomdb index my.loom";

#[derive(Serialize)]
struct Report {
    collection: String,
    indexed_fields: Vec<String>,
}

/// # Errors
/// When the database cannot be written to, or there is no such field or index.
pub fn run(command: &Command, output: &Output) -> Result<()> {
    if command.fields.is_empty() {
        let collection = command.target.read()?;
        let indexed_fields = collection.info().indexed_fields;
        return output.report(&Report { collection: collection.name(), indexed_fields });
    }
    let (db, collection) = command.target.write()?;
    for field in &command.fields {
        if command.remove {
            collection.unindex_field(field)?;
        } else {
            collection.index_field(field)?;
        }
    }
    let (name, indexed_fields) = (collection.name(), collection.info().indexed_fields);
    drop(collection);
    db.close()?;
    output.report(&Report { collection: name, indexed_fields })
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { collection, indexed_fields } = self;
        match indexed_fields.as_slice() {
            [] => writeln!(formatter, "{collection}: no field is indexed"),
            names => writeln!(formatter, "{collection}: indexed are {}", names.join(", ")),
        }
    }
}
