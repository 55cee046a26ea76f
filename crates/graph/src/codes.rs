//! Rows rounded to one byte a value, for walks ([`crate::coded`]) and for tiles of integer
//! products.
//!
//! Walks read a quarter of the memory, and where the processor multiplies bytes (AVX-512 VNNI,
//! AVX2) a partition is found with a third of the arithmetic of `f32`. What is found by codes is
//! measured again, unrounded, before it becomes a link or an answer. Codes are only trusted where
//! their rounding is small beside the distances that they found ([`Codes::is_sharp_at`]).

mod parts;

use std::sync::Arc;

use rayon::prelude::*;

use crate::aligned::Aligned;
use crate::blocks::Blocks;
use crate::kernels::{Kernels, prefetch, prefetch_line};
use crate::panel::centre;
use crate::space::Space;
use crate::{Metric, Vectors};
pub use parts::CodeParts;

/// Shorter rows gain nothing.
const MIN_DIM: usize = 32;

/// The largest code; the smallest is its negative.
const MAX_CODE: f32 = 127.0;

/// Rows that decide about the range of codes.
const SAMPLE_ROWS: usize = 1_024;

/// The share of a squared distance that the squared error of a row may be, for each dimension:
/// an error in a random direction changes a distance by its share of the dimensions only.
const MAX_ERROR: f32 = 1.0e-4;

/// Rows that are encoded by one task.
const CHUNK_ROWS: usize = 512;

/// Rows of codes are whole registers.
const DEPTH: usize = 32;

/// Sums that are kept apart so that additions need not wait for each other.
const SUMS: usize = 8;

/// The codes of the rows of a version of a space.
#[derive(Clone, Debug)]
pub(crate) struct Codes {
    kernels: Kernels,
    encoder: Encoder,
    /// Bytes of a row: the dimension, rounded up to whole registers of a product.
    depth: usize,
    values: Blocks<i8>,
    norms: Blocks<Norm>,
    /// The mean squared distance of a row from what its code stands for, in squared steps.
    error: f32,
    /// The largest distance of a row in range from what its code stands for, in steps.
    max_error: f32,
}

/// The squared length of a code, and in the highest bit whether a value of the row lies outside
/// of the range of codes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Norm(u32);

/// Which squared distances are large beside the rounding of rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sharpness {
    /// The least of them, in squared steps.
    least: f32,
}

/// How a row becomes a code.
#[derive(Clone, Debug)]
struct Encoder {
    centre: Arc<[f32]>,
    /// What a difference of one between two codes stands for.
    step: f32,
}

/// A row that became a code.
pub(crate) struct Encoded {
    pub norm: Norm,
    /// The squared distance of the row from what its code stands for, in squared steps.
    pub error: f32,
}

impl Norm {
    const CLAMPED: u32 = 1 << 31;

    fn of(code: &[i8], is_clamped: bool) -> Self {
        let square: i32 = code.iter().map(|code| i32::from(*code) * i32::from(*code)).sum();
        Self(square.cast_unsigned() | if is_clamped { Self::CLAMPED } else { 0 })
    }

    /// The squared length of the code, in squared steps.
    #[inline]
    pub(crate) fn square(self) -> u32 {
        self.0 & !Self::CLAMPED
    }

    /// Whether the code does not stand for its row.
    #[inline]
    pub(crate) fn is_clamped(self) -> bool {
        self.0 & Self::CLAMPED != 0
    }
}

impl Sharpness {
    pub(crate) fn is_sharp_at(self, square: f32) -> bool {
        square >= self.least
    }
}

/// The squared distance of two codes, by their inner product. The sum of squares may need all
/// bits of the word, and is never negative.
#[inline]
pub(crate) fn square(left: Norm, right: Norm, product: i32) -> f32 {
    let twice = product.cast_unsigned().wrapping_mul(2);
    (left.square() + right.square()).wrapping_sub(twice) as f32
}

impl Codes {
    /// The codes of the rows of `space`, when they may gain by them.
    pub(crate) fn of(space: &Space) -> Option<Self> {
        // Inner products have no distance of zero that an error could be compared with.
        if space.dim() < MIN_DIM || space.metric() == Metric::Ip || space.len() == 0 {
            return None;
        }
        let encoder = Encoder::new(space)?;
        let depth = space.dim().next_multiple_of(DEPTH);
        let mut values = Aligned::zeroed(space.len() * depth);
        let mut norms = Aligned::zeroed(space.len());
        let rows = values.par_chunks_mut(CHUNK_ROWS * depth).zip(norms.par_chunks_mut(CHUNK_ROWS));
        let encode = |(chunk, (values, norms)): (usize, (&mut [i8], &mut [Norm]))| {
            let nodes = (chunk * CHUNK_ROWS) as u32..;
            let mut max_error = 0.0_f32;
            for ((node, code), norm) in nodes.zip(values.chunks_mut(depth)).zip(norms) {
                let encoded = encoder.encode(space.row(node), space.scale(node), code);
                *norm = encoded.norm;
                max_error = max_error.max(encoded.error_in_range());
            }
            max_error
        };
        let max_error = rows.enumerate().map(encode).reduce(|| 0.0, f32::max).sqrt();
        let error = encoder.error(space, &mut vec![0; depth]);
        let kernels = space.kernels();
        let (values, norms) = (Blocks::new(depth, values), Blocks::new(1, norms));
        Some(Self { kernels, encoder, depth, values, norms, error, max_error })
    }

    /// No codes yet, of rows that are to be rounded as these are.
    pub(crate) fn emptied(&self) -> Self {
        let (values, norms) = (Aligned::with_capacity(0), Aligned::with_capacity(0));
        let (values, norms) = (Blocks::new(self.depth, values), Blocks::new(1, norms));
        Self { encoder: self.encoder.clone(), values, norms, max_error: 0.0, ..*self }
    }

    /// Makes later codes, and their lengths, lie in blocks of so many rows, powers of two.
    pub(crate) fn block_rows(mut self, codes: usize, norms: usize) -> Self {
        self.values = self.values.block_rows(codes);
        self.norms = self.norms.block_rows(norms);
        self
    }

    /// Appends the codes of rows, whose scales are empty when they are all 1.
    pub(crate) fn append(&mut self, rows: &Vectors, scales: &[f32]) {
        let mut code = vec![0; self.depth];
        for row in 0..rows.len() {
            let scale = scales.get(row).copied().unwrap_or(1.0);
            let encoded = self.encode(rows.row(row), scale, &mut code);
            self.values.append(&code);
            self.norms.append(&[encoded.norm]);
            self.max_error = self.max_error.max(encoded.error_in_range().sqrt());
        }
    }

    /// Puts the code of row `order[i]` at place `i`.
    pub(crate) fn permute(&mut self, order: &[u32]) {
        self.values.permute(order);
        self.norms.permute(order);
    }

    /// Makes `code` the code of a vector.
    pub(crate) fn encode(&self, vector: &[f32], scale: f32, code: &mut Vec<i8>) -> Encoded {
        code.resize(self.depth, 0);
        self.encoder.encode(vector, scale, code)
    }

    /// Which squared distances rounding changes by little.
    pub(crate) fn sharpness(&self) -> Sharpness {
        Sharpness { least: self.error / (self.encoder.centre.len() as f32 * MAX_ERROR) }
    }

    /// Whether rounding changes squared distances like this one (in squared steps) by little.
    pub(crate) fn is_sharp_at(&self, square: f32) -> bool {
        self.sharpness().is_sharp_at(square)
    }

    /// A distance of the space as codes measure it, in squared steps.
    #[inline]
    pub(crate) fn in_steps(&self, metric: Metric, distance: f32) -> f32 {
        let square = match metric {
            // Of vectors of unit length.
            Metric::Cosine => 2.0 * distance,
            Metric::L2 | Metric::Ip => distance,
        };
        square / self.encoder.step / self.encoder.step
    }

    /// What a squared step stands for in distances of the space.
    pub(crate) fn unit(&self, metric: Metric) -> f32 {
        let square = self.encoder.step * self.encoder.step;
        match metric {
            // Of vectors of unit length.
            Metric::Cosine => square / 2.0,
            Metric::L2 | Metric::Ip => square,
        }
    }

    /// The largest distance of a row in range from what its code stands for, in steps.
    pub(crate) fn max_error(&self) -> f32 {
        self.max_error
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Bytes of a row.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    pub(crate) fn bytes(&self) -> usize {
        self.values.bytes() + self.norms.bytes()
    }

    /// The inner products of a code with those of `nodes`.
    #[inline]
    pub(crate) fn products(&self, code: &[i8], nodes: &[u32], out: &mut [i32]) {
        self.kernels.dot_bytes_many(code, &self.values, nodes, out);
    }

    #[inline]
    pub(crate) fn code(&self, node: u32) -> &[i8] {
        self.values.row(node as usize)
    }

    #[inline]
    pub(crate) fn norm(&self, node: u32) -> Norm {
        self.norms.row(node as usize)[0]
    }

    /// Asks for a code to be brought into the cache.
    #[inline]
    pub(crate) fn prefetch(&self, node: u32) {
        prefetch(self.code(node));
        prefetch_line(self.norms.row(node as usize));
    }
}

impl Encoded {
    /// The error, as far as it is one of rounding.
    fn error_in_range(&self) -> f32 {
        if self.norm.is_clamped() { 0.0 } else { self.error }
    }
}

impl Encoder {
    /// An encoder whose range holds a sample of the rows; nothing when they are all the same.
    fn new(space: &Space) -> Option<Self> {
        let centre = match space.metric() {
            Metric::L2 => centre(space, 0..space.len() as u32),
            Metric::Cosine | Metric::Ip => vec![0.0; space.dim()],
        };
        let mut encoder = Self { centre: centre.into(), step: 1.0 };
        let range = |node| {
            let values = encoder.values(space.row(node), space.scale(node));
            values.fold(0.0_f32, |range, value| range.max(value.abs()))
        };
        encoder.step = sample(space).map(range).fold(0.0, f32::max) / MAX_CODE;
        (encoder.step > f32::MIN_POSITIVE).then_some(encoder)
    }

    /// The values of a row as they are compared: relative to the centre, or of unit length.
    fn values(&self, row: &[f32], scale: f32) -> impl Iterator<Item = f32> {
        let row = row.iter().zip(self.centre.iter());
        row.map(move |(value, centre)| (value - centre) * scale)
    }

    fn encode(&self, row: &[f32], scale: f32, code: &mut [i8]) -> Encoded {
        let inverse_step = 1.0 / self.step;
        let mut is_clamped = false;
        let mut errors = [0.0; SUMS];
        let (centres, centre) = self.centre.as_chunks::<SUMS>();
        let (rows, row) = row.as_chunks::<SUMS>();
        let (codes, rest) = code[..self.centre.len()].as_chunks_mut::<SUMS>();
        let mut round = |value: f32, centre: f32, code: &mut i8, error: &mut f32| {
            let steps = (value - centre) * scale * inverse_step;
            is_clamped |= steps.abs() > MAX_CODE + 0.5;
            *code = nearest_integer(steps.clamp(-MAX_CODE, MAX_CODE));
            let off = steps - f32::from(*code);
            *error += off * off;
        };
        for ((row, centre), code) in rows.iter().zip(centres).zip(codes) {
            for lane in 0..SUMS {
                round(row[lane], centre[lane], &mut code[lane], &mut errors[lane]);
            }
        }
        for ((value, centre), code) in row.iter().zip(centre).zip(rest) {
            round(*value, *centre, code, &mut errors[0]);
        }
        Encoded { norm: Norm::of(code, is_clamped), error: errors.iter().sum() }
    }

    /// The mean squared error of the rows of the sample, in squared steps.
    fn error(&self, space: &Space, code: &mut [i8]) -> f32 {
        let mut error_of = |node: u32| self.encode(space.row(node), space.scale(node), code).error;
        sample(space).map(&mut error_of).sum::<f32>() / sample(space).count() as f32
    }
}

/// The rows that decide about the range of codes.
fn sample(space: &Space) -> impl Iterator<Item = u32> + use<> {
    let rows = space.len();
    (0..rows as u32).step_by(rows.div_ceil(SAMPLE_ROWS))
}

/// The integer nearest to a small value: the addition leaves it in the lowest bits, and takes a
/// fraction of the time of a rounding function where the processor's own cannot be assumed.
fn nearest_integer(value: f32) -> i8 {
    const SHIFT: f32 = 1.5 * (1_u32 << 23) as f32;
    (value + SHIFT).to_bits() as i8
}
