//! Which rows an answer may be made of: those that are there and match a filter.

use arrow_buffer::BooleanBuffer;

use super::state::State;
use crate::{Filter, Result};

/// The rows of a version that may be returned.
#[derive(Clone, Debug)]
pub(super) struct Allowed<'a> {
    state: &'a State,
    /// A bit for each row; nothing stands for every row that was not deleted, so that a search
    /// without a filter does not go through all rows.
    matching: Option<BooleanBuffer>,
    count: usize,
}

impl<'a> Allowed<'a> {
    /// The points that match, or all points.
    pub(super) fn new(state: &'a State, filter: Option<&Filter>) -> Result<Self> {
        let matching = filter.map(|filter| state.matching(filter)).transpose()?;
        let count = matching.as_ref().map_or(state.live(), BooleanBuffer::count_set_bits);
        Ok(Self { state, matching, count })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn contains(&self, row: usize) -> bool {
        match &self.matching {
            Some(bits) => row < bits.len() && bits.value(row),
            None => self.state.is_visible(row),
        }
    }

    /// Those from `first` on, in ascending order.
    pub(super) fn rows_from(&self, first: usize) -> Vec<u32> {
        let len = self.state.rows.len();
        let first = first.min(len);
        if let Some(bits) = &self.matching {
            let behind = bits.slice(first, len - first);
            return behind.set_indices_u32().map(|row| row + first as u32).collect();
        }
        let (rows, deleted) = (first as u32..len as u32, &self.state.deleted);
        if deleted.range_cardinality(rows.clone()) == 0 {
            return rows.collect();
        }
        rows.filter(|row| !deleted.contains(*row)).collect()
    }
}

impl State {
    /// Whether a row is a point of this version.
    pub(super) fn is_visible(&self, row: usize) -> bool {
        row < self.rows.len() && !self.deleted.contains(row as u32)
    }

    /// A bit for each row: whether it is there and matches.
    fn matching(&self, filter: &Filter) -> Result<BooleanBuffer> {
        let fields = self.fields.metadata_schema();
        if self.rows.len() == 0 && fields.fields().is_empty() {
            // No field is known yet, so none can be called unknown.
            filter.to_json()?;
            return Ok(BooleanBuffer::new_unset(0));
        }
        let filter = filter.bind(&fields)?;
        let mut bits = self.rows.matching(&filter, &self.indexed)?;
        for row in self.deleted.iter().take_while(|row| (*row as usize) < self.rows.len()) {
            bits.set_bit(row as usize, false);
        }
        Ok(bits.finish())
    }

    /// The rows that are there and match.
    pub(super) fn rows_matching(&self, filter: &Filter) -> Result<Vec<u32>> {
        Ok(Allowed::new(self, Some(filter))?.rows_from(0))
    }
}
