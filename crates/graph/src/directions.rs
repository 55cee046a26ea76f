//! Long rows in few dimensions, for the tiles that look for candidates.
//!
//! Most of what tells rows of hundreds of values apart lies in few directions: those in which the
//! rows differ most (their principal components). They come from a sample by subspace iteration
//! (Halko, Martinsson and Tropp, arXiv:0909.4061, algorithm 4.4), and are turned at random, so
//! that the rows extend as far in each of them as in the others and one step serves for all codes.

use rayon::prelude::*;

use crate::codes::Codes;
use crate::kernels::{CODE_ROWS, COLUMN_LANES, Kernels, products};
use crate::panel::centre;
use crate::random::hash;
use crate::space::Space;
use crate::{Metric, Vectors};

/// How many there are.
const DIRECTIONS: usize = 192;

/// Shorter rows gain nothing.
const MIN_DIM: usize = 384;

/// For fewer rows, finding the directions takes longer than they save.
const MIN_ROWS: usize = 20_000;

/// The share of the squared distances of near rows that must remain: what is lost then differs
/// little from one pair to the other.
const MIN_SHARE: f64 = 0.6;

/// Rows whose nearest others decide about the share.
const NEAR_PAIRS: usize = 128;

/// Rows that decide about the directions.
const SAMPLE_ROWS: usize = 1_024;

/// Steps of the subspace iteration: each multiplies what a direction has by its variance.
const ITERATIONS: usize = 2;

/// Directions that are multiplied by one task.
const CHUNK_DIRECTIONS: usize = 32;

/// What the random choices are for.
const PURPOSE: u64 = 0x736B_6574_6368;

/// Orthonormal directions in a space, one after the other.
pub(crate) struct Directions {
    rows: Vec<f32>,
}

impl Directions {
    /// The directions in which the rows of `space` differ most, when the rows are long enough to
    /// gain by them and differ little in all others.
    pub(crate) fn of(space: &Space) -> Option<Self> {
        let dim = space.dim();
        if dim < MIN_DIM || space.len() < MIN_ROWS {
            return None;
        }
        let centre = match space.metric() {
            Metric::L2 => centre(space, 0..space.len() as u32),
            Metric::Cosine | Metric::Ip => vec![0.0; dim],
        };
        let rows = main_directions(&sample(space, 0, &centre), dim);
        // Judged by other rows: directions fit those that they come from too well.
        let others = sample(space, space.len() / SAMPLE_ROWS / 2, &centre);
        let mut projected = vec![0.0; others.len() / dim * DIRECTIONS];
        products(&others, &rows, dim, &mut projected);
        let share = near_share(space.kernels(), (&others, dim), &projected);
        (share >= MIN_SHARE).then_some(Self { rows })
    }

    /// The codes of the projected rows of `space`, by way of the codes that it has: both factors
    /// of a product are bytes. That turns the directions by so little that distances stay as good.
    pub(crate) fn project(&self, space: &Space) -> Option<Codes> {
        let projection = Projection::new(self, space)?;
        let step = space.len().div_ceil(SAMPLE_ROWS);
        let sample: Vec<u32> = (0..space.len() as u32).step_by(step).collect();
        let mut values = Vec::new();
        projection.push_rows(sample.into_iter(), &mut values);
        let sample = Vectors::from_flat(DIRECTIONS, &values).ok()?;
        let sample = Space::new(Metric::L2, sample).ok()?;
        let mut codes = Codes::of_made(&sample, space.len(), |nodes, rows| {
            rows.clear();
            projection.push_rows(nodes, rows);
        })?;
        let share = DIRECTIONS as f32 / space.dim() as f32;
        codes.add_error(projection.codes.error() * share, 1.0 / projection.step);
        Some(codes)
    }
}

/// Directions as columns of products with codes.
struct Projection<'a> {
    directions: &'a Directions,
    space: &'a Space,
    codes: &'a Codes,
    packed: Vec<u8>,
    /// What a difference of one between two values of a direction stands for.
    step: f32,
    /// As many ones as a code has bytes.
    ones: Vec<i8>,
}

impl<'a> Projection<'a> {
    fn new(directions: &'a Directions, space: &'a Space) -> Option<Self> {
        let (codes, kernels) = (space.codes()?, space.kernels());
        let (depth, dim) = (codes.depth(), space.dim());
        let range = directions.rows.iter().fold(0.0_f32, |range, value| range.max(value.abs()));
        let step = range / (kernels.tile_offset() - 1) as f32;
        let mut rounded = vec![0; DIRECTIONS * depth];
        for (row, rounded) in directions.rows.chunks(dim).zip(rounded.chunks_mut(depth)) {
            for (value, rounded) in row.iter().zip(rounded) {
                *rounded = (value / step).round() as i8;
            }
        }
        let mut packed = vec![0; DIRECTIONS * depth];
        let groups = packed.chunks_mut(COLUMN_LANES * depth);
        for (group, rows) in groups.zip(rounded.chunks(COLUMN_LANES * depth)) {
            kernels.pack(&std::array::from_fn(|lane| &rows[lane * depth..][..depth]), group);
        }
        Some(Self { directions, space, codes, packed, step, ones: vec![1; depth] })
    }

    /// Appends the projected rows of nodes, in steps of the codes and of the directions.
    fn push_rows(&self, mut nodes: impl Iterator<Item = u32>, rows: &mut Vec<f32>) {
        let (mut bytes, mut products) = (Vec::new(), vec![0; CODE_ROWS * DIRECTIONS]);
        let mut group = Vec::with_capacity(CODE_ROWS);
        loop {
            group.clear();
            group.extend(nodes.by_ref().take(CODE_ROWS));
            if group.is_empty() {
                break;
            }
            self.multiply(&group, &mut bytes, &mut products);
            for (node, products) in group.iter().zip(products.chunks(DIRECTIONS)) {
                if self.codes.norm(*node).is_clamped() {
                    self.push_values(*node, rows);
                } else {
                    let spare = 8 - self.space.kernels().tile_bits();
                    rows.extend(products.iter().map(|product| (product << spare) as f32));
                }
            }
        }
    }

    /// The products of the codes of up to eight nodes with all directions.
    fn multiply(&self, nodes: &[u32], bytes: &mut Vec<i8>, products: &mut [i32]) {
        let (kernels, depth) = (self.space.kernels(), self.codes.depth());
        let spare = 8 - kernels.tile_bits();
        bytes.clear();
        for node in nodes {
            bytes.extend(self.codes.code(*node).iter().map(|code| code >> spare));
        }
        // Rows that only fill up repeat the last one.
        let row = |row: usize| &bytes[row.min(nodes.len() - 1) * depth..][..depth];
        let rows: [&[i8]; CODE_ROWS] = std::array::from_fn(row);
        let starts = rows.map(|row| -kernels.tile_offset() * kernels.dot_bytes(row, &self.ones));
        kernels.multiply_bytes(&rows, &starts, &self.packed, products);
    }

    /// Appends the projection of a row that its code does not stand for.
    fn push_values(&self, node: u32, rows: &mut Vec<f32>) {
        let mut row = Vec::with_capacity(self.space.dim());
        self.codes.push_steps(self.space, node, &mut row);
        let kernels = self.space.kernels();
        let directions = self.directions.rows.chunks(self.space.dim());
        rows.extend(directions.map(|direction| kernels.dot(direction, &row) / self.step));
    }
}

/// Some rows from `first` on, relative to their mean.
fn sample(space: &Space, first: usize, centre: &[f32]) -> Vec<f32> {
    let nodes = (first..space.len()).step_by(space.len() / SAMPLE_ROWS).take(SAMPLE_ROWS);
    let mut rows = Vec::with_capacity(SAMPLE_ROWS * space.dim());
    nodes.for_each(|node| push_row(space, node as u32, centre, &mut rows));
    subtract_mean(&mut rows, space.dim());
    rows
}

/// Appends a row as it is compared: relative to the centre, or of unit length.
fn push_row(space: &Space, node: u32, centre: &[f32], rows: &mut Vec<f32>) {
    let scale = space.scale(node);
    rows.extend(space.row(node).iter().zip(centre).map(|(value, centre)| (value - centre) * scale));
}

/// What remains of the squared distances of near rows.
fn near_share(kernels: Kernels, (sample, dim): (&[f32], usize), projected: &[f32]) -> f64 {
    let distance = |rows: &[f32], dim: usize, left: usize, right: usize| {
        kernels.l2_squared(&rows[left * dim..][..dim], &rows[right * dim..][..dim])
    };
    let rows = sample.len() / dim;
    let pairs = (0..NEAR_PAIRS.min(rows)).into_par_iter().map(|row| {
        let others = (0..rows).filter(|other| *other != row);
        let distances = others.map(|other| (distance(sample, dim, row, other), other));
        let (whole, nearest) = distances.min_by(|left, right| left.0.total_cmp(&right.0))?;
        Some((distance(projected, DIRECTIONS, row, nearest), whole))
    });
    let pairs: Vec<(f32, f32)> = pairs.flatten().collect();
    let sum = |part: fn(&(f32, f32)) -> f32| pairs.iter().map(part).map(f64::from).sum::<f64>();
    sum(|pair| pair.0) / sum(|pair| pair.1)
}

fn subtract_mean(rows: &mut [f32], dim: usize) {
    let count = (rows.len() / dim) as f32;
    let mut mean = vec![0.0; dim];
    for row in rows.chunks(dim) {
        mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / count);
    }
    for row in rows.chunks_mut(dim) {
        row.iter_mut().zip(&mean).for_each(|(value, mean)| *value -= mean);
    }
}

/// Orthonormal directions in which the rows vary most.
fn main_directions(rows: &[f32], dim: usize) -> Vec<f32> {
    let count = rows.len() / dim;
    let columns = transposed(rows, dim);
    let mut directions = random_signs(DIRECTIONS * dim, 0);
    let mut projected = vec![0.0; DIRECTIONS * count];
    for _ in 0..ITERATIONS {
        products_in_parallel(&directions, rows, dim, &mut projected);
        products_in_parallel(&projected, &columns, count, &mut directions);
        orthonormalize(&mut directions, dim);
    }
    let mut turn = random_signs(DIRECTIONS * DIRECTIONS, 1);
    orthonormalize(&mut turn, DIRECTIONS);
    let mut turned = vec![0.0; DIRECTIONS * dim];
    products(&turn, &transposed(&directions, dim), DIRECTIONS, &mut turned);
    turned
}

/// The products of each direction with each row.
fn products_in_parallel(directions: &[f32], rows: &[f32], dim: usize, out: &mut [f32]) {
    let chunks = directions.par_chunks(CHUNK_DIRECTIONS * dim);
    let out = out.par_chunks_mut(CHUNK_DIRECTIONS * rows.len() / dim);
    chunks.zip(out).for_each(|(directions, out)| products(directions, rows, dim, out));
}

fn transposed(rows: &[f32], dim: usize) -> Vec<f32> {
    let count = rows.len() / dim;
    let mut columns = vec![0.0; rows.len()];
    for (row, values) in rows.chunks(dim).enumerate() {
        for (column, value) in values.iter().enumerate() {
            columns[column * count + row] = *value;
        }
    }
    columns
}

fn random_signs(count: usize, purpose: u64) -> Vec<f32> {
    let seed = hash(PURPOSE, purpose);
    (0..count as u64).map(|index| if hash(seed, index) & 1 == 0 { 1.0 } else { -1.0 }).collect()
}

/// Makes rows orthogonal and of unit length (modified Gram-Schmidt, twice for the digits).
fn orthonormalize(rows: &mut [f32], dim: usize) {
    let kernels = Kernels::detect();
    for _ in 0..2 {
        for row in 0..rows.len() / dim {
            let (before, row) = rows.split_at_mut(row * dim);
            let row = &mut row[..dim];
            for other in before.chunks(dim) {
                let product = kernels.dot(row, other);
                row.iter_mut().zip(other).for_each(|(value, other)| *value -= product * other);
            }
            let scale = 1.0 / kernels.dot(row, row).sqrt().max(f32::MIN_POSITIVE);
            for value in row {
                *value *= scale;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use loomdb_testkit::generate;

    use super::{DIRECTIONS, Directions, MIN_ROWS, orthonormalize};
    use crate::codes::Codes;
    use crate::kernels::{Kernels, products};
    use crate::space::Space;
    use crate::{Metric, Vectors};

    const DIM: usize = 400;

    fn space(metric: Metric, values: &[f32]) -> Space {
        Space::new(metric, Vectors::from_flat(DIM, values).unwrap()).unwrap()
    }

    #[test]
    fn distances_survive_where_rows_vary_in_few_directions() {
        const FEW: usize = 40;
        let (factors, basis) =
            (generate::uniform(1, MIN_ROWS, FEW), generate::uniform(2, DIM, FEW));
        let mut values = vec![0.0; MIN_ROWS * DIM];
        products(&factors, &basis, FEW, &mut values);
        for metric in [Metric::L2, Metric::Cosine] {
            let mut space = space(metric, &values);
            space.encode();
            let codes = space.codes().unwrap();
            let projected = Directions::of(&space).unwrap().project(&space).unwrap();
            // Steps of the two differ by a factor.
            let mut ratios = Vec::new();
            for (left, right) in (0..200).zip(1_000..) {
                let whole = codes.in_steps(metric, space.between(left, right));
                ratios.push(between(&projected, left, right) / whole);
            }
            let mean = ratios.iter().sum::<f32>() / ratios.len() as f32;
            let worst = ratios.iter().map(|ratio| (ratio / mean - 1.0).abs()).fold(0.0, f32::max);
            assert!(worst < 0.02, "{metric}: {worst}");
        }
    }

    /// The squared distance of two codes.
    fn between(codes: &Codes, left: u32, right: u32) -> f32 {
        let (codes, mut distance) = (codes.rows(), [0.0]);
        let from = (codes.code(left), codes.norm(left), 1.0);
        codes.distances(from, &[right], &mut distance, |_| unreachable!("rows are in range"));
        distance[0]
    }

    #[test]
    fn rows_that_vary_in_all_directions_have_none() {
        assert!(Directions::of(&space(Metric::L2, &generate::uniform(2, MIN_ROWS, DIM))).is_none());
    }

    #[test]
    fn directions_are_orthonormal() {
        let mut rows = generate::uniform(3, DIRECTIONS, DIM);
        orthonormalize(&mut rows, DIM);
        let kernels = Kernels::detect();
        for (index, left) in rows.chunks(DIM).enumerate() {
            for (other, right) in rows.chunks(DIM).enumerate() {
                let expected = if index == other { 1.0 } else { 0.0 };
                assert!((kernels.dot(left, right) - expected).abs() < 1.0e-5);
            }
        }
    }
}
