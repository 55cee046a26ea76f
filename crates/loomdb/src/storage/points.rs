//! The points of a segment: an Arrow IPC file with a column `id`, in the order of the rows.

use std::path::Path;
use std::result::Result as StdResult;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow_buffer::Buffer;
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use loomdb_graph::Workers;

use super::checked::{CheckedReader, CheckedWriter, blame, verified};
use super::fs::FileSystem;
use super::manifest::FileRecord;
use crate::{Error, Ids, Result, id_column, ipc};

const ID: &str = "id";

/// Rows of a batch: other tools read a file batch by batch.
const BATCH_ROWS: usize = 1 << 16;

/// Writes the file.
pub(super) fn write(fs: &dyn FileSystem, root: &Path, name: &str, ids: &Ids) -> Result<FileRecord> {
    let writer = CheckedWriter::create(fs, root, name)?;
    let path = root.join(name);
    encode(writer, ids).map_err(|error| unwritten(&path, error))?.finish()
}

fn encode(writer: CheckedWriter, ids: &Ids) -> StdResult<CheckedWriter, ArrowError> {
    let data_type = match ids {
        Ids::Integer(_) => DataType::UInt64,
        Ids::Text(_) => DataType::Utf8,
    };
    let schema = Arc::new(Schema::new(vec![Field::new(ID, data_type, false)]));
    let columns: Box<dyn Iterator<Item = ArrayRef>> = match ids {
        Ids::Integer(ids) => Box::new(ids.chunks(BATCH_ROWS).map(|ids| {
            let column: ArrayRef = Arc::new(UInt64Array::from(ids.to_vec()));
            column
        })),
        Ids::Text(ids) => Box::new(ids.chunks(BATCH_ROWS).map(|ids| {
            let column: ArrayRef = Arc::new(StringArray::from_iter_values(ids));
            column
        })),
    };
    let mut writer = FileWriter::try_new(writer, &schema)?;
    for column in columns {
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), vec![column])?)?;
    }
    writer.into_inner()
}

/// The refusal of the system, which the Arrow writer wraps.
fn unwritten(path: &Path, error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, error) => Error::io("write it", path, error),
        other => Error::invalid("the ids cannot be written").in_file(path).caused_by(other),
    }
}

/// Writes a file of ids and metadata.
pub(super) fn write_table(
    fs: &dyn FileSystem,
    root: &Path,
    name: &str,
    schema: &SchemaRef,
    batches: &[RecordBatch],
) -> Result<FileRecord> {
    let writer = CheckedWriter::create(fs, root, name)?;
    let encode = || {
        let mut writer = FileWriter::try_new(writer, schema)?;
        for batch in batches {
            writer.write(batch)?;
        }
        writer.into_inner()
    };
    encode().map_err(|error| unwritten(&root.join(name), error))?.finish()
}

/// Reads the ids and the metadata of exactly `rows` rows; the first column is `id`.
pub(super) fn read_table(
    fs: &dyn FileSystem,
    root: &Path,
    record: &FileRecord,
    rows: usize,
) -> Result<Vec<RecordBatch>> {
    let reader = CheckedReader::open(fs, root, record)?;
    let path = reader.path().to_owned();
    let bytes = Buffer::from_vec(reader.read_all()?);
    decode_table(bytes, rows).map_err(|error| blame(&path, error))
}

/// [`read_table`] where the columns lie, if the file can be mapped.
pub(super) fn stored_table(
    (fs, root): (&dyn FileSystem, &Path),
    record: &FileRecord,
    rows: usize,
    workers: &Workers,
) -> Result<Vec<RecordBatch>> {
    let bytes = verified((fs, root), record, workers, &|_, _| Ok(()))?;
    decode_table(bytes, rows).map_err(|error| blame(&root.join(record.name()), error))
}

fn decode_table(bytes: Buffer, rows: usize) -> Result<Vec<RecordBatch>> {
    let mut file = ipc::from_memory(bytes)?;
    let id = file.schema().fields().first();
    if !id.is_some_and(|field| field.name() == ID && is_stored_type(field.data_type())) {
        return Err(Error::corrupted("the first column is not `id` of UInt64 or Utf8"));
    }
    let mut batches = Vec::new();
    while let Some(batch) = file.next_batch()? {
        batches.push(batch);
    }
    let found: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if found != rows {
        return Err(Error::corrupted(format!("there are {found} ids, the manifest says {rows}")));
    }
    Ok(batches)
}

/// Reads the ids of exactly `rows` rows.
pub(super) fn read(
    fs: &dyn FileSystem,
    root: &Path,
    record: &FileRecord,
    rows: usize,
) -> Result<Ids> {
    let reader = CheckedReader::open(fs, root, record)?;
    let path = reader.path().to_owned();
    let bytes = Buffer::from_vec(reader.read_all()?);
    decode(bytes, rows).map_err(|error| blame(&path, error))
}

fn decode(bytes: Buffer, rows: usize) -> Result<Ids> {
    let mut file = ipc::from_memory(bytes)?;
    let column = match file.schema().column_with_name(ID) {
        Some((column, field)) if is_stored_type(field.data_type()) => column,
        _ => return Err(Error::corrupted("there is no column `id` of UInt64 or Utf8")),
    };
    let found = file.count_rows()?;
    if found != rows {
        return Err(Error::corrupted(format!("there are {found} ids, the manifest says {rows}")));
    }
    let is_text = file.schema().field(column).data_type() == &DataType::Utf8;
    let mut file = file.with_columns(vec![column])?;
    let none = if is_text { Ids::Text(Vec::new()) } else { Ids::Integer(Vec::new()) };
    let mut ids = Some(none);
    while let Some(batch) = file.next_batch()? {
        id_column::append(&mut ids, batch.column(0))?;
    }
    let ids = ids.filter(|ids| ids.len() == rows);
    let ids =
        ids.ok_or_else(|| Error::corrupted("the batches have other lengths than they say"))?;
    ids.validate()?;
    Ok(ids)
}

fn is_stored_type(data_type: &DataType) -> bool {
    matches!(data_type, DataType::UInt64 | DataType::Utf8)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{RecordBatch, StringArray};
    use arrow_ipc::CompressionType;
    use arrow_ipc::writer::{FileWriter, IpcWriteOptions};

    use super::decode;
    use crate::Ids;

    /// A file of 40 ids in two batches.
    fn file(compression: Option<CompressionType>) -> Vec<u8> {
        let texts: Vec<String> = (0..40).map(|row| format!("a rather long id {row}")).collect();
        let column = |texts: &[String]| Arc::new(StringArray::from_iter_values(texts)) as _;
        let batch = |texts| RecordBatch::try_from_iter([("id", column(texts))]).unwrap();
        let batches = [batch(&texts[..30]), batch(&texts[30..])];
        let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
        let schema = batches[0].schema();
        let mut writer = FileWriter::try_new_with_options(Vec::new(), &schema, options).unwrap();
        for batch in &batches {
            writer.write(batch).unwrap();
        }
        writer.into_inner().unwrap()
    }

    #[test]
    fn nonsense_behind_a_fitting_checksum_is_no_crash() {
        for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
            let sound = file(compression);
            assert_eq!(decode(sound.clone().into(), 40).unwrap().len(), 40);
            for index in 0..sound.len() {
                for value in [0, 0x7f, 0xff] {
                    let mut forged = sound.clone();
                    forged[index] = value;
                    let rows = decode(forged.into(), 40).as_ref().map_or(40, Ids::len);
                    assert_eq!(rows, 40);
                }
                assert!(decode(sound[..index].to_vec().into(), 40).is_err(), "cut at {index}");
            }
        }
    }

    #[test]
    fn huge_claims_are_refused_before_memory_is_asked_for() {
        let sound = file(Some(CompressionType::LZ4_FRAME));
        // The texts of the first batch: 30 ids of 18 or 19 bytes. The same number ends the offsets
        // in front of them.
        let claim = (10 * 18 + 20 * 19_i64).to_le_bytes();
        let at = sound.windows(8).rposition(|bytes| bytes == claim).unwrap();
        for claim in [1_i64 << 27, 1 << 40, 1 << 60, i64::MAX] {
            let mut forged = sound.clone();
            forged[at..at + 8].copy_from_slice(&claim.to_le_bytes());
            let error = decode(forged.into(), 40).unwrap_err();
            assert!(error.to_string().contains("the length of a compressed column"), "{error}");
        }
    }
}
