//! Errors of the library as exceptions of `loomdb.errors`.
//!
//! The classes are written in Python, because some have several bases, which an extension cannot
//! give them.

use loomdb::ErrorKind;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyModule;

/// The exception for an error of the library.
pub fn raise(error: &loomdb::Error) -> PyErr {
    let class = class_of(error);
    let made = Python::attach(|py| -> PyResult<PyErr> {
        let exception = classes(py)?.getattr(class)?.call1((format!("{error:#}"),))?;
        if let Some(row) = error.row() {
            exception.setattr("row", row)?;
        }
        if let Some(file) = error.file() {
            exception.setattr("file", file.display().to_string())?;
        }
        if let Some(offset) = error.offset() {
            exception.setattr("offset", offset)?;
        }
        if let Some(path) = error.filter_path() {
            exception.setattr("path", path)?;
        }
        Ok(PyErr::from_value(exception))
    });
    made.unwrap_or_else(|failure| failure)
}

/// The exception for an error of the graph.
pub fn raise_graph(error: loomdb_graph::Error) -> PyErr {
    raise(&loomdb::Error::from(error))
}

/// An exception of `loomdb.errors` by its name.
pub fn exception(class: &str, message: &str) -> PyErr {
    let made = Python::attach(|py| -> PyResult<PyErr> {
        Ok(PyErr::from_value(classes(py)?.getattr(class)?.call1((message,))?))
    });
    made.unwrap_or_else(|failure| failure)
}

fn classes(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static CLASSES: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module =
        CLASSES.get_or_try_init(py, || PyModule::import(py, "loomdb.errors").map(Bound::unbind))?;
    Ok(module.bind(py))
}

fn class_of(error: &loomdb::Error) -> &'static str {
    use loomdb_graph::Error as Graph;
    if let Some(Graph::DimMismatch { .. } | Graph::DimOutOfRange { .. }) = error.graph_error() {
        return "DimensionError";
    }
    match error.kind() {
        ErrorKind::NotFound if error.file().is_some() => "MissingFileError",
        ErrorKind::NotFound => "NotFoundError",
        ErrorKind::AlreadyExists if error.row().is_some() => "IdExistsError",
        ErrorKind::AlreadyExists => "ExistsError",
        ErrorKind::InvalidFilter => "FilterError",
        ErrorKind::InvalidInput => "InvalidInputError",
        ErrorKind::Corrupted => "CorruptionError",
        ErrorKind::Unsupported => "UnsupportedError",
        ErrorKind::StorageFull => "StorageFullError",
        ErrorKind::Io => "StorageError",
        ErrorKind::Canceled => "CanceledError",
        ErrorKind::Locked => "LockedError",
        ErrorKind::Poisoned => "PoisonedError",
        _ => "Error",
    }
}
