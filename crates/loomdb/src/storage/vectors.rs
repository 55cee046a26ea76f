//! The vectors of a segment: an `.npy` file of `f32`, rows in the order of the nodes.

use std::path::Path;
use std::sync::Arc;

use arrow_buffer::{Buffer, ScalarBuffer};
use loomdb_graph::{MAX_VALUE, Values, Vectors, Workers};

use super::checked::{CheckedReader, CheckedWriter, blame, verified};
use super::fs::FileSystem;
use super::manifest::FileRecord;
use super::npy::{self, Header};
use crate::{Error, Result};

/// How often `progress` is called while the file is written.
const VALUES_BETWEEN_REPORTS: usize = 1 << 20;

/// Bytes whose values are looked at together.
const CHECKED_BYTES: usize = 1 << 14;

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
    match values.iter().find(|value| !is_fit(**value)) {
        None => Ok(()),
        Some(value) => Err(Error::invalid(not_finite(*value))),
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

/// The values of a file of `rows` rows of `dim` values where they lie, if they can be mapped; all
/// are verified.
pub(super) fn stored(
    (fs, root): (&dyn FileSystem, &Path),
    record: &FileRecord,
    (rows, dim): (usize, usize),
    workers: &Workers,
) -> Result<Values<f32>> {
    let inspect = |offset: u64, bytes: &[u8]| {
        let header = bytes.first_chunk().filter(|_| offset == 0).and_then(npy::header_len);
        let values = bytes.get(header.unwrap_or(0)..).unwrap_or_default();
        let unfit = values.chunks(CHECKED_BYTES).find(|values| !are_fit(values));
        let value = unfit.and_then(|values| decoded(values).find(|value| !is_fit(*value)));
        value.map_or(Ok(()), |value| Err(Error::corrupted(not_finite(value))))
    };
    let path = root.join(record.name());
    let bytes = verified((fs, root), record, workers, &inspect);
    let bytes = bytes.map_err(|error| blame(&path, error))?;
    let data = data_behind_header(&bytes, record.len_bytes(), (rows, dim));
    let data = data.map_err(|error| blame(&path, error))?;
    Ok(as_values(&bytes, bytes.len() - data.len()))
}

/// The values of a file that was just written, where they lie; nothing where they cannot be looked
/// at there. They are believed: it is what was written.
pub(super) fn mapped(
    (fs, root): (&dyn FileSystem, &Path),
    record: &FileRecord,
    shape: (usize, usize),
) -> Option<Values<f32>> {
    let bytes = fs.map(&root.join(record.name()))?;
    if bytes.len() as u64 != record.len_bytes() {
        return None;
    }
    let data = data_behind_header(&bytes, record.len_bytes(), shape).ok()?;
    can_be_viewed(data).then(|| as_values(&bytes, bytes.len() - data.len()))
}

/// Whether bytes are values where they lie.
fn can_be_viewed(data: &[u8]) -> bool {
    cfg!(target_endian = "little") && data.as_ptr().align_offset(align_of::<f32>()) == 0
}

/// The values behind a header, where they lie if they can be looked at there.
fn as_values(bytes: &Buffer, header_len: usize) -> Values<f32> {
    let data = bytes.slice(header_len);
    if can_be_viewed(&data) {
        Arc::new(ScalarBuffer::<f32>::from(data))
    } else {
        Arc::new(decoded(&data).collect::<Vec<f32>>())
    }
}

/// Whether all values may be stored. All are looked at, so that the compiler makes it wide.
fn are_fit(values: &[u8]) -> bool {
    decoded(values).fold(true, |are_fit, value| are_fit & is_fit(value))
}

fn is_fit(value: f32) -> bool {
    value.abs() <= MAX_VALUE
}

fn not_finite(value: f32) -> String {
    format!("it holds {value}, which is not finite")
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

#[cfg(test)]
mod tests {
    use loomdb_graph::Workers;

    use super::{as_values, npy, stored};
    use crate::ErrorKind;
    use crate::storage::RealFs;
    use crate::storage::checked::CheckedWriter;

    const ROWS: usize = 5_000;
    const DIM: usize = 33;

    /// Writes values as they are, and looks at them again.
    fn written(values: &[f32]) -> crate::Result<Vec<f32>> {
        let directory = tempfile::tempdir().unwrap();
        let mut file = CheckedWriter::create(&RealFs, directory.path(), "vectors.npy").unwrap();
        file.append(&npy::encode(ROWS, DIM)).unwrap();
        file.append_all(values, f32::to_le_bytes).unwrap();
        let record = file.finish().unwrap();
        let workers = Workers::new(2).unwrap();
        let values = stored((&RealFs, directory.path()), &record, (ROWS, DIM), &workers)?;
        Ok((*values).as_ref().to_vec())
    }

    #[test]
    fn values_are_looked_at_where_they_lie() {
        let values: Vec<f32> = (0..ROWS * DIM).map(|value| value as f32).collect();
        assert_eq!(written(&values).unwrap(), values);
        for place in [0, 70_000, ROWS * DIM - 1] {
            for unfit in [f32::NAN, f32::NEG_INFINITY, 1.0e30] {
                let mut values = values.clone();
                values[place] = unfit;
                let error = written(&values).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Corrupted, "{unfit} at {place}");
                assert!(error.to_string().contains("not finite"), "{error}");
            }
        }
    }

    #[test]
    fn values_between_the_places_of_numbers_are_copied() {
        let bytes: Vec<u8> =
            [0; 3].into_iter().chain([1.5_f32, -2.0].map(f32::to_le_bytes).concat()).collect();
        assert_eq!((*as_values(&bytes.into(), 3)).as_ref(), [1.5, -2.0]);
    }
}
