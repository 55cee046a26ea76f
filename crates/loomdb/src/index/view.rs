//! One state of an index, held while the index goes on, and an index made from what was stored.
//!
//! A collection keeps the ids and the deletions; what it needs of the index is the rows by number,
//! searches in one state, and the graph to write it down.

use std::sync::Arc;

use loomdb_graph::{Flat, Graph, Metric, StoredRows, StoredVectors, Vectors, Workers};

use super::link::{GraphResult, copied};
use super::state::{State, inverse, is_long};
use super::{Hit, Index, IndexParams, Shared};
use crate::Result;
use crate::storage::segment::StoredGraph;

/// A state of an index.
#[derive(Clone, Debug)]
pub(crate) struct View {
    shared: Arc<Shared>,
    state: Arc<State>,
}

impl Index {
    /// The state of now.
    pub(crate) fn view(&self) -> View {
        View { shared: Arc::clone(&self.shared), state: self.shared.state.load_full() }
    }

    /// An index of rows in the order of their numbers, with the graph over the first of them,
    /// if it can be used; else with the reason why not. `order` names the row of each of the
    /// first nodes.
    pub(crate) fn restore(
        rows: &StoredVectors,
        metric: Metric,
        graph: Option<(StoredGraph, Vec<u32>)>,
        (params, workers): (IndexParams, Arc<Workers>),
    ) -> Result<(Self, Option<loomdb_graph::Error>)> {
        let linked = graph.map(|graph| linked(rows, metric, graph, &workers));
        let index = Self::with_workers(rows.dim(), metric, params, workers)?;
        let (state, failure) = match linked.transpose() {
            Ok(Some(state)) => (state, None),
            Ok(None) => (unlinked(rows, metric)?, None),
            Err(error) => (unlinked(rows, metric)?, Some(error)),
        };
        index.shared.state.store(Arc::new(state));
        index.shared.start_linking(&mut index.shared.lock());
        Ok((index, failure))
    }
}

fn linked(
    rows: &StoredVectors,
    metric: Metric,
    (graph, points): (StoredGraph, Vec<u32>),
    workers: &Workers,
) -> GraphResult<State> {
    let StoredGraph { parts, codes } = graph;
    let points = Arc::new(points);
    let codes = codes.map(|codes| (codes.parts, codes.values));
    let stored = StoredRows { vectors: rows.clone(), order: Arc::clone(&points), codes };
    let graph = Graph::from_stored(&parts, &stored, metric, workers)?;
    let (tail, nodes) = (graph.flat_behind(), Arc::new(inverse(&points)));
    let graph = Some(Arc::new(graph));
    State { graph, points, nodes, tail, files: None }.moved_to(Arc::new(rows.clone()))
}

/// A state whose rows are all in the tail.
fn unlinked(rows: &StoredVectors, metric: Metric) -> GraphResult<State> {
    let tail = if is_long(rows, 0) {
        Flat::new(metric, rows.dim())?.moved_to(rows, 0)?
    } else {
        let rows = copied(rows.dim(), (0..rows.len()).map(|row| rows.row(row)))?;
        Flat::from_vectors(metric, rows)?
    };
    Ok(State { files: Some(Arc::new(rows.clone())), ..State::empty(tail) })
}

impl View {
    /// The vector of a row, as it was given.
    pub(crate) fn vector(&self, row: usize) -> &[f32] {
        self.state.vector(row)
    }

    /// The nearest allowed rows of the graph, as far as they are among the `ef_search` nearest
    /// that a walk finds, with the number of distances computed.
    pub(crate) fn walk(
        &self,
        query: &[f32],
        (k, ef_search): (usize, usize),
        is_allowed: impl Fn(usize) -> bool,
    ) -> Result<(Vec<Hit>, u64)> {
        let Some(graph) = &self.state.graph else { return Ok((Vec::new(), 0)) };
        let mut scratch = self.shared.scratches.take();
        let before = scratch.distance_computations();
        let is_allowed = |node| is_allowed(self.state.point(node));
        let found = graph.search_allowed(query, k, ef_search, is_allowed, &mut scratch);
        let computed = scratch.distance_computations() - before;
        self.shared.scratches.give_back(scratch);
        Ok((self.state.merged(&found?, &[], k), computed))
    }

    /// The nearest of some rows, which are in ascending order, from all their distances.
    pub(crate) fn scan(&self, query: &[f32], k: usize, rows: &[u32]) -> Result<Vec<Hit>> {
        self.shared.note_searches(1);
        let (nodes, in_tail) = self.split(rows);
        let in_tail = self.state.tail.search_among(query, k, &in_tail)?;
        let near = match &self.state.graph {
            Some(graph) if !nodes.is_empty() => graph.flat().search_among(query, k, &nodes)?,
            _ => Vec::new(),
        };
        Ok(self.state.merged(&near, &in_tail, k))
    }

    /// The nearest of some rows behind the graph, for who knows of `k` others at most
    /// `max_distance` away: rows that are farther away may be missing.
    pub(crate) fn scan_tail(
        &self,
        query: &[f32],
        (k, max_distance): (usize, f32),
        rows: &[u32],
    ) -> Result<Vec<Hit>> {
        self.shared.note_searches(1);
        let (_, in_tail) = self.split(rows);
        let near = self.state.tail.search_among_within(query, (k, max_distance), &in_tail)?;
        Ok(self.state.merged(&[], &near, k))
    }

    /// [`Self::scan`] for each row of `queries`, by tiles, on all threads.
    pub(crate) fn scan_many(
        &self,
        queries: &Vectors,
        k: usize,
        rows: &[u32],
    ) -> Result<Vec<Vec<Hit>>> {
        self.shared.note_searches(queries.len());
        let (nodes, in_tail) = self.split(rows);
        let (state, workers) = (&self.state, self.workers());
        let in_tail = state.tail.search_many_among(queries, k, &in_tail, workers)?;
        let near = match &state.graph {
            Some(graph) if !nodes.is_empty() => {
                graph.flat().search_many_among(queries, k, &nodes, workers)?
            }
            _ => vec![Vec::new(); queries.len()],
        };
        let pairs = near.iter().zip(&in_tail);
        Ok(pairs.map(|(near, in_tail)| state.merged(near, in_tail, k)).collect())
    }

    /// Those of some rows, which are in ascending order, that are at most `max_distance` away, in
    /// no order; on all threads.
    pub(crate) fn within(
        &self,
        query: &[f32],
        max_distance: f32,
        rows: &[u32],
    ) -> Result<Vec<Hit>> {
        /// Rows that one thread looks at together.
        const PIECE: usize = 1 << 13;
        let (nodes, in_tail) = self.split(rows);
        let flat = self.state.graph.as_deref().map(Graph::flat);
        let pieces = |flat, rows: &'_ [u32]| {
            let found = self.workers().map(&rows.chunks(PIECE).collect::<Vec<_>>(), |piece| {
                Flat::within(flat, query, max_distance, Some(piece))
            });
            found.into_iter().collect::<std::result::Result<Vec<_>, _>>()
        };
        // Rows of no number at all also refuse what is no query.
        self.state.tail.within(query, max_distance, Some(&[]))?;
        let near = flat.as_ref().map(|flat| pieces(flat, &nodes)).transpose()?;
        let in_tail = pieces(&self.state.tail, &in_tail)?;
        Ok(self.state.merged(&near.unwrap_or_default().concat(), &in_tail.concat(), usize::MAX))
    }

    /// The nodes of those of some rows that are in the graph, and the places of the others in the
    /// tail.
    fn split(&self, rows: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let graph_len = self.graph_len() as u32;
        let (of_graph, of_tail) = rows.split_at(rows.partition_point(|row| *row < graph_len));
        let nodes = of_graph.iter().map(|row| self.state.node(*row)).collect();
        (nodes, of_tail.iter().map(|row| row - graph_len).collect())
    }

    /// The threads for many queries.
    pub(crate) fn workers(&self) -> &Workers {
        &self.shared.workers
    }

    /// Links of a node on the upper levels, which the cost of a walk follows.
    pub(crate) fn m(&self) -> usize {
        self.shared.params.m
    }

    /// The graph, and the row of each of its first nodes; the others have the numbers of theirs.
    pub(crate) fn graph(&self) -> Option<(&Graph, &[u32])> {
        Some((self.state.graph.as_deref()?, &self.state.points))
    }

    /// The number of rows that are in the graph.
    pub(crate) fn graph_len(&self) -> usize {
        self.state.graph_len()
    }
}
