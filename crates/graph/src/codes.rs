//! Rows rounded to one byte a value, for tiles of integer products.
//!
//! Where the processor multiplies bytes (AVX-512 VNNI, AVX2), a partition is found with a quarter
//! of the memory traffic and a third of the arithmetic of `f32`. What is selected by codes is
//! measured again, unrounded, before it becomes a link. Codes are only trusted where their
//! rounding is small beside the distances that they found ([`CodeColumns::nearest`]).

use rayon::prelude::*;

use crate::Metric;
use crate::blocks::Blocks;
use crate::candidate::Candidate;
use crate::kernels::{CODE_ROWS, COLUMN_LANES, DEPTH_BYTES, Kernels, SHORT_LIST};
use crate::panel::centre;
use crate::scan;
use crate::space::Space;

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

/// The codes of all rows of a space.
#[derive(Debug)]
pub(crate) struct Codes {
    kernels: Kernels,
    dim: usize,
    /// Bytes of a row: the dimension, rounded up to whole steps of a product.
    depth: usize,
    values: Blocks<i8>,
    norms: Blocks<Norm>,
    /// What a difference of one between two codes stands for.
    step: f32,
    /// The mean squared distance of a row from what its code stands for.
    error: f32,
}

/// What is known about the code of a row.
#[derive(Clone, Copy, Debug, Default)]
struct Norm {
    /// Whether a value lies outside of the range of codes.
    is_clamped: bool,
}

/// How a row becomes a code.
struct Encoder<'a> {
    space: &'a Space,
    centre: Vec<f32>,
    step: f32,
}

impl Codes {
    /// The codes of the rows of `space`, when this processor and this metric gain by them.
    pub(crate) fn of(space: &Space) -> Option<Self> {
        let kernels = space.kernels();
        let is_worth_it = kernels.multiplies_bytes() && space.dim() >= MIN_DIM;
        // Inner products have no distance of zero that an error could be compared with.
        if !is_worth_it || space.metric() == Metric::Ip || space.len() == 0 {
            return None;
        }
        let encoder = Encoder::new(space)?;
        let depth = space.dim().next_multiple_of(DEPTH_BYTES);
        let mut values = vec![0; space.len() * depth];
        let mut norms = vec![Norm::default(); space.len()];
        let rows = values.par_chunks_mut(CHUNK_ROWS * depth).zip(norms.par_chunks_mut(CHUNK_ROWS));
        rows.enumerate().for_each(|(chunk, (values, norms))| {
            let nodes = (chunk * CHUNK_ROWS) as u32..;
            for ((node, code), norm) in nodes.zip(values.chunks_mut(depth)).zip(norms) {
                *norm = encoder.encode(node, code);
            }
        });
        let error = encoder.error(&values, depth);
        let step = encoder.step;
        let values = Blocks::new(depth, values.into_iter().collect());
        let norms = Blocks::new(1, norms.into_iter().collect());
        Some(Self { kernels, dim: space.dim(), depth, values, norms, step, error })
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

    fn code(&self, node: u32) -> &[i8] {
        self.values.row(node as usize)
    }

    fn norm(&self, node: u32) -> Norm {
        self.norms.row(node as usize)[0]
    }
}

impl<'a> Encoder<'a> {
    /// An encoder whose range holds a sample of the rows; nothing when they are all the same.
    fn new(space: &'a Space) -> Option<Self> {
        let nodes = 0..space.len() as u32;
        let centre = match space.metric() {
            Metric::L2 => centre(space, nodes),
            Metric::Cosine | Metric::Ip => vec![0.0; space.dim()],
        };
        let mut encoder = Self { space, centre, step: 1.0 };
        let range =
            |node| encoder.values(node).fold(0.0_f32, |range, value| range.max(value.abs()));
        let range = encoder.sample().map(range).fold(0.0, f32::max);
        encoder.step = range / MAX_CODE;
        (encoder.step > f32::MIN_POSITIVE).then_some(encoder)
    }

    fn sample(&self) -> impl Iterator<Item = u32> + use<> {
        let rows = self.space.len();
        (0..rows as u32).step_by(rows.div_ceil(SAMPLE_ROWS))
    }

    /// The values of a row as they are compared: relative to the centre, or of unit length.
    fn values(&self, node: u32) -> impl Iterator<Item = f32> + '_ {
        let scale = self.space.scale(node);
        let row = self.space.row(node).iter().zip(&self.centre);
        row.map(move |(value, centre)| (value - centre) * scale)
    }

    fn encode(&self, node: u32, code: &mut [i8]) -> Norm {
        let inverse_step = 1.0 / self.step;
        let mut is_clamped = false;
        for (code, value) in code.iter_mut().zip(self.values(node)) {
            let steps = value * inverse_step;
            is_clamped |= steps.abs() > MAX_CODE + 0.5;
            *code = nearest_integer(steps.clamp(-MAX_CODE, MAX_CODE));
        }
        Norm { is_clamped }
    }

    /// The mean squared error of the rows of the sample.
    fn error(&self, values: &[i8], depth: usize) -> f32 {
        let error_of = |node: u32| {
            let code = &values[node as usize * depth..][..depth];
            let errors = self
                .values(node)
                .zip(code)
                .map(|(value, code)| value - f32::from(*code) * self.step);
            errors.map(|error| error * error).sum::<f32>()
        };
        self.sample().map(error_of).sum::<f32>() / self.sample().count() as f32
    }
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
                if codes.norm(*node).is_clamped {
                    nearest = self.nearest_by_values(space, *node, keep, is_within);
                }
                work.nearest.push(nearest);
            }
        }
        reach.mean() * codes.step * codes.step * codes.dim as f32 * MAX_ERROR >= codes.error
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

    /// The share of the nearest of each row that codes find, or nothing when they give up or are
    /// of no use on this processor.
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

    fn is_used() -> bool {
        crate::kernels::Kernels::detect().multiplies_bytes()
    }

    #[test]
    fn codes_find_nearly_what_values_find() {
        for metric in [Metric::L2, Metric::Cosine] {
            for values in [generate::uniform(1, ROWS, DIM), generate::mixture(2, ROWS, DIM)] {
                let share = found_share(metric, &values);
                assert_eq!(share.is_some(), is_used(), "{metric}");
                assert!(share.is_none_or(|share| share > 0.96), "{metric}: {share:?}");
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
        let Some(codes) = Codes::of(&space) else { return assert!(!is_used()) };
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
