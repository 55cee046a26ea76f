//! Every system call of the storage, behind one small trait.
//!
//! A test puts another implementation in its place, and thereby makes the disk full, a sync fail
//! or the power go at any call.

mod map;

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use arrow_buffer::Buffer;

use map::map;

/// The calls that change or list directories and open files.
pub trait FileSystem: fmt::Debug + Send + Sync {
    /// Makes a file to append to.
    ///
    /// # Errors
    /// As the system says; `AlreadyExists` when there is something of that name.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FileHandle>>;

    /// Opens a file to read.
    ///
    /// # Errors
    /// As the system says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn FileHandle>>;

    /// Opens a file to read it and to append to it.
    ///
    /// # Errors
    /// As the system says.
    fn open_to_append(&self, path: &Path) -> io::Result<Box<dyn FileHandle>>;

    /// All bytes of a file that nobody changes, as a part of the memory that the system fills from
    /// the file when it is looked at; nothing where that is not possible.
    fn map(&self, path: &Path) -> Option<Buffer> {
        let _ = path;
        None
    }

    /// What stands at `path` itself, without following a link; nothing when nothing does.
    ///
    /// # Errors
    /// As the system says.
    fn entry_kind(&self, path: &Path) -> io::Result<Option<EntryKind>>;

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// As the system says.
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>>;

    /// Makes a directory; the one that it lies in must exist.
    ///
    /// # Errors
    /// As the system says.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Gives a file or directory another name on the same disk, in one step.
    ///
    /// # Errors
    /// As the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; who has it open goes on reading it.
    ///
    /// # Errors
    /// As the system says.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory and everything in it.
    ///
    /// # Errors
    /// As the system says.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory survive a loss of power.
    ///
    /// # Errors
    /// As the system says.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Locks a file, which is made when it is not there, and leaves the number of this process in
    /// it. Never waits. The lock ends with the process, however that ends.
    ///
    /// # Errors
    /// As the system says.
    fn lock(&self, path: &Path) -> io::Result<Locking>;
}

/// A lock that ends when this is dropped.
pub trait FileLock: fmt::Debug + Send + Sync {}

/// What came of asking for a lock.
#[derive(Debug)]
pub enum Locking {
    /// It is ours.
    Held(Box<dyn FileLock>),
    /// Somebody else has it.
    Taken {
        /// The number of the process, when it can be read.
        by: Option<u32>,
    },
}

/// The calls on an open file.
pub trait FileHandle: fmt::Debug + Send {
    /// Writes all of `bytes` behind the end.
    ///
    /// # Errors
    /// As the system says; some of the bytes may have been written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file off behind `len_bytes` bytes.
    ///
    /// # Errors
    /// As the system says.
    fn set_len(&mut self, len_bytes: u64) -> io::Result<()>;

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    /// As the system says; `UnexpectedEof` when there are fewer bytes.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    /// As the system says.
    fn len_bytes(&self) -> io::Result<u64>;

    /// Makes the bytes and the length survive a loss of power.
    ///
    /// # Errors
    /// As the system says; what was written must then be taken for lost.
    fn sync_data(&mut self) -> io::Result<()>;
}

/// What a name in a directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A link, a socket or the like.
    Other,
}

/// The file system of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

impl FileSystem for RealFs {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn FileHandle>> {
        // Not opened with `append`, because Windows then refuses to cut the file off.
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(Box::new(RealFile::new(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FileHandle>> {
        Ok(Box::new(RealFile::new(File::open(path)?)))
    }

    fn open_to_append(&self, path: &Path) -> io::Result<Box<dyn FileHandle>> {
        Ok(Box::new(RealFile::new(OpenOptions::new().read(true).write(true).open(path)?)))
    }

    fn map(&self, path: &Path) -> Option<Buffer> {
        map(&File::open(path).ok()?)
    }

    fn entry_kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => Ok(Some(EntryKind::Directory)),
            Ok(metadata) if metadata.is_file() => Ok(Some(EntryKind::File)),
            Ok(_) => Ok(Some(EntryKind::Other)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let entries = fs::read_dir(directory)?;
        let mut names =
            entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    /// Windows has no such call, and its file systems log changes of names by themselves.
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        if cfg!(windows) { Ok(()) } else { File::open(path)?.sync_all() }
    }

    fn lock(&self, path: &Path) -> io::Result<Locking> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {
                // Only a courtesy to whoever comes later, so a full disk does not matter.
                leave_process_number(&file).ok();
                Ok(Locking::Held(Box::new(RealLock { _file: file })))
            }
            Err(TryLockError::WouldBlock) => {
                let text = fs::read_to_string(path).unwrap_or_default();
                Ok(Locking::Taken { by: text.trim().parse().ok() })
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// One write of a fixed length over the older one, so that nobody reads half of a number.
fn leave_process_number(mut file: &File) -> io::Result<()> {
    file.write_all(format!("{:>10}\n", std::process::id()).as_bytes())
}

/// A locked file of the operating system, which unlocks it when it is closed.
#[derive(Debug)]
struct RealLock {
    _file: File,
}

impl FileLock for RealLock {}

/// A file of the operating system.
#[derive(Debug)]
struct RealFile {
    file: File,
    /// Whether the next write goes behind the end, so that appending is one call.
    is_at_end: bool,
}

impl RealFile {
    fn new(file: File) -> Self {
        Self { file, is_at_end: false }
    }
}

impl FileHandle for RealFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.is_at_end {
            self.file.seek(SeekFrom::End(0))?;
        }
        let written = self.file.write_all(bytes);
        self.is_at_end = written.is_ok();
        written
    }

    fn set_len(&mut self, len_bytes: u64) -> io::Result<()> {
        self.is_at_end = false;
        self.file.set_len(len_bytes)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.is_at_end = false;
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(buffer)
    }

    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::{FileSystem, RealFs};

    #[test]
    fn bytes_are_appended_behind_the_end_wherever_the_last_call_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mut file = RealFs.create_new(&path).unwrap();
        file.append(b"one").unwrap();
        file.append(b"two").unwrap();
        let mut three = [0; 3];
        file.read_at(1, &mut three).unwrap();
        assert_eq!(&three, b"net");
        file.append(b"three").unwrap();
        file.set_len(8).unwrap();
        file.append(b"!").unwrap();
        assert_eq!(file.len_bytes().unwrap(), 9);
        let mapped = RealFs.map(&path).unwrap();
        assert_eq!(&mapped[..], b"onetwoth!");
        let mut again = RealFs.open_to_append(&path).unwrap();
        again.append(b"?").unwrap();
        assert_eq!(&RealFs.map(&path).unwrap()[..], b"onetwoth!?");
    }
}
