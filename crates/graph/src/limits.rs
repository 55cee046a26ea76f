//! The limits of this crate, in one place.

/// The largest vector length.
pub const MAX_DIM: usize = 65_536;

/// The largest number of rows in one graph: node numbers share a word with a flag.
pub const MAX_ROWS: usize = (1 << 31) - 1;

/// The largest `m`.
pub const MAX_M: usize = 512;

/// The largest beam width, `ef_construction` as well as `ef_search`.
pub const MAX_EF: usize = 100_000;

/// The largest number of neighbors that one query may ask for.
pub const MAX_K: usize = 10_000;

/// The highest level that a node may have.
pub const MAX_LEVEL: u8 = 31;

/// The largest magnitude of a value: the square of a distance stays finite at [`MAX_DIM`].
pub const MAX_VALUE: f32 = 1.0e16;
