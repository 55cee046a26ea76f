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
    let mut reader = CheckedReader::open(fs, root, record)?;
    let path = reader.path().to_owned();
    let decoded = decode(&mut reader, record.len_bytes(), (rows, dim), head);
    decoded.map_err(|error| blame(&path, error))
}

fn decode(
    reader: &mut CheckedReader<'_>,
    len_bytes: u64,
    (rows, dim): (usize, usize),
    head: usize,
) -> Result<(Vectors, Vectors)> {
    let first = reader.next_chunk()?.unwrap_or_default();
    let mut bytes = data_behind_header(first, len_bytes, (rows, dim))?;
    // The lengths agree with that of the file, so this much is there.
    let mut split = Split {
        head: Vectors::with_capacity(dim, head)?,
        tail: Vectors::with_capacity(dim, rows - head)?,
        head_rows: head,
        values: Vec::with_capacity(bytes.len() / size_of::<f32>() + dim),
    };
    loop {
        split.push(bytes)?;
        match reader.next_chunk()? {
            Some(chunk) => bytes = chunk,
            None => return Ok((split.head, split.tail)),
        }
    }
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

/// Rows that come in pieces and go to two tables.
struct Split {
    head: Vectors,
    tail: Vectors,
    head_rows: usize,
    /// Values of rows that are not complete yet.
    values: Vec<f32>,
}

impl Split {
    /// The pieces have a multiple of four bytes: a value is never cut.
    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let (values, _) = bytes.as_chunks();
        self.values.extend(values.iter().map(|value| f32::from_le_bytes(*value)));
        let dim = self.head.dim();
        let complete = self.values.len() / dim * dim;
        let (rows, _) = self.values.split_at(complete);
        let room = (self.head_rows - self.head.len()) * dim;
        let (for_head, for_tail) = rows.split_at(room.min(rows.len()));
        self.head.push_rows(for_head)?;
        self.tail.push_rows(for_tail)?;
        self.values.drain(..complete);
        Ok(())
    }
}
