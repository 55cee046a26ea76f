//! The links of the graph as flat arrays, for those who look at it with other tools.

use super::Index;

/// The links of all points on a level of the graph, in the form of a compressed sparse matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    offsets: Vec<usize>,
    points: Vec<usize>,
}

impl Links {
    /// The points that a point has links to, nearest first where they were built as one batch.
    ///
    /// # Panics
    /// When there is no such point.
    pub fn of(&self, point: usize) -> &[usize] {
        &self.points[self.offsets[point]..self.offsets[point + 1]]
    }

    /// The number of points.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no points.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Index {
    /// The links of all points on a level, of which 0 has all points of the graph. Points that are
    /// not in the graph, or do not reach the level, have none.
    ///
    /// ```
    /// use loomdb::index::{Index, IndexParams};
    /// use loomdb_graph::{Metric, Vectors};
    ///
    /// let rows = Vectors::from_flat(1, &[0.0, 1.0, 5.0, 6.0])?;
    /// let params = IndexParams { flat_limit: Some(2), ..IndexParams::default() };
    /// let index = Index::build(rows, Metric::L2, params, &())?;
    /// assert_eq!(index.neighbors(0).of(0)[0], 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn neighbors(&self, level: u8) -> Links {
        let state = self.shared.state.load_full();
        let mut links = Links { offsets: vec![0], points: Vec::new() };
        for point in 0..state.len() {
            if let Some(graph) = state.graph.as_deref().filter(|graph| point < graph.len()) {
                let node = state.node(point as u32);
                if graph.level(node) >= level {
                    let neighbors = graph.neighbors(node, level);
                    links.points.extend(neighbors.map(|node| state.point(node)));
                }
            }
            links.offsets.push(links.points.len());
        }
        links
    }
}
