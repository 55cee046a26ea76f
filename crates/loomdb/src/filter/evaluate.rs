//! A bound filter meets a batch: one bit for each row.
//!
//! Bits are combined by Arrow's bitmap operations, values are compared by its kernels. Every check
//! of a column returns no set bit for a null, so the bits need no third state.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::BooleanBuffer;
use arrow_schema::{ArrowError, DataType};

use super::bind::{Bound, Check, Column};
use super::field_type::FieldType;
use super::index::ColumnIndex;
use super::{list, values};
use crate::{Error, Result};

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
            Bound::Every(parts) => {
                let mut matching = BooleanBuffer::new_set(rows);
                for part in parts {
                    if !matching.has_true() {
                        break;
                    }
                    matching = &matching & &self.of(part)?;
                }
                Ok(matching)
            }
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

    fn of_column(&self, column: &Column) -> Result<BooleanBuffer> {
        let rows = self.batch.num_rows();
        // A batch from before the field came up has no column for it: all its values are missing.
        let Some(array) = self.batch.column_by_name(&column.name) else {
            return Ok(BooleanBuffer::new_unset(rows));
        };
        let array = array.as_ref();
        if *array.data_type() == DataType::Null {
            return Ok(BooleanBuffer::new_unset(rows));
        }
        let found = FieldType::of(array.data_type());
        if !found.is_some_and(|found| found.reads_like(column.field_type)) {
            let Column { name, field_type, .. } = column;
            let what = format!(
                "the column {name:?} holds {}, but the filter was bound to {field_type}",
                array.data_type()
            );
            return Err(Error::invalid(what).advise("bind the filter to the schema of the batch"));
        }
        let matching = match ((self.index_of)(&column.name), &column.check) {
            (Some(index), check) => index.matching(check),
            (None, Check::Present) => Ok(values::present(array)),
            (None, check) if column.field_type.is_list => list::any_element(array, check),
            (None, check) => values::matching(array, check),
        };
        matching.map_err(|error| failed(&column.name, error))
    }
}

/// The types were checked before, so this says that a kernel of Arrow lacks one of them.
fn failed(name: &str, error: ArrowError) -> Error {
    Error::invalid(format!("the column {name:?} cannot be compared")).caused_by(error)
}
