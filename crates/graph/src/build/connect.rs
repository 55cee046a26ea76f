//! Every node is reachable from the entry point on level 0: the invariant, and how it is kept.
//!
//! A tree of links spans the graph, rooted at the entry point. A bulk build finds it by one walk
//! and adds a link for each node that the walk missed. Inserts keep it: a new node hangs below
//! one of its neighbors, and a prune never drops a link of the tree.

use crate::graph::Graph;
use crate::progress::{Observer, Phase};
use crate::random::Random;
use crate::search::{ByValues, Scratch};

use super::BuildStats;

/// No parent: the root, or a node that is not in the tree yet.
const NONE: u32 = u32::MAX;

/// Beam width of the search for a node that an unreached one can hang below.
const ANCHOR_EF: usize = 64;

/// The tree that spans a graph, for inserts.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    /// The place of each node in the tree; empty while it is not known.
    places: Vec<Place>,
    /// The number of nodes of the newest version.
    pub(super) newest: usize,
}

/// Where a node hangs, and what hangs below it: the children are a list.
#[derive(Clone, Copy, Debug)]
struct Place {
    parent: u32,
    first_child: u32,
    next_sibling: u32,
    child_count: u32,
}

impl Place {
    const OUTSIDE: Self =
        Self { parent: NONE, first_child: NONE, next_sibling: NONE, child_count: 0 };
}

impl Growth {
    /// The tree of a graph of `nodes` nodes that was loaded, to be found when it is needed.
    pub(crate) fn unknown(nodes: usize) -> Self {
        Self { newest: nodes, ..Self::default() }
    }

    /// Whether the tree still has to be found.
    pub(super) fn is_unknown(&self) -> bool {
        self.places.len() < self.newest
    }

    /// Makes room for more nodes, outside of the tree for now.
    pub(super) fn grow(&mut self, nodes: usize) {
        self.places.resize(nodes, Place::OUTSIDE);
    }

    /// Whether `child` hangs below `parent`.
    pub(super) fn is_child(&self, child: u32, parent: u32) -> bool {
        self.places[child as usize].parent == parent
    }

    pub(super) fn child_count(&self, node: u32) -> usize {
        self.places[node as usize].child_count as usize
    }

    fn children(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        let present = |child: u32| (child != NONE).then_some(child);
        let next = move |child: &u32| present(self.places[*child as usize].next_sibling);
        std::iter::successors(present(self.places[node as usize].first_child), next)
    }

    /// Hangs `child` below `parent`.
    pub(super) fn hang(&mut self, child: u32, parent: u32) {
        let above = &mut self.places[parent as usize];
        let next_sibling = std::mem::replace(&mut above.first_child, child);
        above.child_count += 1;
        let place = &mut self.places[child as usize];
        (place.parent, place.next_sibling) = (parent, next_sibling);
    }

    /// A node below `node` that has fewer than `limit` children, by way of children that
    /// `is_passed` lets through, chosen at random so that the tree stays flat.
    pub(super) fn descend(
        &self,
        mut node: u32,
        limit: usize,
        random: &mut Random,
        is_passed: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        while self.child_count(node) >= limit {
            let passed = || self.children(node).filter(|child| is_passed(*child));
            let count = passed().count();
            node = passed().nth(random.below(count.max(1)))?;
        }
        Some(node)
    }

    /// Makes `node` the root: the old root hangs below it, and it no longer hangs anywhere.
    pub(super) fn reroot(&mut self, old: u32, node: u32) {
        let place = self.places[node as usize];
        if place.parent != NONE {
            let before = self
                .children(place.parent)
                .find(|child| self.places[*child as usize].next_sibling == node);
            let above = &mut self.places[place.parent as usize];
            above.child_count -= 1;
            match before {
                Some(before) => self.places[before as usize].next_sibling = place.next_sibling,
                None => above.first_child = place.next_sibling,
            }
            self.places[node as usize].parent = NONE;
            self.places[node as usize].next_sibling = NONE;
        }
        self.hang(old, node);
    }
}

/// Finds the spanning tree of a graph, adding links where there is none.
pub(super) fn connect(graph: &Graph, stats: &mut BuildStats, observer: &dyn Observer) -> Growth {
    let nodes = graph.len();
    let mut walk = Walk { graph, reached: vec![false; nodes], growth: Growth::unknown(nodes) };
    walk.growth.grow(nodes);
    let Some(root) = graph.entry_point else { return walk.growth };
    observer.progress(Phase::Connect, 0, nodes);
    walk.from(root, NONE);
    let mut scratch = Scratch::new();
    for node in 0..nodes as u32 {
        if !walk.reached[node as usize] {
            let parent = walk.anchor(node, &mut scratch);
            walk.link(parent, node);
            walk.from(node, parent);
            stats.reconnected += 1;
        }
    }
    stats.distance_computations += scratch.distance_computations();
    observer.progress(Phase::Connect, nodes, nodes);
    walk.growth
}

/// Adds a link on level 0, in place of the last one outside of the tree when the list is full;
/// whether there was one.
pub(super) fn add_link(graph: &Graph, growth: &Growth, from: u32, to: u32) -> bool {
    let list = from as usize;
    if graph.links.push(list, to) {
        return true;
    }
    let mut links: Vec<u32> = graph.links.neighbors(list).collect();
    let Some(dropped) = links.iter().rposition(|link| !growth.is_child(*link, from)) else {
        return false;
    };
    links.remove(dropped);
    links.push(to);
    graph.links.set(list, links.into_iter());
    true
}

struct Walk<'a> {
    graph: &'a Graph,
    reached: Vec<bool>,
    growth: Growth,
}

impl Walk<'_> {
    /// Reaches all that can be reached from `start`, depth first: a node of a deep tree has few
    /// children, so few of its links are fixed.
    fn from(&mut self, start: u32, parent: u32) {
        let mut pending = vec![(start, parent)];
        while let Some((node, parent)) = pending.pop() {
            if std::mem::replace(&mut self.reached[node as usize], true) {
                continue;
            }
            if parent != NONE {
                self.growth.hang(node, parent);
            }
            let neighbors = self.graph.links.neighbors(node as usize);
            let unreached = neighbors.filter(|next| !self.reached[*next as usize]);
            pending.extend(unreached.map(|next| (next, node)));
        }
    }

    /// A reached node near `node` that has a slot for another link.
    fn anchor(&self, node: u32, scratch: &mut Scratch) -> u32 {
        let space = &self.graph.space;
        let target = ByValues { space, query: space.query_of(node) };
        self.graph.search_level_0(&target, ANCHOR_EF, scratch);
        let near = scratch.found.iter().map(|candidate| candidate.node());
        let all = 0..self.graph.len() as u32;
        // A leaf of the tree always has a slot, so the search over all nodes cannot fail.
        near.chain(all)
            .find(|anchor| self.reached[*anchor as usize] && self.has_slot(*anchor))
            .expect("a tree has leaves")
    }

    /// Whether a link can be added without dropping one of the tree.
    fn has_slot(&self, node: u32) -> bool {
        self.growth.child_count(node) < self.graph.links.max_degree()
    }

    /// Adds a link, in place of the last one outside of the tree when the list is full.
    fn link(&self, from: u32, to: u32) {
        let is_linked = add_link(self.graph, &self.growth, from, to);
        assert!(is_linked, "a node with a slot has a link outside of the tree");
    }
}
