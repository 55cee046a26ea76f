//! The values of a column, each with its rows, so that a filter asks the values and not the rows.
//!
//! Each value stands once, in ascending order, and is checked by the kernels that check columns:
//! what a filter means is decided in one place. A comparison holds for one range of ordered
//! values, whose ends are found by a binary search; whatever else is asked of every value once.
//!
//! The rows of a value are a list or a bitmap, whichever takes less. A column of lists is indexed
//! by its elements.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, ListArray, UInt32Array};
use arrow_buffer::{BooleanBuffer, Buffer, bit_util};
use arrow_ord::partition::partition;
use arrow_ord::sort::sort_to_indices;
use arrow_schema::{ArrowError, SortOptions};
use arrow_select::take::take;

use super::bind::Check;
use super::tree::Compare;
use super::values;

/// A list of rows takes as much as a bitmap when it has one row of so many.
const ROWS_PER_LISTED: usize = 32;

/// An index of one column, which never changes.
#[derive(Debug)]
pub(crate) struct ColumnIndex {
    rows: usize,
    present: BooleanBuffer,
    /// Distinct and ascending, without nulls and without NaN, which no comparison matches.
    values: ArrayRef,
    /// Where the list of each value begins; one more than there are values.
    starts: Vec<u32>,
    listed: Vec<u32>,
    /// Bitmaps of values that have many rows, and no list; in ascending order.
    frequent: Vec<(usize, Vec<u8>)>,
}

/// The values of a column one by one, and the row of each.
struct Entries {
    values: ArrayRef,
    /// Nothing when values and rows are the same.
    rows: Option<Vec<u32>>,
}

impl ColumnIndex {
    pub(crate) fn new(column: &ArrayRef) -> Result<Self, ArrowError> {
        let present = values::present(column);
        let Entries { values, rows: owners } = Entries::of(column)?;
        let order = SortOptions { descending: false, nulls_first: false };
        let sorted = sort_to_indices(&values, Some(order), None)?;
        let sorted = sorted.slice(0, values.len() - values.null_count());
        let ranges = ranges_of_equal(&values, &sorted)?;
        let firsts: UInt32Array = ranges.iter().map(|range| sorted.value(range.start)).collect();
        let mut index = Self {
            rows: column.len(),
            present,
            values: take(&values, &firsts, None)?,
            starts: vec![0],
            listed: Vec::new(),
            frequent: Vec::new(),
        };
        for (value, range) in ranges.into_iter().enumerate() {
            let entries = sorted.values()[range].iter();
            let rows = entries.map(|entry| match &owners {
                Some(owners) => owners[*entry as usize],
                None => *entry,
            });
            index.push(value, rows);
        }
        Ok(index)
    }

    fn push(&mut self, value: usize, rows: impl ExactSizeIterator<Item = u32>) {
        if rows.len() * ROWS_PER_LISTED > self.rows {
            let mut bits = vec![0; bit_util::ceil(self.rows, 8)];
            rows.for_each(|row| bit_util::set_bit(&mut bits, row as usize));
            self.frequent.push((value, bits));
        } else {
            self.listed.extend(rows);
        }
        self.starts.push(self.listed.len() as u32);
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let bitmaps: usize = self.frequent.iter().map(|(_, bits)| bits.len()).sum();
        let lists = size_of_val(self.starts.as_slice()) + size_of_val(self.listed.as_slice());
        self.values.get_array_memory_size() + self.present.inner().len() + bitmaps + lists
    }

    /// Where there is a value, or an element, for which the check holds.
    pub(super) fn matching(&self, check: &Check) -> Result<BooleanBuffer, ArrowError> {
        if matches!(check, Check::Present) {
            return Ok(self.present.clone());
        }
        if let Some(range) = self.range(check)? {
            return Ok(self.rows_of(range));
        }
        let mut bits = vec![0; bit_util::ceil(self.rows, 8)];
        let wanted = values::matching(&self.values, check)?;
        wanted.set_slices().for_each(|(start, end)| self.add(start..end, &mut bits));
        Ok(BooleanBuffer::new(Buffer::from_vec(bits), 0, self.rows))
    }

    /// Where there is one of some values that stand side by side; none if the range ends before it
    /// begins.
    pub(super) fn rows_of(&self, range: Range<usize>) -> BooleanBuffer {
        let mut bits = vec![0; bit_util::ceil(self.rows, 8)];
        if !range.is_empty() {
            self.add(range, &mut bits);
        }
        BooleanBuffer::new(Buffer::from_vec(bits), 0, self.rows)
    }

    /// Adds the rows of some values that stand side by side.
    fn add(&self, range: Range<usize>, bits: &mut [u8]) {
        let listed = self.starts[range.start] as usize..self.starts[range.end] as usize;
        for row in &self.listed[listed] {
            bit_util::set_bit(bits, *row as usize);
        }
        let first = self.frequent.partition_point(|(value, _)| *value < range.start);
        for (_, rows) in self.frequent[first..].iter().take_while(|(value, _)| *value < range.end) {
            bits.iter_mut().zip(rows).for_each(|(bits, rows)| *bits |= rows);
        }
    }

    /// The values for which a comparison holds; nothing for checks of another sort.
    pub(super) fn range(&self, check: &Check) -> Result<Option<Range<usize>>, ArrowError> {
        let compare = match check {
            Check::Number(compare, _) | Check::Instant(compare, _) | Check::Text(compare, _) => {
                *compare
            }
            _ => return Ok(None),
        };
        // How many values come before the first for which it holds, or does not hold any more.
        let first = |compare| self.count_while(&with_compare(check, compare), false);
        let end = |compare| self.count_while(&with_compare(check, compare), true);
        let len = self.values.len();
        Ok(Some(match compare {
            Compare::Gt | Compare::Gte => first(compare)?..len,
            Compare::Lt | Compare::Lte => 0..end(compare)?,
            // A complement is taken by the caller. A value that the column cannot hold is between
            // two that it can.
            Compare::Eq | Compare::Ne => {
                let end = end(Compare::Lte)?;
                first(Compare::Gte)?.min(end)..end
            }
        }))
    }

    /// How many of the first values answer a check so; behind them all answer otherwise.
    fn count_while(&self, check: &Check, answer: bool) -> Result<usize, ArrowError> {
        let (mut low, mut high) = (0, self.values.len());
        while low < high {
            let middle = low.midpoint(high);
            let holds = values::matching(&self.values.slice(middle, 1), check)?;
            if holds.value(0) == answer { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }
}

fn with_compare(check: &Check, compare: Compare) -> Check {
    match check {
        Check::Number(_, number) => Check::Number(compare, *number),
        Check::Instant(_, instant) => Check::Instant(compare, *instant),
        Check::Text(_, text) => Check::Text(compare, text.clone()),
        check => check.clone(),
    }
}

impl Entries {
    fn of(column: &ArrayRef) -> Result<Self, ArrowError> {
        let Some(lists) = column.as_list_opt::<i32>() else {
            return Ok(Self { values: without_nan(column), rows: None });
        };
        let (elements, rows) = elements(lists);
        let values = take(lists.values(), &UInt32Array::from(elements), None)?;
        Ok(Self { values: without_nan(&values), rows: Some(rows) })
    }
}

/// The elements of lists that are there, and the row of each.
fn elements(lists: &ListArray) -> (Vec<u32>, Vec<u32>) {
    let offsets = lists.value_offsets();
    let rows = (0..lists.len()).filter(|row| lists.is_valid(*row));
    let elements = rows.flat_map(|row| {
        (offsets[row]..offsets[row + 1]).map(move |element| (element as u32, row as u32))
    });
    elements.unzip()
}

fn without_nan(values: &ArrayRef) -> ArrayRef {
    match values.as_primitive_opt::<Float64Type>() {
        Some(floats) if floats.values().iter().any(|value| value.is_nan()) => {
            let numbers = floats.iter().map(|value| value.filter(|value| !value.is_nan()));
            Arc::new(numbers.collect::<Float64Array>())
        }
        _ => Arc::clone(values),
    }
}

/// Where equal values stand among sorted ones.
fn ranges_of_equal(
    values: &ArrayRef,
    sorted: &UInt32Array,
) -> Result<Vec<Range<usize>>, ArrowError> {
    if sorted.is_empty() {
        return Ok(Vec::new());
    }
    Ok(partition(&[take(values, sorted, None)?])?.ranges())
}
