//! What is written beside its place and renamed into it: a directory, complete or not at all.
//!
//! Whatever happens before the rename, the place is untouched, and what stands beside it is
//! removed. When something older is replaced, it steps aside for the rename and comes back when
//! that fails. A process that dies in between leaves `.NAME.tmp-*`, which is rubbish, or
//! `.NAME.old-*`, which is what was there before.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::directory::sync_directory;
use super::fs::{EntryKind, FileSystem};
use super::manifest;
use super::save::Existing;
use crate::{Error, ErrorKind, Result};

/// Refuses a place without a database whose data an interrupted repair has left beside it: a new
/// one there would hide them.
pub(crate) fn refuse_interrupted_repair(fs: &dyn FileSystem, root: &Path) -> Result<()> {
    let Some(aside) = Target::new(fs, root).ok().and_then(|target| target.interrupted_repair())
    else {
        return Ok(());
    };
    let (from, to) = (aside.display(), root.display());
    let what = format!("a repair was interrupted, and the data are in {from}");
    let error = Error::new(ErrorKind::NotFound, what).in_file(root);
    Err(error.advise(format!("rename it back (`mv {from} {to}`) and repair it again")))
}

/// The place of a database, and how names beside it are made.
pub(crate) struct Target<'a> {
    fs: &'a dyn FileSystem,
    path: &'a Path,
    parent: &'a Path,
    name: OsString,
}

impl<'a> Target<'a> {
    pub(crate) fn new(fs: &'a dyn FileSystem, path: &'a Path) -> Result<Self> {
        let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
            return Err(Error::invalid("this is not a name for a new directory").in_file(path));
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        Ok(Self { fs, path, parent, name: name.to_owned() })
    }

    /// Whether the place is free, or may be freed.
    pub(crate) fn check(&self, existing: Existing) -> Result<()> {
        let Some(kind) = self.entry_kind(self.path)? else { return Ok(()) };
        let refuse = |what: &'static str, advice: &'static str| {
            let error = Error::new(ErrorKind::AlreadyExists, what).in_file(self.path);
            Err(error.advise(advice))
        };
        match (existing, kind) {
            (Existing::Refuse, _) => {
                refuse("it exists already", "choose another name or ask for it to be replaced")
            }
            (_, EntryKind::Other) => {
                refuse("it is a link or no directory", "name the directory itself")
            }
            (_, EntryKind::Directory) if self.is_replaceable()? => Ok(()),
            _ => refuse("it is not a database", "only a database is replaced: choose another name"),
        }
    }

    fn is_replaceable(&self) -> Result<bool> {
        let listed = self.fs.list(self.path);
        let names = listed.map_err(|error| Error::io("list it", self.path, error))?;
        Ok(names.is_empty() || manifest::newest(self.fs, self.path)?.is_some())
    }

    fn entry_kind(&self, path: &Path) -> Result<Option<EntryKind>> {
        self.fs.entry_kind(path).map_err(|error| Error::io("look at it", path, error))
    }

    /// A name beside the target that nothing has: other threads and dead processes use the same
    /// scheme.
    fn free_neighbor(&self, purpose: &str) -> Result<PathBuf> {
        for number in 0_u32.. {
            let mut name = OsString::from(".");
            name.push(&self.name);
            name.push(format!(".{purpose}-{}-{number}", std::process::id()));
            let path = self.parent.join(name);
            if self.entry_kind(&path)?.is_none() {
                return Ok(path);
            }
        }
        Err(Error::new(ErrorKind::AlreadyExists, "too many leftovers").in_file(self.parent))
    }

    pub(crate) fn path(&self) -> &Path {
        self.path
    }

    /// Makes the names beside the target survive.
    pub(crate) fn sync(&self) -> Result<()> {
        sync_directory(self.fs, self.parent)
    }

    /// A name for what is moved aside and kept, which nothing has: `NAME.PURPOSE-1` or a higher
    /// number.
    pub(crate) fn free_beside(&self, purpose: &str) -> Result<PathBuf> {
        for number in 1_u32.. {
            let mut name = self.name.clone();
            name.push(format!(".{purpose}-{number}"));
            let path = self.parent.join(name);
            if self.entry_kind(&path)?.is_none() {
                return Ok(path);
            }
        }
        Err(Error::new(ErrorKind::AlreadyExists, "too many leftovers").in_file(self.parent))
    }

    /// The damaged directory that a repair moved aside before it died: nothing stands in its place,
    /// and what was to stand there is beside it, unfinished.
    pub(crate) fn interrupted_repair(&self) -> Option<PathBuf> {
        let names = self.fs.list(self.parent).ok()?;
        let names: Vec<&str> = names.iter().filter_map(|name| name.to_str()).collect();
        let name = self.name.to_str()?;
        let unfinished = format!(".{name}.tmp-");
        if !names.iter().any(|name| name.starts_with(&unfinished)) {
            return None;
        }
        let number = |beside: &&str| beside.strip_prefix(&format!("{name}.damaged-"))?.parse().ok();
        let newest: u32 = names.iter().filter_map(number).max()?;
        Some(self.parent.join(format!("{name}.damaged-{newest}")))
    }

    /// Puts a finished directory in the place.
    pub(crate) fn install(&self, mut staging: Staging<'_>, existing: Existing) -> Result<()> {
        self.check(existing)?;
        // Without leave to replace, what another process puts there now makes the rename fail.
        let retired = match (existing, self.entry_kind(self.path)?) {
            (Existing::Replace, Some(_)) => Some(self.free_neighbor("old")?),
            _ => None,
        };
        if let Some(retired) = &retired {
            self.rename(self.path, retired)?;
        }
        if let Err(error) = self.rename_and_sync(&staging.path) {
            if let Some(retired) = &retired {
                self.rename(retired, self.path)?;
            }
            return Err(error);
        }
        staging.is_installed = true;
        if let Some(retired) = &retired {
            // The new database is in place and safe: a leftover of the old one is no failure.
            self.fs.remove_directory(retired).ok();
        }
        Ok(())
    }

    /// After an error the finished directory is where it was.
    fn rename_and_sync(&self, from: &Path) -> Result<()> {
        self.rename(from, self.path)?;
        let Err(error) = sync_directory(self.fs, self.parent) else { return Ok(()) };
        self.rename(self.path, from)?;
        Err(error)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let renamed = self.fs.rename(from, to);
        renamed.map_err(|error| Error::io("rename it", from, error))
    }
}

/// The directory beside the target; it vanishes unless it is installed.
pub(crate) struct Staging<'a> {
    pub fs: &'a dyn FileSystem,
    pub path: PathBuf,
    is_installed: bool,
}

impl<'a> Staging<'a> {
    pub(crate) fn create(target: &Target<'a>) -> Result<Self> {
        loop {
            let path = target.free_neighbor("tmp")?;
            match target.fs.create_directory(&path) {
                Ok(()) => return Ok(Self { fs: target.fs, path, is_installed: false }),
                // Another thread was faster.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create it", &path, error)),
            }
        }
    }

    pub(crate) fn create_directory(&self, name: &str) -> Result<()> {
        let path = self.path.join(name);
        let created = self.fs.create_directory(&path);
        created.map_err(|error| Error::io("create it", &path, error))
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        if !self.is_installed {
            // Nobody can be told, and what remains is marked as rubbish by its name.
            self.fs.remove_directory(&self.path).ok();
        }
    }
}
