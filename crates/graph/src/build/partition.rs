//! Candidates from overlapping partitions: "pick in partitions" (`PiPNN`, arXiv:2602.21247).
//!
//! Random rows of a cell become leaders, each row joins its few nearest leaders, and the cells
//! that arise are split again until they are small. Rows that are near each other share several
//! leaves. Within a leaf all pairs are computed by tiles, and the nearest few of each row become
//! its candidates: nothing is searched.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::Computed;
use super::candidates::{Candidates, Lists};
use super::link::Members;
use super::near::{Leaders, NearWork, Rows};
use crate::Error;
use crate::params::BuildParams;
use crate::progress::{Observer, Phase, check_canceled};
use crate::random::{Random, hash};
use crate::space::Space;

/// The most rows of a leaf (`C_max` in the paper).
const LEAF_ROWS: usize = 384;

/// Smaller leaves are joined (`C_min` in the paper).
const MIN_LEAF_ROWS: usize = 64;

/// The size that leaders are chosen for: leaves of very different sizes come of it.
const TARGET_ROWS: usize = 192;

/// Leaders that a row joins, by depth; one below.
const FAN_OUT: [usize; 2] = [7, 2];

/// The most leaders of a cell: more would make the first assignment dominate.
const MAX_LEADERS: usize = 500;

/// Nearest rows of each row of a leaf that become its candidates.
const KEEP: usize = 8;

/// A cell that shrinks by less, or that is deeper, is cut at random: its rows are all alike.
const MIN_SHRINK: f64 = 0.8;
const MAX_DEPTH: usize = 10;

/// Rows assigned to leaders together.
const STRIPE_ROWS: usize = 256;

/// What the random choices are for.
const PURPOSE: u64 = 0x0063_656C_6C73;

/// Rows that were found near each other. Each row is at home in one cell and a guest in others.
#[derive(Clone, Debug, Default)]
struct Cell {
    /// The rows, those at home first.
    rows: Vec<u32>,
    home_count: usize,
}

/// Overlapping leaves that cover some rows.
#[derive(Debug)]
pub(super) struct Partition {
    leaves: Vec<Cell>,
    computed: Computed,
}

/// The constant part of the recursion.
struct Splitter<'a> {
    rows: Rows<'a>,
    observer: &'a dyn Observer,
}

impl Partition {
    /// Partitions `rows` of `space`.
    pub(super) fn of(
        space: &Space,
        rows: Vec<u32>,
        params: &BuildParams,
        observer: &dyn Observer,
    ) -> Result<Self, Error> {
        let root = Cell { home_count: rows.len(), rows };
        let seed = hash(params.seed, PURPOSE);
        observer.progress(Phase::Partition, 0, root.rows.len());
        let splitter = Splitter { rows: Rows::of(space), observer };
        let (leaves, computed) = splitter.split(root, 0, seed)?;
        Ok(Self { leaves, computed })
    }

    /// Distances computed to find the leaves.
    pub(super) fn computed(&self) -> Computed {
        self.computed
    }

    /// Every row once, the rows of a leaf together.
    pub(super) fn order(&self) -> Vec<u32> {
        let homes = self.leaves.iter().map(|leaf| &leaf.rows[..leaf.home_count]);
        homes.flatten().copied().collect()
    }

    /// The candidates after the rows were moved into `order`, which begins with [`Self::order`].
    pub(super) fn candidates(
        mut self,
        space: &Space,
        (members, order): (&Members, &[u32]),
        observer: &dyn Observer,
    ) -> Result<Candidates, Error> {
        let mut places = vec![0; space.len()];
        for (place, row) in (0..).zip(order) {
            places[*row as usize] = place;
        }
        let leaves = self.leaves.par_iter_mut().flat_map(|leaf| leaf.rows.par_iter_mut());
        leaves.for_each(|row| *row = places[*row as usize]);
        self.nearest_within_leaves(space, members, observer)
    }

    /// The candidates of `members`, which the rows of the leaves are.
    pub(super) fn candidates_in_place(
        self,
        space: &Space,
        members: &Members,
    ) -> Result<Candidates, Error> {
        self.nearest_within_leaves(space, members, &())
    }

    fn nearest_within_leaves(
        self,
        space: &Space,
        members: &Members,
        observer: &dyn Observer,
    ) -> Result<Candidates, Error> {
        let lists = self.leaves.iter().map(|leaf| leaf.rows.len()).sum();
        let mut candidates = Candidates::new(lists, KEEP, self.lists(members));
        let mut rest = candidates.slots();
        let mut tasks = Vec::with_capacity(self.leaves.len());
        for leaf in &self.leaves {
            let (slots, behind) = rest.split_at_mut(leaf.rows.len() * KEEP);
            tasks.push((leaf, slots));
            rest = behind;
        }
        let (finished, total) = (AtomicUsize::new(0), tasks.len());
        observer.progress(Phase::Candidates, 0, total);
        let computed = tasks.into_par_iter().map_init(
            || NearWork::new(space),
            |work, (leaf, slots)| {
                check_canceled(observer)?;
                let computed = work.within(Rows::of(space), &leaf.rows, KEEP, |row, near| {
                    for (slot, near) in slots[row * KEEP..].iter_mut().zip(near) {
                        *slot = leaf.rows[near.node() as usize];
                    }
                });
                let finished = finished.fetch_add(1, Ordering::Relaxed) + 1;
                observer.progress(Phase::Candidates, finished, total);
                Ok(computed)
            },
        );
        let computed: Vec<Computed> = computed.collect::<Result<_, Error>>()?;
        candidates.computed = computed.into_iter().sum();
        Ok(candidates)
    }

    /// Which lists, counted over the rows of all leaves, belong to which member.
    fn lists(&self, members: &Members) -> Lists {
        let nodes = || self.leaves.iter().flat_map(|leaf| leaf.rows.iter());
        let mut starts = vec![0_u32; members.len() + 1];
        for node in nodes() {
            starts[members.place(*node) + 1] += 1;
        }
        for place in 1..starts.len() {
            starts[place] += starts[place - 1];
        }
        let mut lists = vec![0; starts[members.len()] as usize];
        for (list, node) in (0..).zip(nodes()) {
            let next = &mut starts[members.place(*node)];
            lists[*next as usize] = list;
            *next += 1;
        }
        starts.pop();
        Lists::Many { ends: starts, lists }
    }
}

impl Splitter<'_> {
    /// Splits a cell into leaves, and counts the distances that it took.
    fn split(&self, cell: Cell, depth: usize, seed: u64) -> Result<(Vec<Cell>, Computed), Error> {
        check_canceled(self.observer)?;
        if cell.rows.len() <= LEAF_ROWS {
            return Ok((vec![cell], Computed::default()));
        }
        if depth == MAX_DEPTH {
            return Ok((cut_at_random(&cell, seed), Computed::default()));
        }
        let rows = cell.rows.len();
        let (children, computed) = self.children(&cell, depth, seed);
        drop(cell);
        let parts: Vec<_> = children
            .into_par_iter()
            .enumerate()
            .map(|(index, child)| {
                let seed = hash(seed, index as u64);
                let shrink = child.rows.len() as f64 / rows as f64;
                if child.rows.len() > LEAF_ROWS && shrink > MIN_SHRINK {
                    return Ok((cut_at_random(&child, seed), Computed::default()));
                }
                self.split(child, depth + 1, seed)
            })
            .collect::<Result<_, Error>>()?;
        let below = parts.iter().map(|(_, computed)| *computed);
        let total = below.chain([computed]).sum();
        Ok((parts.into_iter().flat_map(|(leaves, _)| leaves).collect(), total))
    }

    /// Lets each row of a cell join its nearest leaders.
    fn children(&self, cell: &Cell, depth: usize, seed: u64) -> (Vec<Cell>, Computed) {
        let rows = cell.rows.len();
        let fan_out = FAN_OUT.get(depth).copied().unwrap_or(1);
        let wanted = (rows * fan_out).div_ceil(TARGET_ROWS);
        let leaders = wanted.clamp(2 * fan_out, MAX_LEADERS).min(rows);
        let leaders = Random::new(seed, 0).sample(leaders, rows);
        let leaders: Vec<u32> = leaders.iter().map(|place| cell.rows[*place as usize]).collect();
        let (joined, computed) = self.nearest_leaders(cell, &leaders, fan_out, depth);
        (join_small(joined_cells(cell, &joined, leaders.len()).into_iter()), computed)
    }

    /// The `fan_out` nearest leaders of each row of a cell, nearest first.
    fn nearest_leaders(
        &self,
        cell: &Cell,
        leaders: &[u32],
        fan_out: usize,
        depth: usize,
    ) -> (Vec<u32>, Computed) {
        let leaders = Leaders::new(self.rows, leaders);
        let mut joined = vec![0; cell.rows.len() * fan_out];
        let stripes = cell.rows.par_chunks(STRIPE_ROWS);
        let (finished, total) = (AtomicUsize::new(0), stripes.len());
        let stripes = stripes.zip(joined.par_chunks_mut(STRIPE_ROWS * fan_out));
        let computed = stripes.map_init(
            || NearWork::new(self.rows.space),
            |work, (rows, joined)| {
                let computed = work.among(&leaders, rows, fan_out, |row, near| {
                    for (leader, near) in joined[row * fan_out..].iter_mut().zip(near) {
                        *leader = near.node();
                    }
                });
                if depth == 0 {
                    let finished = finished.fetch_add(1, Ordering::Relaxed) + 1;
                    self.observer.progress(Phase::Partition, finished, total);
                }
                computed
            },
        );
        let computed = computed.collect::<Vec<_>>().into_iter().sum();
        (joined, computed)
    }
}

/// The cell of each leader, given the leaders that each row of a cell joins, nearest first.
fn joined_cells(cell: &Cell, joined: &[u32], leaders: usize) -> Vec<Cell> {
    let fan_out = joined.len() / cell.rows.len();
    let mut sizes = vec![0; leaders];
    for leader in joined {
        sizes[*leader as usize] += 1;
    }
    // Leaves live until all candidates are found: none keeps room that it does not need.
    let cell_of = |size| Cell { rows: Vec::with_capacity(size), home_count: 0 };
    let mut cells: Vec<Cell> = sizes.into_iter().map(cell_of).collect();
    let at_home = joined.chunks(fan_out).zip(&cell.rows).take(cell.home_count);
    for (joined, row) in at_home {
        let home = &mut cells[joined[0] as usize];
        home.rows.push(*row);
        home.home_count += 1;
    }
    for (place, (joined, row)) in joined.chunks(fan_out).zip(&cell.rows).enumerate() {
        let homes = usize::from(place < cell.home_count);
        for leader in &joined[homes..] {
            cells[*leader as usize].rows.push(*row);
        }
    }
    cells
}

/// Joins small cells, in order, until they are worth a tile.
fn join_small(cells: impl Iterator<Item = Cell>) -> Vec<Cell> {
    let mut joined: Vec<Cell> = Vec::new();
    let mut small = Cell::default();
    for cell in cells {
        if cell.rows.len() >= MIN_LEAF_ROWS {
            joined.push(cell);
            continue;
        }
        small = join(&small, &cell);
        if small.rows.len() >= MIN_LEAF_ROWS {
            joined.push(std::mem::take(&mut small));
        }
    }
    match joined.last_mut() {
        Some(last) if small.rows.len() < MIN_LEAF_ROWS => {
            *last = join(last, &small);
        }
        _ => joined.push(small),
    }
    joined
}

/// One cell of the rows of two, each row once: at home if it was in either.
fn join(left: &Cell, right: &Cell) -> Cell {
    let (left_homes, left_guests) = left.rows.split_at(left.home_count);
    let (right_homes, right_guests) = right.rows.split_at(right.home_count);
    let mut rows = [left_homes, right_homes].concat();
    let home_count = rows.len();
    let mut homes = rows.clone();
    homes.sort_unstable();
    let mut guests = [left_guests, right_guests].concat();
    guests.sort_unstable();
    guests.dedup();
    guests.retain(|row| homes.binary_search(row).is_err());
    rows.append(&mut guests);
    Cell { rows, home_count }
}

/// Leaves of rows that cannot be told apart by their distances.
fn cut_at_random(cell: &Cell, seed: u64) -> Vec<Cell> {
    let rows = cell.rows.len();
    let shuffled = Random::new(seed, 1).sample(rows, rows);
    let leaf = |places: &[u32]| {
        let is_home = |place: &&u32| (**place as usize) < cell.home_count;
        let (homes, guests): (Vec<&u32>, Vec<&u32>) = places.iter().partition(is_home);
        let rows = homes.iter().chain(&guests).map(|place| cell.rows[**place as usize]);
        Cell { rows: rows.collect(), home_count: homes.len() }
    };
    shuffled.chunks(LEAF_ROWS).map(leaf).collect()
}
