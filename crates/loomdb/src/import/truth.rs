//! Ground truth: the rows of the true neighbors of queries, as benchmarks come with it.

use std::path::Path;

use super::npy::Array;
use super::rows::{PIECE_BYTES, no_vectors};
use super::values::Number;
use super::vecs::RowReader;
use super::{Format, open_file};
use crate::{Error, Result};

/// The rows of the `k` nearest neighbors of each query, nearest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    k: usize,
    neighbors: Vec<u32>,
}

impl Truth {
    /// Neighbors of each query.
    pub fn k(&self) -> usize {
        self.k
    }

    /// The number of queries.
    pub fn len(&self) -> usize {
        self.neighbors.len() / self.k
    }

    /// Whether there are no queries.
    pub fn is_empty(&self) -> bool {
        self.neighbors.is_empty()
    }

    /// The neighbors of each query, nearest first.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        self.neighbors.chunks_exact(self.k)
    }
}

/// Reads ground truth: an `.npy` array (queries x k) of 32-bit or 64-bit integers, or `.ivecs`.
///
/// # Errors
/// As [`read`](super::read); `InvalidInput` for a negative row number.
pub fn read_truth(path: &Path) -> Result<Truth> {
    let format = Format::of(path)?;
    let truth = match format {
        Format::Npy => read_npy(path),
        Format::Ivecs => read_ivecs(path),
        _ => Err(Error::invalid(format!("ground truth is not read from the format {format}"))
            .advise("known are npy, ivecs")),
    };
    truth.map_err(|error| error.in_file(path))
}

fn read_npy(path: &Path) -> Result<Truth> {
    let mut array = Array::open(path)?;
    let (len, decode) = decoder(&array.dtype)?;
    let row_bytes = array.check_len(len)?;
    let queries = array.rows;
    let mut rows = Neighbors::new(array.columns, queries);
    let queries_per_piece = (PIECE_BYTES / row_bytes).max(1);
    let mut bytes = Vec::new();
    while rows.len() < queries {
        bytes.resize(queries_per_piece.min(queries - rows.len()) * row_bytes, 0);
        array.read_next(&mut bytes)?;
        bytes.chunks_exact(len).try_for_each(|number| rows.push(decode(number)))?;
    }
    rows.finish()
}

/// Turns the bytes of a number into a row; nothing when it is none.
type Decode = fn(&[u8]) -> Option<u32>;

/// The bytes of a number, and how it is read.
fn decoder(dtype: &str) -> Result<(usize, Decode)> {
    match dtype {
        "<i4" => Ok((4, |bytes| i32::from_le_bytes(*bytes.first_chunk()?).try_into().ok())),
        "<u4" => Ok((4, |bytes| Some(u32::from_le_bytes(*bytes.first_chunk()?)))),
        "<i8" => Ok((8, |bytes| i64::from_le_bytes(*bytes.first_chunk()?).try_into().ok())),
        "<u8" => Ok((8, |bytes| u64::from_le_bytes(*bytes.first_chunk()?).try_into().ok())),
        _ => {
            let what = format!("values of type {dtype:?} are no row numbers");
            Err(Error::invalid(what).advise("save them as int32"))
        }
    }
}

fn read_ivecs(path: &Path) -> Result<Truth> {
    let (file, len_bytes) = open_file(path)?;
    let mut reader = RowReader::open(file, len_bytes, Number::I32)?;
    let queries = reader.rows;
    let mut rows = Neighbors::new(reader.dim, queries);
    while rows.len() < queries {
        reader.next_piece(queries - rows.len(), |row| {
            let (numbers, _) = row.as_chunks();
            let mut decoded = numbers.iter().map(|number| i32::from_le_bytes(*number).try_into());
            decoded.try_for_each(|row| rows.push(row.ok()))
        })?;
    }
    reader.check_end()?;
    rows.finish()
}

/// Row numbers read so far.
struct Neighbors {
    truth: Truth,
}

impl Neighbors {
    /// The file was found long enough for so many.
    fn new(k: usize, queries: usize) -> Self {
        Self { truth: Truth { k, neighbors: Vec::with_capacity(k * queries) } }
    }

    fn len(&self) -> usize {
        self.truth.len()
    }

    fn push(&mut self, row: Option<u32>) -> Result<()> {
        let invalid = || Error::invalid("it holds a number that is no row").at_row(self.len());
        let row = row.ok_or_else(invalid)?;
        self.truth.neighbors.push(row);
        Ok(())
    }

    fn finish(self) -> Result<Truth> {
        if self.truth.is_empty() { Err(no_vectors()) } else { Ok(self.truth) }
    }
}
