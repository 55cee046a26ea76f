//! The loops for AVX-512.

// `self` is the proof that the instructions are there.
#![allow(clippy::unused_self)]

use std::arch::x86_64::{
    __m512, __m512i, __mmask16, _CMP_LT_OQ, _mm512_add_epi32, _mm512_add_ps, _mm512_alignr_epi64,
    _mm512_cmp_ps_mask, _mm512_cmpgt_epu64_mask, _mm512_cmplt_epu64_mask, _mm512_fmadd_ps,
    _mm512_loadu_epi64, _mm512_loadu_ps, _mm512_mask_mov_epi64, _mm512_mask_mov_ps,
    _mm512_maskz_compress_epi32, _mm512_maskz_compress_ps, _mm512_maskz_loadu_ps, _mm512_max_epu64,
    _mm512_min_epu64, _mm512_reduce_add_ps, _mm512_set1_epi32, _mm512_set1_epi64, _mm512_set1_ps,
    _mm512_setr_epi32, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_storeu_epi32,
    _mm512_storeu_epi64, _mm512_storeu_ps, _mm512_sub_ps,
};

use super::avx2::Avx2;
use super::lanes::{Lanes, NearestLanes};
use super::vnni::Vnni;
use super::{
    CODE_ROWS, COLUMN_LANES, LIST_LANES, Passed, Rounded, Rounding, SHORT_LIST, Scan, Survivors,
    avx512_tiles, many, round, scalar,
};
use crate::blocks::Rows;
use crate::candidate::Candidate;

const LANES: usize = 16;
/// From this length on it pays to find the place in a list first.
const LONG_LIST: usize = 256;
/// Sums that are kept apart so that additions need not wait for each other.
const SUMS: usize = 4;

/// Proof that the processor has AVX-512.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Avx512 {
    /// Proof that it also multiplies bytes.
    vnni: Option<Vnni>,
    /// For bytes where it does not.
    avx2: Avx2,
}

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
        let avx2 = Avx2::new()?;
        is_x86_feature_detected!("avx512f").then(|| Self { vnni: Vnni::new(), avx2 })
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
        rows: Rows<'_, f32>,
        nodes: &[u32],
        out: &mut [f32],
    ) {
        with_proof!(l2_squared_many(query, rows, nodes, out));
    }

    #[inline]
    pub(super) fn dot_many(
        self,
        query: &[f32],
        rows: Rows<'_, f32>,
        nodes: &[u32],
        out: &mut [f32],
    ) {
        with_proof!(dot_many(query, rows, nodes, out));
    }

    #[inline]
    pub(super) fn dot_bytes(self, left: &[i8], right: &[i8]) -> i32 {
        match self.vnni {
            Some(vnni) => vnni.dot_bytes(left, right),
            None => self.avx2.dot_bytes(left, right),
        }
    }

    #[inline]
    pub(super) fn dot_bytes_many(
        self,
        query: &[i8],
        rows: Rows<'_, i8>,
        nodes: &[u32],
        out: &mut [i32],
    ) {
        match self.vnni {
            Some(vnni) => vnni.dot_bytes_many(query, rows, nodes, out),
            None => self.avx2.dot_bytes_many(query, rows, nodes, out),
        }
    }

    pub(super) fn round(self, rounding: Rounding<'_>) -> Rounded {
        with_proof!(round(rounding))
    }

    #[inline]
    pub(super) fn dot_bytes_run(self, query: &[i8], rows: &[i8], out: &mut [i32]) {
        match self.vnni {
            Some(vnni) => vnni.dot_bytes_run(query, rows, out),
            None => self.avx2.dot_bytes_run(query, rows, out),
        }
    }

    #[inline]
    pub(super) fn scan(self, row: &Scan<'_>, survivors: &mut Survivors) {
        with_proof!(scan(row, survivors));
    }

    #[inline]
    pub(super) fn insert_sorted(self, entries: &mut [Candidate; SHORT_LIST], candidate: Candidate) {
        with_proof!(insert_sorted(entries, candidate));
    }

    #[inline]
    pub(super) fn insert_all(self, list: &mut [u64], words: &[u64]) -> usize {
        with_proof!(insert_all(list, words))
    }

    pub(super) fn multiplies_bytes(self) -> bool {
        self.vnni.is_some()
    }

    pub(super) fn multiply_bytes(
        self,
        rows: &[&[i8]; CODE_ROWS],
        starts: &[i32; CODE_ROWS],
        columns: &[u8],
        out: &mut [i32],
    ) {
        match self.vnni {
            Some(vnni) => vnni.multiply_bytes(rows, starts, columns, out),
            None => scalar::multiply_bytes(rows, starts, columns, out),
        }
    }

    pub(super) fn pack(self, rows: &[&[i8]; COLUMN_LANES], offset: i32, columns: &mut [u8]) {
        self.avx2.pack(rows, offset, columns);
    }

    pub(super) fn mirror(self, matrix: &mut [i32], stride: usize) {
        self.avx2.mirror(matrix, stride);
    }

    pub(super) fn transpose(self, rows: &[i32], columns: &mut [i32]) {
        self.avx2.transpose(rows, columns);
    }

    pub(super) fn nearest_columns(self, lanes: &Lanes<'_>) -> NearestLanes {
        with_proof!(avx512_tiles::nearest_columns(lanes))
    }
}

#[target_feature(enable = "avx512f")]
fn l2_squared_many(query: &[f32], rows: Rows<'_, f32>, nodes: &[u32], out: &mut [f32]) {
    many(query, rows, nodes, out, |left, right| l2_squared(left, right));
}

#[target_feature(enable = "avx512f")]
fn dot_many(query: &[f32], rows: Rows<'_, f32>, nodes: &[u32], out: &mut [f32]) {
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
    let (left_groups, left) = left.as_chunks::<{ SUMS * LANES }>();
    let (right_groups, right) = right.as_chunks::<{ SUMS * LANES }>();
    let mut sums = [_mm512_setzero_ps(); SUMS];
    for (left, right) in left_groups.iter().zip(right_groups) {
        for (index, sum) in sums.iter_mut().enumerate() {
            let from = index * LANES;
            *sum = step(*sum, load(&left[from..]), load(&right[from..]));
        }
    }
    let (left_lanes, left) = left.as_chunks::<LANES>();
    let (right_lanes, right) = right.as_chunks::<LANES>();
    for ((left, right), sum) in left_lanes.iter().zip(right_lanes).zip(&mut sums) {
        *sum = step(*sum, load(left), load(right));
    }
    let len = left.len().min(right.len());
    if len > 0 {
        sums[0] = step(sums[0], load_rest(&left[..len]), load_rest(&right[..len]));
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
fn round(rounding: Rounding<'_>) -> Rounded {
    round::round(rounding)
}

#[target_feature(enable = "avx512f")]
fn scan(row: &Scan<'_>, survivors: &mut Survivors) {
    let (products, rest) = row.products.as_chunks::<LANES>();
    let (bias, bias_rest) = row.column_bias.as_chunks::<LANES>();
    let (thresholds, thresholds_rest) = row.column_thresholds.as_chunks::<LANES>();
    for (index, ((products, bias), thresholds)) in
        products.iter().zip(bias).zip(thresholds).enumerate()
    {
        let loaded = (load(products), load(bias), load(thresholds));
        scan_columns(row, index * LANES, loaded, survivors);
    }
    if !rest.is_empty() {
        let count = rest.len();
        // Lanes without a column are infinitely far away.
        let lanes: __mmask16 = (1 << count) - 1;
        let far = _mm512_set1_ps(f32::INFINITY);
        let bias = _mm512_mask_mov_ps(far, lanes, load_rest(&bias_rest[..count]));
        let loaded = (load_rest(rest), bias, load_rest(&thresholds_rest[..count]));
        let at = products.len() * LANES;
        scan_columns(row, at, loaded, survivors);
    }
}

/// Scans the columns from `at` on whose products, biases and thresholds are loaded.
#[inline]
#[target_feature(enable = "avx512f")]
fn scan_columns(
    row: &Scan<'_>,
    at: usize,
    (products, bias, thresholds): (__m512, __m512, __m512),
    survivors: &mut Survivors,
) {
    let scaled = _mm512_fmadd_ps(products, _mm512_set1_ps(row.scale), bias);
    let distances = _mm512_add_ps(scaled, _mm512_set1_ps(row.row_bias));
    let row_threshold = _mm512_set1_ps(row.row_threshold);
    let of_row = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(distances, row_threshold);
    let of_columns = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(distances, thresholds);
    if of_row | of_columns != 0 {
        let first = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let columns = _mm512_add_epi32(first, _mm512_set1_epi32(at as i32));
        keep(of_row, columns, distances, &mut survivors.of_row);
        keep(of_columns, columns, distances, &mut survivors.of_columns);
    }
}

/// Keeps the lanes whose bits are set.
#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)]
fn keep(passed: __mmask16, columns: __m512i, distances: __m512, kept: &mut Passed) {
    let (to_columns, to_distances) = kept.reserve(passed.count_ones() as usize);
    // SAFETY: `reserve` gives room for sixteen entries in both lists.
    unsafe {
        let columns = _mm512_maskz_compress_epi32(passed, columns);
        _mm512_storeu_epi32(to_columns.as_mut_ptr().cast(), columns);
        let distances = _mm512_maskz_compress_ps(passed, distances);
        _mm512_storeu_ps(to_distances.as_mut_ptr(), distances);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)]
fn insert_sorted(entries: &mut [Candidate; SHORT_LIST], candidate: Candidate) {
    // SAFETY: a `Candidate` is a plain word, and there are eight of them.
    let old = unsafe { _mm512_loadu_epi64(entries.as_ptr().cast()) };
    store_list(inserted(old, candidate), entries);
}

#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)]
fn store_list(list: __m512i, entries: &mut [Candidate; SHORT_LIST]) {
    // SAFETY: as in `insert_sorted`; whatever is in the register was a `Candidate`.
    unsafe { _mm512_storeu_epi64(entries.as_mut_ptr().cast(), list) }
}

/// In an ascending list with one word more, each is the larger one of that before it and of the
/// smaller of itself and the new one: so all places are found alike, without a branch.
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)]
fn insert_all(list: &mut [u64], words: &[u64]) -> usize {
    let mut first = list.len();
    for word in words {
        let is_long = list.len() >= LONG_LIST;
        let start = if is_long { list.partition_point(|other| other < word) } else { 0 };
        let mut place = start - start % LIST_LANES;
        let (registers, _) = list[place..].as_chunks_mut::<LIST_LANES>();
        let new = _mm512_set1_epi64(word.cast_signed());
        let mut before = _mm512_setzero_si512();
        for register in registers {
            // SAFETY: the array has as many words as the register, here and below.
            let old = unsafe { _mm512_loadu_epi64(register.as_ptr().cast()) };
            let moved = _mm512_alignr_epi64::<7>(old, before);
            let merged = _mm512_max_epu64(moved, _mm512_min_epu64(old, new));
            // SAFETY: as above.
            unsafe { _mm512_storeu_epi64(register.as_mut_ptr().cast(), merged) }
            place += _mm512_cmplt_epu64_mask(old, new).trailing_ones() as usize;
            before = old;
        }
        first = first.min(place);
    }
    first
}

/// One comparison finds the place; what lies behind it moves up by one lane.
#[inline]
#[target_feature(enable = "avx512f")]
fn inserted(list: __m512i, candidate: Candidate) -> __m512i {
    let new = _mm512_set1_epi64(candidate.bits() as i64);
    let behind = _mm512_cmpgt_epu64_mask(list, new);
    let moved = _mm512_alignr_epi64::<7>(list, list);
    let place = behind & !(behind << 1);
    let shifted = _mm512_mask_mov_epi64(list, behind, moved);
    _mm512_mask_mov_epi64(shifted, place, new)
}
