//! `loomdb backup`: a verified copy of a database, also while others write to it.

use std::fmt::{self, Display};
use std::path::PathBuf;

use anyhow::Result;
use loomdb::{BackupInfo, BackupOptions};
use serde::Serialize;

use crate::output::{Output, warning};
use crate::progress::Progress;
use crate::quantity::{bytes, count};
use crate::{database, interrupt};

/// Copy a database, every byte verified, while others go on writing
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Command {
    /// Directory of the database
    #[arg(value_name = "DB")]
    database: PathBuf,
    /// Directory that the copy becomes
    #[arg(value_name = "PATH")]
    copy: PathBuf,
}

const EXAMPLES: &str = "\
The copy is a database of its own, and appears when it is complete.

Example:
  loomdb backup my.loom backups/my-2026-11-24.loom";

#[derive(Serialize)]
struct Report {
    path: PathBuf,
    copy: PathBuf,
    #[serde(flatten)]
    made: BackupInfo,
}

/// # Errors
/// When the database is damaged, something is in the place of the copy, or someone stops it.
pub fn run(command: &Command, output: &Output) -> Result<()> {
    interrupt::listen()?;
    let db = database::open(&command.database)?;
    let progress = Progress::new("copying");
    let options = BackupOptions { progress: &|done, total| progress.reached(done, total) };
    let made = db.backup(&command.copy, &options)?;
    drop(progress);
    made.warnings.iter().for_each(warning);
    output.report(&Report { path: command.database.clone(), copy: command.copy.clone(), made })
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (files, size) = (count(self.made.files as u64), bytes(self.made.bytes));
        writeln!(formatter, "{}: {files} files, {size}, verified", self.copy.display())
    }
}
