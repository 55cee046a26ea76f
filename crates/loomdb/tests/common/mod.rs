//! What the tests of the storage share: small collections, their directories, and faults.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use loomdb::storage::{
    Contents, EntryKind, Existing, FileHandle, FileSystem, Locking, Opened, RealFs, SaveOptions,
    open, open_on, save_on,
};
use loomdb::{Ids, Result};
use loomdb_graph::{BuildParams, Graph, Metric, Vectors, Workers, build};

/// Numbers that look random and are the same on every run (`SplitMix64`).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A value in -1..1.
    pub fn value(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// Rows of random values.
pub fn random_rows(rows: usize, dim: usize, seed: u64) -> Vectors {
    let mut random = Random(seed);
    let values: Vec<f32> = (0..rows * dim).map(|_| random.value()).collect();
    Vectors::from_flat(dim, &values).unwrap()
}

/// Text ids of many lengths.
pub fn text_ids(rows: usize) -> Ids {
    Ids::Text((0..rows).map(|row| format!("{}{row}", "x".repeat(row % 7))).collect())
}

/// Integer ids that are in no order.
pub fn integer_ids(rows: usize) -> Ids {
    let mut random = Random(7);
    Ids::Integer((0..rows as u64).map(|row| random.next() << 20 | row).collect())
}

/// A collection in memory: a graph over the first rows, and a tail.
pub struct Collection {
    pub metric: Metric,
    pub graph: Option<Graph>,
    pub tail: Vectors,
    pub ids: Ids,
}

impl Collection {
    /// A collection of `nodes` rows in a graph and `tail` rows in none.
    pub fn new(metric: Metric, dim: usize, (nodes, tail): (usize, usize), ids: Ids) -> Self {
        assert_eq!(ids.len(), nodes + tail);
        let graph = (nodes > 0).then(|| {
            let params = BuildParams { m: 4, ..BuildParams::default() };
            let workers = Workers::new(1).unwrap();
            let rows = random_rows(nodes, dim, 1);
            build(rows, metric, &params, &workers, &()).unwrap().graph
        });
        Self { metric, graph, tail: random_rows(tail, dim, 2), ids }
    }

    /// A collection small enough to damage every byte of its files.
    pub fn small() -> Self {
        Self::new(Metric::Cosine, 5, (20, 3), text_ids(23))
    }

    pub fn row(&self, row: usize) -> &[f32] {
        match &self.graph {
            Some(graph) if row < graph.len() => graph.vector(row as u32),
            Some(graph) => self.tail.row(row - graph.len()),
            None => self.tail.row(row),
        }
    }

    pub fn save(&self, directory: &Path) -> Result<()> {
        self.save_on(&RealFs, directory, Existing::Refuse)
    }

    pub fn save_on(&self, fs: &dyn FileSystem, directory: &Path, existing: Existing) -> Result<()> {
        let row = |row: usize| self.row(row);
        let contents = Contents {
            metric: self.metric,
            dim: self.tail.dim(),
            ids: &self.ids,
            graph: self.graph.as_ref(),
            row: &row,
        };
        save_on(fs, directory, &contents, &SaveOptions { existing, ..SaveOptions::default() })
    }

    /// Whether `opened` is this collection, bit for bit; its graph may be missing.
    pub fn assert_rows_are(&self, opened: &Opened) {
        assert_eq!((opened.metric, opened.dim), (self.metric, self.tail.dim()));
        assert_eq!(opened.ids, self.ids);
        let nodes = opened.graph.as_ref().map_or(0, Graph::len);
        assert_eq!(nodes + opened.tail.len(), self.ids.len());
        for row in 0..self.ids.len() {
            let found = match &opened.graph {
                Some(graph) if row < nodes => graph.vector(row as u32),
                _ => opened.tail.row(row - nodes),
            };
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect();
            let (found, expected): (Vec<u32>, Vec<u32>) = (bits(found), bits(self.row(row)));
            assert_eq!(found, expected, "row {row}");
        }
    }

    /// Whether `opened` is this collection with its graph and without a warning.
    pub fn assert_is(&self, opened: &Opened) {
        assert_eq!(opened.warnings, Vec::<String>::new());
        let parts = |graph: &Option<Graph>| graph.as_ref().map(Graph::to_parts);
        assert_eq!(parts(&opened.graph), parts(&self.graph));
        self.assert_rows_are(opened);
    }

    pub fn assert_is_at(&self, directory: &Path) {
        self.assert_is(&open(directory).unwrap());
    }
}

/// Every file under a directory, by its path from there.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(inner) = pending.pop() {
        for entry in fs::read_dir(directory.join(&inner)).unwrap() {
            let entry = entry.unwrap();
            let path = inner.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() { &mut pending } else { &mut found }.push(path);
        }
    }
    found.sort();
    found
}

/// The names in a directory.
pub fn names(directory: &Path) -> Vec<String> {
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(directory).unwrap().map(name).collect();
    names.sort();
    names
}

/// What goes wrong, counted in calls or bytes.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// This call fails, and no other.
    AtCall(usize),
    /// This call and all behind it fail, as when the process is killed.
    FromCall(usize),
    /// The disk has room for so many bytes.
    FullAfter(usize),
}

/// A call that changed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Create(PathBuf),
    Append(PathBuf),
    SyncData(PathBuf),
    CreateDirectory(PathBuf),
    SyncDirectory(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

/// What happens elsewhere before a call.
type Intruder = Arc<dyn Fn(usize) + Send + Sync>;

/// The real file system with a fault.
#[derive(Clone)]
pub struct FaultyFs {
    fault: Fault,
    intruder: Intruder,
    calls: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl FaultyFs {
    pub fn new(fault: Fault) -> Self {
        Self::with_intruder(fault, Arc::new(|_| ()))
    }

    /// Calls `intruder` with the number of each call before it is made.
    pub fn with_intruder(fault: Fault, intruder: Intruder) -> Self {
        let (calls, bytes, events) = <(Arc<_>, Arc<_>, Arc<_>)>::default();
        Self { fault, intruder, calls, bytes, events }
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    fn call(&self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        (self.intruder)(call);
        let fails = match self.fault {
            Fault::AtCall(fault) => call == fault,
            Fault::FromCall(fault) => call >= fault,
            Fault::FullAfter(_) => false,
        };
        if fails { Err(io::Error::other("planted")) } else { Ok(()) }
    }

    fn change(&self, event: Event) -> io::Result<()> {
        self.call()?;
        self.events.lock().unwrap().push(event);
        Ok(())
    }

    fn handle(&self, path: &Path, inner: Box<dyn FileHandle>) -> Box<dyn FileHandle> {
        Box::new(FaultyFile { fs: self.clone(), path: path.to_owned(), inner })
    }
}

impl fmt::Debug for FaultyFs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} after {} calls", self.fault, self.calls())
    }
}

impl FileSystem for FaultyFs {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FileHandle>> {
        self.change(Event::Create(path.to_owned()))?;
        Ok(self.handle(path, RealFs.create_new(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FileHandle>> {
        self.call()?;
        Ok(self.handle(path, RealFs.open(path)?))
    }

    fn open_to_append(&self, path: &Path) -> io::Result<Box<dyn FileHandle>> {
        self.call()?;
        Ok(self.handle(path, RealFs.open_to_append(path)?))
    }

    fn entry_kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        self.call()?;
        RealFs.entry_kind(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        self.call()?;
        RealFs.list(directory)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.change(Event::CreateDirectory(path.to_owned()))?;
        RealFs.create_directory(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(Event::Rename(from.to_owned(), to.to_owned()))?;
        RealFs.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change(Event::Remove(path.to_owned()))?;
        RealFs.remove_file(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Locking> {
        self.call()?;
        RealFs.lock(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.change(Event::Remove(path.to_owned()))?;
        RealFs.remove_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.change(Event::SyncDirectory(path.to_owned()))?;
        RealFs.sync_directory(path)
    }
}

#[derive(Debug)]
struct FaultyFile {
    fs: FaultyFs,
    path: PathBuf,
    inner: Box<dyn FileHandle>,
}

impl FileHandle for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.fs.change(Event::Append(self.path.clone()))?;
        let before = self.fs.bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        if let Fault::FullAfter(room) = self.fs.fault
            && before + bytes.len() > room
        {
            self.inner.append(&bytes[..room.saturating_sub(before)])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.append(bytes)
    }

    fn set_len(&mut self, len_bytes: u64) -> io::Result<()> {
        self.fs.call()?;
        self.inner.set_len(len_bytes)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.fs.call()?;
        self.inner.read_at(offset, buffer)
    }

    fn len_bytes(&self) -> io::Result<u64> {
        self.fs.call()?;
        self.inner.len_bytes()
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.fs.change(Event::SyncData(self.path.clone()))?;
        self.inner.sync_data()
    }
}

/// A directory that was read into memory, to be opened with any change in a moment.
#[derive(Clone, Debug)]
pub struct MemoryFs {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl MemoryFs {
    pub fn of(directory: &Path) -> Self {
        let read = |file: PathBuf| {
            let bytes = fs::read(directory.join(&file)).unwrap();
            (file, bytes)
        };
        Self { files: files(directory).into_iter().map(read).collect() }
    }

    pub fn names(&self) -> Vec<PathBuf> {
        self.files.keys().cloned().collect()
    }

    pub fn bytes(&self, file: impl AsRef<Path>) -> &[u8] {
        &self.files[file.as_ref()]
    }

    pub fn with(&self, file: impl AsRef<Path>, bytes: &[u8]) -> Self {
        let mut changed = self.clone();
        changed.files.insert(file.as_ref().to_owned(), bytes.to_owned());
        changed
    }

    pub fn without(&self, file: impl AsRef<Path>) -> Self {
        let mut changed = self.clone();
        changed.files.remove(file.as_ref()).unwrap();
        changed
    }

    pub fn open(&self) -> Result<Opened> {
        open_on(self, Path::new(""))
    }
}

/// Files are opened and listed; whatever else a reader does is a mistake.
impl FileSystem for MemoryFs {
    fn open(&self, path: &Path) -> io::Result<Box<dyn FileHandle>> {
        let bytes = self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(MemoryFile(bytes.clone())))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        assert_eq!(directory, Path::new(""));
        let first = |path: &PathBuf| path.iter().next().unwrap().to_owned();
        Ok(self.files.keys().map(first).collect())
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FileHandle>> {
        panic!("{} is created", path.display())
    }

    fn open_to_append(&self, path: &Path) -> io::Result<Box<dyn FileHandle>> {
        panic!("{} is opened to be changed", path.display())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        panic!("{} is removed", path.display())
    }

    fn lock(&self, path: &Path) -> io::Result<Locking> {
        panic!("{} is locked", path.display())
    }

    fn entry_kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        panic!("{} is looked at", path.display())
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        panic!("{} is created", path.display())
    }

    fn rename(&self, from: &Path, _to: &Path) -> io::Result<()> {
        panic!("{} is renamed", from.display())
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        panic!("{} is removed", path.display())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        panic!("{} is synced", path.display())
    }
}

#[derive(Debug)]
struct MemoryFile(Vec<u8>);

impl FileHandle for MemoryFile {
    fn append(&mut self, _bytes: &[u8]) -> io::Result<()> {
        panic!("a reader writes")
    }

    fn set_len(&mut self, _len_bytes: u64) -> io::Result<()> {
        panic!("a reader cuts")
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let bytes = self.0.get(offset as usize..).and_then(|bytes| bytes.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        panic!("a reader syncs")
    }
}
