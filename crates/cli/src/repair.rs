//! `loomdb repair`: the best database that the files of a damaged one allow.

use std::fmt::{self, Display};
use std::path::PathBuf;

use anyhow::Result;
use console::style;
use loomdb::{ErrorKind, Loss, RepairOptions, RepairReport};
use loomdb_graph::Metric;
use serde::Serialize;

use crate::arguments;
use crate::failure::{Refusal, Reported};
use crate::output::Output;
use crate::progress::Progress;
use crate::quantity::points;
use crate::table::{Align, Table};

/// Ids of lost points that people are shown.
const SHOWN_IDS: usize = 10;

/// Save what is sound of a damaged database, and tell what is lost
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Command {
    /// Directory of the database
    #[arg(value_name = "DB")]
    database: PathBuf,
    /// Write the repaired database here, and leave the damaged one where it is
    #[arg(long, value_name = "PATH")]
    to: Option<PathBuf>,
    /// How distances are measured, for a database that has lost its manifest and this with it
    #[arg(long, value_parser = arguments::metric())]
    metric: Option<Metric>,
}

const EXAMPLES: &str = "\
Leaves a sound database alone. The damaged files are kept, beside the database as
NAME.damaged-1; remove them when nothing is missing.

Examples:
  loomdb repair my.loom
  loomdb repair my.loom --to saved.loom";

#[derive(Serialize)]
struct Report {
    path: PathBuf,
    #[serde(flatten)]
    done: RepairReport,
}

/// # Errors
/// When there is no database, nothing can be saved, or what was saved cannot be written.
pub fn run(command: &Command, output: &Output) -> Result<()> {
    let Command { database: path, to, metric } = command;
    let progress = Progress::spinner("repairing");
    let done = loomdb::repair(path, &RepairOptions { to: to.as_deref(), metric: *metric });
    drop(progress);
    let done = done.map_err(|error| match error.kind() {
        // All else that does not fit was refused by the parser.
        ErrorKind::InvalidInput if metric.is_none() => {
            let what = format!("{}; say it with --metric", error.what());
            anyhow::Error::from(Refusal::new(ErrorKind::InvalidInput, path, what))
        }
        _ => error.into(),
    })?;
    let is_all_lost = !done.losses.is_empty() && done.collections.iter().all(|one| one.points == 0);
    output.report(&Report { path: path.clone(), done })?;
    if is_all_lost { Err(Reported::CORRUPTED.into()) } else { Ok(()) }
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = &self.done;
        let database = done.database.display();
        if !done.is_changed {
            return writeln!(formatter, "{database}: sound, left alone");
        }
        let state = style("repaired").green().bold();
        writeln!(formatter, "{database}: {state}; the damaged files: {}", done.damaged.display())?;
        if !done.collections.is_empty() {
            let mut table = Table::new(&[Align::Left, Align::Left]);
            for one in &done.collections {
                table.row([one.name.clone(), points(one.points)]);
            }
            write!(formatter, "\n{table}")?;
        }
        if done.losses.is_empty() {
            return writeln!(formatter, "\n  nothing is lost");
        }
        writeln!(formatter)?;
        done.losses.iter().try_for_each(|loss| writeln!(formatter, "  {}", sentence(loss)))
    }
}

/// What is lost, with the collection, the file and the first ids.
fn sentence(loss: &Loss) -> String {
    let of = loss.collection.as_ref().map_or_else(String::new, |name| format!("{name}, "));
    let ids = loss.ids.iter().take(SHOWN_IDS).map(ToString::to_string).collect::<Vec<_>>();
    let ids = match loss.ids.len() {
        0 => String::new(),
        all if all > SHOWN_IDS => format!("; ids {}, ...", ids.join(", ")),
        _ => format!("; ids {}", ids.join(", ")),
    };
    format!("{of}{}: {}{ids}", loss.file, loss.what)
}
