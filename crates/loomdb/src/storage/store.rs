//! Reading a collection: manifest, links, ids, vectors, each verified before it is used.

use std::path::Path;

use loomdb_graph::{Graph, GraphParts, Metric, Vectors};

use super::fs::{FileSystem, RealFs};
use super::manifest::{self, Collection, FileRecord, Manifest, Segment};
use super::{graph_file, points, vectors};
use crate::{Error, ErrorKind, Ids, Result};

/// The manifest of a terabyte of vectors has half of this.
const MAX_MANIFEST_BYTES: u64 = 256 << 20;

/// A collection that was read from its directory.
#[derive(Debug)]
pub struct Opened {
    /// How distances are measured.
    pub metric: Metric,
    /// The vector length.
    pub dim: usize,
    /// The graph, with its rows, which come first; nothing when none was saved, or when it was
    /// damaged.
    pub graph: Option<Graph>,
    /// The rows behind those of the graph: all rows when there is no graph.
    pub tail: Vectors,
    /// The ids of all rows.
    pub ids: Ids,
    /// What was wrong but did no harm to the points: a damaged graph.
    pub warnings: Vec<String>,
}

/// Opens the collection in a directory that [`save`](super::save) made, and verifies every byte.
///
/// # Errors
/// `NotFound` when there is no database; `Corrupted` with the file and the byte when the manifest,
/// the vectors or the ids are damaged; `Unsupported` for a newer format; `Io`. A damaged graph is
/// no error but a warning: it can be rebuilt.
pub fn open(directory: &Path) -> Result<Opened> {
    open_on(&RealFs, directory)
}

/// [`open`] on a file system of your choice.
///
/// # Errors
/// As [`open`].
pub fn open_on(fs: &dyn FileSystem, directory: &Path) -> Result<Opened> {
    let (collection, segment) = read_manifest(fs, directory)?;
    let metric = collection.metric()?;
    let source = Source { fs, directory, collection, segment };
    let mut warnings = Vec::new();
    let ids = points::read(fs, directory, &source.segment.points, source.segment.rows)?;
    let (graph, tail) = source.read_graph_and_rows(metric, &mut warnings)?;
    Ok(Opened { metric, dim: source.collection.dim, graph, tail, ids, warnings })
}

/// What the manifest says, and where.
struct Source<'a> {
    fs: &'a dyn FileSystem,
    directory: &'a Path,
    collection: Collection,
    segment: Segment,
}

impl Source<'_> {
    /// The graph with its rows, and the rows behind; a graph that cannot be used is left out.
    fn read_graph_and_rows(
        &self,
        metric: Metric,
        warnings: &mut Vec<String>,
    ) -> Result<(Option<Graph>, Vectors)> {
        let Some(record) = &self.collection.graph else {
            return Ok((None, self.read_rows(0)?.1));
        };
        let parts = self.read_links(record);
        let parts = parts.map_err(|error| warnings.push(expendable(&error))).ok();
        let Some(parts) = parts else { return Ok((None, self.read_rows(0)?.1)) };
        let (head, tail) = self.read_rows(parts.levels.len())?;
        match Graph::from_parts(&parts, head, metric) {
            Ok(graph) => Ok((Some(graph), tail)),
            Err(error) => {
                let path = self.directory.join(record.name());
                warnings.push(expendable(&Error::from(error).in_file(&path)));
                Ok((None, self.read_rows(0)?.1))
            }
        }
    }

    /// The links over some of the first rows.
    fn read_links(&self, record: &FileRecord) -> Result<GraphParts> {
        let parts = graph_file::read(self.fs, self.directory, record)?;
        let (nodes, rows) = (parts.levels.len(), self.segment.rows);
        if nodes > rows {
            let what = format!("the graph has {nodes} nodes, but there are {rows} rows");
            return Err(Error::corrupted(what).in_file(&self.directory.join(record.name())));
        }
        Ok(parts)
    }

    fn read_rows(&self, head: usize) -> Result<(Vectors, Vectors)> {
        let shape = (self.segment.rows, self.collection.dim);
        vectors::read(self.fs, self.directory, &self.segment.vectors, shape, head)
    }
}

fn read_manifest(fs: &dyn FileSystem, directory: &Path) -> Result<(Collection, Segment)> {
    let newest = manifest::newest(fs, directory);
    let newest = newest.map_err(|error| mention_interrupted(fs, directory, error))?;
    let Some(number) = newest else {
        let error = Error::new(ErrorKind::NotFound, "it is not a database: there is no manifest");
        return Err(error.in_file(directory));
    };
    let path = directory.join(manifest::file_name(number));
    let bytes = read_whole(fs, &path)?;
    let manifest = Manifest::decode(&bytes).and_then(Manifest::into_only_collection);
    manifest.map_err(|error| error.in_file(&path))
}

pub(super) fn read_whole(fs: &dyn FileSystem, path: &Path) -> Result<Vec<u8>> {
    let failed = |error| Error::io("read it", path, error);
    let mut file = fs.open(path).map_err(failed)?;
    let len_bytes = file.len_bytes().map_err(failed)?;
    if len_bytes > MAX_MANIFEST_BYTES {
        return Err(Error::corrupted("it is too long for a manifest").in_file(path));
    }
    let mut bytes = vec![0; len_bytes as usize];
    file.read_at(0, &mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// When a replacement was interrupted, the older database stands beside its place.
fn mention_interrupted(fs: &dyn FileSystem, directory: &Path, error: Error) -> Error {
    let beside = || {
        let name = directory.file_name()?.to_str()?;
        let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
        let names = fs.list(parent.unwrap_or(Path::new("."))).ok()?;
        let mut names = names.iter().filter_map(|name| name.to_str());
        names.find(|found| found.starts_with(&format!(".{name}.old-"))).map(str::to_owned)
    };
    match (error.kind(), beside()) {
        (ErrorKind::NotFound, Some(name)) => error.advise(format!(
            "{name} beside it is the database that an interrupted replacement moved away: \
             rename it back"
        )),
        _ => error,
    }
}

fn expendable(error: &Error) -> String {
    format!("{error:#}; the graph is left out: searches are exact and slower until it is rebuilt")
}
