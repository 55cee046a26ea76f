//! Rows rounded to one byte a value, for walks ([`crate::coded`]) and for tiles of integer
//! products.
//!
//! Walks read a quarter of the memory, and where the processor multiplies bytes (AVX-512 VNNI,
//! AVX2) a partition is found with a third of the arithmetic of `f32`. What is found by codes is
//! measured again, unrounded, before it becomes a link or an answer. Codes are only trusted where
//! their rounding is small beside the distances that they found ([`Codes::is_sharp_at`]).

use std::sync::Arc;

use rayon::prelude::*;

use crate::aligned::Aligned;
use crate::blocks::Blocks;
use crate::candidate::Candidate;
use crate::kernels::{
    CODE_ROWS, COLUMN_LANES, DEPTH_BYTES, Kernels, SHORT_LIST, prefetch, prefetch_line,
};
use crate::panel::centre;
use crate::scan;
use crate::space::Space;
use crate::{Metric, Vectors};

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

    /// Makes later codes lie in blocks of so many rows, a power of two.
    pub(crate) fn block_rows(mut self, rows: usize) -> Self {
        self.values = self.values.block_rows(rows);
        self.norms = self.norms.block_rows(rows);
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

    /// Writes a row with as many bits as products can take, and returns its squared length. With
    /// a bit less, steps are twice as long, and so is the error: whether it is small beside a
    /// distance in steps is the same question.
    fn write_tile_row(&self, node: u32, row: &mut [i8]) -> f32 {
        let spare = 8 - self.kernels.tile_bits();
        row.iter_mut().zip(self.code(node)).for_each(|(value, code)| *value = code >> spare);
        self.kernels.dot_bytes(row, row) as f32
    }

    /// What is added to values of columns so that none is negative.
    fn tile_offset(&self) -> i32 {
        1 << (self.kernels.tile_bits() - 1)
    }

    /// Makes `code` the code of a vector.
    pub(crate) fn encode(&self, vector: &[f32], scale: f32, code: &mut Vec<i8>) -> Encoded {
        code.resize(self.depth, 0);
        self.encoder.encode(vector, scale, code)
    }

    /// Whether rounding changes squared distances like this one (in squared steps) by little.
    pub(crate) fn is_sharp_at(&self, square: f32) -> bool {
        square * self.encoder.centre.len() as f32 * MAX_ERROR >= self.error
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

    /// The largest distance of a row in range from what its code stands for, in steps.
    pub(crate) fn max_error(&self) -> f32 {
        self.max_error
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

/// Codes in the order in which a product reads them as its columns.
#[derive(Debug, Default)]
pub(crate) struct CodeColumns {
    nodes: Vec<u32>,
    /// The row that is packed.
    row: Vec<i8>,
    /// Sixteen columns beside each other, four bytes of each, from the first value to the last.
    packed: Vec<u8>,
    /// What each column adds to its distances; columns that only fill up are infinitely far.
    bias: Vec<f32>,
}

/// Memory that the products of one thread share, and what they found.
#[derive(Debug, Default)]
pub(crate) struct CodeWork {
    /// The rows of a product, with as many bits as it can take.
    rows: Vec<i8>,
    products: Vec<f32>,
    /// The nearest columns of each row, by their places.
    nearest: Vec<[Candidate; SHORT_LIST]>,
}

impl CodeColumns {
    /// Replaces the columns by the codes of `nodes`.
    pub(crate) fn fill(&mut self, codes: &Codes, nodes: &[u32]) {
        let columns = nodes.len().next_multiple_of(COLUMN_LANES);
        let offset = codes.tile_offset() as u8;
        self.nodes.clear();
        self.nodes.extend_from_slice(nodes);
        self.bias.clear();
        self.row.resize(codes.depth, 0);
        self.packed.resize(columns * codes.depth, 0);
        let groups = self.packed.chunks_mut(COLUMN_LANES * codes.depth);
        for (group, nodes) in groups.zip(nodes.chunks(COLUMN_LANES)) {
            for (lane, node) in nodes.iter().enumerate() {
                let (steps, _) = group.as_chunks_mut::<{ COLUMN_LANES * DEPTH_BYTES }>();
                self.bias.push(codes.write_tile_row(*node, &mut self.row));
                let (words, _) = self.row.as_chunks::<DEPTH_BYTES>();
                for (step, word) in steps.iter_mut().zip(words) {
                    // Columns are unsigned: from the least value up becomes from 0 up.
                    let unsigned = word.map(|value| value.cast_unsigned().wrapping_add(offset));
                    step[lane * DEPTH_BYTES..][..DEPTH_BYTES].copy_from_slice(&unsigned);
                }
            }
        }
        self.bias.resize(columns, f32::INFINITY);
    }

    /// Finds the `keep` nearest columns of each of `rows`, at most [`SHORT_LIST`]; when the rows
    /// are the columns, no row is its own neighbor. Gives up, with `false`, where rounding blurs
    /// the distances.
    pub(crate) fn nearest(
        &self,
        (space, codes): (&Space, &Codes),
        rows: &[u32],
        keep: usize,
        work: &mut CodeWork,
    ) -> bool {
        let columns = self.bias.len();
        let is_within = self.nodes == rows;
        work.nearest.clear();
        work.products.resize(CODE_ROWS * columns, 0.0);
        let mut reach = Reach::default();
        for nodes in rows.chunks(CODE_ROWS) {
            let squares = self.multiply(codes, nodes, work);
            let products = work.products.chunks_mut(columns);
            for ((node, square), products) in nodes.iter().zip(squares).zip(products) {
                if is_within {
                    // As far as can be, since a distance is less the larger its product.
                    products[work.nearest.len()] = f32::NEG_INFINITY;
                }
                let mut nearest = codes.kernels.nearest_columns(products, &self.bias, keep);
                reach.add(square, &nearest[..keep]);
                if codes.norm(*node).is_clamped() {
                    nearest = self.nearest_by_values(space, *node, keep, is_within);
                }
                work.nearest.push(nearest);
            }
        }
        codes.is_sharp_at(reach.mean())
    }

    /// The products of up to [`CODE_ROWS`] rows with all columns, and the squared lengths of the
    /// rows.
    fn multiply(&self, codes: &Codes, nodes: &[u32], work: &mut CodeWork) -> [f32; CODE_ROWS] {
        work.rows.resize(CODE_ROWS * codes.depth, 0);
        let mut squares = [0.0; CODE_ROWS];
        let rows = work.rows.chunks_mut(codes.depth).zip(nodes).zip(&mut squares);
        for ((row, node), square) in rows {
            *square = codes.write_tile_row(*node, row);
        }
        let rows = std::array::from_fn(|row| &work.rows[row * codes.depth..][..codes.depth]);
        // Columns are larger than what they stand for.
        let sum = |row: &[i8]| row.iter().map(|value| i32::from(*value)).sum::<i32>();
        let starts = rows.map(|row| -codes.tile_offset() * sum(row));
        codes.kernels.multiply_bytes(&rows, &starts, &self.packed, &mut work.products);
        squares
    }

    /// The nearest columns of a row that codes cannot stand for.
    fn nearest_by_values(
        &self,
        space: &Space,
        node: u32,
        keep: usize,
        is_within: bool,
    ) -> [Candidate; SHORT_LIST] {
        let columns = self.nodes.iter().copied();
        let found = scan::nearest(space, &space.query_of(node), columns, keep + 1);
        let is_other = |near: &&Candidate| !is_within || self.nodes[near.node() as usize] != node;
        let mut nearest = [Candidate::LAST; SHORT_LIST];
        for (nearest, found) in nearest.iter_mut().zip(found.iter().filter(is_other)) {
            *nearest = *found;
        }
        nearest
    }
}

impl CodeWork {
    /// Gives each row, by its place, its `keep` nearest columns.
    pub(crate) fn give(&self, keep: usize, mut give: impl FnMut(usize, &[Candidate])) {
        for (row, nearest) in self.nearest.iter().enumerate() {
            let count = nearest[..keep].partition_point(|near| *near != Candidate::LAST);
            give(row, &nearest[..count]);
        }
    }
}

/// How far the nearest columns of some rows are.
#[derive(Default)]
struct Reach {
    sum: f32,
    rows: f32,
}

impl Reach {
    fn add(&mut self, square: f32, nearest: &[Candidate]) {
        if let Some(last) = nearest.iter().rev().find(|near| **near != Candidate::LAST) {
            self.sum += square + last.distance();
            self.rows += 1.0;
        }
    }

    fn mean(&self) -> f32 {
        self.sum / self.rows.max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use loomdb_testkit::generate;

    use super::{CodeColumns, CodeWork, Codes};
    use crate::space::Space;
    use crate::{Metric, Vectors, scan};

    const ROWS: usize = 300;
    const DIM: usize = 50;
    const KEEP: usize = 8;

    /// The share of the nearest of each row that codes find, or nothing when they give up.
    fn found_share(metric: Metric, values: &[f32]) -> Option<f64> {
        let space = Space::new(metric, Vectors::from_flat(DIM, values).unwrap()).unwrap();
        let codes = Codes::of(&space)?;
        let nodes: Vec<u32> = (0..space.len() as u32).collect();
        let (mut columns, mut work) = (CodeColumns::default(), CodeWork::default());
        columns.fill(&codes, &nodes);
        if !columns.nearest((&space, &codes), &nodes, KEEP, &mut work) {
            return None;
        }
        let mut found = 0;
        work.give(KEEP, |row, near| {
            let query = space.query_of(row as u32);
            let exact = scan::nearest(&space, &query, nodes.iter().copied(), KEEP + 1);
            assert!(near.len() == KEEP && near.iter().all(|near| near.node() != row as u32));
            let is_exact = |node| exact.iter().any(|exact| exact.node() == node);
            found += near.iter().filter(|near| is_exact(near.node())).count();
        });
        Some(found as f64 / (ROWS * KEEP) as f64)
    }

    #[test]
    fn codes_find_nearly_what_values_find() {
        for metric in [Metric::L2, Metric::Cosine] {
            for values in [generate::uniform(1, ROWS, DIM), generate::mixture(2, ROWS, DIM)] {
                let share = found_share(metric, &values);
                assert!(share.is_some_and(|share| share > 0.96), "{metric}: {share:?}");
            }
        }
    }

    /// One step for both sets is far wider than either of them.
    #[test]
    fn codes_give_up_where_they_are_too_coarse() {
        assert_eq!(found_share(Metric::L2, &generate::two_far_sets(3, ROWS, DIM)), None);
    }

    /// The last row lies outside of the sample that the range was taken from.
    #[test]
    fn a_row_out_of_range_is_compared_by_its_values() {
        let rows = 2 * super::SAMPLE_ROWS;
        let mut values = generate::uniform(4, rows, DIM);
        values[(rows - 1) * DIM..].iter_mut().for_each(|value| *value += 50.0);
        let space = Space::new(Metric::L2, Vectors::from_flat(DIM, &values).unwrap()).unwrap();
        let codes = Codes::of(&space).unwrap();
        let nodes: Vec<u32> = (rows as u32 - 300..rows as u32).collect();
        let (mut columns, mut work) = (CodeColumns::default(), CodeWork::default());
        columns.fill(&codes, &nodes);
        assert!(columns.nearest((&space, &codes), &nodes, KEEP, &mut work));
        work.give(KEEP, |row, near| {
            if row == nodes.len() - 1 {
                let query = space.query_of(nodes[row]);
                let exact = scan::nearest(&space, &query, nodes.iter().copied(), KEEP + 1);
                assert_eq!(near, &exact[1..]);
            }
        });
    }
}
