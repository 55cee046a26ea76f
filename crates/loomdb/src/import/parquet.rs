//! Parquet files: the columns that are needed, batch by batch.

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::Compression;
use parquet::file::metadata::ParquetMetaData;

use super::columns::Columns;
use super::table::Table;
use super::{Imported, Source};
use crate::ipc::guarded;
use crate::{Error, Result};

/// Rows of a batch: a few megabytes of vectors.
const BATCH_ROWS: usize = 1024;

pub(super) fn read(source: &Source<'_>) -> Result<Imported> {
    let (file, len_bytes) = source.open()?;
    // The types of Parquet alone: there are fewer, and what the writer noted about Arrow may lie.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = guarded(|| ParquetRecordBatchReaderBuilder::try_new_with_options(file, options))?;
    let builder = builder.map_err(damaged)?;
    let schema = builder.schema().clone();
    let chosen = Columns::choose(&schema, source.options)?;
    check_codecs(builder.metadata(), &chosen)?;
    let total = usize::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
    let mask = ProjectionMask::roots(builder.parquet_schema(), chosen.ascending());
    let builder = builder.with_projection(mask).with_batch_size(BATCH_ROWS);
    let mut reader = guarded(|| builder.build())?.map_err(damaged)?;
    let mut table = Table::new(source, chosen.among_themselves(), total, len_bytes);
    while table.wants_more()
        && let Some(batch) = guarded(|| reader.next())?
    {
        table.push(&batch.map_err(damaged)?)?;
    }
    table.finish(&schema, &chosen)
}

/// Whether the columns are compressed by a codec that is built in.
fn check_codecs(metadata: &ParquetMetaData, chosen: &Columns) -> Result<()> {
    let schema = metadata.file_metadata().schema_descr();
    let groups = metadata.row_groups().iter().flat_map(|group| group.columns().iter().enumerate());
    for (leaf, column) in groups {
        let name = match column.compression() {
            Compression::BROTLI(_) => "Brotli",
            Compression::LZO => "LZO",
            _ => continue,
        };
        let is_known = leaf < schema.num_columns();
        if is_known && chosen.ascending().contains(&schema.get_column_root_idx(leaf)) {
            let what = format!("its columns are compressed with {name}, which is not supported");
            let advice = "write it again with another codec, such as zstd or snappy";
            return Err(Error::invalid(what).advise(advice));
        }
    }
    Ok(())
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let what = "the Parquet data cannot be understood: the file is damaged or cut off, or needs a \
                feature that is not supported";
    Error::corrupted(what).caused_by(error)
}
