//! Made data sets as flat rows: ordinary ones to measure on, and degenerate ones to break on.

use crate::Random;

/// Components of [`mixture`].
const COMPONENTS: usize = 32;

/// Directions in which a component of [`mixture`] extends.
const RANK: usize = 8;

/// What [`mixture`] adds in all other directions.
const NOISE: f32 = 0.1;

/// Clusters of [`clusters`].
pub const CLUSTERS: usize = 50;

/// How far apart the centers of [`clusters`] lie, beside a deviation of 1 within each.
const CLUSTER_SPREAD: f32 = 200.0;

/// Equal rows of each kind in [`duplicates`].
pub const COPIES: usize = 1_000;

/// Half of the distance of the two sets of [`two_far_sets`] in each dimension.
const FAR: f32 = 10_000.0;

/// Values drawn evenly from [-1, 1): the hardest case for a graph, as nothing is near.
pub fn uniform(seed: u64, rows: usize, dim: usize) -> Vec<f32> {
    let mut random = Random::new(seed);
    (0..rows * dim).map(|_| random.signed()).collect()
}

/// Overlapping groups of low rank, like embeddings of texts.
pub fn mixture(seed: u64, rows: usize, dim: usize) -> Vec<f32> {
    let mut random = Random::new(seed);
    let components: Vec<Component> =
        (0..COMPONENTS).map(|_| Component::draw(&mut random, dim)).collect();
    let mut values = Vec::with_capacity(rows * dim);
    for _ in 0..rows {
        let component = random.below(COMPONENTS);
        components[component].push_row(&mut random, &mut values);
    }
    values
}

/// One group of [`mixture`].
struct Component {
    center: Vec<f32>,
    directions: Vec<Vec<f32>>,
}

impl Component {
    fn draw(random: &mut Random, dim: usize) -> Self {
        let mut vector = || (0..dim).map(|_| random.normal()).collect();
        Self { center: vector(), directions: (0..RANK).map(|_| vector()).collect() }
    }

    fn push_row(&self, random: &mut Random, values: &mut Vec<f32>) {
        let start = values.len();
        values.extend(self.center.iter().map(|center| center + NOISE * random.normal()));
        for direction in &self.directions {
            let weight = random.normal() / (RANK as f32).sqrt();
            let row = values[start..].iter_mut();
            row.zip(direction).for_each(|(value, step)| *value += weight * step);
        }
    }
}

/// [`CLUSTERS`] clusters with nothing between them, one after the other as time-ordered data
/// arrives: a graph of nearest neighbors alone falls apart into as many pieces.
pub fn clusters(seed: u64, rows: usize, dim: usize) -> Vec<f32> {
    let mut random = Random::new(seed);
    let mut values = Vec::with_capacity(rows * dim);
    for cluster in 0..CLUSTERS {
        let center: Vec<f32> = (0..dim).map(|_| CLUSTER_SPREAD * random.normal()).collect();
        for _ in cluster * rows / CLUSTERS..(cluster + 1) * rows / CLUSTERS {
            values.extend(center.iter().map(|center| center + random.normal()));
        }
    }
    values
}

/// The same row over and over.
pub fn all_equal(rows: usize, dim: usize) -> Vec<f32> {
    let row: Vec<f32> = (0..dim).map(|column| 1.0 + (column % 7) as f32).collect();
    row.repeat(rows)
}

/// Random rows, each [`COPIES`] times, in turns.
pub fn duplicates(seed: u64, rows: usize, dim: usize) -> Vec<f32> {
    let kinds = rows.div_ceil(COPIES);
    let mut values = uniform(seed, kinds, dim).repeat(COPIES);
    values.truncate(rows * dim);
    values
}

/// Points of equal spacing on a line through the origin, not through zero itself.
pub fn line(rows: usize, dim: usize) -> Vec<f32> {
    let place = |row: usize| (1..=dim).map(move |step| (row + 1) as f32 * step as f32);
    (0..rows).flat_map(place).collect()
}

/// Rows of [`uniform`] in ascending order of their first value.
pub fn sorted(seed: u64, rows: usize, dim: usize) -> Vec<f32> {
    let values = uniform(seed, rows, dim);
    let mut rows: Vec<&[f32]> = values.chunks(dim).collect();
    rows.sort_unstable_by(|left, right| left[0].total_cmp(&right[0]));
    rows.concat()
}

/// The corners of a simplex, zeros and a single one in each row, so that every distance is a
/// tie. There are `dim` corners; further rows begin again with the first.
pub fn one_hot(rows: usize, dim: usize) -> Vec<f32> {
    let mut values = vec![0.0; rows * dim];
    for row in 0..rows {
        values[row * dim + row % dim] = 1.0;
    }
    values
}

/// Small whole numbers: distances are exact, and many of them tie.
pub fn grid(seed: u64, rows: usize, dim: usize) -> Vec<f32> {
    let mut random = Random::new(seed);
    (0..rows * dim).map(|_| random.below(4) as f32 + 1.0).collect()
}

/// Two sets so far apart that a squared norm drowns the distances within a set: rows take turns.
pub fn two_far_sets(seed: u64, rows: usize, dim: usize) -> Vec<f32> {
    let mut values = uniform(seed, rows, dim);
    for (row, values) in values.chunks_mut(dim).enumerate() {
        let shift = if row % 2 == 0 { FAR } else { -FAR };
        for value in values {
            *value += shift;
        }
    }
    values
}

/// Rows of [`uniform`] behind a first row that is far from them all.
pub fn outlier_first(seed: u64, rows: usize, dim: usize) -> Vec<f32> {
    let mut values = uniform(seed, rows, dim);
    for value in values.iter_mut().take(dim) {
        *value += FAR;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: usize = 200;
    const DIM: usize = 6;

    #[test]
    fn sets_have_their_size_and_follow_their_seed() {
        let seeded =
            [uniform, mixture, clusters, duplicates, sorted, grid, two_far_sets, outlier_first];
        for make in seeded {
            assert_eq!(make(1, ROWS, DIM).len(), ROWS * DIM);
            assert_eq!(make(1, ROWS, DIM), make(1, ROWS, DIM));
            assert_ne!(make(1, ROWS, DIM), make(2, ROWS, DIM));
            assert!(make(1, 0, DIM).is_empty());
        }
        for make in [all_equal, line, one_hot] {
            assert_eq!(make(ROWS, DIM).len(), ROWS * DIM);
            assert!(make(0, DIM).is_empty());
        }
    }

    #[test]
    fn clusters_are_fifty_and_far_apart() {
        let values = clusters(3, ROWS, DIM);
        let rows: Vec<&[f32]> = values.chunks(DIM).collect();
        let distance = |pair: &[&[f32]]| {
            let squares = pair[0].iter().zip(pair[1]).map(|(x, y)| (x - y).powi(2));
            squares.sum::<f32>().sqrt()
        };
        let jumps = rows.windows(2).filter(|pair| distance(pair) > 50.0).count();
        assert_eq!(jumps, CLUSTERS - 1);
    }

    #[test]
    fn duplicates_are_a_thousand_of_each() {
        let values = duplicates(4, 3 * COPIES, DIM);
        let rows = || values.chunks(DIM);
        for row in rows().take(3) {
            assert_eq!(rows().filter(|other| *other == row).count(), COPIES);
        }
    }

    #[test]
    fn sorted_rows_ascend() {
        let values = sorted(5, ROWS, DIM);
        assert!(values.chunks(DIM).is_sorted_by(|left, right| left[0] <= right[0]));
    }
}
