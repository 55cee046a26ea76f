//! The plain loops: what every other instruction set must agree with.

use super::{CODE_ROWS, COLUMN_LANES, DEPTH_BYTES, SHORT_LIST, Scan, Survivors, many};
use crate::blocks::Blocks;
use crate::candidate::Candidate;

pub(super) fn l2_squared(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(a, b)| (a - b) * (a - b)).sum()
}

pub(super) fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(a, b)| a * b).sum()
}

pub(super) fn l2_squared_many(q: &[f32], rows: &Blocks<f32>, nodes: &[u32], out: &mut [f32]) {
    many(q, rows, nodes, out, l2_squared);
}

pub(super) fn dot_many(query: &[f32], rows: &Blocks<f32>, nodes: &[u32], out: &mut [f32]) {
    many(query, rows, nodes, out, dot);
}

pub(super) fn dot_bytes(left: &[i8], right: &[i8]) -> i32 {
    left.iter().zip(right).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

pub(super) fn dot_bytes_many(q: &[i8], rows: &Blocks<i8>, nodes: &[u32], out: &mut [i32]) {
    many(q, rows, nodes, out, dot_bytes);
}

pub(super) fn scan(scan: &Scan<'_>, survivors: &mut Survivors) {
    scan_from(scan, 0, survivors);
}

/// Scans the entries from `first` on: also the rest that does not fill a wide register.
#[inline]
pub(super) fn scan_from(scan: &Scan<'_>, first: usize, survivors: &mut Survivors) {
    for (column, product) in scan.products.iter().enumerate().skip(first) {
        let distance = product.mul_add(scan.scale, scan.column_bias[column]) + scan.row_bias;
        if distance < scan.row_threshold {
            survivors.of_row.push(column as u32, distance);
        }
        if distance < scan.column_thresholds[column] {
            survivors.of_columns.push(column as u32, distance);
        }
    }
}

#[inline]
pub(super) fn insert_sorted(entries: &mut [Candidate; SHORT_LIST], candidate: Candidate) {
    let mut moved = candidate;
    for entry in entries {
        (*entry, moved) = ((*entry).min(moved), (*entry).max(moved));
    }
}

pub(super) fn multiply_bytes(
    rows: &[&[i8]; CODE_ROWS],
    starts: &[i32; CODE_ROWS],
    columns: &[u8],
    out: &mut [f32],
) {
    let depth = rows[0].len();
    let column_count = columns.len() / depth;
    for ((row, start), out) in rows.iter().zip(starts).zip(out.chunks_mut(column_count)) {
        for (column, out) in out.iter_mut().enumerate() {
            let group = &columns[column / COLUMN_LANES * COLUMN_LANES * depth..];
            let own = (column % COLUMN_LANES) * DEPTH_BYTES;
            let steps =
                group.chunks(COLUMN_LANES * DEPTH_BYTES).map(|step| &step[own..][..DEPTH_BYTES]);
            let pairs = row.chunks(DEPTH_BYTES).zip(steps).flat_map(|(x, y)| x.iter().zip(y));
            let product: i32 = pairs.map(|(x, y)| i32::from(*x) * i32::from(*y)).sum();
            *out = (start + product) as f32;
        }
    }
}

pub(super) fn nearest_columns(
    products: &[f32],
    bias: &[f32],
    _keep: usize,
) -> [Candidate; SHORT_LIST] {
    let mut nearest = [Candidate::LAST; SHORT_LIST];
    for (column, (product, bias)) in (0..).zip(products.iter().zip(bias)) {
        let distance = product.mul_add(-2.0, *bias);
        if distance < f32::INFINITY {
            insert_sorted(&mut nearest, Candidate::new(distance, column));
        }
    }
    nearest
}
