//! Points of one version as flat arrays: ids, vectors and metadata are looked up when asked for.
//!
//! Whoever wants only ids and distances pays for nothing else, and metadata come as Arrow columns
//! without a detour through JSON.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use loomdb_graph::Vectors;

use super::fields::ID;
use super::search::Hit;
use super::snapshot::{Point, Snapshot};
use crate::index;
use crate::{Ids, Result};

/// Some points of a version, in some order.
#[derive(Clone, Debug)]
pub struct Points {
    snapshot: Snapshot,
    rows: Vec<u32>,
}

impl Points {
    pub(super) fn new(snapshot: Snapshot, rows: Vec<u32>) -> Self {
        Self { snapshot, rows }
    }

    /// The number of points.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether others hold their version too, so that dropping these frees no memory of it.
    pub fn is_version_shared(&self) -> bool {
        Arc::strong_count(&self.snapshot.state) > 1
    }

    /// The id of each point.
    pub fn ids(&self) -> Ids {
        self.snapshot.state.ids_at(&self.rows)
    }

    /// The metadata: a row for each point, a column for each field of the collection, null where a
    /// point has no value. Fields have the Arrow types of [`super::FieldType::data_type`].
    ///
    /// # Errors
    /// `InvalidInput` when the texts of a column have more than 2 GiB together.
    pub fn metadata(&self) -> Result<RecordBatch> {
        let state = &self.snapshot.state;
        let mut table = state.rows.select(&self.rows, &state.schema())?;
        if table.schema_ref().fields().first().is_some_and(|field| field.name() == ID) {
            table.remove_column(0);
        }
        Ok(table)
    }

    /// The vector of each point, as it was given.
    ///
    /// # Errors
    /// `InvalidInput` when nothing was ever written, so that the vector length is not known.
    pub fn vectors(&self) -> Result<Vectors> {
        let dim = self.snapshot.state.dim.unwrap_or_default();
        let mut vectors = Vectors::with_capacity(dim, self.len())?;
        self.rows_of_vectors().try_for_each(|row| vectors.push_rows(row))?;
        Ok(vectors)
    }

    /// The values of each vector, without a copy.
    pub fn rows_of_vectors(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.rows.iter().map(|row| self.snapshot.vector(*row as usize))
    }

    /// The points one by one, with metadata as JSON.
    pub fn to_points(&self) -> Vec<Point> {
        self.rows.iter().map(|row| self.snapshot.point(*row as usize)).collect()
    }
}

/// What one or many queries found: the points of all queries one behind the other, nearest first
/// within each.
#[derive(Clone, Debug)]
pub struct Hits {
    points: Points,
    distances: Vec<f32>,
    /// Where the points of each query end.
    ends: Vec<usize>,
}

impl Hits {
    pub(super) fn new(
        snapshot: Snapshot,
        found: impl IntoIterator<Item = Vec<index::Hit>>,
    ) -> Self {
        let (mut rows, mut distances, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for hits in found {
            rows.extend(hits.iter().map(|hit| hit.point as u32));
            distances.extend(hits.iter().map(|hit| hit.distance));
            ends.push(rows.len());
        }
        Self { points: Points::new(snapshot, rows), distances, ends }
    }

    /// The number of queries.
    pub fn queries(&self) -> usize {
        self.ends.len()
    }

    /// The number of points of all queries.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether no query found anything.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Where the points of a query are in [`Self::ids`], [`Self::distances`] and
    /// [`Self::points`].
    ///
    /// # Panics
    /// When there is no such query.
    pub fn range(&self, query: usize) -> Range<usize> {
        let start = query.checked_sub(1).map_or(0, |before| self.ends[before]);
        start..self.ends[query]
    }

    /// The points of all queries.
    pub fn points(&self) -> &Points {
        &self.points
    }

    /// The points and the distances of all queries, and where those of each query end.
    pub fn into_parts(self) -> (Points, Vec<f32>, Vec<usize>) {
        (self.points, self.distances, self.ends)
    }

    /// The ids of all queries.
    pub fn ids(&self) -> Ids {
        self.points.ids()
    }

    /// The distances of all queries: Euclidean for `l2`, `1 - cos` for `cosine`, the negated
    /// product for `ip`.
    pub fn distances(&self) -> &[f32] {
        &self.distances
    }

    /// The points of a query one by one, with metadata as JSON and without vectors.
    ///
    /// # Panics
    /// When there is no such query.
    pub fn to_hits(&self, query: usize) -> Vec<Hit> {
        let snapshot = &self.points.snapshot;
        let hit = |at: usize| {
            let row = self.points.rows[at] as usize;
            let (id, distance) = (snapshot.state.rows.id(row), self.distances[at]);
            Hit { id, distance, metadata: snapshot.metadata(row), vector: None }
        };
        self.range(query).map(hit).collect()
    }
}
