//! The graph as a file: levels and links over the first rows, with a checksum of its own.
//!
//! ```text
//! magic 8 | major u16 | minor u16 | flags u32 | m u64 | seed u64 | entry point u64
//! | nodes u64 | lists u64 | links u64
//! | nodes x u8: levels | lists x u16: degrees | links x u32: links
//! | codes, see `graph_codes` | crc32c u32 of all before
//! ```
//!
//! Numbers are little-endian; an entry point of all ones stands for none. A file without codes has
//! the minor version 0. Its lengths give that of the file, which is compared before anything is
//! allocated. Whether the links make sense is for `Graph::from_parts` to say.

use std::path::Path;

use arrow_buffer::Buffer;
use loomdb_graph::{Graph, GraphParts, Workers};

use super::checked::{CheckedReader, CheckedWriter, verified};
use super::fs::FileSystem;
use super::graph_codes::{self, StoredCodes};
use super::manifest::FileRecord;
use crate::{Error, ErrorKind, Result};

/// Bytes that a transfer as text would change: one above 127, both sorts of line ends, and the
/// one that ends a text on some systems.
const MAGIC: &[u8; 8] = b"\x93LOOM\r\n\x1a";

const MAJOR: u16 = 1;
/// The version that has codes.
const MINOR: u16 = 1;
const HEADER_BYTES: usize = 64;
const CHECKSUM_BYTES: usize = 4;
const NO_ENTRY_POINT: u64 = u64::MAX;

pub(super) const TOO_SHORT: &str = "it is too short";
pub(super) const WRONG_LENGTHS: &str = "its lengths do not add up to that of the file";

/// What a file holds.
#[derive(Debug)]
pub(crate) struct StoredGraph {
    pub parts: GraphParts,
    pub codes: Option<StoredCodes>,
}

/// Writes the file of a graph without its codes, which older versions read.
pub(super) fn write(
    fs: &dyn FileSystem,
    root: &Path,
    name: &str,
    parts: &GraphParts,
) -> Result<FileRecord> {
    let mut file = CheckedWriter::create(fs, root, name)?;
    append_links(&mut file, parts, 0)?;
    finish(file)
}

/// Writes the file of a graph, with its codes if it has any.
pub(super) fn write_with_codes(
    fs: &dyn FileSystem,
    root: &Path,
    name: &str,
    graph: &Graph,
) -> Result<FileRecord> {
    let Some(codes) = graph.code_parts() else { return write(fs, root, name, &graph.to_parts()) };
    let mut file = CheckedWriter::create(fs, root, name)?;
    append_links(&mut file, &graph.to_parts(), MINOR)?;
    graph_codes::append(&mut file, graph, &codes)?;
    finish(file)
}

fn append_links(file: &mut CheckedWriter, parts: &GraphParts, minor: u16) -> Result<()> {
    file.append(&header(parts, minor))?;
    file.append(&parts.levels)?;
    file.append_all(&parts.degrees, u16::to_le_bytes)?;
    file.append_all(&parts.links, u32::to_le_bytes)
}

fn finish(mut file: CheckedWriter) -> Result<FileRecord> {
    let sum = file.sum_so_far();
    file.append(&sum.to_le_bytes())?;
    file.finish()
}

/// Reads the levels and links.
pub(super) fn read(fs: &dyn FileSystem, root: &Path, record: &FileRecord) -> Result<GraphParts> {
    let reader = CheckedReader::open(fs, root, record)?;
    let path = reader.path().to_owned();
    let bytes = Buffer::from_vec(reader.read_all()?);
    decode(&bytes, record.sum()).map(|graph| graph.parts).map_err(|error| error.in_file(&path))
}

/// Reads the levels and links; the codes stay in the file, if it can be mapped.
pub(super) fn stored(
    (fs, root): (&dyn FileSystem, &Path),
    record: &FileRecord,
    workers: &Workers,
) -> Result<StoredGraph> {
    let bytes = verified((fs, root), record, workers, &|_, _| Ok(()))?;
    decode(&bytes, record.sum()).map_err(|error| error.in_file(&root.join(record.name())))
}

fn header(parts: &GraphParts, minor: u16) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&MAJOR.to_le_bytes());
    header.extend_from_slice(&minor.to_le_bytes());
    header.extend_from_slice(&0_u32.to_le_bytes());
    let numbers = [
        parts.m as u64,
        parts.seed,
        parts.entry_point.map_or(NO_ENTRY_POINT, u64::from),
        parts.levels.len() as u64,
        parts.degrees.len() as u64,
        parts.links.len() as u64,
    ];
    header.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    header
}

/// `sum` is the checksum of all bytes.
pub(super) fn decode(bytes: &Buffer, sum: u32) -> Result<StoredGraph> {
    let (mut rest, _) =
        bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(|| contradiction(TOO_SHORT))?;
    let minor = check_version(&mut rest)?;
    let mut number = || take_array(&mut rest).map(u64::from_le_bytes);
    let (m, seed, entry_point) = (number()?, number()?, number()?);
    let (nodes, lists, links) = (number()?, number()?, number()?);
    let len = len_of(rest.len(), [nodes, lists, links])?;
    if minor == 0 && len != rest.len() {
        return Err(contradiction(WRONG_LENGTHS));
    }
    // Bytes that end with their own checksum all have the same one.
    if sum != crc32c::crc32c(&[0; CHECKSUM_BYTES]) {
        return Err(contradiction("its checksum does not match"));
    }
    let codes_at = HEADER_BYTES + len;
    let levels = take(&mut rest, nodes as usize)?.to_vec();
    let (degrees, _) = take(&mut rest, 2 * lists as usize)?.as_chunks();
    let (links, _) = take(&mut rest, 4 * links as usize)?.as_chunks();
    let parts = GraphParts {
        m: m as usize,
        seed,
        entry_point: decode_entry_point(entry_point)?,
        levels,
        degrees: degrees.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect(),
        links: links.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect(),
    };
    let codes = (minor > 0).then(|| graph_codes::decode(bytes, codes_at, parts.levels.len()));
    let codes = codes.transpose()?;
    Ok(StoredGraph { parts, codes })
}

/// Reads the magic and returns the minor version.
fn check_version(rest: &mut &[u8]) -> Result<u16> {
    if take_array(rest)? != *MAGIC {
        return Err(contradiction("it does not begin as a graph"));
    }
    let major = u16::from_le_bytes(take_array(rest)?);
    let minor = u16::from_le_bytes(take_array(rest)?);
    let flags = u32::from_le_bytes(take_array(rest)?);
    if major != MAJOR || minor > MINOR || flags != 0 {
        let what = format!("the graph has the format {major}.{minor}, or features not known here");
        let error = Error::new(ErrorKind::Unsupported, what);
        return Err(error.advise("use a newer version of loomdb"));
    }
    Ok(minor)
}

/// The bytes of so many nodes, lists and links, which are not more than there are.
fn len_of(len_bytes: usize, [nodes, lists, links]: [u64; 3]) -> Result<usize> {
    let arrays = || {
        let degrees = lists.checked_mul(2)?;
        links.checked_mul(4)?.checked_add(degrees)?.checked_add(nodes)
    };
    let len = arrays().filter(|len| *len <= len_bytes as u64);
    len.map(|len| len as usize).ok_or_else(|| contradiction(WRONG_LENGTHS))
}

fn decode_entry_point(number: u64) -> Result<Option<u32>> {
    if number == NO_ENTRY_POINT {
        return Ok(None);
    }
    let node = u32::try_from(number).map_err(|_| contradiction("its entry point is no node"))?;
    Ok(Some(node))
}

pub(super) fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N]> {
    let (bytes, behind) = rest.split_first_chunk().ok_or_else(|| contradiction(TOO_SHORT))?;
    *rest = behind;
    Ok(*bytes)
}

pub(super) fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8]> {
    rest.split_off(..len).ok_or_else(|| contradiction(TOO_SHORT))
}

pub(super) fn contradiction(what: &str) -> Error {
    Error::corrupted(format!("the graph cannot be read: {what}"))
}

#[cfg(test)]
mod tests {
    use loomdb_graph::GraphParts;

    use super::{CHECKSUM_BYTES, StoredGraph, header};
    use crate::{ErrorKind, Result};

    /// Numbers that differ from each other; what they mean is not looked at here.
    fn parts() -> GraphParts {
        GraphParts {
            m: 5,
            seed: u64::MAX - 1,
            entry_point: Some(2),
            levels: vec![0, 0, 1],
            degrees: vec![1, 2, 0, 0],
            links: vec![1, 0, 0xdead_beef],
        }
    }

    fn decode(bytes: &[u8]) -> Result<StoredGraph> {
        super::decode(&bytes.to_vec().into(), crc32c::crc32c(bytes))
    }

    fn encoded(parts: &GraphParts) -> Vec<u8> {
        let mut bytes = header(parts, 0);
        bytes.extend(&parts.levels);
        bytes.extend(parts.degrees.iter().flat_map(|degree| degree.to_le_bytes()));
        bytes.extend(parts.links.iter().flat_map(|link| link.to_le_bytes()));
        summed(bytes)
    }

    fn summed(mut bytes: Vec<u8>) -> Vec<u8> {
        let sum = crc32c::crc32c(&bytes);
        bytes.extend(sum.to_le_bytes());
        bytes
    }

    #[test]
    fn parts_come_back() {
        for parts in [parts(), GraphParts { m: 2, ..GraphParts::default() }] {
            let decoded = decode(&encoded(&parts)).unwrap();
            assert!(decoded.parts == parts && decoded.codes.is_none());
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let bytes = encoded(&parts());
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&damaged).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_err(), "cut at {len}");
        }
        for len in 0..bytes.len() - CHECKSUM_BYTES {
            assert!(decode(&summed(bytes[..len].to_vec())).is_err(), "cut at {len} and summed");
        }
    }

    #[test]
    fn hostile_lengths_are_refused_before_they_are_believed() {
        let bytes = encoded(&parts());
        let body = &bytes[..bytes.len() - CHECKSUM_BYTES];
        for field in [40, 48, 56] {
            for lie in [0, 1, 5, 1 << 31, 1 << 40, 1 << 61, 1 << 62, 1 << 63, u64::MAX] {
                let mut body = body.to_vec();
                body[field..field + 8].copy_from_slice(&lie.to_le_bytes());
                let error = decode(&summed(body)).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Corrupted);
                assert!(error.to_string().contains("do not add up"), "{lie}: {error}");
            }
        }
    }

    #[test]
    fn newer_versions_are_told_from_damage() {
        let bytes = encoded(&parts());
        for (field, newer_by) in [(8, 1), (10, 2), (12, 1)] {
            let mut body = bytes[..bytes.len() - CHECKSUM_BYTES].to_vec();
            body[field] += newer_by;
            let error = decode(&summed(body)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        }
    }
}
