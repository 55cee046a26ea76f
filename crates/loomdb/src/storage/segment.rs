//! Files of a collection: segments, deleted rows, the graph and its order.
//!
//! Every file has a number that was never used before, so nothing that a manifest names is ever
//! written to, and what a crash leaves behind is in nobody's way.

use std::path::Path;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use loomdb_graph::{Graph, StoredVectors, Workers};
use roaring::RoaringBitmap;

use super::checked::CheckedWriter;
use super::directory::sync_directory;
use super::fs::{EntryKind, FileSystem};
#[cfg(test)]
pub(crate) use super::graph_codes::StoredCodes;
pub(crate) use super::graph_file::StoredGraph;
use super::manifest::{Collection, Segment};
use super::{graph_file, points, rows_file, vectors};
use crate::{Error, Result};

/// Where the files of a collection are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub fs: &'a dyn FileSystem,
    pub root: &'a Path,
    /// The directory of the collection, from the root.
    pub directory: &'a str,
}

/// The rows of a segment.
pub(crate) struct SegmentRows<'a> {
    pub rows: usize,
    pub dim: usize,
    pub row: &'a dyn Fn(usize) -> &'a [f32],
    pub schema: &'a SchemaRef,
    pub batches: &'a [RecordBatch],
}

impl Place<'_> {
    /// Makes the directory of the collection when it is not there.
    pub(crate) fn create(&self) -> Result<()> {
        let path = self.root.join(self.directory);
        let kind = self.fs.entry_kind(&path).map_err(|error| Error::io("read it", &path, error))?;
        if kind != Some(EntryKind::Directory) {
            self.create_directory(self.directory)?;
        }
        // Perhaps it was made and not synced by a process that died.
        sync_directory(self.fs, self.root)
    }

    /// Writes and syncs a segment.
    pub(crate) fn write_segment(&self, number: u32, from: &SegmentRows<'_>) -> Result<Segment> {
        let segment = format!("{}/seg-{number:08}", self.directory);
        self.create_directory(&segment)?;
        let file = CheckedWriter::create(self.fs, self.root, &format!("{segment}/vectors.npy"))?;
        let vectors = vectors::write(file, (from.rows, from.dim), from.row, &|_, _| true)?;
        let name = format!("{segment}/points.arrow");
        let points = points::write_table(self.fs, self.root, &name, from.schema, from.batches)?;
        sync_directory(self.fs, &self.root.join(&segment))?;
        Ok(Segment { rows: from.rows, vectors, points })
    }

    /// Writes the deleted rows into a file of their own, unless there are none.
    pub(crate) fn write_deletes(
        &self,
        number: u32,
        deletes: &RoaringBitmap,
        collection: &mut Collection,
    ) -> Result<()> {
        let name = format!("{}/deletes-{number:08}", self.directory);
        let write = || rows_file::write_deletes(self.fs, self.root, &name, deletes);
        collection.deletes = (!deletes.is_empty()).then(write).transpose()?;
        Ok(())
    }

    /// Writes the graph, whose first nodes are the rows in `order`.
    pub(crate) fn write_graph(
        &self,
        number: u32,
        (graph, order): (&Graph, &[u32]),
        collection: &mut Collection,
    ) -> Result<()> {
        let name = format!("{}/graph-{number:08}", self.directory);
        let written = graph_file::write_with_codes(self.fs, self.root, &name, graph)?;
        let name = format!("{}/order-{number:08}", self.directory);
        let write = || rows_file::write_order(self.fs, self.root, &name, order);
        let order = (!order.is_empty()).then(write).transpose()?;
        (collection.graph, collection.order) = (Some(written), order);
        Ok(())
    }

    /// Makes the names in the directory of the collection survive.
    pub(crate) fn sync(&self) -> Result<()> {
        sync_directory(self.fs, &self.root.join(self.directory))
    }

    /// The vectors of all rows, where they lie, and their ids and metadata.
    pub(crate) fn read_rows(
        &self,
        collection: &Collection,
        workers: &Workers,
    ) -> Result<(StoredVectors, Vec<RecordBatch>)> {
        let place = (self.fs, self.root);
        let mut all = StoredVectors::new(collection.dim.max(1))?;
        let mut batches = Vec::new();
        for segment in &collection.segments {
            let shape = (segment.rows, collection.dim);
            all.push(vectors::stored(place, &segment.vectors, shape, workers)?)?;
            batches.extend(points::stored_table(place, &segment.points, segment.rows, workers)?);
        }
        Ok((all, batches))
    }

    /// The vectors of all rows, which were just written, where they lie; nothing when files cannot
    /// be mapped.
    pub(crate) fn map_rows(&self, collection: &Collection) -> Option<StoredVectors> {
        let mut all = StoredVectors::new(collection.dim).ok()?;
        for segment in &collection.segments {
            let shape = (segment.rows, collection.dim);
            all.push(vectors::mapped((self.fs, self.root), &segment.vectors, shape)?).ok()?;
        }
        Some(all)
    }

    /// The deleted rows.
    pub(crate) fn read_deletes(&self, collection: &Collection) -> Result<RoaringBitmap> {
        match &collection.deletes {
            None => Ok(RoaringBitmap::new()),
            Some(record) => rows_file::read_deletes(self.fs, self.root, record, collection.rows()),
        }
    }

    /// The links and the row of each node; nothing when no graph was written.
    pub(crate) fn read_graph(
        &self,
        collection: &Collection,
        workers: &Workers,
    ) -> Result<Option<(StoredGraph, Vec<u32>)>> {
        let Some(record) = &collection.graph else { return Ok(None) };
        let graph = graph_file::stored((self.fs, self.root), record, workers)?;
        let order = match &collection.order {
            None => Vec::new(),
            Some(record) => rows_file::read_order(self.fs, self.root, record)?,
        };
        let nodes = graph.parts.levels.len();
        if nodes > collection.rows() || order.len() > nodes {
            let what = "the graph has more nodes than there are rows";
            return Err(Error::corrupted(what).in_file(&self.root.join(record.name())));
        }
        Ok(Some((graph, order)))
    }

    /// Removes the files of a number that no manifest names. What cannot be removed does no harm,
    /// and goes when the database is opened next.
    pub(crate) fn remove(&self, number: u32) {
        let directory = self.root.join(self.directory);
        for name in ["graph", "order", "deletes"] {
            self.fs.remove_file(&directory.join(format!("{name}-{number:08}"))).ok();
        }
        self.fs.remove_directory(&directory.join(format!("seg-{number:08}"))).ok();
    }

    fn create_directory(&self, name: &str) -> Result<()> {
        let path = self.root.join(name);
        let created = self.fs.create_directory(&path);
        created.map_err(|error| Error::io("create it", &path, error))
    }
}
