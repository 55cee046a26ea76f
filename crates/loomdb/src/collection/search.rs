//! A search for the nearest points to one query, or to each of many: what can be asked, and what
//! comes back.

use std::borrow::Cow;

use loomdb_graph::Vectors;
use serde::Serialize;

use super::answer::{Answer, Options, answer, answer_many};
use super::metadata::Metadata;
use super::points::Hits;
use super::search_plan::SearchStrategy;
use super::snapshot::Snapshot;
use crate::{Filter, Id, Result};

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

/// How a search went, and what it cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// How the answer was found in the end.
    pub strategy: SearchStrategy,
    /// The points that match the filter; without one, all points.
    pub matches: usize,
    /// The share of points that match, from 0 to 1; 0 when there are no points.
    pub selectivity: f64,
    /// The width of the beam of each walk, in order: the first as planned, others because the one
    /// before found too few matches. A scan behind walks shows that none of them found enough.
    pub beams: Vec<usize>,
    /// Distances computed, the greatest part of the cost.
    pub distance_computations: u64,
    /// The points that came back.
    pub hits: usize,
}

/// A question, made step by step and asked by [`Self::run`].
///
/// ```
/// use loomdb::{Batch, Database, Filter, Schema};
/// use loomdb_graph::Vectors;
///
/// let docs = Database::in_memory()?.collection("docs", Schema::new(2))?;
/// let records = serde_json::json!([{"lang": "en"}, {"lang": "de"}]);
/// let vectors = Vectors::from_flat(2, &[0.0, 1.0, 1.0, 0.0])?;
/// let batch = Batch::new(vec![10, 20], vectors)?;
/// docs.add(&batch.with_records(&serde_json::from_value::<Vec<_>>(records)?)?)?;
///
/// let hits = docs.search(&[0.0, 1.0]).filter(Filter::eq("lang", "de")).run()?;
/// assert_eq!(hits.len(), 1);
/// assert_eq!(hits[0].id, 20.into());
/// let explanation = docs.search(&[0.0, 1.0]).filter(Filter::eq("lang", "de")).explain()?;
/// assert_eq!((explanation.matches, explanation.selectivity), (1, 0.5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a search does nothing until it is run"]
pub struct Search<'a> {
    snapshot: Cow<'a, Snapshot>,
    query: &'a [f32],
    options: Options,
    has_vectors: bool,
}

impl<'a> Search<'a> {
    pub(super) fn new(snapshot: Cow<'a, Snapshot>, query: &'a [f32]) -> Self {
        Self { snapshot, query, options: Options::default(), has_vectors: false }
    }

    /// Only points that match; all points when nothing is said.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.options.filter = Some(filter);
        self
    }

    /// How many points are wanted; 10 when nothing is said.
    pub fn k(mut self, k: usize) -> Self {
        self.options.k = k;
        self
    }

    /// The beam width, 64 when nothing is said: wider is slower and finds more of the true
    /// neighbors.
    pub fn ef_search(mut self, ef_search: usize) -> Self {
        self.options.ef_search = ef_search;
        self
    }

    /// Looks at every point that may be returned.
    pub fn exact(mut self) -> Self {
        self.options.is_exact = true;
        self
    }

    /// Returns the vectors too.
    pub fn with_vectors(self) -> Self {
        Self { has_vectors: true, ..self }
    }

    /// The nearest points, nearest first; fewer than `k` only when fewer match.
    ///
    /// # Errors
    /// `InvalidInput`: another dimension, a value that is not finite, a zero vector under cosine,
    /// `k` or `ef_search` out of range. `InvalidFilter`: a field that is unknown or compared with
    /// a value of another type.
    pub fn run(self) -> Result<Vec<Hit>> {
        let has_vectors = self.has_vectors;
        let found = self.hits()?;
        let mut hits = found.to_hits(0);
        if has_vectors {
            for (hit, vector) in hits.iter_mut().zip(found.points().rows_of_vectors()) {
                hit.vector = Some(vector.to_vec());
            }
        }
        Ok(hits)
    }

    /// What [`Self::run`] finds, as flat arrays of ids and distances; metadata and vectors are
    /// looked up only when they are asked for.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn hits(self) -> Result<Hits> {
        let answer = answer(&self.snapshot, &self.options, self.query)?;
        Ok(Hits::new(self.snapshot.into_owned(), [answer.hits]))
    }

    /// Searches as [`Self::run`] does, and tells how.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn explain(self) -> Result<Explanation> {
        let Answer { hits, strategy, matches, beams, computed } =
            answer(&self.snapshot, &self.options, self.query)?;
        let points = self.snapshot.len().max(1);
        Ok(Explanation {
            strategy,
            matches,
            selectivity: matches as f64 / points as f64,
            beams,
            distance_computations: computed,
            hits: hits.len(),
        })
    }
}

/// The same question for each of many queries, asked by [`Self::run`] of one version, on all
/// threads; the filter is evaluated once.
///
/// ```
/// use loomdb::{Batch, Database, Ids, Schema};
/// use loomdb_graph::{Metric, Vectors};
///
/// let docs = Database::in_memory()?.collection("docs", Schema::new(1).metric(Metric::L2))?;
/// docs.add(&Batch::new(vec![10, 20, 30], Vectors::from_flat(1, &[0.0, 1.0, 5.0])?)?)?;
///
/// let queries = Vectors::from_flat(1, &[0.25, 4.0])?;
/// let hits = docs.search_many(&queries).k(2).run()?;
/// assert_eq!(hits.ids(), Ids::from(vec![10, 20, 30, 20]));
/// assert_eq!(hits.distances(), [0.25, 0.75, 1.0, 3.0]);
/// assert_eq!(hits.range(1), 2..4); // those of the second query
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a search does nothing until it is run"]
pub struct SearchMany<'a> {
    snapshot: Cow<'a, Snapshot>,
    queries: &'a Vectors,
    options: Options,
}

impl<'a> SearchMany<'a> {
    pub(super) fn new(snapshot: Cow<'a, Snapshot>, queries: &'a Vectors) -> Self {
        Self { snapshot, queries, options: Options::default() }
    }

    /// Only points that match; all points when nothing is said.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.options.filter = Some(filter);
        self
    }

    /// How many points are wanted for each query; 10 when nothing is said.
    pub fn k(mut self, k: usize) -> Self {
        self.options.k = k;
        self
    }

    /// The beam width, 64 when nothing is said: wider is slower and finds more of the true
    /// neighbors.
    pub fn ef_search(mut self, ef_search: usize) -> Self {
        self.options.ef_search = ef_search;
        self
    }

    /// Looks at every point that may be returned, by tiles of a matrix product.
    pub fn exact(mut self) -> Self {
        self.options.is_exact = true;
        self
    }

    /// The nearest points to each query, nearest first; fewer than `k` only when fewer match.
    ///
    /// # Errors
    /// As [`Search::run`]; the error of a query names its row.
    pub fn run(self) -> Result<Hits> {
        let found = answer_many(&self.snapshot, &self.options, self.queries)?;
        Ok(Hits::new(self.snapshot.into_owned(), found))
    }
}
