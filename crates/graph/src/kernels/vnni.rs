//! Products of bytes with AVX-512 VNNI: four of them, summed, in each of sixteen lanes at once.

// `self` is the proof that the instructions are there.
#![allow(clippy::unused_self)]

use std::arch::x86_64::{
    __m512i, _mm512_dpbusd_epi32, _mm512_loadu_epi32, _mm512_loadu_si512, _mm512_reduce_add_epi32,
    _mm512_set1_epi32, _mm512_setzero_si512, _mm512_storeu_epi32, _mm512_sub_epi32,
    _mm512_xor_si512,
};

use super::{CODE_ROWS, COLUMN_LANES, DEPTH_BYTES, many, scalar};
use crate::blocks::Blocks;

/// Bytes of a register.
const BYTES: usize = 64;

/// Groups of columns whose sums fit the registers, together with those of all rows.
const GROUPS: usize = 3;

/// Proof that the processor has AVX-512 VNNI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vnni(());

impl Vnni {
    pub(super) fn new() -> Option<Self> {
        let is_there =
            is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni");
        is_there.then_some(Self(()))
    }

    #[inline]
    pub(super) fn dot_bytes(self, left: &[i8], right: &[i8]) -> i32 {
        #[allow(unsafe_code)]
        // SAFETY: a `Vnni` exists only where the processor has the instructions.
        unsafe {
            dot_bytes(left, right)
        }
    }

    #[inline]
    pub(super) fn dot_bytes_many(
        self,
        query: &[i8],
        rows: &Blocks<i8>,
        nodes: &[u32],
        out: &mut [i32],
    ) {
        #[allow(unsafe_code)]
        // SAFETY: a `Vnni` exists only where the processor has the instructions.
        unsafe {
            dot_bytes_many(query, rows, nodes, out);
        }
    }

    pub(super) fn multiply_bytes(
        self,
        rows: &[&[i8]; CODE_ROWS],
        starts: &[i32; CODE_ROWS],
        columns: &[u8],
        out: &mut [i32],
    ) {
        #[allow(unsafe_code)]
        // SAFETY: a `Vnni` exists only where the processor has the instructions.
        unsafe {
            multiply_bytes(rows, starts, columns, out);
        }
    }
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn dot_bytes_many(query: &[i8], rows: &Blocks<i8>, nodes: &[u32], out: &mut [i32]) {
    many(query, rows, nodes, out, |left, right| dot_bytes(left, right));
}

/// The first factor becomes unsigned by 128 more, as the multiplication wants it; what that adds
/// is summed apart.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn dot_bytes(left: &[i8], right: &[i8]) -> i32 {
    let (lefts, left) = left.as_chunks::<BYTES>();
    let (rights, right) = right.as_chunks::<BYTES>();
    let offset = _mm512_set1_epi32(i32::from_le_bytes([0x80; 4]));
    let mut sum = _mm512_setzero_si512();
    let mut added = _mm512_setzero_si512();
    for (left, right) in lefts.iter().zip(rights) {
        let right = load(right);
        sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(load(left), offset), right);
        added = _mm512_dpbusd_epi32(added, offset, right);
    }
    _mm512_reduce_add_epi32(_mm512_sub_epi32(sum, added)) + scalar::dot_bytes(left, right)
}

#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
#[allow(unsafe_code)]
fn load(bytes: &[i8; BYTES]) -> __m512i {
    // SAFETY: the array has as many bytes as the register; the load needs no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn multiply_bytes(
    rows: &[&[i8]; CODE_ROWS],
    starts: &[i32; CODE_ROWS],
    columns: &[u8],
    out: &mut [i32],
) {
    let group_len = COLUMN_LANES * rows[0].len();
    let stride = out.len() / CODE_ROWS;
    for (index, columns) in columns.chunks(GROUPS * group_len).enumerate() {
        let out = &mut out[index * GROUPS * COLUMN_LANES..];
        match columns.len() / group_len {
            1 => multiply_groups::<1>(rows, starts, columns, (out, stride)),
            2 => multiply_groups::<2>(rows, starts, columns, (out, stride)),
            _ => multiply_groups::<GROUPS>(rows, starts, columns, (out, stride)),
        }
    }
}

/// All rows with some groups of columns; the rows of `out` are `stride` entries apart.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
#[allow(unsafe_code, clippy::needless_range_loop)]
fn multiply_groups<const G: usize>(
    rows: &[&[i8]; CODE_ROWS],
    starts: &[i32; CODE_ROWS],
    columns: &[u8],
    (out, stride): (&mut [i32], usize),
) {
    let group_len = columns.len() / G;
    let steps = rows[0].len() / DEPTH_BYTES;
    assert_eq!(group_len, steps * COLUMN_LANES * DEPTH_BYTES, "whole steps");
    assert!(rows.iter().all(|row| row.len() == steps * DEPTH_BYTES), "rows of equal length");
    assert!(out.len() >= (CODE_ROWS - 1) * stride + G * COLUMN_LANES, "room for all entries");
    let rows = rows.map(<[i8]>::as_ptr);
    let columns = columns.as_ptr();
    // Loops over indices: iterators would keep the sums in memory instead of registers.
    let mut sums = [[_mm512_setzero_si512(); G]; CODE_ROWS];
    for row in 0..CODE_ROWS {
        sums[row] = [_mm512_set1_epi32(starts[row]); G];
    }
    for step in 0..steps {
        // SAFETY: `step` is below the number of steps, which each row and each group has whole,
        // as was checked above; the loads need no alignment.
        unsafe {
            let mut column = [_mm512_setzero_si512(); G];
            for group in 0..G {
                let at = group * group_len + step * COLUMN_LANES * DEPTH_BYTES;
                column[group] = _mm512_loadu_epi32(columns.add(at).cast());
            }
            for row in 0..CODE_ROWS {
                let word = rows[row].add(step * DEPTH_BYTES).cast::<i32>().read_unaligned();
                let word = _mm512_set1_epi32(word);
                for group in 0..G {
                    sums[row][group] = _mm512_dpbusd_epi32(sums[row][group], column[group], word);
                }
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        for (group, sum) in sums.iter().enumerate() {
            // SAFETY: the length of `out` was checked above.
            unsafe {
                let entry = out.as_mut_ptr().add(row * stride + group * COLUMN_LANES);
                _mm512_storeu_epi32(entry, *sum);
            }
        }
    }
}
