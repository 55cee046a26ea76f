//! Tables one after the other, of which nobody knows how many there will be.
//!
//! They are read by the thread of the caller: what makes them may be a generator, whose objects
//! must not be used elsewhere. Other Python threads run meanwhile.

use std::collections::VecDeque;

use arrow_array::RecordBatch;
use loomdb::{Ids, Writer, table_bytes};
use pyo3::prelude::*;
use pyo3::types::PyIterator;

use crate::tables::{self, Names, Reader};
use crate::watch::{Watch, watched};

/// Bytes of tables that are written together.
const PIECE_BYTES: usize = 64 << 20;

/// A reader, or the tables of an iterator.
pub struct Stream<'py> {
    names: Names,
    /// Tables that nobody has read yet.
    tables: Option<Bound<'py, PyIterator>>,
    reader: Option<Reader>,
    /// Parts of a batch that is larger than a piece.
    parts: VecDeque<RecordBatch>,
}

impl<'py> Stream<'py> {
    pub fn new(given: &Bound<'py, PyAny>, names: Names) -> PyResult<Self> {
        let parts = VecDeque::new();
        // A reader may be an iterator as well, of batches that are Python objects.
        if given.hasattr("__arrow_c_stream__")? {
            return Ok(Self { names, tables: None, reader: Some(tables::reader(given)?), parts });
        }
        Ok(Self { names, tables: Some(given.cast::<PyIterator>()?.clone()), reader: None, parts })
    }

    /// The next piece, and whether it is the last one.
    fn piece(&mut self, py: Python<'py>) -> PyResult<(Vec<RecordBatch>, bool)> {
        let (mut piece, mut bytes) = (Vec::new(), 0);
        while bytes < PIECE_BYTES {
            let Some(batch) = self.next(py)? else { return Ok((piece, true)) };
            bytes += table_bytes(&batch);
            piece.push(batch);
        }
        Ok((piece, false))
    }

    fn next(&mut self, py: Python<'py>) -> PyResult<Option<RecordBatch>> {
        loop {
            if let Some(part) = self.parts.pop_front() {
                return Ok(Some(part));
            }
            py.check_signals()?;
            if let Some(reader) = &mut self.reader {
                let batch = py.detach(|| reader.next()).transpose();
                match batch.map_err(|error| tables::invalid(&error))? {
                    // An empty list of no fixed length has no dimension.
                    Some(batch) if batch.num_rows() == 0 => {}
                    Some(batch) => self.parts.extend(parts(&tables::named(batch, &self.names)?)),
                    None => self.reader = None,
                }
                continue;
            }
            match self.tables.as_mut().and_then(Iterator::next) {
                Some(table) => self.reader = Some(tables::reader(&table?)?),
                None => return Ok(None),
            }
        }
    }

    /// Writes all tables in pieces, each of them atomic, and one that is the only one as if it had
    /// been given as a table. Returns the ids.
    pub fn write(
        mut self,
        collection: &loomdb::Collection,
        py: Python<'py>,
        (replace, progress): (bool, Option<&Bound<'py, PyAny>>),
    ) -> PyResult<Ids> {
        let (mut ids, watch) = (Ids::Integer(Vec::new()), Watch::default());
        // Pieces end where this module says.
        let writer = collection.writer().piece_bytes(usize::MAX).observer(&watch);
        let writer = if replace { writer.upsert() } else { writer }.keep_ids(&mut ids);
        let written = self.write_with(writer, py, (progress, &watch));
        written.map_err(|error| with_note(py, error, ids.len()))?;
        Ok(ids)
    }

    fn write_with(
        &mut self,
        mut writer: Writer<'_>,
        py: Python<'py>,
        (progress, watch): (Option<&Bound<'py, PyAny>>, &Watch),
    ) -> PyResult<()> {
        loop {
            let (piece, is_last) = self.piece(py)?;
            watched(py, progress, watch, || {
                piece.into_iter().try_for_each(|table| writer.write_table(&table))?;
                if !is_last {
                    writer.flush()?;
                }
                watch.tell("write", writer.written() as usize, 0);
                Ok(())
            })?;
            if is_last {
                return watched(py, progress, watch, || writer.finish()).map(drop);
            }
        }
    }
}

/// A batch with rows, cut into parts of about a piece.
fn parts(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> {
    let rows = batch.num_rows();
    // At least a piece, so that none is made of two.
    let len = (rows * PIECE_BYTES).div_ceil(table_bytes(batch).max(1)).clamp(1, rows);
    (0..rows).step_by(len).map(move |from| batch.slice(from, len.min(rows - from)))
}

/// An error that also tells what stays of the stream.
fn with_note(py: Python<'_>, error: PyErr, written: usize) -> PyErr {
    if written > 0 {
        let note = format!(
            "{written} points of the stream were written before this, and stay; upsert the \
             stream again to go on"
        );
        if let Err(failure) = error.value(py).call_method1("add_note", (note,)) {
            return failure;
        }
    }
    error
}
