//! Metadata from dictionaries: one column for each key, of the type of its values.
//!
//! A dictionary in a dictionary becomes columns with a dot in their names: `a.b`.
//!
//! A key that is missing and a value that is `None` are the same. Integers among floats become
//! floats; any other mixture is refused, with the row.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema};
use loomdb::MAX_NAME_BYTES;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::errors::exception;

/// A value that a field can hold.
enum Value {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    /// Microseconds since 1970 in UTC.
    Moment(i64),
    Texts(Vec<String>),
}

enum Column {
    Bool(BooleanBuilder),
    Integer(Int64Builder),
    Float(Float64Builder),
    Text(StringBuilder),
    Moment(TimestampMicrosecondBuilder),
    Texts(ListBuilder<StringBuilder>),
}

/// The table of a list of dictionaries.
pub fn from_python(records: &Bound<'_, PyList>) -> PyResult<RecordBatch> {
    let mut names = Vec::new();
    let mut columns: HashMap<String, Option<Column>> = HashMap::new();
    for (row, record) in records.iter().enumerate() {
        if record.is_none() {
            continue;
        }
        let Ok(record) = record.cast::<PyDict>() else {
            let class = record.get_type().name()?;
            let message = format!("row {row}: the metadata are a {class}, not a dict");
            return Err(exception("InvalidTypeError", &message));
        };
        let mut given = HashSet::new();
        each_field(row, record, "", &mut |name, value| {
            if !given.insert(name.to_owned()) {
                let what = "two values: a nested dict and a name with a dot are the same field";
                return Err(unfit(row, name, what));
            }
            if !columns.contains_key(name) {
                names.push(name.to_owned());
                columns.insert(name.to_owned(), None);
            }
            let Some(column) = columns.get_mut(name) else { return Ok(()) };
            if let Some(value) = value_of(value).map_err(|what| unfit(row, name, &what))? {
                push(column, row, value).map_err(|what| unfit(row, name, &what))?;
            }
            Ok(())
        })?;
    }
    table(records.len(), names, columns)
}

/// Visits the values of a dictionary; those of a dictionary in it have names with a dot.
pub fn each_field(
    row: usize,
    record: &Bound<'_, PyDict>,
    outer: &str,
    visit: &mut dyn FnMut(&str, &Bound<'_, PyAny>) -> PyResult<()>,
) -> PyResult<()> {
    for (name, value) in record {
        let Ok(name) = name.cast::<PyString>() else {
            let message = format!("row {row}: the key {} is not a str", name.repr()?);
            return Err(exception("InvalidTypeError", &message));
        };
        let name = if outer.is_empty() {
            name.to_str()?.to_owned()
        } else {
            format!("{outer}.{}", name.to_str()?)
        };
        // Names grow with every level, so this bounds the depth too.
        if name.len() > MAX_NAME_BYTES {
            let message = format!(
                "row {row}: the name of a field has more than {MAX_NAME_BYTES} \
                                   bytes; nest it less, or use shorter names"
            );
            return Err(exception("InvalidInputError", &message));
        }
        match value.cast::<PyDict>() {
            Ok(inner) => each_field(row, inner, &name, visit)?,
            Err(_) => visit(&name, &value)?,
        }
    }
    Ok(())
}

fn table(
    rows: usize,
    names: Vec<String>,
    mut columns: HashMap<String, Option<Column>>,
) -> PyResult<RecordBatch> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for name in names {
        // A field without any value has no type yet, and is left out.
        let Some(Some(column)) = columns.remove(&name) else { continue };
        let array = column.finish(rows);
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
        .map_err(|error| exception("InvalidInputError", &error.to_string()))
}

/// The values in a row of a table as a dictionary; nulls are left out.
pub fn to_python<'py>(
    py: Python<'py>,
    table: &RecordBatch,
    row: usize,
) -> PyResult<Bound<'py, PyDict>> {
    let record = PyDict::new(py);
    for (field, column) in table.schema_ref().fields().iter().zip(table.columns()) {
        if column.is_valid(row) {
            record.set_item(field.name(), value_at(py, column, row)?)?;
        }
    }
    Ok(record)
}

fn value_at<'py>(py: Python<'py>, column: &ArrayRef, row: usize) -> PyResult<Bound<'py, PyAny>> {
    Ok(match column.data_type() {
        DataType::Boolean => PyBool::new(py, column.as_boolean().value(row)).to_owned().into_any(),
        DataType::Int64 => {
            column.as_primitive::<Int64Type>().value(row).into_pyobject(py)?.into_any()
        }
        DataType::Float64 => {
            PyFloat::new(py, column.as_primitive::<Float64Type>().value(row)).into_any()
        }
        DataType::Utf8 => PyString::new(py, column.as_string::<i32>().value(row)).into_any(),
        DataType::Timestamp(_, _) => {
            static MOMENT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            MOMENT.import(py, "loomdb._values", "moment")?.call1((micros,))?
        }
        _ => {
            let list = column.as_list::<i32>().value(row);
            let texts: Vec<Option<&str>> = list.as_string::<i32>().iter().collect();
            PyList::new(py, texts)?.into_any()
        }
    })
}

fn unfit(row: usize, name: &str, what: &str) -> PyErr {
    exception("InvalidInputError", &format!("row {row}: the metadata field {name:?} holds {what}"))
}

/// A value, nothing for `None`, or what is wrong with it.
fn value_of(value: &Bound<'_, PyAny>) -> Result<Option<Value>, String> {
    if value.is_none() {
        return Ok(None);
    }
    if let Some(found) = simple(value)? {
        return Ok(Some(found));
    }
    let plain = plain(value).map_err(|error| error.value(value.py()).to_string())?;
    if plain.is_none() {
        return Ok(None);
    }
    if let Ok(Some(micros)) = plain.getattr_opt("micros") {
        let micros = micros.extract().map_err(|_| "a date out of range".to_owned())?;
        return Ok(Some(Value::Moment(micros)));
    }
    simple(&plain)?.map_or_else(|| Err(described(value)), |value| Ok(Some(value)))
}

fn simple(value: &Bound<'_, PyAny>) -> Result<Option<Value>, String> {
    if let Ok(text) = value.cast_exact::<PyString>() {
        return Ok(Some(Value::Text(text_of(text)?)));
    }
    if let Ok(bool) = value.cast_exact::<PyBool>() {
        return Ok(Some(Value::Bool(bool.is_true())));
    }
    if value.is_exact_instance_of::<PyInt>() {
        let too_large = |_| format!("{value}, which has more than 64 bits");
        return value.extract().map(|integer| Some(Value::Integer(integer))).map_err(too_large);
    }
    if let Ok(float) = value.cast_exact::<PyFloat>() {
        return Ok(Some(Value::Float(float.value())));
    }
    let items: Vec<Bound<'_, PyAny>> = if let Ok(list) = value.cast_exact::<PyList>() {
        list.iter().collect()
    } else if let Ok(tuple) = value.cast_exact::<PyTuple>() {
        tuple.iter().collect()
    } else {
        return Ok(None);
    };
    let text = |item: &Bound<'_, PyAny>| match item.cast::<PyString>() {
        Ok(text) => text_of(text),
        Err(_) => Err(format!("a list with {}", described(item))),
    };
    Ok(Some(Value::Texts(items.iter().map(text).collect::<Result<_, _>>()?)))
}

fn text_of(text: &Bound<'_, PyString>) -> Result<String, String> {
    text.to_str().map(str::to_owned).map_err(|_| "text that is not Unicode".to_owned())
}

fn described(value: &Bound<'_, PyAny>) -> String {
    let class = value.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
    format!("a {class}; values are bools, numbers, strings, dates or lists of strings")
}

/// What stands for a value of another class, as `loomdb._values.plain` says.
fn plain<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static PLAIN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    PLAIN.import(value.py(), "loomdb._values", "plain")?.call1((value,))
}

fn push(column: &mut Option<Column>, row: usize, value: Value) -> Result<(), String> {
    let column = column.get_or_insert_with(|| Column::of(&value));
    if let (Column::Integer(integers), Value::Float(_)) = (&mut *column, &value) {
        *column = Column::Float(widened(integers)?);
    }
    column.pad(row);
    match (column, value) {
        (Column::Bool(column), Value::Bool(value)) => column.append_value(value),
        (Column::Integer(column), Value::Integer(value)) => column.append_value(value),
        (Column::Float(column), Value::Float(value)) => column.append_value(value),
        (Column::Float(column), Value::Integer(value)) => column.append_value(exact(value)?),
        (Column::Text(column), Value::Text(value)) => column.append_value(value),
        (Column::Moment(column), Value::Moment(value)) => column.append_value(value),
        (Column::Texts(column), Value::Texts(values)) => {
            column.append_value(values.iter().map(Some));
        }
        // A field of lists takes a list without elements, and so does any other as nothing.
        (column, value) => {
            let (given, before) = (value.name(), column.name());
            return Err(format!("{given}, and {before} in a row before; give it one type"));
        }
    }
    Ok(())
}

/// An integer as a float, if it is one.
fn exact(value: i64) -> Result<f64, String> {
    if value.unsigned_abs() > 1 << 53 {
        return Err(format!("{value} among floats, which is not exact as one"));
    }
    Ok(value as f64)
}

fn widened(integers: &mut Int64Builder) -> Result<Float64Builder, String> {
    let mut floats = Float64Builder::new();
    for value in &integers.finish() {
        floats.append_option(value.map(exact).transpose()?);
    }
    Ok(floats)
}

impl Value {
    fn name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a bool",
            Self::Integer(_) => "an int",
            Self::Float(_) => "a float",
            Self::Text(_) => "a str",
            Self::Moment(_) => "a date",
            Self::Texts(_) => "a list",
        }
    }
}

impl Column {
    fn of(value: &Value) -> Self {
        match value {
            Value::Bool(_) => Self::Bool(BooleanBuilder::new()),
            Value::Integer(_) => Self::Integer(Int64Builder::new()),
            Value::Float(_) => Self::Float(Float64Builder::new()),
            Value::Text(_) => Self::Text(StringBuilder::new()),
            Value::Moment(_) => {
                Self::Moment(TimestampMicrosecondBuilder::new().with_timezone("UTC"))
            }
            Value::Texts(_) => Self::Texts(ListBuilder::new(StringBuilder::new())),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a bool",
            Self::Integer(_) => "an int",
            Self::Float(_) => "a float",
            Self::Text(_) => "a str",
            Self::Moment(_) => "a date",
            Self::Texts(_) => "a list",
        }
    }

    /// Nulls for the rows that had no value, so that the next value is that of `row`.
    fn pad(&mut self, row: usize) {
        match self {
            Self::Bool(column) => column.append_nulls(row - column.len()),
            Self::Integer(column) => column.append_nulls(row - column.len()),
            Self::Float(column) => column.append_nulls(row - column.len()),
            Self::Text(column) => {
                (column.len()..row).for_each(|_| column.append_null());
            }
            Self::Moment(column) => column.append_nulls(row - column.len()),
            Self::Texts(column) => {
                (column.len()..row).for_each(|_| column.append_null());
            }
        }
    }

    fn finish(mut self, rows: usize) -> ArrayRef {
        self.pad(rows);
        match self {
            Self::Bool(mut column) => Arc::new(column.finish()),
            Self::Integer(mut column) => Arc::new(column.finish()),
            Self::Float(mut column) => Arc::new(column.finish()),
            Self::Text(mut column) => Arc::new(column.finish()),
            Self::Moment(mut column) => Arc::new(column.finish()),
            Self::Texts(mut column) => Arc::new(column.finish()),
        }
    }
}
