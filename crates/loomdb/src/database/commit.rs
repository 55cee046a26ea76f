//! Moving what is in the log into segments, and closing.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::Shared;
use super::compaction::merge_segments;
use super::staged::take_in;
use super::write::{GRAPH_GROWTH, Target, Writer};
use crate::collection::{Inner, Saved};
use crate::storage::directory::Directory;
use crate::storage::manifest::Manifest;
use crate::storage::segment::Place;
use crate::{Error, Result};

impl Shared {
    /// Seals every collection, and ends the log.
    pub(super) fn commit(&self, writer: &mut Writer) -> Result<()> {
        let Target::Directory(directory) = &mut writer.target else { return Ok(()) };
        let mut next = directory.manifest().clone();
        let mut all_saved = writer.saved.clone();
        let mut is_changed = self.list_collections(&mut next);
        is_changed |= take_in(&writer.staged, &mut next, &mut all_saved);
        is_changed |= writer.log.as_ref().is_some_and(|log| !log.is_empty());
        for inner in self.all() {
            let saved = all_saved.entry(inner.number).or_default();
            let sealed = seal(directory, &mut next, &inner, saved);
            is_changed |= sealed.inspect_err(|error| directory.note(error))?;
        }
        if !is_changed {
            return Ok(());
        }
        next.log = None;
        directory.commit(next)?;
        (writer.log, writer.saved) = (None, all_saved);
        writer.unstage_all();
        writer.note_files();
        for inner in self.all() {
            writer.move_to_files(inner.number, &inner.state.load());
        }
        Ok(())
    }

    /// Ends the log cleanly and unlocks the directory.
    pub(super) fn close(&self) -> Result<()> {
        self.is_closing.store(true, Ordering::Release);
        self.wait_for_rewriting();
        let _rewriting = self.rewriting();
        let mut writer = self.lock();
        let closed = if writer.is_broken() { Ok(()) } else { self.finish(&mut writer) };
        if !matches!(writer.target, Target::ReadOnly) {
            (writer.target, writer.log) = (Target::Closed, None);
        }
        closed
    }

    fn finish(&self, writer: &mut Writer) -> Result<()> {
        if self.durability == super::Durability::OnCommit {
            // What was not committed was not promised.
            writer.unstage_all();
            return Ok(());
        }
        let Target::Directory(directory) = &writer.target else { return Ok(()) };
        let has_grown = |inner: &Arc<Inner>| {
            let saved = writer.saved.get(&inner.number).copied().unwrap_or_default();
            let state = inner.state.load();
            if saved.graph_rows == 0 {
                // The index is dropped only when it is linked, and what was built would be lost,
                // again and again for who opens a database for one write.
                state.wait_until_linked();
            }
            state.graph_rows() >= GRAPH_GROWTH * saved.graph_rows.max(1)
        };
        if self.all().iter().any(has_grown) {
            return self.commit(writer);
        }
        let place = directory.manifest().log.clone();
        let manifest = directory.manifest().clone();
        match &writer.log {
            Some(log) if place.is_none_or(|place| place.synced_up_to != log.len_bytes()) => {
                writer.install(manifest)
            }
            _ => Ok(()),
        }
    }

    /// Makes the collections of a manifest those that are there; whether that changed anything,
    /// which it does only under [`Durability::OnCommit`].
    pub(super) fn list_collections(&self, manifest: &mut Manifest) -> bool {
        let all = self.all();
        let before = manifest.collections.len();
        manifest.collections.retain(|entry| all.iter().any(|one| one.number == entry.number));
        let mut is_changed = manifest.collections.len() != before;
        for inner in all {
            let (name, state) = (inner.name.load(), inner.state.load());
            let indexed = state.indexed_fields();
            let mut entries = manifest.collections.iter_mut();
            match entries.find(|entry| entry.number == inner.number) {
                Some(entry) if entry.name == **name && entry.indexed_fields == indexed => continue,
                Some(entry) => {
                    entry.name.clone_from(&name);
                    entry.indexed_fields = indexed;
                }
                None => {
                    let entry = state.new_entry(&name, inner.number);
                    manifest.collections.push(entry);
                }
            }
            is_changed = true;
        }
        is_changed
    }

    pub(super) fn all(&self) -> Vec<Arc<Inner>> {
        let collections = self.collections.read().unwrap_or_else(PoisonError::into_inner);
        collections.values().cloned().collect()
    }

    pub(super) fn warn(&self, warning: String) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
    }
}

/// Brings the entry of a collection up to its state; whether anything changed.
fn seal(
    directory: &mut Directory,
    next: &mut Manifest,
    inner: &Inner,
    saved: &mut Saved,
) -> Result<bool> {
    let state = inner.state.load_full();
    let entry = next.collections.iter_mut().find(|one| one.number == inner.number);
    let entry = entry.ok_or_else(|| Error::corrupted("a collection is not in the manifest"))?;
    let is_unsealed = state.is_unsealed(entry, *saved);
    let has_graph = state.graph_rows() > saved.graph_rows;
    if !is_unsealed && !has_graph {
        return Ok(false);
    }
    let number = directory.next_number();
    let fs = Arc::clone(directory.fs());
    let path = entry.directory.clone();
    let place = Place { fs: &*fs, root: directory.root(), directory: &path };
    if is_unsealed {
        merge_segments(entry, &state);
        state.seal(place, entry, saved, (None, number))?;
    }
    state.save_graph(place, entry, saved, number)?;
    Ok(true)
}
