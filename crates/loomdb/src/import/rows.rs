//! The table that rows are read into, whatever they come from.

use loomdb_graph::Vectors;

use super::Source;
use crate::{Error, Result};

/// Bytes that are read and converted at once.
pub(super) const PIECE_BYTES: usize = 1 << 20;

/// Values that a byte of a compressed file may stand for before its row count is not believed.
const MAX_VALUES_PER_BYTE: u64 = 16;

/// Rows read so far.
pub(super) struct Rows<'a> {
    source: &'a Source<'a>,
    vectors: Vectors,
    /// Rows before these, which were passed on.
    passed: usize,
    /// Rows to read, 0 when unknown.
    total: usize,
}

impl<'a> Rows<'a> {
    /// A table for `total` rows of `dim` values out of a file of `len_bytes` bytes.
    pub(super) fn new(
        source: &'a Source<'a>,
        dim: usize,
        total: usize,
        len_bytes: u64,
    ) -> Result<Self> {
        let believed = (len_bytes.saturating_mul(MAX_VALUES_PER_BYTE) as usize) / dim.max(1);
        let total_rows = total.min(believed).min(source.most_rows(dim));
        let vectors = Vectors::with_capacity(dim, total_rows)?;
        Ok(Self { source, vectors, passed: 0, total })
    }

    pub(super) fn dim(&self) -> usize {
        self.vectors.dim()
    }

    pub(super) fn len(&self) -> usize {
        self.passed + self.vectors.len()
    }

    /// Rows that were passed on.
    pub(super) fn passed(&self) -> usize {
        self.passed
    }

    /// The rows that are to be passed on now, when they are a piece.
    pub(super) fn take_piece(&mut self) -> Result<Option<Vectors>> {
        if !self.source.is_piece(&self.vectors) {
            return Ok(None);
        }
        let rows = self.total.saturating_sub(self.len()).min(self.source.most_rows(self.dim()));
        let next = Vectors::with_capacity(self.dim(), rows)?;
        self.passed = self.len();
        Ok(Some(std::mem::replace(&mut self.vectors, next)))
    }

    /// Passes on the rows, when they are a piece of a file without ids and metadata.
    pub(super) fn pass_on(&mut self) -> Result<()> {
        let piece = self.take_piece()?;
        piece.map_or(Ok(()), |vectors| self.source.pass_on(vectors.into()))
    }

    /// Appends whole rows, and asks whether to go on.
    pub(super) fn push(&mut self, values: &[f32]) -> Result<()> {
        let pushed = self.vectors.push_rows(values);
        pushed.map_err(|error| Error::from(error).behind(self.passed))?;
        if (self.source.options.progress)(self.len(), self.total) {
            Ok(())
        } else {
            Err(Error::canceled())
        }
    }

    pub(super) fn finish(self) -> Result<Vectors> {
        if self.len() == 0 {
            return Err(no_vectors());
        }
        Ok(self.vectors)
    }
}

pub(super) fn no_vectors() -> Error {
    Error::invalid("there are no vectors in it")
}
