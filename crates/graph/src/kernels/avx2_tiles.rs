//! Tiles of products of bytes with AVX2, and the selection on their rows.
//!
//! The processor adds up pairs of products in sixteen bits. Values of seven bits leave room for
//! two pairs, so that only every second sum is widened.

use std::arch::x86_64::{
    __m256i, _mm_cvtsi32_si128, _mm256_add_epi8, _mm256_add_epi16, _mm256_add_epi32,
    _mm256_castps_si256, _mm256_castsi256_ps, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_maddubs_epi16, _mm256_max_epu32, _mm256_min_epu32, _mm256_or_si256,
    _mm256_permute2f128_ps, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32,
    _mm256_setzero_ps, _mm256_setzero_si256, _mm256_shuffle_ps, _mm256_slli_epi32,
    _mm256_srl_epi32, _mm256_storeu_si256, _mm256_sub_epi32, _mm256_unpackhi_ps,
    _mm256_unpacklo_ps,
};

use super::lanes::{COLUMN_BITS, FAR, Key, Lanes, NORMAL, NearestLanes};
use super::{CODE_ROWS, COLUMN_LANES, DEPTH_BYTES, SHORT_LIST, scalar};

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
    out: &mut [i32],
) {
    let depth = rows[0].len();
    let stride = out.len() / CODE_ROWS;
    let (rows, _) = rows.as_chunks::<ROWS>();
    let (starts, _) = starts.as_chunks::<ROWS>();
    for (group, columns) in columns.chunks(COLUMN_LANES * depth).enumerate() {
        let (steps, _) = columns.as_chunks::<STEP_BYTES>();
        for (block, (rows, starts)) in rows.iter().zip(starts).enumerate() {
            let rows = rows.each_ref().map(|row| row.as_chunks::<DEPTH_BYTES>().0);
            let sums = multiply_group(rows, starts, steps);
            for (row, sums) in sums.into_iter().enumerate() {
                let from = (block * ROWS + row) * stride + group * COLUMN_LANES;
                let (parts, _) = out[from..][..COLUMN_LANES].as_chunks_mut::<LANES>();
                for (part, sum) in parts.iter_mut().zip(sums) {
                    store(sum, part);
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
    mut rows: [&[[i8; DEPTH_BYTES]]; ROWS],
    starts: &[i32; ROWS],
    columns: &[[u8; STEP_BYTES]],
) -> [[__m256i; PARTS]; ROWS] {
    for row in &mut rows {
        *row = &row[..columns.len()];
    }
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
    let [a, b, c, d] = bytes;
    let bytes = [a as u8, b as u8, c as u8, d as u8];
    _mm256_set1_epi32(i32::from_le_bytes(bytes))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
#[allow(unsafe_code)]
fn load_step(step: &[u8; STEP_BYTES]) -> [__m256i; PARTS] {
    let (low, high) = step.split_at(STEP_BYTES / PARTS);
    // SAFETY: a step is two registers long; the loads need no alignment.
    unsafe { [_mm256_loadu_si256(low.as_ptr().cast()), _mm256_loadu_si256(high.as_ptr().cast())] }
}

/// Eight words of eight rows at a time, transposed in registers.
#[target_feature(enable = "avx2,fma")]
#[allow(unsafe_code)]
pub(super) fn pack(rows: &[&[i8]; COLUMN_LANES], offset: i32, columns: &mut [u8]) {
    let added = _mm256_set1_epi8(offset as i8);
    let (blocks, _) = columns.as_chunks_mut::<{ LANES * STEP_BYTES }>();
    let whole = blocks.len() * LANES;
    for (index, steps) in blocks.iter_mut().enumerate() {
        let from = index * LANES * DEPTH_BYTES;
        for part in 0..PARTS {
            let mut block = [_mm256_setzero_si256(); LANES];
            for lane in 0..LANES {
                let bytes = &rows[part * LANES + lane][from..][..LANES * DEPTH_BYTES];
                // SAFETY: the slice is as long as the register; the load needs no alignment.
                let loaded = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) };
                block[lane] = _mm256_add_epi8(loaded, added);
            }
            for (step, line) in transposed(block).into_iter().enumerate() {
                let to = step * STEP_BYTES + part * LANES * DEPTH_BYTES;
                let words = &mut steps[to..][..LANES * DEPTH_BYTES];
                // SAFETY: the slice is as long as the register; the store needs no alignment.
                unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), line) }
            }
        }
    }
    scalar::pack_from(rows, whole, offset, columns);
}

/// Block by block, transposed in registers.
#[target_feature(enable = "avx2,fma")]
pub(super) fn mirror(matrix: &mut [i32], stride: usize) {
    for row in (COLUMN_LANES..stride).step_by(LANES) {
        for column in (0..row / COLUMN_LANES * COLUMN_LANES).step_by(LANES) {
            let block = load_block(&matrix[row * stride + column..], stride);
            store_block(transposed(block), &mut matrix[column * stride + row..], stride);
        }
    }
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn transpose(rows: &[i32], columns: &mut [i32]) {
    let stride = rows.len() / CODE_ROWS;
    for column in (0..stride).step_by(LANES) {
        let block = load_block(&rows[column..], stride);
        store_block(transposed(block), &mut columns[column * CODE_ROWS..], CODE_ROWS);
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn load_block(entries: &[i32], stride: usize) -> [__m256i; LANES] {
    let mut block = [_mm256_setzero_si256(); LANES];
    for (row, line) in block.iter_mut().enumerate() {
        *line = load(&entries[row * stride..][..LANES]);
    }
    block
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn store_block(block: [__m256i; LANES], entries: &mut [i32], stride: usize) {
    for (row, line) in block.into_iter().enumerate() {
        store(line, &mut entries[row * stride..][..LANES]);
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn transposed(block: [__m256i; LANES]) -> [__m256i; LANES] {
    let mut floats = [_mm256_setzero_ps(); LANES];
    for (float, line) in floats.iter_mut().zip(block) {
        *float = _mm256_castsi256_ps(line);
    }
    let [a, b, c, d, e, f, g, h] = floats;
    // Pairs of rows, then four rows, then halves.
    let (ab, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    let (cd, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    let (ef, ef_high) = (_mm256_unpacklo_ps(e, f), _mm256_unpackhi_ps(e, f));
    let (gh, gh_high) = (_mm256_unpacklo_ps(g, h), _mm256_unpackhi_ps(g, h));
    let first = [
        _mm256_shuffle_ps::<0x44>(ab, cd),
        _mm256_shuffle_ps::<0xEE>(ab, cd),
        _mm256_shuffle_ps::<0x44>(ab_high, cd_high),
        _mm256_shuffle_ps::<0xEE>(ab_high, cd_high),
    ];
    let second = [
        _mm256_shuffle_ps::<0x44>(ef, gh),
        _mm256_shuffle_ps::<0xEE>(ef, gh),
        _mm256_shuffle_ps::<0x44>(ef_high, gh_high),
        _mm256_shuffle_ps::<0xEE>(ef_high, gh_high),
    ];
    let columns = [
        _mm256_permute2f128_ps::<0x20>(first[0], second[0]),
        _mm256_permute2f128_ps::<0x20>(first[1], second[1]),
        _mm256_permute2f128_ps::<0x20>(first[2], second[2]),
        _mm256_permute2f128_ps::<0x20>(first[3], second[3]),
        _mm256_permute2f128_ps::<0x31>(first[0], second[0]),
        _mm256_permute2f128_ps::<0x31>(first[1], second[1]),
        _mm256_permute2f128_ps::<0x31>(first[2], second[2]),
        _mm256_permute2f128_ps::<0x31>(first[3], second[3]),
    ];
    let mut block = block;
    for (line, column) in block.iter_mut().zip(columns) {
        *line = _mm256_castps_si256(column);
    }
    block
}

/// Sorted lists, each of a row, grow in the lanes of as many registers as a list has entries: the
/// nearer of two keys stays, and the other moves on to the next entry.
#[target_feature(enable = "avx2,fma")]
#[allow(clippy::needless_range_loop)]
pub(super) fn nearest_columns(lanes: &Lanes<'_>) -> NearestLanes {
    let normal = _mm256_set1_epi32((NORMAL << lanes.shift).cast_signed());
    let squares = _mm256_add_epi32(load(&lanes.squares), normal);
    let shift = _mm_cvtsi32_si128(lanes.shift.cast_signed());
    let far = _mm256_set1_epi32(FAR.cast_signed());
    let mut nearest = [_mm256_set1_epi32(Key::LAST.0.cast_signed()); SHORT_LIST];
    let entries = lanes.entries.chunks(lanes.stride);
    for (column, (bias, entries)) in (0..).zip(lanes.bias.iter().zip(entries)) {
        let product = load(&entries[..LANES]);
        let square = _mm256_add_epi32(squares, _mm256_set1_epi32(*bias));
        let square = _mm256_sub_epi32(square, _mm256_add_epi32(product, product));
        let square = _mm256_min_epu32(_mm256_srl_epi32(square, shift), far);
        let square = _mm256_slli_epi32::<{ COLUMN_BITS.cast_signed() }>(square);
        let mut moved = _mm256_or_si256(square, _mm256_set1_epi32(column));
        for place in 0..SHORT_LIST {
            let kept = _mm256_min_epu32(nearest[place], moved);
            moved = _mm256_max_epu32(nearest[place], moved);
            nearest[place] = kept;
        }
    }
    let mut keys = [[Key::LAST; CODE_ROWS]; SHORT_LIST];
    for (keys, nearest) in keys.iter_mut().zip(nearest) {
        let mut words = [0; LANES];
        store(nearest, &mut words);
        *keys = words.map(|word| Key(word.cast_unsigned()));
    }
    keys
}

#[inline]
#[target_feature(enable = "avx2,fma")]
#[allow(unsafe_code)]
fn load(entries: &[i32]) -> __m256i {
    debug_assert!(entries.len() >= LANES);
    // SAFETY: every caller passes at least eight entries; the load needs no alignment.
    unsafe { _mm256_loadu_si256(entries.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
#[allow(unsafe_code)]
fn store(values: __m256i, entries: &mut [i32]) {
    debug_assert!(entries.len() >= LANES);
    // SAFETY: every caller has room for eight entries; the store needs no alignment.
    unsafe { _mm256_storeu_si256(entries.as_mut_ptr().cast(), values) }
}
