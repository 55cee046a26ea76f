//! Copying a database: all files of one version, each byte verified on the way.
//!
//! The files are opened before the first is copied, so a writer may go on and remove what it will.
//! A copy is a database that was closed: its log ends with the last sound record.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::checked::{CheckedReader, CheckedWriter, missing};
use super::directory::{read_newest, sync_directory};
use super::fs::{FileHandle, FileSystem};
use super::log;
use super::manifest::{self, Collection, FileRecord, Manifest};
use super::staging::Staging;
use crate::{Error, ErrorKind, Result};

/// How often it is begun again because a writer removed a file that was about to be opened.
const MAX_TRIES: usize = 20;

/// A version of a database, open to be read whatever is removed.
pub(crate) struct Version {
    root: PathBuf,
    manifest: Manifest,
    /// In the order of the manifest; nothing for the file of a graph that is missing.
    files: Vec<Option<Box<dyn FileHandle>>>,
    /// The sound records of the log, behind its header.
    log: Option<Vec<u8>>,
}

/// What was copied.
#[derive(Debug, Default)]
pub(crate) struct Copied {
    pub files: usize,
    pub bytes: u64,
    pub warnings: Vec<String>,
}

impl Version {
    /// Opens the newest version.
    pub(crate) fn open(fs: &dyn FileSystem, root: &Path) -> Result<Self> {
        let mut tries = 0;
        loop {
            let newest = read_newest(fs, root)?;
            let manifest = newest.ok_or_else(|| {
                let what = "it is not a database: there is no manifest";
                Error::new(ErrorKind::NotFound, what).in_file(root)
            })?;
            let number = manifest.number;
            let opened = Self::open_files(fs, root, manifest);
            tries += 1;
            let Err(error) = opened else { return opened };
            let newest = read_newest(fs, root)?.map(|newest| newest.number);
            if newest == Some(number) || tries == MAX_TRIES {
                return Err(error);
            }
        }
    }

    fn open_files(fs: &dyn FileSystem, root: &Path, mut manifest: Manifest) -> Result<Self> {
        let mut files = Vec::new();
        for collection in &manifest.collections {
            for record in collection.files() {
                let path = root.join(record.name());
                let opened = fs.open(&path).map_err(|error| missing(&path, error));
                files.push(match opened {
                    Err(error) if is_expendable(collection, record) && is_damage(&error) => None,
                    opened => Some(opened?),
                });
            }
        }
        let mut log = None;
        if let Some(place) = &mut manifest.log {
            let (bytes, replay) = log::read_sound(fs, root, place)?;
            place.synced_up_to = replay.end;
            log = Some(bytes);
        }
        Ok(Self { root: root.to_owned(), manifest, files, log })
    }

    /// Copies everything into a new directory and syncs it. A graph that is damaged is left out:
    /// it can be built again.
    pub(crate) fn copy(
        mut self,
        staging: &Staging<'_>,
        progress: &dyn Fn(usize, usize) -> bool,
    ) -> Result<Copied> {
        let (fs, root) = (staging.fs, &*staging.path);
        let all: u64 = self.manifest.files().map(FileRecord::len_bytes).sum();
        let mut copied = Copied::default();
        let directories = directories(&self.manifest);
        directories.iter().try_for_each(|directory| staging.create_directory(directory))?;
        let mut handles = self.files.into_iter();
        for collection in &mut self.manifest.collections {
            let mut is_graph_lost = false;
            let records: Vec<FileRecord> = collection.files().cloned().collect();
            for record in records {
                let handle = handles.next().flatten();
                let from = self.root.join(record.name());
                let written = copy_file(staging, (handle, &from), &record, &mut |more| {
                    copied.bytes += more;
                    progress(copied.bytes as usize, all as usize)
                });
                match written {
                    Err(error) if is_expendable(collection, &record) && is_damage(&error) => {
                        let name = &collection.name;
                        let left_out = format!("the graph of {name:?} is left out: {error:#}");
                        copied.warnings.push(left_out);
                        is_graph_lost = true;
                    }
                    written => written?,
                }
                copied.files += 1;
            }
            if is_graph_lost {
                for record in collection.graph.take().into_iter().chain(collection.order.take()) {
                    fs.remove_file(&root.join(record.name())).ok();
                }
            }
        }
        if let (Some(place), Some(bytes)) = (&self.manifest.log, &self.log) {
            write_file(fs, root, &log::file_name(place.number), bytes)?;
            copied.bytes += bytes.len() as u64;
            copied.files += 1;
        }
        let name = manifest::file_name(self.manifest.number);
        write_file(fs, root, &name, &self.manifest.encode()?)?;
        copied.files += 1;
        // What lies in a directory comes behind it in the set.
        let mut inner = directories.iter().rev();
        inner.try_for_each(|directory| sync_directory(fs, &root.join(directory)))?;
        sync_directory(fs, root)?;
        Ok(copied)
    }
}

fn is_expendable(collection: &Collection, record: &FileRecord) -> bool {
    [&collection.graph, &collection.order].into_iter().flatten().any(|own| own == record)
}

fn is_damage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupted | ErrorKind::Unsupported)
}

/// The directories of all files, each behind the one that it lies in.
fn directories(manifest: &Manifest) -> BTreeSet<String> {
    let names = manifest.files().map(FileRecord::name);
    names
        .flat_map(|name| name.match_indices('/').filter_map(|(at, _)| name.get(..at)))
        .map(str::to_owned)
        .collect()
}

/// Copies a file; `progress` is told of each piece.
fn copy_file(
    staging: &Staging<'_>,
    (handle, path): (Option<Box<dyn FileHandle>>, &Path),
    record: &FileRecord,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<()> {
    let gone = || missing(path, io::ErrorKind::NotFound.into());
    let mut reader = CheckedReader::over(handle.ok_or_else(gone)?, path, record)?;
    let mut file = CheckedWriter::create(staging.fs, &staging.path, record.name())?;
    while let Some(chunk) = reader.next_chunk()? {
        file.append(chunk)?;
        if !progress(chunk.len() as u64) {
            return Err(Error::canceled());
        }
    }
    file.finish()?;
    Ok(())
}

fn write_file(fs: &dyn FileSystem, root: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let mut file = CheckedWriter::create(fs, root, name)?;
    file.append(bytes)?;
    file.finish()?;
    Ok(())
}
