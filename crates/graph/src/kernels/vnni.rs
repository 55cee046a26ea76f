//! Products of bytes with AVX-512 VNNI: four of them, summed, in each of sixteen lanes at once.

// `self` is the proof that the instructions are there.
#![allow(clippy::unused_self)]

use std::arch::x86_64::{
    __m512i, __mmask64, _mm_add_epi32, _mm_extract_epi32, _mm256_add_epi32, _mm256_castsi256_si128,
    _mm256_extracti128_si256, _mm512_add_epi32, _mm512_castsi512_si256, _mm512_dpbusd_epi32,
    _mm512_extracti64x4_epi64, _mm512_loadu_epi32, _mm512_loadu_si512, _mm512_maskz_loadu_epi8,
    _mm512_reduce_add_epi32, _mm512_set1_epi32, _mm512_setzero_si512, _mm512_storeu_epi32,
    _mm512_sub_epi32, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32,
    _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use super::{CODE_ROWS, COLUMN_LANES, DEPTH_BYTES};
use crate::blocks::Rows;

/// Bytes of a register.
const BYTES: usize = 64;

/// Rows whose lanes are added up together.
const SUMS: usize = 4;

/// Groups of columns whose sums fit the registers, together with those of all rows.
const GROUPS: usize = 3;

/// Proof that the processor has AVX-512 VNNI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vnni(());

impl Vnni {
    pub(super) fn new() -> Option<Self> {
        let is_there = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni");
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
        rows: Rows<'_, i8>,
        nodes: &[u32],
        out: &mut [i32],
    ) {
        #[allow(unsafe_code)]
        // SAFETY: a `Vnni` exists only where the processor has the instructions.
        unsafe {
            dot_bytes_many(query, rows, nodes, out);
        }
    }

    #[inline]
    pub(super) fn dot_bytes_run(self, query: &[i8], rows: &[i8], out: &mut [i32]) {
        #[allow(unsafe_code)]
        // SAFETY: a `Vnni` exists only where the processor has the instructions.
        unsafe {
            dot_bytes_run(query, rows, out);
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

/// Several rows at a time: a row of bytes is so short that adding up the lanes of each alone would
/// take longer than the products.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn dot_bytes_many(query: &[i8], rows: Rows<'_, i8>, nodes: &[u32], out: &mut [i32]) {
    let start = start(query);
    let (groups, rest) = nodes.as_chunks::<SUMS>();
    let (outs, out_rest) = out.as_chunks_mut::<SUMS>();
    for (nodes, out) in groups.iter().zip(outs) {
        let mut group: [&[i8]; SUMS] = [&[]; SUMS];
        for index in 0..SUMS {
            group[index] = rows.row(nodes[index] as usize);
        }
        *out = reduce(add_products(start, query, group));
    }
    for (node, out) in rest.iter().zip(out_rest) {
        let [sum] = add_products(start, query, [rows.row(*node as usize)]);
        *out = _mm512_reduce_add_epi32(sum);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn dot_bytes_run(query: &[i8], rows: &[i8], out: &mut [i32]) {
    let start = start(query);
    let row = |index: usize| &rows[index * query.len()..][..query.len()];
    let (outs, out_rest) = out.as_chunks_mut::<SUMS>();
    let done = outs.len() * SUMS;
    for (group, out) in outs.iter_mut().enumerate() {
        let first = group * SUMS;
        let rows = [row(first), row(first + 1), row(first + 2), row(first + 3)];
        *out = reduce(add_products(start, query, rows));
    }
    for (index, out) in out_rest.iter_mut().enumerate() {
        let [sum] = add_products(start, query, [row(done + index)]);
        *out = _mm512_reduce_add_epi32(sum);
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn dot_bytes(left: &[i8], right: &[i8]) -> i32 {
    let [sum] = add_products(start(left), left, [right]);
    _mm512_reduce_add_epi32(sum)
}

/// What a sum of products with `query` starts from: rows become unsigned by 128 more, as the
/// multiplication wants it, and this takes away what that adds.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn start(query: &[i8]) -> __m512i {
    let (queries, rest) = query.as_chunks::<BYTES>();
    let offset = offset();
    let mut added = _mm512_setzero_si512();
    for query in queries {
        added = _mm512_dpbusd_epi32(added, offset, load(query));
    }
    if !rest.is_empty() {
        added = _mm512_dpbusd_epi32(added, offset, load_rest(rest));
    }
    _mm512_sub_epi32(_mm512_setzero_si512(), added)
}

/// The products of `query` with some rows, in the lanes of a register for each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[allow(clippy::needless_range_loop)]
fn add_products<const N: usize>(start: __m512i, query: &[i8], rows: [&[i8]; N]) -> [__m512i; N] {
    let (queries, query_rest) = query.as_chunks::<BYTES>();
    let offset = offset();
    // Loops over indices: closures would not be inlined, and iterators keep the sums in memory.
    let mut whole: [&[[i8; BYTES]]; N] = [&[]; N];
    let mut rests: [&[i8]; N] = [&[]; N];
    for row in 0..N {
        let (chunks, rest) = rows[row][..query.len()].as_chunks::<BYTES>();
        (whole[row], rests[row]) = (&chunks[..queries.len()], rest);
    }
    let mut sums = [start; N];
    for (index, query) in queries.iter().enumerate() {
        let query = load(query);
        for row in 0..N {
            let bytes = _mm512_xor_si512(load(&whole[row][index]), offset);
            sums[row] = _mm512_dpbusd_epi32(sums[row], bytes, query);
        }
    }
    if !query_rest.is_empty() {
        let query = load_rest(query_rest);
        for row in 0..N {
            let bytes = _mm512_xor_si512(load_rest(rests[row]), offset);
            sums[row] = _mm512_dpbusd_epi32(sums[row], bytes, query);
        }
    }
    sums
}

/// 128 in each byte: added to a signed byte without a carry, it makes the byte unsigned.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn offset() -> __m512i {
    _mm512_set1_epi32(i32::from_le_bytes([0x80; 4]))
}

/// The sums over the lanes of each register.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn reduce([a, b, c, d]: [__m512i; SUMS]) -> [i32; SUMS] {
    let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    let quads = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    let pair =
        _mm256_add_epi32(_mm512_castsi512_si256(quads), _mm512_extracti64x4_epi64::<1>(quads));
    let one = _mm_add_epi32(_mm256_castsi256_si128(pair), _mm256_extracti128_si256::<1>(pair));
    [
        _mm_extract_epi32::<0>(one),
        _mm_extract_epi32::<1>(one),
        _mm_extract_epi32::<2>(one),
        _mm_extract_epi32::<3>(one),
    ]
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[allow(unsafe_code)]
fn load(bytes: &[i8; BYTES]) -> __m512i {
    // SAFETY: the array has as many bytes as the register; the load needs no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// Loads fewer bytes than a register has; the others are zero.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[allow(unsafe_code)]
fn load_rest(bytes: &[i8]) -> __m512i {
    debug_assert!(bytes.len() < BYTES);
    let mask: __mmask64 = (1 << bytes.len()) - 1;
    // SAFETY: bytes outside of the mask are not read.
    unsafe { _mm512_maskz_loadu_epi8(mask, bytes.as_ptr()) }
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
