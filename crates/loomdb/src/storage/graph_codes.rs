//! The codes of a graph, at the end of its file, so that opening need not make them again.
//!
//! ```text
//! step f32 | error f32 | largest error f32 | dim u32 | scales u32
//! | dim x f32: centre | nodes x u32: norms | scales x f32: scales
//! | zeros up to a multiple of 64 bytes of the file
//! | nodes x (dim, rounded up to a multiple of 32) x i8: codes
//! ```
//!
//! A code begins on a cache line when it is as long as one or more, so that walks read it where it
//! is mapped. Whether the numbers make sense is for `Graph::from_stored` to say.

use std::fmt;
use std::sync::Arc;

use arrow_buffer::{Buffer, ScalarBuffer};
use loomdb_graph::{CodeParts, Graph, MAX_DIM, Values};

use super::checked::CheckedWriter;
use super::graph_file::{WRONG_LENGTHS, contradiction, take, take_array};
use crate::Result;

/// Where the codes begin is a multiple of this.
const ALIGNMENT: usize = 64;

const CHECKSUM_BYTES: usize = 4;

/// The codes of a graph, as they lie in its file.
pub(crate) struct StoredCodes {
    pub parts: CodeParts,
    pub values: Values<i8>,
}

impl fmt::Debug for StoredCodes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the codes of {} nodes", self.parts.norms.len())
    }
}

/// Appends the codes of a graph to its file.
pub(super) fn append(file: &mut CheckedWriter, graph: &Graph, parts: &CodeParts) -> Result<()> {
    let CodeParts { centre, step, error, max_error, norms, scales } = parts;
    file.append_all(&[*step, *error, *max_error], f32::to_le_bytes)?;
    file.append_all(&[centre.len() as u32, scales.len() as u32], u32::to_le_bytes)?;
    file.append_all(centre, f32::to_le_bytes)?;
    file.append_all(norms, u32::to_le_bytes)?;
    file.append_all(scales, f32::to_le_bytes)?;
    let len = file.len_so_far();
    file.append(&vec![0; len.next_multiple_of(ALIGNMENT) - len])?;
    for code in (0..graph.len() as u32).filter_map(|node| graph.code(node)) {
        file.append_all(code, i8::to_le_bytes)?;
    }
    Ok(())
}

/// The codes of `nodes` nodes, which begin at a place of the file and go on up to its checksum.
pub(super) fn decode(file: &Buffer, at: usize, nodes: usize) -> Result<StoredCodes> {
    let end = file.len() - CHECKSUM_BYTES;
    let mut rest = file.get(at..end).unwrap_or_default();
    let mut float = || take_array(&mut rest).map(f32::from_le_bytes);
    let (step, error, max_error) = (float()?, float()?, float()?);
    let mut number = || take_array(&mut rest).map(|bytes| u32::from_le_bytes(bytes) as usize);
    let (dim, scales) = (number()?, number()?);
    if dim > MAX_DIM {
        return Err(contradiction(WRONG_LENGTHS));
    }
    let mut floats = |count: usize| -> Result<Vec<f32>> {
        let (floats, _) = take(&mut rest, 4 * count)?.as_chunks();
        Ok(floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    };
    let (centre, norms, scales) = (floats(dim)?, floats(nodes)?, floats(scales)?);
    let norms = norms.into_iter().map(f32::to_bits).collect();
    let values_at = (end - rest.len()).next_multiple_of(ALIGNMENT);
    let len = nodes.checked_mul(CodeParts::code_bytes(dim));
    if len.and_then(|len| len.checked_add(values_at)) != Some(end) {
        return Err(contradiction(WRONG_LENGTHS));
    }
    let values = file.slice_with_length(values_at, end - values_at);
    let values = Arc::new(ScalarBuffer::<i8>::from(values));
    Ok(StoredCodes { parts: CodeParts { centre, step, error, max_error, norms, scales }, values })
}

#[cfg(test)]
mod tests {
    use arrow_buffer::Buffer;
    use loomdb_graph::{BuildParams, Graph, Metric, Vectors, Workers, build};

    use crate::ErrorKind;
    use crate::storage::graph_file::{StoredGraph, decode, write_with_codes};
    use crate::storage::{FileSystem, RealFs};

    fn graph() -> Graph {
        let values: Vec<f32> = (0..40 * 33_u32).map(|value| (value * value % 97) as f32).collect();
        let vectors = Vectors::from_flat(33, &values).unwrap();
        let workers = Workers::new(1).unwrap();
        build(vectors, Metric::Cosine, &BuildParams::default(), &workers, &()).unwrap().graph
    }

    fn file(graph: &Graph) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        write_with_codes(&RealFs, directory.path(), "graph", graph).unwrap();
        RealFs.map(&directory.path().join("graph")).unwrap().to_vec()
    }

    /// Reads bytes whose last four are made their checksum.
    fn read(mut bytes: Vec<u8>) -> crate::Result<StoredGraph> {
        if let Some(end) = bytes.len().checked_sub(4) {
            let sum = crc32c::crc32c(&bytes[..end]);
            bytes[end..].copy_from_slice(&sum.to_le_bytes());
        }
        let sum = crc32c::crc32c(&bytes);
        decode(&Buffer::from_vec(bytes), sum)
    }

    #[test]
    fn codes_come_back_on_cache_lines() {
        let graph = graph();
        let read = read(file(&graph)).unwrap();
        assert_eq!(read.parts, graph.to_parts());
        let codes = read.codes.unwrap();
        assert_eq!(codes.parts, graph.code_parts().unwrap());
        let values = (*codes.values).as_ref();
        let all: Vec<i8> = (0..40).flat_map(|node| graph.code(node).unwrap().to_vec()).collect();
        assert_eq!(values, all);
        let bytes = file(&graph);
        assert_eq!((bytes.len() - 4 - values.len()) % 64, 0);
    }

    #[test]
    fn hostile_lengths_and_cuts_are_refused() {
        let bytes = file(&graph());
        let parts = graph().to_parts();
        let codes_at = 64 + parts.levels.len() + 2 * parts.degrees.len() + 4 * parts.links.len();
        for field in [codes_at + 12, codes_at + 16] {
            for lie in [0, 1, 65, 1 << 16, 1 << 31, u32::MAX] {
                let mut bytes = bytes.clone();
                bytes[field..field + 4].copy_from_slice(&lie.to_le_bytes());
                let error = read(bytes).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Corrupted, "{lie}: {error}");
            }
        }
        for len in 0..bytes.len() {
            assert!(read(bytes[..len].to_vec()).is_err(), "cut at {len}");
        }
    }
}
