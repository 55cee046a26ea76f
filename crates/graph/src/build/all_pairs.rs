//! Exact candidates from all pairs of rows.
//!
//! The rows are cut into blocks, and each pair of blocks is a tile of a matrix product. Its
//! distances are offered to the rows of both blocks, so each pair of rows is computed once.
//! Blocks have their own lists behind a lock; what a list keeps does not depend on the order of
//! the tiles.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::Computed;
use super::candidates::{Candidates, Lists};
use super::link::Members;
use crate::Error;
use crate::candidate::Candidate;
use crate::nearest::Nearest;
use crate::panel::{Panel, Tile, centre};
use crate::progress::{Observer, Phase, check_canceled};
use crate::scan;
use crate::space::Space;

/// Nearest rows that become candidates (K in `docs/batch-construction.md`).
const KEEP: usize = 48;

/// Rows of a block: a tile of two blocks fits a usual second-level cache.
const BLOCK_ROWS: usize = 384;

/// The nearest members of each member.
pub(super) fn candidates(
    space: &Space,
    members: &Members,
    observer: &dyn Observer,
) -> Result<Candidates, Error> {
    let rows = members.len();
    let pairs = AllPairs::new(space, members);
    let blocks = rows.div_ceil(BLOCK_ROWS);
    // Diagonal by diagonal, so that neighboring tasks lock different blocks.
    let tiles: Vec<(usize, usize)> =
        (0..blocks).flat_map(|apart| (apart..blocks).map(move |row| (row, row - apart))).collect();
    let finished = AtomicUsize::new(0);
    observer.progress(Phase::Candidates, 0, tiles.len());
    tiles.par_iter().try_for_each_init(Tile::default, |tile, &(row, column)| {
        check_canceled(observer)?;
        pairs.offer(tile, row, column);
        let finished = finished.fetch_add(1, Ordering::Relaxed) + 1;
        observer.progress(Phase::Candidates, finished, tiles.len());
        Ok(())
    })?;
    Ok(pairs.into_candidates(space, members))
}

struct AllPairs {
    panel: Panel,
    /// The nearest of the rows of each block, called by their places.
    blocks: Vec<Mutex<Nearest>>,
}

impl AllPairs {
    fn new(space: &Space, members: &Members) -> Self {
        let rows = members.len();
        let mut panel = Panel::default();
        let nodes = || (0..rows).map(|place| members.node(place));
        panel.fill(space, nodes(), &centre(space, nodes()));
        let lists = |first| {
            let rows = BLOCK_ROWS.min(rows - first);
            Mutex::new(Nearest::new(space.kernels(), rows, KEEP.min(panel.len()).max(1)))
        };
        let blocks = (0..rows).step_by(BLOCK_ROWS).map(lists).collect();
        Self { panel, blocks }
    }

    fn rows(&self, block: usize) -> Range<usize> {
        let first = block * BLOCK_ROWS;
        first..(first + BLOCK_ROWS).min(self.panel.len())
    }

    /// Offers the distances between two blocks, `row` not before `column`, to both.
    fn offer(&self, tile: &mut Tile, row: usize, column: usize) {
        let (rows, columns) = (self.rows(row), self.rows(column));
        let (first_row, first_column) = (rows.start as u32, columns.start as u32);
        tile.compute((&self.panel, rows), (&self.panel, columns));
        // The lower block first, so that no two tasks wait for each other.
        let mut column_lists = lock(&self.blocks[column]);
        if row == column {
            tile.offer_within(&mut column_lists, 0, first_row);
        } else {
            let mut row_lists = lock(&self.blocks[row]);
            let to_rows = (&mut *row_lists, first_row);
            tile.offer_to_both(to_rows, (&mut column_lists, first_column));
        }
    }

    fn into_candidates(self, space: &Space, members: &Members) -> Candidates {
        let rows = self.panel.len();
        let mut candidates = Candidates::new(rows, KEEP, Lists::One);
        let slots = candidates.slots().par_chunks_mut(BLOCK_ROWS * KEEP);
        let blocks = self.blocks.into_par_iter().zip(slots).enumerate();
        let panel = &self.panel;
        let take_out = |(block, (lists, slots)): (usize, (Mutex<Nearest>, &mut [u32]))| {
            let mut lists = lists.into_inner().unwrap_or_else(PoisonError::into_inner);
            let mut blurred = 0;
            for (row, slots) in slots.chunks_mut(KEEP).enumerate() {
                let (place, mut near) = (block * BLOCK_ROWS + row, lists.sorted(row));
                let again;
                if panel.is_blurred(place, near) {
                    again = nearest_of(space, members, place);
                    near = &again;
                    blurred += 1;
                }
                for (slot, near) in slots.iter_mut().zip(near) {
                    *slot = members.node(near.node() as usize);
                }
            }
            blurred
        };
        let blurred: usize = blocks.map(take_out).sum();
        let computed = rows * rows.saturating_sub(1) / 2 + blurred * rows;
        candidates.computed = Computed::values(computed as u64);
        candidates
    }
}

/// The nearest members of the member at `place`, without products.
fn nearest_of(space: &Space, members: &Members, place: usize) -> Vec<Candidate> {
    let query = space.query_of(members.node(place));
    let nodes = (0..members.len()).map(|place| members.node(place));
    let mut near = scan::nearest(space, &query, nodes, KEEP + 1);
    near.retain(|near| near.node() as usize != place);
    near.truncate(KEEP);
    near
}

fn lock(lists: &Mutex<Nearest>) -> MutexGuard<'_, Nearest> {
    lists.lock().expect("no task panics while it holds lists")
}
