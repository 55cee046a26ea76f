//! Extending a graph by a chunk of rows: all of the chunk at once, against a frozen graph.
//!
//! The nodes of a chunk find their candidates in parallel, by tiles of a matrix product or by
//! searches, and among each other exactly. Then the links change: first the lists of the new
//! nodes, then, grouped by destination, the lists of their neighbors. A chunk of one row is
//! classic insertion (HNSW paper, algorithm 1).

use std::ops::Range;
use std::sync::{Arc, Mutex};

use rayon::prelude::*;

use super::connect::{Growth, connect};
use super::link::{RANDOM_CANDIDATES, Work};
use super::{Build, BuildStats, levels, plan};
use crate::candidate::Candidate;
use crate::graph::Graph;
use crate::graph::parts::Towers;
use crate::nearest::Nearest;
use crate::panel::{Panel, Tile, centre};
use crate::params::{BuildParams, Strategy};
use crate::progress::{Observer, Phase, Workers, check_canceled};
use crate::random::Random;
use crate::search::Scratch;
use crate::space::Space;
use crate::{Error, Metric, Vectors};

/// Nearest rows that become candidates when they are found by tiles.
const KEEP: usize = 48;

/// Nearest rows of the same chunk that become candidates beside those of a search.
const KEEP_OF_CHUNK: usize = 16;

/// New rows of a tile.
const GROUP_ROWS: usize = 512;

/// Rows of the graph that a tile holds.
const TILE_ROWS: usize = 512;

/// New rows that one task works on.
const TASK_ROWS: usize = 16;

/// What the random choices are for.
const PURPOSE: u64 = 0x696E_7365_7274;

/// Builds a graph by chunks from nothing.
pub(super) fn build(
    vectors: Vectors,
    metric: Metric,
    chunk: usize,
    params: &BuildParams,
    (workers, observer): (&Workers, &dyn Observer),
) -> Result<Build, Error> {
    let space = Space::new(metric, vectors)?;
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

/// How one chunk is linked.
struct Chunk<'a> {
    params: &'a BuildParams,
    observer: &'a dyn Observer,
}

/// The neighbors that a new node chose on one level.
struct Chosen {
    node: u32,
    level: u8,
    links: Vec<Candidate>,
}

/// A link that a list has to take up.
struct Backlink {
    level: u8,
    /// Whose list.
    node: u32,
    link: Candidate,
}

impl Chunk<'_> {
    /// Extends `graph` to its first `last` rows.
    fn link(
        &self,
        graph: &mut Graph,
        growth: &mut Growth,
        last: usize,
        stats: &mut BuildStats,
    ) -> Result<(), Error> {
        if growth.is_unknown() {
            *growth = connect(graph, stats, &());
        }
        let nodes = graph.len as u32..last as u32;
        if nodes.is_empty() {
            return Ok(());
        }
        let found = Finder::new(graph, self.params, nodes.clone()).find();
        stats.distance_computations += found.iter().map(|task| task.computed).sum::<u64>();
        check_canceled(self.observer)?;
        growth.newest = last;
        growth.grow(last);
        let chosen: Vec<Chosen> = found.into_iter().flat_map(|task| task.chosen).collect();
        let mut backlinks = hang(graph, growth, &chosen);
        for chosen in &chosen {
            let (table, list) = graph.list(chosen.node, chosen.level);
            table.set(list, chosen.links.iter().map(|link| link.node()));
            backlinks.extend(chosen.links.iter().map(|link| Backlink {
                level: chosen.level,
                node: link.node(),
                link: Candidate::new(link.distance(), chosen.node),
            }));
        }
        graph.len = last;
        backlinks.extend(raise_entry_point(graph, growth, nodes));
        stats.distance_computations += apply(graph, growth, backlinks);
        Ok(())
    }
}

/// Makes a new node that reaches above all others the entry point: the one nearest to the
/// centre if there are several. The old one hangs below it, by the link that is returned.
fn raise_entry_point(
    graph: &mut Graph,
    growth: &mut Growth,
    nodes: Range<u32>,
) -> Option<Backlink> {
    let old = graph.entry_point?;
    let highest = nodes.clone().map(|node| graph.level(node)).max()?;
    if highest <= graph.level(old) {
        return None;
    }
    let highest: Vec<u32> = nodes.filter(|node| graph.level(*node) == highest).collect();
    let new = levels::nearest_to_centre(graph, &highest)?;
    graph.entry_point = Some(new);
    growth.reroot(old, new);
    let link = Candidate::new(graph.space.between(new, old), old);
    Some(Backlink { level: 0, node: new, link })
}

/// Hangs each new node below one of its neighbors, and returns the links that this needs. Only
/// nodes before it are asked, so the tree stays a tree.
fn hang(graph: &mut Graph, growth: &mut Growth, chosen: &[Chosen]) -> Vec<Backlink> {
    let mut forced = Vec::new();
    for chosen in chosen.iter().filter(|chosen| chosen.level == 0) {
        let node = chosen.node;
        if node == 0 {
            graph.entry_point = Some(0);
            continue;
        }
        let before = chosen.links.iter().map(|link| link.node()).filter(|link| *link < node);
        let fallback = Random::new(graph.seed ^ PURPOSE, u64::from(node)).below(node as usize);
        let mut asked = before.chain([fallback as u32]);
        let parent = asked
            .find(|parent| growth.child_count(*parent) < graph.m)
            .or_else(|| growth.descend(graph, fallback as u32))
            .unwrap_or_else(|| growth.any_before(graph, node));
        growth.hang(node, parent);
        let link = Candidate::new(graph.space.between(parent, node), node);
        forced.push(Backlink { level: 0, node: parent, link });
    }
    forced
}

/// Takes up links in the lists of their destinations, one destination at a time, and counts the
/// distances that this takes.
fn apply(graph: &Graph, growth: &Growth, mut backlinks: Vec<Backlink>) -> u64 {
    backlinks.par_sort_unstable_by_key(|backlink| (backlink.level, backlink.node, backlink.link));
    let same_list =
        |left: &Backlink, right: &Backlink| (left.level, left.node) == (right.level, right.node);
    let lists: Vec<&[Backlink]> = backlinks.chunk_by(same_list).collect();
    let take_up = |work: &mut Work, links: &&[Backlink]| take_up(graph, growth, links, work);
    lists.par_iter().with_min_len(16).map_init(Work::default, take_up).sum()
}

/// Takes up links in one list: behind the others while there is room, else by a prune that keeps
/// the links of the tree.
fn take_up(graph: &Graph, growth: &Growth, backlinks: &[Backlink], work: &mut Work) -> u64 {
    let (level, node) = (backlinks[0].level, backlinks[0].node);
    let (table, list) = graph.list(node, level);
    work.nodes.clear();
    work.nodes.extend(table.neighbors(list));
    let old = work.nodes.len();
    for backlink in backlinks {
        if backlink.link.node() != node && !work.nodes.contains(&backlink.link.node()) {
            work.nodes.push(backlink.link.node());
        }
    }
    if work.nodes.len() <= table.max_degree() {
        for link in &work.nodes[old..] {
            table.push(list, *link);
        }
        return 0;
    }
    work.measure(graph, node);
    let is_fixed = |link: &Candidate| level == 0 && growth.is_child(link.node(), node);
    work.kept.clear();
    work.kept.extend(work.candidates.iter().copied().filter(is_fixed));
    work.candidates.retain(|link| !is_fixed(link));
    work.select_more(graph, table.max_degree());
    work.kept.sort_unstable();
    table.set(list, work.kept.iter().map(|link| link.node()));
    std::mem::take(&mut work.computed)
}

/// Finds the neighbors of the nodes of a chunk; the graph is frozen meanwhile.
struct Finder<'a> {
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
struct Found {
    chosen: Vec<Chosen>,
    computed: u64,
}

impl<'a> Finder<'a> {
    fn new(graph: &'a Graph, params: &'a BuildParams, nodes: Range<u32>) -> Self {
        let high = nodes.clone().map(|node| (node, graph.level(node)));
        let high = high.filter(|(_, level)| *level > 0).collect();
        let by_tiles = plan::inserts_by_tiles(nodes.len(), graph.len);
        let ef = plan::insert_ef(nodes.len(), params.ef_construction);
        Self { graph, params, nodes, by_tiles, ef, high }
    }

    fn find(&self) -> Vec<Found> {
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
        rows.fill(space, group.clone(), centre);
        let empty_lists = || Nearest::new(space.kernels(), group.len(), keep + 1);
        let empty = || (Panel::default(), Tile::default(), empty_lists());
        // One piece for each thread: every piece fills lists of its own from nothing.
        let tiles = others.len().div_ceil(TILE_ROWS);
        let starts = others.clone().into_par_iter().step_by(TILE_ROWS);
        let starts = starts.with_min_len(tiles.div_ceil(rayon::current_num_threads()));
        let offered = starts.fold(empty, |(mut columns, mut tile, mut lists), start| {
            let end = (start + TILE_ROWS as u32).min(others.end);
            columns.fill(space, start..end, centre);
            tile.compute((&rows, 0..rows.len()), (&columns, 0..columns.len()));
            tile.offer_to_rows(&mut lists, 0, start);
            (columns, tile, lists)
        });
        let lists = offered.map(|(_, _, lists)| lists).reduce_with(|mut left, right| {
            left.merge(right);
            left
        });
        let mut lists = lists.unwrap_or_else(empty_lists);
        let near = |(row, node): (usize, u32)| {
            let near = lists.sorted(row).iter().map(|near| near.node());
            near.filter(|near| *near != node).take(keep).collect()
        };
        let near = group.clone().enumerate().map(near).collect();
        (near, (group.len() * others.len()) as u64)
    }

    /// Chooses the neighbors of a new node on each of its levels.
    fn choose(&self, node: u32, near: &[u32], work: &mut FinderWork, chosen: &mut Vec<Chosen>) {
        let (graph, own_level) = (self.graph, self.graph.level(node));
        let FinderWork { scratch, work } = work;
        let query = graph.space.query_of(node);
        scratch.found.clear();
        let is_searched = !self.by_tiles || own_level > 0;
        let entry = if is_searched { graph.start(&query, scratch) } else { None };
        let top = entry.map_or(0, |entry| graph.level(entry.node()));
        for level in (1..=top.max(own_level)).rev() {
            let ef = if level > own_level { 1 } else { self.ef };
            if level <= top {
                graph.search_level(&query, level, ef, scratch);
            }
            if level <= own_level {
                let others = self.high.iter().filter(|(_, reached)| *reached >= level);
                work.nodes.clear();
                work.nodes.extend(others.map(|(other, _)| *other).filter(|other| *other != node));
                // Above the top level there are no other nodes than those of the chunk.
                let found = if level <= top { &scratch.found[..] } else { &[] };
                chosen.push(self.select(node, level, found, work));
            }
        }
        work.nodes.clear();
        work.nodes.extend_from_slice(near);
        if self.by_tiles {
            scratch.found.clear();
        } else {
            graph.search_level(&query, 0, self.ef, scratch);
        }
        if self.nodes.len() > 1 {
            self.add_random(node, &scratch.found, &mut work.nodes);
        }
        chosen.push(self.select(node, 0, &scratch.found, work));
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
    fn select(&self, node: u32, level: u8, found: &[Candidate], work: &mut Work) -> Chosen {
        work.measure(self.graph, node);
        work.candidates.extend_from_slice(found);
        work.candidates.sort_unstable();
        work.candidates.dedup();
        work.select(self.graph, self.params.m);
        Chosen { node, level, links: work.kept.clone() }
    }
}
