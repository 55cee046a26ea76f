//! Long rows in few dimensions, for the tiles that look for candidates.
//!
//! Most of what tells rows of hundreds of values apart lies in few directions: those in which the
//! rows differ most (their principal components). They come from a sample by subspace iteration
//! (Halko, Martinsson and Tropp, arXiv:0909.4061, algorithm 4.4), and are turned at random, so
//! that the rows extend as far in each of them as in the others and one step serves for all codes.

use rayon::prelude::*;

use crate::kernels::{Kernels, products};
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

/// Rows that are projected by one task.
const CHUNK_ROWS: usize = 256;

/// What the random choices are for.
const PURPOSE: u64 = 0x736B_6574_6368;

/// Orthonormal directions in a space, and the point that rows are seen from.
pub(crate) struct Directions {
    centre: Vec<f32>,
    /// One direction after the other.
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
        (share >= MIN_SHARE).then_some(Self { centre, rows })
    }

    /// The space of the projected rows.
    pub(crate) fn project(&self, space: &Space) -> Option<Space> {
        let (dim, nodes) = (space.dim(), (0..space.len() as u32).collect::<Vec<_>>());
        let mut values = vec![0.0; space.len() * DIRECTIONS];
        let chunks = nodes.par_chunks(CHUNK_ROWS);
        let chunks = chunks.zip(values.par_chunks_mut(CHUNK_ROWS * DIRECTIONS));
        chunks.for_each_init(Vec::new, |rows, (nodes, out)| {
            rows.clear();
            for node in nodes {
                push_row(space, *node, &self.centre, rows);
            }
            products(rows, &self.rows, dim, out);
        });
        Space::new(Metric::L2, Vectors::from_flat(DIRECTIONS, &values).ok()?).ok()
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
            let space = space(metric, &values);
            let projected = Directions::of(&space).unwrap().project(&space).unwrap();
            let unit = if metric == Metric::Cosine { 2.0 } else { 1.0 };
            for (left, right) in (0..200).zip(1_000..) {
                let whole = space.between(left, right) * unit;
                let part = projected.between(left, right);
                assert!((part - whole).abs() < whole * 1.0e-3, "{metric}: {part} {whole}");
            }
        }
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
