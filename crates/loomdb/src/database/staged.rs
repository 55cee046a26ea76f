//! Pieces of a stream under `OnCommit`: segments that no manifest names before the commit.
//!
//! What is not committed must not count, and need not be kept in memory for that. A large piece is
//! written as a segment at once, and its vectors are read there. The commit names what is there
//! then. Without a commit these files go when the database is closed, or when it is opened next.

use std::collections::HashMap;
use std::sync::Arc;

use super::Shared;
use super::compaction::merge_segments;
use super::write::{Target, Writer};
use crate::collection::{Inner, Plan, Saved};
use crate::storage::directory::Directory;
use crate::storage::manifest::{Collection as Entry, Manifest};
use crate::storage::segment::Place;
use crate::{Error, Result};

/// What the next commit will say of a collection.
#[derive(Clone, Debug)]
pub(super) struct Staged {
    pub entry: Entry,
    pub saved: Saved,
}

impl Shared {
    /// Writes the rows of a collection that are in no segment, and those of a plan, as a segment
    /// that counts from the next commit on.
    pub(super) fn stage(&self, writer: &mut Writer, inner: &Inner, plan: &Plan) -> Result<()> {
        let before = match writer.staged.get(&inner.number) {
            Some(staged) => staged.clone(),
            None => self.unstaged(writer, inner)?,
        };
        let Writer { target: Target::Directory(directory), staged, .. } = writer else {
            return Ok(());
        };
        let (number, mut next) = (directory.next_number(), before.clone());
        let (fs, root) = (Arc::clone(directory.fs()), directory.root().to_owned());
        let place = Place { fs: &*fs, root: &root, directory: &before.entry.directory };
        merge_segments(&mut next.entry, plan.next());
        let vectors = (plan.vectors(), number);
        if let Err(error) = plan.next().seal(place, &mut next.entry, &mut next.saved, vectors) {
            directory.note(&error);
            place.remove(number);
            directory.remove_files(&before.entry, staged.get(&inner.number).map(|one| &one.entry));
            return Err(error);
        }
        writer.restage(next);
        Ok(())
    }

    /// What a commit would say of a collection of which nothing is staged, and has nothing to say.
    fn unstaged(&self, writer: &Writer, inner: &Inner) -> Result<Staged> {
        let Target::Directory(directory) = &writer.target else {
            return Err(Error::invalid("the database has no files"));
        };
        let entry = self.entry_of(directory, inner)?;
        Ok(Staged { entry, saved: writer.saved.get(&inner.number).copied().unwrap_or_default() })
    }

    /// The entry of a collection as a commit would write it, without what it would add.
    pub(super) fn entry_of(&self, directory: &Directory, inner: &Inner) -> Result<Entry> {
        let mut manifest = directory.manifest().clone();
        self.list_collections(&mut manifest);
        let entry = manifest.collections.into_iter().find(|one| one.number == inner.number);
        entry.ok_or_else(|| Error::corrupted("the collection is not in the manifest"))
    }

    /// Makes a manifest name what was written of a collection: at once, or with the next commit.
    pub(super) fn make_count(&self, writer: &mut Writer, next: Staged) -> Result<()> {
        let Target::Directory(directory) = &writer.target else { return Ok(()) };
        if self.holds_back() {
            writer.restage(next);
            return Ok(());
        }
        let mut manifest = directory.manifest().clone();
        let Staged { entry, saved } = next;
        let number = entry.number;
        let own = manifest.collections.iter_mut().find(|one| one.number == number);
        *own.ok_or_else(|| Error::corrupted("the collection is not in the manifest"))? = entry;
        writer.install(manifest)?;
        writer.saved.insert(number, saved);
        Ok(())
    }
}

impl Writer {
    /// Stages what the next commit will say of a collection, and removes the files of what it
    /// would have said before.
    fn restage(&mut self, next: Staged) {
        let number = next.entry.number;
        let before = self.staged.insert(number, next);
        if let (Some(before), Target::Directory(directory)) = (before, &self.target) {
            let kept = self.staged.get(&number).map(|next| &next.entry);
            directory.remove_files(&before.entry, kept);
        }
    }

    /// Forgets what was staged of a collection, and removes the files of it that the manifest does
    /// not name.
    pub(super) fn unstage(&mut self, number: u32) {
        if let (Some(staged), Target::Directory(directory)) =
            (self.staged.remove(&number), &self.target)
        {
            directory.remove_files(&staged.entry, None);
        }
    }

    /// [`Self::unstage`] of all collections.
    pub(super) fn unstage_all(&mut self) {
        let numbers: Vec<u32> = self.staged.keys().copied().collect();
        for number in numbers {
            self.unstage(number);
        }
    }
}

/// Puts what is staged into a manifest that is about to be committed; whether there is any.
pub(super) fn take_in(
    staged: &HashMap<u32, Staged>,
    manifest: &mut Manifest,
    saved: &mut HashMap<u32, Saved>,
) -> bool {
    let mut is_changed = false;
    for entry in &mut manifest.collections {
        let Some(staged) = staged.get(&entry.number) else { continue };
        let name = std::mem::take(&mut entry.name);
        let indexed_fields = std::mem::take(&mut entry.indexed_fields);
        *entry = Entry { name, indexed_fields, ..staged.entry.clone() };
        saved.insert(entry.number, staged.saved);
        is_changed = true;
    }
    is_changed
}
