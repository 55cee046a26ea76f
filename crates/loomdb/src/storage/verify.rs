//! Looking at every file of a collection: all its blocks, and whether its contents make sense.
//!
//! Opening stops at the first thing that does not fit. This goes on, keeps little in memory, and
//! tells everything that it finds.

use std::path::Path;

use super::checked::{CheckedReader, damaged_ranges, mismatch};
use super::fs::FileSystem;
use super::manifest::{Collection, FileRecord};
use super::{graph_file, points, rows_file, vectors};
use crate::{Error, Result};

/// A file that was looked at.
#[derive(Debug)]
pub(crate) struct Examined {
    /// Its path from the root, with forward slashes.
    pub name: String,
    pub len_bytes: u64,
    /// Whether it can be made anew from the others.
    pub is_expendable: bool,
    /// What is wrong with it.
    pub errors: Vec<Error>,
}

/// Looks at all files of a collection; `progress` is told of each file before it is read, and says
/// whether to go on.
pub(crate) fn examine(
    fs: &dyn FileSystem,
    root: &Path,
    collection: &Collection,
    progress: &mut dyn FnMut(&FileRecord) -> Result<()>,
) -> Result<Vec<Examined>> {
    let mut all = Vec::new();
    let mut look = |record: &FileRecord, is_expendable, decode: &dyn Fn() -> Result<()>| {
        progress(record)?;
        let errors = errors_of(fs, root, record, decode);
        let (name, len_bytes) = (record.name().to_owned(), record.len_bytes());
        all.push(Examined { name, len_bytes, is_expendable, errors });
        Result::Ok(())
    };
    for segment in &collection.segments {
        let shape = (segment.rows, collection.dim);
        let record = &segment.vectors;
        look(record, false, &|| vectors::verify(fs, root, record, shape))?;
        let record = &segment.points;
        look(record, false, &|| points::read_table(fs, root, record, segment.rows).map(drop))?;
    }
    let rows = collection.rows();
    if let Some(record) = &collection.deletes {
        look(record, false, &|| rows_file::read_deletes(fs, root, record, rows).map(drop))?;
    }
    if let Some(record) = &collection.order {
        look(record, true, &|| rows_file::read_order(fs, root, record).map(drop))?;
    }
    if let Some(record) = &collection.graph {
        look(record, true, &|| verify_graph(fs, root, record, rows))?;
    }
    Ok(all)
}

/// Damaged blocks come first: behind one nothing can be decoded.
fn errors_of(
    fs: &dyn FileSystem,
    root: &Path,
    record: &FileRecord,
    decode: &dyn Fn() -> Result<()>,
) -> Vec<Error> {
    if let Err(error) = CheckedReader::open(fs, root, record) {
        return vec![error];
    }
    let path = root.join(record.name());
    match damaged_ranges(fs, root, record) {
        Err(error) => vec![error],
        Ok(ranges) if ranges.is_empty() => decode().err().into_iter().collect(),
        Ok(ranges) => ranges.iter().map(|range| mismatch(&path, range)).collect(),
    }
}

/// Whether the links are those of a graph over some of the rows that reaches all of its nodes.
fn verify_graph(fs: &dyn FileSystem, root: &Path, record: &FileRecord, rows: usize) -> Result<()> {
    let parts = graph_file::read(fs, root, record)?;
    let path = root.join(record.name());
    let nodes = parts.levels.len();
    if nodes > rows {
        let what = format!("the graph has {nodes} nodes, but there are {rows} rows");
        return Err(Error::corrupted(what).in_file(&path));
    }
    parts.validate(nodes).map_err(|error| Error::from(error).in_file(&path))?;
    match parts.unreachable_count() {
        0 => Ok(()),
        count => {
            let what = format!("no walk through the graph reaches {count} of its {nodes} nodes");
            Err(Error::corrupted(what).in_file(&path))
        }
    }
}

#[cfg(test)]
mod tests {
    use loomdb_graph::GraphParts;

    use super::{graph_file, verify_graph};
    use crate::storage::RealFs;

    /// The bytes are sound, so only the links tell that a search would miss a row.
    #[test]
    fn a_node_that_no_walk_reaches_is_told() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path();
        for (links, expected) in [(vec![1, 0], None), (Vec::new(), Some("reaches 1 of its 2"))] {
            let degree = links.len() as u16 / 2;
            let parts = GraphParts {
                m: 2,
                seed: 1,
                entry_point: Some(0),
                levels: vec![0, 0],
                degrees: vec![degree, degree],
                links,
            };
            let name = format!("graph-{degree}");
            let record = graph_file::write(&RealFs, root, &name, &parts).unwrap();
            let found = verify_graph(&RealFs, root, &record, 2).map_err(|error| error.to_string());
            match expected {
                None => assert_eq!(found, Ok(())),
                Some(what) => assert!(found.unwrap_err().contains(what)),
            }
        }
    }
}
