//! The vectors of a segment: an `.npy` file of `f32`, rows in the order of the nodes.

use std::path::Path;

use loomdb_graph::{MAX_VALUE, Vectors};

use super::checked::{CheckedReader, CheckedWriter, blame};
use super::fs::FileSystem;
use super::manifest::FileRecord;
use super::npy::{self, Header};
use crate::{Error, Result};

/// How often `progress` is called while the file is written.
const VALUES_BETWEEN_REPORTS: usize = 1 << 20;

/// Writes the file from `rows` rows of `dim` values; `progress` is asked now and then whether to
/// go on.
pub(super) fn write<'a>(
    mut file: CheckedWriter,
    (rows, dim): (usize, usize),
    row: &dyn Fn(usize) -> &'a [f32],
    progress: &dyn Fn(usize, usize) -> bool,
) -> Result<FileRecord> {
    let rows_between_reports = VALUES_BETWEEN_REPORTS.div_ceil(dim);
    file.append(&npy::encode(rows, dim))?;
    for index in 0..rows {
        if index % rows_between_reports == 0 && !progress(index, rows) {
            return Err(Error::canceled());
        }
        let values = row(index);
        check_row(values, dim).map_err(|error| error.at_row(index))?;
        file.append_all(values, f32::to_le_bytes)?;
    }
    if !progress(rows, rows) {
        return Err(Error::canceled());
    }
    file.finish()
}

/// What cannot be read back must not be written.
fn check_row(values: &[f32], dim: usize) -> Result<()> {
    if values.len() != dim {
        return Err(Error::invalid(format!("it has {} values instead of {dim}", values.len())));
    }
    match values.iter().find(|value| value.is_nan() || value.abs() > MAX_VALUE) {
        None => Ok(()),
        Some(value) => Err(Error::invalid(format!("it holds {value}, which is not finite"))),
    }
}

/// Reads a file of `rows` rows of `dim` values: the first `head` rows, and those behind.
pub(super) fn read(
    fs: &dyn FileSystem,
    root: &Path,
    record: &FileRecord,
    (rows, dim): (usize, usize),
    head: usize,
) -> Result<(Vectors, Vectors)> {
    let reader = RowReader::open(fs, root, record, (rows, dim))?;
    let path = reader.reader.path().to_owned();
    let read = || {
        // The lengths agree with that of the file, so this much is there.
        let mut first = Vectors::with_capacity(dim, head)?;
        let mut behind = Vectors::with_capacity(dim, rows - head)?;
        reader.each(&mut |values| {
            let room = (head - first.len()) * dim;
            let (for_first, for_behind) = values.split_at(room.min(values.len()));
            first.push_rows(for_first)?;
            Ok(behind.push_rows(for_behind)?)
        })?;
        Ok((first, behind))
    };
    read().map_err(|error| blame(&path, error))
}

/// Reads a file piece by piece and keeps nothing: whether it can be read.
pub(super) fn verify(
    fs: &dyn FileSystem,
    root: &Path,
    record: &FileRecord,
    (rows, dim): (usize, usize),
) -> Result<()> {
    let reader = RowReader::open(fs, root, record, (rows, dim))?;
    let path = reader.reader.path().to_owned();
    let mut first = 0;
    let verified = reader.each(&mut |values| {
        for row in values.chunks(dim) {
            check_row(row, dim).map_err(|error| error.at_row(first))?;
            first += 1;
        }
        Ok(())
    });
    verified.map_err(|error| blame(&path, error))
}

/// A file of rows whose header fits the manifest.
struct RowReader<'a> {
    reader: CheckedReader<'a>,
    dim: usize,
    /// Values that were read and not given out.
    values: Vec<f32>,
}

impl<'a> RowReader<'a> {
    fn open(
        fs: &dyn FileSystem,
        root: &Path,
        record: &'a FileRecord,
        (rows, dim): (usize, usize),
    ) -> Result<Self> {
        let mut reader = CheckedReader::open(fs, root, record)?;
        let path = reader.path().to_owned();
        let first = reader.next_chunk()?.unwrap_or_default();
        let data = data_behind_header(first, record.len_bytes(), (rows, dim));
        let values = decoded(data.map_err(|error| blame(&path, error))?).collect();
        Ok(Self { reader, dim, values })
    }

    /// Calls `push` with whole rows, in order. A chunk has a multiple of four bytes: no value is
    /// ever cut.
    fn each(mut self, push: &mut dyn FnMut(&[f32]) -> Result<()>) -> Result<()> {
        loop {
            let complete = self.values.len() / self.dim * self.dim;
            let (rows, _) = self.values.split_at(complete);
            push(rows)?;
            self.values.drain(..complete);
            match self.reader.next_chunk()? {
                Some(chunk) => self.values.extend(decoded(chunk)),
                None => return Ok(()),
            }
        }
    }
}

fn decoded(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value))
}

/// The values in the first chunk of the file, if its header and length fit the manifest.
fn data_behind_header(first: &[u8], len_bytes: u64, shape: (usize, usize)) -> Result<&[u8]> {
    let (rows, dim) = shape;
    let parsed = first.first_chunk().and_then(npy::header_len).and_then(|header_len| {
        let (header, data) = first.split_at_checked(header_len)?;
        Some((npy::decode(header)?, header_len, data))
    });
    let Some((header, header_len, data)) = parsed else {
        return Err(Error::corrupted("it has no header of NumPy"));
    };
    let shape = vec![rows as u64, dim as u64];
    let expected = Header { dtype: "<f4".to_owned(), fortran_order: false, shape };
    let data_len = (rows as u64).checked_mul((size_of::<f32>() * dim) as u64);
    let fits = data_len.and_then(|len| len.checked_add(header_len as u64)) == Some(len_bytes);
    if header == expected && header_len.is_multiple_of(npy::ALIGNMENT) && fits {
        Ok(data)
    } else {
        Err(Error::corrupted(format!("it is not a table of {rows} x {dim} f32")))
    }
}
