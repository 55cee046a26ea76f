//! Exact answers: small collections, the tail behind a graph, and ground truth.
//!
//! A query streams through the rows, and many queries share the threads. Tiles of a matrix product
//! would be faster for many, but their rounding can lose a neighbor when norms are large beside
//! distances.

use rayon::prelude::*;

use crate::candidate::Candidate;
use crate::graph::check_search;
use crate::nearest::Nearest;
use crate::space::{Query, Space};
use crate::{Error, Metric, Neighbor, Vectors, Workers};

/// Rows whose distances to one query are computed together.
const ROWS_PER_GROUP: usize = 64;

/// A version of a growing table of rows that answers by looking at all of them.
#[derive(Clone, Debug)]
pub struct Flat {
    space: Space,
}

impl Flat {
    /// An empty table.
    ///
    /// # Errors
    /// [`Error::DimOutOfRange`].
    pub fn new(metric: Metric, dim: usize) -> Result<Self, Error> {
        let space = Space::new(metric, Vectors::new(dim)?)?;
        Ok(Self { space: space.small_blocks() })
    }

    /// A table of these rows.
    ///
    /// # Errors
    /// [`Error::ZeroVector`].
    pub fn from_vectors(metric: Metric, vectors: Vectors) -> Result<Self, Error> {
        Ok(Self { space: Space::new(metric, vectors)?.small_blocks() })
    }

    /// The rows of a graph, which it shares.
    pub(crate) fn of(space: Space) -> Self {
        Self { space }
    }

    /// Appends rows to this version; clones taken before do not change. On an error nothing is
    /// appended.
    ///
    /// # Errors
    /// [`Error::DimMismatch`], [`Error::ZeroVector`].
    pub fn append(&mut self, vectors: &Vectors) -> Result<(), Error> {
        self.space.append(vectors)
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.space.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A row, as it was given.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn vector(&self, row: u32) -> &[f32] {
        self.space.row(row)
    }

    /// Bytes of the rows.
    pub fn bytes(&self) -> usize {
        self.space.bytes()
    }

    /// The `k` nearest rows, nearest first, ties by row; fewer only when there are fewer.
    ///
    /// # Errors
    /// [`Error::DimMismatch`], [`Error::UnfitValue`], [`Error::ZeroVector`],
    /// [`Error::InvalidParameter`] for `k`.
    pub fn search(&self, query: &[f32], k: usize) -> Result<Vec<Neighbor>, Error> {
        check_search(k, k)?;
        let query = self.space.query(query)?;
        Ok(self.nearest(&query, k))
    }

    fn nearest(&self, query: &Query<'_>, k: usize) -> Vec<Neighbor> {
        let mut lists = Nearest::new(self.space.kernels(), 1, k.min(self.len()).max(1));
        let mut distances = [0.0; ROWS_PER_GROUP];
        let mut nodes = [0; ROWS_PER_GROUP];
        for first in (0..self.len()).step_by(ROWS_PER_GROUP) {
            let count = ROWS_PER_GROUP.min(self.len() - first);
            for (node, row) in nodes[..count].iter_mut().zip(first..) {
                *node = row as u32;
            }
            self.space.distances(query, &nodes[..count], &mut distances[..count]);
            for (node, distance) in nodes[..count].iter().zip(distances) {
                lists.offer(0, distance, *node);
            }
        }
        reported(self.space.metric(), lists.sorted(0))
    }

    /// [`Self::search`] for each row of `queries`, on all threads of `workers`.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn search_many(
        &self,
        queries: &Vectors,
        k: usize,
        workers: &Workers,
    ) -> Result<Vec<Vec<Neighbor>>, Error> {
        check_search(k, k)?;
        let answer = |row| {
            let query = self.space.query(queries.row(row)).map_err(|error| at_row(error, row))?;
            Ok(self.nearest(&query, k))
        };
        workers.run(|| (0..queries.len()).into_par_iter().map(answer).collect())
    }
}

/// An error of one query, with its row in the table of queries.
fn at_row(error: Error, row: usize) -> Error {
    match error {
        Error::UnfitValue { column, value, .. } => Error::UnfitValue { row, column, value },
        Error::ZeroVector { .. } => Error::ZeroVector { row },
        other => other,
    }
}

pub(crate) fn reported(metric: Metric, found: &[Candidate]) -> Vec<Neighbor> {
    let neighbor = |candidate: &Candidate| Neighbor {
        node: candidate.node(),
        distance: metric.reported(candidate.distance()),
    };
    found.iter().map(neighbor).collect()
}
