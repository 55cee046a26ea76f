//! Small files about rows: which of them are deleted, and which node of the graph each one is.
//!
//! The deleted rows are a roaring bitmap in its portable form, the order is one `u32` for each
//! node. Their checksums stand in the manifest.

use std::path::Path;

use roaring::RoaringBitmap;

use super::checked::{CheckedReader, CheckedWriter, blame};
use super::fs::FileSystem;
use super::manifest::FileRecord;
use crate::{Error, Result};

pub(super) fn write_deletes(
    fs: &dyn FileSystem,
    root: &Path,
    name: &str,
    deletes: &RoaringBitmap,
) -> Result<FileRecord> {
    let mut file = CheckedWriter::create(fs, root, name)?;
    deletes.serialize_into(&mut file).map_err(|error| file.failed(error))?;
    file.finish()
}

/// Reads the deleted ones of `rows` rows.
pub(super) fn read_deletes(
    fs: &dyn FileSystem,
    root: &Path,
    record: &FileRecord,
    rows: usize,
) -> Result<RoaringBitmap> {
    let reader = CheckedReader::open(fs, root, record)?;
    let path = reader.path().to_owned();
    let bytes = reader.read_all()?;
    let damaged = |what| blame(&path, Error::corrupted(what));
    let deletes = RoaringBitmap::deserialize_from(&bytes[..])
        .map_err(|error| damaged("the bitmap contradicts its format").caused_by(error))?;
    if deletes.max().is_some_and(|row| row as usize >= rows) {
        return Err(damaged("a deleted row does not exist"));
    }
    Ok(deletes)
}

pub(super) fn write_order(
    fs: &dyn FileSystem,
    root: &Path,
    name: &str,
    rows: &[u32],
) -> Result<FileRecord> {
    let mut file = CheckedWriter::create(fs, root, name)?;
    file.append_all(rows, u32::to_le_bytes)?;
    file.finish()
}

/// Reads the row of each of the first nodes, which are those rows in another order.
pub(super) fn read_order(
    fs: &dyn FileSystem,
    root: &Path,
    record: &FileRecord,
) -> Result<Vec<u32>> {
    let reader = CheckedReader::open(fs, root, record)?;
    let path = reader.path().to_owned();
    let bytes = reader.read_all()?;
    let (rows, rest) = bytes.as_chunks();
    let rows: Vec<u32> = rows.iter().map(|row| u32::from_le_bytes(*row)).collect();
    let mut is_seen = vec![false; rows.len()];
    let mut is_first =
        |row: u32| is_seen.get_mut(row as usize).is_some_and(|seen| !std::mem::replace(seen, true));
    let is_order = rows.iter().all(|row| is_first(*row));
    if is_order && rest.is_empty() {
        return Ok(rows);
    }
    Err(blame(&path, Error::corrupted("it is not an order of rows")))
}
