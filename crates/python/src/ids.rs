//! Ids between Python and the library: integers and texts, one by one or as arrays.

use loomdb::{Id, Ids};
use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyList, PyString};

use crate::errors::exception;

/// The ids in a list or in a one-dimensional array of integers.
pub fn from_python(given: &Bound<'_, PyAny>) -> PyResult<Ids> {
    if let Ok(array) = given.extract::<PyReadonlyArray1<'_, u64>>() {
        return Ok(Ids::Integer(array.as_array().to_vec()));
    }
    if let Ok(array) = given.extract::<PyReadonlyArray1<'_, i64>>() {
        let array = array.as_array();
        let checked = array.iter().enumerate().map(|(row, id)| positive(row, *id));
        return Ok(Ids::Integer(checked.collect::<PyResult<_>>()?));
    }
    let given: &Bound<'_, PyList> = given.cast()?;
    let first = given.get_item(0).ok();
    let first = first.map(|first| one(0, &first)).transpose()?;
    let is_text = matches!(first, Some(Id::Text(_)));
    if is_text {
        let texts = given.iter().enumerate().map(|(row, id)| match one(row, &id)? {
            Id::Text(text) => Ok(text),
            Id::Integer(_) => Err(mixed(row)),
        });
        return Ok(Ids::Text(texts.collect::<PyResult<_>>()?));
    }
    let integers = given.iter().enumerate().map(|(row, id)| match one(row, &id)? {
        Id::Integer(integer) => Ok(integer),
        Id::Text(_) => Err(mixed(row)),
    });
    Ok(Ids::Integer(integers.collect::<PyResult<_>>()?))
}

/// One id; `row` is its place, for the message.
pub fn one(row: usize, id: &Bound<'_, PyAny>) -> PyResult<Id> {
    if let Ok(text) = id.cast::<PyString>() {
        return Ok(Id::Text(text.to_str()?.to_owned()));
    }
    let class = id.get_type().name()?;
    if class == "UUID" {
        return Ok(Id::Text(id.str()?.to_str()?.to_owned()));
    }
    // Integers of NumPy are no `int`, but have its index.
    if id.is_instance_of::<PyBool>() || !id.hasattr("__index__")? {
        let message = format!("row {row}: the id is a {class}; ids are integers or strings");
        return Err(exception("InvalidTypeError", &message));
    }
    id.extract().map(Id::Integer).map_err(|_| {
        let message = format!("row {row}: the id {id} is out of range; ids are 0 to 2^64 - 1");
        exception("InvalidInputError", &message)
    })
}

fn positive(row: usize, id: i64) -> PyResult<u64> {
    u64::try_from(id).map_err(|_| {
        let message = format!("row {row}: the id {id} is negative; ids are 0 to 2^64 - 1");
        exception("InvalidInputError", &message)
    })
}

fn mixed(row: usize) -> PyErr {
    let message = format!(
        "row {row}: integers and strings are mixed; a collection has ids of one of the two"
    );
    exception("InvalidInputError", &message)
}

/// An `int` or a `str`.
pub fn id_to_python<'py>(py: Python<'py>, id: &Id) -> PyResult<Bound<'py, PyAny>> {
    Ok(match id {
        Id::Integer(id) => id.into_pyobject(py)?.into_any(),
        Id::Text(id) => id.into_pyobject(py)?.into_any(),
    })
}

/// An array of `uint64`, or a list of `str`.
pub fn to_python<'py>(py: Python<'py>, ids: &Ids) -> PyResult<Bound<'py, PyAny>> {
    Ok(match ids {
        Ids::Integer(ids) => PyArray1::from_slice(py, ids).into_any(),
        Ids::Text(ids) => PyList::new(py, ids)?.into_any(),
    })
}
