//! A graph as plain arrays and back, with every check that a search relies on.

use std::ops::Range;

use super::{Graph, GraphParts, Tower};
use crate::limits::{MAX_LEVEL, MAX_M, MAX_ROWS};
use crate::params::BuildParams;
use crate::space::Space;
use crate::stored::StoredRows;
use crate::{Error, Metric, Vectors, Workers};

/// Lists that one thread looks at together.
const PIECE_LISTS: usize = 1 << 12;

/// Words of the map that most lists are cleared by.
const MAP_WORDS: usize = 64;

impl Graph {
    /// The graph as plain arrays, without the rows.
    pub fn to_parts(&self) -> GraphParts {
        let nodes = 0..self.len() as u32;
        let mut parts = GraphParts {
            m: self.m,
            seed: self.seed,
            entry_point: self.entry_point,
            levels: nodes.clone().map(|node| self.level(node)).collect(),
            ..GraphParts::default()
        };
        let level_0 = nodes.clone().map(|node| (node, 0));
        let above = nodes.flat_map(|node| (1..=self.level(node)).map(move |level| (node, level)));
        for (node, level) in level_0.chain(above) {
            let before = parts.links.len();
            parts.links.extend(self.neighbors(node, level));
            parts.degrees.push((parts.links.len() - before) as u16);
        }
        parts
    }

    /// The graph of `parts` over `vectors`, the rows in the order of the nodes.
    ///
    /// # Errors
    /// [`Error::InvalidGraph`] with the first contradiction, so that no search can go astray in a
    /// damaged graph; the errors of vectors.
    pub fn from_parts(parts: &GraphParts, vectors: Vectors, metric: Metric) -> Result<Self, Error> {
        let workers = Workers::new(0)?;
        validate(parts, vectors.len(), &workers)?;
        let mut graph = Self::linked(parts, Space::new(metric, vectors)?, &workers);
        workers.run(|| graph.space.encode());
        graph.drop_blurred_codes();
        Ok(graph)
    }

    /// The graph of `parts` over rows that are kept elsewhere. With their codes they stay there;
    /// else walks read values, which are copied into the order of the nodes.
    ///
    /// # Errors
    /// As [`Self::from_parts`].
    pub fn from_stored(
        parts: &GraphParts,
        rows: &StoredRows,
        metric: Metric,
        workers: &Workers,
    ) -> Result<Self, Error> {
        let nodes = parts.levels.len();
        check(nodes <= rows.vectors.len(), || {
            format!("{nodes} nodes over {} rows", rows.vectors.len())
        })?;
        let Some(codes) = &rows.codes else {
            let ordered = rows.vectors.in_order(&rows.order);
            let mut vectors = Vectors::with_capacity(rows.vectors.dim(), nodes)?;
            (0..nodes).try_for_each(|node| vectors.push_rows(ordered.row(node)))?;
            return Self::from_parts(parts, vectors, metric);
        };
        validate(parts, nodes, workers)?;
        let space = Space::stored(metric, rows, nodes, codes)?;
        Ok(Self::linked(parts, space, workers))
    }

    /// The graph of valid parts over the rows of a space.
    fn linked(parts: &GraphParts, space: Space, workers: &Workers) -> Self {
        let params = BuildParams { m: parts.m, seed: parts.seed, ..BuildParams::default() };
        let mut graph = Self::unlinked(space, &parts.levels, &params);
        graph.entry_point = parts.entry_point;
        let nodes = parts.levels.len();
        workers.map(&parts.pieces(), |piece| {
            for (list, links) in parts.lists(piece) {
                let (table, list) = match list.checked_sub(nodes) {
                    None => (&graph.links, list),
                    Some(upper) => (&graph.upper, upper),
                };
                table.set(list, links.iter().copied());
            }
        });
        graph
    }
}

/// Some lists that follow each other, and where the links of the first begin.
struct Piece {
    lists: Range<usize>,
    first_link: usize,
}

impl GraphParts {
    /// Whether these are the parts of a graph over `rows` rows, as far as a search relies on it.
    ///
    /// # Errors
    /// [`Error::InvalidGraph`] with the first contradiction.
    pub fn validate(&self, rows: usize) -> Result<(), Error> {
        check_shape(self, rows)?;
        validate_links(self, &Piece { lists: 0..self.degrees.len(), first_link: 0 })
    }

    /// All lists, in pieces for the threads.
    fn pieces(&self) -> Vec<Piece> {
        let mut first_link = 0;
        let pieces = self.degrees.chunks(PIECE_LISTS).enumerate();
        let piece = |(piece, degrees): (usize, &[u16])| {
            let first = piece * PIECE_LISTS;
            let piece = Piece { lists: first..first + degrees.len(), first_link };
            first_link += degrees.iter().map(|degree| usize::from(*degree)).sum::<usize>();
            piece
        };
        pieces.map(piece).collect()
    }

    /// Lists with their links.
    fn lists(&self, piece: &Piece) -> impl Iterator<Item = (usize, &[u32])> {
        let mut rest = &self.links[piece.first_link..];
        piece.lists.clone().map(move |list| {
            let (links, behind) = rest.split_at(usize::from(self.degrees[list]));
            rest = behind;
            (list, links)
        })
    }

    /// The node and the level of each list above level 0.
    fn upper_lists(&self) -> Vec<(u32, u8)> {
        let nodes = (0_u32..).zip(&self.levels);
        nodes.flat_map(|(node, top)| (1..=*top).map(move |level| (node, level))).collect()
    }

    /// The number of nodes that no walk on level 0 from the entry point reaches: 0 for every graph
    /// that was built here. The parts must be valid.
    ///
    /// # Panics
    /// When they are not.
    pub fn unreachable_count(&self) -> usize {
        let nodes = self.levels.len();
        let mut ends = Vec::with_capacity(nodes + 1);
        ends.push(0);
        ends.extend(self.degrees.iter().take(nodes).scan(0, |end, degree| {
            *end += usize::from(*degree);
            Some(*end)
        }));
        let mut is_reached = vec![false; nodes];
        let mut pending: Vec<u32> = self.entry_point.into_iter().collect();
        let mut count = 0;
        while let Some(node) = pending.pop() {
            let node = node as usize;
            if !std::mem::replace(&mut is_reached[node], true) {
                count += 1;
                let links = &self.links[ends[node]..ends[node + 1]];
                pending.extend(links.iter().filter(|link| !is_reached[**link as usize]));
            }
        }
        nodes - count
    }
}

/// The towers of nodes of given levels.
pub(crate) struct Towers {
    pub towers: Vec<Tower>,
    /// Lists above level 0.
    pub list_count: usize,
}

impl Towers {
    /// Lists are numbered from `first_list` on.
    pub(crate) fn new(levels: &[u8], first_list: usize) -> Self {
        let mut next = first_list;
        let tower = |level: &u8| {
            let tower = Tower { level: *level, first_list: next as u32 };
            next += usize::from(*level);
            tower
        };
        let towers = levels.iter().map(tower).collect();
        Self { towers, list_count: next - first_list }
    }
}

/// Whether the parts are those of a graph over `rows` rows.
fn validate(parts: &GraphParts, rows: usize, workers: &Workers) -> Result<(), Error> {
    check_shape(parts, rows)?;
    workers.map(&parts.pieces(), |piece| validate_links(parts, piece)).into_iter().collect()
}

/// Lengths that fit each other, an entry point, and levels in range.
fn check_shape(parts: &GraphParts, rows: usize) -> Result<(), Error> {
    check(rows <= MAX_ROWS, || format!("{rows} rows are more than {MAX_ROWS}"))?;
    let nodes = parts.levels.len();
    check(nodes == rows, || format!("{nodes} nodes over {rows} rows"))?;
    check((2..=MAX_M).contains(&parts.m), || format!("m = {}", parts.m))?;
    let top = parts.levels.iter().copied().max().unwrap_or(0);
    check(top <= MAX_LEVEL, || format!("level {top} is above {MAX_LEVEL}"))?;
    let lists = nodes + parts.levels.iter().map(|level| usize::from(*level)).sum::<usize>();
    check(parts.degrees.len() == lists, || {
        format!("{} lists where the levels need {lists}", parts.degrees.len())
    })?;
    let links: usize = parts.degrees.iter().map(|degree| usize::from(*degree)).sum();
    check(parts.links.len() == links, || {
        format!("{} links where the degrees add up to {links}", parts.links.len())
    })?;
    validate_entry(parts, top)
}

fn validate_entry(parts: &GraphParts, top: u8) -> Result<(), Error> {
    match parts.entry_point {
        None => check(parts.levels.is_empty(), || "there is no entry point".to_owned()),
        Some(node) => check(parts.levels.get(node as usize) == Some(&top), || {
            format!("the entry point {node} is not on the top level {top}")
        }),
    }
}

/// Degree bound, ids in range, no self link, no link twice, neighbors reach the level.
fn validate_links(parts: &GraphParts, piece: &Piece) -> Result<(), Error> {
    let nodes = parts.levels.len();
    let has_upper = piece.lists.end > nodes;
    let upper = if has_upper { parts.upper_lists() } else { Vec::new() };
    for (list, links) in parts.lists(piece) {
        let (node, level) = match list.checked_sub(nodes) {
            None => (list as u32, 0),
            Some(place) => upper[place],
        };
        let max_degree = if level == 0 { 2 * parts.m } else { parts.m };
        let place = || format!("node {node} on level {level}");
        check(links.len() <= max_degree, || {
            format!("{} has {} links of at most {max_degree}", place(), links.len())
        })?;
        check(!has_twice(links), || format!("{} has a link twice", place()))?;
        for &link in links {
            check(link != node, || format!("{} links to itself", place()))?;
            let reaches = parts.levels.get(link as usize).is_some_and(|top| *top >= level);
            check(reaches, || format!("{} links to {link}, which is not there", place()))?;
        }
    }
    Ok(())
}

/// Whether a link is there twice. Nearly all lists are cleared by a small map, in which links that
/// share a place are rare; the others are sorted.
fn has_twice(links: &[u32]) -> bool {
    let mut map = [0_u64; MAP_WORDS];
    let is_met = |link: &u32| {
        let word = &mut map[*link as usize / 64 % MAP_WORDS];
        let bit = 1 << (link % 64);
        std::mem::replace(word, *word | bit) & bit != 0
    };
    if !links.iter().any(is_met) {
        return false;
    }
    let mut sorted = links.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}

fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::InvalidGraph { what: what() }) }
}
