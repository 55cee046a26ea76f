//! Tables of other libraries, through the C interface of Arrow, which copies nothing.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::ffi_stream::RecordBatchStreamReader;
use arrow_array::{
    ArrayRef, RecordBatch, RecordBatchIterator, RecordBatchOptions, RecordBatchReader,
    new_null_array,
};
use arrow_pyarrow::FromPyArrow;
use arrow_schema::{ArrowError, Field, Schema};
use loomdb::Ids;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::errors::{exception, raise};
use crate::records;

/// The names of the columns of the vectors and the ids, where they were given.
pub type Names = (Option<String>, Option<String>);

/// What has the batches of a table.
pub type Reader = Box<dyn RecordBatchReader + Send>;

/// Metadata: a list of dictionaries, or a table.
pub fn metadata(given: &Bound<'_, PyAny>) -> PyResult<RecordBatch> {
    match given.cast::<PyList>() {
        Ok(list) => records::from_python(list),
        Err(_) => read(given),
    }
}

/// A table of points.
pub fn of_points(given: &Bound<'_, PyAny>, names: &Names) -> PyResult<RecordBatch> {
    named(read(given)?, names)
}

/// A table whose columns of the vectors and the ids have the names that are looked for.
pub fn named(mut table: RecordBatch, (vector_column, id_column): &Names) -> PyResult<RecordBatch> {
    if let Some(name) = vector_column {
        table = renamed(table, name, "vector")?;
    }
    if let Some(name) = id_column {
        table = renamed(table, name, "id")?;
    }
    Ok(table)
}

/// The metadata of an update: a table with a column for every key, and the keys of each row.
pub fn changes(
    collection: &loomdb::Collection,
    given: &Bound<'_, PyList>,
) -> PyResult<(RecordBatch, Vec<HashSet<String>>)> {
    let table = records::from_python(given)?;
    let mut keys: Vec<HashSet<String>> = Vec::with_capacity(given.len());
    for (row, record) in given.iter().enumerate() {
        let mut names = HashSet::new();
        records::each_field(row, record.cast()?, "", &mut |name, _| {
            names.insert(name.to_owned());
            Ok(())
        })?;
        keys.push(names);
    }
    let stored = collection.find(&Ids::Integer(Vec::new()));
    let stored = stored.or_else(|_| collection.find(&Ids::Text(Vec::new())));
    let stored = stored.and_then(|found| found.points.metadata()).map_err(|error| raise(&error))?;
    let mut fields: Vec<Arc<Field>> = table.schema().fields().iter().cloned().collect();
    let mut columns: Vec<ArrayRef> = table.columns().to_vec();
    // A field that is nothing but `None` has no type of its own.
    for field in stored.schema().fields() {
        let is_given = keys.iter().any(|keys| keys.contains(field.name()));
        if is_given && table.column_by_name(field.name()).is_none() {
            fields.push(Arc::clone(field));
            columns.push(new_null_array(field.data_type(), table.num_rows()));
        }
    }
    Ok((table_of(fields, columns, table.num_rows())?, keys))
}

/// The batches of an object with an Arrow stream or array.
pub fn reader(given: &Bound<'_, PyAny>) -> PyResult<Reader> {
    if given.hasattr("__arrow_c_stream__")? {
        let reader = RecordBatchStreamReader::from_pyarrow_bound(given);
        return Ok(Box::new(reader.map_err(|error| unreadable(given, &error))?));
    }
    let batch =
        RecordBatch::from_pyarrow_bound(given).map_err(|error| unreadable(given, &error))?;
    let schema = batch.schema();
    Ok(Box::new(RecordBatchIterator::new([Ok(batch)], schema)))
}

/// Everything that an object with an Arrow stream or array has.
fn read(given: &Bound<'_, PyAny>) -> PyResult<RecordBatch> {
    let reader = reader(given)?;
    let schema = reader.schema();
    // Producers that need Python ask for it, perhaps on threads of their own.
    let batches = given.py().detach(|| reader.collect::<Result<Vec<_>, _>>());
    let batches = batches.map_err(|error| invalid(&error))?;
    match batches.as_slice() {
        [batch] => Ok(batch.clone()),
        batches => {
            arrow_select::concat::concat_batches(&schema, batches).map_err(|error| invalid(&error))
        }
    }
}

fn renamed(table: RecordBatch, name: &str, new_name: &str) -> PyResult<RecordBatch> {
    let schema = table.schema();
    if schema.column_with_name(name).is_none() {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let message = format!("there is no column {name:?}; the columns are {}", names.join(", "));
        return Err(exception("NotFoundError", &message));
    }
    let field = |field: &Arc<Field>| match field.name().as_str() {
        own if own == name => Arc::new(Field::clone(field).with_name(new_name)),
        _ => Arc::clone(field),
    };
    let fields = schema.fields().iter().map(field).collect();
    table_of(fields, table.columns().to_vec(), table.num_rows())
}

fn table_of(fields: Vec<Arc<Field>>, columns: Vec<ArrayRef>, rows: usize) -> PyResult<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .map_err(|error| invalid(&error))
}

pub fn invalid(error: &ArrowError) -> PyErr {
    exception("InvalidInputError", &format!("the table cannot be read: {error}"))
}

fn unreadable(given: &Bound<'_, PyAny>, error: &PyErr) -> PyErr {
    let class = given.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
    let message = format!("a {class} cannot be read as a table: {error}");
    exception("InvalidTypeError", &message)
}
