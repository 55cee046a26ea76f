//! One version of a collection, to be read while the collection goes on.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use loomdb_graph::Metric;
use loomdb_graph::Vectors;
use serde::Serialize;

use super::allowed::Allowed;
use super::fields::FieldType;
use super::metadata::{Metadata, to_record};
use super::persist::Files;
use super::points::Points;
use super::search::{Search, SearchMany};
use super::state::{IdType, State};
use super::within::Within;
use crate::index::{IndexInfo, IndexParams, View};
use crate::{Error, Filter, Id, Ids, Result};

/// A consistent version of a collection: what is written later is not in it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) state: Arc<State>,
    pub(super) view: Option<View>,
}

/// A stored point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Its name.
    pub id: Id,
    /// The vector as it was given.
    pub vector: Vec<f32>,
    /// The fields that are not null.
    pub metadata: Metadata,
}

/// Some points of a scan, and where the next begin.
#[derive(Clone, Debug)]
pub struct Page {
    /// The points, in the order in which they were written.
    pub points: Vec<Point>,
    /// What to give to the next call; nothing behind the last point.
    pub next: Option<usize>,
}

/// The points of some ids.
#[derive(Clone, Debug)]
pub struct Found {
    /// Those that are there, in the order of the ids.
    pub points: Points,
    /// The ids that are not there, in their order.
    pub missing: Ids,
}

/// The points of a version page by page, in the order in which they were written.
#[derive(Clone, Debug)]
pub struct Pages {
    snapshot: Snapshot,
    rows: Vec<u32>,
    from: usize,
    page_len: usize,
}

impl Iterator for Pages {
    type Item = Points;

    fn next(&mut self) -> Option<Points> {
        let rows = self.rows[self.from..].chunks(self.page_len).next()?.to_vec();
        self.from += rows.len();
        Some(Points::new(self.snapshot.clone(), rows))
    }
}

/// The state and the cost of a collection.
#[derive(Clone, Debug, Serialize)]
pub struct CollectionInfo {
    /// The number of points.
    pub points: usize,
    /// Rows that were deleted or replaced and still take space.
    pub deleted_rows: usize,
    /// The vector length, once it is known.
    pub dim: Option<usize>,
    /// How distances are measured.
    pub metric: String,
    /// The type of the ids, once it is known.
    pub id_type: Option<String>,
    /// The names and types of the metadata fields.
    pub fields: Vec<(String, String)>,
    /// Links of a node on the upper levels of the graph, when it is built next.
    pub m: usize,
    /// Beam width of the searches that link a single row.
    pub ef_construction: usize,
    /// The fields that are indexed, by name.
    pub indexed_fields: Vec<String>,
    /// Bytes of the ids and the metadata in memory; those of the vectors and links are in `index`.
    pub metadata_bytes: usize,
    /// Bytes of the indexes of fields in memory; each is made when a filter first asks for it.
    pub field_index_bytes: usize,
    /// Segments on the disk.
    pub segments: usize,
    /// Bytes of the files of the collection, without the log, which collections share.
    pub disk_bytes: u64,
    /// The index over the rows; nothing before the first write.
    pub index: Option<IndexInfo>,
}

impl Snapshot {
    pub(crate) fn of(state: Arc<State>) -> Self {
        // The index is asked last, so it knows at least the rows of the state.
        let view = state.index.as_ref().map(|index| index.view());
        Self { state, view }
    }

    /// The number of points.
    pub fn len(&self) -> usize {
        self.state.live()
    }

    /// Whether there are no points.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The vector length, once it is known.
    pub fn dim(&self) -> Option<usize> {
        self.state.dim
    }

    /// How distances are measured.
    pub fn metric(&self) -> Metric {
        self.state.metric
    }

    /// The metadata fields with their types, in the order in which they came up.
    pub fn fields(&self) -> impl Iterator<Item = (&str, FieldType)> {
        self.state.fields.iter()
    }

    /// The number of points that match a filter.
    ///
    /// # Errors
    /// `InvalidFilter` for a field that is unknown or compared with a value of another type.
    pub fn count_matching(&self, filter: &Filter) -> Result<usize> {
        Ok(Allowed::new(&self.state, Some(filter))?.count())
    }

    /// Whether there is a point of this id.
    pub fn contains(&self, id: &Id) -> bool {
        self.state.find(id).is_some()
    }

    /// The points of some ids, in their order; nothing for an id that is not there.
    pub fn get(&self, ids: &Ids) -> Vec<Option<Point>> {
        let rows = self.state.find_all(ids);
        rows.into_iter().map(|row| row.map(|row| self.point(row as usize))).collect()
    }

    /// At most `limit` points from `from` on, which is 0 for the first page and [`Page::next`] of
    /// the page before for others.
    pub fn scan(&self, from: usize, limit: usize) -> Page {
        let mut points = Vec::new();
        for row in from..self.state.rows.len() {
            if !self.state.is_visible(row) {
                continue;
            }
            if points.len() == limit {
                return Page { points, next: Some(row) };
            }
            points.push(self.point(row));
        }
        Page { points, next: None }
    }

    /// All points, or those that match a filter, in pages of at most `page_len` points. The filter
    /// is evaluated once, here.
    ///
    /// # Errors
    /// `InvalidInput` when `page_len` is 0. `InvalidFilter` for a field that is unknown or
    /// compared with a value of another type.
    pub fn pages(&self, page_len: usize, filter: Option<&Filter>) -> Result<Pages> {
        if page_len == 0 {
            return Err(Error::invalid("page_len is 0").advise("ask for at least one point"));
        }
        let rows = Allowed::new(&self.state, filter)?.rows_from(0);
        Ok(Pages { snapshot: self.clone(), rows, from: 0, page_len })
    }

    /// The points of some ids as flat arrays, and the ids that are not there.
    ///
    /// # Errors
    /// `InvalidInput` for ids of the other type.
    pub fn find(&self, ids: &Ids) -> Result<Found> {
        self.state.check_id_type(ids)?;
        let found = self.state.find_all(ids);
        let missing = (0..ids.len() as u32).filter(|at| found[*at as usize].is_none());
        let missing = ids.select(&missing.collect::<Vec<_>>());
        let points = Points::new(self.clone(), found.into_iter().flatten().collect());
        Ok(Found { points, missing })
    }

    /// The nearest points to each of many queries; see [`SearchMany`].
    pub fn search_many<'a>(&'a self, queries: &'a Vectors) -> SearchMany<'a> {
        SearchMany::new(Cow::Borrowed(self), queries)
    }

    /// All points at most `max_distance` away from a query; see [`Within`].
    pub fn within<'a>(&'a self, query: &'a [f32], max_distance: f32) -> Within<'a> {
        Within::new(Cow::Borrowed(self), query, max_distance)
    }

    /// The nearest points to a query; see [`Search`].
    pub fn search<'a>(&'a self, query: &'a [f32]) -> Search<'a> {
        Search::new(Cow::Borrowed(self), query)
    }

    /// The rows that are points, in ascending order.
    pub(crate) fn live_rows(&self) -> Vec<u32> {
        let rows = 0..self.state.rows.len();
        rows.filter(|row| self.state.is_visible(*row)).map(|row| row as u32).collect()
    }

    /// The shape of the table of ids and metadata.
    pub(crate) fn schema(&self) -> SchemaRef {
        self.state.schema()
    }

    /// The ids and metadata of some rows.
    pub(crate) fn table(&self, rows: &[u32]) -> Result<RecordBatch> {
        self.state.rows.select(rows, &self.state.schema())
    }

    /// The vector of a row.
    pub(crate) fn vector(&self, row: usize) -> &[f32] {
        self.view.as_ref().map_or(&[], |view| view.vector(row))
    }

    pub(super) fn metadata(&self, row: usize) -> Metadata {
        let (table, at) = self.state.rows.locate(row);
        let mut record = to_record(table, at);
        // Tables from before the field was widened still hold integers.
        for (name, _) in self.state.fields.iter().filter(|(_, field)| *field == FieldType::Float) {
            if let Some(value) = record.get_mut(name)
                && let Some(float) = value.as_i64()
            {
                *value = (float as f64).into();
            }
        }
        record
    }

    pub(super) fn point(&self, row: usize) -> Point {
        let (id, vector) = (self.state.rows.id(row), self.vector(row).to_vec());
        Point { id, vector, metadata: self.metadata(row) }
    }

    /// `params` are those of the database.
    pub(super) fn info(&self, files: Files, params: &IndexParams) -> CollectionInfo {
        let state = &self.state;
        let IndexParams { m, ef_construction, .. } = state.graph.over(params);
        let field = |(name, field): (&str, FieldType)| (name.to_owned(), field.name().to_owned());
        CollectionInfo {
            points: state.live(),
            deleted_rows: state.deleted.len() as usize,
            dim: state.dim,
            metric: state.metric.to_string(),
            id_type: state.id_type.map(IdType::name).map(str::to_owned),
            fields: state.fields.iter().map(field).collect(),
            m,
            ef_construction,
            indexed_fields: state.indexed.iter().cloned().collect(),
            metadata_bytes: state.rows.bytes(),
            field_index_bytes: state.rows.index_bytes(),
            segments: files.segments,
            disk_bytes: files.bytes,
            index: state.index.as_ref().map(|index| index.info()),
        }
    }
}
