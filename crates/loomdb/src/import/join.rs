//! Several files as one table.

use std::path::PathBuf;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;

use super::{Imported, Options, read};
use crate::collection::joined_by_name;
use crate::{Error, Ids, Result};

/// Reads files one after another; the limit of the options is one of all rows together. Files may
/// differ in the columns of their metadata: where one has none, its rows have no value.
///
/// # Errors
/// As [`read()`]; `InvalidInput` for a file that does not fit those before it.
pub fn read_all(files: &[PathBuf], options: &Options<'_>) -> Result<Imported> {
    let Some((first, others)) = files.split_first() else {
        return Err(Error::invalid("there is no file to read").advise("name one"));
    };
    let mut rows = read(first, options)?;
    for file in others {
        let before = rows.vectors.len();
        let left = options.limit.map(|limit| limit.saturating_sub(before));
        if left == Some(0) {
            break;
        }
        let progress = |done, total: usize| {
            (options.progress)(before + done, if total == 0 { 0 } else { before + total })
        };
        let more = read(file, &Options { limit: left, progress: &progress, ..options.clone() })?;
        rows.append(more).map_err(|error| error.in_file(file))?;
    }
    if let (Some(ids), false) = (&rows.ids, others.is_empty()) {
        ids.validate()?;
    }
    Ok(rows)
}

impl Imported {
    /// Appends the rows of another file.
    fn append(&mut self, more: Self) -> Result<()> {
        let (dim, before) = (more.vectors.dim(), self.vectors.dim());
        if dim != before {
            let what =
                format!("its vectors have {dim} dimensions, those of the first file {before}");
            return Err(Error::invalid(what).advise("import them into a collection of their own"));
        }
        self.append_ids(more.ids)?;
        self.metadata = match (self.metadata.take(), more.metadata) {
            (None, None) => None,
            (upper, lower) => {
                let upper = upper.unwrap_or(without_columns(self.vectors.len())?);
                let lower = lower.unwrap_or(without_columns(more.vectors.len())?);
                Some(joined_by_name(&upper, &lower)?)
            }
        };
        for column in more.left_out {
            if !self.left_out.contains(&column) {
                self.left_out.push(column);
            }
        }
        Ok(self.vectors.push_rows(more.vectors.as_flat())?)
    }

    fn append_ids(&mut self, more: Option<Ids>) -> Result<()> {
        match (&mut self.ids, more) {
            (None, None) => {}
            (Some(Ids::Integer(ids)), Some(Ids::Integer(more))) => ids.extend(more),
            (Some(Ids::Text(ids)), Some(Ids::Text(more))) => ids.extend(more),
            (ids, more) => {
                let (own, other) = (sort_of(ids.as_ref()), sort_of(more.as_ref()));
                let what = format!("it has {other}, the first file has {own}");
                return Err(Error::invalid(what).advise("ids are of one sort in all files"));
            }
        }
        Ok(())
    }
}

fn sort_of(ids: Option<&Ids>) -> &'static str {
    match ids {
        None => "no ids",
        Some(Ids::Integer(_)) => "integers as ids",
        Some(Ids::Text(_)) => "texts as ids",
    }
}

fn without_columns(rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let made = RecordBatch::try_new_with_options(Schema::empty().into(), Vec::new(), &options);
    made.map_err(|error| Error::invalid("the metadata cannot be joined").caused_by(error))
}
