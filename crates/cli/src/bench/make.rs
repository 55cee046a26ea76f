//! `loomdb bench make`: made rows as a plain `.npy` file, for measurements that need no data set.

use std::fmt::{self, Display};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use loomdb_graph::{MAX_DIM, MAX_ROWS, Vectors};
use serde::Serialize;

use super::made::{self, Mixture};
use crate::arguments;
use crate::output::Output;
use crate::quantity::count;

/// A header is a whole number of these, so that the values behind it are aligned.
const HEADER_STEP: usize = 64;

#[derive(clap::Args)]
pub struct Arguments {
    /// File for the rows
    #[arg(long, value_name = "FILE")]
    base: PathBuf,
    /// File for further rows of the same kind, to ask for
    #[arg(long, value_name = "FILE")]
    queries: PathBuf,
    /// Rows to make
    #[arg(long, value_parser = arguments::up_to(MAX_ROWS))]
    rows: usize,
    /// Queries to make
    #[arg(long, default_value = "200", value_parser = arguments::up_to(MAX_ROWS))]
    query_count: usize,
    /// Dimension of the rows
    #[arg(long, default_value = "128", value_parser = arguments::up_to(MAX_DIM))]
    dim: usize,
    /// Where every random choice comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Serialize)]
struct Report {
    dataset: &'static str,
    rows: usize,
    queries: usize,
    dim: usize,
}

/// # Errors
/// When a file cannot be written.
pub fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let Arguments { rows, query_count: queries, dim, seed, .. } = *arguments;
    let mut mixture = Mixture::new(dim, seed);
    for (path, count) in [(&arguments.base, rows), (&arguments.queries, queries)] {
        let rows = mixture.rows(count)?;
        write_npy(path, &rows).with_context(|| format!("writing {}", path.display()))?;
    }
    output.report(&Report { dataset: made::DESCRIPTION, rows, queries, dim })
}

fn write_npy(path: &PathBuf, rows: &Vectors) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&npy_header(rows.len(), rows.dim()))?;
    for value in rows.as_flat() {
        file.write_all(&value.to_le_bytes())?;
    }
    file.flush()?;
    Ok(())
}

fn npy_header(rows: usize, dim: usize) -> Vec<u8> {
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    let before = header.len() + size_of::<u16>();
    let len = (before + text.len() + 1).next_multiple_of(HEADER_STEP) - before;
    header.extend((len as u16).to_le_bytes());
    header.extend(format!("{text:<width$}\n", width = len - 1).into_bytes());
    header
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, queries) = (count(self.rows as u64), count(self.queries as u64));
        write!(formatter, "{}: {rows} rows, {queries} queries of {}", self.dataset, self.dim)
    }
}

#[cfg(test)]
mod tests {
    use super::{npy_header, write_npy};
    use crate::bench::inputs::read_rows;
    use crate::bench::made::Mixture;

    #[test]
    fn the_file_reads_back_as_the_rows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows.npy");
        let rows = Mixture::new(7, 1).rows(31).unwrap();
        write_npy(&path, &rows).unwrap();
        assert_eq!(read_rows(&path, None).unwrap().as_flat(), rows.as_flat());
    }

    #[test]
    fn values_behind_a_header_are_aligned() {
        for (rows, dim) in [(1, 1), (123_456, 128), (1_000_000_000, 65_536)] {
            assert_eq!(npy_header(rows, dim).len() % 64, 0);
        }
    }
}
