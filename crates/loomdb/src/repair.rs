//! What a repair may do, and what it reports.
//!
//! A repair reads what can be read of a damaged database and writes it as another one. The damaged
//! files are kept as they are, so that nothing that could still be saved by other means is lost.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use loomdb_graph::Metric;
use serde::Serialize;

use crate::storage::{FileSystem, RealFs};
use crate::{Id, Result};

/// How a database is repaired.
#[derive(Clone, Copy, Debug, Default)]
pub struct RepairOptions<'a> {
    /// Where the repaired database is written; in the place of the damaged one, which is moved
    /// aside, when nothing is said.
    pub to: Option<&'a Path>,
    /// How distances are measured, for a database whose manifest is lost and with it the metric.
    pub metric: Option<Metric>,
}

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RepairReport {
    /// Whether anything was wrong; if not, nothing was written.
    pub is_changed: bool,
    /// Where the sound database is.
    pub database: PathBuf,
    /// Where the damaged files are.
    pub damaged: PathBuf,
    /// What the collections hold now.
    pub collections: Vec<RepairedCollection>,
    /// What could not be saved, or may not be what it was.
    pub losses: Vec<Loss>,
}

/// A collection after a repair.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RepairedCollection {
    /// Its name; `collection-N` if the manifest is lost.
    pub name: String,
    /// The number of points.
    pub points: usize,
}

/// Something that a repair could not save.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Loss {
    /// The collection it is from, when that is known.
    pub collection: Option<String>,
    /// The file, from the root of the damaged database.
    pub file: String,
    /// What was lost.
    pub what: String,
    /// The points that were lost, as far as they could be counted.
    pub points: usize,
    /// Their ids, as far as these could be read.
    pub ids: Vec<Id>,
}

impl Loss {
    pub(crate) fn new(file: &str, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), what: what.into(), ..Self::default() }
    }
}

/// Makes the best database that the files of a damaged one allow, and reports what is missing in
/// it. A sound database is left alone. This is the only way back to an older manifest.
///
/// # Errors
/// `NotFound` when there is no database; `Locked` when somebody writes to it; `Unsupported` when
/// it was written by a newer version, which is no damage; `AlreadyExists` when something is where
/// the repaired database is to be; `InvalidInput` when the manifest is lost and no metric was
/// given; `StorageFull`, `Io`. After any of them the damaged database is what and where it was.
pub fn repair(path: impl AsRef<Path>, options: &RepairOptions<'_>) -> Result<RepairReport> {
    repair_on(&(Arc::new(RealFs) as Arc<dyn FileSystem>), path, options)
}

/// [`repair`] on a file system of your choice.
///
/// # Errors
/// As [`repair`].
pub fn repair_on(
    fs: &Arc<dyn FileSystem>,
    path: impl AsRef<Path>,
    options: &RepairOptions<'_>,
) -> Result<RepairReport> {
    crate::database::repair(fs, path.as_ref(), options)
}
