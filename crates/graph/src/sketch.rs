//! Rows as tiles multiply them: codes with as many bits as a product can take, of long rows in few
//! dimensions. A sketch lives as long as a build looks for candidates.

use rayon::prelude::*;

use crate::aligned::Aligned;
use crate::blocks::Blocks;
use crate::codes::{Codes, Sharpness};
use crate::directions::Directions;
use crate::kernels::{Kernels, MAX_DEPTH, prefetch, prefetch_line, spare_bits};
use crate::space::Space;

/// Rows that one task takes at least.
const CHUNK_ROWS: usize = 512;

/// The rows of a space.
#[derive(Clone, Debug)]
pub(crate) struct Sketch {
    kernels: Kernels,
    values: Blocks<i8>,
    /// Whether the values lie where the codes of the space do: copies would be the same.
    are_codes: bool,
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
        let rows = projected.as_ref().unwrap_or(codes);
        let sketch = (rows.depth() <= MAX_DEPTH).then(|| Self::of_codes(rows, space.kernels()))?;
        Some(Self { are_codes: sketch.are_codes && projected.is_none(), ..sketch })
    }

    /// The codes with as many bits as a product can take.
    ///
    /// With a bit less, steps are twice as long, and so is the error of rounding: whether it is
    /// small beside a distance in steps is the same question.
    pub(crate) fn of_codes(codes: &Codes, kernels: Kernels) -> Self {
        let spare = 8 - kernels.tile_bits();
        let are_codes = spare == 0;
        let values = if are_codes { codes.values() } else { shortened(codes, spare) };
        let ones = vec![1; codes.depth()];
        let mut heads = Aligned::zeroed(codes.len());
        heads.par_iter_mut().enumerate().with_min_len(CHUNK_ROWS).for_each(|(row, head)| {
            let value = values.row(row);
            *head = Head {
                square: kernels.dot_bytes(value, value),
                start: -kernels.tile_offset() * kernels.dot_bytes(value, &ones),
                is_clamped: codes.norm(row as u32).is_clamped(),
            };
        });
        let heads = Blocks::new(1, heads);
        Self { kernels, values, are_codes, heads, sharpness: codes.sharpness() }
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

    /// Lets go of values that lie where the codes do, so that these can be moved.
    pub(crate) fn release(&mut self) {
        if self.are_codes {
            self.values = Blocks::new(self.depth(), Aligned::zeroed(0));
        }
    }

    /// Puts row `order[i]` at place `i`, as was done to `codes`.
    pub(crate) fn permute(&mut self, order: &[u32], codes: &Codes) {
        if self.are_codes {
            self.values = codes.values();
        } else {
            self.values.permute(order);
        }
        self.heads.permute(order);
    }
}

/// The values of codes with some bits less.
fn shortened(codes: &Codes, spare: u32) -> Blocks<i8> {
    let depth = codes.depth();
    let mut values = Aligned::zeroed(codes.len() * depth);
    values.par_chunks_mut(depth).enumerate().with_min_len(CHUNK_ROWS).for_each(|(row, value)| {
        let code = codes.code(row as u32);
        value.iter_mut().zip(code).for_each(|(value, code)| *value = code >> spare);
    });
    Blocks::new(depth, values)
}
