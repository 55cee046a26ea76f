//! Repairing: what can be read is written as another database, and takes the place of the damaged
//! one, which is kept beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::backup::write_new;
use super::check::check;
use super::{OpenOptions, making};
use crate::check::CheckOptions;
use crate::collection::{Change, Linking, Making, State};
use crate::repair::{Loss, RepairOptions, RepairReport, RepairedCollection};
use crate::storage::directory::{lock, read_newest};
use crate::storage::manifest::{Collection, Manifest};
use crate::storage::segment::Place;
use crate::storage::staging::{Staging, Target};
use crate::storage::{Existing, FileSystem, log, lost_manifest};
use crate::{Error, ErrorKind, Result};

pub(crate) fn repair(
    fs: &Arc<dyn FileSystem>,
    root: &Path,
    options: &RepairOptions<'_>,
) -> Result<RepairReport> {
    let checked = check(fs, root, &CheckOptions::default())?;
    if let Err(error) = read_newest(&**fs, root)
        && error.kind() == ErrorKind::Unsupported
    {
        return Err(error);
    }
    let _lock = lock(&**fs, root)?;
    let mut report = RepairReport {
        is_changed: !checked.is_sound(),
        database: root.to_owned(),
        damaged: root.to_owned(),
        collections: Vec::new(),
        losses: Vec::new(),
    };
    if checked.is_sound() {
        let names = checked.collections.into_iter();
        let repaired = names.map(|one| RepairedCollection { name: one.name, points: one.points });
        report.collections = repaired.collect();
        return Ok(report);
    }
    let target = Target::new(&**fs, options.to.unwrap_or(root))?;
    if options.to.is_some() {
        target.check(Existing::Refuse)?;
    }
    let losses = &mut report.losses;
    let manifest = lost_manifest::best(&**fs, root, (options.metric, losses))?;
    let collections = salvage(fs, root, (manifest, options), losses)?;
    let staging = Staging::create(&target)?;
    write_new(fs, &staging.path, &collections)?;
    let sound = check(fs, &staging.path, &CheckOptions::default())?;
    if let Some(finding) = sound.findings.first() {
        let what = format!("what was saved does not fit together: {finding}");
        return Err(Error::corrupted(what).in_file(root).advise("restore the directory"));
    }
    target.path().clone_into(&mut report.database);
    match options.to {
        Some(_) => target.install(staging, Existing::Refuse)?,
        None => report.damaged = replace(&**fs, (root, &target), staging)?,
    }
    let repaired = |(name, state): &(String, Arc<State>)| RepairedCollection {
        name: name.clone(),
        points: state.live(),
    };
    report.collections = collections.iter().map(repaired).collect();
    Ok(report)
}

/// The collections of a manifest with all that can be read of them and of the log.
fn salvage(
    fs: &Arc<dyn FileSystem>,
    root: &Path,
    (manifest, options): (Manifest, &RepairOptions<'_>),
    losses: &mut Vec<Loss>,
) -> Result<Vec<(String, Arc<State>)>> {
    let making = making(&OpenOptions::new())?;
    let mut found: Vec<(Collection, State)> = Vec::new();
    for mut entry in manifest.collections {
        if let (Err(_), Some(metric)) = (entry.metric(), options.metric) {
            metric.name().clone_into(&mut entry.metric);
        }
        let place = Place { fs: &**fs, root, directory: &entry.directory };
        let before = losses.len();
        let state = State::salvage(place, &entry, &making, losses)?;
        for loss in losses.iter_mut().skip(before) {
            loss.collection = Some(entry.name.clone());
        }
        found.push((entry, state));
    }
    if let Some(place) = &manifest.log {
        let (records, lost) = log::salvage(&**fs, root, place);
        losses.extend(lost);
        let name = log::file_name(place.number);
        for (sequence, record) in records {
            if let Err(error) = apply(&mut found, &making, (sequence, &record)) {
                let what = format!("the batch {sequence} cannot be applied: {error}");
                losses.push(Loss::new(&name, what));
            }
        }
    }
    Ok(found.into_iter().map(|(entry, state)| (entry.name, Arc::new(state))).collect())
}

/// Applies a record of the log that is in no segment.
fn apply(
    found: &mut [(Collection, State)],
    making: &Making,
    (sequence, record): (u64, &[u8]),
) -> Result<()> {
    let (number, change) = Change::decode(record)?;
    let Some((entry, state)) = found.iter_mut().find(|(entry, _)| entry.number == number) else {
        return Ok(());
    };
    if sequence > entry.sequence {
        // Graphs are built when the database is opened.
        *state = state.plan(change, making)?.apply(sequence, Linking::Deferred)?;
    }
    Ok(())
}

/// Moves the damaged directory aside and puts the repaired one in its place; where it is.
fn replace(
    fs: &dyn FileSystem,
    (root, target): (&Path, &Target<'_>),
    staging: Staging<'_>,
) -> Result<PathBuf> {
    let aside = target.free_beside("damaged")?;
    // What is beside the empty place tells that the repair was interrupted, if it is.
    target.sync()?;
    let moved = fs.rename(root, &aside);
    moved.map_err(|error| Error::io("rename it", root, error))?;
    if let Err(error) = target.install(staging, Existing::Refuse) {
        let back = fs.rename(&aside, root);
        back.map_err(|error| Error::io("rename it", &aside, error))?;
        return Err(error);
    }
    Ok(aside)
}
