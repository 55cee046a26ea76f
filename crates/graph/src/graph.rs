//! The graph itself: rows, levels, links, and the questions that it answers.
//!
//! A `Graph` is a version: a clone is cheap, shares rows and links with the others, and never
//! gains nodes. [`Graph::insert`] returns the next version and leaves this one searchable; it
//! changes links in place, which older versions see as far as their nodes go.

pub(crate) mod parts;

use std::sync::{Arc, Mutex};

use rayon::prelude::*;

use crate::blocks::Blocks;
use crate::build::Growth;
use crate::candidate::Candidate;
use crate::coded::ByCodes;
use crate::exact::{Flat, at_row, reported};
use crate::limits::{MAX_EF, MAX_K};
use crate::links::LinkTable;
use crate::params::BuildParams;
use crate::search::{ByValues, Layer, Scratch, Target};
use crate::space::{Query, Space};
use crate::stored::StoredVectors;
use crate::{Error, Metric, Vectors, Workers};
use parts::Towers;

/// Nodes that decide whether codes are sharp enough.
const CHECKED_NODES: usize = 1_024;

/// A version of a hierarchical navigable small-world graph over rows of vectors.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(crate) space: Space,
    /// The number of nodes; the space may hold rows that are not nodes yet.
    pub(crate) len: usize,
    pub(crate) m: usize,
    pub(crate) seed: u64,
    /// The level of each node, and where its lists above level 0 are.
    pub(crate) towers: Blocks<Tower>,
    /// Level 0: the list of a node has the number of the node.
    pub(crate) links: LinkTable,
    /// The levels above: a node has one list for each, one after the other.
    pub(crate) upper: LinkTable,
    /// Where every search starts; nothing only when there are no nodes.
    pub(crate) entry_point: Option<u32>,
    /// What only inserts need to know, shared by all versions.
    pub(crate) growth: Arc<Mutex<Growth>>,
}

/// How high a node reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tower {
    /// The highest level of the node.
    pub level: u8,
    /// Its list on level 1; the list on level `l` is `l - 1` further.
    pub first_list: u32,
}

/// A node and its distance from a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbor {
    /// The number of the node.
    pub node: u32,
    /// Its distance: Euclidean for `l2`, `1 - cos` for `cosine`, the negated product for `ip`.
    pub distance: f32,
}

/// How many links the nodes of a level have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Degrees {
    /// Links of a node on average.
    pub mean: f64,
    /// The most links of a node.
    pub max: usize,
}

/// A graph as plain arrays, for saving and loading; the rows are kept elsewhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GraphParts {
    /// Links of a node on the upper levels; level 0 has twice as many.
    pub m: usize,
    /// Where every random choice came from.
    pub seed: u64,
    /// Where every search starts; nothing only when there are no nodes.
    pub entry_point: Option<u32>,
    /// The highest level of each node.
    pub levels: Vec<u8>,
    /// The number of links of each list: first level 0 in the order of the nodes, then, node by
    /// node, the levels above from 1 up.
    pub degrees: Vec<u16>,
    /// The links of all lists, one after the other.
    pub links: Vec<u32>,
}

impl Graph {
    /// A graph over the rows of `space`, with room for links but none yet.
    pub(crate) fn unlinked(space: Space, levels: &[u8], params: &BuildParams) -> Self {
        let towers = Towers::new(levels, 0);
        Self {
            len: space.len(),
            m: params.m,
            seed: params.seed,
            links: LinkTable::new(params.max_degree(0), space.len()),
            upper: LinkTable::new(params.m, towers.list_count),
            towers: Blocks::new(1, towers.towers.into_iter().collect()),
            entry_point: None,
            growth: Arc::new(Mutex::new(Growth::unknown(space.len()))),
            space,
        }
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The vector length.
    pub fn dim(&self) -> usize {
        self.space.dim()
    }

    /// How distances are measured.
    pub fn metric(&self) -> Metric {
        self.space.metric()
    }

    /// Links of a node on the upper levels; level 0 has twice as many.
    pub fn m(&self) -> usize {
        self.m
    }

    /// The node where every search starts.
    pub fn entry_point(&self) -> Option<u32> {
        self.entry_point
    }

    /// The highest level of a node.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn level(&self, node: u32) -> u8 {
        self.tower(node).level
    }

    /// The vector of a node, as it was given.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn vector(&self, node: u32) -> &[f32] {
        self.space.row(node)
    }

    /// The links of a node on a level, nearest first when the level was built in one batch.
    ///
    /// # Panics
    /// When there is no such node, or when it does not reach the level.
    pub fn neighbors(&self, node: u32, level: u8) -> impl Iterator<Item = u32> + '_ {
        assert!(level <= self.level(node), "node {node} is not on level {level}");
        let (links, list) = self.list(node, level);
        let len = self.len();
        links.neighbors(list).filter(move |neighbor| (*neighbor as usize) < len)
    }

    /// The `k` nearest nodes that a beam of width `ef_search` finds, nearest first, ties by node.
    /// There are `k` whenever the graph has as many nodes.
    ///
    /// # Errors
    /// [`Error::DimMismatch`], [`Error::UnfitValue`], [`Error::ZeroVector`],
    /// [`Error::InvalidParameter`] for `k` or `ef_search`.
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        ef_search: usize,
        scratch: &mut Scratch,
    ) -> Result<Vec<Neighbor>, Error> {
        check_search(k, ef_search)?;
        let query = self.space.query(query)?;
        let found = self.nearest(query, (k, ef_search), |_| true, scratch);
        Ok(reported(self.metric(), &found))
    }

    /// The nearest allowed nodes, at most `k`, nearest first, ties by node. The walk goes through
    /// all nodes, and the answer is what is allowed of the `ef_search` nearest that it finds. So
    /// `k` nodes are as good an answer as that of [`Self::search`], and fewer say that the beam
    /// was too narrow: a node beyond it would be a guess, since a nearer one may never have been
    /// seen.
    ///
    /// # Errors
    /// As [`Self::search`].
    #[allow(clippy::too_many_arguments, reason = "those of `search`, and what is allowed")]
    pub fn search_allowed(
        &self,
        query: &[f32],
        k: usize,
        ef_search: usize,
        is_allowed: impl Fn(u32) -> bool,
        scratch: &mut Scratch,
    ) -> Result<Vec<Neighbor>, Error> {
        check_search(k, ef_search)?;
        let query = self.space.query(query)?;
        let found = self.nearest(query, (k, ef_search), is_allowed, scratch);
        Ok(reported(self.metric(), &found))
    }

    /// The `k` nearest of the allowed nodes among the `ef_search` nearest that a walk finds: on
    /// codes where they are sharp, else on values.
    fn nearest(
        &self,
        query: Query<'_>,
        (k, ef_search): (usize, usize),
        is_allowed: impl Fn(u32) -> bool,
        scratch: &mut Scratch,
    ) -> Vec<Candidate> {
        let ef = ef_search.max(k);
        let is_allowed = |found: &Candidate| is_allowed(found.node());
        let mut code = std::mem::take(&mut scratch.code);
        let target = ByCodes::of_query(&self.space, query, &mut code);
        let by_codes = target.and_then(|target| {
            self.search_level_0(&target, ef, scratch);
            let found = scratch.found.iter().copied().filter(is_allowed);
            let is_sharp = !target.is_blurred(&scratch.found);
            is_sharp.then(|| target.nearest(found, k, &mut scratch.computed))
        });
        scratch.code = code;
        by_codes.unwrap_or_else(|| {
            self.search_level_0(&ByValues { space: &self.space, query }, ef, scratch);
            scratch.found.iter().copied().filter(is_allowed).take(k).collect()
        })
    }

    /// Drops codes whose rounding is not small beside the distances to neighbors: most walks on
    /// them would be in vain.
    pub(crate) fn drop_blurred_codes(&mut self) {
        let Some(codes) = self.space.codes() else { return };
        let step = self.len().div_ceil(CHECKED_NODES).max(1);
        let reach = (0..self.len() as u32).step_by(step).filter_map(|node| {
            let neighbors = self.neighbors(node, 0);
            let distances = neighbors.map(|neighbor| self.space.between(node, neighbor));
            middle(distances.collect())
        });
        let reach = middle(reach.collect());
        let is_sharp =
            reach.is_some_and(|reach| codes.is_sharp_at(codes.in_steps(self.metric(), reach)));
        if !is_sharp {
            self.space.drop_codes();
            self.space.gather();
        }
    }

    /// [`Self::search`] for each row of `queries`, on all threads of `workers`.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn search_many(
        &self,
        queries: &Vectors,
        k: usize,
        ef_search: usize,
        workers: &Workers,
    ) -> Result<Vec<Vec<Neighbor>>, Error> {
        let rows = 0..queries.len();
        workers.run(|| {
            rows.into_par_iter()
                .map_init(Scratch::new, |scratch, row| {
                    let found = self.search(queries.row(row), k, ef_search, scratch);
                    found.map_err(|error| at_row(error, row))
                })
                .collect()
        })
    }

    /// The rows, to be searched exactly; a row has the number of its node.
    pub fn flat(&self) -> Flat {
        Flat::of(self.space.clone())
    }

    /// The same version with its rows where they are kept elsewhere: the first of them are the
    /// nodes, and `order` has the row of each of the first nodes. A graph whose walks read values
    /// keeps them.
    ///
    /// # Errors
    /// [`Error::DimMismatch`].
    ///
    /// # Panics
    /// When there are fewer rows than nodes.
    pub fn moved_to(&self, rows: &StoredVectors, order: &Arc<Vec<u32>>) -> Result<Self, Error> {
        if rows.dim() != self.dim() {
            return Err(Error::DimMismatch { expected: self.dim(), given: rows.dim() });
        }
        let mut next = self.clone();
        if self.space.codes().is_some() {
            next.space = self.space.moved_to(rows.in_order(order).first(self.space.len()))?;
        }
        Ok(next)
    }

    /// An empty table for rows that are to be searched exactly until they are in the graph.
    pub fn flat_behind(&self) -> Flat {
        Flat::of(self.space.emptied().small_blocks())
    }

    /// Bytes of the rows, of their codes and of the links.
    pub fn bytes(&self) -> usize {
        self.space.bytes() + self.link_bytes()
    }

    /// Bytes of the links and levels.
    pub fn link_bytes(&self) -> usize {
        self.links.bytes() + self.upper.bytes() + self.towers.bytes()
    }

    /// How many links the nodes have on level 0.
    pub fn degrees(&self) -> Degrees {
        let degrees = (0..self.len() as u32).map(|node| self.neighbors(node, 0).count());
        let (total, max) =
            degrees.fold((0, 0), |(total, max), degree| (total + degree, max.max(degree)));
        Degrees { mean: total as f64 / self.len().max(1) as f64, max }
    }

    /// The number of nodes that no walk on level 0 from the entry point reaches: 0 unless the
    /// graph is damaged.
    pub fn unreachable_count(&self) -> usize {
        let mut reached = vec![false; self.len()];
        let mut pending: Vec<u32> = self.entry_point.into_iter().collect();
        let mut count = 0;
        while let Some(node) = pending.pop() {
            if !std::mem::replace(&mut reached[node as usize], true) {
                count += 1;
                pending.extend(self.neighbors(node, 0).filter(|next| !reached[*next as usize]));
            }
        }
        self.len() - count
    }

    /// The number of nodes whose codes are not those of their rows: 0 unless they are damaged. All
    /// are made again, which takes about as long as reading the rows.
    pub fn wrong_codes(&self, workers: &Workers) -> usize {
        let Some(codes) = self.space.codes() else { return 0 };
        let is_wrong = |code: &mut Vec<i8>, node: u32| {
            let encoded = codes.encode(self.space.row(node), self.space.scale(node), code);
            code[..] != *codes.code(node) || encoded.norm != codes.norm(node)
        };
        let nodes = (0..self.len() as u32).into_par_iter();
        let wrong = nodes.map_init(Vec::new, is_wrong).filter(|is_wrong| *is_wrong);
        workers.run(|| wrong.count())
    }

    pub(crate) fn tower(&self, node: u32) -> Tower {
        self.towers.row(node as usize)[0]
    }

    /// The table and list that hold the links of a node on a level.
    pub(crate) fn list(&self, node: u32, level: u8) -> (&LinkTable, usize) {
        match level {
            0 => (&self.links, node as usize),
            _ => (&self.upper, self.upper_list(node, level)),
        }
    }

    #[inline]
    pub(crate) fn upper_list(&self, node: u32, level: u8) -> usize {
        self.tower(node).first_list as usize + usize::from(level) - 1
    }

    /// Algorithm 5: descend to level 1 greedily, then a beam on level 0; `scratch.found` are the
    /// `ef` nearest. The entry point is a second start of the beam, so that a beam that is wide
    /// enough reaches every node.
    pub(crate) fn search_level_0(&self, target: &impl Target, ef: usize, scratch: &mut Scratch) {
        let Some(entry) = self.start(target, scratch) else { return };
        for level in (1..=self.level(entry.node())).rev() {
            self.search_level(target, level, 1, scratch);
        }
        scratch.found.push(entry);
        self.search_level(target, 0, ef, scratch);
    }

    /// Makes the entry point the only start of a search.
    pub(crate) fn start(&self, target: &impl Target, scratch: &mut Scratch) -> Option<Candidate> {
        scratch.found.clear();
        let node = self.entry_point?;
        let mut distance = [0.0];
        target.distances(&[node], &mut distance);
        scratch.computed += 1;
        let entry = Candidate::new(distance[0], node);
        scratch.found.push(entry);
        Some(entry)
    }

    /// Replaces the starts in `scratch.found` by the `ef` nearest nodes on `level`.
    pub(crate) fn search_level(
        &self,
        target: &impl Target,
        level: u8,
        ef: usize,
        scratch: &mut Scratch,
    ) {
        let len = self.len();
        if level == 0 {
            let layer = Layer { links: &self.links, list_of: |node| node as usize, len };
            layer.search(target, ef, scratch);
        } else {
            let list_of = |node| self.upper_list(node, level);
            let layer = Layer { links: &self.upper, list_of, len };
            layer.search(target, ef, scratch);
        }
    }
}

/// The one in the middle of some distances.
fn middle(mut distances: Vec<f32>) -> Option<f32> {
    let place = distances.len() / 2;
    if distances.is_empty() {
        return None;
    }
    Some(*distances.select_nth_unstable_by(place, f32::total_cmp).1)
}

/// Whether a search may ask for this.
pub(crate) fn check_search(k: usize, ef_search: usize) -> Result<(), Error> {
    let invalid = |name, given: usize, allowed| {
        Err(Error::InvalidParameter { name, given: given.to_string(), allowed })
    };
    if !(1..=MAX_K).contains(&k) {
        return invalid("k", k, "1 to 10,000");
    }
    if !(1..=MAX_EF).contains(&ef_search) {
        return invalid("ef_search", ef_search, "1 to 100,000");
    }
    Ok(())
}
