//! Checking: every file first, then what the collections make of them.
//!
//! A writer may remove a file while it is looked at. Then there is a newer manifest, and the check
//! begins again; a writer that checks its own database makes its others wait in the end.

use std::path::Path;
use std::sync::Arc;

use super::open::{MAX_TRIES, open_to_read};
use super::replay::at;
use super::write::Target;
use super::{Database, OpenOptions, Shared};
use crate::check::{CheckOptions, CheckReport, CheckedFile, Finding, Severity};
use crate::collection::{Change, Snapshot};
use crate::storage::FileSystem;
use crate::storage::directory::{leftovers, read_newest};
use crate::storage::manifest::{FileRecord, Manifest};
use crate::storage::{log, verify};
use crate::{Error, ErrorKind, Result};

impl Database {
    /// Checks every byte of every file, what the files hold, and the collections in memory. Other
    /// threads go on meanwhile.
    ///
    /// # Errors
    /// `Io` when the directory cannot be read; `Canceled`. What is wrong with the database is in
    /// the report.
    pub fn check(&self, options: &CheckOptions<'_>) -> Result<CheckReport> {
        let mut report = match self.shared.place() {
            Some((fs, root)) => self.shared.check_files(&fs, &root, options)?,
            None => CheckReport::default(),
        };
        self.shared.check_collections(options, &mut report)?;
        Ok(report)
    }
}

/// Checks a directory, and opens it to look at its collections if it can be opened.
pub(crate) fn check(
    fs: &Arc<dyn FileSystem>,
    root: &Path,
    options: &CheckOptions<'_>,
) -> Result<CheckReport> {
    let mut report = settled(&**fs, root, options)?;
    if report.worst() == Some(Severity::Damage) {
        return Ok(report);
    }
    match open_to_read(&OpenOptions::new().file_system(Arc::clone(fs)), root) {
        Ok(db) => db.shared.check_collections(options, &mut report)?,
        Err(error) => report.findings.push(Finding::new(Severity::Damage, &error)),
    }
    Ok(report)
}

impl Shared {
    fn check_files(
        &self,
        fs: &Arc<dyn FileSystem>,
        root: &Path,
        options: &CheckOptions<'_>,
    ) -> Result<CheckReport> {
        let report = settled(&**fs, root, options)?;
        if report.is_sound() || self.reader.is_some() {
            return Ok(report);
        }
        let writer = self.lock();
        if !matches!(writer.target, Target::Directory(_)) {
            return Ok(report);
        }
        // Perhaps it was only a file that went: nothing goes while nobody else can write.
        files(&**fs, root, options)
    }

    fn check_collections(
        &self,
        options: &CheckOptions<'_>,
        report: &mut CheckReport,
    ) -> Result<()> {
        for inner in self.all() {
            let snapshot = Snapshot::of(inner.state.load_full());
            let name = String::clone(&inner.name.load());
            let (checked, errors) = snapshot.check(&name, options)?;
            let found = errors.iter().map(|(severity, error)| Finding::in_memory(*severity, error));
            report.findings.extend(found);
            report.collections.push(checked);
        }
        Ok(())
    }
}

/// The report on one manifest and its files, begun again when a writer committed another one.
fn settled(fs: &dyn FileSystem, root: &Path, options: &CheckOptions<'_>) -> Result<CheckReport> {
    let mut report = files(fs, root, options)?;
    for _ in 0..MAX_TRIES {
        let newest = read_newest(fs, root).ok().flatten().map(|manifest| manifest.number);
        if report.is_sound() || newest.is_none() || newest == report.manifest {
            break;
        }
        report = files(fs, root, options)?;
    }
    Ok(report)
}

fn files(fs: &dyn FileSystem, root: &Path, options: &CheckOptions<'_>) -> Result<CheckReport> {
    let mut report = CheckReport::default();
    let manifest = match read_newest(fs, root) {
        Ok(Some(manifest)) => manifest,
        Ok(None) => {
            let what = "it is not a database: there is no manifest";
            return Err(Error::new(ErrorKind::NotFound, what).in_file(root));
        }
        Err(error) if matches!(error.kind(), ErrorKind::Corrupted | ErrorKind::Unsupported) => {
            report.findings.push(Finding::new(Severity::Damage, &error));
            return Ok(report);
        }
        Err(error) => return Err(error),
    };
    report.manifest = Some(manifest.number);
    let all: u64 = manifest.files().map(FileRecord::len_bytes).sum();
    let mut before = 0;
    let mut progress = |record: &FileRecord| {
        if !(options.progress)(before as usize, all as usize) {
            return Err(Error::canceled());
        }
        before += record.len_bytes();
        Ok(())
    };
    for collection in &manifest.collections {
        for examined in verify::examine(fs, root, collection, &mut progress)? {
            let severity = if examined.is_expendable { Severity::Graph } else { Severity::Damage };
            let found = examined.errors.iter().map(|error| Finding::new(severity, error));
            report.findings.extend(found);
            let is_sound = examined.errors.is_empty();
            let (name, len_bytes) = (examined.name, examined.len_bytes);
            report.files.push(CheckedFile { name, len_bytes, is_sound });
        }
    }
    check_log(fs, root, &manifest, &mut report);
    report.leftovers = leftovers(fs, root, &manifest);
    (options.progress)(all as usize, all as usize);
    Ok(report)
}

/// Reads the log as opening does, and decodes every batch.
fn check_log(fs: &dyn FileSystem, root: &Path, manifest: &Manifest, report: &mut CheckReport) {
    let Some(place) = &manifest.log else { return };
    let name = log::file_name(place.number);
    let replayed = log::read(fs, root, place).and_then(|(records, replay)| {
        report.log_batches = records.places.len();
        for place in &records.places {
            let decoded = Change::decode(records.payload(place));
            decoded.map_err(|error| log::damaged(&root.join(&name), at(place, error)))?;
        }
        Ok(replay)
    });
    let is_sound = replayed.is_ok();
    let len_bytes = match replayed {
        Ok(replay) => {
            report.findings.extend(replay.warning.map(Finding::note));
            replay.end
        }
        Err(error) => {
            report.findings.push(Finding::new(Severity::Damage, &error));
            place.synced_up_to
        }
    };
    report.files.push(CheckedFile { name, len_bytes, is_sound });
}
