//! A bound filter meets a batch: one bit for each row.
//!
//! Bits are combined by Arrow's bitmap operations, values are compared by its kernels. Every check
//! of a column returns no set bit for a null, so the bits need no third state.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{ArrowError, DataType};

use super::bind::{Bound, Check, Column};
use super::field_type::FieldType;
use super::index::ColumnIndex;
use super::{list, values};
use crate::{Error, Result};

/// The name of a column, its index, and some of the values there.
type IndexRange<'a> = (&'a str, Arc<ColumnIndex>, Range<usize>);

/// A batch, and what knows the rows of the values in its columns.
pub(super) struct Evaluation<'a> {
    pub batch: &'a RecordBatch,
    pub index_of: &'a dyn Fn(&str) -> Option<Arc<ColumnIndex>>,
}

impl Evaluation<'_> {
    /// The rows that match.
    pub(super) fn of(&self, bound: &Bound) -> Result<BooleanBuffer> {
        let rows = self.batch.num_rows();
        match bound {
            Bound::Every(parts) => self.every(parts),
            Bound::Any(parts) => {
                let mut matching = BooleanBuffer::new_unset(rows);
                for part in parts {
                    matching = &matching | &self.of(part)?;
                }
                Ok(matching)
            }
            Bound::Not(inner) => Ok(!&self.of(inner)?),
            Bound::Column(column) => self.of_column(column),
        }
    }

    /// The rows that match all parts. Comparisons of one indexed column are one range of its
    /// values, which has few rows where each of them alone has many.
    fn every(&self, parts: &[Bound]) -> Result<BooleanBuffer> {
        let mut ranges: Vec<IndexRange<'_>> = Vec::new();
        let mut others = Vec::new();
        for part in parts {
            let Some((name, index, range)) = self.range(part)? else {
                others.push(part);
                continue;
            };
            match ranges.iter_mut().find(|(own, ..)| *own == name) {
                None => ranges.push((name, index, range)),
                Some((.., own)) => *own = own.start.max(range.start)..own.end.min(range.end),
            }
        }
        let mut matching = BooleanBuffer::new_set(self.batch.num_rows());
        for (_, index, range) in ranges {
            matching = &matching & &index.rows_of(range);
        }
        for part in others {
            if !matching.has_true() {
                break;
            }
            matching = &matching & &self.of(part)?;
        }
        Ok(matching)
    }

    /// The values for which a comparison of an indexed column holds. Lists are left alone: other
    /// elements may meet other comparisons.
    fn range<'b>(&self, part: &'b Bound) -> Result<Option<IndexRange<'b>>> {
        let Bound::Column(column) = part else { return Ok(None) };
        if column.field_type.is_list || self.array(column)?.is_none() {
            return Ok(None);
        }
        let Some(index) = (self.index_of)(&column.name) else { return Ok(None) };
        let range = index.range(&column.check);
        let range = range.map_err(|error| failed(&column.name, error))?;
        Ok(range.map(|range| (column.name.as_str(), index, range)))
    }

    fn of_column(&self, column: &Column) -> Result<BooleanBuffer> {
        let Some(array) = self.array(column)? else {
            return Ok(BooleanBuffer::new_unset(self.batch.num_rows()));
        };
        let matching = match ((self.index_of)(&column.name), &column.check) {
            (Some(index), check) => index.matching(check),
            (None, Check::Present) => Ok(values::present(array)),
            (None, check) if column.field_type.is_list => list::any_element(array, check),
            (None, check) => values::matching(array, check),
        };
        matching.map_err(|error| failed(&column.name, error))
    }

    /// The values of a column, if the batch has any: none where the field came up later.
    fn array(&self, column: &Column) -> Result<Option<&dyn Array>> {
        let array = self.batch.column_by_name(&column.name).map(AsRef::as_ref);
        let Some(array) = array.filter(|array| *array.data_type() != DataType::Null) else {
            return Ok(None);
        };
        let found = FieldType::of(array.data_type());
        if found.is_some_and(|found| found.reads_like(column.field_type)) {
            return Ok(Some(array));
        }
        let Column { name, field_type, .. } = column;
        let what = format!(
            "the column {name:?} holds {}, but the filter was bound to {field_type}",
            array.data_type()
        );
        Err(Error::invalid(what).advise("bind the filter to the schema of the batch"))
    }
}

/// The types were checked before, so this says that a kernel of Arrow lacks one of them.
fn failed(name: &str, error: ArrowError) -> Error {
    Error::invalid(format!("the column {name:?} cannot be compared")).caused_by(error)
}
