//! Memory that searches reuse, kept for the next search of the same thread.

use std::array;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use loomdb_graph::Scratch;

/// If there are more threads than this, some of them share a slot.
const SLOTS: usize = 32;

/// Scratch memory in slots. A thread comes back to its slot, so it takes what it gave back, which
/// is still in the cache of its core: of a single stack, threads that search at the same time would
/// take each other's.
#[derive(Debug)]
pub(super) struct Scratches<T = Scratch> {
    slots: [Slot<T>; SLOTS],
}

/// On cache lines of its own; processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Slot<T> {
    idle: Mutex<Vec<T>>,
}

impl<T> Default for Scratches<T> {
    fn default() -> Self {
        Self { slots: array::from_fn(|_| Slot { idle: Mutex::default() }) }
    }
}

impl<T: Default> Scratches<T> {
    pub(super) fn take(&self) -> T {
        self.idle().pop().unwrap_or_default()
    }

    pub(super) fn give_back(&self, scratch: T) {
        self.idle().push(scratch);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<T>> {
        self.slots[slot_of_thread()].idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Slots are given to threads in turn.
fn slot_of_thread() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SLOT: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SLOTS;
    }
    SLOT.with(|slot| *slot)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::{Scratches, slot_of_thread};

    /// Does something in a thread with another slot.
    fn elsewhere(work: impl Fn() + Sync) {
        let mine = slot_of_thread();
        let is_done = || {
            let is_other = slot_of_thread() != mine;
            if is_other {
                work();
            }
            is_other
        };
        while !thread::scope(|scope| scope.spawn(is_done).join().unwrap()) {}
    }

    #[test]
    fn a_thread_takes_what_it_gave_back() {
        let scratches = Scratches::<&str>::default();
        scratches.give_back("mine");
        elsewhere(|| scratches.give_back("other"));
        assert_eq!(scratches.take(), "mine");
        assert_eq!(scratches.take(), "", "none of another slot");
    }
}
