//! Reading what can be read of damaged files: rows outside of damaged blocks, and batches between
//! them.
//!
//! Nothing is believed here that a checksum does not cover, except where the checksums themselves
//! are lost with the manifest; then the report says so.

use std::ops::Range;
use std::path::Path;

use arrow_array::RecordBatch;
use loomdb_graph::{MAX_VALUE, Vectors};

use super::checked::damaged_ranges;
use super::fs::FileSystem;
use super::manifest::{FileRecord, Segment};
use crate::repair::Loss;
use crate::{Result, ipc};

/// The rows of a segment that could be read.
pub(crate) struct SalvagedRows {
    /// The vector of each row; nothing for one that is damaged.
    vectors: Vec<f32>,
    dim: usize,
    lost: Vec<bool>,
    /// Ids and metadata, each with its first row.
    pub batches: Vec<(usize, RecordBatch)>,
}

impl SalvagedRows {
    /// The vector of a row, if it could be read.
    pub(crate) fn vector(&self, row: usize) -> Option<&[f32]> {
        if self.lost.get(row).is_none_or(|lost| *lost) {
            return None;
        }
        self.vectors.get(row * self.dim..)?.get(..self.dim)
    }

    /// The vectors of some rows, all of which could be read.
    pub(crate) fn vectors(&self, rows: &[usize]) -> Result<Vectors> {
        let mut vectors = Vectors::with_capacity(self.dim.max(1), rows.len())?;
        for row in rows.iter().filter_map(|row| self.vector(*row)) {
            vectors.push_rows(row)?;
        }
        Ok(vectors)
    }
}

/// Reads what is sound of a segment, and notes what is not.
pub(crate) fn read_segment(
    fs: &dyn FileSystem,
    root: &Path,
    segment: &Segment,
    (dim, losses): (usize, &mut Vec<Loss>),
) -> SalvagedRows {
    let (vectors, lost) = read_vectors(fs, root, segment, (dim, losses));
    let points = Bytes::read(fs, root, &segment.points, losses);
    let batches = decode_points(&points, segment.rows).unwrap_or_else(|what| {
        losses.push(Loss::new(segment.points.name(), what));
        Vec::new()
    });
    SalvagedRows { vectors, dim, lost, batches }
}

fn read_vectors(
    fs: &dyn FileSystem,
    root: &Path,
    segment: &Segment,
    (dim, losses): (usize, &mut Vec<Loss>),
) -> (Vec<f32>, Vec<bool>) {
    let bytes = Bytes::read(fs, root, &segment.vectors, losses);
    let row_bytes = size_of::<f32>() * dim;
    // The header may be in a damaged block, but its length is what the rows leave of the file.
    let rows_len = segment.rows.checked_mul(row_bytes);
    let header_len = rows_len.and_then(|len| bytes.len.checked_sub(len));
    let (mut values, mut lost) = (Vec::new(), Vec::new());
    for row in 0..segment.rows {
        let place = header_len.map(|header_len| {
            let start = header_len + row * row_bytes;
            start..start + row_bytes
        });
        let found = place.and_then(|place| bytes.sound(place)).unwrap_or_default();
        let before = values.len();
        values.extend(found.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)));
        let is_fit = |value: &f32| value.abs() <= MAX_VALUE;
        let is_whole = values.len() == before + dim;
        lost.push(!is_whole || !values.iter().skip(before).all(is_fit));
        values.resize(before + dim, 0.0);
    }
    (values, lost)
}

/// The batches of a file of points whose bytes are sound and whose first row is known.
fn decode_points(
    points: &Bytes,
    rows: usize,
) -> std::result::Result<Vec<(usize, RecordBatch)>, String> {
    let lost = |error: crate::Error| format!("none of its ids can be read: {error}");
    let mut file = ipc::from_memory(points.all.clone().into()).map_err(lost)?;
    // Each batch with its number of rows, as far as its head is sound.
    let mut batches: Vec<(Option<usize>, Option<RecordBatch>)> = Vec::new();
    while let Some((head, whole)) = file.next_place() {
        let count = points.is_sound(&head).then(|| file.next_rows().ok()).flatten();
        let batch = if points.is_sound(&whole) {
            file.next_batch().ok().flatten()
        } else {
            file.skip_batch();
            None
        };
        batches.push((batch.as_ref().map(RecordBatch::num_rows).or(count), batch));
    }
    let known: usize = batches.iter().filter_map(|(count, _)| *count).sum();
    let mut unknown = batches.iter_mut().filter(|(count, _)| count.is_none());
    if let (Some((count, _)), None) = (unknown.next(), unknown.next()) {
        *count = rows.checked_sub(known);
    }
    let mut found = Vec::new();
    let mut first = 0;
    for (count, batch) in &batches {
        let Some(count) = count else { break };
        found.extend(batch.clone().map(|batch| (first, batch)));
        first += count;
    }
    // Behind two batches of unknown lengths, rows are counted from the end.
    let mut end = rows;
    for (count, batch) in batches.iter().rev() {
        let Some(start) = count.and_then(|count| end.checked_sub(count)) else { break };
        end = start;
        if start >= first {
            found.extend(batch.clone().map(|batch| (start, batch)));
        }
    }
    found.sort_by_key(|(first, _)| *first);
    found.retain(|(first, batch)| first + batch.num_rows() <= rows);
    Ok(found)
}

/// The bytes of a file, zeros where they are damaged.
struct Bytes {
    all: Vec<u8>,
    /// The length that the manifest says.
    len: usize,
    damaged: Vec<Range<u64>>,
}

impl Bytes {
    fn read(fs: &dyn FileSystem, root: &Path, record: &FileRecord, losses: &mut Vec<Loss>) -> Self {
        let len_bytes = record.len_bytes();
        let damaged = damaged_ranges(fs, root, record).unwrap_or_else(|error| {
            losses.push(Loss::new(record.name(), error.what()));
            std::iter::once(0..len_bytes).collect()
        });
        let mut own = Self { all: Vec::new(), len: len_bytes as usize, damaged };
        let is_gone = own.damaged.contains(&(0..len_bytes)) && len_bytes > 0;
        if is_gone {
            return own;
        }
        if own.read_sound(fs, &root.join(record.name()), len_bytes).is_none() {
            own.damaged = std::iter::once(0..len_bytes).collect();
        }
        for Range { start, end } in &own.damaged {
            let what = format!("the bytes {start} to {end} are damaged");
            losses.push(Loss::new(record.name(), what));
        }
        own
    }

    fn read_sound(&mut self, fs: &dyn FileSystem, path: &Path, len_bytes: u64) -> Option<()> {
        let mut file = fs.open(path).ok()?;
        // A file that was cut off is damaged from there on.
        let len_bytes = len_bytes.min(file.len_bytes().ok()?);
        self.all = vec![0; usize::try_from(len_bytes).ok()?];
        let mut from = 0;
        let ends = self.damaged.iter().map(|range| range.start).chain([len_bytes]);
        let resumes = self.damaged.iter().map(|range| range.end).chain([len_bytes]);
        for (end, resume) in ends.zip(resumes) {
            if from >= len_bytes {
                break;
            }
            let part = self.all.get_mut(from as usize..end as usize)?;
            file.read_at(from, part).ok()?;
            from = resume;
        }
        Some(())
    }

    fn is_sound(&self, place: &Range<usize>) -> bool {
        let is_apart = |damaged: &Range<u64>| {
            place.end as u64 <= damaged.start || damaged.end <= place.start as u64
        };
        self.damaged.iter().all(is_apart)
    }

    fn sound(&self, place: Range<usize>) -> Option<&[u8]> {
        if self.is_sound(&place) { self.all.get(place) } else { None }
    }
}
