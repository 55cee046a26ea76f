//! The loops for AVX-512.

use std::arch::x86_64::{
    __m512, __mmask16, _CMP_LT_OQ, _mm512_add_epi32, _mm512_add_ps, _mm512_cmp_ps_mask,
    _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_maskz_compress_epi32, _mm512_maskz_compress_ps,
    _mm512_maskz_loadu_ps, _mm512_max_ps, _mm512_reduce_add_ps, _mm512_set1_epi32, _mm512_set1_ps,
    _mm512_setr_epi32, _mm512_setzero_ps, _mm512_storeu_epi32, _mm512_storeu_ps, _mm512_sub_ps,
};

use super::{Scan, Survivors, many, scalar};
use crate::blocks::Blocks;

const LANES: usize = 16;
/// Sums that are kept apart so that additions need not wait for each other.
const SUMS: usize = 4;

/// Proof that the processor has AVX-512.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Avx512(());

/// Calls a function of this file that needs the instructions of the proof.
macro_rules! with_proof {
    ($call:expr) => {{
        #[allow(unsafe_code)]
        // SAFETY: an `Avx512` exists only where the processor has the instructions.
        unsafe {
            $call
        }
    }};
}

impl Avx512 {
    pub(super) fn new() -> Option<Self> {
        is_x86_feature_detected!("avx512f").then_some(Self(()))
    }

    #[inline]
    pub(super) fn l2_squared(self, left: &[f32], right: &[f32]) -> f32 {
        with_proof!(l2_squared(left, right))
    }

    #[inline]
    pub(super) fn dot(self, left: &[f32], right: &[f32]) -> f32 {
        with_proof!(dot(left, right))
    }

    #[inline]
    pub(super) fn l2_squared_many(
        self,
        query: &[f32],
        rows: &Blocks<f32>,
        nodes: &[u32],
        out: &mut [f32],
    ) {
        with_proof!(l2_squared_many(query, rows, nodes, out));
    }

    #[inline]
    pub(super) fn dot_many(
        self,
        query: &[f32],
        rows: &Blocks<f32>,
        nodes: &[u32],
        out: &mut [f32],
    ) {
        with_proof!(dot_many(query, rows, nodes, out));
    }

    #[inline]
    pub(super) fn scan(self, row: &Scan<'_>, survivors: &mut Survivors) {
        with_proof!(scan(row, survivors));
    }
}

#[target_feature(enable = "avx512f")]
fn l2_squared_many(query: &[f32], rows: &Blocks<f32>, nodes: &[u32], out: &mut [f32]) {
    many(query, rows, nodes, out, |left, right| l2_squared(left, right));
}

#[target_feature(enable = "avx512f")]
fn dot_many(query: &[f32], rows: &Blocks<f32>, nodes: &[u32], out: &mut [f32]) {
    many(query, rows, nodes, out, |left, right| dot(left, right));
}

#[inline]
#[target_feature(enable = "avx512f")]
fn l2_squared(left: &[f32], right: &[f32]) -> f32 {
    fold(left, right, |sum, a, b| {
        let difference = _mm512_sub_ps(a, b);
        _mm512_fmadd_ps(difference, difference, sum)
    })
}

#[inline]
#[target_feature(enable = "avx512f")]
fn dot(left: &[f32], right: &[f32]) -> f32 {
    fold(left, right, |sum, a, b| _mm512_fmadd_ps(a, b, sum))
}

/// Sums `step` over both rows, sixteen values at a time; the rest is loaded under a mask.
#[inline]
#[target_feature(enable = "avx512f")]
fn fold(left: &[f32], right: &[f32], step: impl Fn(__m512, __m512, __m512) -> __m512) -> f32 {
    let len = left.len().min(right.len());
    let mut sums = [_mm512_setzero_ps(); SUMS];
    let mut at = 0;
    while at + SUMS * LANES <= len {
        for (index, sum) in sums.iter_mut().enumerate() {
            let from = at + index * LANES;
            *sum = step(*sum, load(&left[from..]), load(&right[from..]));
        }
        at += SUMS * LANES;
    }
    for sum in &mut sums {
        if at + LANES <= len {
            *sum = step(*sum, load(&left[at..]), load(&right[at..]));
            at += LANES;
        }
    }
    if at < len {
        sums[0] = step(sums[0], load_rest(&left[at..len]), load_rest(&right[at..len]));
    }
    let halves = [_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])];
    _mm512_reduce_add_ps(_mm512_add_ps(halves[0], halves[1]))
}

#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)]
fn load(values: &[f32]) -> __m512 {
    debug_assert!(values.len() >= LANES);
    // SAFETY: every caller passes at least sixteen values; the load needs no alignment.
    unsafe { _mm512_loadu_ps(values.as_ptr()) }
}

/// Loads fewer than sixteen values; the other lanes are zero.
#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)]
fn load_rest(values: &[f32]) -> __m512 {
    debug_assert!(values.len() < LANES);
    let mask: __mmask16 = (1 << values.len()) - 1;
    // SAFETY: lanes outside of the mask are not read.
    unsafe { _mm512_maskz_loadu_ps(mask, values.as_ptr()) }
}

#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)]
fn scan(row: &Scan<'_>, survivors: &mut Survivors) {
    let columns = row.products.len();
    let column_bias = &row.column_bias[..columns];
    let column_thresholds = &row.column_thresholds[..columns];
    let scale = _mm512_set1_ps(row.scale);
    let row_bias = _mm512_set1_ps(row.row_bias);
    let row_threshold = _mm512_set1_ps(row.row_threshold);
    let first_lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let mut at = 0;
    while at + LANES <= columns {
        let bias = load(&column_bias[at..]);
        let scaled = _mm512_fmadd_ps(load(&row.products[at..]), scale, bias);
        let distances = _mm512_add_ps(scaled, row_bias);
        let thresholds = _mm512_max_ps(row_threshold, load(&column_thresholds[at..]));
        let passed = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(distances, thresholds);
        if passed != 0 {
            let lanes = _mm512_add_epi32(first_lanes, _mm512_set1_epi32(at as i32));
            let (to_columns, to_distances) = survivors.reserve(passed.count_ones() as usize);
            // SAFETY: `reserve` gives room for sixteen entries in both lists.
            unsafe {
                let lanes = _mm512_maskz_compress_epi32(passed, lanes);
                _mm512_storeu_epi32(to_columns.as_mut_ptr().cast(), lanes);
                let kept = _mm512_maskz_compress_ps(passed, distances);
                _mm512_storeu_ps(to_distances.as_mut_ptr(), kept);
            }
        }
        at += LANES;
    }
    scalar::scan_from(row, at, survivors);
}
