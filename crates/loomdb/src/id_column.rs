//! Ids out of Arrow columns, for our own files and for imported ones.

use std::fmt::Display;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{AnyDictionaryArray, Array};
use arrow_schema::DataType;
use arrow_select::take::{TakeOptions, take};

use crate::{Error, Ids, Result};

/// Whether a column of this type can hold ids.
pub(crate) fn is_supported(data_type: &DataType) -> bool {
    let data_type = match data_type {
        DataType::Dictionary(_, values) => values,
        plain => plain,
    };
    let is_text = matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    is_text || data_type.is_integer()
}

/// Appends the ids of a column to those of earlier rows.
pub(crate) fn append(ids: &mut Option<Ids>, column: &dyn Array) -> Result<()> {
    let first_row = ids.as_ref().map_or(0, Ids::len);
    let nulls = column.logical_nulls();
    let null = nulls.and_then(|nulls| (0..column.len()).find(|index| nulls.is_null(*index)));
    if let Some(index) = null {
        return Err(Error::invalid("the id is null").at_row(first_row + index));
    }
    match column.as_any_dictionary_opt() {
        Some(_) if column.is_empty() => Ok(()),
        Some(dictionary) => append_looked_up(ids, dictionary),
        None => append_plain(ids, column),
    }
}

/// Appends what the keys of a dictionary stand for.
///
/// Equal keys are equal ids, so nothing behind the first of them is looked up: a small file of
/// many keys for a long text cannot take more memory than the file has bytes.
fn append_looked_up(ids: &mut Option<Ids>, column: &dyn AnyDictionaryArray) -> Result<()> {
    let repeated = first_repeated(&column.normalized_keys(), column.values().len());
    let keys = column.keys().slice(0, repeated.map_or(column.len(), |row| row + 1));
    let options = Some(TakeOptions { check_bounds: true });
    let looked_up = take(column.values(), &keys, options).map_err(|error| {
        Error::corrupted("the ids contradict their dictionary").caused_by(error)
    })?;
    append_plain(ids, &looked_up)?;
    match (repeated, ids) {
        (Some(_), Some(ids)) => ids.validate(),
        _ => Ok(()),
    }
}

/// The first row whose key stands in an earlier row.
fn first_repeated(keys: &[usize], values: usize) -> Option<usize> {
    let mut is_met = vec![false; values];
    keys.iter()
        .position(|key| is_met.get_mut(*key).is_some_and(|is_met| std::mem::replace(is_met, true)))
}

fn append_plain(ids: &mut Option<Ids>, column: &dyn Array) -> Result<()> {
    if column.data_type().is_integer() {
        match ids.get_or_insert(Ids::Integer(Vec::new())) {
            Ids::Integer(ids) => append_integers(ids, column),
            Ids::Text(_) => Err(Error::corrupted("the type of the ids changes")),
        }
    } else {
        match ids.get_or_insert(Ids::Text(Vec::new())) {
            Ids::Text(ids) => append_texts(ids, column),
            Ids::Integer(_) => Err(Error::corrupted("the type of the ids changes")),
        }
    }
}

fn append_integers(ids: &mut Vec<u64>, column: &dyn Array) -> Result<()> {
    match column.data_type() {
        DataType::UInt64 => append_primitive::<UInt64Type>(ids, column),
        DataType::UInt32 => append_primitive::<UInt32Type>(ids, column),
        DataType::UInt16 => append_primitive::<UInt16Type>(ids, column),
        DataType::UInt8 => append_primitive::<UInt8Type>(ids, column),
        DataType::Int64 => append_primitive::<Int64Type>(ids, column),
        DataType::Int32 => append_primitive::<Int32Type>(ids, column),
        DataType::Int16 => append_primitive::<Int16Type>(ids, column),
        _ => append_primitive::<Int8Type>(ids, column),
    }
}

fn append_primitive<T: ArrowPrimitiveType>(ids: &mut Vec<u64>, column: &dyn Array) -> Result<()>
where
    T::Native: TryInto<u64> + Display,
{
    for value in column.as_primitive::<T>().values() {
        let id = (*value)
            .try_into()
            .map_err(|_| Error::invalid(format!("the id {value} is negative")).at_row(ids.len()))?;
        ids.push(id);
    }
    Ok(())
}

fn append_texts(ids: &mut Vec<String>, column: &dyn Array) -> Result<()> {
    match column.data_type() {
        DataType::Utf8 => extend(ids, column.as_string::<i32>().iter()),
        DataType::LargeUtf8 => extend(ids, column.as_string::<i64>().iter()),
        DataType::Utf8View => extend(ids, column.as_string_view().iter()),
        other => return Err(Error::invalid(format!("a column of {other} cannot hold ids"))),
    }
    Ok(())
}

fn extend<'a>(ids: &mut Vec<String>, texts: impl Iterator<Item = Option<&'a str>>) {
    ids.extend(texts.flatten().map(str::to_owned));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        Array, ArrayRef, DictionaryArray, Float32Array, Int8Array, Int64Array, LargeStringArray,
        StringArray, StringViewArray, UInt8Array, UInt64Array,
    };

    use super::{append, is_supported};
    use crate::Ids;

    #[test]
    fn columns_of_all_sorts_join() {
        let columns: [ArrayRef; 3] = [
            Arc::new(UInt64Array::from(vec![u64::MAX])),
            Arc::new(Int8Array::from(vec![7])),
            Arc::new(Int64Array::from(vec![3, 4])),
        ];
        let mut ids = None;
        for column in &columns {
            append(&mut ids, column).unwrap();
        }
        assert_eq!(ids, Some(Ids::from(vec![u64::MAX, 7, 3, 4])));
        let columns: [ArrayRef; 3] = [
            Arc::new(StringArray::from(vec!["a"])),
            Arc::new(LargeStringArray::from(vec!["b", ""])),
            Arc::new(StringViewArray::from(vec!["a text that is not kept in the view"])),
        ];
        let mut ids = None;
        for column in &columns {
            append(&mut ids, column).unwrap();
        }
        let expected = ["a", "b", "", "a text that is not kept in the view"];
        assert_eq!(ids, Some(Ids::Text(expected.map(str::to_owned).to_vec())));
    }

    #[test]
    fn a_dictionary_stands_for_its_values() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), None, Some("a")]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![-1, 30, 10]));
        let column = |keys: Vec<Option<u8>>, values: &ArrayRef| {
            DictionaryArray::new(UInt8Array::from(keys), Arc::clone(values))
        };
        // What no key stands for is not looked at.
        let whole = column(vec![Some(2), Some(0)], &texts);
        assert!(is_supported(whole.data_type()));
        let mut ids = None;
        append(&mut ids, &whole.slice(0, 0)).unwrap();
        append(&mut ids, &whole.slice(1, 1)).unwrap();
        append(&mut ids, &whole.slice(0, 1)).unwrap();
        assert_eq!(ids, Some(Ids::Text(vec!["b".to_owned(), "a".to_owned()])));
        let mut ids = Some(Ids::from(vec![5]));
        append(&mut ids, &column(vec![Some(1), Some(2)], &numbers)).unwrap();
        assert_eq!(ids, Some(Ids::from(vec![5, 30, 10])));
        for (keys, values, message) in [
            (vec![Some(0), Some(1)], &texts, "row 1: the id is null"),
            (vec![Some(0), None], &numbers, "row 1: the id is null"),
            (vec![Some(2), Some(0)], &numbers, "row 1: the id -1 is negative"),
            (
                vec![Some(2), Some(1), Some(2), Some(0)],
                &numbers,
                "row 2: row 0 has the same id: 10",
            ),
        ] {
            let error = append(&mut None, &column(keys, values)).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
        let none: ArrayRef = Arc::new(StringArray::from(Vec::<&str>::new()));
        assert!(append(&mut None, &column(vec![None], &none)).is_err(), "no values at all");
        let floats: ArrayRef = Arc::new(Float32Array::from(vec![1.0]));
        assert!(!is_supported(column(vec![Some(0)], &floats).data_type()));
    }

    #[test]
    fn bad_ids_are_named_by_their_row_in_the_file() {
        let mut ids = Some(Ids::from(vec![1, 2]));
        let error = append(&mut ids, &Int64Array::from(vec![5, -6])).unwrap_err();
        assert_eq!(error.to_string(), "row 3: the id -6 is negative");
        let mut ids = Some(Ids::from(vec![1, 2]));
        let error = append(&mut ids, &Int64Array::from(vec![Some(5), None])).unwrap_err();
        assert_eq!(error.to_string(), "row 3: the id is null");
        let text = StringArray::from(vec!["a"]);
        assert!(append(&mut ids, &text).is_err(), "texts behind integers");
        let float = Float32Array::from(vec![1.0]);
        assert!(append(&mut None, &float).is_err() && !is_supported(float.data_type()));
    }
}
