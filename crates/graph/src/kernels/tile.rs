//! Tiles of a matrix product, and the selection that is fused onto each row of a tile.
//!
//! An entry of a tile is the inner product of two rows. Its distance is
//! `scale * product + row_bias + column_bias`: for `l2` the biases are squared norms and the
//! scale is -2; for `cosine` (unit rows) and `ip` the scale is -1.

/// One row of a tile with all that turns products into distances and distances into survivors.
pub(crate) struct Scan<'a> {
    /// The products of the row with each column.
    pub products: &'a [f32],
    /// The factor of a product.
    pub scale: f32,
    /// What the row adds to each distance.
    pub row_bias: f32,
    /// What each column adds to its distance.
    pub column_bias: &'a [f32],
    /// Distances of the row matter below this.
    pub row_threshold: f32,
    /// Distances of each column matter below this.
    pub column_thresholds: &'a [f32],
}

/// The entries of a row that passed a scan, by the end of the pair that they matter to.
#[derive(Debug, Default)]
pub(crate) struct Survivors {
    /// Below the threshold of the row.
    pub of_row: Passed,
    /// Below the threshold of their column.
    pub of_columns: Passed,
}

impl Survivors {
    /// Empties the lists and makes room for the survivors of `columns` columns.
    pub(crate) fn restart(&mut self, columns: usize) {
        self.of_row.restart(columns);
        self.of_columns.restart(columns);
    }
}

/// Columns and their distances.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    columns: Vec<u32>,
    distances: Vec<f32>,
    len: usize,
}

impl Passed {
    /// The most entries that one wide store may write.
    const SLACK: usize = 16;

    fn restart(&mut self, columns: usize) {
        if self.columns.len() < columns + Self::SLACK {
            self.columns.resize(columns + Self::SLACK, 0);
            self.distances.resize(columns + Self::SLACK, 0.0);
        }
        self.len = 0;
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, f32)> + '_ {
        let columns = &self.columns[..self.len];
        columns.iter().copied().zip(self.distances[..self.len].iter().copied())
    }

    #[inline]
    pub(super) fn push(&mut self, column: u32, distance: f32) {
        self.columns[self.len] = column;
        self.distances[self.len] = distance;
        self.len += 1;
    }

    /// Room for one wide store of columns and distances, of which `count` will be kept.
    #[inline]
    pub(super) fn reserve(&mut self, count: usize) -> (&mut [u32], &mut [f32]) {
        let room = self.len..self.len + Self::SLACK;
        self.len += count;
        (&mut self.columns[room.clone()], &mut self.distances[room])
    }
}

/// The inner products of each row of `left` with each row of `right`, row after row of `left`.
///
/// # Panics
/// When the lengths do not fit.
#[allow(unsafe_code)]
pub(crate) fn products(left: &[f32], right: &[f32], dim: usize, out: &mut [f32]) {
    let (rows, columns) = (left.len() / dim, right.len() / dim);
    assert_eq!((left.len(), right.len()), (rows * dim, columns * dim), "whole rows");
    assert_eq!(out.len(), rows * columns, "one entry for each pair");
    // SAFETY: `left` is a row-major rows x dim matrix, `right` read by columns is dim x columns,
    // `out` is row-major rows x columns: the lengths were checked above, and `out` is exclusive.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            dim,
            out.as_mut_ptr(),
            1,
            columns as isize,
            false,
            left.as_ptr(),
            1,
            dim as isize,
            right.as_ptr(),
            dim as isize,
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
