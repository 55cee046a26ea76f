//! How a chunk is linked once its neighbors are found: each new node hangs in the tree that spans
//! the graph, then the lists of the new nodes and of their neighbors change.

use std::ops::Range;

use rayon::prelude::*;

use super::PURPOSE;
use super::find::{Chosen, Finder};
use crate::Error;
use crate::build::connect::{Growth, add_link, connect};
use crate::build::duplicates::is_equal;
use crate::build::link::Work;
use crate::build::{BuildStats, Computed, levels};
use crate::candidate::Candidate;
use crate::graph::Graph;
use crate::params::BuildParams;
use crate::progress::{Observer, check_canceled};
use crate::random::Random;

/// How one chunk is linked.
pub(super) struct Chunk<'a> {
    pub params: &'a BuildParams,
    pub observer: &'a dyn Observer,
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
    pub(super) fn link(
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
        let computed = found.iter().map(|task| task.computed).sum();
        stats.add(Computed::by_ruler(&graph.space, computed));
        check_canceled(self.observer)?;
        growth.newest = last;
        growth.grow(last);
        let mut chosen: Vec<Chosen> = found.into_iter().flat_map(|task| task.chosen).collect();
        let mut backlinks = hang(graph, growth, &mut chosen);
        for chosen in &chosen {
            let (table, list) = graph.list(chosen.node, chosen.level);
            table.set(list, chosen.links.iter().map(|link| link.node()));
            if chosen.copy_of.is_some() {
                continue;
            }
            backlinks.extend(chosen.links.iter().map(|link| Backlink {
                level: chosen.level,
                node: link.node(),
                link: Candidate::new(link.distance(), chosen.node),
            }));
        }
        graph.len = last;
        backlinks.extend(raise_entry_point(graph, growth, nodes));
        let computed = apply(graph, growth, backlinks);
        hold(graph, growth, &chosen);
        stats.add(Computed::by_ruler(&graph.space, computed));
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
/// nodes before it are asked, so the tree stays a tree. A copy hangs below another copy, and has
/// no links of its own but the one to it: a walk that finds one of them finds them all.
fn hang(graph: &mut Graph, growth: &mut Growth, chosen: &mut [Chosen]) -> Vec<Backlink> {
    let mut forced = Vec::new();
    for chosen in chosen.iter_mut().filter(|chosen| chosen.level == 0) {
        let node = chosen.node;
        if node == 0 {
            graph.entry_point = Some(0);
            continue;
        }
        let parent = parent(graph, growth, chosen);
        growth.hang(node, parent);
        let distance = graph.space.between(parent, node);
        if chosen.copy_of.is_some() {
            chosen.links = vec![Candidate::new(distance, parent)];
        }
        forced.push(Backlink { level: 0, node: parent, link: Candidate::new(distance, node) });
    }
    forced
}

/// The node that a new node hangs below.
fn parent(graph: &Graph, growth: &Growth, chosen: &Chosen) -> u32 {
    let node = chosen.node;
    let mut random = Random::new(graph.seed ^ PURPOSE, u64::from(node));
    if let Some(copy) = chosen.copy_of {
        let is_copy = |other| is_equal(graph.space.row(node), graph.space.row(other));
        if let Some(copy) = growth.descend(copy, graph.m, &mut random, is_copy) {
            return copy;
        }
        if growth.child_count(copy) < graph.links.max_degree() {
            return copy;
        }
    }
    let before = || chosen.links.iter().map(|link| link.node()).filter(|link| *link < node);
    if let Some(near) = before().find(|near| growth.child_count(*near) < graph.m) {
        return near;
    }
    let near = chosen.copy_of.or_else(|| before().next());
    let near = near.unwrap_or_else(|| random.below(node as usize) as u32);
    growth.descend(near, graph.m, &mut random, |_| true).expect("a tree has leaves")
}

/// Gives new nodes that every node before them dropped a link from the nearest of those: rows far
/// from all others would hang by the one link of the tree, which narrow walks miss. A node before
/// them gives one link at most, so that a cluster that comes at once does not fill its list.
fn hold(graph: &Graph, growth: &Growth, chosen: &[Chosen]) {
    let mut holders: Vec<u32> = Vec::new();
    for chosen in chosen.iter().filter(|chosen| chosen.level == 0 && chosen.copy_of.is_none()) {
        let node = chosen.node;
        let is_held_by = |other: u32| {
            let is_linked = graph.links.neighbors(other as usize).any(|link| link == node);
            is_linked && !growth.is_child(node, other)
        };
        let mut before = chosen.links.iter().map(|link| link.node()).filter(|link| *link < node);
        if before.any(is_held_by) || chosen.nearest.iter().copied().any(is_held_by) {
            continue;
        }
        for near in &chosen.nearest {
            if !holders.contains(near)
                && !growth.is_child(node, *near)
                && add_link(graph, growth, *near, node)
            {
                holders.push(*near);
            }
        }
    }
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
    let ruler = work.measure(&graph.space, node);
    let is_fixed = |link: &Candidate| level == 0 && growth.is_child(link.node(), node);
    work.kept.clear();
    work.kept.extend(work.candidates.iter().copied().filter(is_fixed));
    work.candidates.retain(|link| !is_fixed(link));
    work.select_more(ruler, table.max_degree());
    work.kept.sort_unstable();
    table.set(list, work.kept.iter().map(|link| link.node()));
    std::mem::take(&mut work.computed)
}
