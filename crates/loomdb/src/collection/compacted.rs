//! A version of a collection without the rows that were given up.
//!
//! It is made of one version while the next ones are written, and then catches up with them. Live
//! rows keep their order, so a row moves up by the dead ones before it.

use std::sync::Arc;

use loomdb_graph::{Observer, Vectors, Workers};
use roaring::RoaringBitmap;

use super::places::{Places, SharedPlaces};
use super::rows::{Rows, ids_of};
use super::state::{Making, State};
use crate::Result;
use crate::index::Index;

/// Rows that are copied together.
const PIECE: usize = 1 << 16;

impl State {
    /// The same points without the rows that were given up, in an index that `workers` build.
    pub(crate) fn compacted(
        &self,
        making: &Making,
        (workers, observer): (&Workers, &dyn Observer),
    ) -> Result<Self> {
        let live = self.live_from(0);
        let mut next = Self {
            rows: Rows::default(),
            places: Arc::new(SharedPlaces::from(Places::default())),
            deleted: Arc::default(),
            index: None,
            ..self.clone()
        };
        next.append_points(self, &live)?;
        if !live.is_empty() {
            let vectors = self.copied_vectors(&live)?;
            let made_with = self.made_with(making);
            let index = Index::build_with(vectors, self.metric, made_with, (workers, observer))?;
            next.index = Some(Arc::new(index));
        }
        Ok(next)
    }

    /// This version, which was made of `before`, with all that was written until `now`: the rows
    /// behind those of `before`, and the rows that were given up since.
    pub(crate) fn caught_up(self, before: &Self, now: &Self, making: &Making) -> Result<Self> {
        let first = before.rows.len() as u32;
        let given_up = now.deleted.iter().take_while(|row| *row < first);
        let given_up = given_up.filter(|row| !before.deleted.contains(*row));
        let deleted = given_up.map(|row| row - before.deleted.rank(row) as u32);
        let mut next = Self {
            deleted: Arc::new(deleted.collect::<RoaringBitmap>()),
            rows: self.rows,
            places: self.places,
            index: self.index,
            ..now.clone()
        };
        let behind = now.live_from(first);
        if behind.is_empty() {
            return Ok(next);
        }
        next.append_points(now, &behind)?;
        let vectors = now.copied_vectors(&behind)?;
        let index = if let Some(index) = next.index.take() {
            index
        } else {
            let (params, workers) = now.made_with(making);
            Arc::new(Index::with_workers(vectors.dim(), now.metric, params, workers)?)
        };
        index.append_to_tail(&vectors)?;
        index.start_linking();
        next.index = Some(index);
        Ok(next)
    }

    /// The rows from `first` on that are there.
    fn live_from(&self, first: u32) -> Vec<u32> {
        (first..self.rows.len() as u32).filter(|row| !self.deleted.contains(*row)).collect()
    }

    /// Appends ids and metadata of some rows of another version.
    fn append_points(&mut self, other: &Self, rows: &[u32]) -> Result<()> {
        let schema = self.schema();
        for piece in rows.chunks(PIECE) {
            let table = other.rows.select(piece, &schema)?;
            self.places.append(&ids_of(&table)?);
            self.rows.append(table, &schema)?;
        }
        Ok(())
    }

    fn copied_vectors(&self, rows: &[u32]) -> Result<Vectors> {
        let mut vectors = Vectors::with_capacity(self.dim.unwrap_or(1), rows.len())?;
        if let Some(view) = self.index.as_ref().map(|index| index.view()) {
            rows.iter().try_for_each(|row| vectors.push_rows(view.vector(*row as usize)))?;
        }
        Ok(vectors)
    }
}
