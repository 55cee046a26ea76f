//! What is measured: rows and queries from files, from the embedded demo data, or made up.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use loomdb::ErrorKind;
use loomdb::import::{self, Options, Truth};
use loomdb_graph::{Metric, Vectors};

use super::made::{self, Mixture};
use super::queries::K;
use crate::failure::Refusal;
use crate::progress::Progress;
use crate::quantity::count;
use crate::wordnet;

/// Rows at the end of the base that serve as queries when no queries are given.
const HELD_OUT: usize = 200;

/// Rows to index, and queries that are not among them.
pub struct Sample {
    pub dataset: String,
    pub metric: Metric,
    pub base: Vectors,
    pub queries: Vectors,
    /// Where the queries are from.
    pub origin: String,
}

impl Sample {
    /// The first `limit` rows of a file, and the queries of another or some further rows.
    ///
    /// # Errors
    /// When a file cannot be read, or the queries do not fit the rows.
    pub fn read(base: &Path, queries: Option<&Path>, metric: Metric, limit: usize) -> Result<Self> {
        let Some(file) = queries else {
            let rows = read_rows(base, Some(limit.saturating_add(HELD_OUT)))?;
            return Self::hold_out(&rows, base, metric);
        };
        let (dataset, rows) = (name_of(base), read_rows(base, Some(limit))?);
        let queries = read_queries(file, rows.dim())?;
        Ok(Self { dataset, metric, base: rows, queries, origin: name_of(file) })
    }

    /// The definitions of the demo, which need no file.
    ///
    /// # Errors
    /// When there is no room for temporary files.
    pub fn embedded(metric: Metric) -> Result<Self> {
        let base = read_embedded(wordnet::VECTORS)?;
        let queries = read_embedded(wordnet::QUERIES)?;
        let (dataset, origin) = ("wordnet (embedded)".to_owned(), "embedded".to_owned());
        Ok(Self { dataset, metric, base, queries, origin })
    }

    /// Made rows; the queries are further rows of the same kind.
    ///
    /// # Errors
    /// When the dimension is out of range.
    pub fn made(dim: usize, rows: usize, metric: Metric, seed: u64) -> Result<Self> {
        let mut mixture = Mixture::new(dim, seed);
        let (base, queries) = (mixture.rows(rows)?, mixture.rows(HELD_OUT)?);
        let (dataset, origin) = (made::DESCRIPTION.to_owned(), "made".to_owned());
        Ok(Self { dataset, metric, base, queries, origin })
    }

    fn hold_out(rows: &Vectors, file: &Path, metric: Metric) -> Result<Self> {
        let Some(split @ 1..) = rows.len().checked_sub(HELD_OUT) else {
            let rows = count(rows.len() as u64);
            return Err(refused(file, format!("{rows} rows are too few to hold {HELD_OUT} out")));
        };
        let (base, queries) = rows.as_flat().split_at(split * rows.dim());
        let base = Vectors::from_flat(rows.dim(), base)?;
        let queries = Vectors::from_flat(rows.dim(), queries)?;
        let origin = format!("the last {HELD_OUT} rows that were read, held out of the base");
        Ok(Self { dataset: name_of(file), metric, base, queries, origin })
    }
}

/// The first `limit` rows of a file, or all of them.
///
/// # Errors
/// When the file cannot be read.
pub fn read_rows(path: &Path, limit: Option<usize>) -> Result<Vectors> {
    let progress = Progress::new("reading");
    let report = |done, total| progress.reached(done, total);
    let options = Options { limit, progress: &report, ..Options::default() };
    Ok(import::read(path, &options)?.vectors)
}

/// All queries of a file, for rows of `dim` values.
///
/// # Errors
/// When the file cannot be read, or the queries have another dimension.
pub fn read_queries(path: &Path, dim: usize) -> Result<Vectors> {
    let queries = read_rows(path, None)?;
    let given = queries.dim();
    if given != dim {
        return Err(refused(path, format!("the queries have {given} dimensions, the base {dim}")));
    }
    Ok(queries)
}

/// The rows nearest to each of `queries` queries in a base of `rows` rows.
///
/// # Errors
/// When the file cannot be read, or is not about these queries and rows.
pub fn read_truth(path: &Path, queries: usize, rows: usize) -> Result<Vec<Vec<u32>>> {
    let truth = import::read_truth(path)?;
    match mismatch(&truth, queries, rows) {
        Some(what) => Err(refused(path, what)),
        None => Ok(truth.iter().map(|nearest| nearest[..K.min(rows)].to_vec()).collect()),
    }
}

/// Why `truth` cannot be that of these queries and rows.
fn mismatch(truth: &Truth, queries: usize, rows: usize) -> Option<String> {
    let (answered, k) = (truth.len(), truth.k());
    if answered != queries {
        return Some(format!("it is about {answered} queries, but there are {queries}"));
    }
    if k < K.min(rows) {
        return Some(format!("it has {k} neighbors of each query, but recall needs {K}"));
    }
    let row = truth.iter().flatten().find(|row| **row as usize >= rows)?;
    let advice = "leave out --truth, or --rows";
    Some(format!("it names row {row}, but only {rows} rows are indexed; {advice}"))
}

fn refused(file: &Path, what: String) -> anyhow::Error {
    Refusal::new(ErrorKind::InvalidInput, file, what).into()
}

/// Reads an array that is part of the program: the readers take files.
fn read_embedded(bytes: &[u8]) -> Result<Vectors> {
    let mut file = tempfile::Builder::new().suffix(".npy").tempfile()?;
    file.write_all(bytes)?;
    read_rows(file.path(), None)
}

/// What a data set is called: its file name without the extension.
pub fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::fmt::Display;
    use std::path::PathBuf;

    use loomdb_graph::Metric;
    use tempfile::TempDir;

    use super::{HELD_OUT, Sample, read_embedded, read_queries, read_truth};
    use crate::wordnet;

    /// Writes a file of this type and shape.
    fn write(dir: &TempDir, name: &str, dtype: &str, shape: [usize; 2], data: &[u8]) -> PathBuf {
        let [rows, columns] = shape;
        let header = format!(
            "{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}"
        );
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn truth(dir: &TempDir, k: usize, rows: &[i32]) -> PathBuf {
        let data: Vec<u8> = rows.iter().flat_map(|row| row.to_le_bytes()).collect();
        write(dir, "truth.npy", "<i4", [rows.len() / k, k], &data)
    }

    fn message<T>(refused: Result<T, impl Display>) -> String {
        refused.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn truth_is_cut_to_what_recall_needs() {
        let dir = TempDir::new().unwrap();
        let rows: Vec<i32> = (0..24).rev().collect();
        let nearest = read_truth(&truth(&dir, 12, &rows), 2, 24).unwrap();
        let ends = nearest.iter().map(|rows| (rows.len(), rows[0], rows[9]));
        assert_eq!(ends.collect::<Vec<_>>(), [(10, 23, 14), (10, 11, 2)]);
        assert_eq!(read_truth(&truth(&dir, 2, &[1, 0]), 1, 2).unwrap(), [[1, 0]]);
    }

    #[test]
    fn truth_about_something_else_is_refused() {
        let dir = TempDir::new().unwrap();
        let file = truth(&dir, 12, &(0..24).collect::<Vec<i32>>());
        assert!(message(read_truth(&file, 3, 24)).contains("2 queries, but there are 3"));
        assert!(message(read_truth(&file, 2, 20)).contains("row 20, but only 20 rows"));
        let file = truth(&dir, 2, &[0, 1, 1, 0]);
        assert!(message(read_truth(&file, 2, 24)).contains("2 neighbors of each"));
    }

    #[test]
    fn rows_of_the_base_are_held_out() {
        let dir = TempDir::new().unwrap();
        let values: Vec<u8> = (0..250).collect();
        let file = write(&dir, "base.npy", "|u1", [250, 1], &values);
        let read = |limit| Sample::read(&file, None, Metric::L2, limit);
        let sample = read(20).unwrap();
        assert_eq!((sample.base.len(), sample.queries.len()), (20, HELD_OUT));
        assert_eq!((sample.base.row(19), sample.queries.row(0)), (&[19.0][..], &[20.0][..]));
        assert_eq!(read(1_000).unwrap().base.len(), 50);
        let file = write(&dir, "short.npy", "|u1", [200, 1], &values[..200]);
        assert!(message(Sample::read(&file, None, Metric::L2, 5)).contains("200 rows are too few"));
        assert!(message(read_queries(&file, 3)).contains("1 dimensions, the base 3"));
    }

    #[test]
    fn the_embedded_sample_is_whole() {
        let (rows, queries) = (read_embedded(wordnet::VECTORS), read_embedded(wordnet::QUERIES));
        let (rows, queries) = (rows.unwrap(), queries.unwrap());
        assert_eq!((rows.len(), rows.dim(), queries.dim()), (5_000, 384, 384));
    }
}
