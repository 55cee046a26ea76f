//! One version of a collection, to be read while the collection goes on.

use std::sync::Arc;

use serde::Serialize;

use super::allowed::Allowed;
use super::fields::FieldType;
use super::metadata::{Metadata, to_record};
use super::search::Search;
use super::state::{IdType, State};
use crate::index::{IndexInfo, View};
use crate::{Filter, Id, Ids, Result};

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
    /// The index over the rows; nothing before the first write.
    pub index: Option<IndexInfo>,
}

impl Snapshot {
    pub(super) fn of(state: Arc<State>) -> Self {
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

    /// The nearest points to a query; see [`Search`].
    pub fn search<'a>(&'a self, query: &'a [f32]) -> Search<'a> {
        Search::new(std::borrow::Cow::Borrowed(self), query)
    }

    /// The vector of a row.
    pub(super) fn vector(&self, row: usize) -> &[f32] {
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

    fn point(&self, row: usize) -> Point {
        let (id, vector) = (self.state.rows.id(row), self.vector(row).to_vec());
        Point { id, vector, metadata: self.metadata(row) }
    }

    pub(super) fn info(&self) -> CollectionInfo {
        let state = &self.state;
        let field = |(name, field): (&str, FieldType)| (name.to_owned(), field.name().to_owned());
        CollectionInfo {
            points: state.live(),
            deleted_rows: state.deleted.len() as usize,
            dim: state.dim,
            metric: state.metric.to_string(),
            id_type: state.id_type.map(IdType::name).map(str::to_owned),
            fields: state.fields.iter().map(field).collect(),
            index: state.index.as_ref().map(|index| index.info()),
        }
    }
}
