//! The index without a database: rows in, numbers of rows out.

use std::path::PathBuf;

use loomdb::index::{Hit, IndexParams};
use loomdb::storage::{Existing, SaveOptions};
use loomdb_graph::Metric;
use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;

use crate::errors::{exception, raise_graph};
use crate::handle::{Handle, Life, detached};
use crate::values::{Rows, plain, vectors};
use crate::watch::{Watch, watched};

/// Rows of neighbors and of their distances.
type Neighbors<'py> = (Bound<'py, PyArray2<i64>>, Bound<'py, PyArray2<f32>>);

#[pyclass(frozen, module = "loomdb._native")]
pub struct Index {
    handle: Handle<loomdb::index::Index>,
    dim: usize,
    metric: Metric,
}

#[pymethods]
impl Index {
    #[staticmethod]
    fn build<'py>(
        py: Python<'py>,
        rows: Rows<'py>,
        metric: &str,
        params: (usize, usize, u64, usize),
        progress: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Self> {
        let metric = metric.parse::<Metric>().map_err(raise_graph)?;
        let (m, ef_construction, seed, threads) = params;
        let params = IndexParams { m, ef_construction, seed, threads, ..IndexParams::default() };
        let vectors = vectors(py, &rows)?;
        let dim = vectors.dim();
        let watch = Watch::default();
        let index = watched(py, progress.as_ref(), &watch, || {
            loomdb::index::Index::build(vectors, metric, params, &watch)
        })?;
        Ok(Self { handle: Handle::new(index, Life::new()), dim, metric })
    }

    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf, params: (usize, usize, usize)) -> PyResult<Self> {
        let (m, ef_construction, threads) = params;
        let params = IndexParams { m, ef_construction, threads, ..IndexParams::default() };
        let opened = detached(py, || loomdb::index::Index::open(&path, params))?;
        let info = opened.index.info();
        let metric = info.metric.parse::<Metric>().map_err(raise_graph)?;
        Ok(Self { handle: Handle::new(opened.index, Life::new()), dim: info.dim, metric })
    }

    fn save(&self, py: Python<'_>, path: PathBuf, replace: bool) -> PyResult<()> {
        let index = self.handle.get()?;
        let existing = if replace { Existing::Replace } else { Existing::Refuse };
        detached(py, || {
            index.save(&path, None, &SaveOptions { existing, ..SaveOptions::default() })
        })
    }

    fn add(&self, py: Python<'_>, rows: Rows<'_>) -> PyResult<(usize, usize)> {
        let index = self.handle.get()?;
        let vectors = vectors(py, &rows)?;
        let added = detached(py, || index.add(&vectors))?;
        Ok((added.start, added.end))
    }

    fn search<'py>(
        &self,
        py: Python<'py>,
        rows: Rows<'py>,
        width: (usize, usize, bool),
    ) -> PyResult<Neighbors<'py>> {
        let index = self.handle.get()?;
        let queries = vectors(py, &rows)?;
        let (k, ef_search, is_exact) = width;
        let found = detached(py, || {
            if is_exact {
                index.search_exact(&queries, k)
            } else {
                index.search_many(&queries, k, ef_search)
            }
        })?;
        arrays(py, &found)
    }

    fn wait(&self, py: Python<'_>) -> PyResult<()> {
        let index = self.handle.get()?;
        detached(py, || {
            index.wait();
            Ok(())
        })
    }

    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let index = self.handle.get()?;
        let info = detached(py, || Ok(index.info()))?;
        plain(py, &serde_json::to_value(info).unwrap_or_default())
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(self.handle.get()?.len())
    }

    #[getter]
    fn dim(&self) -> usize {
        self.dim
    }

    #[getter]
    fn metric(&self) -> &'static str {
        self.metric.name()
    }
}

/// Every query has as many neighbors as every other: `k`, or all rows when there are fewer.
fn arrays<'py>(py: Python<'py>, found: &[Vec<Hit>]) -> PyResult<Neighbors<'py>> {
    let k = found.first().map_or(0, Vec::len);
    if found.iter().any(|hits| hits.len() != k) {
        return Err(exception("InternalError", "queries have different numbers of neighbors"));
    }
    let hits = || found.iter().flatten();
    let points: Vec<i64> = hits().map(|hit| hit.point as i64).collect();
    let distances: Vec<f32> = hits().map(|hit| hit.distance).collect();
    let shape = [found.len(), k];
    let points = PyArray1::from_vec(py, points).reshape(shape)?;
    Ok((points, PyArray1::from_vec(py, distances).reshape(shape)?))
}
