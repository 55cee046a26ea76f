//! A named table of rows.

/// Rows of equal length, one after the other, with a name for messages.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSet {
    /// What to call the set when a test fails on it.
    pub name: &'static str,
    /// The length of a row.
    pub dim: usize,
    /// The rows, one after the other.
    pub values: Vec<f32>,
}

impl DataSet {
    /// The set of these rows.
    ///
    /// # Panics
    /// When the values are not whole rows.
    pub fn new(name: &'static str, dim: usize, values: Vec<f32>) -> Self {
        assert!(values.len().is_multiple_of(dim), "{name}: the values are not whole rows");
        Self { name, dim, values }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    /// Whether there are no rows.
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

    /// All rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks(self.dim)
    }

    /// The rows of a range as a set of their own.
    ///
    /// # Panics
    /// When the range ends behind the last row.
    #[must_use]
    pub fn slice(&self, rows: std::ops::Range<usize>) -> Self {
        let values = self.values[rows.start * self.dim..rows.end * self.dim].to_vec();
        Self { values, ..*self }
    }

    /// Takes `count` rows out, evenly spread: rows and queries of the same kind.
    ///
    /// # Panics
    /// When there are fewer rows.
    pub fn hold_out(&self, count: usize) -> (Self, Self) {
        assert!(count <= self.len(), "{}: {count} of {} rows", self.name, self.len());
        let (mut rows, mut queries) = (Vec::new(), Vec::new());
        for (index, row) in self.rows().enumerate() {
            let is_query = (index + 1) * count / self.len() > index * count / self.len();
            let side = if is_query { &mut queries } else { &mut rows };
            side.extend_from_slice(row);
        }
        (Self { values: rows, ..*self }, Self { values: queries, ..*self })
    }
}

#[cfg(test)]
mod tests {
    use super::DataSet;

    #[test]
    fn a_set_is_cut_between_rows() {
        let set = DataSet::new("numbers", 2, vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let (rows, queries) = set.hold_out(2);
        assert_eq!((rows.values, queries.values), (vec![0.0, 1.0], vec![2.0, 3.0, 4.0, 5.0]));
        assert_eq!(set.slice(1..2).values, [2.0, 3.0]);
        assert!(set.slice(0..0).is_empty());
        assert!(set.rows().eq([&[0.0, 1.0], &[2.0, 3.0], &[4.0, 5.0]]));
    }
}
