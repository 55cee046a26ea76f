//! Search that returns k points whenever k match, whatever the filter and however many rows were
//! given up.
//!
//! The index knows nothing of filters and deletions: what may be returned is a predicate over its
//! rows. [`super::search_plan`] decides between a walk that filters what it finds and a scan of
//! what is allowed.

use std::borrow::Cow;

use loomdb_graph::{MAX_EF, MAX_K};
use serde::Serialize;

use super::allowed::Allowed;
use super::metadata::Metadata;
use super::search_plan::{Ask, SearchStrategy, plan};
use super::snapshot::Snapshot;
use crate::index::{self, View};
use crate::{Error, Filter, Id, Result};

/// Neighbors that are returned when nothing is said.
const K: usize = 10;

/// The beam width when nothing is said.
const EF_SEARCH: usize = 64;

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
#[allow(clippy::struct_field_names, reason = "the name of the beam width everywhere")]
pub struct Search<'a> {
    snapshot: Cow<'a, Snapshot>,
    query: &'a [f32],
    filter: Option<Filter>,
    k: usize,
    ef_search: usize,
    is_exact: bool,
    has_vectors: bool,
}

/// What a search found, by rows.
struct Answer {
    hits: Vec<index::Hit>,
    strategy: SearchStrategy,
    matches: usize,
    beams: Vec<usize>,
    computed: u64,
}

impl<'a> Search<'a> {
    pub(super) fn new(snapshot: Cow<'a, Snapshot>, query: &'a [f32]) -> Self {
        let (k, ef_search) = (K, EF_SEARCH);
        let (filter, is_exact, has_vectors) = (None, false, false);
        Self { snapshot, query, filter, k, ef_search, is_exact, has_vectors }
    }

    /// Only points that match; all points when nothing is said.
    pub fn filter(self, filter: Filter) -> Self {
        Self { filter: Some(filter), ..self }
    }

    /// How many points are wanted; 10 when nothing is said.
    pub fn k(self, k: usize) -> Self {
        Self { k, ..self }
    }

    /// The beam width: wider is slower and finds more of the true neighbors.
    pub fn ef_search(self, ef_search: usize) -> Self {
        Self { ef_search, ..self }
    }

    /// Looks at every point that may be returned.
    pub fn exact(self) -> Self {
        Self { is_exact: true, ..self }
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
        let snapshot = &*self.snapshot;
        let hit = |near: index::Hit| Hit {
            id: snapshot.state.rows.id(near.point),
            distance: near.distance,
            metadata: snapshot.metadata(near.point),
            vector: self.has_vectors.then(|| snapshot.vector(near.point).to_vec()),
        };
        Ok(self.answer()?.hits.into_iter().map(hit).collect())
    }

    /// Searches as [`Self::run`] does, and tells how.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn explain(self) -> Result<Explanation> {
        let Answer { hits, strategy, matches, beams, computed } = self.answer()?;
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

    fn answer(&self) -> Result<Answer> {
        check_range("k", self.k, MAX_K, "1 to 10,000")?;
        check_range("ef_search", self.ef_search, MAX_EF, "1 to 100,000")?;
        let allowed = Allowed::new(&self.snapshot.state, self.filter.as_ref())?;
        match &self.snapshot.view {
            Some(view) if self.is_exact => self.scan(view, &allowed, Vec::new(), 0),
            Some(view) => self.walk(view, &allowed),
            None => self.check_without_rows(),
        }
    }

    /// Walks through the graph until `k` matches are found, and scans the rows behind it.
    fn walk(&self, view: &View, allowed: &Allowed<'_>) -> Result<Answer> {
        let tail = allowed.rows_from(view.graph_len());
        let ask = Ask {
            k: self.k,
            ef_search: self.ef_search,
            rows: view.graph_len(),
            allowed: allowed.count() - tail.len(),
            m: view.m(),
        };
        let mut plan = plan(ask);
        let (mut beams, mut computed) = (Vec::new(), 0);
        while plan.strategy != SearchStrategy::Scan {
            let is_allowed = |row| allowed.contains(row);
            let (mut hits, added) = view.walk(self.query, (self.k, plan.beam), is_allowed)?;
            computed += added;
            beams.push(plan.beam);
            if hits.len() >= self.k.min(ask.allowed) {
                hits.extend(view.scan(self.query, self.k, &tail)?);
                index::sort_hits(&mut hits);
                hits.truncate(self.k);
                computed += tail.len() as u64;
                let (strategy, matches) = (plan.strategy, allowed.count());
                return Ok(Answer { hits, strategy, matches, beams, computed });
            }
            plan = plan.wider(ask);
        }
        self.scan(view, allowed, beams, computed)
    }

    /// Looks at all that may be returned.
    fn scan(
        &self,
        view: &View,
        allowed: &Allowed<'_>,
        beams: Vec<usize>,
        computed: u64,
    ) -> Result<Answer> {
        let rows = allowed.rows_from(0);
        let hits = view.scan(self.query, self.k, &rows)?;
        let (strategy, matches) = (SearchStrategy::Scan, rows.len());
        Ok(Answer { hits, strategy, matches, beams, computed: computed + matches as u64 })
    }

    /// Before the first write nothing is known but the limits.
    fn check_without_rows(&self) -> Result<Answer> {
        match self.snapshot.state.dim {
            Some(expected) if expected != self.query.len() => {
                let given = self.query.len();
                Err(Error::from(loomdb_graph::Error::DimMismatch { expected, given }))
            }
            _ => Ok(Answer {
                hits: Vec::new(),
                strategy: SearchStrategy::Scan,
                matches: 0,
                beams: Vec::new(),
                computed: 0,
            }),
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
