//! Promise: arrays that contradict themselves or their rows are refused by name; whatever is
//! taken for a graph can be searched and extended without a panic.
//!
//! A graph file may be damaged, or made by somebody with a grudge. A link out of range would read
//! past a table, and a neighbor below its level would read the list of another node, so the
//! arrays are checked before the first search, not during it.

mod common;

use std::sync::LazyLock;

use common::check::{check_graph, unreached};
use common::ways::Way;
use common::{WORKERS, params, rows_of, vectors};
use loomdb_graph::{Error, Graph, GraphParts, MAX_LEVEL, MAX_M, Metric, Scratch, Strategy};
use loomdb_testkit::{DataSet, generate};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy as Values, any, prop_oneof, proptest};
use proptest::sample::Index;

const ROWS: usize = 60;

/// The parts of a sound graph of some levels, and its rows in the order of its nodes.
static SOUND: LazyLock<(GraphParts, DataSet)> = LazyLock::new(|| {
    let set = DataSet::new("uniform", 3, generate::uniform(1, ROWS, 3));
    let graph = Way::Build(Strategy::AllPairs).make(&set, Metric::L2, 3).graph;
    let parts = graph.to_parts();
    assert!(parts.levels.iter().any(|level| *level >= 2), "the graph must have levels");
    (parts, rows_of(&graph))
});

fn load(parts: &GraphParts, rows: &DataSet) -> Result<Graph, Error> {
    Graph::from_parts(parts, vectors(rows), Metric::L2)
}

/// The offset in `links` of the list that comes at this place.
fn start_of(parts: &GraphParts, list: usize) -> usize {
    parts.degrees[..list].iter().map(|degree| usize::from(*degree)).sum()
}

/// The list of a node on level 1.
fn list_on_level_1(parts: &GraphParts, node: usize) -> usize {
    let below = parts.levels[..node].iter().map(|level| usize::from(*level)).sum::<usize>();
    parts.levels.len() + below
}

/// Some node of a level with links there.
fn linked_node(parts: &GraphParts, level: u8) -> usize {
    let nodes = 0..parts.levels.len();
    let list = |node| if level == 0 { node } else { list_on_level_1(parts, node) };
    let mut fit =
        nodes.filter(|node| parts.levels[*node] == level && parts.degrees[list(*node)] > 0);
    fit.next_back().expect("the graph has linked nodes on its lower levels")
}

#[track_caller]
fn assert_refused(what: &str, mutate: impl FnOnce(&mut GraphParts)) {
    let (mut parts, rows) = SOUND.clone();
    mutate(&mut parts);
    match load(&parts, &rows) {
        Err(Error::InvalidGraph { what: named }) => {
            assert!(named.contains(what), "{named:?} does not say {what:?}");
        }
        other => panic!("{what}: {:?}", other.map(|graph| graph.len())),
    }
}

#[test]
fn sound_parts_are_taken() {
    let (parts, rows) = SOUND.clone();
    let graph = load(&parts, &rows).unwrap();
    let order: Vec<u32> = (0..ROWS as u32).collect();
    check_graph(&graph, &order, &rows).unwrap();
    let empty = DataSet::new("empty", 3, Vec::new());
    let nothing = GraphParts { m: 2, ..GraphParts::default() };
    assert!(load(&nothing, &empty).unwrap().is_empty());
}

#[test]
fn a_link_out_of_range() {
    for far in [ROWS as u32, u32::MAX - 1, u32::MAX] {
        for level in [0, 1] {
            assert_refused(&format!("links to {far}"), |parts| {
                let node = linked_node(parts, level);
                let list = if level == 0 { node } else { list_on_level_1(parts, node) };
                let place = start_of(parts, list);
                parts.links[place] = far;
            });
        }
    }
}

#[test]
fn a_link_to_itself() {
    assert_refused("links to itself", |parts| {
        let node = linked_node(parts, 0);
        let place = start_of(parts, node);
        parts.links[place] = node as u32;
    });
}

#[test]
fn a_link_twice() {
    assert_refused("a link twice", |parts| {
        let node = parts.degrees.iter().position(|degree| *degree >= 3).unwrap();
        let place = start_of(parts, node);
        parts.links[place + 2] = parts.links[place];
    });
}

#[test]
fn too_many_links() {
    for level in [0, 1] {
        assert_refused("links of at most", |parts| {
            let node = linked_node(parts, level);
            let list = if level == 0 { node } else { list_on_level_1(parts, node) };
            let (start, old) = (start_of(parts, list), usize::from(parts.degrees[list]));
            let max_degree = if level == 0 { 2 * parts.m } else { parts.m };
            let others = (0..ROWS as u32).filter(|other| *other as usize != node);
            let others = others.filter(|other| parts.levels[*other as usize] >= level);
            let links: Vec<u32> = others.take(max_degree + 1).collect();
            assert_eq!(links.len(), max_degree + 1);
            parts.degrees[list] = links.len() as u16;
            parts.links.splice(start..start + old, links);
        });
    }
}

#[test]
fn too_many_or_too_few_lists() {
    assert_refused("lists where the levels need", |parts| parts.degrees.push(0));
    assert_refused("lists where the levels need", |parts| {
        let last = usize::from(parts.degrees.pop().unwrap());
        parts.links.truncate(parts.links.len() - last);
    });
    assert_refused("lists where the levels need", |parts| {
        let node = linked_node(parts, 0);
        parts.levels[node] = 1;
    });
    assert_refused("lists where the levels need", |parts| {
        let node = linked_node(parts, 1);
        parts.levels[node] = 0;
    });
}

#[test]
fn degrees_that_do_not_add_up() {
    assert_refused("the degrees add up to", |parts| parts.links.push(0));
    assert_refused("the degrees add up to", |parts| {
        parts.links.pop();
    });
    assert_refused("the degrees add up to", |parts| parts.links.clear());
    assert_refused("the degrees add up to", |parts| parts.degrees[0] = u16::MAX);
}

#[test]
fn a_level_too_high() {
    for level in [MAX_LEVEL + 1, u8::MAX] {
        assert_refused(&format!("level {level}"), |parts| {
            // With all the lists that the level needs, so that nothing else is wrong.
            let node = linked_node(parts, 0);
            let list = list_on_level_1(parts, node);
            let lists = std::iter::repeat_n(0, usize::from(level));
            parts.degrees.splice(list..list, lists);
            parts.levels[node] = level;
            parts.entry_point = Some(node as u32);
        });
    }
}

#[test]
fn an_entry_point_that_is_missing_or_not_on_top() {
    assert_refused("no entry point", |parts| parts.entry_point = None);
    assert_refused("not on the top level", |parts| parts.entry_point = Some(ROWS as u32));
    assert_refused("not on the top level", |parts| {
        parts.entry_point = Some(linked_node(parts, 0) as u32);
    });
    let (_, rows) = SOUND.clone();
    let entry_to_nothing = GraphParts { m: 2, entry_point: Some(0), ..GraphParts::default() };
    let refused = load(&entry_to_nothing, &rows.slice(0..0));
    assert!(matches!(refused, Err(Error::InvalidGraph { .. })), "{:?}", refused.err());
}

#[test]
fn a_neighbor_below_the_level() {
    assert_refused("which is not there", |parts| {
        let low = linked_node(parts, 0) as u32;
        let place = start_of(parts, list_on_level_1(parts, linked_node(parts, 1)));
        parts.links[place] = low;
    });
}

#[test]
fn an_m_out_of_range() {
    for m in [0, 1, MAX_M + 1, usize::MAX] {
        assert_refused(&format!("m = {m}"), |parts| parts.m = m);
    }
}

#[test]
fn rows_that_are_not_those_of_the_graph() {
    let (parts, rows) = SOUND.clone();
    for wrong in [rows.slice(0..ROWS - 1), rows.slice(0..0)] {
        let refused = load(&parts, &wrong);
        assert!(matches!(refused, Err(Error::InvalidGraph { .. })), "{:?}", refused.err());
    }
    let mut with_zero = rows;
    with_zero.values[..3].fill(0.0);
    let refused = Graph::from_parts(&parts, vectors(&with_zero), Metric::Cosine);
    assert_eq!(refused.err(), Some(Error::ZeroVector { row: 0 }));
}

/// Links that lead nowhere contradict nothing: what is cut off is joined again by an insert.
#[test]
fn an_insert_mends_a_graph_in_pieces() {
    let (mut parts, rows) = SOUND.clone();
    parts.degrees.fill(0);
    parts.links.clear();
    let graph = load(&parts, &rows).unwrap();
    assert_eq!(graph.unreachable_count(), ROWS - 1);
    let more = vectors(&rows.slice(0..5));
    let (next, stats) = graph.insert(&more, &params(3, Strategy::Auto), &WORKERS, &()).unwrap();
    assert_eq!(stats.reconnected, ROWS - 1);
    assert_eq!(unreached(&next.to_parts()), []);
}

/// One change of the arrays; an index is taken modulo the length at hand.
#[derive(Clone, Debug)]
enum Mutation {
    Link(Index, u32),
    SwapLinks(Index, Index),
    Degree(Index, u16),
    MoveLink(Index, Index),
    Level(Index, u8),
    EntryPoint(Option<u32>),
    M(usize),
    PopLink,
    PopList,
    PushLink(u32),
    PushList(u16),
}

impl Mutation {
    fn apply(&self, parts: &mut GraphParts) {
        let (links, degrees) = (&mut parts.links, &mut parts.degrees);
        match self {
            Self::Link(place, link) => *place.get_mut(links) = *link,
            Self::SwapLinks(left, right) => {
                let places = (left.index(links.len()), right.index(links.len()));
                links.swap(places.0, places.1);
            }
            Self::Degree(list, degree) => *list.get_mut(degrees) = *degree,
            Self::MoveLink(from, to) => {
                let from = from.get_mut(degrees);
                let moved = u16::from(*from > 0);
                *from -= moved;
                *to.get_mut(degrees) += moved;
            }
            Self::Level(node, level) => *node.get_mut(&mut parts.levels) = *level,
            Self::EntryPoint(node) => parts.entry_point = *node,
            Self::M(m) => parts.m = *m,
            Self::PopLink => drop(links.pop()),
            Self::PopList => drop(degrees.pop()),
            Self::PushLink(link) => links.push(*link),
            Self::PushList(degree) => degrees.push(*degree),
        }
    }
}

fn mutation() -> impl Values<Value = Mutation> {
    let node = || prop_oneof![0..ROWS as u32 + 2, any::<u32>()];
    let place = any::<Index>;
    prop_oneof![
        6 => (place(), node()).prop_map(|(place, link)| Mutation::Link(place, link)),
        3 => (place(), place()).prop_map(|(left, right)| Mutation::SwapLinks(left, right)),
        3 => (place(), place()).prop_map(|(from, to)| Mutation::MoveLink(from, to)),
        1 => (place(), 0..12_u16).prop_map(|(list, degree)| Mutation::Degree(list, degree)),
        1 => (place(), any::<u8>()).prop_map(|(node, level)| Mutation::Level(node, level)),
        1 => proptest::option::of(node()).prop_map(Mutation::EntryPoint),
        1 => prop_oneof![0..20_usize, any::<usize>()].prop_map(Mutation::M),
        1 => Just(Mutation::PopLink),
        1 => Just(Mutation::PopList),
        1 => node().prop_map(Mutation::PushLink),
        1 => any::<u16>().prop_map(Mutation::PushList),
    ]
}

/// Arrays of a few nodes that are sound in their sums, and otherwise as they come.
fn few_nodes() -> impl Values<Value = GraphParts> {
    let levels = vec(prop_oneof![4 => 0..3_u8, 1 => Just(MAX_LEVEL)], 0..7);
    let lists = levels.prop_flat_map(|levels| {
        let nodes = levels.len();
        let count = nodes + levels.iter().map(|level| usize::from(*level)).sum::<usize>();
        (Just(levels), vec(vec(0..nodes.max(1) as u32, 0..3), count))
    });
    let entry_point = proptest::option::of(0..7_u32);
    (lists, entry_point, 1..4_usize).prop_map(|((levels, lists), entry_point, m)| GraphParts {
        m,
        seed: 1,
        entry_point,
        levels,
        degrees: lists.iter().map(|links| links.len() as u16).collect(),
        links: lists.concat(),
    })
}

/// Refused as a graph, or good for searches and inserts.
fn assert_refused_or_usable(parts: &GraphParts, rows: &DataSet) {
    let graph = match load(parts, rows) {
        Ok(graph) => graph,
        Err(Error::InvalidGraph { .. }) => return,
        Err(other) => panic!("{other}"),
    };
    let mut scratch = Scratch::new();
    for row in rows.rows().take(5) {
        let found = graph.search(row, rows.len(), 1, &mut scratch).unwrap();
        // The way down through the levels may lead to more than the walk on level 0.
        assert!(found.len() >= rows.len() - graph.unreachable_count());
        assert!(found.iter().all(|near| (near.node as usize) < rows.len()));
    }
    let mut all = rows.clone();
    all.values.extend(generate::uniform(2, 5, rows.dim));
    let more = vectors(&all.slice(rows.len()..all.len()));
    let (next, _) = graph.insert(&more, &params(2, Strategy::Auto), &WORKERS, &()).unwrap();
    let order: Vec<u32> = (0..all.len() as u32).collect();
    check_graph(&next, &order, &all).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn mutated_parts_are_refused_or_usable(mutations in vec(mutation(), 1..4)) {
        let (mut parts, rows) = SOUND.clone();
        for mutation in &mutations {
            if !parts.links.is_empty() {
                mutation.apply(&mut parts);
            }
        }
        assert_refused_or_usable(&parts, &rows);
    }

    #[test]
    fn any_few_nodes_are_refused_or_usable(parts in few_nodes()) {
        let values = generate::uniform(3, parts.levels.len(), 2);
        assert_refused_or_usable(&parts, &DataSet::new("few", 2, values));
    }
}
