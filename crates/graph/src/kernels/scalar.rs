//! The plain loops: what every other instruction set must agree with.

use super::lanes::{Key, Lanes, NearestLanes};
use super::{
    CODE_ROWS, COLUMN_LANES, DEPTH_BYTES, Rounded, Rounding, SHORT_LIST, Scan, Survivors, many,
    round, run,
};
use crate::blocks::Rows;
use crate::candidate::Candidate;

pub(super) fn l2_squared(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(a, b)| (a - b) * (a - b)).sum()
}

pub(super) fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(a, b)| a * b).sum()
}

pub(super) fn l2_squared_many(q: &[f32], rows: Rows<'_, f32>, nodes: &[u32], out: &mut [f32]) {
    many(q, rows, nodes, out, l2_squared);
}

pub(super) fn dot_many(query: &[f32], rows: Rows<'_, f32>, nodes: &[u32], out: &mut [f32]) {
    many(query, rows, nodes, out, dot);
}

pub(super) fn dot_bytes(left: &[i8], right: &[i8]) -> i32 {
    left.iter().zip(right).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

pub(super) fn dot_bytes_many(q: &[i8], rows: Rows<'_, i8>, nodes: &[u32], out: &mut [i32]) {
    many(q, rows, nodes, out, dot_bytes);
}

pub(super) fn dot_bytes_run(query: &[i8], rows: &[i8], out: &mut [i32]) {
    run(query, rows, out, dot_bytes);
}

pub(super) fn round(rounding: Rounding<'_>) -> Rounded {
    round::round(rounding)
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

#[inline]
pub(super) fn insert_all(list: &mut [u64], words: &[u64]) -> usize {
    let mut first = list.len();
    for word in words {
        let place = list.partition_point(|other| other < word);
        if place < list.len() {
            list.copy_within(place..list.len() - 1, place + 1);
            list[place] = *word;
        }
        first = first.min(place);
    }
    first
}

pub(super) fn multiply_bytes(
    rows: &[&[i8]; CODE_ROWS],
    starts: &[i32; CODE_ROWS],
    columns: &[u8],
    out: &mut [i32],
) {
    let depth = rows[0].len();
    let column_count = columns.len() / depth;
    let stride = out.len() / CODE_ROWS;
    for ((row, start), out) in rows.iter().zip(starts).zip(out.chunks_mut(stride)) {
        for (column, out) in out[..column_count].iter_mut().enumerate() {
            let group = &columns[column / COLUMN_LANES * COLUMN_LANES * depth..];
            let own = (column % COLUMN_LANES) * DEPTH_BYTES;
            let steps =
                group.chunks(COLUMN_LANES * DEPTH_BYTES).map(|step| &step[own..][..DEPTH_BYTES]);
            let pairs = row.chunks(DEPTH_BYTES).zip(steps).flat_map(|(x, y)| x.iter().zip(y));
            let product: i32 = pairs.map(|(x, y)| i32::from(*x) * i32::from(*y)).sum();
            *out = start + product;
        }
    }
}

pub(super) fn pack(rows: &[&[i8]; COLUMN_LANES], offset: i32, columns: &mut [u8]) {
    pack_from(rows, 0, offset, columns);
}

/// Packs the values of rows from a step on.
pub(super) fn pack_from(
    rows: &[&[i8]; COLUMN_LANES],
    first: usize,
    offset: i32,
    columns: &mut [u8],
) {
    let (steps, _) = columns.as_chunks_mut::<{ COLUMN_LANES * DEPTH_BYTES }>();
    for (lane, row) in rows.iter().enumerate() {
        let (words, _) = row.as_chunks::<DEPTH_BYTES>();
        for (step, word) in steps.iter_mut().zip(words).skip(first) {
            let word = word.map(|value| (i32::from(value) + offset) as u8);
            step[lane * DEPTH_BYTES..][..DEPTH_BYTES].copy_from_slice(&word);
        }
    }
}

pub(super) fn mirror(matrix: &mut [i32], stride: usize) {
    for row in 0..stride {
        for column in row / COLUMN_LANES * COLUMN_LANES + COLUMN_LANES..stride {
            matrix[row * stride + column] = matrix[column * stride + row];
        }
    }
}

pub(super) fn transpose(rows: &[i32], columns: &mut [i32]) {
    let stride = rows.len() / CODE_ROWS;
    for (row, values) in rows.chunks(stride).enumerate() {
        for (column, value) in values.iter().enumerate() {
            columns[column * CODE_ROWS + row] = *value;
        }
    }
}

pub(super) fn nearest_columns(lanes: &Lanes<'_>) -> NearestLanes {
    let mut nearest = [[Key::LAST; CODE_ROWS]; SHORT_LIST];
    for (column, (bias, entries)) in
        lanes.bias.iter().zip(lanes.entries.chunks(lanes.stride)).enumerate()
    {
        for lane in 0..CODE_ROWS {
            let square = lanes.squares[lane] + bias;
            let square = square.wrapping_sub(entries[lane].wrapping_mul(2)).cast_unsigned();
            let mut moved = Key::new(square, lanes.shift, column);
            for list in &mut nearest {
                (list[lane], moved) = (list[lane].min(moved), list[lane].max(moved));
            }
        }
    }
    nearest
}
