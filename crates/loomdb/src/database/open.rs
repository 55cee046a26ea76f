//! Opening: the newest manifest, what it names, and the log behind it.
//!
//! Nothing is written before everything has been read, so a crash in between changes nothing. A
//! writer that finds a log that was not ended cleanly copies its sound records into another one
//! and syncs that, instead of trusting that what it read from the cache is on the disk.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock, Weak};

use super::group::Line;
use super::replay;
use super::write::{Target, Writer, files_of};
use super::{Database, Handle, OpenOptions, Shared, making};
use crate::collection::{Files, Inner, Making, Saved, State};
use crate::storage::FileSystem;
use crate::storage::directory::{Directory, read_newest};
use crate::storage::log::{self, LogWriter, Records, Replay};
use crate::storage::manifest::{LogPlace, Manifest};
use crate::storage::segment::Place;
use crate::{Error, ErrorKind, Result};

/// How often a reader begins again because a writer removed what it was about to read.
pub(super) const MAX_TRIES: usize = 20;

/// Where a reader reads again.
#[derive(Debug)]
pub(super) struct Source {
    fs: Arc<dyn FileSystem>,
    root: PathBuf,
}

/// What a manifest and its log hold.
struct Loaded {
    collections: Vec<Loading>,
    log: Option<(LogPlace, Replay, Records)>,
    warnings: Vec<String>,
    files: HashMap<u32, Files>,
}

pub(super) struct Loading {
    pub number: u32,
    name: String,
    /// Records up to it are in the segments.
    pub sealed: u64,
    pub state: State,
    saved: Saved,
}

pub(super) fn in_memory(options: OpenOptions) -> Result<Database> {
    let OpenOptions { compaction, index, observer, .. } = options;
    let options = OpenOptions { compaction, index, observer, ..OpenOptions::default() };
    database(&options, None, Writer::new(Target::Memory(0)), Vec::new(), Vec::new())
}

pub(super) fn open(options: &OpenOptions, path: &Path) -> Result<Database> {
    if options.is_read_only {
        return open_to_read(options, path);
    }
    let mut directory = Directory::open(Arc::clone(&options.fs), path)?;
    let making = making(options)?;
    let manifest = directory.manifest().clone();
    let loaded = load(&*options.fs, path, &manifest, &making)?;
    let Loaded { collections, log, mut warnings, .. } = loaded;
    let sealed = collections.iter().map(|one| one.sealed).max().unwrap_or(0);
    let (log, last) = match log {
        None => (None, sealed),
        Some((place, replay, records)) => {
            // To a reader the same bytes may be a batch that is being written.
            warnings.extend(replay.warning.clone());
            let last = replay.last_sequence;
            (Some(recovered(&mut directory, (&place, &replay), &records)?), last)
        }
    };
    // The newest manifest may have been renamed by a process that died before it synced that: the
    // older one must not go while the newer one may still vanish.
    directory.sync_root()?;
    directory.sweep();
    let mut writer = Writer::new(Target::Directory(Box::new(directory)));
    (writer.log, writer.sequence) = (log, last.max(sealed));
    database(options, None, writer, collections, warnings)
}

pub(super) fn open_to_read(options: &OpenOptions, path: &Path) -> Result<Database> {
    let making = making(options)?;
    let source = Source { fs: Arc::clone(&options.fs), root: path.to_owned() };
    let Loaded { collections, warnings, files, .. } = source.load(&making)?;
    let writer = Writer::new(Target::ReadOnly);
    writer.files.store(Arc::new(files));
    database(options, Some(source), writer, collections, warnings)
}

fn database(
    options: &OpenOptions,
    reader: Option<Source>,
    mut writer: Writer,
    collections: Vec<Loading>,
    warnings: Vec<String>,
) -> Result<Database> {
    let mut map = BTreeMap::new();
    for Loading { number, name, state, saved, .. } in collections {
        writer.saved.insert(number, saved);
        let inner = Arc::new(Inner::new(number, &name, state));
        map.insert(name, inner);
    }
    let files = Arc::clone(&writer.files);
    let making = making(options)?;
    let shared = Arc::new_cyclic(|me| Shared {
        me: Weak::clone(me),
        durability: options.durability,
        compaction: options.compaction,
        making,
        reader,
        writer: Mutex::new(writer),
        line: Line::default(),
        collections: RwLock::new(map),
        warnings: Mutex::new(warnings),
        files,
        rewriting: Mutex::default(),
        rewriter: Mutex::default(),
        is_closing: AtomicBool::new(false),
    });
    Ok(Database { shared: Arc::new(Handle(shared)) })
}

/// The log to go on with: the same one if it was ended cleanly, else a synced copy.
fn recovered(
    directory: &mut Directory,
    (place, replay): (&LogPlace, &Replay),
    records: &Records,
) -> Result<LogWriter> {
    let root = directory.root().to_owned();
    if replay.is_clean {
        return LogWriter::resume(directory.fs(), &root, place, replay);
    }
    let number = directory.next_number();
    let mut log = LogWriter::create(directory.fs(), &root, number, place.first_sequence)?;
    for place in &records.places {
        log.append(records.payload(place))?;
    }
    log.sync()?;
    directory.sync_root()?;
    let mut next = directory.manifest().clone();
    next.log = Some(log.place());
    directory.commit(next)?;
    Ok(log)
}

fn load(fs: &dyn FileSystem, root: &Path, manifest: &Manifest, making: &Making) -> Result<Loaded> {
    let mut warnings = Vec::new();
    let mut collections = Vec::new();
    for entry in &manifest.collections {
        let place = Place { fs, root, directory: &entry.directory };
        let (state, saved) = State::load(place, entry, making, &mut warnings)?;
        let (number, name, sealed) = (entry.number, entry.name.clone(), entry.sequence);
        collections.push(Loading { number, name, sealed, state, saved });
    }
    let mut log = None;
    if let Some(place) = &manifest.log {
        let (records, read) = log::read(fs, root, place)?;
        let applied = replay::Replay::new(&mut collections, making).apply(&records);
        applied.map_err(|error| log::damaged(&root.join(log::file_name(place.number)), error))?;
        let sealed = collections.iter().map(|one| one.sealed).max().unwrap_or(0);
        if read.last_sequence < sealed {
            let what = format!("it ends before batch {sealed}, which is in a segment");
            let error = Error::corrupted(what).in_file(&root.join(log::file_name(place.number)));
            return Err(error.advise(crate::storage::RESTORE));
        }
        log = Some((place.clone(), read, records));
    }
    Ok(Loaded { collections, log, warnings, files: files_of(manifest) })
}

impl Source {
    pub(super) fn place(&self) -> (Arc<dyn FileSystem>, PathBuf) {
        (Arc::clone(&self.fs), self.root.clone())
    }

    /// Reads the newest version; begins again when a writer removed a file meanwhile.
    fn load(&self, making: &Making) -> Result<Loaded> {
        let mut tries = 0;
        loop {
            let manifest = read_newest(&*self.fs, &self.root);
            let number = manifest.as_ref().ok().and_then(Option::as_ref).map(|one| one.number);
            let loaded = manifest.and_then(|manifest| {
                let manifest = manifest.ok_or_else(|| {
                    let what = "it is not a database: there is no manifest";
                    Error::new(ErrorKind::NotFound, what).in_file(&self.root)
                })?;
                load(&*self.fs, &self.root, &manifest, making)
            });
            let Err(error) = loaded else { return loaded };
            tries += 1;
            let newest = read_newest(&*self.fs, &self.root).ok().flatten();
            let is_overtaken = newest.is_some_and(|newest| Some(newest.number) != number);
            if !is_overtaken || tries == MAX_TRIES {
                return Err(error);
            }
        }
    }
}

impl Shared {
    /// Reads the newest version into the same handles.
    pub(super) fn refresh(&self) -> Result<()> {
        let Some(source) = &self.reader else {
            return Err(Error::invalid("a database that is written to is always fresh"));
        };
        let loaded = source.load(&self.making)?;
        self.files.store(Arc::new(loaded.files));
        let mut map = self.map();
        let older: BTreeMap<u32, Arc<Inner>> =
            map.values().map(|inner| (inner.number, Arc::clone(inner))).collect();
        map.clear();
        for Loading { number, name, state, .. } in loaded.collections {
            let inner = match older.get(&number) {
                None => Arc::new(Inner::new(number, &name, state)),
                Some(inner) => {
                    inner.name.store(Arc::new(name.clone()));
                    inner.state.store(Arc::new(state));
                    Arc::clone(inner)
                }
            };
            map.insert(name, inner);
        }
        for gone in older.values().filter(|inner| !map.contains_key(&**inner.name.load())) {
            gone.is_dropped.store(true, std::sync::atomic::Ordering::Release);
        }
        Ok(())
    }
}
