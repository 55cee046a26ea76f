//! A database: a directory of collections, one writer, any number of readers.
//!
//! A write makes its batch durable, then changes the memory, then publishes the new version. All
//! collections share one log, so the order of batches is one order, also across collections.
//! [`open`] reads, [`write`] writes, [`commit`] moves what is in the log into segments, [`rewrite`]
//! makes room.

mod backup;
mod bulk;
mod check;
mod commit;
mod compaction;
mod group;
mod open;
mod repair;
mod replay;
mod rewrite;
mod staged;
mod write;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use loomdb_graph::{Observer, Workers};

use crate::collection::{Collection, Files, Inner, Making, Schema};
use crate::index::IndexParams;
use crate::limits::MAX_NAME_BYTES;
use crate::storage::{FileSystem, RealFs};
use crate::{Error, ErrorKind, Result};
pub use backup::{BackupInfo, BackupOptions};
pub(crate) use check::check;
pub(crate) use repair::repair;
pub(crate) use write::BULK_BYTES;
use write::{Target, Writer};

/// What a finished write has survived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A loss of power, provided that the disk honors its flush command.
    #[default]
    Synced,
    /// The death of the process; [`Database::sync`] makes everything so far survive the power.
    Buffered,
    /// Nothing, until [`Database::commit`] has returned; for loading many rows. Everything up to
    /// then is one change, collections that were made, renamed and dropped too.
    OnCommit,
}

/// When the space of dead rows is given back without being asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compaction {
    /// On a thread of its own, while others read and write.
    #[default]
    InBackground,
    /// Behind the write that makes it due, which returns when it is done; so the same calls always
    /// do the same.
    BehindWrites,
}

/// How a database is opened.
#[derive(Clone)]
pub struct OpenOptions {
    durability: Durability,
    compaction: Compaction,
    is_read_only: bool,
    index: IndexParams,
    observer: Arc<dyn Observer + Send>,
    fs: Arc<dyn FileSystem>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            compaction: Compaction::default(),
            is_read_only: false,
            index: IndexParams::default(),
            observer: Arc::new(()),
            fs: Arc::new(RealFs),
        }
    }
}

impl OpenOptions {
    /// A database that is made when it is missing, written to with [`Durability::Synced`].
    pub fn new() -> Self {
        Self::default()
    }

    /// What a finished write has survived.
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// When the space of dead rows is given back; under [`Durability::OnCommit`] a commit does it.
    #[must_use]
    pub fn compaction(self, compaction: Compaction) -> Self {
        Self { compaction, ..self }
    }

    /// Only to read, beside any number of other processes; see [`Database::refresh`].
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { is_read_only: true, ..self }
    }

    /// How graphs are built; a collection that was made with [`Schema::m`] or
    /// [`Schema::ef_construction`] keeps those.
    #[must_use]
    pub fn index(self, index: IndexParams) -> Self {
        Self { index, ..self }
    }

    /// Watches compactions, and may cancel them, which changes nothing.
    #[must_use]
    pub fn observer(self, observer: Arc<dyn Observer + Send>) -> Self {
        Self { observer, ..self }
    }

    /// The file system, for tests of failures.
    #[must_use]
    pub fn file_system(self, fs: Arc<dyn FileSystem>) -> Self {
        Self { fs, ..self }
    }

    /// Opens a database.
    ///
    /// # Errors
    /// `Locked` when another process writes to it; `Corrupted` with the file and the byte;
    /// `Unsupported` for a newer format; `NotFound` when it is not there and only to be read;
    /// `AlreadyExists` when other files are in its place; `StorageFull`, `Io`.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Database> {
        open::open(&self, path.as_ref())
    }

    /// Makes a database without files; of the options only the index, the observer and the
    /// compaction count.
    ///
    /// # Errors
    /// `InvalidInput` when the threads cannot be started.
    pub fn in_memory(self) -> Result<Database> {
        open::in_memory(self)
    }
}

/// A database; clones are handles of the same one, and so is every [`Collection`]. It is closed
/// when the last of them is gone, or by [`Self::close`].
///
/// ```
/// use loomdb::{Batch, Database, Ids, Schema};
/// use loomdb_graph::{Metric, Vectors};
///
/// let parent = tempfile::tempdir()?;
/// let db = Database::open(parent.path().join("my.loom"))?;
/// let docs = db.collection("docs", Schema::new(2).metric(Metric::L2))?;
/// let vectors = Vectors::from_flat(2, &[0.0, 0.0, 3.0, 4.0])?;
/// docs.add(&Batch::new(vec![1, 2], vectors)?)?;
/// let hits = docs.search(&[3.0, 4.5]).k(1).run()?;
/// assert_eq!((hits[0].id.to_string().as_str(), hits[0].distance), ("2", 0.5));
/// assert_eq!(docs.delete(&Ids::from(vec![2]))?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Database {
    shared: Arc<Handle>,
}

/// What handles hold: when the last of them goes, the database is closed, whatever its own threads
/// are doing.
pub(crate) struct Handle(Arc<Shared>);

/// What all handles share.
pub(crate) struct Shared {
    /// For threads of its own.
    me: Weak<Self>,
    durability: Durability,
    compaction: Compaction,
    making: Making,
    /// How a reader reads again; nothing for writers and for databases in memory.
    reader: Option<open::Source>,
    writer: Mutex<Writer>,
    /// Small synced writes that wait for the writer.
    line: group::Line,
    collections: RwLock<BTreeMap<String, Arc<Inner>>>,
    warnings: Mutex<Vec<String>>,
    /// What the files of each collection take.
    files: Arc<ArcSwap<HashMap<u32, Files>>>,
    /// Held by whoever rewrites a collection.
    rewriting: Mutex<()>,
    /// The thread that rewrites collections in the background.
    rewriter: Mutex<Option<JoinHandle<()>>>,
    is_closing: AtomicBool,
}

impl Database {
    /// Opens a database to read and write; it is made when it is missing.
    ///
    /// # Errors
    /// As [`OpenOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        OpenOptions::new().open(path)
    }

    /// A database without files.
    ///
    /// # Errors
    /// `InvalidInput` when the threads cannot be started.
    pub fn in_memory() -> Result<Self> {
        open::in_memory(OpenOptions::default())
    }

    /// Opens a collection, which is made when it is missing.
    ///
    /// # Errors
    /// `InvalidInput` when the name cannot be used, or the collection has another metric,
    /// dimension, `m` or `ef_construction`; the errors of writing when it is made.
    pub fn collection(&self, name: &str, schema: Schema) -> Result<Collection> {
        if let Some(inner) = self.find(name) {
            schema.check(name, &inner.state.load(), self.shared.index_params())?;
            return Ok(self.handle(inner));
        }
        match self.create_collection(name, schema) {
            // Another thread was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.collection(name, schema),
            made => made,
        }
    }

    /// Opens a collection that is there.
    ///
    /// # Errors
    /// `NotFound` with the nearest name.
    pub fn existing_collection(&self, name: &str) -> Result<Collection> {
        match self.find(name) {
            Some(inner) => Ok(self.handle(inner)),
            None => Err(self.missing(name)),
        }
    }

    /// Makes a collection.
    ///
    /// # Errors
    /// `AlreadyExists`; `InvalidInput` when the name or the schema cannot be used; `StorageFull`,
    /// `Io`, `Poisoned`.
    pub fn create_collection(&self, name: &str, schema: Schema) -> Result<Collection> {
        check_name(name)?;
        let state = schema.empty_state()?;
        let mut writer = self.shared.lock_to_write()?;
        if self.find(name).is_some() {
            let what = format!("there is a collection {name:?}");
            return Err(Error::new(ErrorKind::AlreadyExists, what));
        }
        let mut number = 0;
        writer.change_manifest(self.shared.durability, |manifest, next_number| {
            number = next_number;
            manifest.collections.push(state.new_entry(name, number));
        })?;
        let inner = Arc::new(Inner::new(number, name, state));
        self.shared.map().insert(name.to_owned(), Arc::clone(&inner));
        Ok(self.handle(inner))
    }

    /// The names of the collections, sorted.
    pub fn collection_names(&self) -> Vec<String> {
        let collections = self.shared.collections.read().unwrap_or_else(PoisonError::into_inner);
        collections.keys().cloned().collect()
    }

    /// Removes a collection with all its points.
    ///
    /// # Errors
    /// `NotFound`; `StorageFull`, `Io`, `Poisoned`.
    pub fn drop_collection(&self, name: &str) -> Result<()> {
        let mut writer = self.shared.lock_to_write()?;
        let inner = self.find(name).ok_or_else(|| self.missing(name))?;
        writer.change_manifest(self.shared.durability, |manifest, _| {
            manifest.collections.retain(|entry| entry.number != inner.number);
        })?;
        inner.is_dropped.store(true, Ordering::Release);
        self.shared.map().remove(name);
        writer.unstage(inner.number);
        Ok(())
    }

    /// Gives a collection another name; handles of it go on.
    ///
    /// # Errors
    /// `NotFound`; `AlreadyExists`; `InvalidInput` when the name cannot be used; `StorageFull`,
    /// `Io`, `Poisoned`.
    pub fn rename_collection(&self, name: &str, new_name: &str) -> Result<()> {
        check_name(new_name)?;
        let mut writer = self.shared.lock_to_write()?;
        let inner = self.find(name).ok_or_else(|| self.missing(name))?;
        if self.find(new_name).is_some() {
            let what = format!("there is a collection {new_name:?}");
            return Err(Error::new(ErrorKind::AlreadyExists, what));
        }
        writer.change_manifest(self.shared.durability, |manifest, _| {
            let renamed =
                manifest.collections.iter_mut().filter(|entry| entry.number == inner.number);
            renamed.for_each(|entry| new_name.clone_into(&mut entry.name));
        })?;
        let mut collections = self.shared.map();
        collections.remove(name);
        inner.name.store(Arc::new(new_name.to_owned()));
        collections.insert(new_name.to_owned(), inner);
        Ok(())
    }

    /// Makes every finished write survive a loss of power.
    ///
    /// # Errors
    /// `StorageFull`, `Io`, `Poisoned`.
    pub fn sync(&self) -> Result<()> {
        if self.shared.durability == Durability::OnCommit {
            return self.commit();
        }
        self.shared.lock_to_write()?.sync()
    }

    /// Moves every finished write into segments, which also makes it survive a loss of power.
    ///
    /// # Errors
    /// `StorageFull`, `Io`, `Poisoned`; nothing is lost, and a full disk may be tried again.
    pub fn commit(&self) -> Result<()> {
        let _rewriting = self.shared.holds_back().then(|| self.shared.rewriting());
        let mut writer = self.shared.lock_to_write()?;
        self.shared.commit(&mut writer)?;
        self.shared.give_back_all(writer);
        Ok(())
    }

    /// Waits until no collection is rewritten in the background.
    pub fn wait_for_compaction(&self) {
        self.shared.wait_for_rewriting();
    }

    /// Reads what was written since; only for a database that was opened to be read.
    ///
    /// # Errors
    /// As [`OpenOptions::open`]; `InvalidInput` when this handle writes.
    pub fn refresh(&self) -> Result<()> {
        self.shared.refresh()
    }

    /// What was found wrong when the database was opened, and did no harm to the points.
    pub fn warnings(&self) -> Vec<String> {
        self.shared.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes the database for all handles, and unlocks it. Without this it is closed when the
    /// last handle is gone, but then nobody is told of an error.
    ///
    /// # Errors
    /// `StorageFull`, `Io`. What was durable is.
    pub fn close(self) -> Result<()> {
        self.shared.close()
    }

    fn find(&self, name: &str) -> Option<Arc<Inner>> {
        let collections = self.shared.collections.read().unwrap_or_else(PoisonError::into_inner);
        collections.get(name).cloned()
    }

    fn handle(&self, inner: Arc<Inner>) -> Collection {
        Collection { shared: Arc::clone(&self.shared), inner }
    }

    fn missing(&self, name: &str) -> Error {
        let names = self.collection_names();
        let error = Error::new(ErrorKind::NotFound, format!("there is no collection {name:?}"));
        match crate::suggest::nearest(name, names.iter().map(String::as_str)) {
            Some(nearest) => error.advise(format!("did you mean {nearest:?}?")),
            None if names.is_empty() => error.advise("the database has none"),
            None => error.advise(format!("there are: {}", names.join(", "))),
        }
    }
}

impl fmt::Debug for OpenOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = formatter.debug_struct("OpenOptions");
        fields.field("durability", &self.durability).field("compaction", &self.compaction);
        fields.field("is_read_only", &self.is_read_only);
        fields.field("index", &self.index).finish_non_exhaustive()
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.0.fmt(formatter)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let collections = self.collections.read().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<&String> = collections.keys().collect();
        formatter.debug_struct("Database").field("collections", &names).finish_non_exhaustive()
    }
}

impl Shared {
    fn map(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<String, Arc<Inner>>> {
        self.collections.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What indexes are made with, unless their collection was made with something else.
    pub(crate) fn index_params(&self) -> &IndexParams {
        &self.making.params
    }

    /// The directory, unless the database is in memory or closed.
    fn place(&self) -> Option<(Arc<dyn FileSystem>, PathBuf)> {
        if let Some(source) = &self.reader {
            return Some(source.place());
        }
        match &self.lock().target {
            Target::Directory(directory) => {
                Some((Arc::clone(directory.fs()), directory.root().to_owned()))
            }
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        // A writer that panicked may have written half of something.
        match self.writer.lock() {
            Ok(writer) => writer,
            Err(poisoned) => {
                let mut writer = poisoned.into_inner();
                writer.set_broken();
                writer
            }
        }
    }

    /// The writer, if it may write.
    fn lock_to_write(&self) -> Result<MutexGuard<'_, Writer>> {
        let writer = self.lock();
        writer.check()?;
        Ok(writer)
    }
}

impl Deref for Handle {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Nobody can be told; everything that was promised is kept without it.
        self.close().ok();
    }
}

fn check_name(name: &str) -> Result<()> {
    if !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control) {
        return Ok(());
    }
    let advice = format!("names have 1 to {MAX_NAME_BYTES} bytes and no control characters");
    Err(Error::invalid(format!("{name:?} cannot be the name of a collection")).advise(advice))
}

fn making(options: &OpenOptions) -> Result<Making> {
    let workers = Arc::new(Workers::new(options.index.threads)?);
    let observer = Arc::clone(&options.observer);
    Ok(Making { params: options.index.clone(), workers, observer })
}
