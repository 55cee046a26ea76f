//! A table of vectors: equal rows of `f32`, one after the other.
//!
//! Every value in it is finite and small enough that no distance overflows; that is checked
//! once, where rows come in.

use crate::Error;
use crate::aligned::Aligned;
use crate::limits::{MAX_DIM, MAX_VALUE};

/// Rows of `dim` finite `f32` values, one after the other, the first on a cache line.
#[derive(Clone, Debug)]
pub struct Vectors {
    dim: usize,
    values: Aligned<f32>,
}

impl Vectors {
    /// An empty table for rows of `dim` values.
    ///
    /// # Errors
    /// [`Error::DimOutOfRange`].
    pub fn new(dim: usize) -> Result<Self, Error> {
        Self::with_capacity(dim, 0)
    }

    /// An empty table that holds `rows` rows without moving.
    ///
    /// # Errors
    /// [`Error::DimOutOfRange`].
    pub fn with_capacity(dim: usize, rows: usize) -> Result<Self, Error> {
        if dim == 0 || dim > MAX_DIM {
            return Err(Error::DimOutOfRange { dim });
        }
        Ok(Self { dim, values: Aligned::with_capacity(rows * dim) })
    }

    /// A table of `values.len() / dim` rows.
    ///
    /// # Errors
    /// [`Error::DimOutOfRange`], [`Error::RaggedRows`], [`Error::UnfitValue`].
    pub fn from_flat(dim: usize, values: &[f32]) -> Result<Self, Error> {
        let mut vectors = Self::with_capacity(dim, values.len() / dim.max(1))?;
        vectors.push_rows(values)?;
        Ok(vectors)
    }

    /// Appends the whole rows in `values`; on an error nothing is appended.
    ///
    /// # Errors
    /// [`Error::RaggedRows`], [`Error::UnfitValue`] with the row counted from the start of the
    /// table.
    pub fn push_rows(&mut self, values: &[f32]) -> Result<(), Error> {
        if !values.len().is_multiple_of(self.dim) {
            return Err(Error::RaggedRows { values: values.len(), dim: self.dim });
        }
        check_values(values, self.dim, self.len())?;
        self.values.extend(values.iter().copied());
        Ok(())
    }

    /// The vector length.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// One row.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.dim..][..self.dim]
    }

    /// All values, row after row.
    pub fn as_flat(&self) -> &[f32] {
        &self.values
    }

    pub(crate) fn into_values(self) -> Aligned<f32> {
        self.values
    }
}

impl AsRef<[f32]> for Vectors {
    fn as_ref(&self) -> &[f32] {
        self.as_flat()
    }
}

/// Whether every value may be stored; rows are counted from `first_row` on.
pub(crate) fn check_values(values: &[f32], dim: usize, first_row: usize) -> Result<(), Error> {
    let Some(offset) = first_unfit(values) else { return Ok(()) };
    let (row, column) = (first_row + offset / dim, offset % dim);
    Err(Error::UnfitValue { row, column, value: values[offset] })
}

/// The offset of the first value that may not be stored.
fn first_unfit(values: &[f32]) -> Option<usize> {
    // NaN is in no range. Counted by chunks, so that the compiler makes it wide.
    let is_unfit = |value: &f32| !(-MAX_VALUE..=MAX_VALUE).contains(value);
    let suspicious = values
        .chunks(4096)
        .position(|chunk| chunk.iter().map(|value| u32::from(is_unfit(value))).sum::<u32>() > 0)?;
    let from = suspicious * 4096;
    values[from..].iter().position(is_unfit).map(|offset| from + offset)
}

#[cfg(test)]
mod tests {
    use super::Vectors;
    use crate::Error;

    #[test]
    fn rows_come_back() {
        let vectors = Vectors::from_flat(3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        assert_eq!((vectors.len(), vectors.dim()), (2, 3));
        assert_eq!(vectors.row(1), [4.0, 5.0, 6.0]);
    }

    #[test]
    fn bad_input_is_named_and_nothing_is_appended() {
        assert_eq!(Vectors::new(0).unwrap_err(), Error::DimOutOfRange { dim: 0 });
        assert!(Vectors::new(65_537).is_err());
        let mut vectors = Vectors::from_flat(2, &[0.0; 10]).unwrap();
        assert!(matches!(vectors.push_rows(&[1.0; 3]), Err(Error::RaggedRows { .. })));
        let mut values = vec![1.0; 20_000];
        values[9_001] = f32::INFINITY;
        let refused = vectors.push_rows(&values).unwrap_err();
        let expected = Error::UnfitValue { row: 5 + 4_500, column: 1, value: f32::INFINITY };
        assert_eq!(refused, expected);
        assert_eq!(vectors.len(), 5);
    }
}
