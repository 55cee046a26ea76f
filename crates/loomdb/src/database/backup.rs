//! Backups, and databases that are written whole: those in memory, and what a repair saved.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::write::Target;
use super::{Database, Durability, Shared};
use crate::Result;
use crate::collection::{Saved, State};
use crate::storage::copy::{Copied, Version};
use crate::storage::directory::Directory;
use crate::storage::segment::Place;
use crate::storage::staging::{Staging, Target as NewPlace};
use crate::storage::{Existing, FileSystem, RealFs, manifest};

/// How a backup is made.
pub struct BackupOptions<'a> {
    /// Called with the bytes copied so far and all bytes; `false` stops, and nothing is left.
    pub progress: &'a dyn Fn(usize, usize) -> bool,
}

impl Default for BackupOptions<'_> {
    fn default() -> Self {
        Self { progress: &|_, _| true }
    }
}

impl fmt::Debug for BackupOptions<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BackupOptions").finish_non_exhaustive()
    }
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BackupInfo {
    /// The number of files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// What was left out: graphs that are damaged, which are built again.
    pub warnings: Vec<String>,
}

impl Database {
    /// Copies the database, as it is after some write, into a new directory while others go on
    /// writing. Every write that has returned is in the copy; every byte is verified on the way,
    /// and synced. The copy is a database of its own, which shares nothing with this one.
    ///
    /// # Errors
    /// `AlreadyExists` when something is in its place; `Corrupted` when a file is damaged;
    /// `StorageFull`, `Io`, `Poisoned`; `Canceled`. After any of them there is no copy.
    pub fn backup(
        &self,
        path: impl AsRef<Path>,
        options: &BackupOptions<'_>,
    ) -> Result<BackupInfo> {
        let Some((fs, root)) = self.shared.place() else {
            return self.shared.save_to(&(Arc::new(RealFs) as _), path.as_ref());
        };
        let target = NewPlace::new(&*fs, path.as_ref())?;
        target.check(Existing::Refuse)?;
        let version = self.shared.version(&fs, &root)?;
        let staging = Staging::create(&target)?;
        let Copied { files, bytes, warnings } = version.copy(&staging, options.progress)?;
        target.install(staging, Existing::Refuse)?;
        Ok(BackupInfo { files, bytes, warnings })
    }
}

impl Shared {
    /// The files of now. Nobody writes until they are open.
    fn version(&self, fs: &Arc<dyn FileSystem>, root: &Path) -> Result<Version> {
        if self.reader.is_some() {
            return Version::open(&**fs, root);
        }
        let mut writer = self.lock_to_write()?;
        if self.durability == Durability::OnCommit {
            self.commit(&mut writer)?;
        }
        Version::open(&**fs, root)
    }

    /// Writes a database in memory into a new directory.
    fn save_to(&self, fs: &Arc<dyn FileSystem>, path: &Path) -> Result<BackupInfo> {
        let target = NewPlace::new(&**fs, path)?;
        target.check(Existing::Refuse)?;
        let collections = {
            let writer = self.lock();
            debug_assert!(!matches!(writer.target, Target::Directory(_)));
            self.all()
        };
        let collections: Vec<(String, Arc<State>)> = collections
            .iter()
            .map(|inner| (String::clone(&inner.name.load()), inner.state.load_full()))
            .collect();
        let staging = Staging::create(&target)?;
        let info = write_new(fs, &staging.path, &collections)?;
        target.install(staging, Existing::Refuse)?;
        Ok(info)
    }
}

/// Writes collections as a database into an empty directory.
pub(super) fn write_new(
    fs: &Arc<dyn FileSystem>,
    root: &Path,
    collections: &[(String, Arc<State>)],
) -> Result<BackupInfo> {
    let mut directory = Directory::open(Arc::clone(fs), root)?;
    let mut next = directory.manifest().clone();
    for (name, state) in collections {
        let number = directory.next_number();
        let mut entry = state.new_entry(name, number);
        let mut saved = Saved::default();
        let path = entry.directory.clone();
        let place = Place { fs: &**fs, root, directory: &path };
        let number = directory.next_number();
        state.seal(place, &mut entry, &mut saved, (None, number))?;
        state.save_graph(place, &mut entry, &mut saved, number)?;
        next.collections.push(entry);
    }
    directory.commit(next)?;
    let written = directory.manifest();
    let bytes = written.files().map(manifest::FileRecord::len_bytes).sum();
    Ok(BackupInfo { files: written.files().count() + 1, bytes, warnings: Vec::new() })
}
