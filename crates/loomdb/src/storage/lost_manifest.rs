//! What a database holds when its manifest cannot be believed: an older one, a damaged one that
//! can still be read, or what the names of its files and their headers tell.

use std::path::Path;

use loomdb_graph::{MAX_DIM, MAX_ROWS, Metric};

use super::checked::damaged_ranges;
use super::checksum::BlockSums;
use super::fs::FileSystem;
use super::manifest::{self, Collection, FileRecord, LogPlace, Manifest, Segment};
use super::store::read_whole;
use super::{log, npy, points};
use crate::repair::Loss;
use crate::{Error, ErrorKind, Result};

/// The manifest that the most of the files fit, the newest of equals.
pub(crate) fn best(
    fs: &dyn FileSystem,
    root: &Path,
    (metric, losses): (Option<Metric>, &mut Vec<Loss>),
) -> Result<Manifest> {
    let numbers = manifest::numbers(fs, root)?;
    let mut best: Option<(usize, bool, Manifest)> = None;
    for number in numbers.iter().rev() {
        let path = root.join(manifest::file_name(*number));
        let Ok(bytes) = read_whole(fs, &path) else { continue };
        let (is_sound, found) = match Manifest::decode(&bytes) {
            Ok(found) => (found.number == *number, Some(found)),
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                return Err(error.in_file(&path));
            }
            Err(_) => (false, Manifest::decode_damaged(&bytes)),
        };
        let Some(mut found) = found else { continue };
        if !is_sound {
            put_right(fs, root, &mut found);
        }
        let misfits = misfits(fs, root, &found);
        if best.as_ref().is_none_or(|(least, _, _)| misfits < *least) {
            best = Some((misfits, is_sound, found));
        }
    }
    let newest = numbers.last().map(|number| manifest::file_name(*number));
    let newest = newest.unwrap_or_else(|| "manifest".to_owned());
    match best {
        Some((_, true, found)) => {
            if manifest::file_name(found.number) != newest {
                let number = found.number;
                let what = format!(
                    "the newest manifest is damaged: the database is rolled back to manifest \
                     {number}, and what was in newer segments is lost"
                );
                losses.push(Loss::new(&newest, what));
            }
            Ok(found)
        }
        Some((_, false, found)) => {
            let what = "its checksum does not match: names, metrics and fields are as it says them";
            losses.push(Loss::new(&newest, what));
            Ok(found)
        }
        None => rebuilt(fs, root, (metric, &newest, losses)),
    }
}

/// Files that are not as a manifest says.
fn misfits(fs: &dyn FileSystem, root: &Path, manifest: &Manifest) -> usize {
    let is_as_written =
        |file: &&FileRecord| damaged_ranges(fs, root, file).is_ok_and(|found| found.is_empty());
    manifest.files().count() - manifest.files().filter(is_as_written).count()
}

/// Believes the files rather than a manifest whose checksum does not match: a file is known by its
/// sums, whatever the manifest calls it, and its header knows its shape.
fn put_right(fs: &dyn FileSystem, root: &Path, manifest: &mut Manifest) {
    let found = all_files(fs, root);
    for file in manifest.files_mut() {
        if let Some(own) = found.iter().find(|found| file.is_of(found)) {
            own.clone_into(file);
        }
    }
    manifest.retain_plausible_files();
    manifest.log = manifest.log.take().and_then(|_| newest_log(fs, root));
    let records = manifest.log.as_ref().map(|place| log::salvage(fs, root, place).0);
    let last = records.iter().flatten().map(|(sequence, _)| *sequence).max().unwrap_or(0);
    for entry in &mut manifest.collections {
        for segment in &mut entry.segments {
            if let Some((rows, dim)) = shape(fs, root, segment.vectors.name()) {
                (segment.rows, entry.dim) = (rows, dim);
            }
        }
        let file = entry.segments.first().map(|segment| segment.vectors.name());
        if let Some(directory) = file.and_then(|name| name.split('/').next()).map(str::to_owned) {
            entry.number = number_of(&directory).unwrap_or(entry.number);
            entry.directory = directory;
        }
        // No batch behind the end of the log is in a segment.
        entry.sequence = if entry.sequence > last { 0 } else { entry.sequence };
    }
    manifest.retain_plausible_collections();
}

/// Every file of a collection, as it is.
fn all_files(fs: &dyn FileSystem, root: &Path) -> Vec<FileRecord> {
    let names = |directory: &str| {
        let names = fs.list(&root.join(directory)).unwrap_or_default();
        let names = names.into_iter().filter_map(|name| name.into_string().ok());
        names.collect::<Vec<_>>()
    };
    let is_collection = |name: &String| name.starts_with("collection-") || name == "default";
    let mut found = Vec::new();
    for collection in names("").into_iter().filter(is_collection) {
        for name in names(&collection) {
            let name = format!("{collection}/{name}");
            let inside = names(&name).into_iter().map(|inner| format!("{name}/{inner}"));
            found.extend(inside.chain([name.clone()]).filter_map(|name| summed(fs, root, &name)));
        }
    }
    found
}

fn newest_log(fs: &dyn FileSystem, root: &Path) -> Option<LogPlace> {
    let names = fs.list(root).ok()?;
    let name = names.iter().rev().filter_map(|name| name.to_str());
    name.filter(|name| name.starts_with("log-")).find_map(|name| log::place_of(fs, root, name))
}

fn number_of(directory: &str) -> Option<u32> {
    directory.rsplit_once('-').and_then(|(_, number)| number.parse().ok())
}

/// A manifest made of what lies in the directory.
fn rebuilt(
    fs: &dyn FileSystem,
    root: &Path,
    (metric, newest, losses): (Option<Metric>, &str, &mut Vec<Loss>),
) -> Result<Manifest> {
    let names = fs.list(root).map_err(|error| Error::io("list it", root, error))?;
    let names: Vec<&str> = names.iter().filter_map(|name| name.to_str()).collect();
    let mut manifest = Manifest::empty();
    manifest.log = newest_log(fs, root);
    let has_collections = |name: &&&str| name.starts_with("collection-") || **name == "default";
    let directories: Vec<&str> = names.iter().filter(has_collections).copied().collect();
    if directories.is_empty() && manifest.log.is_none() {
        let what = "it is not a database: there is neither a manifest nor a collection";
        return Err(Error::new(ErrorKind::NotFound, what).in_file(root));
    }
    let Some(metric) = metric else {
        let what = "the manifest is lost, and with it the metric of the collections";
        return Err(Error::invalid(what).in_file(root).advise("give the metric to the repair"));
    };
    for directory in directories {
        let number = number_of(directory);
        let mut entry = Collection::empty(directory, number.unwrap_or(0), metric);
        directory.clone_into(&mut entry.directory);
        entry.name = number.map_or(directory.to_owned(), |number| format!("collection-{number}"));
        read_collection(fs, root, (&mut entry, losses))?;
        manifest.collections.push(entry);
    }
    let what = "the manifest is lost: collections have numbers for names, their files are believed \
                without checksums, and points that were deleted or replaced long ago may be back";
    losses.push(Loss::new(newest, what));
    Ok(manifest)
}

/// The segments of a collection, in the order of their numbers, and its newest deletions.
fn read_collection(
    fs: &dyn FileSystem,
    root: &Path,
    (entry, losses): (&mut Collection, &mut Vec<Loss>),
) -> Result<()> {
    let path = root.join(&entry.directory);
    let names = fs.list(&path).map_err(|error| Error::io("list it", &path, error))?;
    let names: Vec<&str> = names.iter().filter_map(|name| name.to_str()).collect();
    for name in names.iter().filter(|name| name.starts_with("seg-")) {
        let directory = format!("{}/{name}", entry.directory);
        match read_segment(fs, root, &directory, entry.dim) {
            Some((dim, segment)) => {
                entry.dim = dim;
                entry.segments.push(segment);
            }
            None => losses.push(Loss::new(&directory, "the segment cannot be read")),
        }
    }
    let deletes = names.iter().rev().find(|name| name.starts_with("deletes-"));
    if let Some(name) = deletes {
        entry.deletes = summed(fs, root, &format!("{}/{name}", entry.directory));
    }
    Ok(())
}

/// A segment whose rows fit the headers of its own files.
fn read_segment(
    fs: &dyn FileSystem,
    root: &Path,
    directory: &str,
    dim: usize,
) -> Option<(usize, Segment)> {
    let vectors = summed(fs, root, &format!("{directory}/vectors.npy"))?;
    let points = summed(fs, root, &format!("{directory}/points.arrow"))?;
    let (rows, columns) = shape(fs, root, vectors.name())?;
    if dim > 0 && dim != columns {
        return None;
    }
    points::read_table(fs, root, &points, rows).ok()?;
    Some((columns, Segment { rows, vectors, points }))
}

/// The rows and the dimensions in the header of a file of vectors.
fn shape(fs: &dyn FileSystem, root: &Path, name: &str) -> Option<(usize, usize)> {
    let mut file = fs.open(&root.join(name)).ok()?;
    let mut prefix = [0; npy::PREFIX_BYTES];
    file.read_at(0, &mut prefix).ok()?;
    let mut header = vec![0; npy::header_len(&prefix)?];
    file.read_at(0, &mut header).ok()?;
    let [rows, dim] = npy::decode(&header)?.shape.try_into().ok()?;
    let (rows, dim) = (usize::try_from(rows).ok()?, usize::try_from(dim).ok()?);
    (rows <= MAX_ROWS && (1..=MAX_DIM).contains(&dim)).then_some((rows, dim))
}

/// The record of a file as it is, whatever that is.
fn summed(fs: &dyn FileSystem, root: &Path, name: &str) -> Option<FileRecord> {
    let mut file = fs.open(&root.join(name)).ok()?;
    let len_bytes = file.len_bytes().ok()?;
    let mut sums = BlockSums::default();
    let mut from = 0;
    let mut piece = vec![0; 1 << 20];
    while from < len_bytes {
        piece.truncate((len_bytes - from) as usize);
        file.read_at(from, &mut piece).ok()?;
        sums.update(&piece);
        from += piece.len() as u64;
    }
    Some(FileRecord::new(name.to_owned(), len_bytes, sums.finish()))
}
