//! Vectors out of files of other programs.
//!
//! Every format is read in pieces straight into one table, or into tables that are passed on: the
//! memory needed is that of these rows plus a piece. Lengths in a file are believed only as far as
//! the file goes. A row that cannot be used is an error with its number; nothing is skipped.
//!
//! | format | extensions | values |
//! |---|---|---|
//! | NumPy | `.npy` | rows of `f32`, `f16`, `f64`, `u8`, `i8` |
//! | TEXMEX | `.fvecs`, `.bvecs`, `.ivecs` | rows of `f32`, `u8`, `i32` |
//! | Parquet | `.parquet`, `.pq` | a column of lists of `f32`, `f16`, `f64`, `u8`, `i8` |
//! | Arrow | `.arrow`, `.arrows`, `.feather`, `.ipc` | the same, as a file or as a stream |

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind as IoErrorKind, Read};
use std::path::Path;
use std::str::FromStr;

use arrow_array::RecordBatch;
use loomdb_graph::Vectors;

use crate::{Batch, Error, Ids, Result};

mod arrow;
mod columns;
mod join;
mod npy;
mod parquet;
mod rows;
mod table;
mod truth;
mod values;
mod vecs;

pub use join::{read_all, read_pieces};
pub use truth::{Truth, read_truth};

/// How the vectors lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An array as `numpy.save` writes it.
    Npy,
    /// Rows of `f32`, each behind its length.
    Fvecs,
    /// Rows of `u8`, each behind its length.
    Bvecs,
    /// Rows of `i32`, each behind its length.
    Ivecs,
    /// An Apache Parquet file.
    Parquet,
    /// Arrow IPC: a file, which is also Feather version 2, or a stream.
    Arrow,
}

/// The extensions of every format; the first of each is its name.
const EXTENSIONS: [(Format, &[&str]); 6] = [
    (Format::Npy, &["npy"]),
    (Format::Fvecs, &["fvecs"]),
    (Format::Bvecs, &["bvecs"]),
    (Format::Ivecs, &["ivecs"]),
    (Format::Parquet, &["parquet", "pq"]),
    (Format::Arrow, &["arrow", "arrows", "feather", "ipc"]),
];

impl Format {
    /// The name of the format.
    pub fn name(self) -> &'static str {
        let found = EXTENSIONS.iter().find(|(format, _)| *format == self);
        found.and_then(|(_, extensions)| extensions.first()).copied().unwrap_or_default()
    }

    /// The format that the extension of a file stands for.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput), with the known extensions.
    pub fn of(path: &Path) -> Result<Self> {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        extension.parse().map_err(|error: Error| error.in_file(path))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let is_meant = |known: &&str| known.eq_ignore_ascii_case(name);
        let found = EXTENSIONS.iter().find(|(_, known)| known.iter().any(is_meant));
        found.map(|(format, _)| *format).ok_or_else(|| {
            let known: Vec<&str> =
                EXTENSIONS.iter().flat_map(|(_, known)| *known).copied().collect();
            let what = match name {
                "" => "the file name has no extension".to_owned(),
                _ => format!("{name:?} is not a format that can be imported"),
            };
            Error::invalid(what).advise(format!("known are {}", known.join(", ")))
        })
    }
}

/// Which columns of a table become metadata. A column of structs becomes a field for each of its
/// parts: `b` in `a` is the field `a.b`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MetadataColumns {
    /// None of them.
    #[default]
    None,
    /// All but those of the vectors and the ids, as far as they can be metadata.
    All,
    /// Those of these names.
    Named(Vec<String>),
}

/// What is read of a file, and how.
#[derive(Clone)]
pub struct Options<'a> {
    /// The format; by default what the extension says.
    pub format: Option<Format>,
    /// The column of the vectors; by default `vector`, `embedding`, or the only column of lists.
    pub vector_column: Option<String>,
    /// The column of the ids; by default `id`, if it holds integers or texts.
    pub id_column: Option<String>,
    /// The columns of the metadata; by default none.
    pub metadata_columns: MetadataColumns,
    /// The most rows to read, from the beginning.
    pub limit: Option<usize>,
    /// Called with the rows read so far and the rows to read, 0 when unknown; `false` cancels.
    pub progress: &'a dyn Fn(usize, usize) -> bool,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            format: None,
            vector_column: None,
            id_column: None,
            metadata_columns: MetadataColumns::None,
            limit: None,
            progress: &|_, _| true,
        }
    }
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Options")
            .field("format", &self.format)
            .field("vector_column", &self.vector_column)
            .field("id_column", &self.id_column)
            .field("metadata_columns", &self.metadata_columns)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// What was read of a file.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The vectors, in the order of the file.
    pub vectors: Vectors,
    /// The ids of the same rows; nothing when the file has none.
    pub ids: Option<Ids>,
    /// The metadata of the same rows, a column for each field; nothing when none were read.
    pub metadata: Option<RecordBatch>,
    /// The column that the vectors came from, in formats with columns.
    pub vector_column: Option<String>,
    /// The column that the ids came from.
    pub id_column: Option<String>,
    /// The columns, and the fields of columns of structs, that were to be metadata and are of a
    /// type or a name that cannot be.
    pub left_out: Vec<String>,
}

impl Imported {
    /// The rows as points, whose ids are made up if the file has none.
    ///
    /// # Errors
    /// `InvalidInput` when two ids are equal, or one is too long.
    pub fn into_batch(self) -> Result<Batch> {
        let batch = match self.ids {
            Some(ids) => Batch::new(ids, self.vectors)?,
            None => Batch::without_ids(self.vectors),
        };
        match self.metadata {
            Some(metadata) => batch.with_metadata(metadata),
            None => Ok(batch),
        }
    }
}

/// Reads the vectors, and the ids if there are any, of a file.
///
/// # Errors
/// `NotFound` for a missing file or column, with the nearest name; `InvalidInput` for rows, types
/// and formats that cannot be used, with the row; `Corrupted` for files that are cut off or
/// contradict themselves; `Canceled`; `Io`.
pub fn read(path: &Path, options: &Options<'_>) -> Result<Imported> {
    read_from(&Source { path, options, pieces: None })
}

/// What a source says, or what is left of it behind the pieces that it passed on.
fn read_from(source: &Source<'_>) -> Result<Imported> {
    let Source { path, options, .. } = *source;
    let format = options.format.map_or_else(|| Format::of(path), Ok)?;
    let imported = source.check(format).and_then(|()| match format {
        Format::Npy => npy::read(source).map(Imported::from),
        Format::Fvecs | Format::Bvecs | Format::Ivecs => {
            vecs::read(source, format).map(Imported::from)
        }
        Format::Parquet => parquet::read(source),
        Format::Arrow => arrow::read(source),
    });
    imported.map_err(|error| error.in_file(path))
}

/// The vectors and ids of a table, and its other columns.
pub(crate) fn from_table(table: &RecordBatch) -> Result<(Imported, RecordBatch)> {
    let options = Options::default();
    let source = Source { path: Path::new(""), options: &options, pieces: None };
    let columns = columns::Columns::choose(table.schema_ref(), &options)?;
    let is_other = |index: &usize| *index != columns.vector && Some(*index) != columns.id;
    let others: Vec<usize> = (0..table.num_columns()).filter(is_other).collect();
    let others = table.project(&others);
    let others =
        others.map_err(|error| Error::invalid("the columns do not fit").caused_by(error))?;
    let chosen = columns.clone();
    let mut rows = table::Table::new(&source, columns, table.num_rows(), u64::MAX);
    rows.push(table)?;
    Ok((rows.finish(table.schema_ref(), &chosen)?, others))
}

impl From<Vectors> for Imported {
    fn from(vectors: Vectors) -> Self {
        Self {
            vectors,
            ids: None,
            metadata: None,
            vector_column: None,
            id_column: None,
            left_out: Vec::new(),
        }
    }
}

/// Takes a piece of the rows of a file.
type Take<'a> = &'a dyn Fn(Imported) -> Result<()>;

/// A file that is read, and what its reader asked for.
struct Source<'a> {
    path: &'a Path,
    options: &'a Options<'a>,
    /// Bytes of vectors from which on rows are a piece, and where pieces go; nothing when all rows
    /// are one.
    pieces: Option<(usize, Take<'a>)>,
}

impl Source<'_> {
    fn check(&self, format: Format) -> Result<()> {
        let has_columns = matches!(format, Format::Parquet | Format::Arrow);
        let first = match &self.options.metadata_columns {
            MetadataColumns::Named(names) => names.first(),
            _ => None,
        };
        let Options { vector_column, id_column, .. } = self.options;
        let column = vector_column.as_ref().or(id_column.as_ref()).or(first);
        match (column, self.options.limit) {
            (Some(column), _) if !has_columns => {
                let what = format!("the format {format} has no columns, but {column:?} was named");
                Err(Error::invalid(what).advise("name no column"))
            }
            (_, Some(0)) => Err(Error::invalid("limit = 0 is not valid: expected at least 1")),
            _ => Ok(()),
        }
    }

    /// The file and its length, which is not zero.
    fn open(&self) -> Result<(File, u64)> {
        open_file(self.path)
    }

    /// Whether rows are to be passed on.
    fn is_piece(&self, rows: &Vectors) -> bool {
        let bytes = size_of_val(rows.as_flat());
        self.pieces.is_some_and(|(piece_bytes, _)| bytes >= piece_bytes)
    }

    /// The rows of `dim` values that are read before they are passed on, about.
    fn most_rows(&self, dim: usize) -> usize {
        let most =
            |piece_bytes| (piece_bytes + 4 * rows::PIECE_BYTES) / (size_of::<f32>() * dim.max(1));
        self.pieces.map_or(usize::MAX, |(piece_bytes, _)| most(piece_bytes) + 1)
    }

    fn pass_on(&self, piece: Imported) -> Result<()> {
        self.pieces.map_or(Ok(()), |(_, take)| take(piece))
    }

    /// How many of `rows` rows are asked for.
    fn wanted(&self, rows: usize) -> usize {
        self.options.limit.map_or(rows, |limit| limit.min(rows))
    }
}

fn open_file(path: &Path) -> Result<(File, u64)> {
    let failed = |error| Error::io("open it", path, error);
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    match metadata.len() {
        _ if metadata.is_dir() => Err(Error::invalid("this is a directory, not a file")),
        0 => Err(Error::invalid("the file is empty")),
        len_bytes => Ok((file, len_bytes)),
    }
}

/// Fills `buffer`; what is missing at the end is an error at `offset`, where the buffer begins.
fn read_exact(file: &mut impl Read, buffer: &mut [u8], offset: u64) -> Result<()> {
    file.read_exact(buffer).map_err(|error| match error.kind() {
        IoErrorKind::UnexpectedEof => Error::corrupted("the file is cut off").at_offset(offset),
        _ => Error::new(crate::ErrorKind::Io, "cannot read it").caused_by(error),
    })
}
