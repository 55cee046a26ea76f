//! Arrow IPC files and streams, read batch by batch.
//!
//! The lengths in such a file are claims. Each is compared with the bytes that are there before
//! anything is allocated for it, because a failed allocation ends the process; and a decoder that
//! gives up with a panic gives an error here.

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::{FileDecoder, StreamDecoder};
use arrow_ipc::{Block, Footer, Message};
use arrow_schema::{ArrowError, DataType, SchemaRef};

use crate::{Error, Result};

/// The first bytes of a file.
pub(crate) const MAGIC: &[u8; 6] = b"ARROW1";

/// The first bytes of a message, unless it is of a version before 0.15.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// The length of the footer and the magic, which end a file.
const TAIL_BYTES: u64 = 10;

/// A compressed buffer may claim this much whatever its size: batches are cut far below it.
const FREE_CLAIM_BYTES: u64 = 64 << 20;

/// Beyond that it may claim this many times its size: LZ4 cannot reach it, and Zstandard only
/// with values that are all equal.
const MAX_COMPRESSION: u64 = 1024;

/// Bytes that lie somewhere.
pub(crate) trait Source {
    /// The `len` bytes at an offset, which were found to be there.
    fn bytes_at(&mut self, offset: u64, len: u64) -> Result<Buffer>;
}

impl<R: Read + Seek> Source for R {
    fn bytes_at(&mut self, offset: u64, len: u64) -> Result<Buffer> {
        self.seek(SeekFrom::Start(offset)).map_err(|error| damaged("its end").caused_by(error))?;
        let mut bytes = Vec::new();
        append(self, &mut bytes, len)?;
        Ok(Buffer::from_vec(bytes))
    }
}

/// Bytes in memory, whose columns stay where they are.
pub(crate) struct Memory(Buffer);

impl Source for Memory {
    fn bytes_at(&mut self, offset: u64, len: u64) -> Result<Buffer> {
        let end = offset.checked_add(len).filter(|end| *end <= self.0.len() as u64);
        end.ok_or_else(|| damaged("its end: it is cut off"))?;
        Ok(self.0.slice_with_length(offset as usize, len as usize))
    }
}

/// An Arrow IPC file, of which some columns are read.
pub(crate) struct IpcFile<R> {
    reader: R,
    len_bytes: u64,
    schema: SchemaRef,
    decoder: FileDecoder,
    dictionaries: Vec<Block>,
    blocks: std::vec::IntoIter<Block>,
}

impl<R: Source> IpcFile<R> {
    /// Reads the footer of a file of `len_bytes` bytes.
    pub(crate) fn open(mut reader: R, len_bytes: u64) -> Result<Self> {
        let footer = read_footer(&mut reader, len_bytes)?;
        let footer = arrow_ipc::root_as_footer(&footer)
            .map_err(|error| damaged("the footer").caused_by(error.to_string()))?;
        let schema = Arc::new(guarded(|| schema_of(footer))??);
        let blocks: Vec<Block> = footer.recordBatches().into_iter().flatten().copied().collect();
        let dictionaries: Vec<Block> =
            footer.dictionaries().into_iter().flatten().copied().collect();
        // Blocks that share bytes would make a small file an endless one.
        let all = blocks.iter().chain(&dictionaries);
        let lens = all.map(|block| block.bodyLength().max(0) as u64);
        if lens.fold(0, u64::saturating_add) > len_bytes {
            return Err(damaged("the place of a batch"));
        }
        let decoder = FileDecoder::new(Arc::clone(&schema), footer.version());
        let blocks = blocks.into_iter();
        Ok(Self { reader, len_bytes, schema, decoder, dictionaries, blocks })
    }

    /// All columns of the file.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Decodes these columns only, which must be ascending.
    pub(crate) fn with_columns(mut self, columns: Vec<usize>) -> Result<Self> {
        let is_looked_up = |index: &usize| {
            let field = self.schema.fields().get(*index);
            field.is_some_and(|field| matches!(field.data_type(), DataType::Dictionary(..)))
        };
        if columns.iter().any(is_looked_up) {
            self.read_dictionaries()?;
        }
        self.decoder = self.decoder.with_projection(columns);
        Ok(self)
    }

    fn read_dictionaries(&mut self) -> Result<()> {
        for block in std::mem::take(&mut self.dictionaries) {
            let buffer = self.read_block(&block, block.bodyLength())?;
            check_block(&block, &buffer)?;
            let read = guarded(|| self.decoder.read_dictionary(&block, &buffer))?;
            read.map_err(|error| damaged("a dictionary").caused_by(error))?;
        }
        Ok(())
    }

    /// The number of rows, from the heads of all batches.
    pub(crate) fn count_rows(&mut self) -> Result<usize> {
        let mut rows = 0_usize;
        for block in self.blocks.clone() {
            let head = self.read_block(&block, 0)?;
            let batch = message(&head)?.header_as_record_batch();
            let batch_rows = batch.and_then(|batch| usize::try_from(batch.length()).ok());
            let sum = batch_rows.and_then(|batch_rows| rows.checked_add(batch_rows));
            rows = sum.ok_or_else(|| damaged("the length of a batch"))?;
        }
        Ok(rows)
    }

    /// The next batch; nothing behind the last.
    pub(crate) fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let Some(block) = self.blocks.next() else { return Ok(None) };
        let buffer = self.read_block(&block, block.bodyLength())?;
        check_block(&block, &buffer)?;
        let batch = guarded(|| self.decoder.read_record_batch(&block, &buffer))?;
        batch.map_err(|error| damaged("a batch").caused_by(error))
    }

    /// Where the head of the next batch lies, and where all of it does.
    pub(crate) fn next_place(&self) -> Option<(Range<usize>, Range<usize>)> {
        let block = self.blocks.as_slice().first()?;
        let start = usize::try_from(block.offset()).ok()?;
        let head = start.checked_add(usize::try_from(block.metaDataLength()).ok()?)?;
        let end = head.checked_add(usize::try_from(block.bodyLength()).ok()?)?;
        Some((start..head, start..end))
    }

    /// The number of rows of the next batch, from its head alone.
    pub(crate) fn next_rows(&mut self) -> Result<usize> {
        let block = self.blocks.as_slice().first().copied();
        let block = block.ok_or_else(|| damaged("the place of a batch"))?;
        let head = self.read_block(&block, 0)?;
        let batch = message(&head)?.header_as_record_batch();
        let rows = batch.and_then(|batch| usize::try_from(batch.length()).ok());
        rows.ok_or_else(|| damaged("the length of a batch"))
    }

    /// Passes over the next batch.
    pub(crate) fn skip_batch(&mut self) {
        self.blocks.next();
    }

    /// The head of a block and the first `body_len` bytes of its body.
    fn read_block(&mut self, block: &Block, body_len: i64) -> Result<Buffer> {
        let place = || {
            let offset = u64::try_from(block.offset()).ok()?;
            let head_len = u64::try_from(block.metaDataLength()).ok()?;
            let len = head_len.checked_add(u64::try_from(body_len).ok()?)?;
            (offset.checked_add(len)? <= self.len_bytes).then_some((offset, len))
        };
        let (offset, len) = place().ok_or_else(|| damaged("the place of a batch"))?;
        self.reader.bytes_at(offset, len)
    }
}

/// An Arrow IPC stream.
pub(crate) struct IpcStream<R> {
    reader: R,
    left: u64,
    decoder: StreamDecoder,
    /// A batch that came before the schema was asked for.
    pending: Option<RecordBatch>,
}

impl<R: Read> IpcStream<R> {
    /// Reads the schema of a stream of at most `len_bytes` bytes.
    pub(crate) fn open(reader: R, len_bytes: u64) -> Result<Self> {
        let decoder = StreamDecoder::new();
        let mut stream = Self { reader, left: len_bytes, decoder, pending: None };
        stream.pending = stream.next_batch()?;
        Ok(stream)
    }

    /// All columns of the stream.
    pub(crate) fn schema(&self) -> Result<SchemaRef> {
        self.decoder.schema().ok_or_else(|| damaged("the schema"))
    }

    /// The next batch; nothing behind the last.
    pub(crate) fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        if let Some(batch) = self.pending.take() {
            return Ok(Some(batch));
        }
        while let Some(message) = self.next_message()? {
            let mut buffer = Buffer::from_vec(message);
            let decoded = guarded(|| self.decoder.decode(&mut buffer))?;
            let batch = decoded.map_err(|error| damaged("a message").caused_by(error))?;
            if batch.is_some() {
                return Ok(batch);
            }
        }
        Ok(None)
    }

    /// The bytes of the next message; nothing at the end of the stream.
    fn next_message(&mut self) -> Result<Option<Vec<u8>>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        self.read_more(&mut bytes, 4)?;
        if bytes == CONTINUATION {
            self.read_more(&mut bytes, 4)?;
        }
        let len = bytes.last_chunk().map_or(0, |len| u32::from_le_bytes(*len));
        if len == 0 {
            return Ok(None);
        }
        self.read_more(&mut bytes, u64::from(len))?;
        let body_len = u64::try_from(message(&bytes)?.bodyLength());
        let head_len = bytes.len();
        self.read_more(&mut bytes, body_len.map_err(|_| damaged("the length of a message"))?)?;
        let (head, body) = bytes.split_at_checked(head_len).unwrap_or((&bytes, &[]));
        check_buffers(&message(head)?, body)?;
        Ok(Some(bytes))
    }

    fn read_more(&mut self, bytes: &mut Vec<u8>, len: u64) -> Result<()> {
        self.left = self.left.checked_sub(len).ok_or_else(|| damaged("its end: it is cut off"))?;
        append(&mut self.reader, bytes, len)
    }
}

/// Calls a decoder that panics on some contradictions.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> T) -> Result<T> {
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    decoded.map_err(|_| Error::corrupted("the decoder gave up on contradictory data"))
}

fn damaged(part: &str) -> Error {
    Error::corrupted(format!("the Arrow data cannot be understood: {part} is damaged"))
}

fn read_footer(reader: &mut impl Source, len_bytes: u64) -> Result<Buffer> {
    let cut_off = || damaged("its end: it is cut off");
    let tail_at = len_bytes.checked_sub(TAIL_BYTES).ok_or_else(cut_off)?;
    let tail = reader.bytes_at(tail_at, TAIL_BYTES)?;
    let (len, magic) = tail.split_first_chunk().ok_or_else(cut_off)?;
    let footer_at = tail_at.checked_sub(u64::from(u32::from_le_bytes(*len)));
    match footer_at {
        Some(footer_at) if magic == MAGIC => reader.bytes_at(footer_at, tail_at - footer_at),
        _ => Err(cut_off()),
    }
}

fn schema_of(footer: Footer<'_>) -> Result<arrow_schema::Schema> {
    let schema = footer.schema().ok_or_else(|| damaged("the schema"))?;
    if !schema.endianness().equals_to_target_endianness() {
        return Err(Error::invalid("the Arrow data have the byte order of another machine"));
    }
    try_fb_to_schema(schema).map_err(|error: ArrowError| damaged("the schema").caused_by(error))
}

/// The message at the beginning of `bytes`, behind its length.
fn message(bytes: &[u8]) -> Result<Message<'_>> {
    let head_at = if bytes.starts_with(&CONTINUATION) { 8 } else { 4 };
    let head = bytes.get(head_at..).ok_or_else(|| damaged("a message"))?;
    let parsed = arrow_ipc::root_as_message(head);
    parsed.map_err(|error| damaged("a message").caused_by(error.to_string()))
}

/// Whether the bytes of a block can be decoded.
fn check_block(block: &Block, bytes: &[u8]) -> Result<()> {
    let (head, body) = bytes
        .split_at_checked(block.metaDataLength() as usize)
        .ok_or_else(|| damaged("the place of a batch"))?;
    check_buffers(&message(head)?, body)
}

/// Whether the buffers of a message lie in its body, and whether what compressed ones say of
/// their length can be believed.
fn check_buffers(message: &Message<'_>, body: &[u8]) -> Result<()> {
    let dictionary = || message.header_as_dictionary_batch()?.data();
    let Some(batch) = message.header_as_record_batch().or_else(dictionary) else { return Ok(()) };
    for buffer in batch.buffers().into_iter().flatten() {
        let place =
            usize::try_from(buffer.offset()).ok().zip(usize::try_from(buffer.length()).ok());
        let bytes = place.and_then(|(at, len)| body.get(at..)?.get(..len));
        let bytes = bytes.ok_or_else(|| damaged("the place of a column"))?;
        let claim = bytes.first_chunk().map_or(0, |claim| i64::from_le_bytes(*claim));
        let believed = FREE_CLAIM_BYTES.max(bytes.len() as u64 * MAX_COMPRESSION);
        if batch.compression().is_some() && claim > 0 && claim as u64 > believed {
            return Err(damaged("the length of a compressed column"));
        }
    }
    Ok(())
}

/// Appends `len` bytes of the reader, which were found to be there.
fn append(reader: &mut impl Read, bytes: &mut Vec<u8>, len: u64) -> Result<()> {
    bytes.reserve_exact(len as usize);
    let read = reader.take(len).read_to_end(bytes);
    match read {
        Ok(read) if read as u64 == len => Ok(()),
        Ok(_) => Err(damaged("its end: it is cut off")),
        Err(error) => Err(Error::new(crate::ErrorKind::Io, "cannot read it").caused_by(error)),
    }
}

/// A file in memory.
pub(crate) fn from_memory(bytes: Buffer) -> Result<IpcFile<Memory>> {
    let len_bytes = bytes.len() as u64;
    IpcFile::open(Memory(bytes), len_bytes)
}
