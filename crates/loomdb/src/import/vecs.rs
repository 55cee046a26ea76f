//! The formats of the TEXMEX data sets: each row behind its own length.

use std::fs::File;

use loomdb_graph::{MAX_DIM, Vectors};

use super::rows::{PIECE_BYTES, Rows};
use super::values::Number;
use super::{Format, Source, read_exact};
use crate::{Error, Result};

/// The bytes of the length in front of each row.
const LENGTH_BYTES: usize = 4;

pub(super) fn read(source: &Source<'_>, format: Format) -> Result<Vectors> {
    let number = match format {
        Format::Bvecs => Number::U8,
        Format::Ivecs => Number::I32,
        _ => Number::F32,
    };
    let (file, len_bytes) = source.open()?;
    let mut reader = RowReader::open(file, len_bytes, number)?;
    let wanted = source.wanted(reader.rows);
    let mut rows = Rows::new(source, reader.dim, wanted, len_bytes)?;
    let mut values = Vec::new();
    while rows.len() < wanted {
        values.clear();
        reader.next_piece(wanted - rows.len(), |row| {
            number.decode(row, &mut values);
            Ok(())
        })?;
        rows.push(&values)?;
        rows.pass_on()?;
    }
    // A cut behind the rows that were asked for does not matter.
    if source.wanted(usize::MAX) > reader.rows {
        reader.check_end()?;
    }
    rows.finish()
}

/// Rows of equal length, each behind it.
pub(super) struct RowReader {
    file: File,
    len_bytes: u64,
    number: Number,
    bytes: Vec<u8>,
    /// Rows that were read.
    done: usize,
    /// The length of the first row, which all must have.
    pub dim: usize,
    /// Rows that are complete.
    pub rows: usize,
}

impl RowReader {
    pub(super) fn open(mut file: File, len_bytes: u64, number: Number) -> Result<Self> {
        let mut length = [0; LENGTH_BYTES];
        read_exact(&mut file, &mut length, 0)?;
        let dim = i32::from_le_bytes(length);
        let dim = usize::try_from(dim).ok().filter(|dim| (1..=MAX_DIM).contains(dim));
        let dim = dim.ok_or_else(|| {
            let dim = i32::from_le_bytes(length);
            let what = format!("the first row claims {dim} values: vectors have 1 to {MAX_DIM}");
            Error::invalid(what).advise("is this the format that the extension says?")
        })?;
        // What was read belongs to the first row: the first piece goes on behind it.
        let bytes = length.to_vec();
        let mut reader = Self { file, len_bytes, number, bytes, done: 0, dim, rows: 0 };
        reader.rows = (len_bytes / reader.row_bytes() as u64) as usize;
        Ok(reader)
    }

    /// Passes the values of up to `most` further rows to `take`.
    pub(super) fn next_piece(
        &mut self,
        most: usize,
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let row_bytes = self.row_bytes();
        let count = (PIECE_BYTES / row_bytes).clamp(1, most);
        let carried = self.bytes.len();
        self.bytes.resize(count * row_bytes, 0);
        let offset = self.offset() + carried as u64;
        let (_, missing) = self.bytes.split_at_mut(carried);
        read_exact(&mut self.file, missing, offset)?;
        for row in self.bytes.chunks_exact(row_bytes) {
            let (length, values) = row.split_at(LENGTH_BYTES);
            if length != (self.dim as u32).to_le_bytes() {
                return Err(self.other_length(length));
            }
            take(values)?;
            self.done += 1;
        }
        self.bytes.clear();
        Ok(())
    }

    /// Whether nothing follows the last complete row.
    pub(super) fn check_end(&self) -> Result<()> {
        if self.offset() == self.len_bytes {
            return Ok(());
        }
        let left = self.len_bytes - self.offset();
        let what = format!("the last row is cut off: {left} of {} bytes", self.row_bytes());
        Err(Error::corrupted(what).at_offset(self.offset()).at_row(self.done))
    }

    fn row_bytes(&self) -> usize {
        LENGTH_BYTES + self.dim * self.number.len_bytes()
    }

    /// Where the next row begins.
    fn offset(&self) -> u64 {
        self.done as u64 * self.row_bytes() as u64
    }

    fn other_length(&self, length: &[u8]) -> Error {
        let length = length.first_chunk().map_or(0, |length| i32::from_le_bytes(*length));
        let what = format!("it has {length} values, the first row has {}", self.dim);
        Error::invalid(what).at_row(self.done).at_offset(self.offset())
    }
}
