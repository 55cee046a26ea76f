//! How a caller watches a long call and stops it, and which threads the call may use.

use rayon::prelude::*;

use crate::Error;

/// A part of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Rows are grouped into overlapping cells.
    Partition,
    /// Distances are computed and the nearest rows of each are kept.
    Candidates,
    /// Each node chooses its neighbors.
    Prune,
    /// Reverse links are grouped and applied.
    Backlinks,
    /// Chunks of rows are inserted.
    Insert,
    /// Every node is made reachable.
    Connect,
}

impl Phase {
    /// A word for a progress bar.
    pub fn name(self) -> &'static str {
        match self {
            Self::Partition => "partition",
            Self::Candidates => "candidates",
            Self::Prune => "prune",
            Self::Backlinks => "backlinks",
            Self::Insert => "insert",
            Self::Connect => "connect",
        }
    }
}

/// Watches a long call; called from any of its threads, often, so it must be quick.
pub trait Observer: Sync {
    /// `done` of `total` steps of `phase` are finished; calls may come out of order. The first
    /// call of a phase, with none done, comes when it begins.
    fn progress(&self, phase: Phase, done: usize, total: usize) {
        let _ = (phase, done, total);
    }

    /// Whether the call should stop; it then fails with [`Error::Canceled`] and changes nothing.
    fn canceled(&self) -> bool {
        false
    }
}

/// Nobody watches.
impl Observer for () {}

pub(crate) fn check_canceled(observer: &dyn Observer) -> Result<(), Error> {
    if observer.canceled() { Err(Error::Canceled) } else { Ok(()) }
}

/// The threads that a call may use; make one and keep it, starting threads takes time.
#[derive(Debug)]
pub struct Workers {
    pool: rayon::ThreadPool,
}

impl Workers {
    /// `threads` threads; 0 stands for one for each core.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] when the system refuses to start so many.
    pub fn new(threads: usize) -> Result<Self, Error> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("loomdb-{index}"))
            .build();
        pool.map(|pool| Self { pool }).map_err(|_| Error::InvalidParameter {
            name: "threads",
            given: threads.to_string(),
            allowed: "a number of threads that the system can start",
        })
    }

    /// The number of threads.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// The results of `work` for each of `items`, in their order, on these threads.
    pub fn map<T: Sync, R: Send>(
        &self,
        items: &[T],
        work: impl Fn(&T) -> R + Sync + Send,
    ) -> Vec<R> {
        self.run(|| items.par_iter().map(work).collect())
    }

    /// Runs `work` on these threads while `beside` runs on the thread of the caller; the results of
    /// both, when both are done.
    ///
    /// # Panics
    /// When one of them does.
    pub fn run_beside<R: Send, S>(
        &self,
        work: impl FnOnce() -> R + Send,
        beside: impl FnOnce() -> S,
    ) -> (R, S) {
        let mut result = None;
        let other = self.pool.in_place_scope(|scope| {
            scope.spawn(|_| result = Some(work()));
            beside()
        });
        (result.expect("the scope ends behind the work"), other)
    }

    /// Runs `work` on these threads.
    pub(crate) fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.install(work)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::Workers;

    #[test]
    fn work_runs_on_the_threads_while_the_caller_does_something_else() {
        for threads in [1, 2] {
            let workers = Workers::new(threads).unwrap();
            let (to_work, from_caller) = channel();
            let (to_caller, from_work) = channel();
            let work = move || {
                to_caller.send(thread::current().id()).unwrap();
                from_caller.recv().unwrap() + 1
            };
            let beside = || {
                // Each waits for the other: neither comes behind it.
                let worker = from_work.recv().unwrap();
                to_work.send(41).unwrap();
                (worker, thread::current().id())
            };
            let (result, (worker, caller)) = workers.run_beside(work, beside);
            assert_eq!(result, 42);
            assert!(worker != caller && caller == thread::current().id());
        }
    }
}
