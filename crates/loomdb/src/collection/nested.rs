//! Metadata that are nested become fields with a dot in their names: `{"a": {"b": 1}}` is the field
//! `a.b`. A struct that is null has no value in any of its fields.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::nullif::nullif;
use serde_json::Value;

use super::metadata::Metadata;
use crate::limits::MAX_NAME_BYTES;
use crate::{Error, Result};

/// The names and types of the fields that a column becomes: itself, unless it is a struct.
pub(crate) fn fields_of(field: &Field) -> Vec<(String, DataType)> {
    let DataType::Struct(children) = field.data_type() else {
        return vec![(field.name().clone(), field.data_type().clone())];
    };
    let below = children.iter().flat_map(|child| fields_of(child));
    below.map(|(name, data_type)| (joined(field.name(), &name), data_type)).collect()
}

/// A table whose structs are columns for each of their fields.
pub(crate) fn flattened(table: &RecordBatch) -> Result<RecordBatch> {
    let schema = table.schema_ref();
    if !schema.fields().iter().any(|field| matches!(field.data_type(), DataType::Struct(_))) {
        return Ok(table.clone());
    }
    let mut flat = Flat::default();
    for (field, column) in schema.fields().iter().zip(table.columns()) {
        flat.push(field.name().clone(), column)?;
    }
    let Flat { fields, columns } = flat;
    let options = RecordBatchOptions::new().with_row_count(Some(table.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .map_err(|error| Error::invalid("the columns do not fit together").caused_by(error))
}

/// Columns that are no structs.
#[derive(Default)]
struct Flat {
    fields: Vec<Field>,
    columns: Vec<ArrayRef>,
}

impl Flat {
    fn push(&mut self, name: String, column: &ArrayRef) -> Result<()> {
        let Some(outer) = column.as_struct_opt() else {
            self.fields.push(Field::new(name, column.data_type().clone(), true));
            self.columns.push(Arc::clone(column));
            return Ok(());
        };
        let is_null = outer.nulls().map(|nulls| BooleanArray::from(!nulls.inner()));
        for (field, inner) in outer.fields().iter().zip(outer.columns()) {
            let inner = match &is_null {
                Some(is_null) if inner.data_type() != &DataType::Null => nullif(inner, is_null),
                _ => Ok(Arc::clone(inner)),
            };
            let what = "a struct cannot be taken apart";
            let inner = inner.map_err(|error| Error::invalid(what).caused_by(error))?;
            self.push(joined(&name, field.name()), &inner)?;
        }
        Ok(())
    }
}

/// Objects without objects in them.
pub(super) fn flattened_records(records: &[Metadata]) -> Result<Cow<'_, [Metadata]>> {
    let is_flat = |record: &Metadata| !record.values().any(Value::is_object);
    if records.iter().all(is_flat) {
        return Ok(Cow::Borrowed(records));
    }
    let mut flat = Vec::with_capacity(records.len());
    for (row, record) in records.iter().enumerate() {
        let mut fields = Metadata::new();
        add(record, "", &mut fields).map_err(|error| error.at_row(row))?;
        flat.push(fields);
    }
    Ok(Cow::Owned(flat))
}

fn add(record: &Metadata, outer: &str, to: &mut Metadata) -> Result<()> {
    for (name, value) in record {
        let name = if outer.is_empty() { name.clone() } else { joined(outer, name) };
        // Names grow with every level, so this bounds the depth too.
        if name.len() > MAX_NAME_BYTES {
            let what = format!("the name of a field has more than {MAX_NAME_BYTES} bytes");
            return Err(Error::invalid(what).advise("nest it less, or use shorter names"));
        }
        match value {
            Value::Object(inner) => add(inner, &name, to)?,
            value => {
                if to.insert(name.clone(), value.clone()).is_some() {
                    return Err(given_twice(&name));
                }
            }
        }
    }
    Ok(())
}

pub(super) fn given_twice(name: &str) -> Error {
    let what = format!("the field {name:?} is given twice");
    Error::invalid(what).advise("a nested value and a name with a dot are the same field")
}

fn joined(outer: &str, inner: &str) -> String {
    format!("{outer}.{inner}")
}
