//! Products and nothing else: the speed that a build is compared with.
//!
//! A build cannot be faster than the multiply-adds that its strategy asks for. How fast those are
//! on the machine at hand is measured with tiles of the shape that a build uses, whose rows stay
//! in the cache. Whoever calls has the clock.

use rayon::prelude::*;

use crate::Workers;
use crate::kernels::{CODE_ROWS, Kernels, products};

/// Rows and columns of a tile.
const ROWS: usize = 128;
const COLUMNS: usize = 384;

/// A kind of product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Product {
    /// Of rows rounded to one byte a value.
    Bytes,
    /// Of rows of `f32`.
    Floats,
}

/// Computes `tiles` tiles of products of rows of `dim` values on each thread, and returns the
/// number of multiply-adds of all of them.
pub fn multiply(product: Product, dim: usize, tiles: usize, workers: &Workers) -> u64 {
    let threads = workers.threads();
    let kernels = Kernels::detect();
    workers.run(|| {
        (0..threads).into_par_iter().for_each(|_| match product {
            Product::Bytes => multiply_bytes(kernels, dim, tiles),
            Product::Floats => multiply_floats(dim, tiles),
        });
    });
    (threads * tiles * ROWS * COLUMNS * dim) as u64
}

fn multiply_bytes(kernels: Kernels, dim: usize, tiles: usize) {
    let depth = dim.next_multiple_of(crate::kernels::DEPTH_BYTES);
    let (rows, columns) = (vec![1; ROWS * depth], vec![1; COLUMNS * depth]);
    let mut out = vec![0; CODE_ROWS * COLUMNS];
    for _ in 0..tiles {
        for rows in rows.chunks(CODE_ROWS * depth) {
            let rows = std::array::from_fn(|row| &rows[row * depth..][..depth]);
            kernels.multiply_bytes(&rows, &[0; CODE_ROWS], &columns, &mut out);
            std::hint::black_box(&out);
        }
    }
}

fn multiply_floats(dim: usize, tiles: usize) {
    let (rows, columns) = (vec![1.0; ROWS * dim], vec![1.0; COLUMNS * dim]);
    let mut out = vec![0.0; ROWS * COLUMNS];
    for _ in 0..tiles {
        products(&rows, &columns, dim, &mut out);
        std::hint::black_box(&out);
    }
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, Product, ROWS, multiply};
    use crate::Workers;

    #[test]
    fn every_thread_computes_every_tile() {
        let workers = Workers::new(2).unwrap();
        for product in [Product::Bytes, Product::Floats] {
            let count = multiply(product, 30, 1, &workers);
            assert_eq!(count, (2 * ROWS * COLUMNS * 30) as u64);
        }
    }
}
