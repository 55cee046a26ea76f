//! Collections as a Python class.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use loomdb::import::{MetadataColumns, Options, read_all};
use loomdb::storage::Existing;
use loomdb::{Batch, ExportOptions, Ids};
use loomdb_graph::{Observer, Vectors};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::found::Found;
use crate::handle::{Handle, Life, detached};
use crate::stream::Stream;
use crate::tables::Names;
use crate::values::{Rows, filter, flat, plain, query, vectors};
use crate::watch::{Watch, watched};
use crate::{ids, tables};

/// A batch with so many values is written on a thread of its own, which costs some microseconds,
/// so that it can be stopped.
const WATCHED_VALUES: usize = 1 << 18;

/// `k`, `ef_search`, and whether the search is exact.
type Width = (usize, usize, bool);

/// Whether points that are there are replaced, and what is told of the progress.
type How<'py> = (bool, Option<Bound<'py, PyAny>>);

/// The points of a scan, page by page.
#[pyclass(frozen, module = "loomdb._native")]
pub struct Pages(Mutex<Handle<loomdb::Pages>>);

#[pymethods]
impl Pages {
    fn next(&self) -> PyResult<Option<Found>> {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(pages.get_mut()?.next().map(Found::of_points))
    }
}

/// The vector length, the metric, and the fields with their types.
type Shape = (Option<usize>, &'static str, Vec<(String, &'static str)>);

#[pyclass(frozen, module = "loomdb._native")]
pub struct Collection(Handle<loomdb::Collection>);

impl Collection {
    pub fn new(collection: loomdb::Collection, life: Arc<Life>) -> Self {
        Self(Handle::new(collection, life))
    }
}

#[pymethods]
impl Collection {
    fn name(&self) -> PyResult<String> {
        Ok(self.0.get()?.name())
    }

    /// Writes ids, vectors and metadata, of which only the vectors must be there.
    fn put<'py>(
        &self,
        py: Python<'py>,
        given: (Option<Bound<'py, PyAny>>, Rows<'py>, Option<Bound<'py, PyAny>>),
        how: How<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (collection, (replace, progress)) = (self.0.get()?, how);
        let (given_ids, rows, metadata) = given;
        let given_ids = given_ids.map(|given| ids::from_python(&given)).transpose()?;
        let metadata = metadata.map(|metadata| tables::metadata(&metadata)).transpose()?;
        let (dim, values) = flat(&rows)?;
        let make = || {
            let vectors = Vectors::from_flat(dim, values)?;
            let batch = match given_ids {
                Some(ids) => Batch::new(ids, vectors)?,
                None => Batch::without_ids(vectors),
            };
            match metadata {
                Some(metadata) => batch.with_metadata(metadata),
                None => Ok(batch),
            }
        };
        let written = if values.len() < WATCHED_VALUES && progress.is_none() {
            detached(py, || write(collection, make()?, replace, &()))?
        } else {
            let watch = Watch::default();
            watched(py, progress.as_ref(), &watch, || write(collection, make()?, replace, &watch))?
        };
        ids::to_python(py, &written)
    }

    /// Writes a table as one batch.
    fn put_table<'py>(
        &self,
        py: Python<'py>,
        given: Bound<'py, PyAny>,
        names: Names,
        how: How<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (collection, (replace, progress)) = (self.0.get()?, how);
        let table = tables::of_points(&given, &names)?;
        let watch = Watch::default();
        let written = watched(py, progress.as_ref(), &watch, || {
            write(collection, Batch::from_table(&table)?, replace, &watch)
        })?;
        ids::to_python(py, &written)
    }

    /// Writes a reader, or the tables of an iterator, in pieces.
    fn put_stream<'py>(
        &self,
        py: Python<'py>,
        given: Bound<'py, PyAny>,
        names: Names,
        how: How<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (collection, (replace, progress)) = (self.0.get()?, how);
        let stream = Stream::new(&given, names)?;
        let written = stream.write(collection, py, (replace, progress.as_ref()))?;
        ids::to_python(py, &written)
    }

    /// Writes the points in files; returns their ids, and the columns that cannot be metadata.
    fn load<'py>(
        &self,
        py: Python<'py>,
        files: Vec<PathBuf>,
        names: Names,
        how: How<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, Vec<String>)> {
        let (collection, (replace, progress)) = (self.0.get()?, how);
        let (vector_column, id_column) = names;
        let watch = Watch::default();
        let (written, left_out) = watched(py, progress.as_ref(), &watch, || {
            let tell = |done, total| watch.tell("read", done, total);
            let metadata_columns = MetadataColumns::All;
            let options = Options {
                vector_column,
                id_column,
                metadata_columns,
                progress: &tell,
                ..Options::default()
            };
            let mut imported = read_all(&files, &options)?;
            let left_out = std::mem::take(&mut imported.left_out);
            Ok((write(collection, imported.into_batch()?, replace, &watch)?, left_out))
        })?;
        Ok((ids::to_python(py, &written)?, left_out))
    }

    /// Replaces fields of the metadata of points; a value that is `None` takes the field away.
    fn update(
        &self,
        py: Python<'_>,
        given_ids: &Bound<'_, PyAny>,
        given: &Bound<'_, PyList>,
    ) -> PyResult<()> {
        let collection = self.0.get()?;
        let ids = ids::from_python(given_ids)?;
        let (table, keys) = tables::changes(collection, given)?;
        detached(py, || {
            let is_given =
                |name: &str, row: usize| keys.get(row).is_some_and(|keys| keys.contains(name));
            collection.update_given(&ids, &table, &is_given)
        })
    }

    fn delete(&self, py: Python<'_>, given: &Bound<'_, PyAny>) -> PyResult<usize> {
        let collection = self.0.get()?;
        let ids = ids::from_python(given)?;
        detached(py, || collection.delete(&ids))
    }

    fn delete_matching(&self, py: Python<'_>, given: &str) -> PyResult<usize> {
        let collection = self.0.get()?;
        let Some(filter) = filter(Some(given))? else { return Ok(0) };
        detached(py, || collection.delete_matching(&filter))
    }

    /// Searches for one query; nothing when it is no array of `float32` of one dimension.
    fn search(
        &self,
        py: Python<'_>,
        given: &Bound<'_, PyAny>,
        width: Width,
        given_filter: Option<&str>,
    ) -> PyResult<Option<Found>> {
        let collection = self.0.get()?;
        let Ok(given) = given.extract::<PyReadonlyArray1<'_, f32>>() else { return Ok(None) };
        let (query, filter) = (query(&given), filter(given_filter)?);
        let (k, ef_search, is_exact) = width;
        let hits = detached(py, || {
            let mut search = collection.search(&query).k(k).ef_search(ef_search);
            if is_exact {
                search = search.exact();
            }
            if let Some(filter) = filter {
                search = search.filter(filter);
            }
            search.hits()
        })?;
        Ok(Some(Found::of_hits(hits).0))
    }

    fn search_many(
        &self,
        py: Python<'_>,
        rows: Rows<'_>,
        width: Width,
        given_filter: Option<&str>,
    ) -> PyResult<(Found, Vec<usize>)> {
        let collection = self.0.get()?;
        let (queries, filter) = (vectors(py, &rows)?, filter(given_filter)?);
        let (k, ef_search, is_exact) = width;
        let hits = detached(py, || {
            let mut search = collection.search_many(&queries).k(k).ef_search(ef_search);
            if is_exact {
                search = search.exact();
            }
            if let Some(filter) = filter {
                search = search.filter(filter);
            }
            search.run()
        })?;
        Ok(Found::of_hits(hits))
    }

    fn within(
        &self,
        py: Python<'_>,
        given: PyReadonlyArray1<'_, f32>,
        limits: (f32, Option<usize>),
        given_filter: Option<&str>,
    ) -> PyResult<Found> {
        let (collection, (max_distance, k)) = (self.0.get()?, limits);
        let (query, filter) = (query(&given), filter(given_filter)?);
        let hits = detached(py, || {
            let mut search = collection.within(&query, max_distance);
            if let Some(filter) = filter {
                search = search.filter(filter);
            }
            if let Some(k) = k {
                search = search.limit(k);
            }
            search.run()
        })?;
        Ok(Found::of_hits(hits).0)
    }

    fn explain<'py>(
        &self,
        py: Python<'py>,
        given: PyReadonlyArray1<'_, f32>,
        width: Width,
        given_filter: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let collection = self.0.get()?;
        let (query, filter) = (query(&given), filter(given_filter)?);
        let (k, ef_search, is_exact) = width;
        let explanation = detached(py, || {
            let search = collection.search(&query).k(k).ef_search(ef_search);
            let search = if is_exact { search.exact() } else { search };
            match filter {
                Some(filter) => search.filter(filter).explain(),
                None => search.explain(),
            }
        })?;
        plain(py, &serde_json::to_value(explanation).unwrap_or_default())
    }

    /// The points that are there, and the ids that are not.
    fn get<'py>(
        &self,
        py: Python<'py>,
        given: &Bound<'py, PyAny>,
    ) -> PyResult<(Found, Bound<'py, PyAny>)> {
        let collection = self.0.get()?;
        let ids = ids::from_python(given)?;
        let found = detached(py, || collection.find(&ids))?;
        Ok((Found::of_points(found.points), ids::to_python(py, &found.missing)?))
    }

    fn contains(&self, given: &Bound<'_, PyAny>) -> PyResult<bool> {
        let collection = self.0.get()?;
        Ok(collection.contains(&ids::one(0, given)?))
    }

    fn scan(&self, py: Python<'_>, batch_size: usize, given: Option<&str>) -> PyResult<Pages> {
        let collection = self.0.get()?;
        let filter = filter(given)?;
        let pages = detached(py, || collection.pages(batch_size, filter.as_ref()))?;
        Ok(Pages(Mutex::new(Handle::new(pages, Arc::clone(self.0.life())))))
    }

    fn count(&self, py: Python<'_>, given: Option<&str>) -> PyResult<usize> {
        let collection = self.0.get()?;
        match filter(given)? {
            Some(filter) => detached(py, || collection.count_matching(&filter)),
            None => Ok(collection.count()),
        }
    }

    fn schema(&self) -> PyResult<Shape> {
        let snapshot = self.0.get()?.snapshot();
        let fields = snapshot.fields().map(|(name, kind)| (name.to_owned(), kind.name()));
        Ok((snapshot.dim(), snapshot.metric().name(), fields.collect()))
    }

    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let collection = self.0.get()?;
        let info = detached(py, || Ok(collection.info()))?;
        plain(py, &serde_json::to_value(info).unwrap_or_default())
    }

    fn index_field(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        let collection = self.0.get()?;
        detached(py, || collection.index_field(name))
    }

    fn unindex_field(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        let collection = self.0.get()?;
        detached(py, || collection.unindex_field(name))
    }

    fn compact(&self, py: Python<'_>, progress: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let collection = self.0.get()?;
        let watch = Watch::default();
        watched(py, progress.as_ref(), &watch, || collection.compact_watched(&watch))
    }

    /// Writes all points to a file; returns how many there were, and the files.
    fn export(
        &self,
        py: Python<'_>,
        path: PathBuf,
        replace: bool,
        progress: Option<Bound<'_, PyAny>>,
    ) -> PyResult<(usize, Vec<String>)> {
        let collection = self.0.get()?;
        let watch = Watch::default();
        let exported = watched(py, progress.as_ref(), &watch, || {
            let existing = if replace { Existing::Replace } else { Existing::Refuse };
            let tell = |done, total| watch.tell("export", done, total);
            let options = ExportOptions { existing, progress: &tell, ..ExportOptions::default() };
            collection.snapshot().export(&path, &options)
        })?;
        let files = exported.files.iter().map(|file| file.display().to_string());
        Ok((exported.points, files.collect()))
    }
}

fn write(
    collection: &loomdb::Collection,
    batch: Batch,
    replace: bool,
    observer: &dyn Observer,
) -> loomdb::Result<Ids> {
    if replace {
        collection.upsert_owned(batch, observer)
    } else {
        collection.add_owned(batch, observer)
    }
}
