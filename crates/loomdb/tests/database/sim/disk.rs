//! What a disk holds and what it still owes: the model of a loss of power.
//!
//! Every write, cut and change of a name is pending until it is synced. A crash decides for each
//! pending change by itself whether it happened, did not happen or, for a write, happened in part,
//! with garbage in the rest, by sectors of 512 bytes or 4 KiB. Nothing is assumed about the order.
//! Bytes that were not written do not change, and a rename happens whole or not at all.
//!
//! A sync that failed is remembered as by Linux: what was pending is taken for clean, so that no
//! later sync makes it durable, although it is still read back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use loomdb_testkit::Random;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    Directory,
    File(usize),
}

type Names = BTreeMap<PathBuf, Entry>;

#[derive(Clone, Debug)]
enum NameChange {
    Add(PathBuf, Entry),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, Entry),
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Arc<[u8]>),
    Cut(usize),
}

#[derive(Clone, Debug, Default)]
struct Inode {
    live: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
    pending: Vec<Change>,
}

/// The names and files of a disk, as processes see them and as they survive.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    inodes: Vec<Inode>,
    live: Names,
    durable: Names,
    pending: Vec<NameChange>,
}

impl Disk {
    pub fn entry(&self, path: &Path) -> Option<Entry> {
        self.live.get(path).copied()
    }

    /// Whether something may be made in the directory of `path`.
    pub fn has_parent(&self, path: &Path) -> bool {
        let parent = path.parent().unwrap_or(Path::new(""));
        parent.as_os_str().is_empty()
            || parent == Path::new("/")
            || self.entry(parent) == Some(Entry::Directory)
    }

    pub fn names_in<'a>(&'a self, directory: &'a Path) -> impl Iterator<Item = &'a Path> {
        self.live.keys().map(PathBuf::as_path).filter(move |path| path.parent() == Some(directory))
    }

    /// Every file with its bytes, as processes see them.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.live.iter().filter_map(|(path, entry)| match entry {
            Entry::File(inode) => Some((path.as_path(), &self.inodes[*inode].live[..])),
            Entry::Directory => None,
        })
    }

    pub fn bytes(&self, inode: usize) -> &[u8] {
        &self.inodes[inode].live
    }

    pub fn add_directory(&mut self, path: &Path) {
        self.add(path, Entry::Directory);
    }

    pub fn add_file(&mut self, path: &Path) -> usize {
        self.inodes.push(Inode::default());
        let inode = self.inodes.len() - 1;
        self.add(path, Entry::File(inode));
        inode
    }

    fn add(&mut self, path: &Path, entry: Entry) {
        self.live.insert(path.to_owned(), entry);
        self.pending.push(NameChange::Add(path.to_owned(), entry));
    }

    pub fn remove(&mut self, path: &Path) {
        self.live.remove(path);
        self.pending.push(NameChange::Remove(path.to_owned()));
    }

    pub fn remove_tree(&mut self, directory: &Path) {
        let inside = self.live.keys().filter(|path| path.starts_with(directory));
        for path in inside.cloned().collect::<Vec<_>>() {
            self.remove(&path);
        }
    }

    pub fn rename(&mut self, from: &Path, to: &Path) {
        let entry = self.live[from];
        rename_in(&mut self.live, from, to, entry);
        self.pending.push(NameChange::Rename(from.to_owned(), to.to_owned(), entry));
    }

    pub fn append(&mut self, inode: usize, bytes: &[u8]) {
        let inode = &mut self.inodes[inode];
        inode.pending.push(Change::Write(inode.live.len(), bytes.into()));
        Arc::make_mut(&mut inode.live).extend_from_slice(bytes);
    }

    pub fn set_len(&mut self, inode: usize, len: usize) {
        let inode = &mut self.inodes[inode];
        inode.pending.push(Change::Cut(len));
        Arc::make_mut(&mut inode.live).resize(len, 0);
    }

    pub fn sync(&mut self, inode: usize) {
        let inode = &mut self.inodes[inode];
        let mut durable = Vec::clone(&inode.durable);
        for change in inode.pending.drain(..) {
            apply(&mut durable, &change);
        }
        inode.durable = Arc::new(durable);
    }

    /// The sync failed: what was to be written never will be, but it is still in the cache.
    pub fn fail_sync(&mut self, inode: usize) {
        self.inodes[inode].pending.clear();
    }

    pub fn sync_directory(&mut self, directory: &Path) {
        let is_inside = |path: &PathBuf| path.parent() == Some(directory);
        for change in std::mem::take(&mut self.pending) {
            let is_synced = match &change {
                NameChange::Add(path, _) | NameChange::Remove(path) => is_inside(path),
                NameChange::Rename(from, to, _) => is_inside(from) || is_inside(to),
            };
            if is_synced {
                apply_name(&mut self.durable, &change);
            } else {
                self.pending.push(change);
            }
        }
    }

    /// The disk behind a loss of power.
    pub fn crash(&self, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut names = self.durable.clone();
        for change in &self.pending {
            if random.below(2) == 0 {
                apply_name(&mut names, change);
            }
        }
        let inodes = self.inodes.iter().map(|inode| crashed(inode, &mut random)).collect();
        Self { inodes, live: names.clone(), durable: names, pending: Vec::new() }.reachable()
    }

    /// The disk behind the death of the process alone: the system writes everything in time.
    pub fn killed(&self) -> Self {
        let settled = |inode: &Inode| Inode {
            live: Arc::clone(&inode.live),
            durable: Arc::clone(&inode.live),
            pending: Vec::new(),
        };
        let inodes = self.inodes.iter().map(settled).collect();
        Self { inodes, live: self.live.clone(), durable: self.live.clone(), pending: Vec::new() }
    }

    /// Without names in directories that are gone.
    fn reachable(mut self) -> Self {
        // Parents sort before what is in them.
        for path in self.live.keys().cloned().collect::<Vec<_>>() {
            if !self.has_parent(&path) {
                self.live.remove(&path);
            }
        }
        self.durable = self.live.clone();
        self
    }

    /// The disk with other bytes in a file, or without it.
    pub fn with(&self, path: &Path, bytes: Option<&[u8]>) -> Self {
        let mut disk = self.killed();
        match bytes {
            None => disk.remove(path),
            Some(bytes) => {
                let inode = disk.add_file(path);
                disk.append(inode, bytes);
            }
        }
        disk.killed()
    }
}

fn rename_in(names: &mut Names, from: &Path, to: &Path, entry: Entry) {
    names.remove(from);
    names.insert(to.to_owned(), entry);
    let inside: Vec<PathBuf> =
        names.keys().filter(|path| path.starts_with(from)).cloned().collect();
    for path in inside {
        let inner = path.strip_prefix(from).unwrap().to_owned();
        let entry = names.remove(&path).unwrap();
        names.insert(to.join(inner), entry);
    }
}

fn apply_name(names: &mut Names, change: &NameChange) {
    match change {
        NameChange::Add(path, entry) => {
            names.insert(path.clone(), *entry);
        }
        NameChange::Remove(path) => {
            names.remove(path);
        }
        NameChange::Rename(from, to, entry) => rename_in(names, from, to, *entry),
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(offset, written) => write(bytes, *offset, written),
        Change::Cut(len) => bytes.resize(*len, 0),
    }
}

/// Writes somewhere; a gap before it reads as zeros.
fn write(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let end = offset + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(written);
}

fn crashed(inode: &Inode, random: &mut Random) -> Inode {
    let mut bytes = Vec::clone(&inode.durable);
    for change in &inode.pending {
        match (random.below(4), change) {
            (0, _) => {}
            (1, Change::Write(offset, written)) => tear(&mut bytes, *offset, written, random),
            _ => apply(&mut bytes, change),
        }
    }
    let bytes = Arc::new(bytes);
    Inode { live: Arc::clone(&bytes), durable: bytes, pending: Vec::new() }
}

/// Writes some sectors, leaves out some, and fills some with garbage.
fn tear(bytes: &mut Vec<u8>, offset: usize, written: &[u8], random: &mut Random) {
    let sector = [512, 4096][random.below(2)];
    let mut at = 0;
    while at < written.len() {
        let end = ((offset + at + 1).next_multiple_of(sector) - offset).min(written.len());
        match random.below(3) {
            0 => {}
            1 => write(bytes, offset + at, &written[at..end]),
            _ => {
                let garbage: Vec<u8> = (at..end).map(|_| random.next_word() as u8).collect();
                write(bytes, offset + at, &garbage);
            }
        }
        at = end;
    }
}
