//! One consistent state of an index: what a search reads.

use std::borrow::Cow;
use std::sync::Arc;

use loomdb_graph::{Flat, Graph, Neighbor, Scratch, StoredVectors, Vectors, Workers};

use super::Hit;
use super::link::{GraphResult, copied};
use crate::{Error, Ids, Result};

/// A tail of so many bytes is not copied into memory when its rows lie in files.
const MAX_COPIED_BYTES: usize = 8 << 20;

/// A graph over the first points and a tail of the others.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// Shared by the versions that differ only in their tails.
    pub graph: Option<Arc<Graph>>,
    /// The point of each of the first nodes; later nodes have the number of their point.
    pub points: Arc<Vec<u32>>,
    /// The node of each of the first points, the inverse of `points`.
    pub nodes: Arc<Vec<u32>>,
    pub tail: Flat,
    /// The first points where they lie in files, if they do.
    pub files: Option<Arc<StoredVectors>>,
}

impl State {
    /// A state without a graph.
    pub(super) fn empty(tail: Flat) -> Self {
        Self { graph: None, points: Arc::default(), nodes: Arc::default(), tail, files: None }
    }

    pub(super) fn len(&self) -> usize {
        self.graph_len() + self.tail.len()
    }

    pub(super) fn graph_len(&self) -> usize {
        self.graph.as_deref().map_or(0, Graph::len)
    }

    pub(super) fn search(
        &self,
        query: &[f32],
        k: usize,
        ef_search: usize,
        scratch: &mut Scratch,
    ) -> Result<Vec<Hit>> {
        let near = match &self.graph {
            Some(graph) => graph.search(query, k, ef_search, scratch)?,
            None => Vec::new(),
        };
        Ok(self.merged(&near, &self.tail.search(query, k)?, k))
    }

    pub(super) fn search_many(
        &self,
        queries: &Vectors,
        k: usize,
        ef_search: usize,
        workers: &Workers,
    ) -> Result<Vec<Vec<Hit>>> {
        let near = match &self.graph {
            Some(graph) => graph.search_many(queries, k, ef_search, workers)?,
            None => vec![Vec::new(); queries.len()],
        };
        self.with_tail(queries, k, workers, &near)
    }

    pub(super) fn search_exact(
        &self,
        queries: &Vectors,
        k: usize,
        workers: &Workers,
    ) -> Result<Vec<Vec<Hit>>> {
        let near = match &self.graph {
            Some(graph) => graph.flat().search_many(queries, k, workers)?,
            None => vec![Vec::new(); queries.len()],
        };
        self.with_tail(queries, k, workers, &near)
    }

    /// Joins what was found in the graph with the nearest rows of the tail.
    fn with_tail(
        &self,
        queries: &Vectors,
        k: usize,
        workers: &Workers,
        near: &[Vec<Neighbor>],
    ) -> Result<Vec<Vec<Hit>>> {
        let in_tail = self.tail.search_many(queries, k, workers)?;
        let pairs = near.iter().zip(&in_tail);
        Ok(pairs.map(|(near, in_tail)| self.merged(near, in_tail, k)).collect())
    }

    /// The `k` nearest of both, ties by point.
    pub(super) fn merged(&self, near: &[Neighbor], in_tail: &[Neighbor], k: usize) -> Vec<Hit> {
        let graph_len = self.graph_len();
        let of_graph = near.iter().map(|near| (self.point(near.node), near.distance));
        let of_tail = in_tail.iter().map(|near| (graph_len + near.node as usize, near.distance));
        let mut hits: Vec<Hit> =
            of_graph.chain(of_tail).map(|(point, distance)| Hit { point, distance }).collect();
        sort_hits(&mut hits);
        hits.truncate(k);
        hits
    }

    /// How many of the first points lie in files.
    pub(super) fn filed(&self) -> usize {
        self.files.as_ref().map_or(0, |files| files.len())
    }

    /// The same state with all its points where they lie in files, as far as that pays, and those
    /// behind them there. A short tail is copied: every search looks at all of it.
    pub(super) fn moved_to(&self, files: Arc<StoredVectors>) -> GraphResult<Self> {
        let graph = self.graph.as_ref().map(|graph| graph.moved_to(&files, &self.points));
        let first = self.graph_len();
        let tail = if is_long(&files, first) {
            self.tail.moved_to(&files, first)?
        } else {
            let behind = first + self.tail.len()..files.len();
            let mut tail = self.tail.clone();
            tail.append(&copied(files.dim(), behind.map(|row| files.row(row)))?)?;
            tail
        };
        Ok(Self {
            graph: graph.transpose()?.map(Arc::new),
            tail,
            files: Some(files),
            ..self.clone()
        })
    }

    /// The point of a node.
    pub(super) fn point(&self, node: u32) -> usize {
        self.points.get(node as usize).map_or(node as usize, |point| *point as usize)
    }

    /// The node of a point of the graph.
    pub(super) fn node(&self, point: u32) -> u32 {
        self.nodes.get(point as usize).map_or(point, |node| *node)
    }

    /// The vector of a point, as it was given.
    pub(super) fn vector(&self, point: usize) -> &[f32] {
        self.vector_in_file_order(self.node(point as u32) as usize)
    }

    /// The vector at a row of the file: the nodes of the graph, then the tail.
    pub(super) fn vector_in_file_order(&self, row: usize) -> &[f32] {
        match (&self.graph, row.checked_sub(self.graph_len())) {
            (Some(graph), None) => graph.vector(row as u32),
            (_, behind) => self.tail.vector(behind.unwrap_or(row) as u32),
        }
    }

    /// The ids of the rows of the file; without any, the numbers of the points.
    pub(super) fn ids_in_file_order<'a>(&self, ids: Option<&'a Ids>) -> Result<Cow<'a, Ids>> {
        let points = || (0..self.len() as u32).map(|row| self.point(row));
        let Some(ids) = ids else {
            return Ok(Cow::Owned(Ids::Integer(points().map(|point| point as u64).collect())));
        };
        if ids.len() != self.len() {
            let what = format!("{} ids were given for {} points", ids.len(), self.len());
            return Err(Error::invalid(what).advise("give one id for each point"));
        }
        if self.points.is_empty() {
            return Ok(Cow::Borrowed(ids));
        }
        let rows: Vec<u32> = points().map(|point| point as u32).collect();
        Ok(Cow::Owned(ids.select(&rows)))
    }
}

/// Nearest first, ties by point.
pub(crate) fn sort_hits(hits: &mut [Hit]) {
    hits.sort_unstable_by(|left, right| {
        left.distance.total_cmp(&right.distance).then(left.point.cmp(&right.point))
    });
}

/// Whether the rows from `first` on are too many to be copied into memory.
pub(super) fn is_long(files: &StoredVectors, first: usize) -> bool {
    (files.len() - first) * size_of::<f32>() * files.dim() > MAX_COPIED_BYTES
}

/// The places of the values of a permutation.
pub(super) fn inverse(points: &[u32]) -> Vec<u32> {
    let mut nodes = vec![0; points.len()];
    for (node, point) in points.iter().enumerate() {
        nodes[*point as usize] = node as u32;
    }
    nodes
}
