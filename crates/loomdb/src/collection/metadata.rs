//! Metadata as people write and read it: one JSON object for each point.
//!
//! Objects become columns, one for each key, whose type is that of its values: bool, integer,
//! float (integers among floats count as floats), text, or list of texts. A missing key is null,
//! and an object in an object becomes columns with a dot in their names ([`super::nested`]).
//! On the way out nulls are left out, and timestamps are texts as in RFC 3339.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions,
    StringArray,
};
use arrow_schema::{DataType, Field, Schema};
use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value};

use super::nested::flattened_records;
use crate::{Error, Result};

/// The metadata of a point.
pub type Metadata = Map<String, Value>;

/// The table of some objects.
pub(super) fn from_records(records: &[Metadata]) -> Result<RecordBatch> {
    let records = &*flattened_records(records)?;
    let mut names: Vec<&str> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for name in records.iter().flat_map(Metadata::keys) {
        if seen.insert(name.as_str()) {
            names.push(name);
        }
    }
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for name in names {
        let values: Vec<&Value> =
            records.iter().map(|record| record.get(name).unwrap_or(&Value::Null)).collect();
        if let Some(column) = column(name, &values)? {
            fields.push(Field::new(name, column.data_type().clone(), true));
            columns.push(column);
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(records.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .map_err(|error| Error::invalid("the metadata contradict each other").caused_by(error))
}

/// The sorts of values, of which a column has one.
#[derive(Clone, Copy, PartialEq)]
enum Sort {
    Bool,
    Integer,
    Float,
    Text,
    Texts,
}

fn column(name: &str, values: &[&Value]) -> Result<Option<ArrayRef>> {
    let mut sort = None;
    for (row, value) in values.iter().enumerate() {
        let found = sort_of(name, value).map_err(|error| error.at_row(row))?;
        sort = match (sort, found) {
            (None, found) | (found, None) => found,
            (Some(Sort::Integer), Some(Sort::Float)) | (Some(Sort::Float), Some(Sort::Integer)) => {
                Some(Sort::Float)
            }
            (Some(one), Some(other)) if one == other => sort,
            _ => {
                let what = format!("the field {name:?} holds values of different types");
                return Err(Error::invalid(what).at_row(row).advise("give it one type"));
            }
        };
    }
    let Some(sort) = sort else { return Ok(None) };
    Ok(Some(match sort {
        Sort::Bool => {
            Arc::new(values.iter().map(|value| value.as_bool()).collect::<BooleanArray>())
        }
        Sort::Integer => {
            Arc::new(values.iter().map(|value| value.as_i64()).collect::<Int64Array>())
        }
        Sort::Float => {
            Arc::new(values.iter().map(|value| value.as_f64()).collect::<Float64Array>())
        }
        Sort::Text => Arc::new(values.iter().map(|value| value.as_str()).collect::<StringArray>()),
        Sort::Texts => lists(values),
    }))
}

fn sort_of(name: &str, value: &Value) -> Result<Option<Sort>> {
    let unfit = |what: &str| {
        let error = Error::invalid(format!("the field {name:?} holds {what}"));
        Err(error.advise("values are bools, numbers, texts or lists of texts"))
    };
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::Bool(_) => Sort::Bool,
        Value::Number(number) if number.is_i64() => Sort::Integer,
        Value::Number(number) if number.is_u64() => return unfit("a number above 2^63 - 1"),
        Value::Number(_) => Sort::Float,
        Value::String(_) => Sort::Text,
        Value::Array(items) if items.iter().all(Value::is_string) => Sort::Texts,
        Value::Array(_) => return unfit("a list of other things than texts"),
        Value::Object(_) => return unfit("an object"),
    }))
}

fn lists(values: &[&Value]) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for value in values {
        match value.as_array() {
            None => builder.append_null(),
            Some(items) => builder.append_value(items.iter().map(Value::as_str)),
        }
    }
    Arc::new(builder.finish())
}

/// The metadata in a row of a table: every column but the ids.
pub(super) fn to_record(table: &RecordBatch, row: usize) -> Metadata {
    let schema = table.schema_ref();
    let columns = schema.fields().iter().zip(table.columns());
    let columns =
        columns.filter(|(field, column)| field.name() != super::fields::ID && !column.is_null(row));
    columns.map(|(field, column)| (field.name().clone(), value_at(column, row))).collect()
}

fn value_at(column: &ArrayRef, row: usize) -> Value {
    match column.data_type() {
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::Timestamp(_, _) => {
            moment(column.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>().value(row);
            list.as_string::<i32>().iter().map(Value::from).collect()
        }
        _ => Value::Null,
    }
}

/// A moment as in RFC 3339, with as many digits as it needs; [`super::fields`] lets in no year that
/// this cannot write, so what a foreign file may hold beyond them stays a number.
fn moment(micros: i64) -> Value {
    let moment = DateTime::from_timestamp_micros(micros);
    moment
        .map_or(micros.into(), |moment| moment.to_rfc3339_opts(SecondsFormat::AutoSi, true).into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Metadata, from_records, moment, to_record};

    fn records(values: &Value) -> Vec<Metadata> {
        serde_json::from_value(values.clone()).unwrap()
    }

    #[test]
    fn records_come_back_without_their_nulls() {
        let given = records(&json!([
            {"flag": true, "year": 7, "tags": ["a", "b"], "none": null},
            {},
            {"text": "x", "ratio": 2, "tags": []},
            {"ratio": 0.5, "year": -9},
        ]));
        let table = from_records(&given).unwrap();
        let found: Vec<_> = (0..4).map(|row| to_record(&table, row)).collect();
        let expected = records(&json!([
            {"flag": true, "year": 7, "tags": ["a", "b"]},
            {},
            {"text": "x", "ratio": 2.0, "tags": []},
            {"ratio": 0.5, "year": -9},
        ]));
        assert_eq!(found, expected);
    }

    #[test]
    fn values_of_no_type_or_of_two_are_refused_with_their_row() {
        for (values, row) in [
            (json!([{"a": 1}, {"a": "x"}]), 1),
            (json!([{}, {"a": [{"b": 1}]}]), 1),
            (json!([{}, {"a": [1]}]), 1),
            (json!([{"a": u64::MAX}]), 0),
        ] {
            let error = from_records(&records(&values)).unwrap_err();
            assert_eq!(error.row(), Some(row), "{values}: {error}");
            assert!(error.to_string().contains("\"a\""), "{error}");
        }
    }

    #[test]
    fn nested_objects_become_fields_with_a_dot() {
        let given = records(&json!([
            {"a": {"b": 1, "c": {"d": "x"}}, "e": {}},
            {"a": {"b": null}},
            {"a": null, "a.c.d": "y"},
        ]));
        let table = from_records(&given).unwrap();
        let found: Vec<_> = (0..3).map(|row| to_record(&table, row)).collect();
        let expected = records(&json!([{"a.b": 1, "a.c.d": "x"}, {}, {"a.c.d": "y"}]));
        assert_eq!(found, expected);
        for (values, what) in [
            (json!([{}, {"a.b": 1, "a": {"b": 2}}]), "\"a.b\" is given twice"),
            (json!([{}, {"a": {"b".repeat(255): 1}}]), "more than 256 bytes"),
        ] {
            let error = from_records(&records(&values)).unwrap_err();
            assert!(error.row() == Some(1) && error.to_string().contains(what), "{error}");
        }
    }

    #[test]
    fn moments_are_dates() {
        // Known from `date -u -d @SECONDS`.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_460_645, "2026-11-23T19:04:05Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (-2_208_988_800, "1900-01-01T00:00:00Z"),
            (-62_167_219_200, "0000-01-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(moment(seconds * 1_000_000), text);
        }
        assert_eq!(moment(1), "1970-01-01T00:00:00.000001Z");
        assert_eq!(moment(-1_000), "1969-12-31T23:59:59.999Z");
        assert_eq!(moment(i64::MAX), i64::MAX);
    }
}
