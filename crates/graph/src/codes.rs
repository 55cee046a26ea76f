//! Rows rounded to one byte a value, for walks ([`crate::coded`]) and for tiles of integer
//! products.
//!
//! Walks read a quarter of the memory, and where the processor multiplies bytes (AVX-512 VNNI,
//! AVX2) a partition is found with a third of the arithmetic of `f32`. What is found by codes is
//! measured again, unrounded, before it becomes a link or an answer. Codes are only trusted where
//! their rounding is small beside the distances that they found ([`Codes::is_sharp_at`]).

mod parts;

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::Metric;
use crate::aligned::Aligned;
use crate::blocks::{Blocks, Rows};
use crate::kernels::{Kernels, MAX_CODE, Rounded, Rounding, prefetch, prefetch_line};
use crate::panel::centre;
use crate::search::GROUP;
use crate::space::Space;
pub use parts::CodeParts;

/// Shorter rows gain nothing.
const MIN_DIM: usize = 32;

/// Rows that decide about the range of codes.
const SAMPLE_ROWS: usize = 1_024;

/// The share of a squared distance that the squared error of a row may be, for each dimension:
/// an error in a random direction changes a distance by its share of the dimensions only.
const MAX_ERROR: f32 = 1.0e-4;

/// How much wider the range of made rows is than that of their sample: rows out of range cost more
/// than longer steps.
const MADE_MARGIN: f32 = 1.25;

/// Rows that are encoded by one task.
const CHUNK_ROWS: usize = 512;

/// Codes in one piece of memory that are multiplied together.
const RUN_ROWS: usize = 64;

/// Rows of codes are whole registers.
const DEPTH: usize = 32;

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

/// The codes of a version as loops over some of them read them.
#[derive(Clone, Copy)]
pub(crate) struct CodeRows<'a> {
    codes: &'a Codes,
    values: Rows<'a, i8>,
    norms: Rows<'a, Norm>,
}

/// The squared length of a code, and in the highest bit whether a value of the row lies outside
/// of the range of codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    kernels: Kernels,
    centre: Arc<[f32]>,
    /// What a difference of one between two codes stands for.
    step: f32,
}

/// Some codes that are being made.
struct CodesMut<'a> {
    depth: usize,
    values: &'a mut [i8],
    norms: &'a mut [Norm],
}

/// A row that became a code.
pub(crate) struct Encoded {
    pub norm: Norm,
    /// The squared distance of the row from what its code stands for, in squared steps.
    pub error: f32,
}

impl Norm {
    const CLAMPED: u32 = 1 << 31;

    fn of(kernels: Kernels, code: &[i8], is_clamped: bool) -> Self {
        let square = kernels.dot_bytes(code, code);
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
        let chunk = |(): &mut (), nodes: Range<u32>, codes: CodesMut<'_>| {
            let rows = nodes.map(|node| (space.row(node), space.scale(node)));
            encoder.encode_rows(rows, codes)
        };
        Some(Self::of_chunks(&encoder, space, space.len(), chunk))
    }

    /// The codes of so many rows that are made when they are needed; `sample` has some of them,
    /// which decide about centre and range.
    pub(crate) fn of_made(
        sample: &Space,
        rows: usize,
        make: impl Fn(Range<u32>, &mut Vec<f32>) + Sync,
    ) -> Option<Self> {
        let mut encoder = Encoder::new(sample)?;
        encoder.step *= MADE_MARGIN;
        let chunk = |made: &mut Vec<f32>, nodes: Range<u32>, codes: CodesMut<'_>| {
            make(nodes, made);
            encoder.encode_rows(made.chunks(sample.dim()).map(|row| (row, 1.0)), codes)
        };
        Some(Self::of_chunks(&encoder, sample, rows, chunk))
    }

    /// Codes that `encode` makes, a chunk after the other, with memory that its calls share; it
    /// returns the largest squared error.
    fn of_chunks<M: Default>(
        encoder: &Encoder,
        sample: &Space,
        rows: usize,
        encode: impl Fn(&mut M, Range<u32>, CodesMut<'_>) -> f32 + Sync,
    ) -> Self {
        let depth = sample.dim().next_multiple_of(DEPTH);
        let (mut values, mut norms) = (Aligned::zeroed(rows * depth), Aligned::zeroed(rows));
        let chunks = values.par_chunks_mut(CHUNK_ROWS * depth);
        let chunks = chunks.zip(norms.par_chunks_mut(CHUNK_ROWS)).enumerate();
        let max_error = chunks.map_init(M::default, |memory, (chunk, (values, norms))| {
            let first = (chunk * CHUNK_ROWS) as u32;
            encode(memory, first..first + norms.len() as u32, CodesMut { depth, values, norms })
        });
        let max_error = max_error.reduce(|| 0.0, f32::max).sqrt();
        let error = encoder.error(sample, &mut vec![0; depth]);
        let (kernels, encoder) = (sample.kernels(), encoder.clone());
        let (values, norms) = (Blocks::new(depth, values), Blocks::new(1, norms));
        Self { kernels, encoder, depth, values, norms, error, max_error }
    }

    /// Takes into account that the rows were rounded before, by steps of this length.
    pub(crate) fn add_error(&mut self, squared_steps: f32, step: f32) {
        let ratio = step / self.encoder.step;
        self.error += squared_steps * ratio * ratio;
    }

    /// The mean squared distance of a row from what its code stands for, in squared steps.
    pub(crate) fn error(&self) -> f32 {
        self.error
    }

    /// The row of a node as it is compared, in steps: what its code was rounded from.
    pub(crate) fn push_steps(&self, space: &Space, node: u32, rows: &mut Vec<f32>) {
        let steps = self.encoder.values(space.row(node), space.scale(node));
        rows.extend(steps.map(|value| value / self.encoder.step));
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
    pub(crate) fn append<'a>(&mut self, rows: impl Iterator<Item = &'a [f32]>, scales: &[f32]) {
        let mut code = vec![0; self.depth];
        for (place, row) in rows.enumerate() {
            let scale = scales.get(place).copied().unwrap_or(1.0);
            let encoded = self.encode(row, scale, &mut code);
            self.values.append(&code);
            self.norms.append(&[encoded.norm]);
            self.max_error = self.max_error.max(encoded.error_in_range().sqrt());
        }
    }

    /// The codes themselves, where they lie.
    pub(crate) fn values(&self) -> Blocks<i8> {
        self.values.clone()
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

    /// The codes for loops over some of them.
    #[inline]
    pub(crate) fn rows(&self) -> CodeRows<'_> {
        CodeRows { codes: self, values: self.values.rows(), norms: self.norms.rows() }
    }

    /// Calls `take` with the inner product of a code with that of each of `count` nodes that
    /// follow `first`, and with their lengths, in their order.
    pub(crate) fn each_product(
        &self,
        code: &[i8],
        (first, count): (u32, usize),
        mut take: impl FnMut(u32, Norm, i32),
    ) {
        let mut products = [0; RUN_ROWS];
        let (mut node, end) = (first as usize, first as usize + count);
        while node < end {
            let (values, norms) = (self.values.run(node), self.norms.run(node));
            let rows = (values.len() / self.depth).min(norms.len()).min(end - node).min(RUN_ROWS);
            let products = &mut products[..rows];
            self.kernels.dot_bytes_run(code, &values[..rows * self.depth], products);
            for ((node, norm), product) in (node as u32..).zip(norms).zip(products) {
                take(node, *norm, *product);
            }
            node += rows;
        }
    }

    #[inline]
    pub(crate) fn code(&self, node: u32) -> &[i8] {
        self.values.row(node as usize)
    }

    #[inline]
    pub(crate) fn norm(&self, node: u32) -> Norm {
        self.norms.row(node as usize)[0]
    }
}

impl<'a> CodeRows<'a> {
    #[inline]
    pub(crate) fn code(self, node: u32) -> &'a [i8] {
        self.values.row(node as usize)
    }

    #[inline]
    pub(crate) fn norm(self, node: u32) -> Norm {
        self.norms.row(node as usize)[0]
    }

    /// Asks for a code to be brought into the cache.
    #[inline]
    pub(crate) fn prefetch(self, node: u32) {
        prefetch(self.code(node));
        prefetch_line(self.norms.row(node as usize));
    }

    /// The codes that are read.
    pub(crate) fn codes(self) -> &'a Codes {
        self.codes
    }

    /// The squared distances of a code of this length to those of `nodes`, where a squared step
    /// counts `unit`; what `by_values` says where the code of a node does not stand for its row.
    #[inline]
    pub(crate) fn distances(
        self,
        (code, norm, unit): (&[i8], Norm, f32),
        nodes: &[u32],
        out: &mut [f32],
        by_values: impl Fn(u32) -> f32,
    ) {
        let mut products = [0; GROUP];
        for (nodes, out) in nodes.chunks(GROUP).zip(out.chunks_mut(GROUP)) {
            let products = &mut products[..nodes.len()];
            self.codes.kernels.dot_bytes_many(code, self.values, nodes, products);
            let mut all = 0;
            for ((node, product), out) in nodes.iter().zip(products).zip(&mut *out) {
                let other = self.norm(*node);
                all |= other.0;
                *out = square(norm, other, *product) * unit;
            }
            // Hardly any row is out of range, so this is asked once for all.
            if Norm(all).is_clamped() {
                for (node, out) in nodes.iter().zip(out) {
                    if self.norm(*node).is_clamped() {
                        *out = by_values(*node);
                    }
                }
            }
        }
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
        let mut encoder = Self { kernels: space.kernels(), centre: centre.into(), step: 1.0 };
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
        let (centre, scales) = (&self.centre[..], [scale, 1.0 / self.step]);
        let rounding = Rounding { row, centre, scales, code: &mut code[..row.len()] };
        let Rounded { error, is_clamped } = self.kernels.round(rounding);
        Encoded { norm: Norm::of(self.kernels, code, is_clamped), error }
    }

    /// Encodes rows, each with its scale; the largest squared error.
    fn encode_rows<'a>(
        &self,
        rows: impl Iterator<Item = (&'a [f32], f32)>,
        codes: CodesMut<'_>,
    ) -> f32 {
        let CodesMut { depth, values, norms } = codes;
        let mut max_error = 0.0_f32;
        for (((row, scale), code), norm) in rows.zip(values.chunks_mut(depth)).zip(norms) {
            let encoded = self.encode(row, scale, code);
            *norm = encoded.norm;
            max_error = max_error.max(encoded.error_in_range());
        }
        max_error
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
