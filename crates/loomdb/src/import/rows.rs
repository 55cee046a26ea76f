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
        let vectors = Vectors::with_capacity(dim, total.min(believed))?;
        Ok(Self { source, vectors, total })
    }

    pub(super) fn dim(&self) -> usize {
        self.vectors.dim()
    }

    pub(super) fn len(&self) -> usize {
        self.vectors.len()
    }

    /// Appends whole rows, and asks whether to go on.
    pub(super) fn push(&mut self, values: &[f32]) -> Result<()> {
        self.vectors.push_rows(values)?;
        if (self.source.options.progress)(self.len(), self.total) {
            Ok(())
        } else {
            Err(Error::canceled())
        }
    }

    pub(super) fn finish(self) -> Result<Vectors> {
        if self.vectors.is_empty() {
            return Err(no_vectors());
        }
        Ok(self.vectors)
    }
}

pub(super) fn no_vectors() -> Error {
    Error::invalid("there are no vectors in it")
}
