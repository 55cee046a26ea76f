//! Rows copied together for tiles of a matrix product, so that distances come out of products.
//!
//! Under `l2` a distance is `|x|^2 + |y|^2 - 2xy`, which loses digits when the norms are large
//! beside the distance; rows are therefore taken relative to a centre, and whoever uses the
//! distances asks how far rounding reaches ([`Panel::is_blurred`], [`Panel::least`]). Very short
//! rows skip the product: their differences are exact and as cheap.

use std::ops::Range;

use crate::Metric;
use crate::candidate::Candidate;
use crate::kernels::{Kernels, Scan, Survivors, products};
use crate::nearest::Nearest;
use crate::space::Space;

/// Under `l2`, rows of fewer values are subtracted instead of multiplied.
const MIN_PRODUCT_DIM: usize = 8;

/// Rows that are fetched into the cache ahead of the one that is copied.
const PREFETCH_ROWS: usize = 4;

/// Rows whose mean is the centre of all.
const CENTRE_ROWS: usize = 16;

/// The share of a distance that rounding may take before it counts as blurred.
const BLUR: f32 = 0.125;

/// Columns that are scanned before the threshold of a row is looked at again.
const FIRST_PART: usize = 16;

/// Some rows of a space, side by side.
#[derive(Debug, Default)]
pub(crate) struct Panel {
    dim: usize,
    metric: Option<Metric>,
    values: Vec<f32>,
    /// What each row adds to its distances.
    bias: Vec<f32>,
    /// The squared norm of the longest row.
    max_square: f32,
}

impl Panel {
    /// Replaces the rows by those of `nodes`, relative to `centre` (of [`centre`]).
    pub(crate) fn fill(
        &mut self,
        space: &Space,
        nodes: impl ExactSizeIterator<Item = u32> + Clone,
        centre: &[f32],
    ) {
        self.restart(space, nodes.len());
        let mut ahead = nodes.clone().skip(PREFETCH_ROWS);
        for node in nodes {
            if let Some(ahead) = ahead.next() {
                space.prefetch(ahead);
            }
            self.push(space, space.row(node), space.scale(node), centre);
        }
    }

    /// Forgets the rows and makes room for `rows` others.
    pub(crate) fn restart(&mut self, space: &Space, rows: usize) {
        self.dim = space.dim();
        self.metric = Some(space.metric());
        self.values.clear();
        self.values.reserve(rows * self.dim);
        self.bias.clear();
        self.max_square = 0.0;
    }

    /// Adds a row that need not be one of the space.
    pub(crate) fn push(&mut self, space: &Space, row: &[f32], scale: f32, centre: &[f32]) {
        let start = self.values.len();
        match space.metric() {
            Metric::L2 => self.values.extend(row.iter().zip(centre).map(|(x, c)| x - c)),
            Metric::Cosine => self.values.extend(row.iter().map(|x| x * scale)),
            Metric::Ip => self.values.extend_from_slice(row),
        }
        let row = &self.values[start..];
        let square = match space.metric() {
            Metric::L2 | Metric::Ip => space.kernels().dot(row, row),
            Metric::Cosine => 1.0,
        };
        self.max_square = self.max_square.max(square);
        self.bias.push(match space.metric() {
            Metric::L2 if self.is_subtracted() => 0.0,
            Metric::L2 => square,
            Metric::Cosine => 0.5,
            Metric::Ip => 0.0,
        });
    }

    pub(crate) fn len(&self) -> usize {
        self.bias.len()
    }

    /// Whether rounding may hide which rows are the nearest of `row`, when tiles say that they
    /// are `near`. Only `l2` can lose so much. The norm of the row alone tells, because whatever
    /// is near it is as far from the centre.
    pub(crate) fn is_blurred(&self, row: usize, near: &[Candidate]) -> bool {
        let is_l2_product = self.metric == Some(Metric::L2) && !self.is_subtracted();
        // Errors of a sum add up like a random walk.
        let error = f32::EPSILON * (4.0 + (self.dim as f32).sqrt());
        let is_lost = |last: &Candidate| self.bias[row] * error > last.distance() * BLUR;
        is_l2_product && near.last().is_some_and(is_lost)
    }

    /// The least that the distance of `row` to another, whose squared norm is at most
    /// `max_square`, can be when it came out as `distance` of a tile, whatever the rounding
    /// (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1: a sum of `n` products
    /// is off by `n` roundings at most).
    pub(crate) fn least(&self, row: usize, max_square: f32, distance: f32) -> f32 {
        let error = f32::EPSILON * (self.dim as f32 + 8.0);
        match self.metric {
            // |y|^2 <= 2 |x|^2 + 2 |x - y|^2 bounds the norm of the other row.
            Some(Metric::L2) => (distance - 3.0 * error * self.bias[row]) * (1.0 - 4.0 * error),
            Some(Metric::Ip) => distance - 2.0 * error * (self.max_square * max_square).sqrt(),
            _ => distance - 2.0 * error,
        }
    }

    /// The squared norm of the longest row, relative to the centre.
    pub(crate) fn max_square(&self) -> f32 {
        self.max_square
    }

    fn is_subtracted(&self) -> bool {
        self.metric == Some(Metric::L2) && self.dim < MIN_PRODUCT_DIM
    }

    /// The factor that turns an entry of a tile into a distance.
    fn scale(&self) -> f32 {
        match self.metric {
            Some(Metric::L2) if self.is_subtracted() => 1.0,
            Some(Metric::L2) => -2.0,
            _ => -1.0,
        }
    }

    fn rows(&self, rows: &Range<usize>) -> &[f32] {
        &self.values[rows.start * self.dim..rows.end * self.dim]
    }
}

/// A point that `nodes` lie around, for [`Panel::fill`]: the mean of some of them. Only `l2` needs
/// one.
pub(crate) fn centre(space: &Space, nodes: impl ExactSizeIterator<Item = u32>) -> Vec<f32> {
    if space.metric() != Metric::L2 {
        return Vec::new();
    }
    let step = nodes.len().div_ceil(CENTRE_ROWS).max(1);
    let mut sum = vec![0.0; space.dim()];
    let mut count = 0.0;
    for node in nodes.skip(step / 2).step_by(step) {
        sum.iter_mut().zip(space.row(node)).for_each(|(sum, value)| *sum += value);
        count += 1.0_f32;
    }
    sum.into_iter().map(|sum| sum / count.max(1.0)).collect()
}

/// A tile: some rows of a panel against some rows of another, its entries turned into distances
/// as they are scanned.
#[derive(Debug, Default)]
pub(crate) struct Tile {
    entries: Vec<f32>,
    scale: f32,
    row_bias: Vec<f32>,
    column_bias: Vec<f32>,
    survivors: Survivors,
    /// Thresholds of columns that keep nothing.
    never: Vec<f32>,
}

impl Tile {
    /// Computes the entries of `rows` of one panel against `columns` of another.
    pub(crate) fn compute(
        &mut self,
        (left, rows): (&Panel, Range<usize>),
        (right, columns): (&Panel, Range<usize>),
    ) {
        let len = rows.len() * columns.len();
        if self.entries.len() < len {
            self.entries.resize(len, 0.0);
        }
        let entries = &mut self.entries[..len];
        let (left_rows, right_rows) = (left.rows(&rows), right.rows(&columns));
        if left.is_subtracted() {
            squared_differences(left_rows, right_rows, left.dim, entries);
        } else {
            products(left_rows, right_rows, left.dim, entries);
        }
        self.scale = left.scale();
        replace(&mut self.row_bias, &left.bias[rows]);
        replace(&mut self.column_bias, &right.bias[columns]);
        self.never.resize(self.column_bias.len(), f32::NEG_INFINITY);
    }

    /// Offers every distance to the list of its row; columns are called `first_node` and up.
    pub(crate) fn offer_to_rows(
        &mut self,
        lists: &mut Nearest,
        first_list: usize,
        first_node: u32,
    ) {
        let never = std::mem::take(&mut self.never);
        for row in 0..self.row_bias.len() {
            let list = first_list + row;
            for part in parts(self.column_bias.len()) {
                let thresholds = (lists.threshold(list), &never[part.clone()]);
                let first = first_node + part.start as u32;
                let survivors = self.scan(lists.kernels(), row, part, thresholds);
                lists.offer_all(list, &survivors.of_row, first);
            }
        }
        self.never = never;
    }

    /// Offers every distance to the lists of both ends. Each end has lists of its own, and the
    /// number by which its first row is called in the lists of the other.
    pub(crate) fn offer_to_both(
        &mut self,
        (row_lists, first_row): (&mut Nearest, u32),
        (column_lists, first_column): (&mut Nearest, u32),
    ) {
        let kernels = row_lists.kernels();
        for row in 0..self.row_bias.len() {
            for part in parts(self.column_bias.len()) {
                let thresholds = (row_lists.threshold(row), column_lists.thresholds(part.clone()));
                let first = part.start;
                let survivors = self.scan(kernels, row, part, thresholds);
                row_lists.offer_all(row, &survivors.of_row, first_column + first as u32);
                for (column, distance) in survivors.of_columns.iter() {
                    column_lists.offer(first + column as usize, distance, first_row + row as u32);
                }
            }
        }
    }

    /// Offers the distances of a panel to itself: rows from `first_row` on against all before
    /// them, so that each pair is met once; names are `first_node` and up.
    pub(crate) fn offer_within(&mut self, lists: &mut Nearest, first_row: usize, first_node: u32) {
        for row in 0..self.row_bias.len() {
            let own = first_row + row;
            for part in parts(own) {
                let thresholds = (lists.threshold(own), lists.thresholds(part.clone()));
                let first = part.start;
                let survivors = self.scan(lists.kernels(), row, part, thresholds);
                lists.offer_all(own, &survivors.of_row, first_node + first as u32);
                for (column, distance) in survivors.of_columns.iter() {
                    lists.offer(first + column as usize, distance, first_node + own as u32);
                }
            }
        }
    }

    /// The entries of some columns of a row that are below the threshold of the row or of their
    /// column; columns are counted from the first of these.
    #[inline]
    fn scan(
        &mut self,
        kernels: Kernels,
        row: usize,
        columns: Range<usize>,
        (row_threshold, column_thresholds): (f32, &[f32]),
    ) -> &Survivors {
        let entries = &self.entries[row * self.column_bias.len()..];
        let scan = Scan {
            products: &entries[columns.clone()],
            scale: self.scale,
            row_bias: self.row_bias[row],
            column_bias: &self.column_bias[columns],
            row_threshold,
            column_thresholds,
        };
        self.survivors.restart(scan.products.len());
        kernels.scan(&scan, &mut self.survivors);
        &self.survivors
    }
}

/// Cuts a row into parts that double: a list is soon full, and its threshold then spares most of
/// what follows.
fn parts(columns: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let end = (start * 2).max(FIRST_PART).min(columns);
        let part = start..end;
        start = end;
        (!part.is_empty()).then_some(part)
    })
}

fn replace(values: &mut Vec<f32>, by: &[f32]) {
    values.clear();
    values.extend_from_slice(by);
}

/// The squared distances of each row of `left` to each row of `right`.
fn squared_differences(left: &[f32], right: &[f32], dim: usize, out: &mut [f32]) {
    let columns = right.len() / dim;
    for (row, out) in left.chunks(dim).zip(out.chunks_mut(columns.max(1))) {
        for (column, out) in right.chunks(dim).zip(out) {
            *out = row.iter().zip(column).map(|(x, y)| (x - y) * (x - y)).sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Panel, Tile, centre};
    use crate::candidate::Candidate;
    use crate::nearest::Nearest;
    use crate::random::{hash, unit};
    use crate::space::Space;
    use crate::{Metric, Vectors};

    fn space(metric: Metric, dim: usize, rows: usize) -> Space {
        let value = |index| unit(hash(3, index)) as f32 * 2.0 - 1.0;
        let values: Vec<f32> = (0..(rows * dim) as u64).map(value).collect();
        Space::new(metric, Vectors::from_flat(dim, &values).unwrap()).unwrap()
    }

    fn nearest_by_distance(space: &Space, node: u32, keep: usize) -> Vec<u32> {
        let others = (0..space.len() as u32).filter(|other| *other != node);
        let mut all: Vec<_> =
            others.map(|other| Candidate::new(space.between(node, other), other)).collect();
        all.sort_unstable();
        all[..keep].iter().map(|candidate| candidate.node()).collect()
    }

    #[test]
    fn nearest_by_tiles_is_nearest_by_distance() {
        const ROWS: usize = 90;
        for metric in Metric::ALL {
            for dim in [1, 3, 8, 31] {
                let space = space(metric, dim, ROWS);
                let nodes = 0..ROWS as u32;
                let mut panel = Panel::default();
                panel.fill(&space, nodes.clone(), &centre(&space, nodes.clone()));
                let (mut tile, mut lists) =
                    (Tile::default(), Nearest::new(space.kernels(), ROWS, 5));
                for first in (0..ROWS).step_by(40) {
                    let rows = first..(first + 40).min(ROWS);
                    tile.compute((&panel, rows.clone()), (&panel, 0..rows.end));
                    tile.offer_within(&mut lists, first, 0);
                }
                let mut agreed = 0;
                for node in nodes {
                    let oracle = nearest_by_distance(&space, node, 5);
                    let found = lists.sorted(node as usize).iter();
                    agreed += found.filter(|found| oracle.contains(&found.node())).count();
                }
                // Rounding may swap a near tie at the end of a list, and under `cosine` all
                // rows of one dimension tie.
                let is_tied = metric == Metric::Cosine && dim == 1;
                assert!(agreed >= ROWS * 5 - 2 || is_tied, "{metric} {dim}: {agreed}");
            }
        }
    }
}
