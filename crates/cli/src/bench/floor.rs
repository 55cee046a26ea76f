//! How far a build is from the products that it consists of.
//!
//! The floor is the time of the multiply-adds that the strategy asked for, each at the speed of
//! the fastest product of its kind on this machine, on as many threads: nothing is selected,
//! sorted or fetched, and every row is in the cache. No build of this strategy can reach it.

use std::time::{Duration, Instant};

use loomdb_graph::{BuildStats, Product, Workers, multiply};
use serde::Serialize;

/// How long products are timed, and how often; the best run counts.
const RUN: Duration = Duration::from_millis(50);
const RUNS: usize = 5;

#[derive(Clone, Debug, Serialize)]
pub struct Floor {
    pub multiply_adds_bytes: u64,
    pub multiply_adds_f32: u64,
    /// Two operations are a multiply-add; nothing where no bytes were multiplied.
    pub rate_bytes_gops: Option<f64>,
    pub rate_f32_gflops: f64,
    /// What the multiply-adds take.
    pub seconds: f64,
    /// How many times that the build took.
    pub ratio: f64,
}

impl Floor {
    /// The floor of a build of rows of `dim` values that took `seconds`.
    pub fn new(stats: &BuildStats, dim: usize, seconds: f64, workers: &Workers) -> Self {
        let bytes = stats.byte_multiply_adds;
        let floats = (stats.distance_computations - stats.byte_distances) * dim as u64;
        let rate_bytes = (bytes > 0).then(|| rate(Product::Bytes, dim, workers));
        let rate_floats = rate(Product::Floats, dim, workers);
        let seconds_of = |count: u64, rate: f64| 2.0 * count as f64 / rate / 1.0e9;
        let floor = rate_bytes.map_or(0.0, |rate| seconds_of(bytes, rate))
            + seconds_of(floats, rate_floats);
        Self {
            multiply_adds_bytes: bytes,
            multiply_adds_f32: floats,
            rate_bytes_gops: rate_bytes,
            rate_f32_gflops: rate_floats,
            seconds: floor,
            ratio: seconds / floor,
        }
    }
}

/// Thousand millions of operations a second of all threads together.
fn rate(product: Product, dim: usize, workers: &Workers) -> f64 {
    let timed = |tiles| {
        let started = Instant::now();
        let count = multiply(product, dim, tiles, workers);
        (count, started.elapsed())
    };
    let mut tiles = 1;
    while timed(tiles).1 < RUN {
        tiles *= 2;
    }
    let runs = (0..RUNS).map(|_| {
        let (count, time) = timed(tiles);
        2.0 * count as f64 / time.as_secs_f64() / 1.0e9
    });
    runs.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use loomdb_graph::{BuildParams, Metric, Vectors, Workers, build};

    use super::Floor;

    #[test]
    fn every_distance_is_a_multiply_add_for_each_value() {
        const DIM: usize = 8;
        let workers = Workers::new(1).unwrap();
        let values: Vec<f32> = (0..100 * DIM).map(|value| (value * value % 97) as f32).collect();
        let vectors = Vectors::from_flat(DIM, &values).unwrap();
        let params = BuildParams::default();
        let stats = build(vectors, Metric::L2, &params, &workers, &()).unwrap().stats;
        let floor = Floor::new(&stats, DIM, 1.0, &workers);
        let all = floor.multiply_adds_bytes + floor.multiply_adds_f32;
        assert_eq!(all, stats.distance_computations * DIM as u64);
        assert!(floor.seconds > 0.0 && floor.rate_f32_gflops > 0.0, "{floor:?}");
        assert!((floor.ratio * floor.seconds - 1.0).abs() < 1.0e-9, "{floor:?}");
    }
}
