//! A collection put together from what can be read of its files.
//!
//! Sound rows are written again in their order, as if they came as batches, so whatever holds for
//! batches holds for them: of equal ids the newest wins.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{RecordBatch, UInt32Array};
use roaring::RoaringBitmap;

use super::change::Change;
use super::fields::Fields;
use super::rows::ids_of;
use super::state::{Linking, Making, State};
use crate::repair::Loss;
use crate::storage::manifest::Collection;
use crate::storage::salvage::{SalvagedRows, read_segment};
use crate::storage::segment::Place;
use crate::{Id, Ids, Result};

impl State {
    /// The points of a collection that can be read; what cannot be is noted in `losses`.
    pub(crate) fn salvage(
        place: Place<'_>,
        entry: &Collection,
        making: &Making,
        losses: &mut Vec<Loss>,
    ) -> Result<Self> {
        let mut state = Self::of_entry(entry)?;
        if let Ok(fields) = Fields::from_records(&entry.fields) {
            state.fields = Arc::new(fields);
            state.renew_schema();
        }
        let deletes = place.read_deletes(entry).unwrap_or_else(|error| {
            let file = entry.deletes.as_ref().map_or("", |record| record.name());
            let what = format!("deleted points may be back: {}", error.what());
            losses.push(Loss::new(file, what));
            RoaringBitmap::new()
        });
        let mut first = 0;
        for segment in &entry.segments {
            let rows = read_segment(place.fs, place.root, segment, (entry.dim, losses));
            let vectors = segment.vectors.name();
            let part = Part { rows, vectors, first, deletes: &deletes };
            let points = segment.points.name();
            let mut unnamed = part.live(0..segment.rows).count();
            for (first, batch) in &part.rows.batches {
                unnamed -= part.live(*first..first + batch.num_rows()).count();
                let put = state.put_again(&part, *first, batch, making);
                let (next, lost) = put.unwrap_or_else(|error| {
                    let lost = part.live(*first..first + batch.num_rows()).count();
                    let what = format!("a batch cannot be written again: {error}");
                    (None, Some(Loss { points: lost, ..Loss::new(points, what) }))
                });
                state = next.unwrap_or(state);
                losses.extend(lost);
            }
            if unnamed > 0 {
                let what = "points whose ids cannot be read";
                losses.push(Loss { points: unnamed, ..Loss::new(points, what) });
            }
            first += segment.rows;
        }
        state.sequence = entry.sequence;
        Ok(state)
    }

    /// This version with the points of a batch whose vectors can be read, and those that cannot.
    fn put_again(
        &self,
        part: &Part<'_>,
        first: usize,
        batch: &RecordBatch,
        making: &Making,
    ) -> Result<(Option<Self>, Option<Loss>)> {
        let ids = ids_of(batch)?;
        let live: Vec<usize> = part.live(first..first + batch.num_rows()).collect();
        let (sound, lost): (Vec<usize>, Vec<usize>) =
            live.into_iter().partition(|row| part.rows.vector(*row).is_some());
        let lost: Vec<Id> = lost.iter().map(|row| ids.get(row - first)).collect();
        let what = "points whose vectors cannot be read";
        let loss = Loss { points: lost.len(), ids: lost, ..Loss::new(part.vectors, what) };
        let loss = (loss.points > 0).then_some(loss);
        let sound = newest(&ids, first, sound);
        if sound.is_empty() {
            return Ok((None, loss));
        }
        let places: UInt32Array = sound.iter().map(|row| (row - first) as u32).collect();
        let table = arrow_select::take::take_record_batch(batch, &places);
        let table = table.map_err(|error| crate::Error::corrupted(error.to_string()))?;
        let vectors = Arc::new(part.rows.vectors(&sound)?);
        let plan = self.plan(Change::Put { table, vectors }, making)?;
        let next = plan.apply(0, Linking::Deferred)?;
        Ok((Some(next), loss))
    }
}

/// A segment of a collection.
struct Part<'a> {
    rows: SalvagedRows,
    /// The file of its vectors.
    vectors: &'a str,
    /// The row of the collection that is its first.
    first: usize,
    deletes: &'a RoaringBitmap,
}

impl Part<'_> {
    /// Those of its rows that were not deleted.
    fn live(&self, rows: std::ops::Range<usize>) -> impl Iterator<Item = usize> {
        rows.filter(|row| !self.deletes.contains((self.first + row) as u32))
    }
}

/// The last of the rows of each id: without the deletions, older ones are there too.
fn newest(ids: &Ids, first: usize, rows: Vec<usize>) -> Vec<usize> {
    let last: HashMap<Id, usize> = rows.iter().map(|row| (ids.get(row - first), *row)).collect();
    rows.into_iter().filter(|row| last.get(&ids.get(row - first)) == Some(row)).collect()
}
