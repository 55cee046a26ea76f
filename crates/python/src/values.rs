//! Vectors out of arrays, filters out of text, and metadata into dictionaries.

use loomdb::Filter;
use loomdb_graph::Vectors;
use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use serde_json::Value;

use crate::errors::{raise, raise_graph};

/// Rows of `float32`, as the Python half prepares them.
pub type Rows<'py> = PyReadonlyArray2<'py, f32>;

/// The values of one query. They are copied, so that no other thread changes them meanwhile.
pub fn query(given: &PyReadonlyArray1<'_, f32>) -> Vec<f32> {
    given.as_array().to_vec()
}

/// Whether an array can be read in place.
pub fn flat<'a>(rows: &'a Rows<'_>) -> PyResult<(usize, &'a [f32])> {
    Ok((rows.shape()[1], rows.as_slice()?))
}

/// A table of rows, copied while other threads run.
pub fn vectors(py: Python<'_>, rows: &Rows<'_>) -> PyResult<Vectors> {
    let (dim, values) = flat(rows)?;
    py.detach(|| Vectors::from_flat(dim, values)).map_err(raise_graph)
}

/// A filter in JSON.
pub fn filter(text: Option<&str>) -> PyResult<Option<Filter>> {
    text.map(|text| text.parse().map_err(|error| raise(&error))).transpose()
}

/// A value of JSON as Python has it.
pub fn plain<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(value) => value.into_pyobject(py)?.to_owned().into_any(),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(integer), _, _) => integer.into_pyobject(py)?.into_any(),
            (_, Some(integer), _) => integer.into_pyobject(py)?.into_any(),
            (_, _, float) => float.into_pyobject(py)?.into_any(),
        },
        Value::String(text) => text.into_pyobject(py)?.into_any(),
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(plain(py, item)?)?;
            }
            list.into_any()
        }
        Value::Object(object) => {
            let dict = PyDict::new(py);
            for (name, value) in object {
                dict.set_item(name, plain(py, value)?)?;
            }
            dict.into_any()
        }
    })
}
