//! A batch as the log keeps it: rows that are put in the place of those with the same ids, or ids
//! whose rows go.
//!
//! ```text
//! collection u32 | sort u8 | zeros 3 | rows u32 | dim u32 | Arrow length u32
//! | Arrow stream: ids and metadata | rows x dim x f32
//! ```

use std::fmt;
use std::result::Result as StdResult;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, SchemaRef};
use loomdb_graph::Vectors;

use crate::{Error, Result, ipc};

const HEADER_BYTES: usize = 20;
/// What ends an Arrow stream.
const END_OF_STREAM: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// The most memory that is kept from one record for the next.
const KEPT_BYTES: usize = 1 << 20;

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

/// Makes records of changes, most of which have the shape of the one before.
#[derive(Default)]
pub(crate) struct Encoder {
    /// A stream of tables of one shape, and the length of its head, which says that shape.
    stream: Option<(StreamWriter<Vec<u8>>, usize)>,
    schema: Option<SchemaRef>,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Encoder").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Encoder {
    /// The record of a change for the log.
    pub(crate) fn encode(&mut self, collection: u32, change: &Change) -> Result<Vec<u8>> {
        let (sort, table, dim, values): (_, _, _, &[f32]) = match change {
            Change::Put { table, vectors } => (PUT, table, vectors.dim(), vectors.as_flat()),
            Change::Delete { table } => (DELETE, table, 0, &[]),
        };
        let unwritten = |error| Error::invalid("the batch cannot be written").caused_by(error);
        let arrow = self.stream(table).map_err(unwritten)?;
        let arrow_len = arrow.len() + END_OF_STREAM.len();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + arrow_len + size_of_val(values));
        bytes.extend(collection.to_le_bytes());
        bytes.extend([sort, 0, 0, 0]);
        for number in [table.num_rows(), dim, arrow_len] {
            bytes.extend((number as u32).to_le_bytes());
        }
        bytes.extend(arrow);
        bytes.extend(END_OF_STREAM);
        let at = bytes.len();
        bytes.resize(at + size_of_val(values), 0);
        let (places, _) = bytes.split_at_mut(at).1.as_chunks_mut();
        places.iter_mut().zip(values).for_each(|(place, value)| *place = value.to_le_bytes());
        Ok(bytes)
    }

    /// An Arrow stream of one table, without its end.
    fn stream(&mut self, table: &RecordBatch) -> StdResult<&[u8], ArrowError> {
        let schema = table.schema_ref();
        if self.schema.as_ref() != Some(schema) {
            self.stream = None;
            self.schema = Some(Arc::clone(schema));
        }
        let stream = self.stream.take().map_or_else(
            || {
                let writer = StreamWriter::try_new(Vec::new(), schema)?;
                let head_len = writer.get_ref().len();
                StdResult::<_, ArrowError>::Ok((writer, head_len))
            },
            Ok,
        )?;
        let (writer, head_len) = self.stream.insert(stream);
        writer.get_mut().truncate(*head_len);
        writer.get_mut().shrink_to(KEPT_BYTES);
        if let Err(error) = writer.write(table) {
            self.stream = None;
            return Err(error);
        }
        Ok(self.stream.as_ref().map_or(&[], |(writer, _)| writer.get_ref()))
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, RecordBatch, UInt64Array};
    use arrow_ipc::reader::StreamReader;
    use loomdb_graph::Vectors;

    use super::{Change, Encoder, HEADER_BYTES};

    /// A change of so many rows, with a field or without.
    fn put(rows: u64, has_field: bool) -> Change {
        let ids = Arc::new(UInt64Array::from_iter_values(0..rows));
        let field = Arc::new(Int64Array::from_iter_values(0..rows as i64));
        let columns = [("id", ids as _), ("field", field as _)];
        let columns = columns.into_iter().take(1 + usize::from(has_field));
        let table = RecordBatch::try_from_iter(columns).unwrap();
        let vectors = Vectors::from_flat(2, &vec![0.5; 2 * rows as usize]).unwrap();
        Change::Put { table, vectors: Arc::new(vectors) }
    }

    #[test]
    fn records_come_back_whatever_was_encoded_before() {
        let mut encoder = Encoder::default();
        for (rows, has_field) in [(1, false), (1, false), (3, true), (200, true), (2, false)] {
            let change = put(rows, has_field);
            let record = encoder.encode(7, &change).unwrap();
            assert_eq!(record, Encoder::default().encode(7, &change).unwrap());
            let (7, Change::Put { table, vectors }) = Change::decode(&record).unwrap() else {
                panic!("another change came back");
            };
            let Change::Put { table: before, .. } = change else { unreachable!() };
            assert_eq!(table, before);
            assert_eq!((vectors.len(), vectors.dim()), (rows as usize, 2));
            let arrow = &record[HEADER_BYTES..record.len() - 8 * rows as usize];
            let tables: Vec<_> = StreamReader::try_new(arrow, None).unwrap().collect();
            assert_eq!(tables.len(), 1, "other readers see one table and its end");
        }
    }
}
