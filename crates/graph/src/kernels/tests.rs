//! Every instruction set against the scalar loops, on odd lengths and unaligned rows.

use super::{Kernels, SHORT_LIST, Scan, Survivors, products, scalar};
use crate::blocks::Blocks;
use crate::candidate::Candidate;
use crate::random::{hash, unit};

fn values(len: usize, seed: u64) -> Vec<f32> {
    (0..len as u64).map(|index| unit(hash(seed, index)) as f32 * 4.0 - 2.0).collect()
}

/// The two sums differ only in the order of additions.
fn assert_close(left: f32, right: f32, terms: usize) {
    let bound = 4.0 * terms as f32 * 4.0 * f32::EPSILON;
    assert!((left - right).abs() <= bound, "{left} against {right} over {terms} terms");
}

#[test]
fn distances_agree_with_scalar_on_every_length_and_offset() {
    for kernels in Kernels::available() {
        for len in (0..=140).chain([255, 384, 769, 1536, 4097]) {
            for offset in [0, 1, 3] {
                let left = &values(len + offset, 1)[offset..];
                let right = &values(len + offset, 2)[offset..];
                assert_close(kernels.dot(left, right), scalar::dot(left, right), len);
                let oracle = scalar::l2_squared(left, right);
                assert_close(kernels.l2_squared(left, right), oracle, 4 * len);
            }
        }
    }
}

#[test]
fn many_is_the_same_as_one_by_one() {
    for kernels in Kernels::available() {
        for dim in [1, 7, 16, 33, 128] {
            let mut rows = Blocks::new(dim, values(5 * dim, 3).into_iter().collect());
            rows.append(&values(4 * dim, 4));
            let query = values(dim, 5);
            let nodes = [8, 0, 3, 3, 6, 1];
            let mut out = [0.0; 6];
            kernels.l2_squared_many(&query, &rows, &nodes, &mut out);
            for (node, distance) in nodes.iter().zip(out) {
                let alone = kernels.l2_squared(&query, rows.row(*node as usize));
                assert_eq!(distance.to_bits(), alone.to_bits());
            }
            kernels.dot_many(&query, &rows, &nodes, &mut out);
            for (node, product) in nodes.iter().zip(out) {
                let alone = kernels.dot(&query, rows.row(*node as usize));
                assert_eq!(product.to_bits(), alone.to_bits());
            }
        }
    }
}

#[test]
fn scan_finds_what_scalar_finds() {
    for kernels in Kernels::available() {
        for columns in [0, 1, 15, 16, 17, 100, 513] {
            let products = values(columns, 6);
            let column_bias = values(columns, 7);
            let column_thresholds = values(columns, 8);
            for row_threshold in [f32::NEG_INFINITY, -2.5, 0.0, f32::INFINITY] {
                let scan = Scan {
                    products: &products,
                    scale: -2.0,
                    row_bias: 0.25,
                    column_bias: &column_bias,
                    row_threshold,
                    column_thresholds: &column_thresholds,
                };
                let (mut found, mut expected) = (Survivors::default(), Survivors::default());
                found.restart(columns);
                expected.restart(columns);
                kernels.scan(&scan, &mut found);
                scalar::scan(&scan, &mut expected);
                let name = kernels.name();
                assert!(found.of_row.iter().eq(expected.of_row.iter()), "{name} {columns}");
                let of_columns = expected.of_columns.iter();
                assert!(found.of_columns.iter().eq(of_columns), "{name} {columns}");
            }
        }
    }
}

#[test]
fn products_agree_with_scalar() {
    for (rows, columns, dim) in [(1, 1, 1), (3, 5, 7), (64, 100, 128), (17, 33, 385)] {
        let (left, right) = (values(rows * dim, 9), values(columns * dim, 10));
        let mut out = vec![f32::NAN; rows * columns];
        products(&left, &right, dim, &mut out);
        for row in 0..rows {
            for column in 0..columns {
                let oracle = scalar::dot(&left[row * dim..][..dim], &right[column * dim..][..dim]);
                assert_close(out[row * columns + column], oracle, dim);
            }
        }
    }
}

#[test]
fn insertion_agrees_with_scalar() {
    for kernels in Kernels::available() {
        let mut entries = [Candidate::LAST; SHORT_LIST];
        let mut oracle = entries;
        for (node, distance) in values(200, 11).into_iter().enumerate() {
            let candidate = Candidate::new(distance, node as u32);
            kernels.insert_sorted(&mut entries, candidate);
            scalar::insert_sorted(&mut oracle, candidate);
            assert_eq!(entries, oracle);
            assert!(entries.is_sorted());
        }
    }
}
