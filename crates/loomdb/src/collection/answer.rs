//! How the answer to one or many questions is found: by a walk, a wider one, or a scan.
//!
//! The index knows nothing of filters and deletions: what may be returned is a predicate over its
//! rows. [`super::search_plan`] decides between a walk that filters what it finds and a scan of
//! what is allowed. Many queries share the filter, the plan and the version; rows that are
//! scanned are scanned for all of them at once.

use loomdb_graph::{MAX_EF, MAX_K, Vectors};

use super::allowed::Allowed;
use super::search_plan::{Ask, Plan, SearchStrategy, plan};
use super::snapshot::Snapshot;
use crate::index::{self, View};
use crate::{Error, Filter, Result};

/// Neighbors that are returned when nothing is said.
const K: usize = 10;

/// The beam width when nothing is said.
const EF_SEARCH: usize = 64;

/// What one search and a search of many queries can be told.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub filter: Option<Filter>,
    pub k: usize,
    pub ef_search: usize,
    pub is_exact: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { filter: None, k: K, ef_search: EF_SEARCH, is_exact: false }
    }
}

/// What a search found, by rows.
pub(super) struct Answer {
    pub hits: Vec<index::Hit>,
    pub strategy: SearchStrategy,
    pub matches: usize,
    pub beams: Vec<usize>,
    pub computed: u64,
}

impl Answer {
    /// Nothing, because there are no rows.
    const NONE: Self = Self {
        hits: Vec::new(),
        strategy: SearchStrategy::Scan,
        matches: 0,
        beams: Vec::new(),
        computed: 0,
    };
}

/// The answer to one query.
pub(super) fn answer(snapshot: &Snapshot, options: &Options, query: &[f32]) -> Result<Answer> {
    let Some(search) = Prepared::new(snapshot, options)? else {
        snapshot.check_dim(query.len())?;
        return Ok(Answer::NONE);
    };
    if search.plan.strategy == SearchStrategy::Scan {
        return search.scan(query, Vec::new(), 0);
    }
    search.walk(query, |farthest| match farthest {
        Some(distance) => search.view.scan_tail(query, (options.k, distance), &search.tail),
        None => search.view.scan(query, options.k, &search.tail),
    })
}

/// The answers to many queries, on all threads.
pub(super) fn answer_many(
    snapshot: &Snapshot,
    options: &Options,
    queries: &Vectors,
) -> Result<Vec<Vec<index::Hit>>> {
    let Some(search) = Prepared::new(snapshot, options)? else {
        snapshot.check_dim(queries.dim())?;
        return Ok(vec![Vec::new(); queries.len()]);
    };
    if search.plan.strategy == SearchStrategy::Scan {
        return search.view.scan_many(queries, options.k, &search.allowed.rows_from(0));
    }
    // This also refuses what is no query, with its row.
    let in_tail = search.view.scan_many(queries, options.k, &search.tail)?;
    let pairs: Vec<_> = in_tail.into_iter().enumerate().collect();
    let answers = search.view.workers().map(&pairs, |(row, in_tail)| {
        Ok(search.walk(queries.row(*row), |_| Ok(in_tail.clone()))?.hits)
    });
    answers.into_iter().collect()
}

/// Everything about a search that does not depend on the query.
struct Prepared<'a> {
    view: &'a View,
    allowed: Allowed<'a>,
    k: usize,
    ask: Ask,
    plan: Plan,
    /// The allowed rows behind the graph.
    tail: Vec<u32>,
}

impl<'a> Prepared<'a> {
    /// Nothing before the first write.
    fn new(snapshot: &'a Snapshot, options: &Options) -> Result<Option<Self>> {
        let Options { filter, k, ef_search, is_exact } = options;
        check_range("k", *k, MAX_K, "1 to 10,000")?;
        check_range("ef_search", *ef_search, MAX_EF, "1 to 100,000")?;
        let allowed = Allowed::new(&snapshot.state, filter.as_ref())?;
        let Some(view) = &snapshot.view else { return Ok(None) };
        let tail = allowed.rows_from(view.graph_len());
        let ask = Ask {
            k: *k,
            ef_search: *ef_search,
            rows: view.graph_len(),
            allowed: allowed.count() - tail.len(),
            m: view.m(),
        };
        let plan = if *is_exact { Plan::SCAN } else { plan(ask) };
        Ok(Some(Self { view, allowed, k: *k, ask, plan, tail }))
    }

    /// Walks through the graph until `k` matches are found. `in_tail` finds the nearest behind it,
    /// given how far away the last of `k` is that the walk found.
    fn walk(
        &self,
        query: &[f32],
        in_tail: impl FnOnce(Option<f32>) -> Result<Vec<index::Hit>>,
    ) -> Result<Answer> {
        let mut plan = self.plan;
        let (mut beams, mut computed) = (Vec::new(), self.tail.len() as u64);
        while plan.strategy != SearchStrategy::Scan {
            let is_allowed = |row| self.allowed.contains(row);
            let (mut hits, added) = self.view.walk(query, (self.k, plan.beam), is_allowed)?;
            computed += added;
            beams.push(plan.beam);
            if hits.len() >= self.k.min(self.ask.allowed) {
                hits.extend(in_tail(hits.get(self.k - 1).map(|last| last.distance))?);
                index::sort_hits(&mut hits);
                hits.truncate(self.k);
                let (strategy, matches) = (plan.strategy, self.allowed.count());
                return Ok(Answer { hits, strategy, matches, beams, computed });
            }
            plan = plan.wider(self.ask, hits.len());
        }
        self.scan(query, beams, computed)
    }

    /// Looks at all that may be returned.
    fn scan(&self, query: &[f32], beams: Vec<usize>, computed: u64) -> Result<Answer> {
        let rows = self.allowed.rows_from(0);
        let hits = self.view.scan(query, self.k, &rows)?;
        let (strategy, matches) = (SearchStrategy::Scan, rows.len());
        Ok(Answer { hits, strategy, matches, beams, computed: computed + matches as u64 })
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

impl Snapshot {
    /// Before the first write nothing is known of a query but its length.
    pub(super) fn check_dim(&self, given: usize) -> Result<()> {
        match self.state.dim {
            Some(expected) if expected != given => {
                Err(Error::from(loomdb_graph::Error::DimMismatch { expected, given }))
            }
            _ => Ok(()),
        }
    }
}
