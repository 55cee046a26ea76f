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

    /// Runs `work` on these threads.
    pub(crate) fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.install(work)
    }
}
