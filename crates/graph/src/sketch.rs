//! Rows as tiles multiply them: codes with as many bits as a product can take, of long rows in few
//! dimensions. A sketch lives as long as a build looks for candidates.

use rayon::prelude::*;

use crate::aligned::Aligned;
use crate::blocks::Blocks;
use crate::codes::{Codes, Sharpness};
use crate::directions::Directions;
use crate::kernels::{Kernels, MAX_DEPTH, prefetch, prefetch_line, spare_bits};
use crate::space::Space;

/// Rows that are copied by one task.
const CHUNK_ROWS: usize = 512;

/// The rows of a space.
#[derive(Clone, Debug)]
pub(crate) struct Sketch {
    kernels: Kernels,
    values: Blocks<i8>,
    heads: Blocks<Head>,
    sharpness: Sharpness,
}

/// What a product of a row needs beside its values.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Head {
    /// The squared length.
    pub square: i32,
    /// What products with columns start from: columns are larger than what they stand for.
    pub start: i32,
    /// Whether the values do not stand for the row.
    pub is_clamped: bool,
}

impl Sketch {
    /// A sketch of the rows, when tiles of them are faster than those of their values.
    pub(crate) fn of(space: &Space) -> Option<Self> {
        let codes = space.codes().filter(|_| space.kernels().multiplies_bytes())?;
        let projected = Directions::of(space).and_then(|directions| directions.project(space));
        let codes = projected.as_ref().unwrap_or(codes);
        (codes.depth() <= MAX_DEPTH).then(|| Self::of_codes(codes, space.kernels()))
    }

    /// The codes with as many bits as a product can take.
    ///
    /// With a bit less, steps are twice as long, and so is the error of rounding: whether it is
    /// small beside a distance in steps is the same question.
    pub(crate) fn of_codes(codes: &Codes, kernels: Kernels) -> Self {
        let (rows, depth, spare) = (codes.len(), codes.depth(), 8 - kernels.tile_bits());
        let ones = vec![1; depth];
        let (mut values, mut heads) = (Aligned::zeroed(rows * depth), Aligned::zeroed(rows));
        let chunks = values.par_chunks_mut(CHUNK_ROWS * depth);
        let chunks = chunks.zip(heads.par_chunks_mut(CHUNK_ROWS)).enumerate();
        chunks.for_each(|(chunk, (values, heads)): (usize, (&mut [i8], &mut [Head]))| {
            let nodes = (chunk * CHUNK_ROWS) as u32..;
            for ((node, row), head) in nodes.zip(values.chunks_mut(depth)).zip(heads) {
                row.iter_mut()
                    .zip(codes.code(node))
                    .for_each(|(value, code)| *value = code >> spare);
                *head = Head {
                    square: kernels.dot_bytes(row, row),
                    start: -kernels.tile_offset() * kernels.dot_bytes(row, &ones),
                    is_clamped: codes.norm(node).is_clamped(),
                };
            }
        });
        let (values, heads) = (Blocks::new(depth, values), Blocks::new(1, heads));
        Self { kernels, values, heads, sharpness: codes.sharpness() }
    }

    pub(crate) fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// Bytes of a row.
    pub(crate) fn depth(&self) -> usize {
        self.values.stride()
    }

    /// The bits that squared distances have too many for the key of a selection.
    pub(crate) fn spare_bits(&self) -> u32 {
        spare_bits(self.depth(), self.kernels.tile_bits())
    }

    #[inline]
    pub(crate) fn row(&self, node: u32) -> &[i8] {
        self.values.row(node as usize)
    }

    #[inline]
    pub(crate) fn head(&self, node: u32) -> Head {
        self.heads.row(node as usize)[0]
    }

    /// Asks for a row to be brought into the cache.
    #[inline]
    pub(crate) fn prefetch(&self, node: u32) {
        prefetch(self.row(node));
        prefetch_line(self.heads.row(node as usize));
    }

    /// Whether rounding changes squared distances like this one (in squared steps) by little.
    pub(crate) fn is_sharp_at(&self, square: f32) -> bool {
        self.sharpness.is_sharp_at(square)
    }

    /// Puts row `order[i]` at place `i`.
    pub(crate) fn permute(&mut self, order: &[u32]) {
        self.values.permute(order);
        self.heads.permute(order);
    }
}
