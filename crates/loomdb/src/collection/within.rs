//! All points within a distance of a query.

use std::borrow::Cow;

use super::allowed::Allowed;
use super::points::Hits;
use super::snapshot::Snapshot;
use crate::index;
use crate::{Error, Filter, Result};

/// A question for every point at most so far from a query, asked by [`Self::run`].
///
/// The answer is exact: it has every point whose distance, computed in `f32` as [`super::Search`]
/// reports it, is at most `max_distance`, and no other. No graph is used: all points that match
/// are looked at, on all threads.
///
/// ```
/// use loomdb::{Batch, Database, Ids, Schema};
/// use loomdb_graph::{Metric, Vectors};
///
/// let docs = Database::in_memory()?.collection("docs", Schema::new(1).metric(Metric::L2))?;
/// docs.add(&Batch::new(vec![10, 20, 30], Vectors::from_flat(1, &[0.0, 1.0, 5.0])?)?)?;
///
/// let hits = docs.within(&[0.75], 0.75).run()?;
/// assert_eq!(hits.ids(), Ids::from(vec![20, 10]));
/// assert_eq!(hits.distances(), [0.25, 0.75]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a search does nothing until it is run"]
pub struct Within<'a> {
    snapshot: Cow<'a, Snapshot>,
    query: &'a [f32],
    max_distance: f32,
    filter: Option<Filter>,
    limit: Option<usize>,
}

impl<'a> Within<'a> {
    pub(super) fn new(snapshot: Cow<'a, Snapshot>, query: &'a [f32], max_distance: f32) -> Self {
        Self { snapshot, query, max_distance, filter: None, limit: None }
    }

    /// Only points that match; all points when nothing is said.
    pub fn filter(self, filter: Filter) -> Self {
        Self { filter: Some(filter), ..self }
    }

    /// Only the nearest so many; all when nothing is said.
    pub fn limit(self, limit: usize) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// The points, nearest first, equally near ones in the order in which they were written.
    ///
    /// # Errors
    /// `InvalidInput`: another dimension, a value that is not finite, a zero vector under cosine,
    /// a distance that is not a number. `InvalidFilter`: a field that is unknown or compared with
    /// a value of another type.
    pub fn run(self) -> Result<Hits> {
        if self.max_distance.is_nan() {
            let error = Error::invalid("max_distance is not a number");
            return Err(error.advise("give the distance up to which points are wanted"));
        }
        let allowed = Allowed::new(&self.snapshot.state, self.filter.as_ref())?;
        let mut hits = if let Some(view) = &self.snapshot.view {
            view.within(self.query, self.max_distance, &allowed.rows_from(0))?
        } else {
            self.snapshot.check_dim(self.query.len())?;
            Vec::new()
        };
        index::sort_hits(&mut hits);
        hits.truncate(self.limit.unwrap_or(usize::MAX));
        drop(allowed);
        Ok(Hits::new(self.snapshot.into_owned(), [hits]))
    }
}
