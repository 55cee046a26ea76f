//! A stream of batches, written in pieces of bounded size and linked together at the end.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{RecordBatch, UInt32Array};
use loomdb_graph::{Observer, Vectors};

use super::batch::{Batch, table_bytes};
use super::fields::{Fields, normalized, project};
use super::{Collection, Linking, Putting};
use crate::{Error, Ids, Result};

/// Bytes of vectors that are written together when nothing is said.
const PIECE_BYTES: usize = 64 << 20;

/// Writes batches from a stream or an iterator that need not fit into memory at once.
///
/// Batches are collected until they have [`Self::piece_bytes`], and then written together as one
/// piece. **Each piece is atomic, the stream is not**: pieces are written in order, each is as
/// durable as the database says when it is written, and what was written stays when a later piece
/// fails or the stream is given up. Under [`crate::Durability::OnCommit`] nothing of it is
/// durable before [`crate::Database::commit`], so there the whole stream can be all or nothing.
///
/// Every piece is searchable at once. It is scanned until [`Self::finish`] builds the graph of
/// everything together, which is much faster than piece by piece. A writer that is dropped
/// instead loses the batches of the piece that was not full, and the graph is built in the
/// background.
///
/// ```
/// use loomdb::{Batch, Database, Schema};
/// use loomdb_graph::Vectors;
///
/// let docs = Database::in_memory()?.collection("docs", Schema::new(2))?;
/// let mut writer = docs.writer();
/// for id in 0..100 {
///     let vectors = Vectors::from_flat(2, &[1.0, id as f32])?;
///     writer.write(&Batch::new(vec![id], vectors)?)?;
/// }
/// assert_eq!(writer.finish()?, 100);
/// assert_eq!(docs.count(), 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "what was not finished may be lost"]
pub struct Writer<'a> {
    collection: &'a Collection,
    putting: Putting,
    observer: &'a dyn Observer,
    piece_bytes: usize,
    pending: Vec<Batch>,
    pending_bytes: usize,
    written: u64,
    /// The first row of the stream, when each of its ids may come only once.
    first_row: Option<usize>,
    /// Where the ids of the points that were written are kept.
    ids: Option<&'a mut Ids>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(collection: &'a Collection) -> Self {
        Self {
            collection,
            putting: Putting::Add,
            observer: &(),
            piece_bytes: PIECE_BYTES,
            pending: Vec::new(),
            pending_bytes: 0,
            written: 0,
            first_row: None,
            ids: None,
        }
    }

    /// Replaces points whose ids are there, instead of refusing them; of several with one id in
    /// the stream, the last one stays.
    pub fn upsert(mut self) -> Self {
        self.putting = Putting::Upsert;
        self
    }

    /// Refuses an id that comes twice in the stream, also where points are replaced. Nobody else
    /// writes meanwhile: what others write counts as of the stream.
    pub fn distinct(mut self) -> Self {
        self.first_row = Some(self.collection.inner.state.load().rows.len());
        self
    }

    /// Appends the ids of each piece to `ids` when it is written: those that were given, or else
    /// those that were made up.
    pub fn keep_ids(mut self, ids: &'a mut Ids) -> Self {
        self.ids = Some(ids);
        self
    }

    /// Asked before each piece whether to stop, and told how the graph is built at the end.
    pub fn observer(mut self, observer: &'a dyn Observer) -> Self {
        self.observer = observer;
        self
    }

    /// Bytes of vectors and metadata that are written together, about; 64 MiB when nothing is
    /// said. A batch is never cut.
    pub fn piece_bytes(mut self, piece_bytes: usize) -> Self {
        self.piece_bytes = piece_bytes;
        self
    }

    /// Takes a batch, and writes the piece when it is full.
    ///
    /// # Errors
    /// As [`Collection::add`] and [`Collection::upsert`], with rows counted from the first of the
    /// stream; `Canceled`. After any of them the piece is not written, and its batches are gone
    /// from the writer; [`Self::written`] tells where it began.
    pub fn write(&mut self, batch: &Batch) -> Result<()> {
        self.write_owned(batch.clone())
    }

    /// [`Self::write`] of a batch that the caller gives up. A stream of one batch is then built
    /// where its vectors lie, as [`Collection::add_owned`] does it.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_owned(&mut self, batch: Batch) -> Result<()> {
        let is_other = |first: &Batch| first.ids.is_some() != batch.ids.is_some();
        if self.pending.first().is_some_and(is_other) {
            self.flush()?;
        }
        let metadata = batch.metadata.as_ref().map_or(0, table_bytes);
        self.pending_bytes += size_of_val(batch.vectors.as_flat()) + metadata;
        self.pending.push(batch);
        if self.pending_bytes < self.piece_bytes {
            return Ok(());
        }
        self.flush()
    }

    /// Takes the points of a table, as [`Batch::from_table`] does.
    ///
    /// # Errors
    /// As [`Self::write`] and [`Batch::from_table`], with rows counted from the first of the
    /// stream.
    pub fn write_table(&mut self, table: &RecordBatch) -> Result<()> {
        let first = self.written as usize + self.pending.iter().map(Batch::len).sum::<usize>();
        let batch = Batch::from_table(table).map_err(|error| error.behind(first))?;
        self.write_owned(batch)
    }

    /// How many points are written, and searchable.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Writes the last piece, builds the graph, and returns how many points were written. A stream
    /// of a single piece is written as one batch is: all or none of it.
    ///
    /// # Errors
    /// As [`Self::write`]. `Canceled` while the graph of several pieces is built: then every point
    /// is written and searched exactly, and the graph is built behind a later write.
    pub fn finish(mut self) -> Result<u64> {
        let linking =
            if self.written == 0 { Linking::Now(self.observer) } else { Linking::Deferred };
        self.write_piece(linking)?;
        self.collection.link(self.observer)?;
        Ok(self.written)
    }

    /// Writes what is pending as a piece, however small it is.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn flush(&mut self) -> Result<()> {
        self.write_piece(Linking::Deferred)
    }

    fn write_piece(&mut self, linking: Linking<'_>) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        if pending.is_empty() {
            return Ok(());
        }
        if self.observer.canceled() {
            return Err(Error::canceled());
        }
        let rows: usize = pending.iter().map(Batch::len).sum();
        let given = self.ids.as_ref().map(|_| pending.iter().map(|one| one.ids.clone()));
        let given: Option<Vec<Ids>> = given.and_then(Iterator::collect);
        let written = joined(pending, self.putting, self.first_row.is_some())
            .and_then(|piece| {
                self.collection.put_once(piece, self.putting, linking, self.first_row)
            })
            .map_err(|error| error.behind(self.written as usize))?;
        self.written += rows as u64;
        if let Some(ids) = &mut self.ids {
            given.unwrap_or_else(|| vec![written]).into_iter().for_each(|more| ids.append(more));
        }
        Ok(())
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        // What is not committed is perhaps given up.
        if !self.collection.shared.holds_back() {
            self.collection.inner.state.load().start_linking();
        }
    }
}

impl std::fmt::Debug for Writer<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = formatter.debug_struct("Writer");
        fields.field("collection", &self.collection).field("written", &self.written);
        fields.finish_non_exhaustive()
    }
}

impl Collection {
    /// Links what the pieces of a writer left in the tail.
    fn link(&self, observer: &dyn Observer) -> Result<()> {
        let state = self.inner.state.load_full();
        state.index.as_ref().map_or(Ok(()), |index| index.link(observer))?;
        self.shared.write_graph(&self.inner)
    }
}

/// Some batches as one. Of points that are replaced by later ones only the last is kept, unless
/// their ids are to be distinct.
fn joined(mut batches: Vec<Batch>, putting: Putting, are_distinct: bool) -> Result<Batch> {
    if batches.len() == 1
        && let Some(batch) = batches.pop()
    {
        return Ok(batch);
    }
    let metadata = joined_metadata(&batches)?;
    let first = batches.first().ok_or_else(|| Error::invalid("there is no batch"))?;
    let dim = first.vectors.dim();
    let rows = batches.iter().map(Batch::len).sum();
    let mut ids: Option<Ids> = None;
    let mut vectors = Vectors::with_capacity(dim, rows)?;
    for batch in &batches {
        if batch.vectors.dim() != dim {
            let given = batch.vectors.dim();
            return Err(loomdb_graph::Error::DimMismatch { expected: dim, given }.into());
        }
        vectors.push_rows(batch.vectors.as_flat())?;
        ids = match (ids, batch.ids.clone()) {
            (Some(ids), Some(more)) => Some(ids.followed_by(more)?),
            (ids, more) => ids.or(more),
        };
    }
    let batch = Batch { ids, vectors: Arc::new(vectors), metadata };
    match putting {
        Putting::Add => Ok(batch),
        Putting::Upsert if are_distinct => Ok(batch),
        Putting::Upsert => last_of_each(batch),
    }
}

fn joined_metadata(batches: &[Batch]) -> Result<Option<RecordBatch>> {
    let mut fields = Fields::default();
    let mut tables = Vec::new();
    for batch in batches {
        let table = match &batch.metadata {
            Some(metadata) => normalized(metadata)?,
            None => Batch::no_metadata(batch.len())?,
        };
        fields = fields.merged(&table)?;
        tables.push(table);
    }
    let schema = fields.metadata_schema();
    if schema.fields().is_empty() {
        return Ok(None);
    }
    let tables: Vec<RecordBatch> =
        tables.iter().map(|table| project(table, &schema)).collect::<Result<_>>()?;
    let table = arrow_select::concat::concat_batches(&schema, &tables);
    table.map(Some).map_err(|error| Error::invalid("the batches do not fit").caused_by(error))
}

fn last_of_each(batch: Batch) -> Result<Batch> {
    let Some(ids) = &batch.ids else { return Ok(batch) };
    let mut seen = HashSet::new();
    let mut rows: Vec<u32> = (0..ids.len() as u32).rev().collect();
    rows.retain(|row| seen.insert(ids.get(*row as usize)));
    if rows.len() == ids.len() {
        return Ok(batch);
    }
    rows.reverse();
    let mut vectors = Vectors::with_capacity(batch.vectors.dim(), rows.len())?;
    rows.iter().try_for_each(|row| vectors.push_rows(batch.vectors.row(*row as usize)))?;
    let places = UInt32Array::from(rows.clone());
    let select = |table: &RecordBatch| {
        let selected = arrow_select::take::take_record_batch(table, &places);
        selected.map_err(|error| Error::invalid("the batches do not fit").caused_by(error))
    };
    let metadata = batch.metadata.as_ref().map(select).transpose()?;
    Ok(Batch { ids: Some(ids.select(&rows)), vectors: Arc::new(vectors), metadata })
}
