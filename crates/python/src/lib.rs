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
mod tables;
mod values;
mod watch;

use pyo3::prelude::*;

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
    use crate::instruction_set;

    /// The version of the package.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}

/// The instruction set of the distance loops, for `loomdb.instruction_set()`.
#[pyfunction]
fn instruction_set() -> &'static str {
    loomdb_graph::instruction_set()
}
