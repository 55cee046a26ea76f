//! The selection on rows of tiles with AVX-512.

use std::arch::x86_64::{
    __m128i, __m256i, __m512, __m512i, _mm_cvtsi32_si128, _mm256_loadu_si256, _mm256_storeu_si256,
    _mm512_add_epi32, _mm512_broadcast_i64x4, _mm512_castps_si512, _mm512_castsi256_si512,
    _mm512_castsi512_ps, _mm512_castsi512_si256, _mm512_inserti64x4, _mm512_mask_mov_ps,
    _mm512_mask_set1_epi32, _mm512_max_ps, _mm512_min_epu32, _mm512_min_ps, _mm512_or_si512,
    _mm512_set1_epi32, _mm512_set1_ps, _mm512_shuffle_f32x4, _mm512_slli_epi32, _mm512_srl_epi32,
    _mm512_sub_epi32,
};

use super::lanes::{COLUMN_BITS, FAR, Key, Lanes, NORMAL, NearestLanes};
use super::{CODE_ROWS, SHORT_LIST};

/// Columns of a register, which has a lane for each of eight rows of both.
const PAIR: usize = 2;

/// The lanes of the second column of a pair.
const SECOND: u16 = 0xFF00;

/// Columns that are sorted before they are joined with the lists.
const BATCH: usize = SHORT_LIST * PAIR;

/// Puts the nearer key of each pair of places first, in each lane.
macro_rules! in_order {
    ($keys:ident: $($first:literal $second:literal),*) => {
        $(
            ($keys[$first], $keys[$second]) = (
                _mm512_min_ps($keys[$first], $keys[$second]),
                _mm512_max_ps($keys[$first], $keys[$second]),
            );
        )*
    };
}

/// What turns the products of columns into keys.
struct Keys<'a> {
    lanes: &'a Lanes<'a>,
    /// The squared length of each row, for both columns of a pair.
    squares: __m512i,
    shift: __m128i,
}

/// Sorted lists grow in the lanes: of the nearest even columns in the lower half, of the nearest
/// odd ones in the upper half. A network sorts sixteen columns in all lanes at once, and what is
/// nearer of the list and of these is sorted anew. Keys are compared as floats, of which the
/// processor takes two registers in a cycle, and one of integers.
#[target_feature(enable = "avx512f")]
#[allow(clippy::needless_range_loop)] // iterators would keep the keys in memory
pub(super) fn nearest_columns(lanes: &Lanes<'_>) -> NearestLanes {
    let keys = Keys::new(lanes);
    let columns = lanes.bias.len();
    let mut nearest = [last(); SHORT_LIST];
    for first in (0..columns).step_by(BATCH) {
        let mut batch = [last(); SHORT_LIST];
        if first + BATCH <= columns {
            for place in 0..SHORT_LIST {
                batch[place] = keys.of_pair(first + PAIR * place);
            }
        } else {
            for (batch, column) in batch.iter_mut().zip((first..columns).step_by(PAIR)) {
                *batch = keys.of_pair_or_last(column);
            }
        }
        nearest = joined(nearest, sorted(batch));
    }
    let mut upper = nearest;
    for keys in &mut upper {
        *keys = _mm512_shuffle_f32x4::<0b0000_1110>(*keys, *keys);
    }
    let mut lists = [[Key::LAST; CODE_ROWS]; SHORT_LIST];
    for (list, keys) in lists.iter_mut().zip(joined(nearest, upper)) {
        let mut words = [0; CODE_ROWS];
        store(_mm512_castsi512_si256(_mm512_castps_si512(keys)), &mut words);
        *list = words.map(|word| Key(word.cast_unsigned()));
    }
    lists
}

/// Keys in ascending order (a network of nineteen comparisons; Knuth, The Art of Computer
/// Programming, volume 3, section 5.3.4).
#[inline]
#[target_feature(enable = "avx512f")]
fn sorted(mut keys: [__m512; SHORT_LIST]) -> [__m512; SHORT_LIST] {
    in_order!(keys: 0 2, 1 3, 4 6, 5 7);
    in_order!(keys: 0 4, 1 5, 2 6, 3 7);
    in_order!(keys: 0 1, 2 3, 4 5, 6 7);
    in_order!(keys: 2 4, 3 5);
    in_order!(keys: 1 4, 3 6);
    in_order!(keys: 1 2, 3 4, 5 6);
    keys
}

/// The nearer half of two ascending lists, ascending: the least of one against the greatest of the
/// other leaves keys that rise and then fall, which three layers sort.
#[inline]
#[target_feature(enable = "avx512f")]
#[allow(clippy::large_types_passed_by_value)] // they are in registers
fn joined(left: [__m512; SHORT_LIST], right: [__m512; SHORT_LIST]) -> [__m512; SHORT_LIST] {
    let mut keys = left;
    for place in 0..SHORT_LIST {
        keys[place] = _mm512_min_ps(left[place], right[SHORT_LIST - 1 - place]);
    }
    in_order!(keys: 0 4, 1 5, 2 6, 3 7);
    in_order!(keys: 0 2, 1 3, 4 6, 5 7);
    in_order!(keys: 0 1, 2 3, 4 5, 6 7);
    keys
}

#[inline]
#[target_feature(enable = "avx512f")]
fn last() -> __m512 {
    _mm512_set1_ps(f32::from_bits(Key::LAST.0))
}

impl<'a> Keys<'a> {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn new(lanes: &'a Lanes<'a>) -> Self {
        let normal = _mm512_set1_epi32((NORMAL << lanes.shift).cast_signed());
        let squares = _mm512_add_epi32(_mm512_broadcast_i64x4(load(&lanes.squares)), normal);
        Self { lanes, squares, shift: _mm_cvtsi32_si128(lanes.shift.cast_signed()) }
    }

    /// The keys of a column and of the next.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn of_pair(&self, column: usize) -> __m512 {
        let Lanes { entries, stride, bias, .. } = *self.lanes;
        let products = _mm512_inserti64x4::<1>(
            _mm512_castsi256_si512(load(&entries[column * stride..])),
            load(&entries[(column + 1) * stride..]),
        );
        let bias =
            _mm512_mask_set1_epi32(_mm512_set1_epi32(bias[column]), SECOND, bias[column + 1]);
        self.of_products(products, bias, column)
    }

    /// The keys of a column and of the next, if there is one.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn of_pair_or_last(&self, column: usize) -> __m512 {
        let Lanes { entries, stride, bias, .. } = *self.lanes;
        if column + 1 < bias.len() {
            return self.of_pair(column);
        }
        let products = _mm512_castsi256_si512(load(&entries[column * stride..]));
        let keys = self.of_products(products, _mm512_set1_epi32(bias[column]), column);
        _mm512_mask_mov_ps(keys, SECOND, last())
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn of_products(&self, products: __m512i, bias: __m512i, column: usize) -> __m512 {
        let squares = _mm512_add_epi32(self.squares, bias);
        let squares = _mm512_sub_epi32(squares, _mm512_add_epi32(products, products));
        let squares = _mm512_srl_epi32(squares, self.shift);
        let squares = _mm512_min_epu32(squares, _mm512_set1_epi32(FAR.cast_signed()));
        let columns =
            _mm512_mask_set1_epi32(_mm512_set1_epi32(column as i32), SECOND, column as i32 + 1);
        let keys = _mm512_slli_epi32::<COLUMN_BITS>(squares);
        _mm512_castsi512_ps(_mm512_or_si512(keys, columns))
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)]
fn load(entries: &[i32]) -> __m256i {
    let entries: &[i32; CODE_ROWS] = entries[..CODE_ROWS].try_into().expect("one for each row");
    // SAFETY: there are as many entries as lanes; the load needs no alignment.
    unsafe { _mm256_loadu_si256(entries.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code)]
fn store(values: __m256i, entries: &mut [i32; CODE_ROWS]) {
    // SAFETY: there are as many entries as lanes; the store needs no alignment.
    unsafe { _mm256_storeu_si256(entries.as_mut_ptr().cast(), values) }
}
