//! Rows that are kept elsewhere, such as in mapped files: read in place, never changed, and in an
//! order of their own.
//!
//! A graph over them needs no copy of the vectors. Its nodes find their rows by one more step,
//! which does not matter where walks read codes.

use std::fmt;
use std::sync::Arc;

use crate::limits::MAX_DIM;
use crate::{Error, codes::CodeParts};

/// Values that somebody else keeps.
pub type Values<T> = Arc<dyn AsRef<[T]> + Send + Sync>;

/// A table of rows in pieces, one behind the other.
pub(crate) struct Stored<T> {
    stride: usize,
    len: usize,
    /// Each with the number of its first row.
    pieces: Vec<(usize, Values<T>)>,
    /// Rows of the pieces that come before the first place.
    skipped: usize,
    /// The row at each of the first places; the others have the numbers of their places.
    order: Arc<Vec<u32>>,
}

impl<T> Clone for Stored<T> {
    fn clone(&self) -> Self {
        Self { pieces: self.pieces.clone(), order: Arc::clone(&self.order), ..*self }
    }
}

impl<T> fmt::Debug for Stored<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} rows in {} pieces", self.len, self.pieces.len())
    }
}

impl<T> Stored<T> {
    fn new(stride: usize) -> Self {
        Self { stride, len: 0, pieces: Vec::new(), skipped: 0, order: Arc::default() }
    }

    /// A table of one piece, which holds whole rows.
    pub(crate) fn of(stride: usize, values: Values<T>) -> Self {
        let mut stored = Self::new(stride);
        stored.push(values);
        stored
    }

    fn push(&mut self, values: Values<T>) {
        let first = self.skipped + self.len;
        self.len += (*values).as_ref().len() / self.stride;
        self.pieces.push((first, values));
    }

    /// The first of the places.
    pub(crate) fn first(self, len: usize) -> Self {
        assert!(len <= self.len, "{len} of {} places", self.len);
        Self { len, ..self }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// Puts what lies at place `order[i]` at place `i`.
    ///
    /// # Panics
    /// When `order` is not as long as the table, or names a place that is not there.
    pub(crate) fn permute(&mut self, order: &[u32]) {
        assert!(order.len() == self.len, "one place for each row");
        let rows = order.iter().map(|place| self.number(*place as usize) as u32);
        self.order = Arc::new(rows.collect());
    }

    /// The number of the row at a place, from the first that is not skipped.
    #[inline]
    fn number(&self, place: usize) -> usize {
        self.order.get(place).map_or(place, |row| *row as usize)
    }

    /// The rows, where they lie in one piece and in the order of their places; nothing otherwise.
    pub(crate) fn in_one_piece(&self) -> &[T] {
        match &self.pieces[..] {
            [(first, values)] if self.order.is_empty() => {
                &(**values).as_ref()[(self.skipped - first) * self.stride..]
            }
            _ => &[],
        }
    }

    /// The row at a place.
    #[inline]
    pub(crate) fn row(&self, place: usize) -> &[T] {
        let row = self.skipped + self.number(place);
        let piece = match &self.pieces[..] {
            [_] => 0,
            pieces => pieces.partition_point(|(first, _)| *first <= row) - 1,
        };
        let (first, values) = &self.pieces[piece];
        &(**values).as_ref()[(row - first) * self.stride..][..self.stride]
    }
}

/// Vectors that are kept elsewhere, in pieces, one behind the other.
#[derive(Clone, Debug)]
pub struct StoredVectors {
    rows: Stored<f32>,
}

impl StoredVectors {
    /// No vectors of `dim` values yet.
    ///
    /// # Errors
    /// [`Error::DimOutOfRange`].
    pub fn new(dim: usize) -> Result<Self, Error> {
        if dim == 0 || dim > MAX_DIM {
            return Err(Error::DimOutOfRange { dim });
        }
        Ok(Self { rows: Stored::new(dim) })
    }

    /// Takes whole rows behind the others. Whoever keeps them has seen to it that each value is
    /// finite and at most [`MAX_VALUE`](crate::MAX_VALUE), and that they never change.
    ///
    /// # Errors
    /// [`Error::RaggedRows`].
    pub fn push(&mut self, values: Values<f32>) -> Result<(), Error> {
        let (len, dim) = ((*values).as_ref().len(), self.dim());
        if !len.is_multiple_of(dim) {
            return Err(Error::RaggedRows { values: len, dim });
        }
        self.rows.push(values);
        Ok(())
    }

    /// The vector length.
    pub fn dim(&self) -> usize {
        self.rows.stride()
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One row.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, row: usize) -> &[f32] {
        self.rows.row(row)
    }

    /// The rows from `first` on, as a table of their own.
    pub(crate) fn from(&self, first: usize) -> Stored<f32> {
        assert!(first <= self.len(), "row {first} of {}", self.len());
        let behind = self.rows.pieces.partition_point(|(start, values)| {
            start + (**values).as_ref().len() / self.dim() <= first
        });
        let pieces = self.rows.pieces[behind..].to_vec();
        Stored { len: self.len() - first, pieces, skipped: first, ..self.rows.clone() }
    }

    /// The rows in the order of nodes.
    pub(crate) fn in_order(&self, order: &Arc<Vec<u32>>) -> Stored<f32> {
        Stored { order: Arc::clone(order), ..self.rows.clone() }
    }
}

/// The rows of a graph that is kept elsewhere.
#[derive(Clone)]
pub struct StoredRows {
    /// The first of them are the nodes.
    pub vectors: StoredVectors,
    /// The row of each of the first nodes; the others have the numbers of their rows.
    pub order: Arc<Vec<u32>>,
    /// The codes of the nodes, in their order, if there are any.
    pub codes: Option<(CodeParts, Values<i8>)>,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::StoredVectors;
    use crate::Error;

    #[test]
    fn rows_come_back_from_their_pieces_in_any_order() {
        let mut vectors = StoredVectors::new(2).unwrap();
        for piece in [vec![0.0, 1.0, 2.0, 3.0], vec![4.0, 5.0], vec![6.0, 7.0, 8.0, 9.0]] {
            vectors.push(Arc::new(piece)).unwrap();
        }
        let refused = vectors.push(Arc::new(vec![1.0; 3])).unwrap_err();
        assert_eq!(refused, Error::RaggedRows { values: 3, dim: 2 });
        assert_eq!(vectors.len(), 5);
        let first = |row: &[f32]| row[0] as usize / 2;
        assert!((0..5).all(|row| first(vectors.row(row)) == row));
        let ordered = vectors.in_order(&Arc::new(vec![2, 0, 1]));
        let rows: Vec<usize> = (0..5).map(|place| first(ordered.row(place))).collect();
        assert_eq!(rows, [2, 0, 1, 3, 4]);
        for skipped in 0..=5 {
            let mut rest = vectors.from(skipped);
            assert!((skipped..5).all(|row| first(rest.row(row - skipped)) == row), "{skipped}");
            let whole: Vec<usize> = rest.in_one_piece().chunks(2).map(first).collect();
            // The last piece has rows 3 and 4.
            let expected: Vec<usize> = if skipped < 3 { vec![] } else { (skipped..5).collect() };
            assert_eq!(whole, expected);
            rest.push(Arc::new(vec![10.0, 11.0]));
            assert_eq!((rest.len(), first(rest.row(5 - skipped))), (6 - skipped, 5));
            let order: Vec<u32> = (0..rest.len() as u32).rev().collect();
            rest.permute(&order);
            assert!((skipped..6).all(|row| first(rest.row(5 - row)) == row), "{skipped}");
            rest.permute(&order);
            assert!((skipped..6).all(|row| first(rest.row(row - skipped)) == row), "{skipped}");
        }
    }
}
