//! From candidates to links: one prune for each node, reverse links grouped by destination, one
//! prune for each overfull destination.
//!
//! Both steps read a frozen state and write lists that nobody else writes, so there are no locks
//! and the result does not depend on the number of threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::candidates::Candidates;
use crate::Error;
use crate::candidate::Candidate;
use crate::graph::Graph;
use crate::params::BuildParams;
use crate::progress::{Observer, Phase, check_canceled};
use crate::prune::Pruner;
use crate::random::{Random, hash};
use crate::ruler::Ruler;
use crate::space::Space;
use crate::visited::Visited;

/// Random members that each member considers besides its candidates. One in some hundreds
/// survives the prune; they join clusters that share no near pair.
pub(super) const RANDOM_CANDIDATES: usize = 16;

/// Random members that those of one task share, on levels whose rows do not fit the caches.
const RANDOM_POOL: usize = 256;

/// Up to so many members every row is near enough.
const CACHED_ROWS: usize = 20_000;

/// The most candidates that are looked at, nearest first; random ones behind them are looked at as
/// well.
const MAX_CANDIDATES: usize = 64;

/// Rows that are fetched into the cache while as many are computed.
const FETCH_ROWS: usize = 8;

/// Members that one task links.
const CHUNK: usize = 256;

/// What the random choices are for.
const PURPOSE: u64 = 0x6C69_6E6B;
const POOL_PURPOSE: u64 = 0x706F_6F6C;

/// The nodes of a level, ascending; their places are counted from 0.
#[derive(Clone, Debug)]
pub(super) enum Members {
    /// The nodes below this number.
    All(usize),
    /// These nodes.
    Some(Vec<u32>),
}

impl Members {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::All(count) => *count,
            Self::Some(nodes) => nodes.len(),
        }
    }

    pub(super) fn node(&self, place: usize) -> u32 {
        match self {
            Self::All(_) => place as u32,
            Self::Some(nodes) => nodes[place],
        }
    }

    pub(super) fn place(&self, node: u32) -> usize {
        match self {
            Self::All(_) => node as usize,
            Self::Some(nodes) => nodes.binary_search(&node).expect("links stay on the level"),
        }
    }
}

/// Links the members of levels with each other.
pub(super) struct Linker<'a> {
    params: &'a BuildParams,
    observer: &'a dyn Observer,
    computed: u64,
}

/// A level and its members.
pub(super) type Level<'a> = (u8, &'a Members);

/// The links that the members of a level chose, by chunks.
pub(super) struct Choice(Vec<Chosen>);

/// The links that some members chose, one list after the other.
struct Chosen {
    degrees: Vec<u16>,
    links: Vec<Candidate>,
    computed: u64,
}

/// Memory that the members of one task share.
#[derive(Default)]
pub(super) struct Work {
    pub nodes: Vec<u32>,
    /// The nodes that are candidates, and the one whose candidates they are.
    met: Visited,
    distances: Vec<f32>,
    /// Random members.
    pool: Vec<u32>,
    pub candidates: Vec<Candidate>,
    pub kept: Vec<Candidate>,
    pruner: Pruner,
    /// Distances computed.
    pub computed: u64,
}

impl<'a> Linker<'a> {
    pub(super) fn new(params: &'a BuildParams, observer: &'a dyn Observer) -> Self {
        Self { params, observer, computed: 0 }
    }

    /// Distances computed, those of the candidates not included.
    pub(super) fn computed(&self) -> u64 {
        self.computed
    }

    /// Lets each member of a level choose among its candidates, which are gone then.
    pub(super) fn choose(
        &mut self,
        space: &Space,
        level: Level<'_>,
        candidates: Candidates,
    ) -> Result<Choice, Error> {
        let chosen = self.chosen(space, level, &candidates)?;
        drop(candidates);
        self.computed += chosen.iter().map(|chunk| chunk.computed).sum::<u64>();
        check_canceled(self.observer)?;
        Ok(Choice(chosen))
    }

    /// Writes the lists of a level that has none: what each member chose, and who chose it.
    pub(super) fn link(&mut self, graph: &Graph, level: Level<'_>, choice: Choice) {
        let Choice(chosen) = choice;
        self.start(Phase::Backlinks, level);
        let reverse = Reverse::group(level.1, &chosen);
        self.computed += self.apply(graph, level, &chosen, &reverse);
    }

    /// Tells that a phase begins; the levels above 0 are too small to tell of.
    fn start(&self, phase: Phase, (level, members): Level<'_>) {
        if level == 0 {
            self.observer.progress(phase, 0, members.len());
        }
    }

    fn chosen(
        &self,
        space: &Space,
        (level, members): Level<'_>,
        candidates: &Candidates,
    ) -> Result<Vec<Chosen>, Error> {
        let max_degree = self.params.max_degree(level);
        let finished = AtomicUsize::new(0);
        self.start(Phase::Prune, (level, members));
        let chunks = (0..members.len()).into_par_iter().step_by(CHUNK);
        let choose = |work: &mut Work, first: usize| {
            check_canceled(self.observer)?;
            let places = first..(first + CHUNK).min(members.len());
            let mut chosen =
                Chosen { degrees: Vec::with_capacity(CHUNK), links: Vec::new(), computed: 0 };
            self.draw_pool((level, members), first, &mut work.pool);
            for place in places.clone() {
                candidates.prefetch(place + 1);
                let node = members.node(place);
                work.meet(space.len(), node);
                candidates.of(place, &mut work.met, &mut work.nodes);
                let near = work.nodes.len();
                self.add_random((level, members), place, work);
                let ruler = work.measure(space, node);
                work.drop_far(near);
                work.select(ruler, max_degree);
                chosen.degrees.push(work.kept.len() as u16);
                chosen.links.extend_from_slice(&work.kept);
            }
            chosen.links.shrink_to_fit();
            chosen.computed = std::mem::take(&mut work.computed);
            let finished = finished.fetch_add(places.len(), Ordering::Relaxed) + places.len();
            if level == 0 {
                self.observer.progress(Phase::Prune, finished, members.len());
            }
            Ok(chosen)
        };
        chunks.map_init(Work::default, choose).collect()
    }

    /// Draws the random members that those from `first` on choose from; none when they choose from
    /// all.
    fn draw_pool(&self, (level, members): Level<'_>, first: usize, pool: &mut Vec<u32>) {
        let seed = hash(self.params.seed ^ POOL_PURPOSE, u64::from(level));
        let mut random = Random::new(seed, first as u64);
        pool.clear();
        let count = if members.len() > CACHED_ROWS { RANDOM_POOL } else { 0 };
        pool.extend((0..count).map(|_| members.node(random.below(members.len()))));
    }

    fn add_random(&self, (level, members): Level<'_>, place: usize, work: &mut Work) {
        let seed = hash(self.params.seed ^ PURPOSE, u64::from(level));
        let mut random = Random::new(seed, place as u64);
        for _ in 0..RANDOM_CANDIDATES.min(members.len()) {
            let node = if work.pool.is_empty() {
                members.node(random.below(members.len()))
            } else {
                work.pool[random.below(work.pool.len())]
            };
            if work.met.insert(node) {
                work.nodes.push(node);
            }
        }
    }

    /// Writes the list of every member, and counts the distances that it took.
    fn apply(
        &self,
        graph: &Graph,
        (level, members): Level<'_>,
        chosen: &[Chosen],
        reverse: &Reverse,
    ) -> u64 {
        let max_degree = self.params.max_degree(level);
        let finished = AtomicUsize::new(0);
        let apply = |work: &mut Work, (chunk, chosen): (usize, &Chosen)| {
            let mut links = &chosen.links[..];
            for (place, degree) in (chunk * CHUNK..).zip(&chosen.degrees) {
                let (own, behind) = links.split_at(usize::from(*degree));
                links = behind;
                work.candidates.clear();
                work.candidates.extend_from_slice(own);
                work.join(reverse.of(place));
                if work.candidates.len() > max_degree {
                    let ruler = Ruler::sharp_at(&graph.space, work.candidates.first());
                    work.select(ruler, max_degree);
                    std::mem::swap(&mut work.candidates, &mut work.kept);
                }
                let (table, list) = graph.list(members.node(place), level);
                table.set(list, work.candidates.iter().map(|link| link.node()));
            }
            let finished = finished.fetch_add(1, Ordering::Relaxed) * CHUNK;
            if level == 0 {
                self.observer.progress(Phase::Backlinks, finished, members.len());
            }
            std::mem::take(&mut work.computed)
        };
        chosen.par_iter().enumerate().map_init(Work::default, |work, item| apply(work, item)).sum()
    }
}

impl Work {
    /// Begins the candidates of `node`, one of `nodes` nodes.
    fn meet(&mut self, nodes: usize, node: u32) {
        self.nodes.clear();
        self.met.restart(nodes);
        self.met.insert(node);
    }

    /// Turns the nodes into candidates of `node`, nearest first, and returns the ruler that they
    /// were measured with.
    pub(super) fn measure<'a>(&mut self, space: &'a Space, node: u32) -> Ruler<'a> {
        let coarse = Ruler::coarse(space);
        self.measure_by(coarse, node);
        if !coarse.is_blurred_at(self.candidates.first()) {
            return coarse;
        }
        let sharp = Ruler::sharp(space);
        self.measure_by(sharp, node);
        sharp
    }

    /// Turns the nodes into candidates of `node`, nearest first.
    pub(super) fn measure_by(&mut self, ruler: Ruler<'_>, node: u32) {
        self.distances.clear();
        self.distances.resize(self.nodes.len(), 0.0);
        let mut ahead = self.nodes.chunks(FETCH_ROWS).skip(1);
        let groups = self.nodes.chunks(FETCH_ROWS).zip(self.distances.chunks_mut(FETCH_ROWS));
        for (nodes, distances) in groups {
            ahead.next().into_iter().flatten().for_each(|node| ruler.prefetch(*node));
            ruler.distances(node, nodes, distances);
        }
        self.computed += self.nodes.len() as u64;
        self.candidates.clear();
        let pairs = self.nodes.iter().zip(&self.distances);
        self.candidates.extend(pairs.map(|(node, distance)| Candidate::new(*distance, *node)));
        self.candidates.sort_unstable();
    }

    /// Drops far candidates that are not random; the first `near` of the nodes are not.
    fn drop_far(&mut self, near: usize) {
        let random = &self.nodes[near..];
        let mut rank = 0;
        self.candidates.retain(|candidate| {
            rank += 1;
            rank <= MAX_CANDIDATES || random.contains(&candidate.node())
        });
    }

    /// Keeps the neighbors that the rule selects.
    pub(super) fn select(&mut self, ruler: Ruler<'_>, max_degree: usize) {
        self.kept.clear();
        self.select_more(ruler, max_degree);
    }

    /// Keeps further neighbors that the rule selects beside those that are kept.
    pub(super) fn select_more(&mut self, ruler: Ruler<'_>, max_degree: usize) {
        self.pruner.select(ruler, &self.candidates, max_degree, &mut self.kept);
        self.computed += std::mem::take(&mut self.pruner.computed);
    }

    /// Adds links that are not there yet, and restores the order.
    fn join(&mut self, others: &[Candidate]) {
        let own = self.candidates.len();
        for other in others {
            let is_new = self.candidates[..own].iter().all(|link| link.node() != other.node());
            if is_new {
                self.candidates.push(*other);
            }
        }
        self.candidates.sort_unstable();
    }
}

/// Reverse links grouped by destination.
struct Reverse {
    /// The links to place `p` are `sources[ends[p - 1]..ends[p]]`.
    ends: Vec<u32>,
    sources: Vec<Candidate>,
}

impl Reverse {
    fn group(members: &Members, chosen: &[Chosen]) -> Self {
        let mut starts = vec![0_u32; members.len() + 1];
        for link in chosen.iter().flat_map(|chunk| &chunk.links) {
            starts[members.place(link.node()) + 1] += 1;
        }
        for place in 1..starts.len() {
            starts[place] += starts[place - 1];
        }
        let mut sources = vec![Candidate::LAST; starts[members.len()] as usize];
        for (chunk, chosen) in chosen.iter().enumerate() {
            let mut links = chosen.links.iter();
            for (place, degree) in (chunk * CHUNK..).zip(&chosen.degrees) {
                for link in links.by_ref().take(usize::from(*degree)) {
                    let next = &mut starts[members.place(link.node())];
                    sources[*next as usize] = Candidate::new(link.distance(), members.node(place));
                    *next += 1;
                }
            }
        }
        starts.pop();
        Self { ends: starts, sources }
    }

    fn of(&self, place: usize) -> &[Candidate] {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.sources[start as usize..self.ends[place] as usize]
    }
}
