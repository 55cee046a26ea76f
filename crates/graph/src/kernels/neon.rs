//! The loops for NEON, which every 64-bit ARM processor has.

// `self` is the proof that the instructions are there.
#![allow(clippy::unused_self)]

use std::arch::aarch64::{
    float32x4_t, int8x16_t, vaddq_f32, vaddq_s32, vaddvq_f32, vaddvq_s32, vdupq_n_f32, vdupq_n_s32,
    vfmaq_f32, vget_low_s8, vld1q_f32, vld1q_s8, vmull_high_s8, vmull_s8, vpadalq_s16, vsubq_f32,
};

use super::lanes::{Lanes, NearestLanes};
use super::{
    CODE_ROWS, COLUMN_LANES, Rounded, Rounding, SHORT_LIST, Scan, Survivors, many, run, scalar,
};
use crate::blocks::Rows;
use crate::candidate::Candidate;

const LANES: usize = 4;
const BYTES: usize = 16;
/// Sums that are kept apart so that additions need not wait for each other.
const SUMS: usize = 4;

/// Proof that the processor has NEON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Neon(());

/// Calls a function of this file that needs the instructions of the proof.
macro_rules! with_proof {
    ($call:expr) => {{
        #[allow(unsafe_code)]
        // SAFETY: a `Neon` exists only where the processor has the instructions.
        unsafe {
            $call
        }
    }};
}

impl Neon {
    pub(super) fn new() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self(()))
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

    /// The plain loop: the compiler makes it wide, as NEON has no masks to gain from.
    /// NEON is part of the target, so that plain loops use it.
    pub(super) fn round(self, rounding: Rounding<'_>) -> Rounded {
        scalar::round(rounding)
    }

    #[inline]
    pub(super) fn scan(self, row: &Scan<'_>, survivors: &mut Survivors) {
        scalar::scan(row, survivors);
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
        scalar::multiply_bytes(rows, starts, columns, out);
    }

    pub(super) fn pack(self, rows: &[&[i8]; COLUMN_LANES], offset: i32, columns: &mut [u8]) {
        scalar::pack(rows, offset, columns);
    }

    pub(super) fn mirror(self, matrix: &mut [i32], stride: usize) {
        scalar::mirror(matrix, stride);
    }

    pub(super) fn transpose(self, rows: &[i32], columns: &mut [i32]) {
        scalar::transpose(rows, columns);
    }

    pub(super) fn nearest_columns(self, lanes: &Lanes<'_>) -> NearestLanes {
        scalar::nearest_columns(lanes)
    }
}

#[target_feature(enable = "neon")]
fn l2_squared_many(query: &[f32], rows: Rows<'_, f32>, nodes: &[u32], out: &mut [f32]) {
    many(query, rows, nodes, out, |left, right| l2_squared(left, right));
}

#[target_feature(enable = "neon")]
fn dot_many(query: &[f32], rows: Rows<'_, f32>, nodes: &[u32], out: &mut [f32]) {
    many(query, rows, nodes, out, |left, right| dot(left, right));
}

#[inline]
#[target_feature(enable = "neon")]
fn l2_squared(left: &[f32], right: &[f32]) -> f32 {
    let wide = fold(left, right, |sum, a, b| {
        let difference = vsubq_f32(a, b);
        vfmaq_f32(sum, difference, difference)
    });
    let whole = left.len() - left.len() % LANES;
    wide + scalar::l2_squared(&left[whole..], &right[whole..])
}

#[inline]
#[target_feature(enable = "neon")]
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let wide = fold(left, right, |sum, a, b| vfmaq_f32(sum, a, b));
    let whole = left.len() - left.len() % LANES;
    wide + scalar::dot(&left[whole..], &right[whole..])
}

/// Sums `step` over the whole registers of both rows.
#[inline]
#[target_feature(enable = "neon")]
fn fold(
    left: &[f32],
    right: &[f32],
    step: impl Fn(float32x4_t, float32x4_t, float32x4_t) -> float32x4_t,
) -> f32 {
    let (left_groups, left) = left.as_chunks::<{ SUMS * LANES }>();
    let (right_groups, right) = right.as_chunks::<{ SUMS * LANES }>();
    let mut sums = [vdupq_n_f32(0.0); SUMS];
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
    vaddvq_f32(vaddq_f32(vaddq_f32(sums[0], sums[1]), vaddq_f32(sums[2], sums[3])))
}

#[inline]
#[target_feature(enable = "neon")]
#[allow(unsafe_code)]
fn load(values: &[f32]) -> float32x4_t {
    debug_assert!(values.len() >= LANES);
    // SAFETY: every caller passes at least four values; the load needs no alignment.
    unsafe { vld1q_f32(values.as_ptr()) }
}

#[target_feature(enable = "neon")]
fn dot_bytes_many(query: &[i8], rows: Rows<'_, i8>, nodes: &[u32], out: &mut [i32]) {
    many(query, rows, nodes, out, |left, right| dot_bytes(left, right));
}

#[target_feature(enable = "neon")]
fn dot_bytes_run(query: &[i8], rows: &[i8], out: &mut [i32]) {
    run(query, rows, out, |left, right| dot_bytes(left, right));
}

#[inline]
#[target_feature(enable = "neon")]
fn dot_bytes(left: &[i8], right: &[i8]) -> i32 {
    let (lefts, left) = left.as_chunks::<BYTES>();
    let (rights, right) = right.as_chunks::<BYTES>();
    let mut sums = [vdupq_n_s32(0); 2];
    for (left, right) in lefts.iter().zip(rights) {
        let (left, right) = (load_bytes(left), load_bytes(right));
        let low = vmull_s8(vget_low_s8(left), vget_low_s8(right));
        sums = [vpadalq_s16(sums[0], low), vpadalq_s16(sums[1], vmull_high_s8(left, right))];
    }
    vaddvq_s32(vaddq_s32(sums[0], sums[1])) + scalar::dot_bytes(left, right)
}

#[inline]
#[target_feature(enable = "neon")]
#[allow(unsafe_code)]
fn load_bytes(bytes: &[i8; BYTES]) -> int8x16_t {
    // SAFETY: the array has as many bytes as the register; the load needs no alignment.
    unsafe { vld1q_s8(bytes.as_ptr()) }
}
