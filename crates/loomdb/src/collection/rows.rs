//! Ids and metadata by row number: tables one behind the other, which never change.
//!
//! A version of the rows is a short list of shared tables, so readers keep theirs while the writer
//! appends. Small tables are joined as soon as eight of a size have come together, so that a row
//! is copied a few times in its life and the list stays short.
//!
//! A table keeps the indexes of its columns. They are derived and in no file: they go when the
//! table is joined with others, and are made again when a filter asks for them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_buffer::BooleanBufferBuilder;
use arrow_schema::SchemaRef;

use super::fields::project;
use crate::filter::{BoundFilter, ColumnIndex};
use crate::{Error, Id, Ids, Result, id_column};

/// Tables of a size that are joined.
const FAN_OUT: usize = 8;

/// Tables of so many rows are not joined any more.
const MAX_JOINED_ROWS: usize = 1 << 16;

/// Tables of fewer rows have no indexes: looking at all values costs as little.
const MIN_INDEXED_ROWS: usize = 32;

/// A version of the rows of a collection.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    tables: Vec<Arc<Table>>,
    len: usize,
}

#[derive(Debug)]
struct Table {
    first: usize,
    batch: RecordBatch,
    /// Indexes of columns, made when they are first asked for; nothing for a column that has none.
    indexes: RwLock<HashMap<String, Option<Arc<ColumnIndex>>>>,
}

impl Table {
    fn new(first: usize, batch: RecordBatch) -> Self {
        Self { first, batch, indexes: RwLock::default() }
    }

    /// The index of a column, unless there is no such column or the rows are few.
    fn index_of(&self, name: &str) -> Option<Arc<ColumnIndex>> {
        if self.len() < MIN_INDEXED_ROWS {
            return None;
        }
        let indexes = self.indexes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = indexes.get(name) {
            return index.clone();
        }
        drop(indexes);
        // Whoever else asks waits, instead of making the same.
        let mut indexes = self.indexes.write().unwrap_or_else(PoisonError::into_inner);
        let make = || ColumnIndex::new(self.batch.column_by_name(name)?).ok().map(Arc::new);
        indexes.entry(name.to_owned()).or_insert_with(make).clone()
    }

    fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// Tables of about one size have one rank.
    fn rank(&self) -> u32 {
        self.len().max(1).ilog(FAN_OUT)
    }
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends a table; `schema` is that of all rows so far.
    pub(super) fn append(&mut self, batch: RecordBatch, schema: &SchemaRef) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let table = Table::new(self.len, batch);
        self.len += table.len();
        self.tables.push(Arc::new(table));
        while let Some(from) = self.joinable() {
            let tables = self.tables.split_off(from);
            self.tables.push(Arc::new(join(&tables, schema)?));
        }
        Ok(())
    }

    /// Where the last tables begin that are to be joined.
    fn joinable(&self) -> Option<usize> {
        let from = self.tables.len().checked_sub(FAN_OUT)?;
        let last = self.tables.last()?;
        let is_equal = |table: &Arc<Table>| {
            table.rank() == last.rank() && table.len() * FAN_OUT <= MAX_JOINED_ROWS
        };
        self.tables[from..].iter().all(is_equal).then_some(from)
    }

    /// About as many bytes as the tables take in memory.
    pub(super) fn bytes(&self) -> usize {
        let columns = self.tables.iter().flat_map(|table| table.batch.columns());
        columns.map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum()
    }

    /// A bit for each row: whether it matches a filter. Columns of these names are indexed.
    pub(super) fn matching(
        &self,
        filter: &BoundFilter,
        indexed: &BTreeSet<String>,
    ) -> Result<BooleanBufferBuilder> {
        let mut bits = BooleanBufferBuilder::new(self.len);
        for table in &self.tables {
            let index_of = |name: &str| indexed.get(name).and_then(|name| table.index_of(name));
            bits.append_buffer(&filter.evaluate_with(&table.batch, &index_of)?);
        }
        Ok(bits)
    }

    /// Makes the indexes of a column that are not there yet.
    pub(super) fn make_index(&self, name: &str) {
        self.tables.iter().for_each(|table| drop(table.index_of(name)));
    }

    /// Gives back what the indexes of a column take; whoever asks for them makes them anew.
    pub(super) fn drop_index(&self, name: &str) {
        for table in &self.tables {
            table.indexes.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        }
    }

    /// About as many bytes as the indexes that are there take in memory.
    pub(super) fn index_bytes(&self) -> usize {
        let bytes = |table: &Arc<Table>| {
            let indexes = table.indexes.read().unwrap_or_else(PoisonError::into_inner);
            indexes.values().flatten().map(|index| index.bytes()).sum::<usize>()
        };
        self.tables.iter().map(bytes).sum()
    }

    /// The table of a row, and its place there.
    pub(super) fn locate(&self, row: usize) -> (&RecordBatch, usize) {
        let behind = self.tables.partition_point(|table| table.first <= row);
        let table = &self.tables[behind - 1];
        (&table.batch, row - table.first)
    }

    /// The id of a row.
    pub(super) fn id(&self, row: usize) -> Id {
        let (table, at) = self.locate(row);
        let column = table.column(0);
        match column.as_primitive_opt::<UInt64Type>() {
            Some(integers) => Id::Integer(integers.value(at)),
            None => Id::Text(column.as_string::<i32>().value(at).to_owned()),
        }
    }

    /// The ids of some rows, which are all texts or all integers.
    pub(super) fn ids(&self, rows: &[u32], has_texts: bool) -> Ids {
        let located = rows.iter().map(|row| self.locate(*row as usize));
        if has_texts {
            let text = |(table, at): (&RecordBatch, usize)| {
                table.column(0).as_string::<i32>().value(at).to_owned()
            };
            return Ids::Text(located.map(text).collect());
        }
        let integer = |(table, at): (&RecordBatch, usize)| {
            table.column(0).as_primitive::<UInt64Type>().value(at)
        };
        Ids::Integer(located.map(integer).collect())
    }

    pub(super) fn tables(&self) -> Vec<&RecordBatch> {
        self.tables.iter().map(|table| &table.batch).collect()
    }

    /// The rows from `first` on, as tables of one shape.
    pub(super) fn batches_from(
        &self,
        first: usize,
        schema: &SchemaRef,
    ) -> Result<Vec<RecordBatch>> {
        let behind = self.tables.iter().filter(|table| table.first + table.len() > first);
        let part = |table: &Arc<Table>| {
            let skipped = first.saturating_sub(table.first);
            project(&table.batch.slice(skipped, table.len() - skipped), schema)
        };
        behind.map(part).collect()
    }

    /// Some rows as one table, in the order given.
    pub(super) fn select(&self, rows: &[u32], schema: &SchemaRef) -> Result<RecordBatch> {
        let mut used: Vec<RecordBatch> = Vec::new();
        let mut place_of = HashMap::new();
        let mut places = Vec::with_capacity(rows.len());
        for row in rows {
            let index = self.tables.partition_point(|table| table.first <= *row as usize) - 1;
            let place = *place_of.entry(index).or_insert_with(|| {
                used.push(self.tables[index].batch.clone());
                used.len() - 1
            });
            places.push((place, *row as usize - self.tables[index].first));
        }
        let used = used.iter().map(|table| project(table, schema)).collect::<Result<Vec<_>>>()?;
        if used.is_empty() {
            return Ok(RecordBatch::new_empty(Arc::clone(schema)));
        }
        let used: Vec<&RecordBatch> = used.iter().collect();
        let selected = arrow_select::interleave::interleave_record_batch(&used, &places);
        selected.map_err(|error| Error::invalid("the rows cannot be joined").caused_by(error))
    }
}

fn join(tables: &[Arc<Table>], schema: &SchemaRef) -> Result<Table> {
    let first = tables.first().map_or(0, |table| table.first);
    let batches =
        tables.iter().map(|table| project(&table.batch, schema)).collect::<Result<Vec<_>>>()?;
    let joined = arrow_select::concat::concat_batches(schema, &batches);
    let batch =
        joined.map_err(|error| Error::invalid("the rows cannot be joined").caused_by(error))?;
    Ok(Table::new(first, batch))
}

/// The ids in the first column of a table.
pub(super) fn ids_of(table: &RecordBatch) -> Result<Ids> {
    let mut ids = None;
    id_column::append(&mut ids, table.column(0))?;
    Ok(ids.unwrap_or(Ids::Integer(Vec::new())))
}
