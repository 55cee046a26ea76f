//! The nearest of some rows among others, by tiles of products of bytes.

use crate::candidate::Candidate;
use crate::kernels::{CODE_ROWS, COLUMN_LANES, FAR_BIAS, FAR_PRODUCT, Lanes, SHORT_LIST};
use crate::scan;
use crate::sketch::Sketch;
use crate::space::Space;

/// Rows in the order in which a product reads them as its columns.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    nodes: Vec<u32>,
    /// Sixteen columns beside each other, four bytes of each, from the first value to the last.
    packed: Vec<u8>,
    /// What each column adds to its distances; columns that only fill up are infinitely far.
    bias: Vec<i32>,
}

/// Memory that the products of one thread share, and what they found.
#[derive(Debug, Default)]
pub(crate) struct ColumnWork {
    products: Vec<i32>,
    /// The products of some rows, column after column.
    lanes: Vec<i32>,
    /// The nearest columns of each row, by their places.
    nearest: Vec<[Candidate; SHORT_LIST]>,
}

/// What the selection on rows of products shares.
struct Selection<'a> {
    space: &'a Space,
    sketch: &'a Sketch,
    columns: &'a Columns,
    keep: usize,
    /// Whether the rows are the columns: then no row is its own neighbor.
    is_within: bool,
    reach: Reach,
}

impl Columns {
    /// Replaces the columns by `nodes`.
    pub(crate) fn fill(&mut self, sketch: &Sketch, nodes: &[u32]) {
        let (columns, depth) = (nodes.len().next_multiple_of(COLUMN_LANES), sketch.depth());
        self.nodes.clear();
        self.nodes.extend_from_slice(nodes);
        self.packed.resize(columns * depth, 0);
        let groups = self.packed.chunks_mut(COLUMN_LANES * depth);
        let mut ahead = nodes.chunks(COLUMN_LANES).skip(1);
        for (group, nodes) in groups.zip(nodes.chunks(COLUMN_LANES)) {
            ahead.next().into_iter().flatten().for_each(|node| sketch.prefetch(*node));
            // Columns that only fill up repeat the last one.
            let node = |lane: usize| nodes[lane.min(nodes.len() - 1)];
            sketch.kernels().pack(&std::array::from_fn(|lane| sketch.row(node(lane))), group);
        }
        self.bias.clear();
        self.bias.extend(nodes.iter().map(|node| sketch.head(*node).square));
        self.bias.resize(columns, FAR_BIAS);
    }

    /// Finds the `keep` nearest columns of each of `rows`, at most [`SHORT_LIST`]; when the rows
    /// are the columns, no row is its own neighbor. Gives up, with `false`, where rounding blurs
    /// the distances.
    pub(crate) fn nearest(
        &self,
        (space, sketch): (&Space, &Sketch),
        rows: &[u32],
        keep: usize,
        work: &mut ColumnWork,
    ) -> bool {
        work.nearest.clear();
        let (stride, is_within) = (self.bias.len(), self.nodes == rows);
        let reach = Reach::default();
        let mut selection = Selection { space, sketch, columns: self, keep, is_within, reach };
        if is_within {
            self.multiply_within(sketch, &mut work.products);
            for (block, rows) in rows.chunks(CODE_ROWS).enumerate() {
                let lanes = &work.products[block * CODE_ROWS..];
                selection.select(rows, (lanes, stride), &mut work.nearest);
            }
        } else {
            work.products.resize(CODE_ROWS * stride, 0);
            work.lanes.resize(CODE_ROWS * stride, 0);
            let mut ahead = rows.chunks(CODE_ROWS).skip(1);
            for rows in rows.chunks(CODE_ROWS) {
                ahead.next().into_iter().flatten().for_each(|node| sketch.prefetch(*node));
                multiply(sketch, rows, &self.packed, &mut work.products);
                sketch.kernels().transpose(&work.products, &mut work.lanes);
                selection.select(rows, (&work.lanes, CODE_ROWS), &mut work.nearest);
            }
        }
        sketch.is_sharp_at(selection.reach.mean())
    }

    /// All columns with each other: each pair once, then from one side of the matrix to the other.
    /// No column is near to itself.
    fn multiply_within(&self, sketch: &Sketch, products: &mut Vec<i32>) {
        let (stride, group_len) = (self.bias.len(), COLUMN_LANES * sketch.depth());
        products.resize(stride * stride, 0);
        let rows = self.nodes.chunks(CODE_ROWS).zip(products.chunks_mut(CODE_ROWS * stride));
        for (block, (nodes, products)) in rows.enumerate() {
            let groups = block * CODE_ROWS / COLUMN_LANES + 1;
            multiply(sketch, nodes, &self.packed[..groups * group_len], products);
        }
        sketch.kernels().mirror(products, stride);
        products.iter_mut().step_by(stride + 1).for_each(|own| *own = FAR_PRODUCT);
    }
}

/// The products of up to [`CODE_ROWS`] rows with packed columns; the rest of each row of `products`
/// is left alone.
fn multiply(sketch: &Sketch, nodes: &[u32], packed: &[u8], products: &mut [i32]) {
    // Rows that only fill up repeat the last one.
    let node = |row: usize| nodes[row.min(nodes.len() - 1)];
    let rows = std::array::from_fn(|row| sketch.row(node(row)));
    let starts = std::array::from_fn(|row| sketch.head(node(row)).start);
    sketch.kernels().multiply_bytes(&rows, &starts, packed, products);
}

impl Selection<'_> {
    /// Adds the nearest columns of each of up to eight rows to `nearest`.
    fn select(
        &mut self,
        rows: &[u32],
        (entries, stride): (&[i32], usize),
        nearest: &mut Vec<[Candidate; SHORT_LIST]>,
    ) {
        let (sketch, shift) = (self.sketch, self.sketch.spare_bits());
        let mut squares = [0; CODE_ROWS];
        for (square, row) in squares.iter_mut().zip(rows) {
            *square = sketch.head(*row).square;
        }
        let lanes = Lanes { entries, stride, squares, bias: &self.columns.bias, shift };
        let keys = sketch.kernels().nearest_columns(&lanes);
        for (lane, row) in rows.iter().enumerate() {
            let mut list = [Candidate::LAST; SHORT_LIST];
            for (near, keys) in list[..self.keep].iter_mut().zip(&keys) {
                let Some(square) = keys[lane].square(shift) else { break };
                *near = Candidate::new(square, keys[lane].column());
            }
            self.reach.add(&list[..self.keep]);
            if sketch.head(*row).is_clamped {
                list = self.nearest_by_values(*row);
            }
            nearest.push(list);
        }
    }

    /// The nearest columns of a row that bytes cannot stand for.
    fn nearest_by_values(&self, node: u32) -> [Candidate; SHORT_LIST] {
        let (space, nodes) = (self.space, &self.columns.nodes);
        let found =
            scan::nearest(space, &space.query_of(node), nodes.iter().copied(), self.keep + 1);
        let is_other = |near: &&Candidate| !self.is_within || nodes[near.node() as usize] != node;
        let mut nearest = [Candidate::LAST; SHORT_LIST];
        for (nearest, found) in nearest.iter_mut().zip(found.iter().filter(is_other)) {
            *nearest = *found;
        }
        nearest
    }
}

impl ColumnWork {
    /// Gives each row, by its place, its `keep` nearest columns.
    pub(crate) fn give(&self, keep: usize, mut give: impl FnMut(usize, &[Candidate])) {
        for (row, nearest) in self.nearest.iter().enumerate() {
            let count = nearest[..keep].partition_point(|near| *near != Candidate::LAST);
            give(row, &nearest[..count]);
        }
    }
}

/// How far the nearest columns of some rows are.
#[derive(Default)]
struct Reach {
    sum: f32,
    rows: f32,
}

impl Reach {
    fn add(&mut self, nearest: &[Candidate]) {
        if let Some(last) = nearest.iter().rev().find(|near| **near != Candidate::LAST) {
            self.sum += last.distance();
            self.rows += 1.0;
        }
    }

    fn mean(&self) -> f32 {
        self.sum / self.rows.max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use loomdb_testkit::generate;

    use super::{ColumnWork, Columns};
    use crate::sketch::Sketch;
    use crate::space::Space;
    use crate::{Metric, Vectors, scan};

    const ROWS: usize = 300;
    const DIM: usize = 50;
    const KEEP: usize = 8;

    /// The share of the nearest of each row that codes find, or nothing when they give up.
    fn found_share(metric: Metric, values: &[f32]) -> Option<f64> {
        let mut space = Space::new(metric, Vectors::from_flat(DIM, values).unwrap()).unwrap();
        space.encode();
        let sketch = Sketch::of_codes(space.codes()?, space.kernels());
        let nodes: Vec<u32> = (0..space.len() as u32).collect();
        let (mut columns, mut work) = (Columns::default(), ColumnWork::default());
        columns.fill(&sketch, &nodes);
        if !columns.nearest((&space, &sketch), &nodes, KEEP, &mut work) {
            return None;
        }
        let mut found = 0;
        work.give(KEEP, |row, near| {
            let query = space.query_of(row as u32);
            let exact = scan::nearest(&space, &query, nodes.iter().copied(), KEEP + 1);
            assert!(near.len() == KEEP && near.iter().all(|near| near.node() != row as u32));
            let is_exact = |node| exact.iter().any(|exact| exact.node() == node);
            found += near.iter().filter(|near| is_exact(near.node())).count();
        });
        Some(found as f64 / (ROWS * KEEP) as f64)
    }

    #[test]
    fn codes_find_nearly_what_values_find() {
        for metric in [Metric::L2, Metric::Cosine] {
            for values in [generate::uniform(1, ROWS, DIM), generate::mixture(2, ROWS, DIM)] {
                let share = found_share(metric, &values);
                assert!(share.is_some_and(|share| share > 0.96), "{metric}: {share:?}");
            }
        }
    }

    /// One step for both sets is far wider than either of them.
    #[test]
    fn codes_give_up_where_they_are_too_coarse() {
        assert_eq!(found_share(Metric::L2, &generate::two_far_sets(3, ROWS, DIM)), None);
    }

    /// The last row lies outside of the sample that the range was taken from.
    #[test]
    fn a_row_out_of_range_is_compared_by_its_values() {
        let rows = 2_048;
        let mut values = generate::uniform(4, rows, DIM);
        values[(rows - 1) * DIM..].iter_mut().for_each(|value| *value += 50.0);
        let mut space = Space::new(Metric::L2, Vectors::from_flat(DIM, &values).unwrap()).unwrap();
        space.encode();
        let sketch = Sketch::of_codes(space.codes().unwrap(), space.kernels());
        let nodes: Vec<u32> = (rows as u32 - 300..rows as u32).collect();
        let (mut columns, mut work) = (Columns::default(), ColumnWork::default());
        columns.fill(&sketch, &nodes);
        assert!(columns.nearest((&space, &sketch), &nodes, KEEP, &mut work));
        work.give(KEEP, |row, near| {
            if row == nodes.len() - 1 {
                let query = space.query_of(nodes[row]);
                let exact = scan::nearest(&space, &query, nodes.iter().copied(), KEEP + 1);
                assert_eq!(near, &exact[1..]);
            }
        });
    }
}
