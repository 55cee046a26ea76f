//! Tiles of products of bytes with AVX2, and the selection on their rows.
//!
//! The processor adds up pairs of products in sixteen bits. Values of seven bits leave room for
//! two pairs, so that only every second sum is widened.

use std::arch::x86_64::{
    __m256, __m256i, _CMP_LE_OQ, _CMP_LT_OQ, _mm256_add_epi16, _mm256_add_epi32, _mm256_cmp_ps,
    _mm256_cvtepi32_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_maddubs_epi16, _mm256_min_ps, _mm256_movemask_ps, _mm256_set1_epi16, _mm256_set1_epi32,
    _mm256_set1_ps, _mm256_setzero_si256, _mm256_storeu_ps,
};

use super::{CODE_ROWS, COLUMN_LANES, DEPTH_BYTES, SHORT_LIST, scalar};
use crate::candidate::Candidate;

const LANES: usize = 8;

/// Registers of a group of columns.
const PARTS: usize = COLUMN_LANES / LANES;

/// Rows whose sums fit the registers, together with a group of columns.
const ROWS: usize = 4;

/// Bytes of a step of all columns of a group.
const STEP_BYTES: usize = COLUMN_LANES * DEPTH_BYTES;

#[target_feature(enable = "avx2,fma")]
pub(super) fn multiply_bytes(
    rows: &[&[i8]; CODE_ROWS],
    starts: &[i32; CODE_ROWS],
    columns: &[u8],
    out: &mut [f32],
) {
    let depth = rows[0].len();
    let stride = columns.len() / depth;
    let (rows, _) = rows.as_chunks::<ROWS>();
    let (starts, _) = starts.as_chunks::<ROWS>();
    for (group, columns) in columns.chunks(COLUMN_LANES * depth).enumerate() {
        let (steps, _) = columns.as_chunks::<STEP_BYTES>();
        for (block, (rows, starts)) in rows.iter().zip(starts).enumerate() {
            let rows = rows.map(|row| row.as_chunks::<DEPTH_BYTES>().0);
            let sums = multiply_group(rows, starts, steps);
            for (row, sums) in sums.into_iter().enumerate() {
                let from = (block * ROWS + row) * stride + group * COLUMN_LANES;
                let (parts, _) = out[from..][..COLUMN_LANES].as_chunks_mut::<LANES>();
                for (part, sum) in parts.iter_mut().zip(sums) {
                    store(_mm256_cvtepi32_ps(sum), part);
                }
            }
        }
    }
}

/// Some rows with one group of columns.
#[inline]
#[target_feature(enable = "avx2,fma")]
#[allow(clippy::needless_range_loop, clippy::similar_names)]
fn multiply_group(
    rows: [&[[i8; DEPTH_BYTES]]; ROWS],
    starts: &[i32; ROWS],
    columns: &[[u8; STEP_BYTES]],
) -> [[__m256i; PARTS]; ROWS] {
    let rows = rows.map(|row| &row[..columns.len()]);
    let ones = _mm256_set1_epi16(1);
    // Loops over indices: iterators would keep the sums in memory instead of registers.
    let mut sums = [[_mm256_setzero_si256(); PARTS]; ROWS];
    for row in 0..ROWS {
        sums[row] = [_mm256_set1_epi32(starts[row]); PARTS];
    }
    for pair in 0..columns.len() / 2 {
        let (first, second) = (load_step(&columns[2 * pair]), load_step(&columns[2 * pair + 1]));
        for row in 0..ROWS {
            let first_word = word(rows[row][2 * pair]);
            let second_word = word(rows[row][2 * pair + 1]);
            for part in 0..PARTS {
                let sum = _mm256_add_epi16(
                    _mm256_maddubs_epi16(first[part], first_word),
                    _mm256_maddubs_epi16(second[part], second_word),
                );
                sums[row][part] = _mm256_add_epi32(sums[row][part], _mm256_madd_epi16(sum, ones));
            }
        }
    }
    if columns.len() % 2 == 1 {
        let last = columns.len() - 1;
        let step = load_step(&columns[last]);
        for row in 0..ROWS {
            for part in 0..PARTS {
                let sum = _mm256_maddubs_epi16(step[part], word(rows[row][last]));
                sums[row][part] = _mm256_add_epi32(sums[row][part], _mm256_madd_epi16(sum, ones));
            }
        }
    }
    sums
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn word(bytes: [i8; DEPTH_BYTES]) -> __m256i {
    _mm256_set1_epi32(i32::from_le_bytes(bytes.map(i8::cast_unsigned)))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
#[allow(unsafe_code)]
fn load_step(step: &[u8; STEP_BYTES]) -> [__m256i; PARTS] {
    let (low, high) = step.split_at(STEP_BYTES / PARTS);
    // SAFETY: a step is two registers long; the loads need no alignment.
    unsafe { [_mm256_loadu_si256(low.as_ptr().cast()), _mm256_loadu_si256(high.as_ptr().cast())] }
}

/// Two passes over the entries: the nearest of each lane bound the last of the nearest columns,
/// and few columns are under that bound.
#[target_feature(enable = "avx2,fma")]
pub(super) fn nearest_columns(
    products: &[f32],
    bias: &[f32],
    keep: usize,
) -> [Candidate; SHORT_LIST] {
    let (products, _) = products.as_chunks::<COLUMN_LANES>();
    let (bias, _) = bias.as_chunks::<COLUMN_LANES>();
    let far = _mm256_set1_ps(f32::INFINITY);
    let mut minima = [far; PARTS];
    for (products, bias) in products.iter().zip(bias) {
        let distances = distances(products, bias);
        minima = [_mm256_min_ps(minima[0], distances[0]), _mm256_min_ps(minima[1], distances[1])];
    }
    let bound = _mm256_set1_ps(nth_least(minima, keep - 1));
    let mut nearest = [Candidate::LAST; SHORT_LIST];
    for (group, (products, bias)) in products.iter().zip(bias).enumerate() {
        let distances = distances(products, bias);
        let passed = distances.map(|distances| {
            let is_finite = _mm256_cmp_ps::<_CMP_LT_OQ>(distances, far);
            let is_near = _mm256_cmp_ps::<_CMP_LE_OQ>(distances, bound);
            _mm256_movemask_ps(is_finite) & _mm256_movemask_ps(is_near)
        });
        let mut passed = passed[0] | passed[1] << LANES;
        if passed == 0 {
            continue;
        }
        let lanes = stored(distances);
        while passed != 0 {
            let lane = passed.trailing_zeros() as usize;
            let column = (group * COLUMN_LANES + lane) as u32;
            scalar::insert_sorted(&mut nearest, Candidate::new(lanes[lane], column));
            passed &= passed - 1;
        }
    }
    nearest
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn distances(products: &[f32; COLUMN_LANES], bias: &[f32; COLUMN_LANES]) -> [__m256; PARTS] {
    let minus_two = _mm256_set1_ps(-2.0);
    [0, LANES].map(|from| _mm256_fmadd_ps(load(&products[from..]), minus_two, load(&bias[from..])))
}

/// The value that has `n` of the sixteen before it, or one that is equal.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn nth_least(values: [__m256; PARTS], n: usize) -> f32 {
    let mut nth = f32::NEG_INFINITY;
    for value in stored(values) {
        let wide = _mm256_set1_ps(value);
        let smaller = values.map(|values| _mm256_cmp_ps::<_CMP_LT_OQ>(values, wide));
        let smaller = smaller.map(|mask| _mm256_movemask_ps(mask).count_ones());
        // Of equal values none counts the others, so the largest of those with few before them
        // is the one.
        if smaller[0] + smaller[1] <= n as u32 {
            nth = nth.max(value);
        }
    }
    nth
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn stored(values: [__m256; PARTS]) -> [f32; COLUMN_LANES] {
    let mut lanes = [0.0; COLUMN_LANES];
    let (parts, _) = lanes.as_chunks_mut::<LANES>();
    for (part, values) in parts.iter_mut().zip(values) {
        store(values, part);
    }
    lanes
}

#[inline]
#[target_feature(enable = "avx2,fma")]
#[allow(unsafe_code)]
fn load(values: &[f32]) -> __m256 {
    debug_assert!(values.len() >= LANES);
    // SAFETY: every caller passes at least eight values; the load needs no alignment.
    unsafe { _mm256_loadu_ps(values.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
#[allow(unsafe_code)]
fn store(values: __m256, part: &mut [f32; LANES]) {
    // SAFETY: there is room for eight values; the store needs no alignment.
    unsafe { _mm256_storeu_ps(part.as_mut_ptr(), values) }
}
