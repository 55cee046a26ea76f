//! `loomdb export`: the points of a collection as a file that other programs read.

use std::fmt::{self, Display};
use std::path::PathBuf;

use anyhow::Result;
use loomdb::storage::Existing;
use loomdb::{ExportOptions, Exported};
use serde::Serialize;

use crate::database::Target;
use crate::interrupt;
use crate::output::Output;
use crate::progress::Progress;
use crate::quantity::points;

/// Write all points of a collection into a Parquet, Arrow or .npy file
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Command {
    #[command(flatten)]
    target: Target,
    /// File to write; .parquet, .arrow and .feather are tables, .npy has a table beside it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    replace: bool,
}

const EXAMPLES: &str = "\
The file appears when it is complete.

Examples:
  loomdb export my.loom points.parquet
  loomdb export my.loom vectors.npy    # and vectors.points.parquet with ids and metadata";

#[derive(Serialize)]
struct Report {
    collection: String,
    #[serde(flatten)]
    exported: Exported,
}

/// # Errors
/// When the database cannot be opened, the file cannot be written, or someone stops it.
pub fn run(command: &Command, output: &Output) -> Result<()> {
    interrupt::listen()?;
    let collection = command.target.read()?;
    let progress = Progress::new("writing");
    let options = ExportOptions {
        existing: if command.replace { Existing::Replace } else { Existing::Refuse },
        progress: &|done, total| progress.reached(done, total),
        ..ExportOptions::default()
    };
    let exported = collection.snapshot().export(&command.file, &options)?;
    drop(progress);
    output.report(&Report { collection: collection.name(), exported })
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.exported.files.iter().map(|file| file.display().to_string());
        let files = files.collect::<Vec<_>>().join(", ");
        writeln!(formatter, "{files}: {}", points(self.exported.points))
    }
}
