//! What a check of a database looks at, and what it reports.
//!
//! A check reads every byte and stops at nothing: it tells all that it finds, each with the file,
//! the byte, and what to do. It changes nothing, takes no lock for long, and can look at a database
//! that does not open.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::storage::{FileSystem, RealFs};
use crate::{Error, Result};

/// How a database is checked.
pub struct CheckOptions<'a> {
    /// How many rows of each collection are searched for to sample recall; 0 for none.
    pub recall_queries: usize,
    /// The beam width of these searches.
    pub ef_search: usize,
    /// Called with the bytes looked at so far and all bytes; `false` stops.
    pub progress: &'a dyn Fn(usize, usize) -> bool,
}

impl Default for CheckOptions<'_> {
    fn default() -> Self {
        Self { recall_queries: 0, ef_search: 64, progress: &|_, _| true }
    }
}

impl fmt::Debug for CheckOptions<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = formatter.debug_struct("CheckOptions");
        fields.field("recall_queries", &self.recall_queries).field("ef_search", &self.ef_search);
        fields.finish_non_exhaustive()
    }
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// The number of the manifest that was checked; nothing when it cannot be read, and for a
    /// database in memory.
    pub manifest: Option<u32>,
    /// Every file that the manifest names, and the log.
    pub files: Vec<CheckedFile>,
    /// The batches in the log.
    pub log_batches: usize,
    /// The collections; none when files are so damaged that the database does not open.
    pub collections: Vec<CheckedCollection>,
    /// What was found wrong, or is worth knowing.
    pub findings: Vec<Finding>,
    /// Files that no manifest names, which a crash left behind or a writer is just making. They do
    /// no harm, and go when the database is opened to be written to.
    pub leftovers: Vec<String>,
}

/// A file that was read to its end.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CheckedFile {
    /// Its path from the root of the database, with forward slashes.
    pub name: String,
    /// Its length, as the manifest says it.
    pub len_bytes: u64,
    /// Whether nothing is wrong with it.
    pub is_sound: bool,
}

/// A collection whose points were looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CheckedCollection {
    /// Its name.
    pub name: String,
    /// The number of points.
    pub points: usize,
    /// Rows that were deleted or replaced and still take space.
    pub deleted_rows: usize,
    /// Rows that are in the graph.
    pub graph_rows: usize,
    /// Nodes of the graph that no walk reaches.
    pub unreachable_nodes: usize,
    /// What a sample of searches found of the true neighbors, when it was asked for.
    pub recall: Option<RecallSample>,
}

/// How much of the exact answer searches found, for vectors of some of the points themselves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RecallSample {
    /// How many searches were made.
    pub queries: usize,
    /// How many neighbors each of them was to find, the point itself not counted.
    pub k: usize,
    /// The beam width.
    pub ef_search: usize,
    /// The share of the true neighbors that was found.
    pub recall: f64,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is wrong with what was promised: a write that was never confirmed was left out.
    Note,
    /// A graph cannot be used: searches are exact and slower until it is built again.
    Graph,
    /// Points cannot be read, or something contradicts itself.
    Damage,
}

/// Something that a check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file it is about.
    pub file: Option<PathBuf>,
    /// The byte of the file from which on it cannot be used.
    pub offset: Option<u64>,
    /// What was found.
    pub what: String,
    /// What to do.
    pub advice: Option<String>,
}

impl CheckReport {
    /// Whether every byte is as it was written and everything fits together.
    pub fn is_sound(&self) -> bool {
        self.worst() <= Some(Severity::Note)
    }

    /// The severity of the worst finding.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// The bytes of all files together.
    pub fn len_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.len_bytes).sum()
    }
}

impl Finding {
    pub(crate) fn new(severity: Severity, error: &Error) -> Self {
        // What a library below said belongs to what was found.
        let what = match std::error::Error::source(error) {
            Some(source) => format!("{}: {source}", error.what()),
            None => error.what(),
        };
        let advice = match severity {
            Severity::Graph => Some("open the database to write: the graph is built again".into()),
            _ => error.advice().map(str::to_owned),
        };
        let file = error.file().map(Path::to_owned);
        Self { severity, file, offset: error.offset(), what, advice }
    }

    /// What was found in an open collection, whose files are sound.
    pub(crate) fn in_memory(severity: Severity, error: &Error) -> Self {
        let finding = Self::new(severity, error);
        let advice = error.advice().map(str::to_owned).or(finding.advice);
        Self { advice, ..finding }
    }

    pub(crate) fn note(what: String) -> Self {
        Self { severity: Severity::Note, file: None, offset: None, what, advice: None }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_ref().map(|file| file.display().to_string());
        let offset = self.offset.map(|offset| format!("byte {offset}"));
        let place: Vec<String> = [file, offset].into_iter().flatten().collect();
        if !place.is_empty() {
            write!(formatter, "{}: ", place.join(", "))?;
        }
        formatter.write_str(&self.what)?;
        self.advice.as_ref().map_or(Ok(()), |advice| write!(formatter, "; {advice}"))
    }
}

/// Checks the database in a directory, whether it opens or not, beside any other process. A check
/// of all files needs little memory; if they are sound, the database is then opened to be read,
/// and its points and graphs are looked at.
///
/// # Errors
/// `NotFound` when there is no database; `Io` when the directory cannot be read; `Canceled`. What
/// is wrong with the database is in the report.
pub fn check(path: impl AsRef<Path>, options: &CheckOptions<'_>) -> Result<CheckReport> {
    check_on(&(Arc::new(RealFs) as Arc<dyn FileSystem>), path, options)
}

/// [`check`] on a file system of your choice.
///
/// # Errors
/// As [`check`].
pub fn check_on(
    fs: &Arc<dyn FileSystem>,
    path: impl AsRef<Path>,
    options: &CheckOptions<'_>,
) -> Result<CheckReport> {
    crate::database::check(fs, path.as_ref(), options)
}
