//! One file that appears under its name when it is complete, or not at all.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::directory::sync_directory;
use super::fs::{EntryKind, FileHandle, FileSystem};
use super::save::Existing;
use crate::{Error, ErrorKind, Result};

/// Bytes that are written by one system call.
const BUFFER_BYTES: usize = 1 << 20;

/// A file under another name beside its place; it vanishes unless it is finished.
#[derive(Debug)]
pub(crate) struct NewFile<'a> {
    fs: &'a dyn FileSystem,
    path: &'a Path,
    unfinished: PathBuf,
    existing: Existing,
    file: Box<dyn FileHandle>,
    buffer: Vec<u8>,
    is_finished: bool,
}

impl<'a> NewFile<'a> {
    /// Begins a file whose place is free, or may be freed.
    pub(crate) fn create(
        fs: &'a dyn FileSystem,
        path: &'a Path,
        existing: Existing,
    ) -> Result<Self> {
        check_place(fs, path, existing)?;
        let Some(name) = path.file_name() else {
            return Err(Error::invalid("this is not a name for a file").in_file(path));
        };
        for number in 0_u32.. {
            let mut unfinished = OsString::from(".");
            unfinished.push(name);
            unfinished.push(format!(".tmp-{}-{number}", std::process::id()));
            let unfinished = path.with_file_name(unfinished);
            match fs.create_new(&unfinished) {
                Ok(file) => {
                    let (buffer, is_finished) = (Vec::with_capacity(BUFFER_BYTES), false);
                    return Ok(Self { fs, path, unfinished, existing, file, buffer, is_finished });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create it", &unfinished, error)),
            }
        }
        Err(Error::new(ErrorKind::AlreadyExists, "too many leftovers beside it").in_file(path))
    }

    /// Gives the file its name, on the disk.
    pub(crate) fn finish(mut self) -> Result<()> {
        let written = io::Write::flush(&mut self).and_then(|()| self.file.sync_data());
        written.map_err(|error| Error::io("write it", self.path, error))?;
        check_place(self.fs, self.path, self.existing)?;
        let renamed = self.fs.rename(&self.unfinished, self.path);
        renamed.map_err(|error| Error::io("rename it", &self.unfinished, error))?;
        self.is_finished = true;
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let synced = sync_directory(self.fs, parent.unwrap_or(Path::new(".")));
        // What may not survive is not there; an older file cannot come back.
        synced.inspect_err(|_| drop(self.fs.remove_file(self.path)))
    }
}

fn check_place(fs: &dyn FileSystem, path: &Path, existing: Existing) -> Result<()> {
    let kind = fs.entry_kind(path).map_err(|error| Error::io("look at it", path, error))?;
    let refuse = |what: &'static str, advice: &'static str| {
        Err(Error::new(ErrorKind::AlreadyExists, what).in_file(path).advise(advice))
    };
    match (kind, existing) {
        (None, _) | (Some(EntryKind::File), Existing::Replace) => Ok(()),
        (Some(EntryKind::File), Existing::Refuse) => {
            refuse("it exists already", "choose another name or ask for it to be replaced")
        }
        (Some(_), _) => refuse("it is no file", "choose another name"),
    }
}

impl io::Write for NewFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.append(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            // Nobody can be told, and what remains is marked as rubbish by its name.
            self.fs.remove_file(&self.unfinished).ok();
        }
    }
}
