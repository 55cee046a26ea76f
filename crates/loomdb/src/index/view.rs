//! One state of an index, held while the index goes on, and an index made from what was stored.
//!
//! A collection keeps the ids and the deletions; what it needs of the index is the rows by number,
//! searches in one state, and the graph to write it down.

use std::sync::Arc;

use loomdb_graph::{Flat, Graph, GraphParts, Metric, Vectors, Workers};

use super::link::copied;
use super::state::{State, inverse};
use super::{Hit, Index, IndexParams, Shared};
use crate::Result;

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
        rows: Vectors,
        metric: Metric,
        graph: Option<(GraphParts, Vec<u32>)>,
        (params, workers): (IndexParams, Arc<Workers>),
    ) -> Result<(Self, Option<loomdb_graph::Error>)> {
        let index = Self::with_workers(rows.dim(), metric, params, workers)?;
        let (state, failure) = match graph.map(|graph| linked(&rows, metric, graph)) {
            Some(Ok(state)) => (state, None),
            Some(Err(error)) => (State::empty(Flat::from_vectors(metric, rows)?), Some(error)),
            None => (State::empty(Flat::from_vectors(metric, rows)?), None),
        };
        index.shared.state.store(Arc::new(state));
        index.shared.start_linking(&mut index.shared.lock());
        Ok((index, failure))
    }
}

fn linked(
    rows: &Vectors,
    metric: Metric,
    (parts, points): (GraphParts, Vec<u32>),
) -> std::result::Result<State, loomdb_graph::Error> {
    let nodes = parts.levels.len();
    let row_of = |node: usize| points.get(node).map_or(node, |row| *row as usize);
    let head = copied(rows.dim(), (0..nodes).map(|node| rows.row(row_of(node))))?;
    let graph = Graph::from_parts(&parts, head, metric)?;
    let behind = (nodes..rows.len()).map(|row| rows.row(row));
    let tail = Flat::from_vectors(metric, copied(rows.dim(), behind)?)?;
    let nodes = Arc::new(inverse(&points));
    Ok(State { graph: Some(graph), points: Arc::new(points), nodes, tail })
}

impl View {
    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.state.len()
    }

    /// The vector of a row, as it was given.
    pub(crate) fn vector(&self, row: usize) -> &[f32] {
        self.state.vector(row)
    }

    /// The nearest rows, as by [`Index::search`].
    pub(crate) fn search(&self, query: &[f32], k: usize, ef_search: usize) -> Result<Vec<Hit>> {
        let mut scratch = self.shared.scratches.take();
        let found = self.state.search(query, k, ef_search, &mut scratch);
        self.shared.scratches.give_back(scratch);
        found
    }

    /// The graph, and the row of each of its first nodes; the others have the numbers of theirs.
    pub(crate) fn graph(&self) -> Option<(&Graph, &[u32])> {
        Some((self.state.graph.as_ref()?, &self.state.points))
    }

    /// The number of rows that are in the graph.
    pub(crate) fn graph_len(&self) -> usize {
        self.state.graph_len()
    }
}
