//! The one writer: where batches become durable, and when that has failed for good.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::staged::Staged;
use super::{Durability, Shared};
use crate::collection::{Change, Encoder, Files, Inner, Linking, Saved, State};
use crate::limits::MAX_RECORD_BYTES;
use crate::storage::directory::Directory;
use crate::storage::log::{LogWriter, Mark};
use crate::storage::manifest::Manifest;
use crate::storage::segment::Place;
use crate::{Error, ErrorKind, Result};

/// A batch of so many bytes goes straight to a segment: it would be written twice otherwise.
pub(crate) const BULK_BYTES: usize = 8 << 20;

/// A log of so many bytes is moved into segments, so that opening stays quick.
const MAX_LOG_BYTES: u64 = 64 << 20;

/// A graph is written again when it has grown to so many times the rows of the one in the file.
pub(super) const GRAPH_GROWTH: usize = 2;

/// What only the writer of a database has.
#[derive(Debug)]
pub(super) struct Writer {
    pub target: Target,
    pub log: Option<LogWriter>,
    /// The last batch.
    pub sequence: u64,
    pub saved: HashMap<u32, Saved>,
    /// What is written and not committed, by the number of the collection.
    pub staged: HashMap<u32, Staged>,
    /// What the files of each collection take, for whoever asks while the writer is busy.
    pub files: Arc<ArcSwap<HashMap<u32, Files>>>,
    pub encoder: Encoder,
    is_broken: bool,
}

/// Where it writes.
#[derive(Debug)]
pub(super) enum Target {
    Directory(Box<Directory>),
    /// Nowhere; the number is that of the next collection.
    Memory(u32),
    ReadOnly,
    Closed,
}

impl Writer {
    pub(super) fn new(target: Target) -> Self {
        let (log, saved, staged) = (None, HashMap::new(), HashMap::new());
        let (files, encoder) = (Arc::default(), Encoder::default());
        let (sequence, is_broken) = (0, false);
        let writer = Self { target, log, sequence, saved, staged, files, encoder, is_broken };
        writer.note_files();
        writer
    }

    pub(super) fn set_broken(&mut self) {
        self.is_broken = true;
    }

    /// Whether something failed after which nothing may be written.
    pub(super) fn is_broken(&self) -> bool {
        let is_directory_broken =
            matches!(&self.target, Target::Directory(directory) if directory.is_broken());
        self.is_broken || is_directory_broken || self.log.as_ref().is_some_and(LogWriter::is_broken)
    }

    pub(super) fn check(&self) -> Result<()> {
        match &self.target {
            Target::ReadOnly => {
                let error = Error::invalid("the database was opened only to be read");
                Err(error.advise("open it without read_only to write"))
            }
            Target::Closed => Err(Error::invalid("the database was closed").advise("open it")),
            _ if self.is_broken() => {
                let what = "an earlier write or sync failed, so nothing more is written";
                let error = Error::new(ErrorKind::Poisoned, what);
                Err(error.advise("open the database again; what was confirmed is there"))
            }
            _ => Ok(()),
        }
    }

    /// Commits a changed manifest; in memory, and under [`Durability::OnCommit`], only the number
    /// is given out.
    pub(super) fn change_manifest(
        &mut self,
        durability: Durability,
        change: impl FnOnce(&mut Manifest, u32),
    ) -> Result<()> {
        match &mut self.target {
            Target::Directory(directory) => {
                let number = directory.next_number();
                let mut next = directory.manifest().clone();
                change(&mut next, number);
                if durability == Durability::OnCommit { Ok(()) } else { self.install(next) }
            }
            Target::Memory(next_number) => {
                *next_number += 1;
                change(&mut crate::storage::manifest::Manifest::empty(), *next_number);
                Ok(())
            }
            Target::ReadOnly | Target::Closed => Ok(()),
        }
    }

    /// Commits a manifest. What the log holds is synced before, so that no batch in a segment is
    /// older than one that may still be lost.
    pub(super) fn install(&mut self, mut next: Manifest) -> Result<()> {
        if let Some(log) = &mut self.log {
            log.sync()?;
            next.log = Some(log.place());
        }
        match &mut self.target {
            Target::Directory(directory) => directory.commit(next)?,
            _ => return Ok(()),
        }
        self.note_files();
        Ok(())
    }

    /// Publishes what the files of the manifest take.
    pub(super) fn note_files(&self) {
        if let Target::Directory(directory) = &self.target {
            self.files.store(Arc::new(files_of(directory.manifest())));
        }
    }

    pub(super) fn sync(&mut self) -> Result<()> {
        self.log.as_mut().map_or(Ok(()), LogWriter::sync)
    }

    /// The end of the log, which is made when there is none; nothing for a database without.
    pub(super) fn mark(&mut self, shared: &Shared) -> Result<Option<Mark>> {
        self.check()?;
        if self.log.is_none() && shared.is_logged(self) {
            self.create_log()?;
        }
        Ok(self.log.as_ref().map(LogWriter::mark))
    }

    /// Syncs what was appended behind a mark.
    pub(super) fn sync_since(&mut self, mark: Option<Mark>) -> Result<()> {
        match (&mut self.log, mark) {
            (Some(log), Some(mark)) => log.sync_since(mark),
            _ => Ok(()),
        }
    }

    /// Appends a record that counts only once it is synced.
    pub(super) fn append_unsynced(&mut self, record: &[u8]) -> Result<()> {
        self.append(record, Durability::Buffered)
    }

    /// Appends a record, in a log that is made when there is none.
    fn append(&mut self, record: &[u8], durability: Durability) -> Result<()> {
        if self.log.is_none() {
            self.create_log()?;
        }
        let Some(log) = &mut self.log else { return Ok(()) };
        self.sequence = match durability {
            Durability::Synced => log.append_synced(record)?,
            Durability::Buffered | Durability::OnCommit => log.append(record)?,
        };
        Ok(())
    }

    fn create_log(&mut self) -> Result<()> {
        let Target::Directory(directory) = &mut self.target else { return Ok(()) };
        let number = directory.next_number();
        let first_sequence = self.sequence + 1;
        let created = LogWriter::create(directory.fs(), directory.root(), number, first_sequence);
        let log = created.inspect_err(|error| directory.note(error))?;
        directory.sync_root()?;
        let mut next = directory.manifest().clone();
        next.log = Some(log.place());
        directory.commit(next)?;
        self.log = Some(log);
        Ok(())
    }
}

/// What the files of each collection take.
pub(super) fn files_of(manifest: &Manifest) -> HashMap<u32, Files> {
    let collections = manifest.collections.iter();
    collections.map(|entry| (entry.number, Files::of(entry))).collect()
}

impl Shared {
    /// What the files of a collection take.
    pub(crate) fn files(&self, number: u32) -> Files {
        self.files.load().get(&number).copied().unwrap_or_default()
    }

    /// Makes one batch: durable, then in memory, then visible. Returns how many rows it gave up;
    /// `make` may find that there is nothing to do.
    pub(crate) fn write(
        &self,
        inner: &Inner,
        linking: Linking<'_>,
        make: &mut dyn FnMut(&State) -> Result<Option<Change>>,
    ) -> Result<u64> {
        let mut writer = self.lock_to_write()?;
        inner.check_is_there()?;
        let state = inner.state.load_full();
        let Some(change) = make(&state)? else { return Ok(0) };
        let is_logged = self.is_logged(&writer);
        let is_staged = self.is_staged(&writer, &change, linking);
        let mut record = None;
        if is_logged && change.bytes() < BULK_BYTES {
            let encoded = writer.encoder.encode(inner.number, &change)?;
            record = (encoded.len() <= MAX_RECORD_BYTES).then_some(encoded);
        }
        let mut plan = state.plan(change, &self.making)?;
        let is_bulk = is_logged && record.is_none();
        if is_bulk {
            self.write_bulk(&mut writer, inner, &mut plan, linking)?;
        } else {
            plan.prepare(linking, is_logged)?;
        }
        match &record {
            Some(record) => writer.append(record, self.durability)?,
            None if is_staged => self.stage(&mut writer, inner, &plan)?,
            None => {}
        }
        if (is_bulk || is_staged)
            && plan.is_for_tail(linking)
            && writer.move_to_files(inner.number, plan.next())
        {
            plan.drop_vectors();
        }
        let replaced = plan.replaced;
        let applied = plan.apply(writer.sequence, linking).inspect_err(|_| writer.set_broken())?;
        inner.state.store(Arc::new(applied));
        self.tidy_up(&mut writer, inner, is_bulk);
        drop(writer);
        self.give_back_space(inner);
        Ok(replaced)
    }

    /// Changes which fields of a collection are indexed to those that `make` names.
    pub(crate) fn change_indexes(
        &self,
        inner: &Inner,
        make: &dyn Fn(&State) -> Result<Vec<String>>,
    ) -> Result<()> {
        let mut writer = self.lock_to_write()?;
        inner.check_is_there()?;
        let state = inner.state.load_full();
        let next = state.with_indexes(make(&state)?);
        let names = next.indexed_fields();
        if names == state.indexed_fields() {
            return Ok(());
        }
        writer.change_manifest(self.durability, |manifest, _| {
            let entries = manifest.collections.iter_mut();
            let changed = entries.filter(|entry| entry.number == inner.number);
            changed.for_each(|entry| entry.indexed_fields.clone_from(&names));
        })?;
        inner.state.store(Arc::new(next));
        Ok(())
    }

    /// Writes the graph of a collection when it has grown much; a failure is a warning, because
    /// the graph can be built again.
    pub(crate) fn write_graph(&self, inner: &Inner) -> Result<()> {
        let mut writer = self.lock_to_write()?;
        if self.is_logged(&writer)
            && let Err(error) = writer.save_graph(inner)
        {
            self.warn(format!("{error:#}; what was written is safe"));
        }
        Ok(())
    }

    /// Whether batches go to files before they are visible.
    pub(super) fn is_logged(&self, writer: &Writer) -> bool {
        let has_files = matches!(writer.target, Target::Directory(_));
        has_files && self.durability != Durability::OnCommit
    }

    /// Whether a change is a large piece of a stream that goes to files before it is committed.
    fn is_staged(&self, writer: &Writer, change: &Change, linking: Linking<'_>) -> bool {
        let has_files = matches!(writer.target, Target::Directory(_));
        let is_piece = matches!(linking, Linking::Deferred) && change.bytes() >= BULK_BYTES;
        has_files && self.holds_back() && is_piece
    }

    /// What may be done behind a write, which is durable whatever comes of this.
    pub(super) fn tidy_up(&self, writer: &mut Writer, inner: &Inner, is_bulk: bool) {
        let is_long = writer.log.as_ref().is_some_and(|log| log.len_bytes() > MAX_LOG_BYTES);
        let done = if is_long {
            self.commit(writer)
        } else if is_bulk {
            writer.move_to_files(inner.number, &inner.state.load());
            writer.save_graph(inner)
        } else {
            Ok(())
        };
        if let Err(error) = done {
            self.warn(format!("{error:#}; what was written is safe"));
        }
    }
}

impl Writer {
    /// Makes the vectors of a version whose rows are all in segments lie there instead of in
    /// memory, when that is worth it; whether they do.
    pub(super) fn move_to_files(&self, number: u32, state: &State) -> bool {
        let Target::Directory(directory) = &self.target else { return false };
        let staged = self.staged.get(&number).map(|staged| &staged.entry);
        let mut entries = staged.into_iter().chain(&directory.manifest().collections);
        entries.find(|entry| entry.number == number).is_some_and(|entry| {
            let (fs, root) = (&**directory.fs(), directory.root());
            state.move_to_files(Place { fs, root, directory: &entry.directory }, entry)
        })
    }

    /// Writes the graph of a collection when it has grown much since it was written.
    fn save_graph(&mut self, inner: &Inner) -> Result<()> {
        let Target::Directory(directory) = &mut self.target else { return Ok(()) };
        let state = inner.state.load_full();
        let mut saved = self.saved.get(&inner.number).copied().unwrap_or_default();
        if state.graph_rows() < GRAPH_GROWTH * saved.graph_rows.max(1) {
            return Ok(());
        }
        let number = directory.next_number();
        let mut next = directory.manifest().clone();
        let Some(entry) = next.collections.iter_mut().find(|one| one.number == inner.number) else {
            return Ok(());
        };
        let fs = Arc::clone(directory.fs());
        let root = directory.root().to_owned();
        let place = Place { fs: &*fs, root: &root, directory: &entry.directory.clone() };
        let written = state.save_graph(place, entry, &mut saved, number);
        written.inspect_err(|error| directory.note(error))?;
        self.install(next)?;
        self.saved.insert(inner.number, saved);
        Ok(())
    }
}
