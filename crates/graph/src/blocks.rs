//! A table of equal rows that grows while others read older versions of it.
//!
//! The base is one piece, as a bulk build made it, or lies in files; what comes later lies in
//! blocks of a power of two rows. A clone is a version: it shares the pieces and never changes.

use std::sync::Arc;

use crate::aligned::Aligned;
use crate::stored::Stored;

/// The size that a block of rows aims at.
const BLOCK_BYTES: usize = 1 << 20;

/// Blocks of a group: a version of many blocks shares whole groups, so that a clone copies few
/// pointers.
const GROUP_BLOCKS: usize = 32;

/// Blocks that follow each other; all but the last group of a table are full.
type Group<T> = Arc<Vec<Arc<Aligned<T>>>>;

/// A version of a growing table of rows of `stride` elements.
#[derive(Debug)]
pub(crate) struct Blocks<T> {
    stride: usize,
    len: usize,
    base: Arc<Base<T>>,
    base_len: usize,
    later: Vec<Group<T>>,
    shift: u32,
}

/// A version of a table as loops read it: where the rows of the base lie is looked up once.
#[derive(Debug)]
pub(crate) struct Rows<'a, T> {
    /// The base, where it is one piece in the order of its rows.
    base: &'a [T],
    stride: usize,
    table: &'a Blocks<T>,
}

impl<T> Clone for Rows<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Rows<'_, T> {}

impl<'a, T: Default> Rows<'a, T> {
    /// One row.
    #[inline(always)]
    #[allow(clippy::inline_always)] // so that loops keep their registers
    pub(crate) fn row(self, row: usize) -> &'a [T] {
        let first = row * self.stride;
        match self.base.get(first..first + self.stride) {
            Some(row) => row,
            None => self.table.other_row(row),
        }
    }

    pub(crate) fn stride(self) -> usize {
        self.stride
    }
}

/// The first rows of a table.
#[derive(Debug)]
enum Base<T> {
    Own(Aligned<T>),
    Stored(Stored<T>),
}

impl<T> Clone for Blocks<T> {
    fn clone(&self) -> Self {
        Self { base: Arc::clone(&self.base), later: self.later.clone(), ..*self }
    }
}

impl<T: Default> Blocks<T> {
    /// A table whose first rows are `base`.
    pub(crate) fn new(stride: usize, base: Aligned<T>) -> Self {
        let base_len = base.len() / stride;
        Self::on(stride, Base::Own(base), base_len)
    }

    /// A table whose first rows are the first `len` of `base`.
    pub(crate) fn stored(base: Stored<T>, len: usize) -> Self {
        assert!(len <= base.len(), "{len} rows of {}", base.len());
        Self::on(base.stride(), Base::Stored(base), len)
    }

    fn on(stride: usize, base: Base<T>, base_len: usize) -> Self {
        let rows = (BLOCK_BYTES / size_of::<T>() / stride).clamp(1, 1 << 14);
        Self {
            stride,
            len: base_len,
            base: Arc::new(base),
            base_len,
            later: Vec::new(),
            shift: rows.ilog2(),
        }
    }

    /// The same rows, as they are kept elsewhere, and those behind them there.
    pub(crate) fn moved_to(&self, rows: Stored<T>) -> Self {
        assert!(rows.len() >= self.len && rows.stride() == self.stride);
        let len = rows.len();
        Self { shift: self.shift, ..Self::stored(rows, len) }
    }

    /// Whether some of the first rows are kept elsewhere.
    pub(crate) fn is_stored(&self) -> bool {
        matches!(&*self.base, Base::Stored(_))
    }

    /// Makes later blocks hold `rows` rows, a power of two.
    pub(crate) fn block_rows(mut self, rows: usize) -> Self {
        assert!(self.later.is_empty() && rows.is_power_of_two());
        self.shift = rows.ilog2();
        self
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// The rows for loops over some of them.
    #[inline]
    pub(crate) fn rows(&self) -> Rows<'_, T> {
        let base = match &*self.base {
            Base::Own(values) => &values[..],
            Base::Stored(stored) => stored.in_one_piece(),
        };
        let base = &base[..base.len().min(self.base_len * self.stride)];
        Rows { base, stride: self.stride, table: self }
    }

    /// One row.
    #[inline]
    pub(crate) fn row(&self, row: usize) -> &[T] {
        if row < self.base_len
            && let Base::Own(values) = &*self.base
        {
            return &values[row * self.stride..][..self.stride];
        }
        self.other_row(row)
    }

    /// A row that is stored or was appended: apart, so that [`Self::row`] is inlined everywhere.
    #[inline(never)]
    fn other_row(&self, row: usize) -> &[T] {
        if row < self.base_len
            && let Base::Stored(stored) = &*self.base
        {
            return stored.row(row);
        }
        let row = row - self.base_len;
        let (block, place) = (row >> self.shift, row & ((1 << self.shift) - 1));
        let block = &self.later[block / GROUP_BLOCKS][block % GROUP_BLOCKS];
        &block[place * self.stride..][..self.stride]
    }

    /// The elements of a row, and of those behind it that lie there in one piece.
    pub(crate) fn run(&self, row: usize) -> &[T] {
        let Some(behind) = row.checked_sub(self.base_len) else {
            return match &*self.base {
                Base::Own(values) => &values[row * self.stride..],
                Base::Stored(stored) => stored.row(row),
            };
        };
        let (block, place) = (behind >> self.shift, behind & ((1 << self.shift) - 1));
        let block = &self.later[block / GROUP_BLOCKS][block % GROUP_BLOCKS];
        &block[place * self.stride..]
    }

    /// Bytes held by this version, in memory or in files.
    pub(crate) fn bytes(&self) -> usize {
        let later = self.later.iter().flat_map(|group| group.iter());
        let elements = self.base_len * self.stride + later.map(|block| block.len()).sum::<usize>();
        elements * size_of::<T>()
    }

    fn rows_per_block(&self) -> usize {
        1 << self.shift
    }

    /// Rows that the blocks of this version have room for.
    fn allotted(&self) -> usize {
        let blocks = match self.later.split_last() {
            Some((last, full)) => full.len() * GROUP_BLOCKS + last.len(),
            None => 0,
        };
        self.base_len + blocks * self.rows_per_block()
    }

    /// Adds a block behind the others.
    fn push_block(&mut self, block: Aligned<T>) {
        match self.later.last_mut() {
            Some(group) if group.len() < GROUP_BLOCKS => {
                Arc::make_mut(group).push(Arc::new(block));
            }
            _ => self.later.push(Arc::new(vec![Arc::new(block)])),
        }
    }
}

impl<T: Default + Clone> Blocks<T> {
    /// Appends rows of plain values. A partly filled last block is copied when another version
    /// shares it, so that no version ever sees a row change.
    pub(crate) fn append(&mut self, mut values: &[T]) {
        while !values.is_empty() {
            if self.len == self.allotted() {
                let elements = self.rows_per_block() * self.stride;
                let capacity = elements.min(values.len().max(elements / 8));
                self.push_block(Aligned::with_capacity(capacity));
            }
            let room = (self.allotted() - self.len) * self.stride;
            let (fitting, rest) = values.split_at(room.min(values.len()));
            let group = self.later.last_mut().expect("a block with room was made above");
            let last = Arc::make_mut(group).last_mut().expect("no group is empty");
            if let Some(block) = Arc::get_mut(last) {
                block.extend(fitting.iter().cloned());
            } else {
                let mut block = Aligned::with_capacity(last.len() + fitting.len());
                block.extend(last.iter().cloned());
                block.extend(fitting.iter().cloned());
                *last = Arc::new(block);
            }
            self.len += fitting.len() / self.stride;
            values = rest;
        }
    }
}

impl<T: Default + Copy> Blocks<T> {
    /// Puts row `order[i]` at place `i`, in place: a copy would double the memory of a build.
    /// Stored rows stay where they are, and only their order changes.
    ///
    /// # Panics
    /// When another version shares the rows, when they were appended to, or when `order` is not a
    /// permutation of the row numbers.
    pub(crate) fn permute(&mut self, order: &[u32]) {
        assert!(order.len() == self.len && self.later.is_empty(), "one place for each row");
        let base = Arc::get_mut(&mut self.base).expect("no other version shares the rows");
        let values = match base {
            Base::Own(values) => values,
            Base::Stored(stored) => return stored.permute(order),
        };
        let stride = self.stride;
        let mut is_placed = vec![false; order.len()];
        let mut held = vec![T::default(); stride];
        for start in 0..order.len() {
            if is_placed[start] {
                continue;
            }
            held.copy_from_slice(&values[start * stride..][..stride]);
            let mut place = start;
            loop {
                is_placed[place] = true;
                let source = order[place] as usize;
                if source == start {
                    break;
                }
                assert!(!is_placed[source], "row {source} has two places");
                values.copy_within(source * stride..(source + 1) * stride, place * stride);
                place = source;
            }
            values[place * stride..][..stride].copy_from_slice(&held);
        }
    }
}

impl<T: Default> Blocks<T> {
    /// Appends `rows` rows of default values in whole blocks that later versions share: for
    /// elements that are written through a shared reference.
    pub(crate) fn grow(&mut self, rows: usize) {
        self.len += rows;
        while self.allotted() < self.len {
            let elements = self.rows_per_block() * self.stride;
            let block = std::iter::repeat_with(T::default).take(elements).collect();
            self.push_block(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Blocks;
    use crate::aligned::Aligned;
    use crate::stored::Stored;

    #[test]
    fn versions_do_not_change() {
        let mut table = Blocks::new(3, (0..6).collect::<Aligned<u32>>());
        let mut versions = vec![table.clone()];
        let mut next = 6;
        for rows in [1, 2, 5, 40_000, 1, 1_200_000, 1, 1] {
            let values: Vec<u32> = (next..next + 3 * rows).collect();
            next += 3 * rows;
            table.append(&values);
            versions.push(table.clone());
        }
        for version in &versions {
            for row in 0..version.len() {
                let first = 3 * row as u32;
                assert_eq!(version.row(row), [first, first + 1, first + 2]);
                assert_eq!(version.run(row)[..3], [first, first + 1, first + 2]);
                assert_eq!(version.rows().row(row), version.row(row));
            }
            let mut row = 0;
            while row < version.len() {
                let run = version.run(row);
                let rows = (run.len() / 3).min(version.len() - row);
                let first = 3 * row as u32;
                assert!(
                    rows > 0 && run[..3 * rows].iter().copied().eq(first..first + 3 * rows as u32)
                );
                row += rows;
            }
        }
    }

    /// A stored base is longer than what belongs to the table, and rows follow it.
    #[test]
    fn rows_of_a_stored_base_are_found_in_loops_too() {
        let base = Stored::of(3, Arc::new((0..12).collect::<Vec<u32>>()));
        let mut table = Blocks::stored(base, 2);
        table.append(&[6, 70, 80]);
        table.append(&[9, 100, 110]);
        let rows: Vec<u32> = (0..4).flat_map(|row| table.rows().row(row).to_vec()).collect();
        assert_eq!(rows, [0, 1, 2, 3, 4, 5, 6, 70, 80, 9, 100, 110]);
    }

    #[test]
    fn permute_moves_each_row_once() {
        let mut table = Blocks::new(2, (0..10).collect::<Aligned<u32>>());
        table.permute(&[3, 1, 4, 2, 0]);
        let rows: Vec<u32> = (0..5).map(|row| table.row(row)[0] / 2).collect();
        assert_eq!(rows, [3, 1, 4, 2, 0]);
    }
}
