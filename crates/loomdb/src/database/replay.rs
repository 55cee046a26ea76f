//! The records of a log, applied to the collections that they name.
//!
//! A record is decoded by itself, so all threads do that. Batches that follow each other in one
//! collection are joined and applied together, which makes the same points: those of each batch
//! come behind those of the one before. Where that cannot be, because an id is in two of them, they
//! are applied in two halves.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use loomdb_graph::Vectors;

use super::open::Loading;
use crate::collection::{Change, Linking, Making};
use crate::storage::log::{RecordPlace, Records};
use crate::{Error, ErrorKind, Result};

/// Records that are decoded together.
const DECODED_RECORDS: usize = 4_096;

/// Rows up to which batches are joined.
const MAX_RUN_ROWS: usize = 4_096;

/// Batches of so many rows are not joined: they may have gone into a graph of their own.
const LARGE_ROWS: usize = 1_000;

/// A batch of points, and where its record is.
struct Put<'a> {
    place: &'a RecordPlace,
    table: RecordBatch,
    vectors: Arc<Vectors>,
}

/// Applies the records of a log.
pub(super) struct Replay<'a> {
    making: &'a Making,
    collections: &'a mut [Loading],
    /// Batches that are not applied yet, and the place of their collection.
    run: Vec<Put<'a>>,
    at: usize,
    rows: usize,
}

impl<'a> Replay<'a> {
    pub(super) fn new(collections: &'a mut [Loading], making: &'a Making) -> Self {
        Self { making, collections, run: Vec::new(), at: 0, rows: 0 }
    }

    /// Applies all records that are in no segment, and links what they leave behind the graphs.
    pub(super) fn apply(mut self, records: &'a Records) -> Result<()> {
        for some in records.places.chunks(DECODED_RECORDS) {
            let decode = |place: &RecordPlace| Change::decode(records.payload(place));
            let decoded = self.making.workers.map(some, decode);
            for (place, change) in some.iter().zip(decoded) {
                let (number, change) = change.map_err(|error| at(place, error))?;
                self.take(place, number, change)?;
            }
        }
        self.flush()?;
        self.collections.iter().for_each(|one| one.state.start_linking());
        Ok(())
    }

    fn take(&mut self, place: &'a RecordPlace, number: u32, change: Change) -> Result<()> {
        // A collection that is not there was dropped behind the record.
        let mut collections = self.collections.iter().enumerate();
        let Some((found, one)) = collections.find(|(_, one)| one.number == number) else {
            return Ok(());
        };
        if place.sequence <= one.sealed {
            return Ok(());
        }
        let (table, vectors) = match change {
            Change::Put { table, vectors } => (table, vectors),
            Change::Delete { .. } => {
                self.flush()?;
                self.at = found;
                return self.change(place, change, Linking::Deferred);
            }
        };
        let is_large = table.num_rows() >= LARGE_ROWS;
        let fits = self.run.last().is_none_or(|last| {
            let is_same = last.table.schema_ref() == table.schema_ref()
                && last.vectors.dim() == vectors.dim();
            found == self.at && is_same && !is_large && self.rows + table.num_rows() <= MAX_RUN_ROWS
        });
        if !fits {
            self.flush()?;
        }
        self.at = found;
        self.rows += table.num_rows();
        self.run.push(Put { place, table, vectors });
        Ok(())
    }

    /// Applies the batches that wait.
    fn flush(&mut self) -> Result<()> {
        let run = std::mem::take(&mut self.run);
        self.rows = 0;
        self.put(&run)
    }

    fn put(&mut self, run: &[Put<'_>]) -> Result<()> {
        let change = match run {
            [] => return Ok(()),
            [Put { place, table, vectors }] => {
                let (table, vectors) = (table.clone(), Arc::clone(vectors));
                return self.change(place, Change::Put { table, vectors }, Linking::Now(&()));
            }
            [.., last] => {
                joined(run).and_then(|change| self.change(last.place, change, Linking::Deferred))
            }
        };
        // Nothing was changed: an id is in two of them, or one of them cannot be applied.
        change.or_else(|_| {
            let (first, second) = run.split_at(run.len() / 2);
            self.put(first)?;
            self.put(second)
        })
    }

    fn change(&mut self, place: &RecordPlace, change: Change, linking: Linking<'_>) -> Result<()> {
        let Some(one) = self.collections.get_mut(self.at) else { return Ok(()) };
        let plan = one.state.plan(change, self.making).map_err(|error| match error.kind() {
            ErrorKind::InvalidInput => {
                Error::corrupted("a batch cannot be applied").caused_by(error)
            }
            _ => error,
        });
        let plan = plan.map_err(|error| at(place, error))?;
        one.state = plan.apply(place.sequence, linking)?;
        Ok(())
    }
}

/// An error about the contents of a record.
pub(super) fn at(place: &RecordPlace, error: Error) -> Error {
    if error.kind() == ErrorKind::Corrupted { error.at_offset(place.at as u64) } else { error }
}

/// Batches of one shape as one.
fn joined(run: &[Put<'_>]) -> Result<Change> {
    let unjoined = || Error::corrupted("batches of the log cannot be joined");
    let first = run.first().ok_or_else(unjoined)?;
    let table = concat_batches(first.table.schema_ref(), run.iter().map(|put| &put.table));
    let table = table.map_err(|error| unjoined().caused_by(error))?;
    let mut vectors = Vectors::with_capacity(first.vectors.dim(), table.num_rows())?;
    run.iter().try_for_each(|put| vectors.push_rows(put.vectors.as_flat()))?;
    Ok(Change::Put { table, vectors: Arc::new(vectors) })
}
