//! The nearest rows within a leaf, and the nearest leaders of the rows of a cell, by tiles: of
//! codes where the processor gains by them and they are sharp enough, of values otherwise.

use std::borrow::Cow;
use std::sync::OnceLock;

use super::Computed;
use crate::candidate::Candidate;
use crate::columns::{ColumnWork, Columns};
use crate::nearest::Nearest;
use crate::panel::{Panel, Tile, centre};
use crate::scan;
use crate::sketch::Sketch;
use crate::space::Space;

/// Rows of a tile within a leaf.
const TILE_ROWS: usize = 128;

/// Rows, and their sketch if tiles gain by it.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub space: &'a Space,
    pub sketch: Option<&'a Sketch>,
}

/// Rows that many others are compared with.
pub(super) struct Leaders<'a> {
    rows: Rows<'a>,
    nodes: &'a [u32],
    centre: Vec<f32>,
    /// Made when they are needed: usually only one of the two is.
    columns: OnceLock<Columns>,
    panel: OnceLock<Panel>,
}

/// Memory that the tiles of one thread share.
pub(super) struct NearWork {
    columns: Columns,
    work: ColumnWork,
    panel: Panel,
    tile: Tile,
    lists: Nearest,
}

impl<'a> Rows<'a> {
    pub(super) fn of(space: &'a Space) -> Self {
        Self { space, sketch: space.sketch() }
    }
}

impl<'a> Leaders<'a> {
    pub(super) fn new(rows: Rows<'a>, nodes: &'a [u32]) -> Self {
        let centre = centre(rows.space, nodes.iter().copied());
        Self { rows, nodes, centre, columns: OnceLock::new(), panel: OnceLock::new() }
    }

    fn columns(&self, sketch: &Sketch) -> &Columns {
        self.columns.get_or_init(|| {
            let mut columns = Columns::default();
            columns.fill(sketch, self.nodes);
            columns
        })
    }

    fn panel(&self) -> &Panel {
        self.panel.get_or_init(|| {
            let mut panel = Panel::default();
            panel.fill(self.rows.space, self.nodes.iter().copied(), &self.centre);
            panel
        })
    }
}

impl NearWork {
    pub(super) fn new(space: &Space) -> Self {
        Self {
            columns: Columns::default(),
            work: ColumnWork::default(),
            panel: Panel::default(),
            tile: Tile::default(),
            lists: Nearest::new(space.kernels(), 0, 1),
        }
    }

    /// Gives each of `nodes`, by its place, its `keep` nearest leaders, called by their places.
    pub(super) fn among(
        &mut self,
        leaders: &Leaders<'_>,
        nodes: &[u32],
        keep: usize,
        mut give: impl FnMut(usize, &[Candidate]),
    ) -> Computed {
        let Rows { space, sketch } = leaders.rows;
        let pairs = (nodes.len() * leaders.nodes.len()) as u64;
        if let Some(sketch) = sketch
            && leaders.columns(sketch).nearest((space, sketch), nodes, keep, &mut self.work)
        {
            self.work.give(keep, give);
            return Computed::bytes(pairs, sketch.depth());
        }
        self.panel.fill(space, nodes.iter().copied(), &leaders.centre);
        self.lists.restart(nodes.len(), keep);
        let panel = leaders.panel();
        self.tile.compute((&self.panel, 0..nodes.len()), (panel, 0..panel.len()));
        self.tile.offer_to_rows(&mut self.lists, 0, 0);
        for (place, node) in nodes.iter().enumerate() {
            let near = self.sharp(space, (place, *node), leaders.nodes, keep);
            give(place, &near[..keep.min(near.len())]);
        }
        Computed::values(pairs)
    }

    /// Gives each of `nodes`, by its place, the `keep` nearest others, called by their places.
    pub(super) fn within(
        &mut self,
        rows: Rows<'_>,
        nodes: &[u32],
        keep: usize,
        mut give: impl FnMut(usize, &[Candidate]),
    ) -> Computed {
        let Rows { space, sketch } = rows;
        let pairs = (nodes.len() * nodes.len().saturating_sub(1) / 2) as u64;
        if let Some(sketch) = sketch {
            self.columns.fill(sketch, nodes);
            if self.columns.nearest((space, sketch), nodes, keep, &mut self.work) {
                self.work.give(keep, give);
                return Computed::bytes(pairs, sketch.depth());
            }
        }
        let all = nodes.iter().copied();
        self.panel.fill(space, all.clone(), &centre(space, all));
        self.lists.restart(nodes.len(), keep);
        for first in (0..nodes.len()).step_by(TILE_ROWS) {
            let stripe = first..(first + TILE_ROWS).min(nodes.len());
            self.tile.compute((&self.panel, stripe.clone()), (&self.panel, 0..stripe.end));
            self.tile.offer_within(&mut self.lists, first, 0);
        }
        for (place, node) in nodes.iter().enumerate() {
            let mut near = self.sharp(space, (place, *node), nodes, keep + 1);
            if near.iter().any(|near| near.node() as usize == place) {
                near.to_mut().retain(|near| near.node() as usize != place);
            }
            give(place, &near[..keep.min(near.len())]);
        }
        Computed::values(pairs)
    }

    /// The nearest of `others` of a row of the panel, by their places; measured again, the row
    /// itself included, when products blur them.
    fn sharp(
        &mut self,
        space: &Space,
        (row, node): (usize, u32),
        others: &[u32],
        keep: usize,
    ) -> Cow<'_, [Candidate]> {
        let near = self.lists.sorted(row);
        if self.panel.is_blurred(row, near) {
            let others = others.iter().copied();
            return Cow::Owned(scan::nearest(space, &space.query_of(node), others, keep));
        }
        Cow::Borrowed(near)
    }
}
