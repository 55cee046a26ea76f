//! Handles that know whether they may still be used: not after `close`, and not in a process that
//! was forked from the one that made them.
//!
//! A forked process has the files but not the threads, and its copy of the lock is not its own. So
//! nothing is done there, not even on the way out: closing would write to the files of the parent.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;

use crate::errors::{exception, raise};

/// What all handles of one database share.
#[derive(Debug)]
pub struct Life {
    process: u32,
    is_closed: AtomicBool,
}

/// What a handle may hold.
pub trait Held: Send {
    /// Whether dropping it is done at once.
    fn is_light(&self) -> bool {
        false
    }
}

impl Held for loomdb::Database {}
impl Held for loomdb::Collection {}
impl Held for loomdb::Pages {}
impl Held for loomdb::index::Index {}

/// Something that may be used as long as its database is open, in the process that opened it.
pub struct Handle<T: Held> {
    /// Taken only when the handle is dropped.
    value: Option<T>,
    life: Arc<Life>,
}

impl Life {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { process: std::process::id(), is_closed: AtomicBool::new(false) })
    }

    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn is_forked(&self) -> bool {
        self.process != std::process::id()
    }

    fn check(&self) -> PyResult<()> {
        if self.is_forked() {
            let message = "this handle was made before the process was forked; open the database \
                           in the new process (with read_only=True while the parent writes), or \
                           start processes with the method \"spawn\"";
            return Err(exception("ForkedError", message));
        }
        if self.is_closed() {
            return Err(exception("ClosedError", "the database was closed; open it again"));
        }
        Ok(())
    }
}

impl<T: Held> Handle<T> {
    pub fn new(value: T, life: Arc<Life>) -> Self {
        Self { value: Some(value), life }
    }

    pub fn life(&self) -> &Arc<Life> {
        &self.life
    }

    /// The value, if it may be used.
    pub fn get(&self) -> PyResult<&T> {
        self.life.check()?;
        self.value.as_ref().ok_or_else(|| exception("ClosedError", "the database was closed"))
    }

    /// The value, to be changed by its only user.
    pub fn get_mut(&mut self) -> PyResult<&mut T> {
        self.life.check()?;
        self.value.as_mut().ok_or_else(|| exception("ClosedError", "the database was closed"))
    }
}

impl<T: Held> Drop for Handle<T> {
    fn drop(&mut self) {
        let value = self.value.take();
        if self.life.is_forked() {
            std::mem::forget(value);
            return;
        }
        if value.as_ref().is_none_or(Held::is_light) {
            return;
        }
        // The last handle waits for what is being linked, so others may run meanwhile. While the
        // interpreter shuts down there are no others.
        let mut value = Some(value);
        if Python::try_attach(|py| py.detach(|| drop(value.take()))).is_none() {
            drop(value);
        }
    }
}

/// Runs work of the library while other Python threads run.
///
/// # Errors
/// Those of the work; a panic in it becomes an error too.
pub fn detached<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> loomdb::Result<T> + Send,
) -> PyResult<T> {
    py.detach(|| caught(work)).map_err(Failure::into_exception)
}

/// Why work did not succeed.
pub enum Failure {
    Error(loomdb::Error),
    Panic(String),
}

impl Failure {
    pub fn into_exception(self) -> PyErr {
        match self {
            Self::Error(error) => raise(&error),
            Self::Panic(message) => {
                let message = format!(
                    "this is a bug in loomdb, please report it: {message}; what was confirmed is \
                     safe, open the database again"
                );
                exception("InternalError", &message)
            }
        }
    }
}

/// Runs work whose panics are errors.
pub fn caught<T>(work: impl FnOnce() -> loomdb::Result<T>) -> Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(Failure::Error),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(Failure::Panic(text.unwrap_or("a panic without a message").to_owned()))
        }
    }
}
