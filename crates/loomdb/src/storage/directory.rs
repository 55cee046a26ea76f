//! The directory of a database: its lock, its newest manifest, and how the next one takes over.
//!
//! A commit writes the manifest beside its place, syncs it, renames it, and syncs the directory.
//! Up to the rename the older one counts, from then on the newer one. If the rename or a sync
//! fails, nobody knows which, so nothing more is written until the database is opened again.
//! What no manifest names is removed afterwards; what stays because of a crash goes when the
//! database is opened next.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fs::{EntryKind, FileLock, FileSystem, Locking};
use super::manifest::{self, Collection, FileRecord, Manifest};
use super::staging::refuse_interrupted_repair;
use super::store::read_whole;
use super::{checked::CheckedWriter, log};
use crate::{Error, ErrorKind, Result};

const LOCK: &str = "LOCK";
const UNFINISHED: &str = "tmp-";

/// Beginnings of the names that the database gives.
const OURS: [&str; 8] =
    [UNFINISHED, "manifest-", "log-", "collection-", "seg-", "graph-", "order-", "deletes-"];

/// A database that this process may write to.
#[derive(Debug)]
pub(crate) struct Directory {
    fs: Arc<dyn FileSystem>,
    root: PathBuf,
    manifest: Manifest,
    next_number: u32,
    is_broken: bool,
    _lock: Box<dyn FileLock>,
}

impl Directory {
    /// Locks and opens a database; an empty or missing directory becomes one.
    pub(crate) fn open(fs: Arc<dyn FileSystem>, root: &Path) -> Result<Self> {
        let is_made = create_root(&*fs, root)?;
        if !is_made {
            refuse_foreign(&*fs, root)?;
        }
        let lock = lock(&*fs, root)?;
        let found = read_newest(&*fs, root)?;
        let manifest = found.clone().unwrap_or_else(Manifest::empty);
        let next_number = manifest.next_number.max(manifest.number + 1);
        let (fs, root) = (fs, root.to_owned());
        let mut directory = Self { fs, root, manifest, next_number, is_broken: false, _lock: lock };
        directory.next_number = next_number.max(directory.highest_number()? + 1);
        if found.is_none() {
            // Perhaps the directory was made and not synced by a process that died.
            let parent = directory.root.parent().filter(|parent| !parent.as_os_str().is_empty());
            sync_directory(&*directory.fs, parent.unwrap_or(Path::new(".")))?;
            let mut first = Manifest::empty();
            first.number = 0;
            directory.install(first)?;
        }
        Ok(directory)
    }

    pub(crate) fn fs(&self) -> &Arc<dyn FileSystem> {
        &self.fs
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// A number that no file has.
    pub(crate) fn next_number(&mut self) -> u32 {
        self.next_number += 1;
        self.next_number - 1
    }

    /// Whether nothing more may be written.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Takes note of what went wrong while files were written that no manifest names. A full disk
    /// may have room again; after anything else, which a failed sync may be, nothing more is
    /// written.
    pub(crate) fn note(&mut self, error: &Error) {
        self.is_broken |= matches!(error.kind(), ErrorKind::Io | ErrorKind::Corrupted);
    }

    /// Makes the names in the directory survive.
    pub(crate) fn sync_root(&mut self) -> Result<()> {
        let synced = sync_directory(&*self.fs, &self.root);
        synced.inspect_err(|_| self.is_broken = true)
    }

    /// Makes a manifest the current one, and removes what only the older ones named.
    pub(crate) fn commit(&mut self, next: Manifest) -> Result<()> {
        let older = self.install(next)?;
        self.remove_unnamed(&older);
        Ok(())
    }

    /// Writes a manifest under the next number; returns the one that it replaces.
    fn install(&mut self, mut next: Manifest) -> Result<Manifest> {
        if self.is_broken {
            let error = Error::new(ErrorKind::Poisoned, "an earlier commit failed");
            return Err(error.in_file(&self.root).advise("open the database again"));
        }
        let number = self.manifest.number.max(next.number) + 1;
        let number = if next.number == 0 { 1 } else { number };
        let unfinished = format!("{UNFINISHED}manifest-{:08}", self.next_number());
        (next.number, next.next_number) = (number, self.next_number);
        let (from, to) = (self.root.join(&unfinished), self.root.join(manifest::file_name(number)));
        let bytes = next.encode()?;
        let written = CheckedWriter::create(&*self.fs, &self.root, &unfinished);
        let written = written.and_then(|mut file| {
            file.append(&bytes)?;
            file.finish()
        });
        if let Err(error) = written {
            self.note(&error);
            // A disk that is full stays no fuller than it was.
            self.fs.remove_file(&from).ok();
            return Err(error);
        }
        // A failure from here on leaves it open which manifest counts.
        self.is_broken = true;
        let renamed = self.fs.rename(&from, &to);
        renamed.map_err(|error| Error::io("rename it", &from, error))?;
        sync_directory(&*self.fs, &self.root)?;
        self.is_broken = false;
        Ok(std::mem::replace(&mut self.manifest, next))
    }

    /// Removes what an older manifest names and the current one does not. What cannot be removed
    /// does no harm, and goes when the database is opened next.
    fn remove_unnamed(&self, older: &Manifest) {
        let live: HashSet<&str> = self.manifest.files().map(FileRecord::name).collect();
        let directories: HashSet<&str> =
            self.manifest.collections.iter().map(|live| live.directory.as_str()).collect();
        self.remove_all(older.files().filter(|file| !live.contains(file.name())));
        for gone in older.collections.iter().filter(|one| !directories.contains(&*one.directory)) {
            self.fs.remove_directory(&self.root.join(&gone.directory)).ok();
        }
        if let Some(place) = &older.log
            && self.manifest.log.as_ref().is_none_or(|live| live.number != place.number)
        {
            self.fs.remove_file(&self.root.join(log::file_name(place.number))).ok();
        }
        if older.number != self.manifest.number {
            self.fs.remove_file(&self.root.join(manifest::file_name(older.number))).ok();
        }
    }

    /// Removes the files of a collection that neither the current manifest nor `kept` names, and
    /// its directory when nothing of it is left.
    pub(crate) fn remove_files(&self, of: &Collection, kept: Option<&Collection>) {
        let kept_files = kept.into_iter().flat_map(Collection::files);
        let live: HashSet<&str> =
            self.manifest.files().chain(kept_files).map(FileRecord::name).collect();
        self.remove_all(of.files().filter(|file| !live.contains(file.name())));
        let mut collections = self.manifest.collections.iter().chain(kept);
        if !collections.any(|live| live.directory == of.directory) {
            self.fs.remove_directory(&self.root.join(&of.directory)).ok();
        }
    }

    fn remove_all<'a>(&self, files: impl Iterator<Item = &'a FileRecord>) {
        for file in files {
            self.fs.remove_file(&self.root.join(file.name())).ok();
            if let Some((segment, _)) = file.name().split_once("/vectors.npy") {
                self.fs.remove_directory(&self.root.join(segment)).ok();
            }
        }
    }

    /// Removes what crashes left behind: whatever has a name of ours and is in no manifest.
    pub(crate) fn sweep(&self) {
        for name in leftovers(&*self.fs, &self.root, &self.manifest) {
            let path = self.root.join(&name);
            if self.fs.remove_file(&path).is_err() {
                self.fs.remove_directory(&path).ok();
            }
        }
    }

    /// The highest number in the name of any file or directory.
    fn highest_number(&self) -> Result<u32> {
        let mut highest = 0;
        let directories = self.manifest.collections.iter().map(|one| one.directory.as_str());
        for directory in directories.chain([""]) {
            let path = self.root.join(directory);
            let names = match self.fs.list(&path) {
                Ok(names) => names,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io("list it", &path, error)),
            };
            let numbers = names.iter().filter_map(|name| {
                let (_, number) = name.to_str()?.rsplit_once('-')?;
                number.parse::<u32>().ok().filter(|number| *number < u32::MAX)
            });
            highest = numbers.fold(highest, u32::max);
        }
        Ok(highest)
    }
}

/// What has a name of ours and is not in the manifest, by its path from the root.
pub(crate) fn leftovers(fs: &dyn FileSystem, root: &Path, manifest: &Manifest) -> Vec<String> {
    let mut live: HashSet<String> = manifest
        .files()
        .flat_map(|file| {
            // A file, and the directories on the way to it.
            let name = file.name();
            name.match_indices('/').map(|(at, _)| &name[..at]).chain([name]).collect::<Vec<_>>()
        })
        .chain(manifest.collections.iter().map(|one| one.directory.as_str()))
        .map(str::to_owned)
        .collect();
    live.extend(manifest.log.as_ref().map(|place| log::file_name(place.number)));
    live.insert(manifest::file_name(manifest.number));
    let inner = manifest.collections.iter().map(|one| format!("{}/", one.directory));
    let mut found = Vec::new();
    for prefix in [String::new()].into_iter().chain(inner) {
        let names = fs.list(&root.join(&prefix)).unwrap_or_default();
        for name in names.iter().filter_map(|name| name.to_str()) {
            let full = format!("{prefix}{name}");
            if OURS.iter().any(|ours| name.starts_with(ours)) && !live.contains(&full) {
                found.push(full);
            }
        }
    }
    found
}

/// The newest manifest of a database; nothing when the directory holds nothing of one.
pub(crate) fn read_newest(fs: &dyn FileSystem, root: &Path) -> Result<Option<Manifest>> {
    let newest = manifest::newest(fs, root).map_err(|error| match error.kind() {
        ErrorKind::NotFound => refuse_interrupted_repair(fs, root).err().unwrap_or(error),
        _ => error,
    });
    let Some(number) = newest? else {
        let names = fs.list(root).map_err(|error| Error::io("list it", root, error))?;
        let mut names = names.iter().filter_map(|name| name.to_str());
        let orphan = names.find(|name| name.starts_with("log-") || name.starts_with("collection-"));
        return match orphan {
            None => Ok(None),
            Some(name) => {
                let what = format!("the manifest is missing, though {name} is there");
                let error = Error::corrupted(what).in_file(root);
                Err(error.advise(super::RESTORE))
            }
        };
    };
    let path = root.join(manifest::file_name(number));
    let manifest = Manifest::decode(&read_whole(fs, &path)?);
    let manifest = manifest.map_err(|error| error.in_file(&path).or_advise(super::RESTORE))?;
    if manifest.number != number {
        let what = format!("it is a copy of manifest {}", manifest.number);
        let error = Error::corrupted(what).in_file(&path);
        return Err(error.advise("remove the copy"));
    }
    Ok(Some(manifest))
}

/// Makes the names in a directory survive.
pub(super) fn sync_directory(fs: &dyn FileSystem, path: &Path) -> Result<()> {
    fs.sync_directory(path).map_err(|error| Error::io("sync it", path, error))
}

/// Whether the directory was made.
fn create_root(fs: &dyn FileSystem, root: &Path) -> Result<bool> {
    let failed = |error| Error::io("create it", root, error);
    match fs.entry_kind(root).map_err(failed)? {
        Some(EntryKind::Directory) => return Ok(false),
        Some(_) => {
            let error = Error::new(ErrorKind::AlreadyExists, "a database is a directory");
            return Err(error.in_file(root).advise("choose another name"));
        }
        None => refuse_interrupted_repair(fs, root)?,
    }
    fs.create_directory(root).map_err(failed)?;
    Ok(true)
}

/// A directory of somebody else's files does not become a database.
fn refuse_foreign(fs: &dyn FileSystem, root: &Path) -> Result<()> {
    let names = fs.list(root).map_err(|error| Error::io("list it", root, error))?;
    let is_database = names.iter().any(|name| {
        name.to_str().is_some_and(|name| name == LOCK || OURS.iter().any(|o| name.starts_with(o)))
    });
    if is_database || names.is_empty() {
        return Ok(());
    }
    let what = "the directory is not a database, and holds other files";
    let error = Error::new(ErrorKind::AlreadyExists, what).in_file(root);
    Err(error.advise("choose an empty directory or a new name"))
}

/// Locks a database for the one that writes to it.
pub(crate) fn lock(fs: &dyn FileSystem, root: &Path) -> Result<Box<dyn FileLock>> {
    let path = root.join(LOCK);
    match fs.lock(&path).map_err(|error| Error::io("lock it", &path, error))? {
        Locking::Held(lock) => Ok(lock),
        Locking::Taken { by } => {
            let who = by.map_or("another process".to_owned(), |pid| format!("process {pid}"));
            let what = format!("{who} has opened the database to write to it");
            let error = Error::new(ErrorKind::Locked, what).in_file(root);
            Err(error.advise("close it there, or open it read-only here"))
        }
    }
}
