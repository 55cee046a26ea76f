//! Writing a collection: everything into a directory beside the target, then one rename.
//!
//! Whatever happens before the rename, the target is untouched, and the directory beside it is
//! removed. When an older database is replaced, it steps aside for the rename and comes back when
//! that fails. A process that dies in between leaves `.NAME.tmp-*`, which is rubbish, or
//! `.NAME.old-*`, which is the older database; `open` mentions the latter.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use loomdb_graph::{Graph, MAX_DIM, MAX_ROWS, Metric};

use super::checked::CheckedWriter;
use super::fs::{EntryKind, FileSystem, RealFs};
use super::manifest::{self, Collection, Manifest, Segment};
use super::{graph_file, points, vectors};
use crate::{Error, ErrorKind, Ids, Result};

pub(super) const COLLECTION: &str = "default";
const SEGMENT: &str = "default/seg-00000001";
const VECTORS: &str = "default/seg-00000001/vectors.npy";
const POINTS: &str = "default/seg-00000001/points.arrow";
const GRAPH: &str = "default/graph-00000001";
const MANIFEST_NUMBER: u32 = 1;

/// A collection as it is to be saved: first the nodes of the graph in their order, then the rows
/// that are in no graph.
pub struct Contents<'a> {
    /// How distances are measured.
    pub metric: Metric,
    /// The vector length.
    pub dim: usize,
    /// The ids of all rows.
    pub ids: &'a Ids,
    /// The graph over the first rows.
    pub graph: Option<&'a Graph>,
    /// The vector of each row.
    pub row: &'a dyn Fn(usize) -> &'a [f32],
}

impl fmt::Debug for Contents<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Contents")
            .field("metric", &self.metric)
            .field("dim", &self.dim)
            .field("rows", &self.ids.len())
            .field("nodes", &self.graph.map_or(0, Graph::len))
            .finish_non_exhaustive()
    }
}

/// How a collection is saved.
pub struct SaveOptions<'a> {
    /// What happens to something that is there.
    pub existing: Existing,
    /// Called with the rows written so far and all rows; `false` stops, and nothing is changed.
    pub progress: &'a dyn Fn(usize, usize) -> bool,
}

impl Default for SaveOptions<'_> {
    fn default() -> Self {
        Self { existing: Existing::Refuse, progress: &|_, _| true }
    }
}

impl fmt::Debug for SaveOptions<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = formatter.debug_struct("SaveOptions");
        fields.field("existing", &self.existing).finish_non_exhaustive()
    }
}

/// What saving does with something that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Nothing is overwritten.
    #[default]
    Refuse,
    /// A database and an empty directory are replaced, anything else is not.
    Replace,
}

/// Saves a collection as the directory `directory`, completely or not at all.
///
/// # Errors
/// `AlreadyExists` when something is there that may not be replaced; `InvalidInput` when the
/// contents contradict each other, hold equal ids, or a value that is not finite; `StorageFull`,
/// `Io`; `Canceled`. After any of them the directory is what it was.
pub fn save(directory: &Path, contents: &Contents<'_>, options: &SaveOptions<'_>) -> Result<()> {
    save_on(&RealFs, directory, contents, options)
}

/// [`save`] on a file system of your choice.
///
/// # Errors
/// As [`save`].
pub fn save_on(
    fs: &dyn FileSystem,
    directory: &Path,
    contents: &Contents<'_>,
    options: &SaveOptions<'_>,
) -> Result<()> {
    contents.validate()?;
    let target = Target::new(fs, directory)?;
    target.check(options.existing)?;
    let staging = Staging::create(&target)?;
    staging.write(contents, options)?;
    target.install(staging, options.existing)
}

impl Contents<'_> {
    fn validate(&self) -> Result<()> {
        let (rows, dim) = (self.ids.len(), self.dim);
        if !(1..=MAX_DIM).contains(&dim) {
            return Err(loomdb_graph::Error::DimOutOfRange { dim }.into());
        }
        if rows > MAX_ROWS {
            return Err(loomdb_graph::Error::TooManyRows { rows }.into());
        }
        if let Some(graph) = self.graph
            && (graph.len() > rows || graph.dim() != dim || graph.metric() != self.metric)
        {
            return Err(Error::invalid("the graph is not of these rows"));
        }
        self.ids.validate()
    }
}

/// The place of a database, and how names beside it are made.
struct Target<'a> {
    fs: &'a dyn FileSystem,
    path: &'a Path,
    parent: &'a Path,
    name: OsString,
}

impl<'a> Target<'a> {
    fn new(fs: &'a dyn FileSystem, path: &'a Path) -> Result<Self> {
        let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
            return Err(Error::invalid("this is not a name for a new directory").in_file(path));
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        Ok(Self { fs, path, parent, name: name.to_owned() })
    }

    /// Whether the place is free, or may be freed.
    fn check(&self, existing: Existing) -> Result<()> {
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

    /// Puts a finished directory in the place.
    fn install(&self, mut staging: Staging<'_>, existing: Existing) -> Result<()> {
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
struct Staging<'a> {
    fs: &'a dyn FileSystem,
    path: PathBuf,
    is_installed: bool,
}

impl<'a> Staging<'a> {
    fn create(target: &Target<'a>) -> Result<Self> {
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

    fn write(&self, contents: &Contents<'_>, options: &SaveOptions<'_>) -> Result<()> {
        let (fs, root) = (self.fs, &self.path);
        self.create_directory(COLLECTION)?;
        self.create_directory(SEGMENT)?;
        let shape = (contents.ids.len(), contents.dim);
        let file = CheckedWriter::create(fs, root, VECTORS)?;
        let vectors = vectors::write(file, shape, contents.row, options.progress)?;
        let points = points::write(fs, root, POINTS, contents.ids)?;
        let write_graph = |graph: &Graph| graph_file::write(fs, root, GRAPH, &graph.to_parts());
        let graph = contents.graph.map(write_graph).transpose()?;
        let collection = Collection {
            directory: COLLECTION.to_owned(),
            dim: contents.dim,
            segments: vec![Segment { rows: shape.0, vectors, points }],
            graph,
            ..Collection::empty(COLLECTION, 0, contents.metric)
        };
        let mut file = CheckedWriter::create(fs, root, &manifest::file_name(MANIFEST_NUMBER))?;
        file.append(&Manifest::new(collection).encode()?)?;
        file.finish()?;
        [SEGMENT, COLLECTION].iter().try_for_each(|name| sync_directory(fs, &root.join(name)))?;
        sync_directory(fs, root)
    }

    fn create_directory(&self, name: &str) -> Result<()> {
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

fn sync_directory(fs: &dyn FileSystem, path: &Path) -> Result<()> {
    fs.sync_directory(path).map_err(|error| Error::io("sync it", path, error))
}
