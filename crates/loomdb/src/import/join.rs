//! Several files as one table.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;

use super::{Imported, Options, Source, Take, read, read_from};
use crate::collection::joined_by_name;
use crate::{Error, Ids, Result};

/// Reads files one after another; the limit of the options is one of all rows together. Files may
/// differ in the columns of their metadata: where one has none, its rows have no value.
///
/// # Errors
/// As [`read()`]; `InvalidInput` for a file that does not fit those before it.
pub fn read_all(files: &[PathBuf], options: &Options<'_>) -> Result<Imported> {
    let Some((first, others)) = files.split_first() else {
        return Err(nothing_to_read());
    };
    let mut rows = read(first, options)?;
    for file in others {
        let before = rows.vectors.len();
        let left = options.limit.map(|limit| limit.saturating_sub(before));
        if left == Some(0) {
            break;
        }
        let progress = |done, total| (options.progress)(before + done, before_all(before, total));
        let more = read(file, &Options { limit: left, progress: &progress, ..options.clone() })?;
        rows.append(more).map_err(|error| error.in_file(file))?;
    }
    if let (Some(ids), false) = (&rows.ids, others.is_empty()) {
        ids.validate()?;
    }
    Ok(rows)
}

/// Reads files one after another, as [`read_all`] does, and calls `take` with pieces whose vectors
/// have about `piece_bytes` bytes each: only one of them is in memory. Returns the columns that
/// were left out. Ids are compared within a piece only.
///
/// # Errors
/// As [`read_all`]; whatever `take` returns.
pub fn read_pieces(
    files: &[PathBuf],
    options: &Options<'_>,
    piece_bytes: usize,
    take: &mut dyn FnMut(Imported) -> Result<()>,
) -> Result<Vec<String>> {
    if files.is_empty() {
        return Err(nothing_to_read());
    }
    let mut reading = Reading { options, piece_bytes, rows: 0, first: None, left_out: Vec::new() };
    for file in files {
        if options.limit.is_some_and(|limit| limit <= reading.rows) && reading.rows > 0 {
            break;
        }
        reading.read(file, take)?;
    }
    Ok(reading.left_out)
}

/// Files that are read in pieces.
struct Reading<'a> {
    options: &'a Options<'a>,
    piece_bytes: usize,
    /// Rows so far.
    rows: usize,
    /// The shape of the first rows.
    first: Option<Shape>,
    left_out: Vec<String>,
}

impl Reading<'_> {
    fn read(&mut self, file: &Path, take: &mut dyn FnMut(Imported) -> Result<()>) -> Result<()> {
        let (options, before, piece_bytes) = (self.options, self.rows, self.piece_bytes);
        let progress = |done, total| (options.progress)(before + done, before_all(before, total));
        let limit = options.limit.map(|limit| limit - before);
        let options = Options { limit, progress: &progress, ..options.clone() };
        // What the taker says is about all rows, not about this file.
        let mut refused = None;
        let pass_on = RefCell::new(|piece: Imported| {
            let shape = Shape::of(&piece);
            self.first.get_or_insert_with(|| shape.clone()).check(&shape)?;
            self.rows += piece.vectors.len();
            take(piece).map_err(|error| refused.insert(error).repeated())
        });
        let pass_on = |piece| (pass_on.borrow_mut())(piece);
        let pieces = Some((piece_bytes, &pass_on as Take<'_>));
        let read =
            read_from(&Source { path: file, options: &options, pieces }).and_then(|mut last| {
                let left_out = std::mem::take(&mut last.left_out);
                if !last.vectors.is_empty() {
                    pass_on(last).map_err(|error| error.in_file(file))?;
                }
                Ok(left_out)
            });
        match (refused, read) {
            (Some(refused), _) => Err(refused),
            (None, read) => {
                add_left_out(&mut self.left_out, read?);
                Ok(())
            }
        }
    }
}

/// What all files have in common.
#[derive(Clone)]
struct Shape {
    dim: usize,
    ids: &'static str,
}

impl Shape {
    fn of(rows: &Imported) -> Self {
        Self { dim: rows.vectors.dim(), ids: sort_of(rows.ids.as_ref()) }
    }

    /// Whether rows of another shape can follow.
    fn check(&self, more: &Self) -> Result<()> {
        let (dim, before) = (more.dim, self.dim);
        if dim != before {
            let what =
                format!("its vectors have {dim} dimensions, those of the first file {before}");
            return Err(Error::invalid(what).advise("import them into a collection of their own"));
        }
        if self.ids != more.ids {
            let what = format!("it has {}, the first file has {}", more.ids, self.ids);
            return Err(Error::invalid(what).advise("ids are of one sort in all files"));
        }
        Ok(())
    }
}

/// All rows, those of `before` included; 0 when nobody knows.
fn before_all(before: usize, total: usize) -> usize {
    if total == 0 { 0 } else { before + total }
}

fn add_left_out(left_out: &mut Vec<String>, more: Vec<String>) {
    for column in more {
        if !left_out.contains(&column) {
            left_out.push(column);
        }
    }
}

fn nothing_to_read() -> Error {
    Error::invalid("there is no file to read").advise("name one")
}

impl Imported {
    /// Appends the rows of another file.
    fn append(&mut self, more: Self) -> Result<()> {
        Shape::of(self).check(&Shape::of(&more))?;
        match (&mut self.ids, more.ids) {
            (Some(Ids::Integer(ids)), Some(Ids::Integer(more))) => ids.extend(more),
            (Some(Ids::Text(ids)), Some(Ids::Text(more))) => ids.extend(more),
            _ => {}
        }
        self.metadata = match (self.metadata.take(), more.metadata) {
            (None, None) => None,
            (upper, lower) => {
                let upper = upper.unwrap_or(without_columns(self.vectors.len())?);
                let lower = lower.unwrap_or(without_columns(more.vectors.len())?);
                Some(joined_by_name(&upper, &lower)?)
            }
        };
        add_left_out(&mut self.left_out, more.left_out);
        Ok(self.vectors.push_rows(more.vectors.as_flat())?)
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
