//! The index without a database: rows in, numbers of rows out.

use std::path::PathBuf;

use loomdb::Ids;
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

/// Offsets and rows.
type Links<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>);

#[pyclass(frozen, module = "loomdb._native")]
pub struct Index {
    handle: Handle<loomdb::index::Index>,
    /// The numbers that rows had when they were saved: a file has them in the order of the graph.
    /// Rows behind these have their own.
    numbers: Vec<u64>,
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
        Ok(Self { handle: Handle::new(index, Life::new()), numbers: Vec::new(), dim, metric })
    }

    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf, params: (usize, usize, usize)) -> PyResult<Self> {
        let (m, ef_construction, threads) = params;
        let params = IndexParams { m, ef_construction, threads, ..IndexParams::default() };
        let opened = detached(py, || loomdb::index::Index::open(&path, params))?;
        let info = opened.index.info();
        let metric = info.metric.parse::<Metric>().map_err(raise_graph)?;
        let numbers = numbers_of(opened.ids)?;
        let handle = Handle::new(opened.index, Life::new());
        Ok(Self { handle, numbers, dim: info.dim, metric })
    }

    fn save(&self, py: Python<'_>, path: PathBuf, replace: bool) -> PyResult<()> {
        let index = self.handle.get()?;
        let existing = if replace { Existing::Replace } else { Existing::Refuse };
        detached(py, || {
            let behind = self.numbers.len()..index.len();
            let numbers = self.numbers.iter().copied().chain(behind.map(|row| row as u64));
            let ids = Ids::Integer(numbers.collect());
            index.save(&path, Some(&ids), &SaveOptions { existing, ..SaveOptions::default() })
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
        arrays(py, &found, &self.numbers)
    }

    /// Where the links of each row begin and end on a level, and the rows that they lead to.
    fn neighbors<'py>(&self, py: Python<'py>, level: u8) -> PyResult<Links<'py>> {
        let index = self.handle.get()?;
        let links = detached(py, || Ok(index.neighbors(level)))?;
        let number = |point: usize| self.numbers.get(point).map_or(point, |row| *row as usize);
        let mut points = vec![0; links.len()];
        (0..links.len()).for_each(|point| points[number(point)] = point);
        let (mut offsets, mut rows) = (vec![0], Vec::new());
        for point in points {
            rows.extend(links.of(point).iter().map(|point| number(*point) as i64));
            offsets.push(rows.len() as i64);
        }
        Ok((PyArray1::from_vec(py, offsets), PyArray1::from_vec(py, rows)))
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

/// The numbers of the rows of a file, which every saved index has as ids.
fn numbers_of(ids: Ids) -> PyResult<Vec<u64>> {
    match ids {
        Ids::Integer(ids) if ids.iter().all(|id| *id < ids.len() as u64) => Ok(ids),
        _ => {
            let message = "the rows have ids of their own, so this is no index but a database; \
                           open it with loomdb.open";
            Err(exception("InvalidInputError", message))
        }
    }
}

/// Every query has as many neighbors as every other: `k`, or all rows when there are fewer.
fn arrays<'py>(py: Python<'py>, found: &[Vec<Hit>], numbers: &[u64]) -> PyResult<Neighbors<'py>> {
    let k = found.first().map_or(0, Vec::len);
    if found.iter().any(|hits| hits.len() != k) {
        return Err(exception("InternalError", "queries have different numbers of neighbors"));
    }
    let hits = || found.iter().flatten();
    let number = |hit: &Hit| numbers.get(hit.point).map_or(hit.point as i64, |row| *row as i64);
    let points: Vec<i64> = hits().map(number).collect();
    let distances: Vec<f32> = hits().map(|hit| hit.distance).collect();
    let shape = [found.len(), k];
    let points = PyArray1::from_vec(py, points).reshape(shape)?;
    Ok((points, PyArray1::from_vec(py, distances).reshape(shape)?))
}
