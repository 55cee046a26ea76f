//! Checks of columns of lists: a list matches if any of its elements does.

use arrow_array::cast::AsArray;
use arrow_array::{Array, GenericListArray, OffsetSizeTrait};
use arrow_buffer::BooleanBuffer;
use arrow_schema::ArrowError;

use super::bind::Check;
use super::values;

pub(super) fn any_element(array: &dyn Array, check: &Check) -> Result<BooleanBuffer, ArrowError> {
    if let Some(lists) = array.as_list_opt::<i32>() {
        any(lists, check)
    } else if let Some(lists) = array.as_list_opt::<i64>() {
        any(lists, check)
    } else {
        Err(values::unsupported(array))
    }
}

/// All elements are checked at once, then the bits of each list are gathered.
fn any<O: OffsetSizeTrait>(
    lists: &GenericListArray<O>,
    check: &Check,
) -> Result<BooleanBuffer, ArrowError> {
    let offsets = lists.value_offsets();
    let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else {
        return Ok(BooleanBuffer::new_unset(lists.len()));
    };
    // A slice of a column shares the elements of the whole; only its own are looked at.
    let (first, last) = (first.as_usize(), last.as_usize());
    let elements = values::matching(&lists.values().slice(first, last - first), check)?;
    let has_match = |row: usize| {
        let range = offsets[row].as_usize() - first..offsets[row + 1].as_usize() - first;
        range.into_iter().any(|element| elements.value(element))
    };
    Ok(values::known(BooleanBuffer::collect_bool(lists.len(), has_match), lists.nulls()))
}
