//! Writing a collection: everything into a directory beside the target, then one rename.

use std::fmt;
use std::path::Path;

use loomdb_graph::{Graph, MAX_DIM, MAX_ROWS, Metric};

use super::checked::CheckedWriter;
use super::directory::sync_directory;
use super::fs::{FileSystem, RealFs};
use super::manifest::{self, Collection, Manifest, Segment};
use super::staging::{Staging, Target};
use super::{graph_file, points, vectors};
use crate::{Error, Ids, Result};

const COLLECTION: &str = "default";
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
    write(&staging, contents, options)?;
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

fn write(staging: &Staging<'_>, contents: &Contents<'_>, options: &SaveOptions<'_>) -> Result<()> {
    let (fs, root) = (staging.fs, &staging.path);
    staging.create_directory(COLLECTION)?;
    staging.create_directory(SEGMENT)?;
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
