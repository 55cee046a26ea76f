//! `loomdb check`: every byte of a database verified, and a sample of its recall.

use std::fmt::{self, Display};
use std::path::PathBuf;

use anyhow::Result;
use console::style;
use loomdb::{CheckOptions, CheckReport, Severity};
use loomdb_graph::MAX_EF;
use serde::Serialize;

use crate::arguments::up_to;
use crate::failure::Reported;
use crate::output::Output;
use crate::progress::Progress;
use crate::quantity::{bytes, count, points};
use crate::table::{Align, Table};
use crate::{database, interrupt};

/// Searches of a sample of recall, when nothing is said.
const SAMPLE: &str = "100";

/// Verify every byte of a database, and sample its recall
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Command {
    /// Directory of the database
    #[arg(value_name = "DB")]
    database: PathBuf,
    /// Search for the vectors of so many points, 100 if no number is given, and tell how much of
    /// the exact answers is found
    #[arg(long, value_name = "POINTS", num_args = 0..=1, default_missing_value = SAMPLE,
          value_parser = up_to(1_000_000))]
    recall: Option<usize>,
    /// Beam width of these searches
    #[arg(long, default_value = "64", requires = "recall", value_parser = up_to(MAX_EF))]
    ef_search: usize,
}

const EXAMPLES: &str = "\
Changes nothing, and reads also what does not open. Ends with code 6 when something is damaged.

Examples:
  loomdb check my.loom
  loomdb check my.loom --recall 1000 --ef-search 100";

#[derive(Serialize)]
struct Report {
    path: PathBuf,
    is_sound: bool,
    #[serde(flatten)]
    found: CheckReport,
}

/// # Errors
/// When there is no database, or something in it is damaged.
pub fn run(command: &Command, output: &Output) -> Result<()> {
    interrupt::listen()?;
    let path = &command.database;
    database::check_is_there(path)?;
    let progress = Progress::new("checking");
    let found = loomdb::check(
        path,
        &CheckOptions {
            recall_queries: command.recall.unwrap_or(0),
            ef_search: command.ef_search,
            progress: &|done, total| progress.reached(done, total),
        },
    )?;
    drop(progress);
    let report = Report { path: path.clone(), is_sound: found.is_sound(), found };
    output.report(&report)?;
    if report.is_sound { Ok(()) } else { Err(Reported::CORRUPTED.into()) }
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = &self.found;
        let (files, size) = (count(found.files.len() as u64), bytes(found.len_bytes()));
        let verdict = match found.worst() {
            None => style("sound").green().bold(),
            Some(Severity::Note) => style("sound, with a note").green().bold(),
            Some(Severity::Graph) => style("points are sound, a GRAPH IS DAMAGED").yellow().bold(),
            Some(Severity::Damage) => style("DAMAGED").red().bold(),
        };
        writeln!(formatter, "{}: {verdict}; {files} files, {size}", self.path.display())?;
        if !found.collections.is_empty() {
            write!(formatter, "\n{}", self.collections())?;
        }
        if !found.findings.is_empty() {
            writeln!(formatter)?;
        }
        for finding in &found.findings {
            writeln!(formatter, "  {finding}")?;
        }
        if !self.is_sound {
            let path = self.path.display();
            writeln!(formatter, "\n  save what is sound: loomdb repair {path}")?;
        }
        if !found.leftovers.is_empty() {
            let names = found.leftovers.join(", ");
            writeln!(formatter, "\n  not part of it, and goes with the next write: {names}")?;
        }
        Ok(())
    }
}

impl Report {
    fn collections(&self) -> Table {
        let mut table = Table::new(&[Align::Left, Align::Left]);
        for one in &self.found.collections {
            let reach = match (one.graph_rows, one.unreachable_nodes) {
                (0, _) => "no graph".to_owned(),
                (rows, 0) => format!("{} rows in the graph, all reachable", count(rows as u64)),
                (rows, lost) => format!(
                    "{} rows in the graph, {} of them UNREACHABLE",
                    count(rows as u64),
                    count(lost as u64)
                ),
            };
            table.row([one.name.clone(), format!("{}, {reach}", points(one.points))]);
            if let Some(sample) = one.recall {
                let (queries, beam) =
                    (count(sample.queries as u64), count(sample.ef_search as u64));
                let how = format!("in {queries} searches at ef_search {beam}");
                table.row([
                    String::new(),
                    format!("recall@{} {:.4} {how}", sample.k, sample.recall),
                ]);
            }
        }
        table
    }
}
