//! Files whose bytes are summed as they are written and verified as they are read.
//!
//! No byte of a damaged block reaches a decoder, so an error names the block instead of whatever
//! the decoder stumbles over.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use arrow_buffer::Buffer;
use loomdb_graph::Workers;

use super::RESTORE;
use super::checksum::{self, BLOCK_BYTES, BlockSums};
use super::fs::{FileHandle, FileSystem};
use super::manifest::FileRecord;
use crate::{Error, ErrorKind, Result};

/// Bytes that are written by one system call.
const CHUNK_BYTES: usize = 16 * BLOCK_BYTES;

/// Bytes that are read by one, which are still in the nearest caches when they are summed.
const READ_BYTES: usize = 4 * BLOCK_BYTES;

/// A new file under the root of a database.
#[derive(Debug)]
pub(super) struct CheckedWriter {
    file: Box<dyn FileHandle>,
    path: PathBuf,
    name: String,
    buffer: Vec<u8>,
    /// Where numbers become bytes, kept so that each row does not allocate.
    encoded: Vec<u8>,
    sums: BlockSums,
    len_bytes: u64,
}

impl CheckedWriter {
    /// Makes the file `name`, with forward slashes, under `root`.
    pub(super) fn create(fs: &dyn FileSystem, root: &Path, name: &str) -> Result<Self> {
        let path = root.join(name);
        let file = fs.create_new(&path).map_err(|error| Error::io("create it", &path, error))?;
        Ok(Self {
            file,
            path,
            name: name.to_owned(),
            buffer: Vec::with_capacity(CHUNK_BYTES),
            encoded: Vec::new(),
            sums: BlockSums::default(),
            len_bytes: 0,
        })
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let written = io::Write::write_all(self, bytes);
        written.map_err(|error| self.failed(error))
    }

    /// Appends numbers, each as the bytes that `encode` makes of it.
    pub(super) fn append_all<T: Copy, const N: usize>(
        &mut self,
        numbers: &[T],
        encode: impl Fn(T) -> [u8; N],
    ) -> Result<()> {
        let mut bytes = std::mem::take(&mut self.encoded);
        for piece in numbers.chunks(CHUNK_BYTES / N) {
            bytes.resize(N * piece.len(), 0);
            for (place, number) in bytes.as_chunks_mut().0.iter_mut().zip(piece) {
                *place = encode(*number);
            }
            self.append(&bytes)?;
        }
        self.encoded = bytes;
        Ok(())
    }

    /// The bytes that were appended.
    pub(super) fn len_so_far(&self) -> usize {
        self.len_bytes as usize + self.buffer.len()
    }

    /// The crc32c of everything that was appended.
    pub(super) fn sum_so_far(&self) -> u32 {
        let mut sums = self.sums.clone();
        sums.update(&self.buffer);
        checksum::whole(&sums.finish(), self.len_so_far() as u64)
    }

    /// Writes what is left, syncs the file, and returns what the manifest says about it.
    pub(super) fn finish(mut self) -> Result<FileRecord> {
        let synced = self.write_buffer().and_then(|()| self.file.sync_data());
        synced.map_err(|error| self.failed(error))?;
        Ok(FileRecord::new(self.name, self.len_bytes, self.sums.finish()))
    }

    pub(super) fn failed(&self, error: io::Error) -> Error {
        Error::io("write it", &self.path, error)
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        self.file.append(&self.buffer)?;
        self.sums.update(&self.buffer);
        self.len_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl io::Write for CheckedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK_BYTES - self.buffer.len());
        let (now, _) = bytes.split_at(taken);
        self.buffer.extend_from_slice(now);
        if self.buffer.len() == CHUNK_BYTES {
            self.write_buffer()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that the manifest names, read from its beginning.
#[derive(Debug)]
pub(super) struct CheckedReader<'a> {
    file: Box<dyn FileHandle>,
    path: PathBuf,
    record: &'a FileRecord,
    sums: &'a [u32],
    offset: u64,
    /// Where it stops.
    end: u64,
    buffer: Vec<u8>,
}

impl<'a> CheckedReader<'a> {
    /// Opens the file and compares its length.
    pub(super) fn open(fs: &dyn FileSystem, root: &Path, record: &'a FileRecord) -> Result<Self> {
        let path = root.join(record.name());
        let file = fs.open(&path).map_err(|error| missing(&path, error))?;
        Self::over(file, &path, record)
    }

    /// Reads a file that is open already.
    pub(super) fn over(
        file: Box<dyn FileHandle>,
        path: &Path,
        record: &'a FileRecord,
    ) -> Result<Self> {
        let path = path.to_owned();
        let len_bytes = file.len_bytes().map_err(|error| Error::io("read it", &path, error))?;
        if len_bytes != record.len_bytes() {
            let expected = record.len_bytes();
            let what = format!("the file has {len_bytes} bytes, the manifest says {expected}");
            let from = len_bytes.min(expected);
            return Err(Error::corrupted(what).in_file(&path).at_offset(from).advise(RESTORE));
        }
        let sums = record.block_sums();
        Ok(Self { file, path, record, sums, offset: 0, end: len_bytes, buffer: Vec::new() })
    }

    /// Only some blocks of the file.
    fn only(mut self, blocks: &Range<usize>) -> Self {
        let at = |block: usize| (block as u64 * BLOCK_BYTES as u64).min(self.record.len_bytes());
        (self.offset, self.end) = (at(blocks.start), at(blocks.end));
        self.sums = self.sums.get(blocks.clone()).unwrap_or_default();
        self
    }

    /// The next bytes, which are verified; nothing behind the end. Every chunk but the last has
    /// a multiple of [`BLOCK_BYTES`].
    pub(super) fn next_chunk(&mut self) -> Result<Option<&[u8]>> {
        let left = self.end - self.offset;
        if left == 0 {
            return Ok(None);
        }
        self.buffer.resize(left.min(READ_BYTES as u64) as usize, 0);
        let read = self.file.read_at(self.offset, &mut self.buffer);
        read.map_err(|error| Error::io("read it", &self.path, error))?;
        self.verify()?;
        self.offset += self.buffer.len() as u64;
        Ok(Some(&self.buffer))
    }

    /// Calls `take` with every chunk and its offset.
    fn each(mut self, mut take: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        loop {
            let offset = self.offset;
            match self.next_chunk()? {
                Some(chunk) => take(offset, chunk)?,
                None => return Ok(()),
            }
        }
    }

    /// All bytes, for files that are decoded from memory.
    pub(super) fn read_all(mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.record.len_bytes() as usize);
        while let Some(chunk) = self.next_chunk()? {
            bytes.extend_from_slice(chunk);
        }
        Ok(bytes)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn verify(&mut self) -> Result<()> {
        for (index, block) in self.buffer.chunks(BLOCK_BYTES).enumerate() {
            let expected = self.sums.split_off_first();
            if expected != Some(&crc32c::crc32c(block)) {
                let from = self.offset + (index * BLOCK_BYTES) as u64;
                return Err(mismatch(&self.path, &(from..from + block.len() as u64)));
            }
        }
        Ok(())
    }
}

/// Looks at verified bytes, of which the first are at an offset of the file that is a multiple of
/// [`BLOCK_BYTES`].
pub(super) type Inspect<'a> = &'a (dyn Fn(u64, &[u8]) -> Result<()> + Sync);

/// The bytes of a file that the manifest names, all verified before: mapped, or read where files
/// cannot be mapped. Mapped ones are verified from what the system reads, on all threads, so that a
/// disk that fails is an error; at the mapping it would be the end of the process.
pub(super) fn verified(
    (fs, root): (&dyn FileSystem, &Path),
    record: &FileRecord,
    workers: &Workers,
    inspect: Inspect<'_>,
) -> Result<Buffer> {
    let reader = CheckedReader::open(fs, root, record)?;
    let mapped = fs.map(reader.path()).filter(|map| map.len() as u64 == record.len_bytes());
    let Some(mapped) = mapped else {
        let mut bytes = Vec::with_capacity(record.len_bytes() as usize);
        reader.each(|offset, chunk| {
            inspect(offset, chunk)?;
            bytes.extend_from_slice(chunk);
            Ok(())
        })?;
        return Ok(Buffer::from_vec(bytes));
    };
    let blocks = record.block_sums().len();
    if blocks <= READ_BYTES / BLOCK_BYTES {
        reader.each(inspect)?;
        return Ok(mapped);
    }
    let share = blocks.div_ceil(workers.threads());
    let shares: Vec<Range<usize>> =
        (0..blocks).step_by(share).map(|first| first..(first + share).min(blocks)).collect();
    let verify =
        |share: &Range<usize>| CheckedReader::open(fs, root, record)?.only(share).each(inspect);
    workers.map(&shares, verify).into_iter().collect::<Result<()>>()?;
    Ok(mapped)
}

/// Bytes whose checksum does not match.
pub(super) fn mismatch(path: &Path, bytes: &Range<u64>) -> Error {
    let Range { start, end } = bytes;
    let what = format!("the checksum of the bytes {start} to {end} does not match");
    Error::corrupted(what).in_file(path).at_offset(*start).advise(RESTORE)
}

/// The places of a file whose bytes are not those that were written, or cannot be read, up to the
/// length that the manifest says; neighbors are joined.
pub(super) fn damaged_ranges(
    fs: &dyn FileSystem,
    root: &Path,
    record: &FileRecord,
) -> Result<Vec<Range<u64>>> {
    let path = root.join(record.name());
    let mut file = fs.open(&path).map_err(|error| missing(&path, error))?;
    let mut block = vec![0; BLOCK_BYTES];
    let mut damaged: Vec<Range<u64>> = Vec::new();
    for (index, sum) in record.block_sums().iter().enumerate() {
        let start = (index * BLOCK_BYTES) as u64;
        let end = record.len_bytes().min(start + BLOCK_BYTES as u64);
        block.resize((end - start) as usize, 0);
        let is_sound = file.read_at(start, &mut block).is_ok() && crc32c::crc32c(&block) == *sum;
        match damaged.last_mut() {
            _ if is_sound => {}
            Some(last) if last.end == start => last.end = end,
            _ => damaged.push(start..end),
        }
    }
    Ok(damaged)
}

/// An error of a decoder about a file that it got; other errors know their file already.
pub(super) fn blame(path: &Path, error: Error) -> Error {
    if error.file().is_some() {
        return error;
    }
    error.with_kind(ErrorKind::Corrupted).in_file(path).advise(RESTORE)
}

/// A live file that cannot be opened is damage, not a wrong path.
pub(super) fn missing(path: &Path, error: io::Error) -> Error {
    if error.kind() != io::ErrorKind::NotFound {
        return Error::io("open it", path, error);
    }
    let what = "the file is missing, but the manifest names it";
    Error::corrupted(what).in_file(path).advise(RESTORE).caused_by(error)
}
