//! Batches of columns, turned into rows of vectors, ids and metadata.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type, Int8Type, UInt8Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Schema};

use super::columns::{Columns, fitting};
use super::rows::{PIECE_BYTES, Rows, no_vectors};
use super::{Imported, MetadataColumns, Source};
use crate::collection::{joined, normalized};
use crate::{Error, Ids, Result, id_column};

/// Rows of a table read so far.
pub(super) struct Table<'a> {
    source: &'a Source<'a>,
    columns: Columns,
    /// Rows in the file, 0 when unknown.
    total: usize,
    len_bytes: u64,
    /// Made when the first row shows how long the vectors are.
    rows: Option<Rows<'a>>,
    ids: Option<Ids>,
    metadata: Vec<RecordBatch>,
}

impl<'a> Table<'a> {
    /// A table of batches that have these columns.
    pub(super) fn new(
        source: &'a Source<'a>,
        columns: Columns,
        total: usize,
        len_bytes: u64,
    ) -> Self {
        Self { source, columns, total, len_bytes, rows: None, ids: None, metadata: Vec::new() }
    }

    /// Whether further rows are wanted.
    pub(super) fn wants_more(&self) -> bool {
        self.source.options.limit.is_none_or(|limit| self.len() < limit)
    }

    pub(super) fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let wanted = self.source.wanted(usize::MAX) - self.len();
        let batch = batch.slice(0, batch.num_rows().min(wanted));
        let column = |index: usize| {
            let column = batch.columns().get(index);
            column.ok_or_else(|| Error::corrupted("a batch has too few columns"))
        };
        if let Some(id) = self.columns.id {
            let appended = id_column::append(&mut self.ids, column(id)?);
            appended.map_err(|error| error.behind(self.passed()))?;
        }
        if !self.columns.metadata.is_empty() {
            self.push_metadata(&batch)?;
        }
        self.push_lists(&Lists::of(column(self.columns.vector)?)?)?;
        self.pass_on()
    }

    /// Passes on the rows, when they are a piece.
    fn pass_on(&mut self) -> Result<()> {
        let passed = self.passed();
        let piece = self.rows.as_mut().map(Rows::take_piece).transpose()?.flatten();
        let Some(vectors) = piece else { return Ok(()) };
        let (ids, metadata) = self.take_columns(passed)?;
        self.source.pass_on(Imported { ids, metadata, ..vectors.into() })
    }

    /// The ids and the metadata of the rows behind those that were passed on.
    fn take_columns(&mut self, passed: usize) -> Result<(Option<Ids>, Option<RecordBatch>)> {
        let ids = self.ids.take();
        ids.as_ref().map_or(Ok(()), |ids| ids.validate_from(passed))?;
        let tables = std::mem::take(&mut self.metadata);
        let metadata = tables.first().map(|first| joined(first.schema_ref(), &tables));
        Ok((ids, metadata.transpose()?))
    }

    fn passed(&self) -> usize {
        self.rows.as_ref().map_or(0, Rows::passed)
    }

    fn push_metadata(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = batch.project(&self.columns.metadata);
        let columns = columns
            .map_err(|error| Error::corrupted("a batch has too few columns").caused_by(error))?;
        let columns = match self.source.options.metadata_columns {
            MetadataColumns::All => fitting(&columns)?,
            _ => columns,
        };
        self.metadata.push(normalized(&columns)?);
        Ok(())
    }

    /// The rows, when the names of the columns stand in `schema`, where they were chosen.
    pub(super) fn finish(mut self, schema: &Schema, chosen: &Columns) -> Result<Imported> {
        let (ids, metadata) = self.take_columns(self.passed())?;
        let vectors = self.rows.ok_or_else(no_vectors)?.finish()?;
        let name = |index: usize| schema.fields().get(index).map(|field| field.name().clone());
        Ok(Imported {
            vectors,
            ids,
            metadata,
            left_out: chosen.left_out(schema, self.source.options),
            vector_column: name(chosen.vector),
            id_column: chosen.id.and_then(name),
        })
    }

    fn len(&self) -> usize {
        self.rows.as_ref().map_or(0, Rows::len)
    }

    fn push_lists(&mut self, lists: &Lists<'_>) -> Result<()> {
        if lists.len() == 0 {
            return Ok(());
        }
        let rows = match &mut self.rows {
            Some(rows) => rows,
            none => {
                let dim = lists.check_first()?;
                let total = self.source.wanted(self.total);
                none.insert(Rows::new(self.source, dim, total, self.len_bytes)?)
            }
        };
        lists.check(rows.dim(), rows.len())?;
        let rows_per_piece = if lists.lie_together() {
            (PIECE_BYTES / size_of::<f32>() / rows.dim()).max(1)
        } else {
            1
        };
        let mut converted = Vec::new();
        for first in (0..lists.len()).step_by(rows_per_piece) {
            let last = (first + rows_per_piece).min(lists.len()) - 1;
            let values =
                lists.values.slice(lists.range(first).start, (last - first + 1) * rows.dim());
            check_nulls(&values, rows)?;
            rows.push(floats(&values, &mut converted)?)?;
        }
        Ok(())
    }
}

/// A column of lists.
struct Lists<'a> {
    column: &'a dyn Array,
    values: &'a dyn Array,
}

impl<'a> Lists<'a> {
    fn of(column: &'a dyn Array) -> Result<Self> {
        let values = match column.data_type() {
            DataType::List(_) => column.as_list::<i32>().values(),
            DataType::LargeList(_) => column.as_list::<i64>().values(),
            DataType::FixedSizeList(..) => column.as_fixed_size_list().values(),
            DataType::ListView(_) => column.as_list_view::<i32>().values(),
            DataType::LargeListView(_) => column.as_list_view::<i64>().values(),
            other => return Err(Error::corrupted(format!("the vectors have the type {other}"))),
        };
        Ok(Self { column, values })
    }

    fn len(&self) -> usize {
        self.column.len()
    }

    /// Where the values of a row lie.
    fn range(&self, row: usize) -> Range<usize> {
        match self.column.data_type() {
            DataType::List(_) => between(self.column.as_list::<i32>().value_offsets(), row),
            DataType::LargeList(_) => between(self.column.as_list::<i64>().value_offsets(), row),
            DataType::ListView(_) => {
                let view = self.column.as_list_view::<i32>();
                from_to(view.offsets(), view.sizes(), row)
            }
            DataType::LargeListView(_) => {
                let view = self.column.as_list_view::<i64>();
                from_to(view.offsets(), view.sizes(), row)
            }
            _ => {
                let len = self.column.as_fixed_size_list().value_length() as usize;
                row * len..(row + 1) * len
            }
        }
    }

    /// The length of the first row of the file.
    fn check_first(&self) -> Result<usize> {
        match self.range(0).len() {
            _ if self.column.is_null(0) => Err(Error::invalid("the vector is null").at_row(0)),
            0 => Err(Error::invalid("the vector has no values").at_row(0)),
            dim => Ok(dim),
        }
    }

    /// Whether the values of each row lie behind those of the row before. Views may lie in any
    /// order, or on top of each other.
    fn lie_together(&self) -> bool {
        let is_view =
            matches!(self.column.data_type(), DataType::ListView(_) | DataType::LargeListView(_));
        !is_view || (1..self.len()).all(|row| self.range(row - 1).end == self.range(row).start)
    }

    /// Whether every row has `dim` values; rows are counted from `first_row` on.
    fn check(&self, dim: usize, first_row: usize) -> Result<()> {
        for row in 0..self.len() {
            let range = self.range(row);
            let len = range.len();
            if self.column.is_null(row) {
                return Err(Error::invalid("the vector is null").at_row(first_row + row));
            }
            if range.end > self.values.len() {
                let what = "the vector lies outside of its column";
                return Err(Error::corrupted(what).at_row(first_row + row));
            }
            if len != dim {
                let what = format!("the vector has {len} values, the first has {dim}");
                return Err(Error::invalid(what).at_row(first_row + row));
            }
        }
        Ok(())
    }
}

fn between<T: Copy + TryInto<usize>>(offsets: &[T], row: usize) -> Range<usize> {
    number(offsets, row)..number(offsets, row + 1)
}

fn from_to<T: Copy + TryInto<usize>>(offsets: &[T], sizes: &[T], row: usize) -> Range<usize> {
    let offset = number(offsets, row);
    offset..offset.saturating_add(number(sizes, row))
}

fn number<T: Copy + TryInto<usize>>(numbers: &[T], index: usize) -> usize {
    numbers.get(index).and_then(|number| (*number).try_into().ok()).unwrap_or(0)
}

fn check_nulls(values: &dyn Array, rows: &Rows<'_>) -> Result<()> {
    if values.null_count() == 0 {
        return Ok(());
    }
    let index = (0..values.len()).find(|index| values.is_null(*index)).unwrap_or(0);
    let (row, position) = (rows.len() + index / rows.dim(), index % rows.dim());
    Err(Error::invalid(format!("the value at position {position} is null")).at_row(row))
}

/// The values as `f32`, in place where they are that already.
fn floats<'a>(values: &'a dyn Array, converted: &'a mut Vec<f32>) -> Result<&'a [f32]> {
    converted.clear();
    match values.data_type() {
        DataType::Float32 => return Ok(values.as_primitive::<Float32Type>().values()),
        DataType::Float64 => {
            let values = values.as_primitive::<Float64Type>().values();
            converted.extend(values.iter().map(|value| *value as f32));
        }
        DataType::Float16 => {
            let values = values.as_primitive::<Float16Type>().values();
            converted.extend(values.iter().map(|value| value.to_f32()));
        }
        DataType::UInt8 => {
            let values = values.as_primitive::<UInt8Type>().values();
            converted.extend(values.iter().map(|value| f32::from(*value)));
        }
        DataType::Int8 => {
            let values = values.as_primitive::<Int8Type>().values();
            converted.extend(values.iter().map(|value| f32::from(*value)));
        }
        other => return Err(Error::corrupted(format!("the vectors hold values of type {other}"))),
    }
    Ok(converted)
}
