//! The one error type of the library.
//!
//! A message says what failed, where (file, byte, row) and what to do. The kind is for programs,
//! the message for people, and the cause (a system call, another library) hangs behind both.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What a call returns that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What sort of thing went wrong, for programs that react to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file, directory or column is not there.
    NotFound,
    /// Something is in the place of what should be made.
    AlreadyExists,
    /// An argument or the contents of an imported file cannot be used.
    InvalidInput,
    /// A filter cannot be read, or does not fit the fields that it is used on.
    InvalidFilter,
    /// A file is damaged: cut off, changed, or in contradiction to itself.
    Corrupted,
    /// A file was written by a newer version of loomdb.
    Unsupported,
    /// The disk or the quota is full.
    StorageFull,
    /// The system refused a file operation for another reason.
    Io,
    /// The caller asked to stop; nothing was changed.
    Canceled,
    /// Another process, or another handle in this one, writes to the database.
    Locked,
    /// An earlier write or sync failed: the database must be opened again to be written to.
    Poisoned,
}

/// Why a call failed.
///
/// `{}` shows what failed, where, and what to do, on one line; `{:#}` adds the causes.
/// Rows are counted from 0.
pub struct Error(Box<Details>);

#[derive(Debug)]
struct Details {
    kind: ErrorKind,
    what: What,
    file: Option<PathBuf>,
    offset: Option<u64>,
    row: Option<usize>,
    filter_path: Option<String>,
    advice: Option<Cow<'static, str>>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Debug)]
enum What {
    Text(Cow<'static, str>),
    Graph(loomdb_graph::Error),
}

impl Error {
    /// What sort of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The file or directory it is about.
    pub fn file(&self) -> Option<&Path> {
        self.0.file.as_deref()
    }

    /// The byte of the file from which on it cannot be used.
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// The row it is about, counted from 0.
    pub fn row(&self) -> Option<usize> {
        self.0.row.or_else(|| row_of(self.graph_error()?))
    }

    /// The place in a filter that it is about, such as `$and[1].year.$gt`; empty for the whole.
    pub fn filter_path(&self) -> Option<&str> {
        self.0.filter_path.as_deref()
    }

    /// What failed, without the place and the advice.
    pub fn what(&self) -> String {
        match &self.0.what {
            What::Text(text) => text.clone().into_owned(),
            What::Graph(error) => error.to_string(),
        }
    }

    /// What to do about it, if there is something to do.
    pub fn advice(&self) -> Option<&str> {
        self.0.advice.as_deref()
    }

    /// The error of the graph crate, when it comes from there.
    pub fn graph_error(&self) -> Option<&loomdb_graph::Error> {
        match &self.0.what {
            What::Graph(error) => Some(error),
            What::Text(_) => None,
        }
    }

    pub(crate) fn new(kind: ErrorKind, what: impl Into<Cow<'static, str>>) -> Self {
        Self::of(kind, What::Text(what.into()))
    }

    pub(crate) fn invalid(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidInput, what)
    }

    pub(crate) fn corrupted(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Corrupted, what)
    }

    /// What is wrong at a place of a filter.
    pub(crate) fn filter(path: String, what: impl Into<Cow<'static, str>>) -> Self {
        let mut error = Self::new(ErrorKind::InvalidFilter, what);
        error.0.filter_path = Some(path);
        error
    }

    pub(crate) fn canceled() -> Self {
        Self::new(ErrorKind::Canceled, "canceled")
    }

    /// A refusal of the system; `action` completes "cannot ...".
    pub(crate) fn io(action: &str, file: &Path, error: io::Error) -> Self {
        let (kind, advice) = match error.kind() {
            io::ErrorKind::NotFound => (ErrorKind::NotFound, None),
            io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => {
                (ErrorKind::AlreadyExists, None)
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                (ErrorKind::StorageFull, Some("free some space and try again"))
            }
            io::ErrorKind::UnexpectedEof => (ErrorKind::Corrupted, None),
            _ => (ErrorKind::Io, None),
        };
        let reason = match kind {
            ErrorKind::NotFound => ": it does not exist",
            ErrorKind::AlreadyExists => ": it exists already",
            ErrorKind::StorageFull => ": the disk is full",
            ErrorKind::Corrupted => ": the file ends too soon",
            _ => "",
        };
        let mut failed = Self::new(kind, format!("cannot {action}{reason}")).in_file(file);
        failed.0.advice = advice.map(Cow::Borrowed);
        failed.caused_by(error)
    }

    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    pub(crate) fn in_file(mut self, file: &Path) -> Self {
        self.0.file = Some(file.to_owned());
        self
    }

    pub(crate) fn at_offset(mut self, offset: u64) -> Self {
        self.0.offset = Some(offset);
        self
    }

    pub(crate) fn at_row(mut self, row: usize) -> Self {
        self.0.row = Some(row);
        self
    }

    /// The same error with its row, if it has one, counted from `first_row` on.
    pub(crate) fn behind(self, first_row: usize) -> Self {
        match self.row() {
            Some(row) if first_row > 0 => self.at_row(first_row + row),
            _ => self,
        }
    }

    pub(crate) fn advise(mut self, advice: impl Into<Cow<'static, str>>) -> Self {
        self.0.advice = Some(advice.into());
        self
    }

    /// The advice, unless a better one was given.
    pub(crate) fn or_advise(self, advice: &'static str) -> Self {
        if self.0.advice.is_some() { self } else { self.advise(advice) }
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error for another caller whom it struck too; the cause stays with the first.
    pub(crate) fn repeated(&self) -> Self {
        let Details { kind, file, offset, row, filter_path, advice, .. } = &*self.0;
        let what = match &self.0.what {
            What::Text(text) => What::Text(text.clone()),
            What::Graph(error) => What::Graph(error.clone()),
        };
        let mut error = Self::of(*kind, what);
        error.0.file.clone_from(file);
        error.0.filter_path.clone_from(filter_path);
        error.0.advice.clone_from(advice);
        (error.0.offset, error.0.row) = (*offset, *row);
        error
    }

    fn of(kind: ErrorKind, what: What) -> Self {
        Self(Box::new(Details {
            kind,
            what,
            file: None,
            offset: None,
            row: None,
            filter_path: None,
            advice: None,
            source: None,
        }))
    }

    /// The file, the byte, the row and the place in a filter, as far as they are known; an error of
    /// the graph names its row itself.
    fn place(&self) -> String {
        let file = self.0.file.as_ref().map(|file| file.display().to_string());
        let offset = self.0.offset.map(|offset| format!("byte {offset}"));
        let row = self.0.row.map(|row| format!("row {row}"));
        let filter = self.0.filter_path.as_ref().map(|path| match path.as_str() {
            "" => "filter".to_owned(),
            path => format!("filter at {path}"),
        });
        [file, offset, row, filter].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place();
        if !place.is_empty() {
            write!(formatter, "{place}: ")?;
        }
        match &self.0.what {
            What::Text(text) => formatter.write_str(text)?,
            What::Graph(error) => write!(formatter, "{error}")?,
        }
        if let Some(advice) = &self.0.advice {
            write!(formatter, "; {advice}")?;
        }
        let mut cause = if formatter.alternate() { self.source() } else { None };
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {self:#}", self.0.kind)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<loomdb_graph::Error> for Error {
    fn from(error: loomdb_graph::Error) -> Self {
        let kind = match error {
            loomdb_graph::Error::Canceled => ErrorKind::Canceled,
            loomdb_graph::Error::InvalidGraph { .. } => ErrorKind::Corrupted,
            _ => ErrorKind::InvalidInput,
        };
        Self::of(kind, What::Graph(error))
    }
}

fn row_of(error: &loomdb_graph::Error) -> Option<usize> {
    use loomdb_graph::Error::{UnfitValue, ZeroVector};
    match error {
        UnfitValue { row, .. } | ZeroVector { row } => Some(*row),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::io;
    use std::path::Path;

    use super::{Error, ErrorKind};

    #[test]
    fn a_message_says_where_and_what_to_do() {
        let error = Error::corrupted("the checksum does not match")
            .in_file(Path::new("a.npy"))
            .at_offset(65_536)
            .advise("restore the file");
        let expected = "a.npy, byte 65536: the checksum does not match; restore the file";
        assert_eq!(error.to_string(), expected);
        assert_eq!(Error::invalid("it is bad").at_row(7).to_string(), "row 7: it is bad");
    }

    #[test]
    fn system_errors_are_sorted_and_kept_as_the_cause() {
        let full = Error::io("write", Path::new("b"), io::ErrorKind::StorageFull.into());
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        assert!(full.source().is_some());
        let text = format!("{full:#}");
        assert!(text.starts_with("b: cannot write: the disk is full; free some space"), "{text}");
        assert!(text.len() > full.to_string().len(), "the cause is missing: {text}");
    }

    #[test]
    fn errors_of_the_graph_keep_their_words() {
        let inner = loomdb_graph::Error::DimMismatch { expected: 3, given: 4 };
        let error = Error::from(inner.clone());
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::InvalidInput, inner.to_string()));
        assert_eq!(error.graph_error(), Some(&inner));
        assert_eq!(Error::from(loomdb_graph::Error::Canceled).kind(), ErrorKind::Canceled);
    }

    #[test]
    fn errors_of_the_graph_keep_their_row_and_say_it_once() {
        let zero = Error::from(loomdb_graph::Error::ZeroVector { row: 7 });
        let unfit = loomdb_graph::Error::UnfitValue { row: 7, column: 1, value: f32::NAN };
        for error in [zero, Error::from(unfit).in_file(Path::new("a.npy"))] {
            assert_eq!(error.row(), Some(7));
            assert_eq!(error.to_string().matches("row 7").count(), 1, "{error}");
        }
        let other = Error::from(loomdb_graph::Error::TooManyRows { rows: 7 });
        assert_eq!(other.row(), None);
    }
}
