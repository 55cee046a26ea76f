//! Made data, for any dimension and number of rows: a seeded mixture of Gaussians.
//!
//! Each of 64 Gaussians has a center and 16 axes, all drawn from a normal distribution. A row is
//! the center of a random one, plus a random point of the 16-dimensional latent space that its
//! axes span, plus a little noise in every dimension. So rows come in clusters, as real ones do,
//! and a cluster has about as many directions as real embeddings have locally, whatever `dim` is.

use loomdb_graph::Vectors;

const GAUSSIANS: usize = 64;
const RANK: usize = 16;

/// With 16 axes this gives a cluster the same spread in each dimension as the centers have.
const AXIS_SCALE: f32 = 0.25;

const NOISE: f32 = 0.1;

/// What [`Mixture`] is, for a report.
pub const DESCRIPTION: &str = "made: 64 Gaussians of rank 16 with noise";

/// A seeded source of rows.
pub struct Mixture {
    dim: usize,
    centers: Vec<f32>,
    axes: Vec<f32>,
    random: Random,
}

impl Mixture {
    pub fn new(dim: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut normals = |count, scale: f32| (0..count).map(|_| scale * random.normal()).collect();
        let centers = normals(GAUSSIANS * dim, 1.0);
        let axes = normals(GAUSSIANS * RANK * dim, AXIS_SCALE);
        Self { dim, centers, axes, random }
    }

    /// The next `count` rows.
    ///
    /// # Errors
    /// When the dimension is out of range.
    pub fn rows(&mut self, count: usize) -> loomdb::Result<Vectors> {
        let mut rows = Vectors::with_capacity(self.dim, count)?;
        for _ in 0..count {
            let row = self.row();
            rows.push_rows(&row)?;
        }
        Ok(rows)
    }

    fn row(&mut self) -> Vec<f32> {
        let gaussian = self.random.below(GAUSSIANS);
        let mut row = self.centers[gaussian * self.dim..][..self.dim].to_vec();
        let axes = &self.axes[gaussian * RANK * self.dim..][..RANK * self.dim];
        for axis in axes.chunks_exact(self.dim) {
            let latent = self.random.normal();
            row.iter_mut().zip(axis).for_each(|(value, along)| *value += latent * along);
        }
        for value in &mut row {
            *value += NOISE * self.random.normal();
        }
        row
    }
}

/// `SplitMix64`: small, and good enough for data.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number in (0, 1].
    fn unit(&mut self) -> f32 {
        ((self.word() >> 40) + 1) as f32 / (1_u32 << 24) as f32
    }

    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.word()) * bound as u128) >> 64) as usize
    }

    /// A draw from the standard normal distribution (Box and Muller).
    fn normal(&mut self) -> f32 {
        let radius = (-2.0 * self.unit().ln()).sqrt();
        radius * (std::f32::consts::TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::Mixture;

    #[test]
    fn the_seed_decides_and_rows_go_on() {
        let flat = |seed| Mixture::new(8, seed).rows(20).unwrap().as_flat().to_vec();
        assert_eq!(flat(1), flat(1));
        assert_ne!(flat(1), flat(2));
        let mut mixture = Mixture::new(8, 1);
        let first = mixture.rows(10).unwrap();
        let second = mixture.rows(10).unwrap();
        assert_eq!([first.as_flat(), second.as_flat()].concat(), flat(1));
    }

    #[test]
    fn values_have_the_spread_of_centers_and_clusters() {
        let rows = Mixture::new(64, 3).rows(2_000).unwrap();
        let values = rows.as_flat();
        let square = values.iter().map(|value| value * value).sum::<f32>() / values.len() as f32;
        assert!((1.6..2.4).contains(&square), "mean square {square}, expected about 2");
    }
}
