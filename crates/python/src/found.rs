//! Points that a search found, or that were looked up: ids, metadata and vectors are made into
//! Python objects when they are asked for.

use std::ffi::CStr;
use std::sync::{Arc, OnceLock};

use arrow_array::builder::{FixedSizeListBuilder, Float32Builder};
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{
    Array, ArrayRef, Float32Array, RecordBatch, RecordBatchIterator, RecordBatchOptions,
    StringArray, UInt32Array, UInt64Array,
};
use arrow_schema::{Field, Schema};
use loomdb::{Hits, Id, Ids, Points};
use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict};

use crate::errors::{exception, raise};
use crate::handle::{Handle, Held, Life};
use crate::{ids, records};

/// What Arrow calls the capsule of a stream.
const STREAM: &CStr = c"arrow_array_stream";

/// Points in some order, and the distance of each if they were searched for.
///
/// They hold the version of the collection that they were found in, so they stay as they are, also
/// when the database was closed.
#[pyclass(frozen, module = "loomdb._native")]
pub struct Found(Handle<Inner>);

struct Inner {
    points: Points,
    distances: Vec<f32>,
    ids: OnceLock<Ids>,
    metadata: OnceLock<RecordBatch>,
}

impl Held for Inner {
    /// Asking other threads to run takes longer than dropping what was found, and there is one of
    /// these for each search.
    fn is_light(&self) -> bool {
        self.points.is_version_shared()
    }
}

impl Found {
    /// The points of all queries, and where those of each end.
    pub fn of_hits(hits: Hits) -> (Self, Vec<usize>) {
        let (points, distances, ends) = hits.into_parts();
        (Self::new(points, distances), ends)
    }

    pub fn of_points(points: Points) -> Self {
        Self::new(points, Vec::new())
    }

    fn new(points: Points, distances: Vec<f32>) -> Self {
        let (ids, metadata) = (OnceLock::new(), OnceLock::new());
        let inner = Inner { points, distances, ids, metadata };
        Self(Handle::new(inner, Life::new()))
    }
}

impl Inner {
    fn check(&self, at: usize) -> PyResult<()> {
        if at < self.points.len() {
            return Ok(());
        }
        Err(exception("InternalError", "there is no such point"))
    }

    fn ids(&self) -> &Ids {
        self.ids.get_or_init(|| self.points.ids())
    }

    fn metadata(&self) -> PyResult<&RecordBatch> {
        if let Some(table) = self.metadata.get() {
            return Ok(table);
        }
        let table = self.points.metadata().map_err(|error| raise(&error))?;
        Ok(self.metadata.get_or_init(|| table))
    }

    /// Everything as columns: ids, distances, vectors if wanted, and the metadata.
    fn table(&self, has_vectors: bool) -> PyResult<RecordBatch> {
        let metadata = self.metadata()?;
        let ids: ArrayRef = match self.ids() {
            Ids::Integer(ids) => Arc::new(UInt64Array::from(ids.clone())),
            Ids::Text(ids) => Arc::new(StringArray::from_iter_values(ids)),
        };
        let mut fields = vec![Field::new("id", ids.data_type().clone(), false)];
        let mut columns = vec![ids];
        if self.distances.len() == self.points.len() && !self.distances.is_empty() {
            let is_taken = metadata.column_by_name("distance").is_some();
            let name = if is_taken { "_distance" } else { "distance" };
            let distances = Float32Array::from(self.distances.clone());
            fields.push(Field::new(name, distances.data_type().clone(), false));
            columns.push(Arc::new(distances));
        }
        if has_vectors {
            let vectors = self.vectors()?;
            fields.push(Field::new("vector", vectors.data_type().clone(), true));
            columns.push(vectors);
        }
        fields.extend(metadata.schema().fields().iter().map(|field| Field::clone(field)));
        columns.extend(metadata.columns().iter().cloned());
        let options = RecordBatchOptions::new().with_row_count(Some(self.points.len()));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
            .map_err(|error| exception("InternalError", &error.to_string()))
    }

    fn vectors(&self) -> PyResult<ArrayRef> {
        let mut rows = self.points.rows_of_vectors().peekable();
        let dim = rows.peek().map_or(0, |row| row.len());
        let width = i32::try_from(dim).map_err(|_| exception("InternalError", "dim"))?;
        let mut builder = FixedSizeListBuilder::new(Float32Builder::new(), width);
        for row in rows {
            builder.values().append_slice(row);
            builder.append(true);
        }
        Ok(Arc::new(builder.finish()))
    }
}

#[pymethods]
impl Found {
    fn __len__(&self) -> PyResult<usize> {
        Ok(self.0.get()?.points.len())
    }

    fn id<'py>(&self, py: Python<'py>, at: usize) -> PyResult<Bound<'py, PyAny>> {
        let inner = self.0.get()?;
        inner.check(at)?;
        let id: Id = inner.ids().get(at);
        ids::id_to_python(py, &id)
    }

    fn distance(&self, at: usize) -> PyResult<f32> {
        let inner = self.0.get()?;
        inner.check(at)?;
        Ok(inner.distances.get(at).copied().unwrap_or(f32::NAN))
    }

    fn metadata<'py>(&self, py: Python<'py>, at: usize) -> PyResult<Bound<'py, PyDict>> {
        let inner = self.0.get()?;
        inner.check(at)?;
        records::to_python(py, inner.metadata()?, at)
    }

    fn vector<'py>(&self, py: Python<'py>, at: usize) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let inner = self.0.get()?;
        inner.check(at)?;
        let row = inner.points.rows_of_vectors().nth(at).unwrap_or_default();
        Ok(PyArray1::from_slice(py, row))
    }

    fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        ids::to_python(py, self.0.get()?.ids())
    }

    fn distances<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<f32>>> {
        Ok(PyArray1::from_slice(py, &self.0.get()?.distances))
    }

    fn vectors<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let points = &self.0.get()?.points;
        let dim = points.rows_of_vectors().next().map_or(0, <[f32]>::len);
        let mut values = Vec::with_capacity(points.len() * dim);
        points.rows_of_vectors().for_each(|row| values.extend_from_slice(row));
        PyArray1::from_vec(py, values).reshape([points.len(), dim])
    }

    /// A capsule with an Arrow stream of some of the points, all if `places` is not given.
    fn stream<'py>(
        &self,
        py: Python<'py>,
        places: Option<Vec<u32>>,
        has_vectors: bool,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let failed =
            |error: arrow_schema::ArrowError| exception("InternalError", &error.to_string());
        let mut table = self.0.get()?.table(has_vectors)?;
        if let Some(places) = places {
            let places = UInt32Array::from(places);
            table = arrow_select::take::take_record_batch(&table, &places).map_err(failed)?;
        }
        let schema = table.schema();
        let reader = RecordBatchIterator::new([Ok(table)], schema);
        PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(Box::new(reader)), STREAM)
    }
}
