//! Arrow IPC: files and streams, which the same extensions stand for.

use std::fs::File;
use std::io::{BufReader, Read, Seek};

use super::columns::Columns;
use super::table::Table;
use super::{Imported, Source};
use crate::ipc::{self, IpcFile, IpcStream};
use crate::{Error, Result};

/// The first bytes of a Feather file of version 1, which is not Arrow IPC.
const FEATHER_MAGIC: &[u8] = b"FEA1";

pub(super) fn read(source: &Source<'_>) -> Result<Imported> {
    let (mut file, len_bytes) = source.open()?;
    let mut start = Vec::new();
    let read = (&mut file).take(ipc::MAGIC.len() as u64).read_to_end(&mut start);
    let rewound = read.and_then(|_| file.rewind());
    rewound.map_err(|error| Error::io("read it", source.path, error))?;
    if start == ipc::MAGIC {
        read_file(source, file, len_bytes)
    } else if start.starts_with(FEATHER_MAGIC) {
        let advice = "write it again: pyarrow.feather.write_feather(table, path)";
        Err(Error::invalid("this is a Feather file of version 1").advise(advice))
    } else {
        read_stream(source, file, len_bytes)
    }
}

fn read_file(source: &Source<'_>, file: File, len_bytes: u64) -> Result<Imported> {
    let mut file = IpcFile::open(file, len_bytes)?;
    let schema = file.schema().clone();
    let chosen = Columns::choose(&schema, source.options)?;
    let total = file.count_rows()?;
    let mut file = file.with_columns(chosen.ascending())?;
    let mut table = Table::new(source, chosen.among_themselves(), total, len_bytes);
    while table.wants_more()
        && let Some(batch) = file.next_batch()?
    {
        table.push(&batch)?;
    }
    table.finish(&schema, &chosen)
}

fn read_stream(source: &Source<'_>, file: File, len_bytes: u64) -> Result<Imported> {
    let mut stream = IpcStream::open(BufReader::new(file), len_bytes)?;
    let schema = stream.schema()?;
    let chosen = Columns::choose(&schema, source.options)?;
    let mut table = Table::new(source, chosen.clone(), 0, len_bytes);
    while table.wants_more()
        && let Some(batch) = stream.next_batch()?
    {
        table.push(&batch)?;
    }
    table.finish(&schema, &chosen)
}
