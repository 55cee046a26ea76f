//! The inner loops, written for each instruction set, and chosen once at run time.
//!
//! [`Kernels`] proves that the processor has the instructions that it uses: only `detect` makes
//! one. `scalar` is the oracle that the others are tested against. This folder is the only place
//! with `unsafe`: wide loads, prefetch and the call of the matrix product.

mod lanes;
mod round;
mod scalar;
mod system;
mod tile;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx2_tiles;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512_tiles;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod vnni;

pub(crate) use lanes::{
    FAR_BIAS, FAR_PRODUCT, Lanes, MAX_COLUMNS, MAX_DEPTH, NearestLanes, spare_bits,
};
pub(crate) use round::{MAX_CODE, Rounded, Rounding};
pub(crate) use system::advise_huge;
pub(crate) use tile::{Passed, Scan, Survivors, products};

use std::sync::OnceLock;

use crate::blocks::Rows;
use crate::candidate::Candidate;

/// Cache lines of a row that are fetched ahead; more would push out what is in use.
const PREFETCH_LINES: usize = 32;

/// Entries of a sorted list that fits one wide register.
pub(crate) const SHORT_LIST: usize = 8;

/// Entries of a long sorted list that one wide register holds.
pub(crate) const LIST_LANES: usize = 8;

/// Rows of a product of bytes.
pub(crate) const CODE_ROWS: usize = 8;

/// Columns of a product of bytes that lie beside each other.
pub(crate) const COLUMN_LANES: usize = 16;

/// Bytes of a row that one step of a product of bytes takes.
pub(crate) const DEPTH_BYTES: usize = 4;

const LINE_BYTES: usize = 64;

/// The environment variable that names the instruction set, for tests of one that is not the best
/// of the processor.
const VARIABLE: &str = "LOOMDB_INSTRUCTIONS";

/// The inner loops for the instruction set of this processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kernels {
    instructions: Instructions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instructions {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
    #[cfg(target_arch = "aarch64")]
    Neon(neon::Neon),
}

/// Calls the loop of the same name of the instruction set at hand.
macro_rules! dispatch {
    ($kernels:expr, $name:ident($($argument:expr),*)) => {
        match $kernels.instructions {
            Instructions::Scalar => scalar::$name($($argument),*),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2(proof) => proof.$name($($argument),*),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512(proof) => proof.$name($($argument),*),
            #[cfg(target_arch = "aarch64")]
            Instructions::Neon(proof) => proof.$name($($argument),*),
        }
    };
}

impl Kernels {
    /// The best that this processor can run, or what [`VARIABLE`] asks for. Chosen once, so that
    /// all of a process agrees.
    pub(crate) fn detect() -> Self {
        static CHOSEN: OnceLock<Kernels> = OnceLock::new();
        *CHOSEN.get_or_init(|| {
            let asked = std::env::var(VARIABLE).ok();
            Self::choose(asked.as_deref()).unwrap_or_else(|message| panic!("{message}"))
        })
    }

    /// The instruction set of this name, the best one without a name.
    fn choose(asked: Option<&str>) -> Result<Self, String> {
        let mut available = Self::available();
        if let Some(asked) = asked {
            available.retain(|kernels| kernels.name() == asked);
        }
        available.pop().ok_or_else(|| {
            let names: Vec<_> = Self::available().into_iter().map(Self::name).collect();
            let asked = asked.unwrap_or_default();
            format!("{VARIABLE} is {asked:?}; this processor can run {}", names.join(", "))
        })
    }

    /// Everything that this processor can run, the best last.
    pub(crate) fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut found = vec![Instructions::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            found.extend(avx2::Avx2::new().map(Instructions::Avx2));
            found.extend(avx512::Avx512::new().map(Instructions::Avx512));
        }
        #[cfg(target_arch = "aarch64")]
        found.extend(neon::Neon::new().map(Instructions::Neon));
        found.into_iter().map(|instructions| Self { instructions }).collect()
    }

    /// The name of the instruction set.
    pub(crate) fn name(self) -> &'static str {
        match self.instructions {
            Instructions::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512(_) => "avx512",
            #[cfg(target_arch = "aarch64")]
            Instructions::Neon(_) => "neon",
        }
    }

    /// The squared Euclidean distance of two rows of equal length.
    #[inline]
    pub(crate) fn l2_squared(self, left: &[f32], right: &[f32]) -> f32 {
        dispatch!(self, l2_squared(left, right))
    }

    /// The inner product of two rows of equal length.
    #[inline]
    pub(crate) fn dot(self, left: &[f32], right: &[f32]) -> f32 {
        dispatch!(self, dot(left, right))
    }

    /// The squared distances of `query` to the rows named by `nodes`.
    #[inline]
    pub(crate) fn l2_squared_many(
        self,
        query: &[f32],
        rows: Rows<'_, f32>,
        nodes: &[u32],
        out: &mut [f32],
    ) {
        dispatch!(self, l2_squared_many(query, rows, nodes, out));
    }

    /// The inner products of `query` with the rows named by `nodes`.
    #[inline]
    pub(crate) fn dot_many(
        self,
        query: &[f32],
        rows: Rows<'_, f32>,
        nodes: &[u32],
        out: &mut [f32],
    ) {
        dispatch!(self, dot_many(query, rows, nodes, out));
    }

    /// The inner product of two rows of bytes of equal length, exact. No byte is -128.
    #[inline]
    pub(crate) fn dot_bytes(self, left: &[i8], right: &[i8]) -> i32 {
        debug_assert!(left.len() == right.len() && !left.contains(&i8::MIN));
        dispatch!(self, dot_bytes(left, right))
    }

    /// The inner products of `query` with the rows of bytes named by `nodes`, exact. No byte is
    /// -128, and `out` is as long as `nodes`.
    #[inline]
    pub(crate) fn dot_bytes_many(
        self,
        query: &[i8],
        rows: Rows<'_, i8>,
        nodes: &[u32],
        out: &mut [i32],
    ) {
        debug_assert!(query.len() == rows.stride() && nodes.len() == out.len());
        dispatch!(self, dot_bytes_many(query, rows, nodes, out));
    }

    /// [`Self::dot_bytes_many`] of rows that lie one behind the other.
    #[inline]
    pub(crate) fn dot_bytes_run(self, query: &[i8], rows: &[i8], out: &mut [i32]) {
        debug_assert!(rows.len() == query.len() * out.len());
        dispatch!(self, dot_bytes_run(query, rows, out));
    }

    /// Rounds a row to one byte a value.
    pub(crate) fn round(self, rounding: Rounding<'_>) -> Rounded {
        debug_assert!(rounding.row.len() == rounding.code.len());
        debug_assert!(rounding.row.len() == rounding.centre.len());
        dispatch!(self, round(rounding))
    }

    /// Finds the entries of a row of a tile that are below the threshold of the row or of their
    /// column.
    #[inline]
    pub(crate) fn scan(self, scan: &Scan<'_>, survivors: &mut Survivors) {
        dispatch!(self, scan(scan, survivors));
    }

    /// Puts a candidate in its place in a sorted list, whose last entry falls off.
    #[inline]
    pub(crate) fn insert_sorted(self, entries: &mut [Candidate; SHORT_LIST], candidate: Candidate) {
        dispatch!(self, insert_sorted(entries, candidate));
    }

    /// Puts words in their places in an ascending list, whose last ones fall off; the first of
    /// these places, or the length of the list.
    ///
    /// # Panics
    /// When the list is not whole groups of [`LIST_LANES`].
    #[inline]
    pub(crate) fn insert_all(self, list: &mut [u64], words: &[u64]) -> usize {
        assert!(list.len().is_multiple_of(LIST_LANES), "whole registers");
        dispatch!(self, insert_all(list, words))
    }

    /// Whether products of bytes are faster than those of floats.
    pub(crate) fn multiplies_bytes(self) -> bool {
        match self.instructions {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2(_) => true,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512(proof) => proof.multiplies_bytes(),
            _ => false,
        }
    }

    /// The bits of a value in a tile of products of bytes: fewer than eight where the processor
    /// adds products up in sixteen bits.
    pub(crate) fn tile_bits(self) -> u32 {
        match self.instructions {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2(_) => 7,
            _ => 8,
        }
    }

    /// What is added to the values of columns of such a tile so that none is negative.
    pub(crate) fn tile_offset(self) -> i32 {
        1 << (self.tile_bits() - 1)
    }

    /// The inner products of rows with columns, each from the start of its row on. The columns
    /// lie in groups of [`COLUMN_LANES`], [`DEPTH_BYTES`] of each column after the other; they
    /// come first in each of the equal rows of `out`. Values have [`Self::tile_bits`], with a sign
    /// in rows and without one in columns.
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub(crate) fn multiply_bytes(
        self,
        rows: &[&[i8]; CODE_ROWS],
        starts: &[i32; CODE_ROWS],
        columns: &[u8],
        out: &mut [i32],
    ) {
        let depth = rows[0].len();
        let column_count = columns.len() / depth.max(1);
        assert!(depth > 0 && depth.is_multiple_of(DEPTH_BYTES), "whole steps");
        assert!(rows.iter().all(|row| row.len() == depth), "rows of equal length");
        assert!(column_count.is_multiple_of(COLUMN_LANES), "whole groups of columns");
        assert_eq!(columns.len(), column_count * depth, "columns as long as the rows");
        assert!(out.len() >= CODE_ROWS * column_count, "one entry for each pair");
        assert!(out.len().is_multiple_of(CODE_ROWS), "equal rows");
        dispatch!(self, multiply_bytes(rows, starts, columns, out));
    }

    /// Lays rows beside each other as the columns of such a product, their values increased by
    /// [`Self::tile_offset`].
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub(crate) fn pack(self, rows: &[&[i8]; COLUMN_LANES], columns: &mut [u8]) {
        let depth = rows[0].len();
        assert!(depth.is_multiple_of(DEPTH_BYTES), "whole steps");
        assert!(rows.iter().all(|row| row.len() == depth), "rows of equal length");
        assert_eq!(columns.len(), COLUMN_LANES * depth, "room for all values");
        dispatch!(self, pack(rows, self.tile_offset(), columns));
    }

    /// Completes a square matrix: what lies before the diagonal, in blocks of [`COLUMN_LANES`] rows
    /// and columns, goes behind it.
    ///
    /// # Panics
    /// When the matrix is not square, or not of whole blocks.
    pub(crate) fn mirror(self, matrix: &mut [i32], stride: usize) {
        assert!(stride.is_multiple_of(COLUMN_LANES), "whole blocks");
        assert_eq!(matrix.len(), stride * stride, "a square");
        dispatch!(self, mirror(matrix, stride));
    }

    /// Puts the columns of a matrix of [`CODE_ROWS`] rows one behind the other.
    ///
    /// # Panics
    /// When the lengths do not fit, or are not whole groups of [`COLUMN_LANES`] columns.
    pub(crate) fn transpose(self, rows: &[i32], columns: &mut [i32]) {
        assert_eq!(rows.len(), columns.len(), "one place for each entry");
        assert!(rows.len().is_multiple_of(CODE_ROWS * COLUMN_LANES), "whole groups of columns");
        dispatch!(self, transpose(rows, columns));
    }

    /// The nearest columns of eight rows.
    ///
    /// # Panics
    /// When the lengths do not fit, or there are more than [`MAX_COLUMNS`].
    pub(crate) fn nearest_columns(self, lanes: &Lanes<'_>) -> NearestLanes {
        let columns = lanes.bias.len();
        assert!(columns <= MAX_COLUMNS, "a key has room for the column");
        let last = columns.saturating_sub(1) * lanes.stride;
        assert!(lanes.entries.len() >= last + CODE_ROWS, "entries of each column");
        dispatch!(self, nearest_columns(lanes))
    }
}

/// Asks for the first lines of a row to be brought into the cache.
#[inline]
pub(crate) fn prefetch<T>(row: &[T]) {
    let bytes = size_of_val(row).min(PREFETCH_LINES * LINE_BYTES);
    for byte in (0..bytes).step_by(LINE_BYTES) {
        prefetch_address(row.as_ptr().wrapping_byte_add(byte));
    }
}

/// Asks for the cache line of the first element to be brought into the cache.
#[inline]
pub(crate) fn prefetch_line<T>(elements: &[T]) {
    prefetch_address(elements.as_ptr());
}

#[inline]
fn prefetch_address<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    // SAFETY: a prefetch never faults, whatever the address, and every x86-64 has it.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Applies `distance` to `query` and each named row.
#[inline(always)]
#[allow(clippy::inline_always)] // so that it takes on the caller's instruction set
fn many<T: Default, D>(
    query: &[T],
    rows: Rows<'_, T>,
    nodes: &[u32],
    out: &mut [D],
    distance: impl Fn(&[T], &[T]) -> D,
) {
    for (&node, out) in nodes.iter().zip(out) {
        *out = distance(query, rows.row(node as usize));
    }
}

/// Applies `product` to `query` and each of the rows that lie one behind the other.
#[inline(always)]
#[allow(clippy::inline_always)] // so that it takes on the caller's instruction set
fn run(query: &[i8], rows: &[i8], out: &mut [i32], product: impl Fn(&[i8], &[i8]) -> i32) {
    for (row, out) in rows.chunks_exact(query.len().max(1)).zip(out) {
        *out = product(query, row);
    }
}

#[cfg(test)]
mod tests;
