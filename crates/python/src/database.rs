//! The database as a Python class.

use std::path::PathBuf;
use std::sync::Arc;

use loomdb::index::IndexParams;
use loomdb::{BackupOptions, CheckOptions, Durability, OpenOptions, Schema};
use loomdb_graph::Metric;
use pyo3::prelude::*;

use crate::collection::Collection;
use crate::errors::{exception, raise_graph};
use crate::handle::{Handle, Life, detached};
use crate::values::plain;
use crate::watch::{Watch, watched};

#[pyclass(frozen, module = "loomdb._native")]
pub struct Database(Handle<loomdb::Database>);

#[pymethods]
impl Database {
    #[staticmethod]
    fn open(
        py: Python<'_>,
        path: Option<PathBuf>,
        read_only: bool,
        durability: &str,
        threads: usize,
    ) -> PyResult<Self> {
        let index = IndexParams { threads, ..IndexParams::default() };
        let durability = durability_of(durability)?;
        let options = OpenOptions::new().durability(durability).index(index);
        let options = if read_only { options.read_only() } else { options };
        let db = detached(py, || match path {
            Some(path) => options.open(path),
            None => options.in_memory(),
        })?;
        Ok(Self(Handle::new(db, Life::new())))
    }

    fn collection(
        &self,
        py: Python<'_>,
        name: &str,
        shape: (Option<usize>, Option<String>),
        graph: (Option<usize>, Option<usize>),
    ) -> PyResult<Collection> {
        let (db, (dim, metric), (m, ef_construction)) = (self.0.get()?, shape, graph);
        let schema = dim.map_or_else(Schema::learned, Schema::new);
        let schema = match metric {
            Some(metric) => schema.metric(metric.parse::<Metric>().map_err(raise_graph)?),
            None => schema,
        };
        let schema = m.map_or(schema, |m| schema.m(m));
        let schema = ef_construction.map_or(schema, |width| schema.ef_construction(width));
        let collection = detached(py, || db.collection(name, schema))?;
        Ok(Collection::new(collection, Arc::clone(self.0.life())))
    }

    fn existing_collection(&self, py: Python<'_>, name: &str) -> PyResult<Collection> {
        let db = self.0.get()?;
        let collection = detached(py, || db.existing_collection(name))?;
        Ok(Collection::new(collection, Arc::clone(self.0.life())))
    }

    fn collection_names(&self) -> PyResult<Vec<String>> {
        Ok(self.0.get()?.collection_names())
    }

    fn drop_collection(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        let db = self.0.get()?;
        detached(py, || db.drop_collection(name))
    }

    fn rename_collection(&self, py: Python<'_>, name: &str, new_name: &str) -> PyResult<()> {
        let db = self.0.get()?;
        detached(py, || db.rename_collection(name, new_name))
    }

    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        let db = self.0.get()?;
        detached(py, || db.sync())
    }

    fn commit(&self, py: Python<'_>) -> PyResult<()> {
        let db = self.0.get()?;
        detached(py, || db.commit())
    }

    /// What a check found, and whether nothing is wrong.
    fn check<'py>(
        &self,
        py: Python<'py>,
        recall_queries: usize,
        progress: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let db = self.0.get()?;
        let watch = Watch::default();
        let report = watched(py, progress.as_ref(), &watch, || {
            let tell = |done, total| watch.tell("check", done, total);
            let options =
                CheckOptions { recall_queries, progress: &tell, ..CheckOptions::default() };
            db.check(&options)
        })?;
        plain(py, &serde_json::to_value(report).unwrap_or_default())
    }

    fn backup<'py>(
        &self,
        py: Python<'py>,
        path: PathBuf,
        progress: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let db = self.0.get()?;
        let watch = Watch::default();
        let info = watched(py, progress.as_ref(), &watch, || {
            let tell = |done, total| watch.tell("backup", done, total);
            db.backup(&path, &BackupOptions { progress: &tell })
        })?;
        plain(py, &serde_json::to_value(info).unwrap_or_default())
    }

    fn refresh(&self, py: Python<'_>) -> PyResult<()> {
        let db = self.0.get()?;
        detached(py, || db.refresh())
    }

    fn warnings(&self) -> PyResult<Vec<String>> {
        Ok(self.0.get()?.warnings())
    }

    fn is_closed(&self) -> bool {
        self.0.life().is_closed()
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.0.life().is_closed() {
            return Ok(());
        }
        let db = self.0.get()?.clone();
        self.0.life().close();
        detached(py, || db.close())
    }
}

fn durability_of(name: &str) -> PyResult<Durability> {
    match name {
        "synced" => Ok(Durability::Synced),
        "buffered" => Ok(Durability::Buffered),
        "on_commit" => Ok(Durability::OnCommit),
        other => {
            let message = format!(
                "durability = {other:?} is not valid: expected \"synced\", \"buffered\" or \
                 \"on_commit\""
            );
            Err(exception("InvalidInputError", &message))
        }
    }
}
