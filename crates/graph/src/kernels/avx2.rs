//! The loops for AVX2 with FMA.

// `self` is the proof that the instructions are there.
#![allow(clippy::unused_self)]

use std::arch::x86_64::{
    __m256, __m256i, _CMP_LT_OQ, _mm_add_epi32, _mm_add_ps, _mm_add_ss, _mm_cvtsi128_si32,
    _mm_cvtss_f32, _mm_extract_epi32, _mm_movehdup_ps, _mm_movehl_ps, _mm_shuffle_epi32,
    _mm256_abs_epi8, _mm256_add_epi32, _mm256_add_ps, _mm256_castps256_ps128,
    _mm256_castsi256_si128, _mm256_cmp_ps, _mm256_extractf128_ps, _mm256_extracti128_si256,
    _mm256_fmadd_ps, _mm256_hadd_epi32, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_maddubs_epi16, _mm256_movemask_ps, _mm256_set1_epi16, _mm256_set1_ps, _mm256_setzero_ps,
    _mm256_setzero_si256, _mm256_sign_epi8, _mm256_sub_ps,
};

use super::lanes::{Lanes, NearestLanes};
use super::{
    CODE_ROWS, COLUMN_LANES, Passed, Rounded, Rounding, SHORT_LIST, Scan, Survivors, avx2_tiles,
    many, round, run, scalar,
};
use crate::blocks::Rows;
use crate::candidate::Candidate;

const LANES: usize = 8;
const BYTES: usize = 32;
/// Sums that are kept apart so that additions need not wait for each other.
const SUMS: usize = 4;

/// Proof that the processor has AVX2 and FMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Avx2(());

/// Calls a function of this file that needs the instructions of the proof.
macro_rules! with_proof {
    ($call:expr) => {{
        #[allow(unsafe_code)]
        // SAFETY: an `Avx2` exists only where the processor has the instructions.
        unsafe {
            $call
        }
    }};
}

impl Avx2 {
    pub(super) fn new() -> Option<Self> {
        let present = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        present.then_some(Self(()))
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
        with_proof!(dot_bytes(left, right))
    }

    #[inline]
    pub(super) fn dot_bytes_many(
        self,
        query: &[i8],
        rows: Rows<'_, i8>,
        nodes: &[u32],
        out: &mut [i32],
    ) {
        with_proof!(dot_bytes_many(query, rows, nodes, out));
    }

    #[inline]
    pub(super) fn dot_bytes_run(self, query: &[i8], rows: &[i8], out: &mut [i32]) {
        with_proof!(dot_bytes_run(query, rows, out));
    }

    pub(super) fn round(self, rounding: Rounding<'_>) -> Rounded {
        with_proof!(round(rounding))
    }

    #[inline]
    pub(super) fn scan(self, row: &Scan<'_>, survivors: &mut Survivors) {
        with_proof!(scan(row, survivors));
    }

    #[inline]
    pub(super) fn insert_sorted(self, entries: &mut [Candidate; SHORT_LIST], candidate: Candidate) {
        scalar::insert_sorted(entries, candidate);
    }

    #[inline]
    pub(super) fn insert_all(self, list: &mut [u64], words: &[u64]) -> usize {
        scalar::insert_all(list, words)
    }

    pub(super) fn multiply_bytes(
        self,
        rows: &[&[i8]; CODE_ROWS],
        starts: &[i32; CODE_ROWS],
        columns: &[u8],
        out: &mut [i32],
    ) {
        with_proof!(avx2_tiles::multiply_bytes(rows, starts, columns, out));
    }

    pub(super) fn pack(self, rows: &[&[i8]; COLUMN_LANES], offset: i32, columns: &mut [u8]) {
        with_proof!(avx2_tiles::pack(rows, offset, columns));
    }

    pub(super) fn mirror(self, matrix: &mut [i32], stride: usize) {
        with_proof!(avx2_tiles::mirror(matrix, stride));
    }

    pub(super) fn transpose(self, rows: &[i32], columns: &mut [i32]) {
        with_proof!(avx2_tiles::transpose(rows, columns));
    }

    pub(super) fn nearest_columns(self, lanes: &Lanes<'_>) -> NearestLanes {
        with_proof!(avx2_tiles::nearest_columns(lanes))
    }
}

#[target_feature(enable = "avx2,fma")]
fn l2_squared_many(query: &[f32], rows: Rows<'_, f32>, nodes: &[u32], out: &mut [f32]) {
    many(query, rows, nodes, out, |left, right| l2_squared(left, right));
}

#[target_feature(enable = "avx2,fma")]
fn dot_many(query: &[f32], rows: Rows<'_, f32>, nodes: &[u32], out: &mut [f32]) {
    many(query, rows, nodes, out, |left, right| dot(left, right));
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn l2_squared(left: &[f32], right: &[f32]) -> f32 {
    let wide = fold(left, right, |sum, a, b| {
        let difference = _mm256_sub_ps(a, b);
        _mm256_fmadd_ps(difference, difference, sum)
    });
    let (left, right) = rest(left, right);
    wide + scalar::l2_squared(left, right)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let wide = fold(left, right, |sum, a, b| _mm256_fmadd_ps(a, b, sum));
    let (left, right) = rest(left, right);
    wide + scalar::dot(left, right)
}

/// Sums `step` over the whole registers of both rows.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn fold(left: &[f32], right: &[f32], step: impl Fn(__m256, __m256, __m256) -> __m256) -> f32 {
    let (left_groups, left) = left.as_chunks::<{ SUMS * LANES }>();
    let (right_groups, right) = right.as_chunks::<{ SUMS * LANES }>();
    let mut sums = [_mm256_setzero_ps(); SUMS];
    for (left, right) in left_groups.iter().zip(right_groups) {
        for (index, sum) in sums.iter_mut().enumerate() {
            let from = index * LANES;
            *sum = step(*sum, load(&left[from..]), load(&right[from..]));
        }
    }
    let (left_lanes, _) = left.as_chunks::<LANES>();
    let (right_lanes, _) = right.as_chunks::<LANES>();
    for ((left, right), sum) in left_lanes.iter().zip(right_lanes).zip(&mut sums) {
        *sum = step(*sum, load(left), load(right));
    }
    let halves = [_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3])];
    reduce(_mm256_add_ps(halves[0], halves[1]))
}

/// What is left behind the last whole register.
#[inline]
fn rest<'a>(left: &'a [f32], right: &'a [f32]) -> (&'a [f32], &'a [f32]) {
    let len = left.len().min(right.len());
    let whole = len - len % LANES;
    (&left[whole..len], &right[whole..len])
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn reduce(sums: __m256) -> f32 {
    let quad = _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps::<1>(sums));
    let pair = _mm_add_ps(quad, _mm_movehl_ps(quad, quad));
    _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)))
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
fn dot_bytes(left: &[i8], right: &[i8]) -> i32 {
    let (lefts, left) = left.as_chunks::<BYTES>();
    let (rights, right) = right.as_chunks::<BYTES>();
    let mut sum = _mm256_setzero_si256();
    for (left, right) in lefts.iter().zip(rights) {
        sum = add_products(sum, load_bytes(left), load_bytes(right));
    }
    let quad = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
    let pair = _mm_add_epi32(quad, _mm_shuffle_epi32::<0b1110>(quad));
    let one = _mm_add_epi32(pair, _mm_shuffle_epi32::<0b0001>(pair));
    _mm_cvtsi128_si32(one) + scalar::dot_bytes(left, right)
}

#[target_feature(enable = "avx2,fma")]
fn dot_bytes_many(query: &[i8], rows: Rows<'_, i8>, nodes: &[u32], out: &mut [i32]) {
    let (groups, rest) = nodes.as_chunks::<SUMS>();
    let (outs, out_rest) = out.as_chunks_mut::<SUMS>();
    for (nodes, out) in groups.iter().zip(outs) {
        *out = dot_bytes_group(query, nodes.map(|node| rows.row(node as usize)));
    }
    many(query, rows, rest, out_rest, |left, right| dot_bytes(left, right));
}

#[target_feature(enable = "avx2,fma")]
fn dot_bytes_run(query: &[i8], rows: &[i8], out: &mut [i32]) {
    let (groups, rest) = rows.split_at(out.len() / SUMS * SUMS * query.len());
    let (outs, out_rest) = out.as_chunks_mut::<SUMS>();
    for (rows, out) in groups.chunks_exact((SUMS * query.len()).max(1)).zip(outs) {
        let row = |index: usize| &rows[index * query.len()..][..query.len()];
        *out = dot_bytes_group(query, std::array::from_fn(row));
    }
    run(query, rest, out_rest, |left, right| dot_bytes(left, right));
}

/// Several rows at a time: a row of bytes is so short that adding up the lanes of each alone would
/// take as long as the products.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn dot_bytes_group(query: &[i8], rows: [&[i8]; SUMS]) -> [i32; SUMS] {
    let (queries, query_rest) = query.as_chunks::<BYTES>();
    let rows = rows.map(<[i8]>::as_chunks::<BYTES>);
    let mut sums = [_mm256_setzero_si256(); SUMS];
    for (index, query) in queries.iter().enumerate() {
        let query = load_bytes(query);
        for (sum, (row, _)) in sums.iter_mut().zip(&rows) {
            *sum = add_products(*sum, query, load_bytes(&row[index]));
        }
    }
    let mut out = reduce_integers(sums);
    if !query_rest.is_empty() {
        for (out, (_, row_rest)) in out.iter_mut().zip(&rows) {
            *out += scalar::dot_bytes(query_rest, row_rest);
        }
    }
    out
}

/// Adds the products of bytes to the sums of their lanes. The first factor gives its sign to the
/// second and becomes unsigned, as the multiplication wants it; two products of at most 127 * 127
/// fit its sixteen bits.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn add_products(sum: __m256i, left: __m256i, right: __m256i) -> __m256i {
    let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(left), _mm256_sign_epi8(right, left));
    _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
}

/// The sums over the lanes of each register.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn reduce_integers(sums: [__m256i; SUMS]) -> [i32; SUMS] {
    let pairs = [_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3])];
    let quads = _mm256_hadd_epi32(pairs[0], pairs[1]);
    let low = _mm256_castsi256_si128(quads);
    let wide = _mm_add_epi32(low, _mm256_extracti128_si256::<1>(quads));
    [
        _mm_extract_epi32::<0>(wide),
        _mm_extract_epi32::<1>(wide),
        _mm_extract_epi32::<2>(wide),
        _mm_extract_epi32::<3>(wide),
    ]
}

#[inline]
#[target_feature(enable = "avx2,fma")]
#[allow(unsafe_code)]
fn load_bytes(bytes: &[i8; BYTES]) -> __m256i {
    // SAFETY: the array has as many bytes as the register; the load needs no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2,fma")]
fn round(rounding: Rounding<'_>) -> Rounded {
    round::round(rounding)
}

#[target_feature(enable = "avx2,fma")]
fn scan(row: &Scan<'_>, survivors: &mut Survivors) {
    let columns = row.products.len();
    let scale = _mm256_set1_ps(row.scale);
    let row_bias = _mm256_set1_ps(row.row_bias);
    let row_threshold = _mm256_set1_ps(row.row_threshold);
    let mut at = 0;
    while at + LANES <= columns {
        let bias = load(&row.column_bias[at..]);
        let scaled = _mm256_fmadd_ps(load(&row.products[at..]), scale, bias);
        let distances = _mm256_add_ps(scaled, row_bias);
        let thresholds = load(&row.column_thresholds[at..]);
        let of_row = _mm256_cmp_ps::<_CMP_LT_OQ>(distances, row_threshold);
        let of_columns = _mm256_cmp_ps::<_CMP_LT_OQ>(distances, thresholds);
        keep(row, at, _mm256_movemask_ps(of_row) as u32, &mut survivors.of_row);
        keep(row, at, _mm256_movemask_ps(of_columns) as u32, &mut survivors.of_columns);
        at += LANES;
    }
    scalar::scan_from(row, at, survivors);
}

/// Keeps the columns from `at` on whose bits are set.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn keep(row: &Scan<'_>, at: usize, mut passed: u32, kept: &mut Passed) {
    while passed != 0 {
        let column = at + passed.trailing_zeros() as usize;
        let bias = row.column_bias[column];
        let distance = row.products[column].mul_add(row.scale, bias) + row.row_bias;
        kept.push(column as u32, distance);
        passed &= passed - 1;
    }
}
