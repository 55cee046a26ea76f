//! The selection on tiles of products of bytes: eight rows at once, one in each lane, so that
//! nothing branches and every row keeps a sorted list of its nearest columns.

use super::{CODE_ROWS, SHORT_LIST};

/// Bits of a key that hold the column.
pub(super) const COLUMN_BITS: u32 = 9;

/// The most columns of a tile.
pub(crate) const MAX_COLUMNS: usize = 1 << COLUMN_BITS;

/// Bits of a key that hold the distance: with the column, as many as a float has without its sign,
/// so that keys have the same order as floats.
const SQUARE_BITS: u32 = u32::BITS - 1 - COLUMN_BITS;

/// What is added to the distance of a key, so that no key is a float that a processor may take for
/// zero.
pub(super) const NORMAL: u32 = f32::MIN_POSITIVE.to_bits() >> COLUMN_BITS;

/// A distance that does not fit a key, [`NORMAL`] included; whatever is so far is no neighbor.
pub(super) const FAR: u32 = f32::MAX.to_bits() >> COLUMN_BITS;

/// What an entry of a tile is to be so that it is far, whatever it is added to.
pub(crate) const FAR_PRODUCT: i32 = -(1 << 30);

/// What a column that only fills up adds to its distances.
pub(crate) const FAR_BIAS: i32 = 1 << 30;

/// Distances are at most four squared rows of [`MAX_DEPTH`] bytes: [`FAR`] is beyond them.
pub(crate) const MAX_DEPTH: usize = 1 << 13;

/// The products of some columns with eight rows.
#[derive(Clone, Copy)]
pub(crate) struct Lanes<'a> {
    /// The products of a column are beside each other, `stride` behind those of the one before.
    pub entries: &'a [i32],
    pub stride: usize,
    /// The squared length of each row.
    pub squares: [i32; CODE_ROWS],
    /// The squared length of each column.
    pub bias: &'a [i32],
    /// Bits of a squared distance that a key has no room for.
    pub shift: u32,
}

/// The nearest columns of eight rows: the first of each, the second of each, and so on.
pub(crate) type NearestLanes = [[Key; CODE_ROWS]; SHORT_LIST];

/// A distance and a column in one word, in the order of distances, then of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub(crate) struct Key(pub(super) u32);

impl Key {
    /// Behind all others, also as a float.
    pub(super) const LAST: Self = Self(f32::INFINITY.to_bits());

    #[inline]
    pub(super) fn new(square: u32, shift: u32, column: usize) -> Self {
        let square = ((square + (NORMAL << shift)) >> shift).min(FAR);
        Self(square << COLUMN_BITS | column as u32)
    }

    pub(crate) fn column(self) -> u32 {
        self.0 % MAX_COLUMNS as u32
    }

    /// The squared distance, or nothing when there is no such neighbor.
    pub(crate) fn square(self, shift: u32) -> Option<f32> {
        let square = self.0 >> COLUMN_BITS;
        (square < FAR).then(|| ((square - NORMAL) << shift) as f32)
    }
}

/// The bits that squared distances of rows of `depth` bytes have too many for a key, when their
/// values have `bits`.
pub(crate) fn spare_bits(depth: usize, bits: u32) -> u32 {
    let of_square = 2 * bits + depth.next_power_of_two().ilog2();
    of_square.saturating_sub(SQUARE_BITS)
}
