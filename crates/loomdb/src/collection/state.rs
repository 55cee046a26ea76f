//! A version of a collection, and the one way from a version to the next.
//!
//! [`State::plan`] does everything that can be refused, and changes nothing. Then the batch is
//! made durable. [`Plan::apply`] follows, which can fail no more. Replaying the log goes the same
//! way, so that a database that is opened again is the one that was closed.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef};
use loomdb_graph::{MAX_ROWS, Metric, Observer, Vectors, Workers, check_rows};
use roaring::RoaringBitmap;

use super::change::Change;
use super::fields::Fields;
use super::places::SharedPlaces;
use super::rows::{Rows, ids_of};
use crate::database::BULK_BYTES;
use crate::index::{Batch, Index, IndexParams, Linked};
use crate::storage::graph_params::GraphParams;
use crate::{Error, Id, Ids, Result};

/// What the ids of a collection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdType {
    /// Unsigned integers of 64 bits.
    Integer,
    /// Texts.
    Text,
}

impl IdType {
    /// The name in messages and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Text => "text",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        [Self::Integer, Self::Text].into_iter().find(|one| one.name() == name)
    }

    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::Integer => DataType::UInt64,
            Self::Text => DataType::Utf8,
        }
    }

    pub(super) fn of(ids: &Ids) -> Self {
        match ids {
            Ids::Integer(_) => Self::Integer,
            Ids::Text(_) => Self::Text,
        }
    }
}

/// What indexes are made with.
#[derive(Clone)]
pub(crate) struct Making {
    pub params: IndexParams,
    pub workers: Arc<Workers>,
    /// Watches compactions.
    pub observer: Arc<dyn Observer + Send>,
}

impl Making {
    /// Who rewrites collections, and who watches that.
    pub(crate) fn watched(&self) -> (&Workers, &dyn Observer) {
        (&self.workers, &*self.observer)
    }
}

impl fmt::Debug for Making {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Making").field("params", &self.params).finish_non_exhaustive()
    }
}

/// A version of a collection; clones share almost everything.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(super) metric: Metric,
    /// The vector length, once it is known.
    pub(super) dim: Option<usize>,
    pub(super) graph: GraphParams,
    pub(super) index: Option<Arc<Index>>,
    pub(super) rows: Rows,
    pub(super) places: Arc<SharedPlaces>,
    pub(super) deleted: Arc<RoaringBitmap>,
    pub(super) fields: Arc<Fields>,
    /// The fields that are indexed.
    pub(super) indexed: Arc<BTreeSet<String>>,
    /// The shape of all rows, from the fields and the type of the ids.
    pub(super) schema: SchemaRef,
    pub(super) id_type: Option<IdType>,
    pub(super) next_id: u64,
    /// The last batch that is in it.
    pub(super) sequence: u64,
}

/// When the rows of a batch get into the graph.
#[derive(Clone, Copy)]
pub(crate) enum Linking<'a> {
    /// As the index plans it; a build is watched.
    Now(&'a dyn Observer),
    /// Later, together with those of other batches.
    Deferred,
}

/// The next version, before it is durable.
#[derive(Debug)]
pub(crate) struct Plan {
    next: State,
    /// The ids of new rows.
    put: Option<Ids>,
    /// Their vectors, unless they are in the graph already.
    vectors: Option<Arc<Vectors>>,
    /// The graph with the new rows, if they go there at once.
    linked: Option<Linked>,
    /// How many rows were given up.
    pub replaced: u64,
}

impl State {
    pub(crate) fn empty(metric: Metric, dim: Option<usize>, graph: GraphParams) -> Self {
        Self {
            metric,
            dim,
            graph,
            index: None,
            rows: Rows::default(),
            places: Arc::default(),
            deleted: Arc::default(),
            fields: Arc::default(),
            indexed: Arc::default(),
            schema: Fields::default().schema(IdType::Integer.data_type()),
            id_type: None,
            next_id: 0,
            sequence: 0,
        }
    }

    /// The number of points that are there.
    pub(crate) fn live(&self) -> usize {
        self.rows.len() - self.deleted.len() as usize
    }

    /// Rows, those of them that were given up, and the flat limit.
    pub(crate) fn space(&self) -> (usize, usize, usize) {
        let flat_limit = self.index.as_ref().map_or(0, |index| index.flat_limit());
        (self.rows.len(), self.deleted.len() as usize, flat_limit)
    }

    /// The row of an id.
    pub(super) fn find(&self, id: &Id) -> Option<u32> {
        let places = self.places.read();
        places.find(id, self.rows.len(), &self.deleted)
    }

    /// The rows of some ids, as far as they are there.
    pub(super) fn find_all(&self, ids: &Ids) -> Vec<Option<u32>> {
        let places = self.places.read();
        let find = |row| places.find(&ids.get(row), self.rows.len(), &self.deleted);
        (0..ids.len()).map(find).collect()
    }

    /// The ids of some rows.
    pub(super) fn ids_at(&self, rows: &[u32]) -> Ids {
        self.rows.ids(rows, self.id_type == Some(IdType::Text))
    }

    /// The shape of all rows.
    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// What its index is made with.
    pub(super) fn made_with(&self, making: &Making) -> (IndexParams, Arc<Workers>) {
        (self.graph.over(&making.params), Arc::clone(&making.workers))
    }

    /// Follows a change of the fields or of the type of the ids.
    pub(super) fn renew_schema(&mut self) {
        self.schema = self.fields.schema(self.id_type.unwrap_or(IdType::Integer).data_type());
    }

    /// The next version; fails when the change cannot be made.
    pub(crate) fn plan(&self, change: Change, making: &Making) -> Result<Plan> {
        match change {
            Change::Put { table, vectors } => self.plan_put(&table, vectors, making),
            Change::Delete { table } => {
                let found = self.find_all(&ids_of(&table)?);
                let mut next = self.clone();
                let replaced = next.give_up(&found);
                Ok(Plan { next, put: None, vectors: None, linked: None, replaced })
            }
        }
    }

    fn plan_put(
        &self,
        table: &RecordBatch,
        vectors: Arc<Vectors>,
        making: &Making,
    ) -> Result<Plan> {
        let ids = ids_of(table)?;
        ids.validate()?;
        self.check_id_type(&ids)?;
        self.check_vectors(&vectors)?;
        if ids.len() != vectors.len() {
            return Err(Error::invalid("there is not one vector for each id"));
        }
        let rows = self.rows.len() + vectors.len();
        if rows > MAX_ROWS {
            return Err(loomdb_graph::Error::TooManyRows { rows }.into());
        }
        let mut next = self.clone();
        next.dim = Some(vectors.dim());
        next.id_type = Some(IdType::of(&ids));
        if !self.fields.cover(table) {
            next.fields = Arc::new(self.fields.merged(table)?);
            let mut tables = self.rows.tables();
            tables.push(table);
            next.fields.check_widened(&self.fields, &tables)?;
        }
        if next.id_type != self.id_type || next.fields != self.fields {
            next.renew_schema();
        }
        if next.index.is_none() {
            let (params, workers) = self.made_with(making);
            let index = Index::with_workers(vectors.dim(), self.metric, params, workers)?;
            next.index = Some(Arc::new(index));
        }
        if let Ids::Integer(ids) = &ids {
            let highest = ids.iter().max().map_or(0, |id| id.saturating_add(1));
            next.next_id = next.next_id.max(highest);
        }
        let replaced = next.give_up(&self.find_all(&ids));
        let schema = next.schema();
        next.rows.append(super::fields::project(table, &schema)?, &schema)?;
        Ok(Plan { next, put: Some(ids), vectors: Some(vectors), linked: None, replaced })
    }

    fn give_up(&mut self, found: &[Option<u32>]) -> u64 {
        let before = self.deleted.len();
        if found.iter().any(Option::is_some) {
            let deleted = Arc::make_mut(&mut self.deleted);
            deleted.extend(found.iter().flatten());
        }
        self.deleted.len() - before
    }

    pub(super) fn check_id_type(&self, ids: &Ids) -> Result<()> {
        match self.id_type {
            Some(own) if own != IdType::of(ids) => {
                let (own, given) = (own.name(), IdType::of(ids).name());
                let what = format!("the ids of the collection are {own}s, these are {given}s");
                Err(Error::invalid(what).advise("keep to one type of ids"))
            }
            _ => Ok(()),
        }
    }

    /// What the index would refuse once it is too late.
    fn check_vectors(&self, vectors: &Vectors) -> Result<()> {
        if let Some(expected) = self.dim
            && expected != vectors.dim()
        {
            let given = vectors.dim();
            return Err(loomdb_graph::Error::DimMismatch { expected, given }.into());
        }
        Ok(check_rows(self.metric, vectors)?)
    }
}

impl Plan {
    /// The next version, whose new rows are in no index yet.
    pub(crate) fn next(&self) -> &State {
        &self.next
    }

    /// The vectors of the new rows.
    pub(crate) fn vectors(&self) -> Option<&Vectors> {
        self.vectors.as_deref()
    }

    /// Builds the graph of a large batch, the one part that takes long and may be canceled, while
    /// nothing is written yet. Vectors that are not written to the log may go into it.
    pub(crate) fn prepare(&mut self, linking: Linking<'_>, are_written: bool) -> Result<()> {
        let (Linking::Now(observer), Some(index)) = (linking, &self.next.index) else {
            return Ok(());
        };
        self.linked = match (self.vectors.take(), are_written) {
            (Some(vectors), false) => match index.prepare_owned(vectors, observer)? {
                Ok(linked) => Some(linked),
                Err(vectors) => {
                    let linked = index.prepare(Batch::Lent(&vectors), observer)?;
                    self.vectors = Some(vectors);
                    linked
                }
            },
            (vectors, _) => {
                self.vectors = vectors;
                let prepare = |vectors| index.prepare(Batch::Lent(vectors), observer);
                self.vectors().map_or(Ok(None), prepare)?
            }
        };
        Ok(())
    }

    /// [`Self::prepare`] of a batch that is written to files meanwhile; the graph for
    /// [`Self::take`].
    pub(crate) fn link(&self, linking: Linking<'_>) -> Result<Option<Linked>> {
        let (Linking::Now(observer), Some(index), Some(vectors)) =
            (linking, &self.next.index, &self.vectors)
        else {
            return Ok(None);
        };
        // Few vectors are not moved to their file.
        let is_moved = size_of_val(vectors.as_flat()) >= BULK_BYTES;
        let batch = if is_moved { Batch::Filed(vectors) } else { Batch::Lent(vectors) };
        index.prepare(batch, observer)
    }

    /// Takes the graph that was made of it.
    pub(crate) fn take(&mut self, linked: Option<Linked>) {
        self.linked = linked;
    }

    /// Whether the new rows are to get into the tail, behind those that are there.
    pub(crate) fn is_for_tail(&self, linking: Linking<'_>) -> bool {
        self.linked.is_none() && matches!(linking, Linking::Deferred)
    }

    /// Gives up the vectors of new rows that are in the tail already.
    pub(crate) fn drop_vectors(&mut self) {
        self.vectors = None;
    }

    /// The next version, complete. What it fails with, if it does, is memory or a thread.
    pub(crate) fn apply(self, sequence: u64, linking: Linking<'_>) -> Result<State> {
        let mut next = self.next;
        next.sequence = sequence;
        if let (Some(ids), Some(index)) = (self.put, &next.index) {
            match (self.linked, self.vectors, linking) {
                (Some(linked), _, _) => index.publish(linked)?,
                (None, Some(vectors), Linking::Now(_)) => index.append(&vectors).map(drop)?,
                (None, Some(vectors), Linking::Deferred) => index.append_to_tail(&vectors)?,
                (None, None, _) => {}
            }
            next.places.append(&ids);
        }
        Ok(next)
    }
}
