//! What a write is given: vectors, perhaps ids, perhaps metadata.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;
use loomdb_graph::Vectors;

use super::metadata::{self, Metadata};
use crate::database::BULK_BYTES;
use crate::{Error, Ids, Result, import};

/// Batches of so many rows are written together with others that wait for a sync.
pub(super) const GROUPED_ROWS: usize = 64;

/// Points to be written together: all of them or none.
///
/// ```
/// use loomdb::Batch;
/// use loomdb_graph::Vectors;
///
/// let vectors = Vectors::from_flat(2, &[0.0, 1.0, 1.0, 0.0])?;
/// let languages = serde_json::json!([{"lang": "en"}, {"lang": "de"}]);
/// let batch = Batch::new(vec![10, 20], vectors)?
///     .with_records(&serde_json::from_value::<Vec<_>>(languages)?)?;
/// assert_eq!(batch.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Batch {
    pub(super) ids: Option<Ids>,
    pub(super) vectors: Arc<Vectors>,
    pub(super) metadata: Option<RecordBatch>,
}

impl Batch {
    /// Points with ids of their own.
    ///
    /// # Errors
    /// `InvalidInput` when there is not one id for each vector, an id is too long, or two are
    /// equal.
    pub fn new(ids: impl Into<Ids>, vectors: Vectors) -> Result<Self> {
        let ids = ids.into();
        if ids.len() != vectors.len() {
            let what = format!("{} ids were given for {} vectors", ids.len(), vectors.len());
            return Err(Error::invalid(what).advise("give one id for each vector"));
        }
        ids.validate()?;
        Ok(Self { ids: Some(ids), vectors: Arc::new(vectors), metadata: None })
    }

    /// Points that get the next free integers as ids.
    pub fn without_ids(vectors: Vectors) -> Self {
        Self { ids: None, vectors: Arc::new(vectors), metadata: None }
    }

    /// The same points with metadata: one column for each field.
    ///
    /// # Errors
    /// `InvalidInput` when there is not one row for each point.
    pub fn with_metadata(mut self, metadata: RecordBatch) -> Result<Self> {
        check_rows(metadata.num_rows(), self.len())?;
        self.metadata = Some(metadata);
        Ok(self)
    }

    /// Points from a table: ids from its column `id` if there is one, vectors from the column
    /// `vector` or `embedding` or the only column of lists of numbers, metadata from all others.
    ///
    /// # Errors
    /// `NotFound` when no column can be the vectors; `InvalidInput` for rows and types that cannot
    /// be used, with the row.
    pub fn from_table(table: &RecordBatch) -> Result<Self> {
        let (imported, metadata) = import::from_table(table)?;
        let batch = match imported.ids {
            Some(ids) => Self::new(ids, imported.vectors)?,
            None => Self::without_ids(imported.vectors),
        };
        batch.with_metadata(metadata)
    }

    /// The same points with metadata: one object for each point.
    ///
    /// # Errors
    /// `InvalidInput` when there is not one object for each point, or a field holds values of
    /// different types, or of none that is kept.
    pub fn with_records(self, records: &[Metadata]) -> Result<Self> {
        check_rows(records.len(), self.len())?;
        self.with_metadata(metadata::from_records(records)?)
    }

    /// Whether it is so small that others may be written together with it.
    pub(super) fn is_small(&self) -> bool {
        let metadata = self.metadata.as_ref().map_or(0, RecordBatch::get_array_memory_size);
        let bytes = size_of_val(self.vectors.as_flat()) + metadata;
        self.len() <= GROUPED_ROWS && bytes < BULK_BYTES / 2
    }

    /// A table of so many rows without a column.
    pub(super) fn no_metadata(rows: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let table =
            RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options);
        table.map_err(|error| Error::invalid("there is no such table").caused_by(error))
    }

    /// The number of points.
    pub fn len(&self) -> usize {
        self.vectors.len()
    }

    /// Whether there are no points.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The bytes of the rows of a table, which may be a part of a larger one.
pub fn table_bytes(table: &RecordBatch) -> usize {
    let columns = table.columns().iter();
    columns.map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum()
}

pub(super) fn check_rows(rows: usize, points: usize) -> Result<()> {
    if rows == points {
        return Ok(());
    }
    let what = format!("metadata of {rows} points were given for {points} points");
    Err(Error::invalid(what).advise("give the metadata of each point"))
}
