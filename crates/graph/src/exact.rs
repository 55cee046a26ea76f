//! Exact answers: small collections, the tail behind a graph, and ground truth.
//!
//! One query streams through the rows. Many queries go through tiles of a matrix product; their
//! survivors are measured again one by one, so that both ways report the same distances.

use rayon::prelude::*;

use crate::candidate::Candidate;
use crate::graph::check_search;
use crate::nearest::Nearest;
use crate::panel::{Panel, Tile, centre};
use crate::space::{Query, Space};
use crate::{Error, Metric, Neighbor, Vectors, Workers};

/// Rows whose distances to one query are computed together.
const ROWS_PER_GROUP: usize = 64;

/// Queries of a tile.
const TILE_QUERIES: usize = 64;

/// Rows of a tile: with the queries above, the entries fill half of a usual second-level cache.
const TILE_ROWS: usize = 1024;

/// Candidates kept beyond `k` so that the rounding of products cannot lose a neighbor.
const SLACK: usize = 32;

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

    /// [`Self::search`] for each row of `queries`, by tiles of a matrix product, on all threads of
    /// `workers`.
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
        let prepared: Vec<Query<'_>> = (0..queries.len())
            .map(|row| self.space.query(queries.row(row)).map_err(|error| at_row(error, row)))
            .collect::<Result<_, _>>()?;
        let centre = centre(&self.space, 0..self.len() as u32);
        let answers = workers.run(|| {
            let groups = prepared.par_chunks(TILE_QUERIES);
            groups.map(|group| self.search_group(group, k, centre)).collect::<Vec<_>>()
        });
        Ok(answers.into_iter().flatten().collect())
    }

    fn search_group(&self, queries: &[Query<'_>], k: usize, centre: &[f32]) -> Vec<Vec<Neighbor>> {
        let keep = (k + SLACK).min(self.len()).max(1);
        let mut lists = Nearest::new(self.space.kernels(), queries.len(), keep);
        let (mut asked, mut rows, mut tile) = (Panel::default(), Panel::default(), Tile::default());
        asked.restart(&self.space, queries.len());
        for query in queries {
            asked.push(&self.space, query.vector(), query.scale(), centre);
        }
        for first in (0..self.len() as u32).step_by(TILE_ROWS) {
            let end = (first as usize + TILE_ROWS).min(self.len());
            rows.fill(&self.space, first..end as u32, centre);
            tile.compute((&asked, 0..queries.len()), (&rows, 0..rows.len()));
            tile.offer_to_rows(&mut lists, 0, first);
        }
        let mut measure = |(list, query)| self.measured(query, lists.sorted(list), k);
        queries.iter().enumerate().map(&mut measure).collect()
    }

    /// The `k` nearest of some candidates, by distances that are not rounded products.
    fn measured(&self, query: &Query<'_>, candidates: &[Candidate], k: usize) -> Vec<Neighbor> {
        let nodes: Vec<u32> = candidates.iter().map(|candidate| candidate.node()).collect();
        let mut distances = vec![0.0; nodes.len()];
        self.space.distances(query, &nodes, &mut distances);
        let pairs = nodes.iter().zip(distances);
        let mut exact: Vec<_> =
            pairs.map(|(node, distance)| Candidate::new(distance, *node)).collect();
        exact.sort_unstable();
        exact.truncate(k);
        reported(self.space.metric(), &exact)
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
