//! Building a graph from a batch of rows.
//!
//! A bulk build reads in this file from top to bottom: collapse duplicates, find candidates for
//! every node (`all_pairs` or `partition`), order the nodes by their cells, link each level
//! (`link`: candidates, one prune for each node, grouped backlinks, one prune for each overfull
//! destination), choose the entry point once, and make sure that every node can be reached
//! (`connect`). `insert` extends a graph by chunks with the same primitives. `plan` picks.

mod all_pairs;
mod candidates;
mod connect;
mod duplicates;
mod insert;
mod levels;
mod link;
mod near;
mod partition;
mod plan;

pub(crate) use connect::Growth;
pub use plan::plan;

use std::sync::{Arc, Mutex};

use crate::graph::Graph;
use crate::limits::MAX_ROWS;
use crate::params::{BuildParams, Strategy};
use crate::progress::{Observer, Workers, check_canceled};
use crate::space::Space;
use crate::stored::StoredVectors;
use crate::{Error, Metric, Vectors};
use candidates::Candidates;
use link::{Linker, Members};

/// What a build made.
#[derive(Clone, Debug)]
pub struct Build {
    /// The graph; its nodes are in an order of their own.
    pub graph: Graph,
    /// The row of the input that each node came from.
    pub order: Vec<u32>,
    /// What it cost.
    pub stats: BuildStats,
}

/// What a build cost, in figures that do not depend on the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildStats {
    /// The strategy that was used.
    pub strategy: Strategy,
    /// Pairs of rows whose distance was computed, by tiles or one by one.
    pub distance_computations: u64,
    /// Those of them that were products of rows rounded to bytes.
    pub byte_distances: u64,
    /// The multiply-adds of those products: tiles may compare long rows in few dimensions.
    pub byte_multiply_adds: u64,
    /// Rows that are byte for byte equal to an earlier one.
    pub duplicates: usize,
    /// Nodes that no walk reached before a link was added for them.
    pub reconnected: usize,
}

impl BuildStats {
    fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            distance_computations: 0,
            byte_distances: 0,
            byte_multiply_adds: 0,
            duplicates: 0,
            reconnected: 0,
        }
    }

    fn add(&mut self, computed: Computed) {
        self.distance_computations += computed.values + computed.bytes;
        self.byte_distances += computed.bytes;
        self.byte_multiply_adds += computed.byte_multiply_adds;
    }
}

/// Distances computed, by the kind of product that they took.
#[derive(Clone, Copy, Debug, Default)]
struct Computed {
    values: u64,
    bytes: u64,
    byte_multiply_adds: u64,
}

impl Computed {
    fn values(values: u64) -> Self {
        Self { values, ..Self::default() }
    }

    /// Products of rows of `depth` bytes.
    fn bytes(bytes: u64, depth: usize) -> Self {
        Self { values: 0, bytes, byte_multiply_adds: bytes * depth as u64 }
    }

    /// Distances that a ruler measured: by codes where there are some, but for few nodes.
    fn by_ruler(space: &Space, count: u64) -> Self {
        match space.codes() {
            Some(codes) => Self::bytes(count, codes.depth()),
            None => Self::values(count),
        }
    }
}

impl std::iter::Sum for Computed {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |sum, part| Self {
            values: sum.values + part.values,
            bytes: sum.bytes + part.bytes,
            byte_multiply_adds: sum.byte_multiply_adds + part.byte_multiply_adds,
        })
    }
}

/// Builds the graph of `vectors`, on the threads of `workers`.
///
/// # Errors
/// [`Error::InvalidParameter`], [`Error::ZeroVector`] under cosine, [`Error::TooManyRows`],
/// [`Error::Canceled`] when the observer asks.
pub fn build(
    vectors: Vectors,
    metric: Metric,
    params: &BuildParams,
    workers: &Workers,
    observer: &dyn Observer,
) -> Result<Build, Error> {
    check(vectors.len(), params)?;
    build_in(Space::new(metric, vectors)?, params, workers, observer)
}

/// Builds the graph of rows that are kept elsewhere and stay there, where walks read codes; else
/// they are copied. It is the same graph.
///
/// # Errors
/// As [`build`].
pub fn build_stored(
    rows: &StoredVectors,
    metric: Metric,
    params: &BuildParams,
    workers: &Workers,
    observer: &dyn Observer,
) -> Result<Build, Error> {
    check(rows.len(), params)?;
    build_in(Space::over(metric, rows)?, params, workers, observer)
}

fn check(rows: usize, params: &BuildParams) -> Result<(), Error> {
    params.validate()?;
    if rows > MAX_ROWS { Err(Error::TooManyRows { rows }) } else { Ok(()) }
}

fn build_in(
    space: Space,
    params: &BuildParams,
    workers: &Workers,
    observer: &dyn Observer,
) -> Result<Build, Error> {
    match plan(space.len(), params.strategy) {
        Strategy::Insert { chunk } => insert::build(space, chunk, params, (workers, observer)),
        strategy => workers.run(|| Bulk { params, strategy, observer }.build(space)),
    }
}

/// A build of everything at once.
struct Bulk<'a> {
    params: &'a BuildParams,
    strategy: Strategy,
    observer: &'a dyn Observer,
}

impl Bulk<'_> {
    fn build(&self, mut space: Space) -> Result<Build, Error> {
        let mut stats = BuildStats::new(self.strategy);
        let mut groups = duplicates::find(&space);
        stats.duplicates = groups.duplicates.len();
        space.encode();
        if self.strategy == Strategy::Partition {
            space.make_sketch();
        }
        let (candidates, order) = self.candidates(&mut space, &mut groups, &mut stats)?;
        let unique = space.len() - groups.duplicates.len();
        let levels = levels::draw(unique, space.len(), self.params);
        let mut linker = Linker::new(self.params, self.observer);
        let members = Members::All(unique);
        let choice = linker.choose(&space, (0, &members), candidates)?;
        // Only now: the lists take room that the candidates have given up.
        let mut graph = Graph::unlinked(space, &levels, self.params);
        linker.link(&graph, (0, &members), choice);
        self.link_upper(&graph, &levels[..unique], &mut linker, &mut stats)?;
        stats.add(Computed::by_ruler(&graph.space, linker.computed()));
        graph.space.drop_sketch();
        graph.entry_point = levels::entry_point(&graph, &levels);
        groups.link(&graph);
        graph.drop_blurred_codes();
        let growth = connect::connect(&graph, &mut stats, self.observer);
        graph.growth = Arc::new(Mutex::new(growth));
        Ok(Build { graph, order, stats })
    }

    /// The candidates of level 0 and the order of the nodes: rows that are near each other lie
    /// near each other, duplicates last. The rows are moved into that order.
    fn candidates(
        &self,
        space: &mut Space,
        groups: &mut duplicates::Groups,
        stats: &mut BuildStats,
    ) -> Result<(Candidates, Vec<u32>), Error> {
        let unique = groups.unique_rows(space.len());
        let partition = match self.strategy {
            Strategy::Partition => {
                Some(partition::Partition::of(space, unique.clone(), self.params, self.observer)?)
            }
            _ => None,
        };
        let mut order = partition.as_ref().map_or(unique, partition::Partition::order);
        groups.append_to(&mut order);
        space.permute(&order);
        let unique = Members::All(order.len() - groups.duplicates.len());
        let candidates = match partition {
            Some(partition) => {
                stats.add(partition.computed());
                partition.candidates(space, (&unique, &order), self.observer)?
            }
            None => all_pairs::candidates(space, &unique, self.observer)?,
        };
        stats.add(candidates.computed);
        Ok((candidates, order))
    }

    /// Links each level above 0 by the same routine over its members.
    fn link_upper(
        &self,
        graph: &Graph,
        levels: &[u8],
        linker: &mut Linker<'_>,
        stats: &mut BuildStats,
    ) -> Result<(), Error> {
        for level in 1..=levels.iter().copied().max().unwrap_or(0) {
            check_canceled(self.observer)?;
            let members = Members::Some(levels::members(levels, level));
            let candidates = self.upper_candidates(&graph.space, &members, stats)?;
            let choice = linker.choose(&graph.space, (level, &members), candidates)?;
            linker.link(graph, (level, &members), choice);
        }
        Ok(())
    }

    fn upper_candidates(
        &self,
        space: &Space,
        members: &Members,
        stats: &mut BuildStats,
    ) -> Result<Candidates, Error> {
        let candidates = match plan(members.len(), Strategy::Auto) {
            Strategy::Partition => {
                let nodes = (0..members.len()).map(|place| members.node(place)).collect();
                let partition = partition::Partition::of(space, nodes, self.params, &())?;
                stats.add(partition.computed());
                partition.candidates_in_place(space, members)?
            }
            _ => all_pairs::candidates(space, members, &())?,
        };
        stats.add(candidates.computed);
        Ok(candidates)
    }
}
