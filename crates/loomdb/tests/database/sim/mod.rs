//! A file system in memory that loses power, runs full and fails where a test says.
//!
//! Calls are counted. A [`Fault`] strikes at one call of its sort, or at it and all later ones.
//! Before each call a test may look at the disk, and crash a copy of it.

#![allow(dead_code, reason = "each test uses a part of it")]

mod disk;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use loomdb::storage::{EntryKind, FileHandle, FileLock, FileSystem, Locking};

pub use disk::{Disk, Entry};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Whatever needs room finds none.
    NoSpace,
    /// Any call fails, reads too.
    Io,
    /// A write stops in the middle.
    ShortWrite,
    /// A sync fails, and what was to be synced is lost.
    Sync,
    /// A rename fails.
    Rename,
    /// Nothing happens from here on, as when the process is dead.
    PowerOff,
}

impl FaultKind {
    /// Those of a file system whose process goes on.
    pub const ERRORS: [Self; 5] =
        [Self::NoSpace, Self::Io, Self::ShortWrite, Self::Sync, Self::Rename];

    fn hits(self, call: Call) -> bool {
        match self {
            Self::NoSpace => matches!(call, Call::Write | Call::Create),
            Self::ShortWrite => call == Call::Write,
            Self::Sync => call == Call::Sync,
            Self::Rename => call == Call::Rename,
            Self::Io | Self::PowerOff => true,
        }
    }

    fn error(self) -> io::Error {
        match self {
            Self::NoSpace => io::ErrorKind::StorageFull.into(),
            _ => io::Error::other(format!("planted: {self:?}")),
        }
    }
}

/// When it goes wrong: at a call, counted from 0 among those that can fail in this way.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub kind: FaultKind,
    pub at: usize,
    pub and_later: bool,
}

/// The sorts of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Read,
    Write,
    Create,
    Change,
    Sync,
    Rename,
}

type Watcher = Arc<dyn Fn(&SimFs, usize) + Send + Sync>;

/// The file system; clones share the disk.
#[derive(Clone)]
pub struct SimFs {
    state: Arc<Mutex<State>>,
    watcher: Option<Watcher>,
}

#[derive(Debug, Default)]
struct State {
    disk: Disk,
    locks: BTreeSet<PathBuf>,
    calls: usize,
    fault: Option<Fault>,
    fault_calls: usize,
    struck: usize,
}

impl SimFs {
    pub fn new() -> Self {
        Self::on(Disk::default())
    }

    /// A machine that was just started with this disk.
    pub fn on(disk: Disk) -> Self {
        let state = State { disk, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), watcher: None }
    }

    pub fn with_fault(self, fault: Fault) -> Self {
        self.set_fault(Some(fault));
        self
    }

    /// Calls `watcher` with the number of each call before it is made.
    pub fn watched(mut self, watcher: impl Fn(&Self, usize) + Send + Sync + 'static) -> Self {
        self.watcher = Some(Arc::new(watcher));
        self
    }

    pub fn set_fault(&self, fault: Option<Fault>) {
        let mut state = self.lock_state();
        (state.fault, state.fault_calls) = (fault, 0);
    }

    pub fn calls(&self) -> usize {
        self.lock_state().calls
    }

    /// How often the fault struck.
    pub fn struck(&self) -> usize {
        self.lock_state().struck
    }

    /// The disk as it is.
    pub fn disk(&self) -> Disk {
        self.lock_state().disk.clone()
    }

    /// Puts other bytes under a name, as a failing disk does.
    pub fn overwrite(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.lock_state();
        state.disk = state.disk.with(path, Some(bytes));
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Counts a call; the state when it may happen.
    fn call(&self, call: Call) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.count();
        match state.strike(call) {
            None => Ok(state),
            Some(fault) => Err(fault.error()),
        }
    }

    fn count(&self) -> MutexGuard<'_, State> {
        let number = self.calls();
        if let Some(watcher) = &self.watcher {
            // A copy without the watcher, so that it may look without being called again.
            watcher(&Self { state: Arc::clone(&self.state), watcher: None }, number);
        }
        let mut state = self.lock_state();
        state.calls += 1;
        state
    }

    fn file(&self, inode: usize) -> Box<dyn FileHandle> {
        Box::new(SimFile { fs: self.clone(), inode })
    }
}

impl State {
    /// The fault that strikes this call.
    fn strike(&mut self, call: Call) -> Option<FaultKind> {
        let fault = self.fault.filter(|fault| fault.kind.hits(call))?;
        let number = self.fault_calls;
        self.fault_calls += 1;
        let strikes = number == fault.at || (fault.and_later && number > fault.at);
        self.struck += usize::from(strikes);
        strikes.then_some(fault.kind)
    }

    fn free(&self, path: &Path) -> io::Result<()> {
        match self.disk.entry(path) {
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
            None if !self.disk.has_parent(path) => Err(io::ErrorKind::NotFound.into()),
            None => Ok(()),
        }
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.disk.entry(path) {
            Some(Entry::File(inode)) => Ok(inode),
            Some(Entry::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn directory(&self, path: &Path) -> io::Result<()> {
        match self.disk.entry(path) {
            Some(Entry::Directory) => Ok(()),
            Some(Entry::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None if path == Path::new("/") => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl fmt::Debug for SimFs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock_state();
        write!(formatter, "a disk after {} calls, with {:?}", state.calls, state.fault)
    }
}

impl FileSystem for SimFs {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FileHandle>> {
        let mut state = self.call(Call::Create)?;
        state.free(path)?;
        let inode = state.disk.add_file(path);
        Ok(self.file(inode))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FileHandle>> {
        let inode = self.call(Call::Read)?.file(path)?;
        Ok(self.file(inode))
    }

    fn open_to_append(&self, path: &Path) -> io::Result<Box<dyn FileHandle>> {
        self.open(path)
    }

    fn entry_kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        let entry = self.call(Call::Read)?.disk.entry(path);
        Ok(entry.map(|entry| match entry {
            Entry::Directory => EntryKind::Directory,
            Entry::File(_) => EntryKind::File,
        }))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let state = self.call(Call::Read)?;
        state.directory(directory)?;
        let names = state.disk.names_in(directory).filter_map(Path::file_name);
        Ok(names.map(ToOwned::to_owned).collect())
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.call(Call::Create)?;
        state.free(path)?;
        state.disk.add_directory(path);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.call(Call::Rename)?;
        if state.disk.entry(from).is_none() || !state.disk.has_parent(to) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.disk.rename(from, to);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.call(Call::Change)?;
        state.file(path)?;
        state.disk.remove(path);
        Ok(())
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.call(Call::Change)?;
        state.directory(path)?;
        state.disk.remove_tree(path);
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.call(Call::Sync)?;
        state.directory(path)?;
        state.disk.sync_directory(path);
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Locking> {
        let mut state = self.call(Call::Create)?;
        if !state.locks.insert(path.to_owned()) {
            return Ok(Locking::Taken { by: Some(7) });
        }
        if state.disk.entry(path).is_none() {
            state.disk.add_file(path);
        }
        Ok(Locking::Held(Box::new(SimLock { fs: self.clone(), path: path.to_owned() })))
    }
}

#[derive(Debug)]
struct SimLock {
    fs: SimFs,
    path: PathBuf,
}

impl FileLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.fs.lock_state().locks.remove(&self.path);
    }
}

#[derive(Debug)]
struct SimFile {
    fs: SimFs,
    inode: usize,
}

impl FileHandle for SimFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.fs.count();
        match state.strike(Call::Write) {
            None => state.disk.append(self.inode, bytes),
            Some(fault) => {
                if fault == FaultKind::ShortWrite {
                    state.disk.append(self.inode, &bytes[..bytes.len() / 2]);
                }
                return Err(fault.error());
            }
        }
        Ok(())
    }

    fn set_len(&mut self, len_bytes: u64) -> io::Result<()> {
        self.fs.call(Call::Change)?.disk.set_len(self.inode, len_bytes as usize);
        Ok(())
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let state = self.fs.call(Call::Read)?;
        let bytes = state.disk.bytes(self.inode).get(offset as usize..);
        let bytes = bytes.and_then(|bytes| bytes.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.fs.call(Call::Read)?.disk.bytes(self.inode).len() as u64)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let mut state = self.fs.count();
        match state.strike(Call::Sync) {
            None => state.disk.sync(self.inode),
            Some(fault) => {
                if fault == FaultKind::Sync {
                    state.disk.fail_sync(self.inode);
                }
                return Err(fault.error());
            }
        }
        Ok(())
    }
}
