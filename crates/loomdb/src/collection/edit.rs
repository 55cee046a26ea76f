//! Changes of points that are there: metadata replaced, points deleted.

use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::{Field, Schema as TableSchema};
use loomdb_graph::Vectors;

use super::batch::{self, GROUPED_ROWS};
use super::metadata::{self, Metadata};
use super::nested::flattened_records;
use super::{Change, Collection, IdType, Linking, State, fields, prepared, refuse_ids, table};
use crate::{Error, ErrorKind, Filter, Ids, Result};

impl Collection {
    /// Replaces metadata: the fields that are given, of points that keep everything else.
    ///
    /// # Errors
    /// `NotFound` when an id is not there, with the first five of them; otherwise as
    /// [`Self::add`].
    pub fn update(&self, ids: &Ids, metadata: &RecordBatch) -> Result<()> {
        self.update_given(ids, metadata, &|_, _| true)
    }

    /// [`Self::update`] of some values only: those for which `is_given` says so, by the name of
    /// the field, which has a dot for a column of a struct, and the row. The others stay.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub fn update_given(
        &self,
        ids: &Ids,
        metadata: &RecordBatch,
        is_given: &dyn Fn(&str, usize) -> bool,
    ) -> Result<()> {
        batch::check_rows(metadata.num_rows(), ids.len())?;
        ids.validate()?;
        if ids.is_empty() {
            return Ok(());
        }
        let metadata = prepared(metadata)?;
        let given_in = |field: &Arc<Field>| {
            (0..ids.len()).map(|row| Some(is_given(field.name(), row))).collect()
        };
        let given: Vec<BooleanArray> = metadata.schema().fields().iter().map(given_in).collect();
        let ids = ids.clone();
        self.change(ids.len() <= GROUPED_ROWS, Linking::Now(&()), move |state| {
            let found = state.find_all(&ids);
            let missing = (0..ids.len()).filter(|row| found[*row].is_none());
            refuse_ids(ErrorKind::NotFound, &ids, missing, "do not exist", "add them first")?;
            let rows: Vec<u32> = found.into_iter().flatten().collect();
            Ok(Some(updated(state, &rows, &metadata, &given)?))
        })?;
        Ok(())
    }

    /// [`Self::update`] from one object for each point: a key that is missing keeps its value, a
    /// null takes it away.
    ///
    /// # Errors
    /// As [`Self::update`], and as [`Batch::with_records`](super::Batch::with_records).
    pub fn update_records(&self, ids: &Ids, records: &[Metadata]) -> Result<()> {
        let records = &*flattened_records(records)?;
        let table = nulls_kept(&metadata::from_records(records)?, records, self)?;
        let is_given = |name: &str, row: usize| {
            records.get(row).is_some_and(|record| record.contains_key(name))
        };
        self.update_given(ids, &table, &is_given)
    }

    /// Deletes the points of some ids and returns how many were there.
    ///
    /// # Errors
    /// `InvalidInput` for ids of the other type; `StorageFull`, `Io`, `Poisoned`. After any of
    /// them none are deleted.
    pub fn delete(&self, ids: &Ids) -> Result<usize> {
        let ids = ids.clone();
        let deleted = self.change(ids.len() <= GROUPED_ROWS, Linking::Now(&()), move |state| {
            state.check_id_type(&ids)?;
            let found = state.find_all(&ids);
            let mut there: Vec<u32> =
                (0..ids.len() as u32).filter(|row| found[*row as usize].is_some()).collect();
            // An id that is given twice is deleted once.
            let mut rows = std::collections::HashSet::new();
            there.retain(|row| rows.insert(found[*row as usize]));
            if there.is_empty() {
                return Ok(None);
            }
            Ok(Some(Change::Delete { table: table(&ids.select(&there), None)? }))
        })?;
        Ok(deleted as usize)
    }

    /// Deletes the points that match a filter, all in one batch, and returns how many there were.
    ///
    /// # Errors
    /// `InvalidFilter` for a field that is unknown or compared with a value of another type;
    /// `StorageFull`, `Io`, `Poisoned`. After any of them none are deleted.
    pub fn delete_matching(&self, filter: &Filter) -> Result<usize> {
        let deleted = self.shared.write(&self.inner, Linking::Now(&()), &mut |state| {
            let rows = state.rows_matching(filter)?;
            if rows.is_empty() {
                return Ok(None);
            }
            let ids = fields::Fields::default();
            let ids = ids.schema(state.id_type.unwrap_or(IdType::Integer).data_type());
            Ok(Some(Change::Delete { table: state.rows.select(&rows, &ids)? }))
        })?;
        Ok(deleted as usize)
    }
}

/// Rows with some fields replaced, where `given` says so, for each field by place.
fn updated(
    state: &State,
    rows: &[u32],
    metadata: &RecordBatch,
    given: &[BooleanArray],
) -> Result<Change> {
    let merged = state.fields.merged(metadata)?;
    let schema = merged.schema(state.id_type.unwrap_or(IdType::Integer).data_type());
    let older = fields::project(&state.rows.select(rows, &state.schema())?, &schema)?;
    let newer = fields::project(metadata, &merged.metadata_schema())?;
    let mut columns = older.columns().to_vec();
    for (field, given) in metadata.schema().fields().iter().zip(given) {
        let (place, _) = schema
            .column_with_name(field.name())
            .ok_or_else(|| Error::invalid("the metadata contradict each other"))?;
        let (new, old) = (newer.column(place - 1), &columns[place]);
        let mixed = arrow_select::zip::zip(given, new, old);
        columns[place] =
            mixed.map_err(|error| Error::invalid("the metadata do not fit").caused_by(error))?;
    }
    let table = RecordBatch::try_new(schema, columns)
        .map_err(|error| Error::invalid("the metadata contradict each other").caused_by(error))?;
    let mut vectors = Vectors::with_capacity(state.dim.unwrap_or(1), rows.len())?;
    if let Some(view) = state.index.as_ref().map(|index| index.view()) {
        rows.iter().try_for_each(|row| vectors.push_rows(view.vector(*row as usize)))?;
    }
    Ok(Change::Put { table, vectors: Arc::new(vectors) })
}

/// Columns for the keys that are null in every object, which a table of values leaves out.
fn nulls_kept(
    table: &RecordBatch,
    records: &[Metadata],
    collection: &Collection,
) -> Result<RecordBatch> {
    let schema = collection.inner.state.load().fields.metadata_schema();
    let mut fields: Vec<Arc<Field>> = table.schema().fields().iter().cloned().collect();
    for field in schema.fields() {
        let is_named = records.iter().any(|record| record.contains_key(field.name()));
        if is_named && table.column_by_name(field.name()).is_none() {
            fields.push(Arc::clone(field));
        }
    }
    fields::project(table, &Arc::new(TableSchema::new(fields)))
}
