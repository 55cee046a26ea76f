//! Long calls that show their progress and that Ctrl-C stops.
//!
//! The work runs on a thread of its own, while the thread of the caller wakes up to look for
//! signals and to call back. Python runs signal handlers in its main thread only, so elsewhere
//! only the progress is shown.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use loomdb_graph::{Observer, Phase};
use pyo3::prelude::*;

use crate::errors::exception;
use crate::handle::{Failure, caught};

/// How often the caller wakes up.
const TICK: Duration = Duration::from_millis(50);

/// What the work and its caller tell each other.
#[derive(Debug, Default)]
pub struct Watch {
    is_canceled: AtomicBool,
    phase: Mutex<Option<&'static str>>,
    done: AtomicUsize,
    total: AtomicUsize,
}

impl Observer for Watch {
    fn progress(&self, phase: Phase, done: usize, total: usize) {
        self.tell(phase.name(), done, total);
    }

    fn canceled(&self) -> bool {
        self.is_canceled.load(Ordering::Relaxed)
    }
}

impl Watch {
    /// Notes how far a phase is; whether the work should go on.
    pub fn tell(&self, phase: &'static str, done: usize, total: usize) -> bool {
        let mut current = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        if *current != Some(phase) {
            *current = Some(phase);
            self.done.store(0, Ordering::Relaxed);
        }
        // Calls come out of order.
        self.done.fetch_max(done, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        !self.canceled()
    }

    fn state(&self) -> Option<(&'static str, usize, usize)> {
        let phase = (*self.phase.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some((phase, self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed)))
    }
}

/// Runs work that asks a watch whether to stop, and tells it how far it is. `progress` is called
/// with the name of the phase and the steps done and to do; what it raises stops the work.
///
/// # Errors
/// Those of the work, of `progress`, and `KeyboardInterrupt`.
pub fn watched<T: Send>(
    py: Python<'_>,
    progress: Option<&Bound<'_, PyAny>>,
    watch: &Watch,
    work: impl FnOnce() -> loomdb::Result<T> + Send,
) -> PyResult<T> {
    let progress = progress.map(|progress| progress.clone().unbind());
    let wake = || {
        Python::attach(|py| {
            py.check_signals()?;
            match (&progress, watch.state()) {
                (Some(progress), Some(state)) => progress.call1(py, state).map(|_| ()),
                _ => Ok(()),
            }
        })
    };
    py.detach(|| {
        thread::scope(|scope| {
            let (sender, receiver) = channel();
            let work = move || sender.send(caught(work)).ok();
            let worker = thread::Builder::new().name("loomdb-call".to_owned());
            if let Err(error) = worker.spawn_scoped(scope, work) {
                let message = format!("the system starts no thread: {error}");
                return Err(exception("StorageError", &message));
            }
            loop {
                match receiver.recv_timeout(TICK) {
                    Ok(outcome) => {
                        let value = outcome.map_err(Failure::into_exception)?;
                        return wake().map(|()| value);
                    }
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(exception("InternalError", "a thread ended without a result"));
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                }
                if let Err(interrupt) = wake() {
                    watch.is_canceled.store(true, Ordering::Relaxed);
                    receiver.recv().ok();
                    return Err(interrupt);
                }
            }
        })
    })
}
