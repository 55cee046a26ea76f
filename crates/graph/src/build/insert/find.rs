//! The neighbors of the nodes of a chunk: candidates by tiles of a matrix product or by searches,
//! and among each other exactly, then one prune for each node and level.

use std::ops::Range;

use rayon::prelude::*;

use super::PURPOSE;
use crate::build::duplicates::is_equal;
use crate::build::link::{RANDOM_CANDIDATES, Work};
use crate::build::plan;
use crate::candidate::Candidate;
use crate::graph::Graph;
use crate::nearest::Nearest;
use crate::panel::{Panel, Tile, centre};
use crate::params::BuildParams;
use crate::random::Random;
use crate::ruler::Ruler;
use crate::scan;
use crate::search::Scratch;

/// Nearest rows that become candidates when they are found by tiles.
const KEEP: usize = 48;

/// Nearest rows of the same chunk that become candidates beside those of a search.
const KEEP_OF_CHUNK: usize = 16;

/// The nearest nodes that a new node may be held by when no other holds it.
pub(super) const HOLDERS: usize = 12;

/// New rows of a tile.
const GROUP_ROWS: usize = 512;

/// Rows of the graph that a tile holds.
const TILE_ROWS: usize = 512;

/// New rows that one task works on.
const TASK_ROWS: usize = 16;

/// The neighbors that a new node chose on one level.
pub(super) struct Chosen {
    pub node: u32,
    pub level: u8,
    pub links: Vec<Candidate>,
    /// The nearest nodes of the graph, on level 0.
    pub nearest: Vec<u32>,
    /// A node before it with an equal row: then it is the only link, until level 0 finds a better
    /// one.
    pub copy_of: Option<u32>,
}

/// Finds the neighbors of the nodes of a chunk; the graph is frozen meanwhile.
pub(super) struct Finder<'a> {
    graph: &'a Graph,
    params: &'a BuildParams,
    nodes: Range<u32>,
    by_tiles: bool,
    /// Beam width of the searches.
    ef: usize,
    /// The nodes of the chunk that reach above level 0, with their levels.
    high: Vec<(u32, u8)>,
}

/// Memory that the rows of one task share.
#[derive(Default)]
struct FinderWork {
    scratch: Scratch,
    work: Work,
}

impl FinderWork {
    /// Distances computed since this was last asked.
    fn take_computed(&mut self) -> u64 {
        std::mem::take(&mut self.scratch.computed) + std::mem::take(&mut self.work.computed)
    }
}

/// What one task found.
pub(super) struct Found {
    pub chosen: Vec<Chosen>,
    pub computed: u64,
}

impl<'a> Finder<'a> {
    pub(super) fn new(graph: &'a Graph, params: &'a BuildParams, nodes: Range<u32>) -> Self {
        let high = nodes.clone().map(|node| (node, graph.level(node)));
        let high = high.filter(|(_, level)| *level > 0).collect();
        let by_tiles = plan::inserts_by_tiles(nodes.len(), graph.len);
        let ef = plan::insert_ef(nodes.len(), params.ef_construction);
        Self { graph, params, nodes, by_tiles, ef, high }
    }

    pub(super) fn find(&self) -> Vec<Found> {
        let groups: Vec<Range<u32>> = self
            .nodes
            .clone()
            .step_by(GROUP_ROWS)
            .map(|first| first..(first + GROUP_ROWS as u32).min(self.nodes.end))
            .collect();
        groups.into_iter().flat_map(|group| self.find_group(group)).collect()
    }

    /// Some rows of the chunk: first their exact neighbors by tiles, then all that is left.
    fn find_group(&self, group: Range<u32>) -> Vec<Found> {
        let (near, computed) = self.near(group.clone());
        let nodes: Vec<u32> = group.clone().collect();
        let find = |work: &mut FinderWork, nodes: &[u32]| {
            let mut chosen = Vec::with_capacity(nodes.len());
            for node in nodes {
                let near = &near[(node - group.start) as usize];
                self.choose(*node, near, work, &mut chosen);
            }
            Found { chosen, computed: work.take_computed() }
        };
        let tasks = nodes.par_chunks(TASK_ROWS);
        let mut found: Vec<Found> = tasks.map_init(FinderWork::default, find).collect();
        found[0].computed += computed;
        found
    }

    /// The exact nearest of some rows of the chunk: among all nodes, or within the chunk.
    fn near(&self, group: Range<u32>) -> (Vec<Vec<u32>>, u64) {
        let (first, keep) =
            if self.by_tiles { (0, KEEP) } else { (self.nodes.start, KEEP_OF_CHUNK) };
        let others = first..self.nodes.end;
        if self.nodes.len() == 1 {
            return (vec![Vec::new()], 0);
        }
        let space = &self.graph.space;
        let centre = centre(space, group.clone());
        let mut rows = Panel::default();
        rows.fill(space, group.clone(), &centre);
        let empty_lists = || Nearest::new(space.kernels(), group.len(), keep + 1);
        let empty = || (Panel::default(), Tile::default(), empty_lists());
        // One piece for each thread: every piece fills lists of its own from nothing.
        let tiles = others.len().div_ceil(TILE_ROWS);
        let starts = others.clone().into_par_iter().step_by(TILE_ROWS);
        let starts = starts.with_min_len(tiles.div_ceil(rayon::current_num_threads()));
        let offered = starts.fold(empty, |(mut columns, mut tile, mut lists), start| {
            let end = (start + TILE_ROWS as u32).min(others.end);
            columns.fill(space, start..end, &centre);
            tile.compute((&rows, 0..rows.len()), (&columns, 0..columns.len()));
            tile.offer_to_rows(&mut lists, 0, start);
            (columns, tile, lists)
        });
        let lists = offered.map(|(_, _, lists)| lists).reduce_with(|mut left, right| {
            left.merge(right);
            left
        });
        let mut lists = lists.unwrap_or_else(empty_lists);
        let mut computed = group.len() * others.len();
        let mut near_lists = Vec::with_capacity(group.len());
        for (row, node) in group.enumerate() {
            let mut near: Vec<u32> = lists.sorted(row).iter().map(|near| near.node()).collect();
            if rows.is_blurred(row, lists.sorted(row)) {
                let found = scan::nearest(space, &space.query_of(node), others.clone(), keep + 1);
                near = found.iter().map(|near| first + near.node()).collect();
                computed += others.len();
            }
            near.retain(|near| *near != node);
            near.truncate(keep);
            near_lists.push(near);
        }
        (near_lists, computed as u64)
    }

    /// Chooses the neighbors of a new node on each of its levels: by codes, and where they are
    /// blurred by values.
    fn choose(&self, node: u32, near: &[u32], work: &mut FinderWork, chosen: &mut Vec<Chosen>) {
        let (space, before) = (&self.graph.space, chosen.len());
        if !self.choose_by(Ruler::coarse(space), (node, near), work, chosen) {
            chosen.truncate(before);
            self.choose_by(Ruler::sharp(space), (node, near), work, chosen);
        }
    }

    /// Chooses by a ruler; gives up, with `false`, where it is blurred.
    fn choose_by(
        &self,
        ruler: Ruler<'_>,
        (node, near): (u32, &[u32]),
        work: &mut FinderWork,
        chosen: &mut Vec<Chosen>,
    ) -> bool {
        let (graph, own_level) = (self.graph, self.graph.level(node));
        let FinderWork { scratch, work } = work;
        let target = ruler.from(node);
        scratch.found.clear();
        let is_searched = !self.by_tiles || own_level > 0;
        let entry = if is_searched { graph.start(&target, scratch) } else { None };
        let top = entry.map_or(0, |entry| graph.level(entry.node()));
        for level in (1..=top.max(own_level)).rev() {
            let ef = if level > own_level { 1 } else { self.ef };
            if level <= top {
                graph.search_level(&target, level, ef, scratch);
            }
            if level <= own_level {
                let others = self.high.iter().filter(|(_, reached)| *reached >= level);
                work.nodes.clear();
                work.nodes.extend(others.map(|(other, _)| *other).filter(|other| *other != node));
                // Above the top level there are no other nodes than those of the chunk.
                let found = if level <= top { &scratch.found[..] } else { &[] };
                chosen.push(self.select((node, level), ruler, found, work));
            }
        }
        work.nodes.clear();
        work.nodes.extend_from_slice(near);
        if self.by_tiles {
            scratch.found.clear();
        } else {
            graph.search_level(&target, 0, self.ef, scratch);
        }
        if self.nodes.len() > 1 {
            self.add_random(node, &scratch.found, &mut work.nodes);
        }
        let mut of_level_0 = self.select((node, 0), ruler, &scratch.found, work);
        let is_old = |near: &u32| (*near as usize) < graph.len;
        let near = near.iter().copied().filter(is_old);
        let found = scratch.found.iter().map(|found| found.node());
        of_level_0.nearest = if self.by_tiles {
            near.take(HOLDERS).collect()
        } else {
            found.take(HOLDERS).collect()
        };
        chosen.push(of_level_0);
        !ruler.is_blurred_at(work.candidates.first())
    }

    /// Random nodes before `node`, which join clusters that share no near pair.
    fn add_random(&self, node: u32, found: &[Candidate], nodes: &mut Vec<u32>) {
        let mut random = Random::new(self.params.seed ^ PURPOSE, u64::from(node));
        for _ in 0..RANDOM_CANDIDATES.min(node as usize) {
            let other = random.below(node as usize) as u32;
            if !nodes.contains(&other) && found.iter().all(|found| found.node() != other) {
                nodes.push(other);
            }
        }
    }

    /// Selects among the candidates that a search found and the nodes of `work`.
    fn select(
        &self,
        (node, level): (u32, u8),
        ruler: Ruler<'_>,
        found: &[Candidate],
        work: &mut Work,
    ) -> Chosen {
        work.measure_by(ruler, node);
        work.candidates.extend_from_slice(found);
        work.candidates.sort_unstable();
        work.candidates.dedup();
        let copy_of = self.set_copies_aside(node, ruler, &mut work.candidates);
        if let Some(copy) = copy_of {
            let (links, copy_of) = (vec![copy], Some(copy.node()));
            return Chosen { node, level, links, nearest: Vec::new(), copy_of };
        }
        work.select(ruler, self.params.m);
        Chosen { node, level, links: work.kept.clone(), nearest: Vec::new(), copy_of: None }
    }

    /// Removes the nodes whose rows equal that of `node`, which would fill its list; the first of
    /// those before it.
    fn set_copies_aside(
        &self,
        node: u32,
        ruler: Ruler<'_>,
        candidates: &mut Vec<Candidate>,
    ) -> Option<Candidate> {
        let row = self.graph.space.row(node);
        let mut first: Option<Candidate> = None;
        candidates.retain(|candidate| {
            // Most candidates are not worth a look at their values.
            if ruler.tells_apart(*candidate) {
                return true;
            }
            let is_copy = is_equal(row, self.graph.space.row(candidate.node()));
            let is_first = first.is_none_or(|first| candidate.node() < first.node());
            if is_copy && candidate.node() < node && is_first {
                first = Some(*candidate);
            }
            !is_copy
        });
        first
    }
}
