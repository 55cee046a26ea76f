//! `loomdb get`: the points of some ids.

use std::fmt::{self, Display};

use anyhow::Result;
use loomdb::{Ids, Point};
use serde::Serialize;

use crate::database::Target;
use crate::failure::Reported;
use crate::output::{Output, error};
use crate::point::{parse_ids, word};
use crate::table::{Align, Table, cut, terminal_width};

/// Values of a vector that people are shown.
const SHOWN_VALUES: usize = 6;

/// Show the points of some ids, with their vectors and metadata
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Command {
    #[command(flatten)]
    target: Target,
    /// Ids of the points
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
}

const EXAMPLES: &str = "\
Ends with code 3 when an id is not there; the points of the others are printed all the same.

Example:
  loomdb get my.loom 17 18";

#[derive(Serialize)]
struct Report {
    collection: String,
    points: Vec<Point>,
    missing: Vec<loomdb::Id>,
}

/// # Errors
/// When the database cannot be opened, or an id is not there.
pub fn run(command: &Command, output: &Output) -> Result<()> {
    let collection = command.target.read()?;
    let ids = parse_ids(&command.ids, &collection)?;
    let found = collection.get(&ids);
    let missing = missing(&ids, &found);
    let points = found.into_iter().flatten().collect();
    let report = Report { collection: collection.name(), points, missing };
    output.report(&report)?;
    if report.missing.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = report.missing.iter().map(ToString::to_string).collect();
    error(format_args!("there is no point with the id {}", names.join(", ")));
    Err(Reported::NOT_FOUND.into())
}

fn missing(ids: &Ids, found: &[Option<Point>]) -> Vec<loomdb::Id> {
    let all = found.iter().enumerate();
    all.filter(|(_, point)| point.is_none()).map(|(at, _)| ids.get(at)).collect()
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, point) in self.points.iter().enumerate() {
            if at > 0 {
                writeln!(formatter)?;
            }
            writeln!(formatter, "{}", cut(&point.id.to_string(), terminal_width()))?;
            let mut table = Table::new(&[Align::Left, Align::Left]).cut_to_terminal();
            table.row(["vector".to_owned(), vector(&point.vector)]);
            for (name, value) in &point.metadata {
                table.row([name.clone(), word(value)]);
            }
            write!(formatter, "{table}")?;
        }
        Ok(())
    }
}

fn vector(values: &[f32]) -> String {
    let shown: Vec<String> =
        values.iter().take(SHOWN_VALUES).map(|value| format!("{value:.4}")).collect();
    let more = if values.len() > SHOWN_VALUES { ", ..." } else { "" };
    format!("{} values: {}{more}", values.len(), shown.join(", "))
}
