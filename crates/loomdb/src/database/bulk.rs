//! Large batches: written as a segment while their graph is built.
//!
//! Both only read the rows of the batch, and neither needs the other. What is written counts when a
//! manifest names it, which is when both are done; so a batch that is canceled or refused by the
//! disk leaves nothing. Files are written by the thread of the caller, whose calls come in the same
//! order each time, whatever the threads that build are doing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loomdb_graph::{Observer, Phase};

use super::Shared;
use super::compaction::merge_segments;
use super::write::{Target, Writer};
use crate::collection::{Inner, Linking, Plan};
use crate::storage::segment::Place;
use crate::{Error, Result};

impl Shared {
    /// Writes the rows of a collection that are in no segment, and those of a plan, as a segment,
    /// and builds the graph of the plan meanwhile.
    pub(super) fn write_bulk(
        &self,
        writer: &mut Writer,
        inner: &Inner,
        plan: &mut Plan,
        linking: Linking<'_>,
    ) -> Result<()> {
        let Target::Directory(directory) = &mut writer.target else { return Ok(()) };
        let number = directory.next_number();
        let mut next = directory.manifest().clone();
        let Some(entry) = next.collections.iter_mut().find(|one| one.number == inner.number) else {
            return Err(Error::corrupted("the collection is not in the manifest"));
        };
        let mut saved = writer.saved.get(&inner.number).copied().unwrap_or_default();
        let (fs, root) = (Arc::clone(directory.fs()), directory.root().to_owned());
        let place = Place { fs: &*fs, root: &root, directory: &entry.directory.clone() };
        merge_segments(entry, plan.next());
        let is_refused = AtomicBool::new(false);
        let build = || match linking {
            Linking::Now(observer) => {
                plan.link(Linking::Now(&UntilRefused { observer, is_refused: &is_refused }))
            }
            Linking::Deferred => Ok(None),
        };
        let seal = || {
            let sealed = plan.next().seal(place, entry, &mut saved, (plan.vectors(), number));
            is_refused.store(sealed.is_err(), Ordering::Relaxed);
            sealed
        };
        let (linked, sealed) = self.making.workers.run_beside(build, seal);
        // What the disk refused is also why the graph was not built to its end.
        let linked = sealed.inspect_err(|error| directory.note(error)).and(linked);
        plan.take(linked.inspect_err(|_| place.remove(number))?);
        // Every record of the log for this collection is in the segment.
        entry.sequence = entry.sequence.max(writer.sequence);
        if let Err(error) = writer.install(next) {
            // When the manifest may name the files, nobody knows which one counts.
            if !writer.is_broken() {
                place.remove(number);
            }
            return Err(error);
        }
        writer.saved.insert(inner.number, saved);
        Ok(())
    }
}

/// Watches for the caller, until the disk refuses what is written meanwhile.
struct UntilRefused<'a> {
    observer: &'a dyn Observer,
    is_refused: &'a AtomicBool,
}

impl Observer for UntilRefused<'_> {
    fn progress(&self, phase: Phase, done: usize, total: usize) {
        self.observer.progress(phase, done, total);
    }

    fn canceled(&self) -> bool {
        self.is_refused.load(Ordering::Relaxed) || self.observer.canceled()
    }
}
