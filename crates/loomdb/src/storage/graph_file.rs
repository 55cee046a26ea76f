//! The graph as a file: levels and links over the first rows, with a checksum of its own.
//!
//! ```text
//! magic 8 | major u16 | minor u16 | flags u32 | m u64 | seed u64 | entry point u64
//! | nodes u64 | lists u64 | links u64
//! | nodes x u8: levels | lists x u16: degrees | links x u32: links | crc32c u32 of all before
//! ```
//!
//! Numbers are little-endian; an entry point of all ones stands for none. The three lengths give
//! the length of the file, which is compared before anything is allocated. Whether the links make
//! sense is for `Graph::from_parts` to say.

use std::path::Path;

use loomdb_graph::GraphParts;

use super::checked::{CheckedReader, CheckedWriter};
use super::fs::FileSystem;
use super::manifest::FileRecord;
use crate::{Error, ErrorKind, Result};

/// Bytes that a transfer as text would change: one above 127, both sorts of line ends, and the
/// one that ends a text on some systems.
const MAGIC: &[u8; 8] = b"\x93LOOM\r\n\x1a";

const MAJOR: u16 = 1;
const MINOR: u16 = 0;
const HEADER_BYTES: usize = 64;
const CHECKSUM_BYTES: usize = 4;
const NO_ENTRY_POINT: u64 = u64::MAX;

/// Writes the file.
pub(super) fn write(
    fs: &dyn FileSystem,
    root: &Path,
    name: &str,
    parts: &GraphParts,
) -> Result<FileRecord> {
    let mut file = CheckedWriter::create(fs, root, name)?;
    file.append(&header(parts))?;
    file.append(&parts.levels)?;
    file.append_all(&parts.degrees, u16::to_le_bytes)?;
    file.append_all(&parts.links, u32::to_le_bytes)?;
    let sum = file.sum_so_far();
    file.append(&sum.to_le_bytes())?;
    file.finish()
}

/// Reads the file.
pub(super) fn read(fs: &dyn FileSystem, root: &Path, record: &FileRecord) -> Result<GraphParts> {
    let reader = CheckedReader::open(fs, root, record)?;
    let path = reader.path().to_owned();
    decode(&reader.read_all()?).map_err(|error| error.in_file(&path))
}

fn header(parts: &GraphParts) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&MAJOR.to_le_bytes());
    header.extend_from_slice(&MINOR.to_le_bytes());
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

fn decode(bytes: &[u8]) -> Result<GraphParts> {
    let (body, sum) = bytes.split_last_chunk().ok_or_else(|| contradiction("it is too short"))?;
    let mut rest = body;
    check_version(&mut rest)?;
    let mut number = || take_array(&mut rest).map(u64::from_le_bytes);
    let (m, seed, entry_point) = (number()?, number()?, number()?);
    let (nodes, lists, links) = (number()?, number()?, number()?);
    check_len(bytes.len(), [nodes, lists, links])?;
    if u32::from_le_bytes(*sum) != crc32c::crc32c(body) {
        return Err(contradiction("its checksum does not match"));
    }
    let levels = take(&mut rest, nodes as usize)?.to_vec();
    let (degrees, _) = take(&mut rest, 2 * lists as usize)?.as_chunks();
    let (links, _) = rest.as_chunks();
    Ok(GraphParts {
        m: m as usize,
        seed,
        entry_point: decode_entry_point(entry_point)?,
        levels,
        degrees: degrees.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect(),
        links: links.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect(),
    })
}

fn check_version(rest: &mut &[u8]) -> Result<()> {
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
    Ok(())
}

/// Whether a file of `len_bytes` bytes can hold so many nodes, lists and links.
fn check_len(len_bytes: usize, [nodes, lists, links]: [u64; 3]) -> Result<()> {
    let arrays = || {
        let degrees = lists.checked_mul(2)?;
        links.checked_mul(4)?.checked_add(degrees)?.checked_add(nodes)
    };
    let frame = (HEADER_BYTES + CHECKSUM_BYTES) as u64;
    match arrays().and_then(|arrays| arrays.checked_add(frame)) {
        Some(expected) if expected == len_bytes as u64 => Ok(()),
        _ => Err(contradiction("its lengths do not add up to that of the file")),
    }
}

fn decode_entry_point(number: u64) -> Result<Option<u32>> {
    if number == NO_ENTRY_POINT {
        return Ok(None);
    }
    let node = u32::try_from(number).map_err(|_| contradiction("its entry point is no node"))?;
    Ok(Some(node))
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N]> {
    let (bytes, behind) =
        rest.split_first_chunk().ok_or_else(|| contradiction("it is too short"))?;
    *rest = behind;
    Ok(*bytes)
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8]> {
    rest.split_off(..len).ok_or_else(|| contradiction("it is too short"))
}

fn contradiction(what: &str) -> Error {
    Error::corrupted(format!("the graph cannot be read: {what}"))
}

#[cfg(test)]
mod tests {
    use loomdb_graph::GraphParts;

    use super::{CHECKSUM_BYTES, decode, header};
    use crate::ErrorKind;

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

    fn encoded(parts: &GraphParts) -> Vec<u8> {
        let mut bytes = header(parts);
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
            assert_eq!(decode(&encoded(&parts)).unwrap(), parts);
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
        for field in [8, 10, 12] {
            let mut body = bytes[..bytes.len() - CHECKSUM_BYTES].to_vec();
            body[field] += 1;
            let error = decode(&summed(body)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        }
    }
}
