//! Search that returns k points whenever there are k, however many rows were given up.
//!
//! The index knows nothing of deletions, so more rows are asked for than are wanted, first by the
//! share of rows that are gone, then four times as many each time. When that nears the size of the
//! collection, the points that are there are all looked at.

use std::borrow::Cow;

use loomdb_graph::{Flat, MAX_EF, MAX_K, Vectors};
use serde::Serialize;

use super::metadata::Metadata;
use super::snapshot::Snapshot;
use crate::{Error, Id, Result};

/// Neighbors that are returned when nothing is said.
const K: usize = 10;

/// The beam width when nothing is said.
const EF_SEARCH: usize = 64;

/// Rows asked for beyond the share that is gone, since they are not gone evenly.
const SPARE: usize = 8;

/// Rows that are looked at together.
const SCANNED_ROWS: usize = 1024;

/// A point that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hit {
    /// Its name.
    pub id: Id,
    /// Its distance: Euclidean for `l2`, `1 - cos` for `cosine`, the negated product for `ip`.
    pub distance: f32,
    /// The fields that are not null.
    pub metadata: Metadata,
    /// Its vector, when it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector: Option<Vec<f32>>,
}

/// A question, made step by step and asked by [`Self::run`].
#[derive(Clone, Debug)]
#[must_use = "a search does nothing until it is run"]
#[allow(clippy::struct_field_names, reason = "the name of the beam width everywhere")]
pub struct Search<'a> {
    snapshot: Cow<'a, Snapshot>,
    query: &'a [f32],
    k: usize,
    ef_search: usize,
    is_exact: bool,
    has_vectors: bool,
}

impl<'a> Search<'a> {
    pub(super) fn new(snapshot: Cow<'a, Snapshot>, query: &'a [f32]) -> Self {
        let (k, ef_search) = (K, EF_SEARCH);
        Self { snapshot, query, k, ef_search, is_exact: false, has_vectors: false }
    }

    /// How many points are wanted; 10 when nothing is said.
    pub fn k(self, k: usize) -> Self {
        Self { k, ..self }
    }

    /// The beam width: wider is slower and finds more of the true neighbors.
    pub fn ef_search(self, ef_search: usize) -> Self {
        Self { ef_search, ..self }
    }

    /// Looks at every point.
    pub fn exact(self) -> Self {
        Self { is_exact: true, ..self }
    }

    /// Returns the vectors too.
    pub fn with_vectors(self) -> Self {
        Self { has_vectors: true, ..self }
    }

    /// The nearest points, nearest first; fewer than `k` only when there are fewer.
    ///
    /// # Errors
    /// `InvalidInput`: another dimension, a value that is not finite, a zero vector under cosine,
    /// `k` or `ef_search` out of range.
    pub fn run(self) -> Result<Vec<Hit>> {
        let snapshot = &*self.snapshot;
        let found = self.rows()?;
        let hit = |(row, distance): (usize, f32)| Hit {
            id: snapshot.state.rows.id(row),
            distance,
            metadata: snapshot.metadata(row),
            vector: self.has_vectors.then(|| snapshot.vector(row).to_vec()),
        };
        Ok(found.into_iter().map(hit).collect())
    }

    fn rows(&self) -> Result<Vec<(usize, f32)>> {
        let snapshot = &*self.snapshot;
        check_range("k", self.k, MAX_K, "1 to 10,000")?;
        check_range("ef_search", self.ef_search, MAX_EF, "1 to 100,000")?;
        let Some(view) = &snapshot.view else { return self.check_without_rows() };
        let (total, live) = (view.len(), snapshot.len());
        let wanted = self.k.min(live);
        let mut fetched = match total - live {
            0 => self.k,
            _ => self.k.saturating_mul(total) / live.max(1) + SPARE,
        };
        if self.is_exact {
            return self.scan();
        }
        while fetched <= MAX_K && (total == live || fetched <= total / 2) {
            let ef_search =
                if total == live { self.ef_search } else { self.ef_search.max(fetched) };
            let found = visible(snapshot, view.search(self.query, fetched, ef_search)?);
            if found.len() >= wanted {
                return Ok(found.into_iter().take(self.k).collect());
            }
            if total == live {
                break;
            }
            fetched *= 4;
        }
        self.scan()
    }

    /// All points, in pieces, so that little is copied at a time.
    fn scan(&self) -> Result<Vec<(usize, f32)>> {
        let snapshot = &*self.snapshot;
        let dim = snapshot.state.dim.unwrap_or(1);
        let mut best: Vec<(usize, f32)> = Vec::new();
        let live: Vec<usize> =
            (0..snapshot.state.rows.len()).filter(|row| snapshot.is_visible(*row)).collect();
        // Without points the query is checked all the same.
        let pieces = live.chunks(SCANNED_ROWS).chain(live.is_empty().then_some(&live[..]));
        for piece in pieces {
            let mut vectors = Vectors::with_capacity(dim, piece.len())?;
            piece.iter().try_for_each(|row| vectors.push_rows(snapshot.vector(*row)))?;
            let flat = Flat::from_vectors(snapshot.state.metric, vectors)?;
            let near = flat.search(self.query, self.k)?;
            best.extend(near.iter().map(|near| (piece[near.node as usize], near.distance)));
            best.sort_by(|left, right| left.1.total_cmp(&right.1).then(left.0.cmp(&right.0)));
            best.truncate(self.k);
        }
        Ok(best)
    }

    /// Before the first write nothing is known but the limits.
    fn check_without_rows(&self) -> Result<Vec<(usize, f32)>> {
        match self.snapshot.state.dim {
            Some(expected) if expected != self.query.len() => {
                let given = self.query.len();
                Err(Error::from(loomdb_graph::Error::DimMismatch { expected, given }))
            }
            _ => Ok(Vec::new()),
        }
    }
}

/// Checked here, because not every way to the answer asks the graph.
fn check_range(name: &'static str, given: usize, max: usize, allowed: &'static str) -> Result<()> {
    if (1..=max).contains(&given) {
        return Ok(());
    }
    let given = given.to_string();
    Err(loomdb_graph::Error::InvalidParameter { name, given, allowed }.into())
}

fn visible(snapshot: &Snapshot, found: Vec<crate::index::Hit>) -> Vec<(usize, f32)> {
    let found = found.into_iter().filter(|hit| snapshot.is_visible(hit.point));
    found.map(|hit| (hit.point, hit.distance)).collect()
}
