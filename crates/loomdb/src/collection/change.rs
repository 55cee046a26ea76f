//! A batch as the log keeps it: rows that are put in the place of those with the same ids, or ids
//! whose rows go.
//!
//! ```text
//! collection u32 | sort u8 | zeros 3 | rows u32 | dim u32 | Arrow length u32
//! | Arrow stream: ids and metadata | rows x dim x f32
//! ```

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use loomdb_graph::Vectors;

use crate::{Error, Result, ipc};

const HEADER_BYTES: usize = 20;
const PUT: u8 = 1;
const DELETE: u8 = 2;

/// What a batch does.
#[derive(Debug)]
pub(crate) enum Change {
    /// Rows whose ids lose the rows that they have.
    Put {
        /// Ids, then metadata.
        table: RecordBatch,
        /// A vector for each of them.
        vectors: Arc<Vectors>,
    },
    /// Ids that lose their rows.
    Delete {
        /// The ids alone.
        table: RecordBatch,
    },
}

impl Change {
    /// About as many bytes as the record has.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Put { table, vectors } => {
                table.get_array_memory_size() + size_of_val(vectors.as_flat())
            }
            Self::Delete { table } => table.get_array_memory_size(),
        }
    }

    /// The record for the log.
    pub(crate) fn encode(&self, collection: u32) -> Result<Vec<u8>> {
        let (sort, table, dim, values): (_, _, _, &[f32]) = match self {
            Self::Put { table, vectors } => (PUT, table, vectors.dim(), vectors.as_flat()),
            Self::Delete { table } => (DELETE, table, 0, &[]),
        };
        let mut bytes = Vec::with_capacity(HEADER_BYTES + 1024 + size_of_val(values));
        bytes.extend(collection.to_le_bytes());
        bytes.extend([sort, 0, 0, 0]);
        bytes.extend((table.num_rows() as u32).to_le_bytes());
        bytes.extend((dim as u32).to_le_bytes());
        bytes.extend([0; 4]);
        let mut written = || {
            let mut writer = StreamWriter::try_new(&mut bytes, table.schema_ref())?;
            writer.write(table)?;
            writer.finish()
        };
        let unwritten = |error| Error::invalid("the batch cannot be written").caused_by(error);
        written().map_err(unwritten)?;
        let arrow_len = (bytes.len() - HEADER_BYTES) as u32;
        if let Some(place) = bytes.get_mut(HEADER_BYTES - 4..HEADER_BYTES) {
            place.copy_from_slice(&arrow_len.to_le_bytes());
        }
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        Ok(bytes)
    }

    /// The number of the collection and what is done there.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(u32, Self)> {
        let damaged = || Error::corrupted("a batch contradicts its format");
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or_else(damaged)?;
        let number = |at: usize| {
            let bytes = header.get(at..).and_then(|rest| rest.first_chunk());
            bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
        };
        let [_, _, _, _, sort, ..] = header;
        let (rows, dim, arrow_len) = (number(8) as usize, number(12) as usize, number(16) as usize);
        let rest = bytes.get(HEADER_BYTES..).ok_or_else(damaged)?;
        let (arrow, values) = rest.split_at_checked(arrow_len).ok_or_else(damaged)?;
        let mut stream = ipc::IpcStream::open(arrow, arrow.len() as u64)?;
        let table = stream.next_batch()?.ok_or_else(damaged)?;
        if table.num_rows() != rows || table.num_columns() == 0 {
            return Err(damaged());
        }
        let change = match *sort {
            PUT => Self::Put { table, vectors: Arc::new(decode_vectors(values, rows, dim)?) },
            DELETE if values.is_empty() && table.num_columns() == 1 => Self::Delete { table },
            _ => return Err(damaged()),
        };
        Ok((number(0), change))
    }
}

fn decode_vectors(bytes: &[u8], rows: usize, dim: usize) -> Result<Vectors> {
    if rows.checked_mul(dim).and_then(|values| values.checked_mul(4)) != Some(bytes.len()) {
        return Err(Error::corrupted("a batch has other vectors than it says"));
    }
    let (values, _) = bytes.as_chunks();
    let values: Vec<f32> = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
    Vectors::from_flat(dim, &values).map_err(|error| Error::corrupted(error.to_string()))
}
