//! The log: an append-only file of batches, one record for each.
//!
//! ```text
//! file:   magic 8 | major u16 | minor u16 | flags u32 | number u32 | first sequence u64 | crc32c
//! record: marker u32 | payload length u32 | sequence u64 | synced up to u64
//!         | crc32c of the payload | crc32c of the header so far, begun with the file's number
//!         | payload
//! ```
//!
//! Numbers are little-endian; sequences count up by one without a gap. "Synced up to" is the
//! length of the file that was known to be on the disk when the record was written.
//!
//! What a record that cannot be read means: if it begins before a place that is known to have been
//! synced, by the manifest or by any sound record before or behind it, it is damage, and an error.
//! Otherwise no promise was made about it, a loss of power explains it, and the log ends before
//! it. Sound records behind it were not promised either: the system may have written them first.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::RESTORE;
use super::fs::{FileHandle, FileSystem};
use super::manifest::LogPlace;
use crate::limits::MAX_RECORD_BYTES;
use crate::repair::Loss;
use crate::{Error, ErrorKind, Result};

const MAGIC: &[u8; 8] = b"\x93LLOG\r\n\x1a";
const MAJOR: u16 = 1;
const MINOR: u16 = 0;
const FILE_HEADER_BYTES: usize = 32;
const RECORD_HEADER_BYTES: usize = 32;
const MARKER: u32 = 0x4c4f_4752;

/// The name of a log, from the root of the database.
pub(crate) fn file_name(number: u32) -> String {
    format!("log-{number:08}")
}

/// The end of a log to which records are appended.
#[derive(Debug)]
pub(crate) struct LogWriter {
    file: Box<dyn FileHandle>,
    path: PathBuf,
    number: u32,
    first_sequence: u64,
    last_sequence: u64,
    end: u64,
    synced: u64,
    is_broken: bool,
}

/// An end of a log, to come back to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    end: u64,
    last_sequence: u64,
}

impl LogWriter {
    /// Makes an empty log whose records count from `first_sequence`, and syncs it; the directory
    /// is left to the caller.
    pub(crate) fn create(
        fs: &Arc<dyn FileSystem>,
        root: &Path,
        number: u32,
        first_sequence: u64,
    ) -> Result<Self> {
        let path = root.join(file_name(number));
        let failed = |error| Error::io("make it", &path, error);
        let mut file = fs.create_new(&path).map_err(failed)?;
        file.append(&file_header(number, first_sequence)).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        let end = FILE_HEADER_BYTES as u64;
        let last_sequence = first_sequence - 1;
        let is_broken = false;
        Ok(Self { file, path, number, first_sequence, last_sequence, end, synced: end, is_broken })
    }

    /// Goes on with a log that was read to its end and is known to be synced.
    pub(crate) fn resume(
        fs: &Arc<dyn FileSystem>,
        root: &Path,
        place: &LogPlace,
        replay: &Replay,
    ) -> Result<Self> {
        let path = root.join(file_name(place.number));
        let opened = fs.open_to_append(&path);
        let file = opened.map_err(|error| Error::io("open it", &path, error))?;
        Ok(Self {
            file,
            path,
            number: place.number,
            first_sequence: place.first_sequence,
            last_sequence: replay.last_sequence,
            end: replay.end,
            synced: replay.end,
            is_broken: false,
        })
    }

    /// Appends a batch and returns its sequence. After an error the log is what it was, or it
    /// takes nothing more.
    pub(crate) fn append(&mut self, payload: &[u8]) -> Result<u64> {
        self.check()?;
        if payload.len() > MAX_RECORD_BYTES {
            return Err(Error::invalid("the batch is too large for one record"));
        }
        let sequence = self.last_sequence + 1;
        let mut record = Vec::with_capacity(RECORD_HEADER_BYTES + payload.len());
        record.extend(record_header(self.number, sequence, self.synced, payload));
        record.extend(payload);
        if let Err(error) = self.file.append(&record) {
            self.cut_back();
            return Err(Error::io("write it", &self.path, error));
        }
        self.last_sequence = sequence;
        self.end += record.len() as u64;
        Ok(sequence)
    }

    /// Appends a batch that is on the disk when this returns. After an error it is not in the
    /// log, as far as the disk still obeys.
    pub(crate) fn append_synced(&mut self, payload: &[u8]) -> Result<u64> {
        let mark = self.mark();
        let sequence = self.append(payload)?;
        self.sync_since(mark)?;
        Ok(sequence)
    }

    /// Where the log ends now.
    pub(crate) fn mark(&self) -> Mark {
        Mark { end: self.end, last_sequence: self.last_sequence }
    }

    /// Puts what was appended behind a mark on the disk. After an error it is not in the log, as
    /// far as the disk still obeys.
    pub(crate) fn sync_since(&mut self, mark: Mark) -> Result<()> {
        self.sync().inspect_err(|_| {
            (self.end, self.last_sequence) = (mark.end, mark.last_sequence);
            self.cut_back();
        })
    }

    /// Makes everything so far survive a loss of power. When that fails, what was written must be
    /// taken for lost, and the log takes nothing more.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.check()?;
        if self.synced == self.end {
            return Ok(());
        }
        if let Err(error) = self.file.sync_data() {
            self.is_broken = true;
            return Err(Error::io("sync it", &self.path, error));
        }
        self.synced = self.end;
        Ok(())
    }

    /// Where the log is, for the manifest.
    pub(crate) fn place(&self) -> LogPlace {
        LogPlace {
            number: self.number,
            first_sequence: self.first_sequence,
            synced_up_to: self.synced,
        }
    }

    pub(crate) fn len_bytes(&self) -> u64 {
        self.end
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.last_sequence < self.first_sequence
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Removes what a failed write left. The cut is synced, since otherwise what it removed could
    /// come back behind later records.
    fn cut_back(&mut self) {
        let cut = self.file.set_len(self.end).and_then(|()| self.file.sync_data());
        self.is_broken |= cut.is_err();
    }

    fn check(&self) -> Result<()> {
        if !self.is_broken {
            return Ok(());
        }
        let what = "an earlier write or sync failed, so nothing more is written";
        let error = Error::new(ErrorKind::Poisoned, what).in_file(&self.path);
        Err(error.advise("open the database again"))
    }
}

/// What was found behind the last record.
#[derive(Debug)]
pub(crate) struct Replay {
    /// Where the last sound record ends.
    pub end: u64,
    /// Its sequence; one before the first when there is none.
    pub last_sequence: u64,
    /// Whether the file is known to be synced up to this end, with nothing behind it.
    pub is_clean: bool,
    /// What was left out at the end, for people.
    pub warning: Option<String>,
}

/// A sound record of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordPlace {
    pub sequence: u64,
    /// Where it begins.
    pub at: usize,
    end: usize,
}

/// The sound records of a log, in order.
#[derive(Debug)]
pub(crate) struct Records {
    bytes: Vec<u8>,
    pub places: Vec<RecordPlace>,
}

impl Records {
    pub(crate) fn payload(&self, place: &RecordPlace) -> &[u8] {
        self.bytes.get(place.at + RECORD_HEADER_BYTES..place.end).unwrap_or_default()
    }
}

/// Reads a log.
pub(crate) fn read(
    fs: &dyn FileSystem,
    root: &Path,
    place: &LogPlace,
) -> Result<(Records, Replay)> {
    let path = root.join(file_name(place.number));
    let bytes = read_whole(fs, &path)?;
    let mut places = Vec::new();
    let replay = replay_bytes(&bytes, place, &mut |at, record| {
        places.push(RecordPlace { sequence: record.sequence, at, end: record.end });
    });
    let replay = replay.map_err(|error| damaged(&path, error))?;
    Ok((Records { bytes, places }, replay))
}

/// The bytes of a log up to the end of its last sound record.
pub(crate) fn read_sound(
    fs: &dyn FileSystem,
    root: &Path,
    place: &LogPlace,
) -> Result<(Vec<u8>, Replay)> {
    let path = root.join(file_name(place.number));
    let mut bytes = read_whole(fs, &path)?;
    let replay = replay_bytes(&bytes, place, &mut |_, _| ());
    let replay = replay.map_err(|error| damaged(&path, error))?;
    bytes.truncate(replay.end as usize);
    Ok((bytes, replay))
}

/// The sound records of a log, whatever lies between them, and what of it is lost.
pub(crate) fn salvage(
    fs: &dyn FileSystem,
    root: &Path,
    place: &LogPlace,
) -> (Vec<(u64, Vec<u8>)>, Vec<Loss>) {
    let name = file_name(place.number);
    let bytes = match read_whole(fs, &root.join(&name)) {
        Ok(bytes) => bytes,
        Err(error) => return (Vec::new(), vec![Loss::new(&name, error.what())]),
    };
    let (mut records, mut losses) = (Vec::new(), Vec::new());
    let (mut at, mut promised) = (0, place.synced_up_to);
    let mut next = place.first_sequence;
    let mut end = FILE_HEADER_BYTES;
    while let Some(marker) = find_marker(&bytes, at) {
        let Some(record) = record_at(&bytes, marker, place.number).filter(|r| r.sequence >= next)
        else {
            at = marker + 1;
            continue;
        };
        if record.sequence > next {
            let last = record.sequence - 1;
            let what = format!("the batches {next} to {last} at the bytes {end} to {marker}");
            losses.push(Loss::new(&name, format!("{what} cannot be read")));
        }
        promised = promised.max(record.synced_up_to);
        (next, end, at) = (record.sequence.saturating_add(1), record.end, record.end);
        records.push((record.sequence, record.payload.to_vec()));
    }
    if (end as u64) < promised {
        let what = format!("the batches from {next} on, at the bytes {end} to {promised}");
        losses.push(Loss::new(&name, format!("{what}, cannot be read")));
    }
    (records, losses)
}

/// Where a log is that no manifest tells of, from its name and its header.
pub(super) fn place_of(fs: &dyn FileSystem, root: &Path, name: &str) -> Option<LogPlace> {
    let number: u32 = name.strip_prefix("log-")?.parse().ok()?;
    let mut file = fs.open(&root.join(name)).ok()?;
    let mut header = [0; FILE_HEADER_BYTES];
    file.read_at(0, &mut header).ok()?;
    let (body, sum) = header.split_last_chunk()?;
    let is_sound = u32::from_le_bytes(*sum) == crc32c::crc32c(body);
    let first_sequence = body.last_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    let first_sequence = first_sequence.filter(|_| is_sound).unwrap_or(1);
    Some(LogPlace { number, first_sequence, synced_up_to: 0 })
}

/// An error about the contents of a log.
pub(crate) fn damaged(path: &Path, error: Error) -> Error {
    let error = if error.file().is_some() { error } else { error.in_file(path) };
    if error.kind() == ErrorKind::Corrupted { error.or_advise(RESTORE) } else { error }
}

fn replay_bytes(
    bytes: &[u8],
    place: &LogPlace,
    look: &mut dyn FnMut(usize, &Record<'_>),
) -> Result<Replay> {
    check_file_header(bytes, place)?;
    let mut at = FILE_HEADER_BYTES;
    let mut last_sequence = place.first_sequence.saturating_sub(1);
    let mut promised = place.synced_up_to;
    while let Some(record) = record_at(bytes, at, place.number) {
        if Some(record.sequence) != last_sequence.checked_add(1) {
            let what = format!("record {} follows {last_sequence}", record.sequence);
            return Err(Error::corrupted(what).at_offset(at as u64));
        }
        look(at, &record);
        promised = promised.max(record.synced_up_to);
        last_sequence = record.sequence;
        at = record.end;
    }
    let behind = records_behind(bytes, at, place.number, last_sequence);
    promised = behind.iter().copied().fold(promised, u64::max);
    if (at as u64) < promised {
        let what = format!("a record cannot be read, though {promised} bytes had been synced");
        let error = Error::corrupted(what).at_offset(at as u64);
        return Err(error.advise(RESTORE));
    }
    let warning = (at < bytes.len()).then(|| {
        let (cut, records) = (bytes.len() - at, behind.len());
        let file = file_name(place.number);
        format!(
            "{file}: the last {cut} bytes were never synced and are left out; in them {records} \
             whole records"
        )
    });
    let is_clean = at == bytes.len() && at as u64 == place.synced_up_to;
    Ok(Replay { end: at as u64, last_sequence, is_clean, warning })
}

struct Record<'a> {
    sequence: u64,
    synced_up_to: u64,
    payload: &'a [u8],
    end: usize,
}

/// The sound record that begins at a place.
fn record_at(bytes: &[u8], at: usize, number: u32) -> Option<Record<'_>> {
    let header: &[u8; RECORD_HEADER_BYTES] = bytes.get(at..)?.first_chunk()?;
    let (body, header_sum) = header.split_last_chunk()?;
    if !body.starts_with(&MARKER.to_le_bytes())
        || u32::from_le_bytes(*header_sum) != crc32c::crc32c_append(number, body)
    {
        return None;
    }
    let mut rest = body.get(4..)?;
    let payload_len = u32::from_le_bytes(take(&mut rest)?) as usize;
    let sequence = u64::from_le_bytes(take(&mut rest)?);
    let synced_up_to = u64::from_le_bytes(take(&mut rest)?);
    let payload_sum = u32::from_le_bytes(take(&mut rest)?);
    let payload_at = at + RECORD_HEADER_BYTES;
    let end = payload_at.checked_add(payload_len)?;
    let payload = bytes.get(payload_at..end)?;
    let is_sound = crc32c::crc32c(payload) == payload_sum && synced_up_to <= at as u64;
    is_sound.then_some(Record { sequence, synced_up_to, payload, end })
}

/// What the sound records behind a place say to have been synced.
fn records_behind(bytes: &[u8], from: usize, number: u32, last_sequence: u64) -> Vec<u64> {
    let mut found = Vec::new();
    let mut at = from;
    while let Some(next) = find_marker(bytes, at) {
        at = match record_at(bytes, next, number) {
            Some(record) if record.sequence > last_sequence => {
                found.push(record.synced_up_to);
                record.end
            }
            _ => next + 1,
        };
    }
    found
}

fn find_marker(bytes: &[u8], from: usize) -> Option<usize> {
    let marker = MARKER.to_le_bytes();
    bytes.get(from..)?.windows(marker.len()).position(|window| window == marker).map(|at| from + at)
}

fn file_header(number: u32, first_sequence: u64) -> Vec<u8> {
    let mut header = Vec::with_capacity(FILE_HEADER_BYTES);
    header.extend(MAGIC);
    header.extend(MAJOR.to_le_bytes());
    header.extend(MINOR.to_le_bytes());
    header.extend(0_u32.to_le_bytes());
    header.extend(number.to_le_bytes());
    header.extend(first_sequence.to_le_bytes());
    header.extend(crc32c::crc32c(&header).to_le_bytes());
    header
}

fn record_header(number: u32, sequence: u64, synced: u64, payload: &[u8]) -> Vec<u8> {
    let mut header = Vec::with_capacity(RECORD_HEADER_BYTES);
    header.extend(MARKER.to_le_bytes());
    header.extend((payload.len() as u32).to_le_bytes());
    header.extend(sequence.to_le_bytes());
    header.extend(synced.to_le_bytes());
    header.extend(crc32c::crc32c(payload).to_le_bytes());
    header.extend(crc32c::crc32c_append(number, &header).to_le_bytes());
    header
}

/// The header was synced before the manifest named the file, so it must be there.
fn check_file_header(bytes: &[u8], place: &LogPlace) -> Result<()> {
    let damaged = || Error::corrupted("the log has no sound header").at_offset(0);
    let header: &[u8; FILE_HEADER_BYTES] = bytes.first_chunk().ok_or_else(damaged)?;
    let (body, sum) = header.split_last_chunk().ok_or_else(damaged)?;
    if !body.starts_with(MAGIC) || u32::from_le_bytes(*sum) != crc32c::crc32c(body) {
        return Err(damaged());
    }
    let mut rest = body.get(MAGIC.len()..).ok_or_else(damaged)?;
    let major = take(&mut rest).map(u16::from_le_bytes);
    let minor = take(&mut rest).map(u16::from_le_bytes);
    let flags = take(&mut rest).map(u32::from_le_bytes);
    if major != Some(MAJOR) || minor.is_none_or(|minor| minor > MINOR) || flags != Some(0) {
        let error = Error::new(ErrorKind::Unsupported, "the log has a newer format");
        return Err(error.advise("use a newer version of loomdb"));
    }
    let number = take(&mut rest).map(u32::from_le_bytes);
    let first_sequence = take(&mut rest).map(u64::from_le_bytes);
    if number == Some(place.number) && first_sequence == Some(place.first_sequence) {
        Ok(())
    } else {
        Err(Error::corrupted("the log is not the one that the manifest names").at_offset(0))
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*bytes)
}

fn read_whole(fs: &dyn FileSystem, path: &Path) -> Result<Vec<u8>> {
    let opened = fs.open(path);
    let mut file = opened.map_err(|error| super::checked::missing(path, error))?;
    let failed = |error| Error::io("read it", path, error);
    let len_bytes = file.len_bytes().map_err(failed)?;
    let mut bytes = vec![0; len_bytes as usize];
    file.read_at(0, &mut bytes).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{FILE_HEADER_BYTES, LogPlace, Replay, file_header, record_header, replay_bytes};
    use crate::{ErrorKind, Result};

    const NUMBER: u32 = 9;

    /// A log of records from sequence 5 on; each says how much was synced before it.
    struct Log {
        bytes: Vec<u8>,
        ends: Vec<usize>,
    }

    /// What a record says to have been synced, from where it begins.
    type Synced = fn(usize) -> u64;

    fn log(records: &[(&[u8], Synced)]) -> Log {
        let mut bytes = file_header(NUMBER, 5);
        let mut ends = vec![bytes.len()];
        for (index, (payload, synced)) in records.iter().enumerate() {
            let synced = synced(bytes.len());
            bytes.extend(record_header(NUMBER, 5 + index as u64, synced, payload));
            bytes.extend(*payload);
            ends.push(bytes.len());
        }
        Log { bytes, ends }
    }

    fn synced(end: usize) -> u64 {
        end as u64
    }

    fn buffered(_end: usize) -> u64 {
        FILE_HEADER_BYTES as u64
    }

    fn read(bytes: &[u8], synced_up_to: u64) -> Result<(Vec<Vec<u8>>, Replay)> {
        let place = LogPlace { number: NUMBER, first_sequence: 5, synced_up_to };
        let mut payloads = Vec::new();
        let replay = replay_bytes(bytes, &place, &mut |_, payload| {
            payloads.push(payload.payload.to_vec());
        })?;
        Ok((payloads, replay))
    }

    const HEADER: u64 = FILE_HEADER_BYTES as u64;

    #[test]
    fn records_come_back_in_order() {
        let log = log(&[(b"one", synced), (b"", synced), (b"three", buffered)]);
        let (payloads, replay) = read(&log.bytes, HEADER).unwrap();
        assert_eq!(payloads, [&b"one"[..], b"", b"three"]);
        assert_eq!((replay.end, replay.last_sequence), (log.bytes.len() as u64, 7));
        assert!(!replay.is_clean, "nobody knows whether the last record is synced");
        assert!(read(&log.bytes, log.bytes.len() as u64).unwrap().1.is_clean);
    }

    #[test]
    fn a_flip_is_an_error_or_takes_only_what_was_not_promised() {
        let log = log(&[(b"one", synced), (b"two", synced), (b"three", synced)]);
        for bit in 0..8 * log.bytes.len() {
            let mut damaged = log.bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = read(&damaged, log.bytes.len() as u64).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupted, "bit {bit}");
            // Without a word of the manifest, only the last record may be missing.
            match read(&damaged, HEADER) {
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupted, "bit {bit}"),
                Ok((payloads, replay)) => {
                    assert!(bit / 8 >= log.ends[2], "bit {bit}");
                    assert_eq!(payloads, [&b"one"[..], b"two"]);
                    assert!(replay.warning.is_some());
                }
            }
        }
    }

    #[test]
    fn a_cut_is_an_error_or_takes_only_what_was_not_promised() {
        let log = log(&[(b"one", synced), (b"two", synced)]);
        for len in 0..log.bytes.len() {
            assert!(read(&log.bytes[..len], log.bytes.len() as u64).is_err(), "cut at {len}");
            let whole = log.ends.iter().filter(|end| **end <= len).count();
            match read(&log.bytes[..len], HEADER) {
                Ok((payloads, replay)) => {
                    assert_eq!(payloads.len() + 1, whole, "cut at {len}");
                    assert_eq!(replay.end as usize, log.ends[payloads.len()]);
                }
                Err(error) => {
                    assert!(len < FILE_HEADER_BYTES, "cut at {len}");
                    assert_eq!(error.kind(), ErrorKind::Corrupted);
                }
            }
        }
    }

    #[test]
    fn records_that_were_written_out_of_order_and_not_synced_are_left_out() {
        let log = log(&[(b"one", synced), (b"two", buffered), (b"three", buffered)]);
        let mut lost = log.bytes.clone();
        lost[log.ends[1]..log.ends[2]].fill(0);
        let (payloads, replay) = read(&lost, HEADER).unwrap();
        assert_eq!(payloads, [b"one"]);
        assert!(replay.warning.unwrap().contains("1 whole records"));
        assert_eq!(replay.end as usize, log.ends[1]);
    }

    #[test]
    fn records_of_another_log_and_gaps_are_refused() {
        let mut foreign = file_header(NUMBER, 5);
        foreign.extend(record_header(NUMBER + 1, 5, HEADER, b"x"));
        foreign.extend(b"x");
        assert!(read(&foreign, HEADER).unwrap().0.is_empty());
        let mut gap = file_header(NUMBER, 5);
        gap.extend(record_header(NUMBER, 6, HEADER, b"x"));
        gap.extend(b"x");
        assert_eq!(read(&gap, HEADER).unwrap_err().kind(), ErrorKind::Corrupted);
        let other = file_header(NUMBER + 1, 5);
        assert_eq!(read(&other, HEADER).unwrap_err().kind(), ErrorKind::Corrupted);
    }
}
