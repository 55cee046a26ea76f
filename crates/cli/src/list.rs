//! `loomdb list`: points in the order in which they were written.

use std::fmt::{self, Display};

use anyhow::Result;
use loomdb::Filter;
use serde::Serialize;

use crate::arguments;
use crate::database::Target;
use crate::output::Output;
use crate::point::{Record, line};
use crate::quantity::{count, points};
use crate::table::{Align, Table};

/// List points in the order in which they were written
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Command {
    #[command(flatten)]
    target: Target,
    #[arg(long, value_name = "JSON", value_parser = arguments::filter, help = arguments::FILTER)]
    filter: Option<Filter>,
    /// Points to list at most
    #[arg(long, value_name = "POINTS", default_value = "10",
          value_parser = arguments::up_to(usize::MAX))]
    limit: usize,
    /// Points to pass over first
    #[arg(long, value_name = "POINTS", default_value = "0")]
    skip: usize,
    /// Print the vectors too, with --json
    #[arg(long)]
    vectors: bool,
}

const EXAMPLES: &str = "\
To take all points elsewhere, use `loomdb export`.

Examples:
  loomdb list my.loom --filter '{\"lang\": \"en\"}' --limit 20
  loomdb list my.loom --skip 1000 --limit 1000 --json | jq '.points[].id'";

#[derive(Serialize)]
struct Report {
    collection: String,
    /// All points that match.
    matches: usize,
    skip: usize,
    points: Vec<Record>,
}

/// # Errors
/// When the database cannot be opened, or the filter does not fit.
pub fn run(command: &Command, output: &Output) -> Result<()> {
    let collection = command.target.read()?;
    let snapshot = collection.snapshot();
    let matches = match &command.filter {
        Some(filter) => snapshot.count_matching(filter)?,
        None => snapshot.len(),
    };
    let mut points = Vec::new();
    let mut passed = 0;
    let page_len = command.limit.min(1_000);
    for page in snapshot.pages(page_len, command.filter.as_ref())? {
        let skipped = command.skip.saturating_sub(passed).min(page.len());
        passed += skipped;
        if skipped < page.len() {
            let left = command.limit - points.len();
            let wanted = page.to_points().into_iter().skip(skipped).take(left);
            points.extend(wanted.map(|point| Record::new(point, command.vectors)));
        }
        if points.len() == command.limit {
            break;
        }
    }
    output.report(&Report { collection: collection.name(), matches, skip: command.skip, points })
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.points.is_empty() {
            return writeln!(formatter, "  none of {}", points(self.matches));
        }
        let mut table = Table::new(&[Align::Left, Align::Left]).with_head().cut_to_terminal();
        table.row(["id", "metadata"].map(str::to_owned));
        for point in &self.points {
            table.row([point.id.to_string(), line(&point.metadata)]);
        }
        write!(formatter, "{table}")?;
        let all = count(self.matches as u64);
        match self.points.len() {
            listed if listed == self.matches => Ok(()),
            listed => {
                let (first, last) = (self.skip + 1, self.skip + listed);
                writeln!(
                    formatter,
                    "  points {} to {} of {all}",
                    count(first as u64),
                    count(last as u64)
                )
            }
        }
    }
}
