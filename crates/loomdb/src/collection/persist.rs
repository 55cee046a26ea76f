//! A collection in files: sealed into segments, and loaded again.
//!
//! Sealing writes only what is in no segment yet, into files of new numbers, and changes the entry
//! of the manifest that is about to be committed; until that happens nothing counts.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef};
use loomdb_graph::{StoredVectors, Vectors};

use super::fields::Fields;
use super::places::SharedPlaces;
use super::state::{IdType, Making, State};
use crate::database::BULK_BYTES;
use crate::index::{Index, View};
use crate::storage::manifest::{Collection, FileRecord};
use crate::storage::segment::{Place, SegmentRows};
use crate::{Error, Result};

/// What of a collection is in files already, as far as the entry does not say it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Saved {
    pub deleted: u64,
    pub graph_rows: usize,
}

/// What the files of a collection take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Files {
    pub segments: usize,
    pub bytes: u64,
}

impl Files {
    pub(crate) fn of(entry: &Collection) -> Self {
        let bytes = entry.files().map(FileRecord::len_bytes).sum();
        Self { segments: entry.segments.len(), bytes }
    }
}

impl State {
    /// Whether there is something that is in no file but the log.
    pub(crate) fn is_unsealed(&self, entry: &Collection, saved: Saved) -> bool {
        self.rows.len() > entry.rows()
            || self.deleted.len() != saved.deleted
            || self.sequence > entry.sequence
    }

    /// Writes the rows and deletions that are in no segment. `vectors` are those of rows that are
    /// in no index yet.
    pub(crate) fn seal(
        &self,
        place: Place<'_>,
        entry: &mut Collection,
        saved: &mut Saved,
        (vectors, number): (Option<&Vectors>, u32),
    ) -> Result<()> {
        place.create()?;
        let (first, rows) = (entry.rows(), self.rows.len());
        if rows > first {
            let view = self.index.as_ref().map(|index| index.view());
            let indexed = rows - vectors.map_or(0, Vectors::len);
            let row = |row: usize| match (vectors, (first + row).checked_sub(indexed)) {
                (Some(vectors), Some(behind)) => vectors.row(behind),
                _ => view.as_ref().map_or(&[][..], |view| view.vector(first + row)),
            };
            let schema = self.schema();
            let batches = self.rows.batches_from(first, &schema)?;
            let segment = SegmentRows {
                rows: rows - first,
                dim: self.dim.unwrap_or_default(),
                row: &row,
                schema: &schema,
                batches: &batches,
            };
            entry.segments.push(place.write_segment(number, &segment)?);
        }
        if self.deleted.len() != saved.deleted {
            place.write_deletes(number, &self.deleted, entry)?;
            saved.deleted = self.deleted.len();
        }
        place.sync()?;
        self.describe(entry);
        Ok(())
    }

    /// Writes the graph, if there is one over rows of segments only.
    pub(crate) fn save_graph(
        &self,
        place: Place<'_>,
        entry: &mut Collection,
        saved: &mut Saved,
        number: u32,
    ) -> Result<()> {
        let view = self.index.as_ref().map(|index| index.view());
        let Some((graph, order)) = view.as_ref().and_then(View::graph) else { return Ok(()) };
        if graph.len() > entry.rows() || graph.len() == saved.graph_rows {
            return Ok(());
        }
        place.write_graph(number, (graph, order), entry)?;
        place.sync()?;
        saved.graph_rows = graph.len();
        Ok(())
    }

    /// Makes the vectors lie in the files of an entry instead of in memory, when that is worth it
    /// and they can be mapped; whether they do. The entry has all rows, perhaps with others behind
    /// them, which get into the tail of the index.
    pub(crate) fn move_to_files(&self, place: Place<'_>, entry: &Collection) -> bool {
        let Some(index) = &self.index else { return false };
        let behind = entry.rows().saturating_sub(index.len());
        let bytes = index.unfiled_bytes() + behind * entry.dim * size_of::<f32>();
        if bytes < BULK_BYTES || entry.rows() < index.len() {
            return false;
        }
        place.map_rows(entry).is_some_and(|files| index.move_to(files).is_ok())
    }

    /// The rows that are in the graph now.
    pub(crate) fn graph_rows(&self) -> usize {
        self.index.as_ref().map_or(0, |index| index.view().graph_len())
    }

    /// The entry of the collection before anything of it is in files.
    pub(crate) fn new_entry(&self, name: &str, number: u32) -> Collection {
        let mut entry = Collection::empty(name, number, self.metric);
        entry.dim = self.dim.unwrap_or_default();
        entry.graph_params = self.graph;
        entry.indexed_fields = self.indexed_fields();
        entry
    }

    /// Starts to link the tail in the background if it is due.
    pub(crate) fn start_linking(&self) {
        if let Some(index) = &self.index {
            index.start_linking();
        }
    }

    /// Waits until no rows are being linked.
    pub(crate) fn wait_until_linked(&self) {
        if let Some(index) = &self.index {
            index.wait();
        }
    }

    fn describe(&self, entry: &mut Collection) {
        entry.dim = self.dim.unwrap_or_default();
        entry.id_type = self.id_type.map(|id_type| id_type.name().to_owned());
        entry.next_id = self.next_id;
        entry.fields = self.fields.to_records();
        entry.indexed_fields = self.indexed.iter().cloned().collect();
        entry.sequence = entry.sequence.max(self.sequence);
    }

    /// A version without rows of what an entry says.
    pub(super) fn of_entry(entry: &Collection) -> Result<Self> {
        let dim = (entry.dim > 0).then_some(entry.dim);
        let mut state = Self::empty(entry.metric()?, dim, entry.graph_params);
        state.indexed = Arc::new(entry.indexed_fields.iter().cloned().collect());
        state.next_id = entry.next_id;
        Ok(state)
    }

    /// What the files of a collection hold; a graph that cannot be used becomes a warning.
    pub(crate) fn load(
        place: Place<'_>,
        entry: &Collection,
        making: &Making,
        warnings: &mut Vec<String>,
    ) -> Result<(Self, Saved)> {
        let mut state = Self::of_entry(entry)?;
        state.fields = Arc::new(Fields::from_records(&entry.fields)?);
        state.id_type = entry.id_type.as_deref().and_then(IdType::parse);
        state.renew_schema();
        state.sequence = entry.sequence;
        let (vectors, batches) = place.read_rows(entry, &making.workers)?;
        let mut ids = Vec::new();
        for batch in batches {
            state.take_ids(batch.column(0))?;
            ids.push(Arc::clone(batch.column(0)));
            let schema = state.schema();
            state.rows.append(super::fields::project(&batch, &schema)?, &schema)?;
        }
        state.places = Arc::new(SharedPlaces::of_stored(ids));
        state.deleted = Arc::new(place.read_deletes(entry)?);
        let graph_rows = state.load_index(place, entry, (&vectors, making), warnings)?;
        let saved = Saved { deleted: state.deleted.len(), graph_rows };
        Ok((state, saved))
    }

    /// Follows the ids of stored rows: their type, and the next one that is given out.
    fn take_ids(&mut self, ids: &ArrayRef) -> Result<()> {
        let integers = ids.as_primitive_opt::<UInt64Type>();
        let id_type = if integers.is_some() { IdType::Integer } else { IdType::Text };
        if ids.null_count() > 0 {
            return Err(Error::corrupted("an id is missing"));
        }
        if self.id_type.is_some_and(|own| own != id_type) {
            return Err(Error::corrupted("the ids of the collection are of two types"));
        }
        if self.id_type.is_none() {
            self.id_type = Some(id_type);
            self.renew_schema();
        }
        let highest = integers.and_then(|ids| ids.values().iter().max());
        let next = highest.map_or(0, |id| id.saturating_add(1));
        self.next_id = self.next_id.max(next);
        Ok(())
    }

    fn load_index(
        &mut self,
        place: Place<'_>,
        entry: &Collection,
        (vectors, making): (&StoredVectors, &Making),
        warnings: &mut Vec<String>,
    ) -> Result<usize> {
        if vectors.is_empty() {
            return Ok(0);
        }
        let mut warn = |error: &Error| {
            let name = &entry.name;
            warnings.push(format!(
                "{error:#}; the graph of the collection {name:?} is left out: searches are exact \
                 and slower until it is rebuilt"
            ));
        };
        let graph = place.read_graph(entry, &making.workers).unwrap_or_else(|error| {
            warn(&error);
            None
        });
        let (index, failure) = Index::restore(vectors, self.metric, graph, self.made_with(making))?;
        let is_damaged = failure.is_some();
        if let Some(error) = failure {
            let file = entry.graph.as_ref().map_or("", |record| record.name());
            warn(&Error::from(error).in_file(&place.root.join(file)));
        }
        self.index = Some(Arc::new(index));
        Ok(if is_damaged { 0 } else { self.graph_rows() })
    }
}
