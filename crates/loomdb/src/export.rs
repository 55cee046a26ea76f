//! Points as files that other programs read, from one version of a collection.
//!
//! Rows are written in pieces, so the memory needed does not grow with their number. A file
//! appears under its name when it is complete.
//!
//! | format | what is written |
//! |---|---|
//! | Parquet, Arrow | a table: `id`, `vector` as a fixed-size list of `f32`, the metadata fields |
//! | NumPy | the vectors, and `NAME.points.parquet` beside them with `id` and the metadata fields |

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, RecordBatch};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use serde::Serialize;

use crate::import::Format;
use crate::storage::new_file::NewFile;
use crate::storage::{Existing, FileSystem, RealFs, npy};
use crate::{Error, Result, Snapshot};

/// The vectors of a piece take about so many bytes.
const PIECE_BYTES: usize = 8 << 20;

/// The most rows of a piece.
const PIECE_ROWS: usize = 1 << 13;

/// A group of rows of a Parquet file is ended when it has come to so many bytes.
const GROUP_BYTES: usize = 64 << 20;

/// How points are exported.
pub struct ExportOptions<'a> {
    /// The format; by default what the extension says.
    pub format: Option<Format>,
    /// What happens to files that are there; a directory is never replaced.
    pub existing: Existing,
    /// Called with the rows written so far and all rows; `false` stops, and nothing is left.
    pub progress: &'a dyn Fn(usize, usize) -> bool,
}

impl Default for ExportOptions<'_> {
    fn default() -> Self {
        Self { format: None, existing: Existing::Refuse, progress: &|_, _| true }
    }
}

impl fmt::Debug for ExportOptions<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = formatter.debug_struct("ExportOptions");
        fields.field("format", &self.format).field("existing", &self.existing);
        fields.finish_non_exhaustive()
    }
}

/// What was exported.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Exported {
    /// The number of points.
    pub points: usize,
    /// The files, that of the vectors first.
    pub files: Vec<PathBuf>,
}

impl Snapshot {
    /// Writes all points into a file of another format; see [`ExportOptions`] for the formats.
    ///
    /// # Errors
    /// `AlreadyExists`; `InvalidInput` for a format that is not written, and for a collection
    /// whose dimension is not known yet; `StorageFull`, `Io`; `Canceled`. After any of them the
    /// files are what they were.
    pub fn export(&self, path: impl AsRef<Path>, options: &ExportOptions<'_>) -> Result<Exported> {
        self.export_on(&RealFs, path, options)
    }

    /// [`Self::export`] on a file system of your choice.
    ///
    /// # Errors
    /// As [`Self::export`].
    pub fn export_on(
        &self,
        fs: &dyn FileSystem,
        path: impl AsRef<Path>,
        options: &ExportOptions<'_>,
    ) -> Result<Exported> {
        let path = path.as_ref();
        let format = options.format.map_or_else(|| Format::of(path), Ok)?;
        let Some(dim) = self.dim() else {
            let what = "the collection has no dimension yet, so there is nothing to export";
            return Err(Error::invalid(what).advise("add points first"));
        };
        let source = Source { snapshot: self, dim, rows: self.live_rows(), options };
        let files = match format {
            Format::Parquet | Format::Arrow => {
                let file = NewFile::create(fs, path, options.existing)?;
                let schema = source.schema_with_vectors();
                let pieces = source.pieces(|rows| source.table_with_vectors(&schema, rows));
                let written = match format {
                    Format::Parquet => write_parquet((file, path), &schema, pieces),
                    _ => write_arrow((file, path), &schema, pieces),
                };
                written?.finish()?;
                vec![path.to_owned()]
            }
            Format::Npy => source.write_npy(fs, path)?,
            Format::Fvecs | Format::Bvecs | Format::Ivecs => {
                let what = format!("points are not exported as {format}");
                return Err(Error::invalid(what).advise("use parquet, arrow or npy"));
            }
        };
        Ok(Exported { points: source.rows.len(), files })
    }
}

/// The points to be exported.
struct Source<'a> {
    snapshot: &'a Snapshot,
    dim: usize,
    rows: Vec<u32>,
    options: &'a ExportOptions<'a>,
}

impl Source<'_> {
    fn schema_with_vectors(&self) -> SchemaRef {
        let points = self.snapshot.schema();
        let mut fields: Vec<Arc<Field>> = points.fields().iter().cloned().collect();
        let vector = Field::new("vector", self.vector_type(), false);
        fields.insert(1.min(fields.len()), Arc::new(vector));
        Arc::new(Schema::new(fields))
    }

    fn vector_type(&self) -> DataType {
        DataType::FixedSizeList(item(), self.dim as i32)
    }

    /// Tables made of some rows at a time, as long as nobody asks to stop.
    fn pieces<'b>(
        &'b self,
        mut make: impl FnMut(&[u32]) -> Result<RecordBatch> + 'b,
    ) -> impl Iterator<Item = Result<RecordBatch>> + 'b {
        let rows = (PIECE_BYTES / size_of::<f32>() / self.dim).clamp(1, PIECE_ROWS);
        let all = self.rows.len();
        let mut done = 0;
        self.rows.chunks(rows).map(move |piece| {
            if !(self.options.progress)(done, all) {
                return Err(Error::canceled());
            }
            done += piece.len();
            make(piece)
        })
    }

    fn table_with_vectors(&self, schema: &SchemaRef, rows: &[u32]) -> Result<RecordBatch> {
        let table = self.snapshot.table(rows)?;
        let mut values = Vec::with_capacity(rows.len() * self.dim);
        for row in rows {
            values.extend_from_slice(self.snapshot.vector(*row as usize));
        }
        let values: ArrayRef = Arc::new(Float32Array::from(values));
        let made = FixedSizeListArray::try_new(item(), self.dim as i32, values, None);
        let made = made.and_then(|vectors| {
            let mut columns = table.columns().to_vec();
            columns.insert(1.min(columns.len()), Arc::new(vectors));
            RecordBatch::try_new(Arc::clone(schema), columns)
        });
        made.map_err(|error| Error::invalid("the points make no table").caused_by(error))
    }

    /// Writes the vectors, and a table of everything else beside them.
    fn write_npy(&self, fs: &dyn FileSystem, path: &Path) -> Result<Vec<PathBuf>> {
        let existing = self.options.existing;
        let beside = path.with_extension("points.parquet");
        let mut vectors = NewFile::create(fs, path, existing)?;
        let points = NewFile::create(fs, &beside, existing)?;
        let written = vectors.write_all(&npy::encode(self.rows.len(), self.dim));
        written.map_err(|error| Error::io("write it", path, error))?;
        let schema = self.snapshot.schema();
        let pieces = self.pieces(|rows| {
            for row in rows {
                let values = self.snapshot.vector(*row as usize).iter();
                let bytes: Vec<u8> = values.flat_map(|value| value.to_le_bytes()).collect();
                vectors.write_all(&bytes).map_err(|error| Error::io("write it", path, error))?;
            }
            self.snapshot.table(rows)
        });
        write_parquet((points, &beside), &schema, pieces)?.finish()?;
        if let Err(error) = vectors.finish() {
            // One without the other would be half of an export.
            fs.remove_file(&beside).ok();
            return Err(error);
        }
        Ok(vec![path.to_owned(), beside])
    }
}

/// A value of a vector.
fn item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float32, false))
}

fn write_parquet<'a>(
    (file, path): (NewFile<'a>, &Path),
    schema: &SchemaRef,
    pieces: impl Iterator<Item = Result<RecordBatch>>,
) -> Result<NewFile<'a>> {
    let failed = |error| unwritten_parquet(path, error);
    // Floats of embeddings do not compress, and are hardly ever equal.
    let vectors = || ColumnPath::new(["vector", "list", "item"].map(str::to_owned).to_vec());
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_column_compression(vectors(), Compression::UNCOMPRESSED)
        .set_column_dictionary_enabled(vectors(), false)
        .build();
    let writer = ArrowWriter::try_new(file, Arc::clone(schema), Some(properties));
    let mut writer = writer.map_err(failed)?;
    for piece in pieces {
        writer.write(&piece?).map_err(failed)?;
        if writer.in_progress_size() > GROUP_BYTES {
            writer.flush().map_err(failed)?;
        }
    }
    writer.into_inner().map_err(failed)
}

fn write_arrow<'a>(
    (file, path): (NewFile<'a>, &Path),
    schema: &SchemaRef,
    pieces: impl Iterator<Item = Result<RecordBatch>>,
) -> Result<NewFile<'a>> {
    let failed = |error| unwritten_arrow(path, error);
    let mut writer = FileWriter::try_new(file, schema).map_err(failed)?;
    for piece in pieces {
        writer.write(&piece?).map_err(failed)?;
    }
    writer.into_inner().map_err(failed)
}

/// The refusal of the system, which the Parquet writer wraps.
fn unwritten_parquet(path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(error) => Error::io("write it", path, *error),
            Err(other) => {
                Error::invalid("the points cannot be written").in_file(path).caused_by(other)
            }
        },
        other => Error::invalid("the points cannot be written").in_file(path).caused_by(other),
    }
}

/// The refusal of the system, which the Arrow writer wraps.
fn unwritten_arrow(path: &Path, error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, error) => Error::io("write it", path, error),
        other => Error::invalid("the points cannot be written").in_file(path).caused_by(other),
    }
}
