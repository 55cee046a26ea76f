//! The native half of the Python package: what the Rust library does, in terms of Python objects.
//!
//! The classes here are plain and strict. What people like, such as many sorts of input, results
//! that print well, and progress bars, is in `python/loomdb/`, which wraps them.

#![allow(clippy::needless_pass_by_value, reason = "Python passes arguments by value")]

mod collection;
mod database;
mod errors;
mod found;
mod handle;
mod ids;
mod index;
mod records;
mod stream;
mod tables;
mod values;
mod watch;

use std::path::PathBuf;

use loomdb::RepairOptions;
use loomdb_graph::Metric;
use pyo3::prelude::*;

use crate::errors::raise_graph;
use crate::handle::detached;
use crate::values::plain;

/// The module `loomdb._native`.
///
/// An interpreter without the global lock is asked to take it: the classes are safe without, but
/// that is not tested.
#[pymodule(name = "_native", gil_used = true)]
mod native {
    #[pymodule_export]
    use crate::collection::{Collection, Pages};
    #[pymodule_export]
    use crate::database::Database;
    #[pymodule_export]
    use crate::found::Found;
    #[pymodule_export]
    use crate::index::Index;

    #[pymodule_export]
    use crate::{instruction_set, repair};

    /// The version of the package.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}

/// The instruction set of the distance loops, for `loomdb.instruction_set()`.
#[pyfunction]
fn instruction_set() -> &'static str {
    loomdb_graph::instruction_set()
}

/// Repairs a database that need not be possible to open.
#[pyfunction]
fn repair<'py>(
    py: Python<'py>,
    path: PathBuf,
    to: Option<PathBuf>,
    metric: Option<&str>,
) -> PyResult<Bound<'py, PyAny>> {
    let metric = metric.map(|metric| metric.parse::<Metric>().map_err(raise_graph)).transpose()?;
    let options = RepairOptions { to: to.as_deref(), metric };
    let report = detached(py, || loomdb::repair(&path, &options))?;
    plain(py, &serde_json::to_value(report).unwrap_or_default())
}
