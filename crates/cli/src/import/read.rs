//! Several files of vectors as one table.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use loomdb::import::{self, Options};
use loomdb::{ErrorKind, Ids};
use loomdb_graph::Vectors;

use crate::failure::Refusal;
use crate::progress::Progress;

/// The rows of all files, in the order of the files.
pub struct Rows {
    pub vectors: Vectors,
    /// Nothing when no file has ids.
    pub ids: Option<Ids>,
}

/// Reads the files one after the other; the limit of the options is one of all rows together.
///
/// # Errors
/// When a file cannot be read, or does not fit those before it.
pub fn read(files: &[PathBuf], options: &Options<'_>) -> Result<Rows> {
    let (first, others) = files.split_first().context("there is no file to read")?;
    let mut rows = read_file(first, options)?;
    for file in others {
        let left = options.limit.map(|limit| limit - rows.vectors.len());
        if left == Some(0) {
            break;
        }
        let more = read_file(file, &Options { limit: left, ..options.clone() })?;
        rows.append(more, file)?;
    }
    if let (Some(ids), true) = (&rows.ids, files.len() > 1) {
        ids.validate().context("the ids of all files together")?;
    }
    Ok(rows)
}

fn read_file(file: &Path, options: &Options<'_>) -> Result<Rows> {
    let progress = Progress::new("reading");
    let reached = |done, total| progress.reached(done, total);
    let imported = import::read(file, &Options { progress: &reached, ..options.clone() })?;
    Ok(Rows { vectors: imported.vectors, ids: imported.ids })
}

impl Rows {
    fn append(&mut self, more: Self, file: &Path) -> Result<()> {
        let refuse = |what: String| Refusal::new(ErrorKind::InvalidInput, file, what);
        let (dim, before) = (more.vectors.dim(), self.vectors.dim());
        if dim != before {
            let what = format!(
                "its vectors have {dim} dimensions, those of the first file {before}; \
                 import them into a database of their own"
            );
            return Err(refuse(what).into());
        }
        match (&mut self.ids, more.ids) {
            (None, None) => {}
            (Some(Ids::Integer(ids)), Some(Ids::Integer(more))) => ids.extend(more),
            (Some(Ids::Text(ids)), Some(Ids::Text(more))) => ids.extend(more),
            (ids, more) => {
                let what = format!(
                    "it has {}, the first file has {}; ids must be of one kind in all files",
                    kind(more.as_ref()),
                    kind(ids.as_ref()),
                );
                return Err(refuse(what).into());
            }
        }
        Ok(self.vectors.push_rows(more.vectors.as_flat())?)
    }
}

fn kind(ids: Option<&Ids>) -> &'static str {
    match ids {
        None => "no ids",
        Some(Ids::Integer(_)) => "integers as ids",
        Some(Ids::Text(_)) => "texts as ids",
    }
}

#[cfg(test)]
mod tests {
    use super::Rows;
    use loomdb::Ids;
    use loomdb_graph::Vectors;
    use std::path::Path;

    fn rows(dim: usize, ids: Option<Ids>) -> Rows {
        Rows { vectors: Vectors::from_flat(dim, &[1.0; 12]).unwrap(), ids }
    }

    #[test]
    fn rows_are_joined_only_when_they_fit() {
        let file = Path::new("b.npy");
        let mut joined = rows(3, None);
        joined.append(rows(3, None), file).unwrap();
        assert_eq!((joined.vectors.len(), joined.ids.is_none()), (8, true));

        let other_dim = joined.append(rows(4, None), file).unwrap_err().to_string();
        assert!(other_dim.starts_with("b.npy: its vectors have 4 dimensions"), "{other_dim}");

        let numbers = || Some(Ids::Integer(vec![1, 2, 3, 4]));
        let texts = Some(Ids::Text(["a", "b", "c", "d"].map(str::to_owned).to_vec()));
        assert!(joined.append(rows(3, numbers()), file).is_err());
        let mut with_ids = rows(3, numbers());
        let other_kind = with_ids.append(rows(3, texts), file).unwrap_err().to_string();
        assert!(other_kind.contains("texts as ids, the first file has integers"), "{other_kind}");
        with_ids.append(rows(3, Some(Ids::Integer(vec![5, 6, 7, 8]))), file).unwrap();
        assert_eq!(with_ids.ids.unwrap().len(), with_ids.vectors.len());
    }
}
