//! `loomdb count`: how many points there are, or how many match a filter.

use std::fmt::{self, Display};

use anyhow::Result;
use loomdb::Filter;
use serde::Serialize;

use crate::arguments;
use crate::database::Target;
use crate::output::Output;

/// Count the points, or those that match a filter
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Command {
    #[command(flatten)]
    target: Target,
    #[arg(long, value_name = "JSON", value_parser = arguments::filter, help = arguments::FILTER)]
    filter: Option<Filter>,
}

const EXAMPLES: &str = "\
Example:
  loomdb count my.loom --filter '{\"lang\": \"en\", \"year\": {\"$gte\": 2020}}'";

#[derive(Serialize)]
struct Report {
    collection: String,
    count: usize,
}

/// # Errors
/// When the database cannot be opened, or the filter does not fit.
pub fn run(command: &Command, output: &Output) -> Result<()> {
    let collection = command.target.read()?;
    let count = match &command.filter {
        Some(filter) => collection.count_matching(filter)?,
        None => collection.count(),
    };
    output.report(&Report { collection: collection.name(), count })
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.count)
    }
}
