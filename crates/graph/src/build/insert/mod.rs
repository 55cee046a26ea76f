//! Extending a graph by a chunk of rows: all of the chunk at once, against a frozen graph.
//!
//! The nodes of a chunk find their candidates in parallel, by tiles of a matrix product or by
//! searches, and among each other exactly. Then the links change: first the lists of the new
//! nodes, then, grouped by destination, the lists of their neighbors. A chunk of one row is
//! classic insertion (HNSW paper, algorithm 1).

mod chunk;
mod find;

use std::ops::Range;
use std::sync::{Arc, Mutex};

use super::connect::Growth;
use super::{Build, BuildStats, levels};
use crate::graph::Graph;
use crate::graph::parts::Towers;
use crate::params::{BuildParams, Strategy};
use crate::progress::{Observer, Phase, Workers};
use crate::space::Space;
use crate::{Error, Vectors};
use chunk::Chunk;

/// What the random choices are for.
const PURPOSE: u64 = 0x696E_7365_7274;

/// Builds a graph by chunks from nothing.
pub(super) fn build(
    mut space: Space,
    chunk: usize,
    params: &BuildParams,
    (workers, observer): (&Workers, &dyn Observer),
) -> Result<Build, Error> {
    workers.run(|| space.encode());
    if space.codes().is_none() {
        space.gather();
    }
    let rows = space.len();
    let mut stats = BuildStats::new(Strategy::Insert { chunk });
    let levels: Vec<u8> = (0..rows as u32).map(|node| params.level(node)).collect();
    let mut graph = Graph { len: 0, ..Graph::unlinked(space, &levels, params) };
    let mut growth = Growth::unknown(0);
    workers.run(|| {
        for first in (0..rows).step_by(chunk) {
            let last = (first + chunk).min(rows);
            Chunk { params, observer }.link(&mut graph, &mut growth, last, &mut stats)?;
            observer.progress(Phase::Insert, last, rows);
        }
        graph.drop_blurred_codes();
        graph.growth = Arc::new(Mutex::new(growth));
        Ok(Build { graph, order: (0..rows as u32).collect(), stats })
    })
}

impl Graph {
    /// The next version of this graph, with `rows` as further nodes, linked as one batch; rows
    /// keep their order. This version stays as it is and may be searched meanwhile, by any
    /// number of threads. A batch is best some hundreds of rows; `m` and the seed are those of
    /// the graph.
    ///
    /// # Errors
    /// [`Error::StaleGraph`] when this is not the newest version, [`Error::DimMismatch`],
    /// [`Error::ZeroVector`], [`Error::TooManyRows`], [`Error::InvalidParameter`],
    /// [`Error::Canceled`]; after an error this is still the newest version.
    pub fn insert(
        &self,
        rows: &Vectors,
        params: &BuildParams,
        workers: &Workers,
        observer: &dyn Observer,
    ) -> Result<(Self, BuildStats), Error> {
        let params = BuildParams { m: self.m, seed: self.seed, ..params.clone() };
        params.validate()?;
        let last = self.len + rows.len();
        if last > crate::limits::MAX_ROWS {
            return Err(Error::TooManyRows { rows: last });
        }
        let mut next = self.clone();
        next.space.append(rows)?;
        next.allot(self.len..last, &params);
        let mut stats = BuildStats::new(Strategy::Insert { chunk: rows.len() });
        // Locked outside of the threads: one that waits for a part of this insert may be handed
        // another insert, and would wait for itself.
        let mut growth = self.growth.lock().map_err(|_| Error::StaleGraph)?;
        if growth.newest != self.len {
            return Err(Error::StaleGraph);
        }
        let (chunk, growth) = (Chunk { params: &params, observer }, &mut *growth);
        workers.run(|| chunk.link(&mut next, growth, last, &mut stats))?;
        Ok((next, stats))
    }

    /// Makes room for the links of new nodes.
    fn allot(&mut self, nodes: Range<usize>, params: &BuildParams) {
        let levels: Vec<u8> = nodes.clone().map(|node| params.level(node as u32)).collect();
        let towers = Towers::new(&levels, self.upper.len());
        self.links.grow(nodes.len());
        self.upper.grow(towers.list_count);
        self.towers.append(&towers.towers);
    }
}

impl BuildParams {
    fn level(&self, node: u32) -> u8 {
        levels::of_node(node, self.m, self.seed)
    }
}
