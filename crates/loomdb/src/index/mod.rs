//! The adaptive index: a graph over the first rows, an exact scan of the rest.
//!
//! Rows are searchable when `add` returns. Small batches lie in the tail, which is scanned; when
//! it is over the flat limit, a thread of its own links it into the graph while the tail goes on
//! growing and being scanned, so no call waits for a build. A large batch goes to the builder at
//! once. A search reads one consistent state and takes no lock.

mod link;
mod neighbors;
mod plan;
mod scratches;
mod state;
mod view;

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use loomdb_graph::{
    BuildParams, Flat, Metric, Observer, StoredVectors, Strategy, Vectors, Workers,
};
use serde::Serialize;

use crate::Ids;
use crate::error::Result;
use crate::storage::{self, SaveOptions};
pub(crate) use link::{Batch, Linked};
pub use neighbors::Links;
use plan::Placement;
pub use plan::flat_limit;
use scratches::Scratches;
use state::State;
pub(crate) use state::sort_hits;
pub(crate) use view::View;

/// What a caller may set about an index.
#[derive(Clone, Debug)]
pub struct IndexParams {
    /// Links of a node on the upper levels; level 0 has twice as many.
    pub m: usize,
    /// Beam width of the searches that find the neighbors of a new row.
    pub ef_construction: usize,
    /// Where every random choice comes from.
    pub seed: u64,
    /// Rows up to which the index stays an exact scan; by dimension when not given.
    pub flat_limit: Option<usize>,
    /// Threads for building and for many queries at once; 0 stands for one for each core.
    pub threads: usize,
    /// How a large batch is built; the planner picks by default.
    pub strategy: Strategy,
}

impl Default for IndexParams {
    fn default() -> Self {
        let BuildParams { m, ef_construction, seed, strategy } = BuildParams::default();
        Self { m, ef_construction, seed, flat_limit: None, threads: 0, strategy }
    }
}

impl IndexParams {
    fn build_params(&self) -> BuildParams {
        let Self { m, ef_construction, seed, strategy, .. } = *self;
        BuildParams { m, ef_construction, seed, strategy }
    }
}

/// A row and its distance from a query.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Hit {
    /// The number of the row, in the order in which rows were added.
    pub point: usize,
    /// Its distance: Euclidean for `l2`, `1 - cos` for `cosine`, the negated product for `ip`.
    pub distance: f32,
}

/// An index that was opened from a directory.
#[derive(Debug)]
pub struct OpenedIndex {
    /// The index; its points are numbered in the order of the file.
    pub index: Index,
    /// The id of each point.
    pub ids: Ids,
    /// What was found wrong and could be worked around.
    pub warnings: Vec<String>,
}

/// The state and the cost of an index.
#[derive(Clone, Debug, Serialize)]
pub struct IndexInfo {
    /// Rows of the index.
    pub rows: usize,
    /// The vector length.
    pub dim: usize,
    /// How distances are measured.
    pub metric: String,
    /// Rows that are in the graph.
    pub graph_rows: usize,
    /// Rows that are scanned exactly.
    pub tail_rows: usize,
    /// Rows up to which the index stays an exact scan.
    pub flat_limit: usize,
    /// Links of a node on the upper levels.
    pub m: usize,
    /// Links of a node on level 0 on average.
    pub mean_degree: f64,
    /// The most links of a node on level 0.
    pub max_degree: usize,
    /// The highest level of the graph.
    pub top_level: u8,
    /// Nodes that no walk reaches: 0 unless the graph is damaged.
    pub unreachable_nodes: usize,
    /// Bytes of the vectors in memory.
    pub vector_bytes: usize,
    /// Bytes of the links in memory.
    pub link_bytes: usize,
    /// Distances computed by building since the index was made or opened.
    pub distance_computations: u64,
    /// How the graph was last built.
    pub strategy: Option<String>,
    /// The instruction set of the distance loops.
    pub instruction_set: String,
}

/// An adaptive index in memory; share it between threads by reference or in an `Arc`.
#[derive(Debug)]
pub struct Index {
    shared: Arc<Shared>,
}

/// What the threads of an index share.
#[derive(Debug)]
struct Shared {
    params: IndexParams,
    limit: usize,
    dim: usize,
    metric: Metric,
    workers: Arc<Workers>,
    /// What searches read.
    state: ArcSwap<State>,
    /// Held by whoever changes the state.
    writer: Mutex<Writer>,
    /// Told when the linking thread has finished.
    linked: Condvar,
    scratches: Scratches,
    /// Searches since rows last left the tail, up to as many as matter.
    searches: AtomicUsize,
}

/// What only writers need.
#[derive(Debug, Default)]
struct Writer {
    /// A thread is linking the tail.
    is_linking: bool,
    /// The error of the last linking, for the next writer; its rows are still in the tail.
    failure: Option<loomdb_graph::Error>,
    distance_computations: u64,
    strategy: Option<Strategy>,
}

impl Index {
    /// An empty index for vectors of `dim` values.
    ///
    /// # Errors
    /// Invalid input when `dim` or a parameter is out of its range.
    pub fn new(dim: usize, metric: Metric, params: IndexParams) -> Result<Self> {
        let workers = Arc::new(Workers::new(params.threads)?);
        Self::with_workers(dim, metric, params, workers)
    }

    /// [`Self::new`] with threads that others use too.
    pub(crate) fn with_workers(
        dim: usize,
        metric: Metric,
        params: IndexParams,
        workers: Arc<Workers>,
    ) -> Result<Self> {
        params.build_params().validate()?;
        let state = State::empty(Flat::new(metric, dim)?);
        let shared = Shared {
            limit: params.flat_limit.unwrap_or_else(|| flat_limit(dim)),
            dim,
            metric,
            workers,
            params,
            state: ArcSwap::from_pointee(state),
            writer: Mutex::default(),
            linked: Condvar::new(),
            scratches: Scratches::default(),
            searches: AtomicUsize::new(0),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// An index of `vectors`, added as one batch.
    ///
    /// # Errors
    /// Invalid input; canceled when the observer asks.
    pub fn build(
        vectors: Vectors,
        metric: Metric,
        params: IndexParams,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let workers = Arc::new(Workers::new(params.threads)?);
        let builders = Arc::clone(&workers);
        Self::build_with(vectors, metric, (params, workers), (&builders, observer))
    }

    /// [`Self::build`] with threads that others use too, by some that need not be the same.
    pub(crate) fn build_with(
        vectors: Vectors,
        metric: Metric,
        (params, workers): (IndexParams, Arc<Workers>),
        (builders, observer): (&Workers, &dyn Observer),
    ) -> Result<Self> {
        let index = Self::with_workers(vectors.dim(), metric, params, workers)?;
        if plan::placement(vectors.len(), index.shared.limit) == Placement::Graph {
            let mut writer = index.shared.lock();
            index.shared.build(&mut writer, vectors, (builders, observer))?;
        } else {
            index.add(&vectors)?;
        }
        Ok(index)
    }

    /// Adds rows and returns their numbers; every search that begins afterwards sees them. All or
    /// none of them are added.
    ///
    /// # Errors
    /// Invalid input: another dimension, or a zero vector under cosine.
    pub fn add(&self, rows: &Vectors) -> Result<Range<usize>> {
        let shared = &self.shared;
        let mut writer = shared.lock();
        if let Some(failure) = writer.failure.take() {
            return Err(failure.into());
        }
        if plan::placement(rows.len(), shared.limit) == Placement::Graph {
            writer = shared.until_linked(writer);
            let first = shared.state.load().len();
            let linked = shared.linked_with(Batch::Lent(rows), &())?;
            shared.publish(&mut writer, linked)?;
            return Ok(first..first + rows.len());
        }
        if shared.tail().is_full() {
            writer = shared.until_linked(writer);
        }
        let added = shared.add_to_tail(rows)?;
        shared.start_linking(&mut writer);
        Ok(added)
    }

    /// [`Self::add`] for rows that were checked before. A failure of the linking thread is no
    /// reason to refuse them: the rows that it left are in the tail.
    pub(crate) fn append(&self, rows: &Vectors) -> Result<Range<usize>> {
        self.shared.lock().failure = None;
        if rows.is_empty() {
            return Ok(self.len()..self.len());
        }
        self.add(rows)
    }

    /// The graph with a batch, when the batch is to go there; nothing is changed before
    /// [`Self::publish`]. No other rows may be added in between.
    pub(crate) fn prepare(
        &self,
        batch: Batch<'_>,
        observer: &dyn Observer,
    ) -> Result<Option<Linked>> {
        let shared = &self.shared;
        if plan::placement(batch.rows().len(), shared.limit) == Placement::Tail {
            return Ok(None);
        }
        self.wait();
        shared.linked_with(batch, observer).map(Some)
    }

    /// [`Self::prepare`] of the first rows, if nobody else holds them: they go into the graph
    /// instead of being copied. Else they come back.
    pub(crate) fn prepare_owned(
        &self,
        rows: Arc<Vectors>,
        observer: &dyn Observer,
    ) -> Result<std::result::Result<Linked, Arc<Vectors>>> {
        let shared = &self.shared;
        if plan::placement(rows.len(), shared.limit) == Placement::Tail || !self.is_empty() {
            return Ok(Err(rows));
        }
        match Arc::try_unwrap(rows) {
            Ok(rows) => Ok(Ok(shared.built(rows, (&shared.workers, observer))?)),
            Err(rows) => Ok(Err(rows)),
        }
    }

    /// Makes the graph of [`Self::prepare`] the current one.
    pub(crate) fn publish(&self, linked: Linked) -> Result<()> {
        Ok(self.shared.publish(&mut self.shared.lock(), linked)?)
    }

    /// Appends rows that were checked before to the tail, however long it gets: whoever calls
    /// this calls [`Self::link`] at the end.
    pub(crate) fn append_to_tail(&self, rows: &Vectors) -> Result<()> {
        let _writer = self.shared.lock();
        self.shared.add_to_tail(rows).map(drop)
    }

    /// Makes the rows lie where they are kept in files, from the first one on, and appends those
    /// that follow them there to the tail, however long it gets.
    pub(crate) fn move_to(&self, files: StoredVectors) -> Result<()> {
        let _writer = self.shared.lock();
        let next = self.shared.state.load().moved_to(Arc::new(files))?;
        self.shared.state.store(Arc::new(next));
        Ok(())
    }

    /// The bytes of rows that lie in no file, as far as this knows.
    pub(crate) fn unfiled_bytes(&self) -> usize {
        let state = self.shared.state.load();
        (state.len() - state.filed()) * size_of::<f32>() * self.shared.dim
    }

    /// Links the tail if it is due, and returns when that is done.
    ///
    /// # Errors
    /// Canceled; the rows are in the tail.
    pub(crate) fn link(&self, observer: &dyn Observer) -> Result<()> {
        let shared = &self.shared;
        let mut writer = shared.until_linked(shared.lock());
        if !shared.tail().is_due() {
            return Ok(());
        }
        let linked = shared.linked_tail(observer)?;
        Ok(shared.publish(&mut writer, linked)?)
    }

    /// Starts to link the tail in the background if it is due.
    pub(crate) fn start_linking(&self) {
        self.shared.start_linking(&mut self.shared.lock());
    }

    /// The `k` nearest rows, nearest first; fewer only when there are fewer. Rows in the graph
    /// are found by a beam of width `ef_search`, those in the tail exactly.
    ///
    /// # Errors
    /// Invalid input: another dimension, a value that is not finite, a zero vector under cosine,
    /// `k` or `ef_search` out of range.
    pub fn search(&self, query: &[f32], k: usize, ef_search: usize) -> Result<Vec<Hit>> {
        let state = self.shared.state.load();
        self.shared.note_searches(1);
        let mut scratch = self.shared.scratches.take();
        let found = state.search(query, k, ef_search, &mut scratch);
        self.shared.scratches.give_back(scratch);
        found
    }

    /// [`Self::search`] for each row of `queries`, on all threads, in one consistent state.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn search_many(
        &self,
        queries: &Vectors,
        k: usize,
        ef_search: usize,
    ) -> Result<Vec<Vec<Hit>>> {
        let state = self.shared.state.load();
        self.shared.note_searches(queries.len());
        state.search_many(queries, k, ef_search, &self.shared.workers)
    }

    /// The exact `k` nearest rows of each row of `queries`, from all distances.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn search_exact(&self, queries: &Vectors, k: usize) -> Result<Vec<Vec<Hit>>> {
        self.shared.state.load().search_exact(queries, k, &self.shared.workers)
    }

    /// Waits until no rows are being linked.
    pub fn wait(&self) {
        drop(self.shared.until_linked(self.shared.lock()));
    }

    /// Rows up to which the index stays an exact scan.
    pub(crate) fn flat_limit(&self) -> usize {
        self.shared.limit
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.shared.state.load().len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The state and the cost of the index; walks through the whole graph.
    pub fn info(&self) -> IndexInfo {
        let shared = &self.shared;
        let writer = shared.lock();
        let (computed, strategy) = (writer.distance_computations, writer.strategy);
        let state = shared.state.load_full();
        drop(writer);
        let graph = state.graph.as_deref();
        let degrees = graph.map(loomdb_graph::Graph::degrees);
        let link_bytes = graph.map_or(0, loomdb_graph::Graph::link_bytes);
        let entry_level = |graph: &loomdb_graph::Graph| graph.entry_point().map(|n| graph.level(n));
        IndexInfo {
            rows: state.len(),
            dim: shared.dim,
            metric: shared.metric.to_string(),
            graph_rows: state.graph_len(),
            tail_rows: state.tail.len(),
            flat_limit: shared.limit,
            m: graph.map_or(shared.params.m, loomdb_graph::Graph::m),
            mean_degree: degrees.map_or(0.0, |degrees| degrees.mean),
            max_degree: degrees.map_or(0, |degrees| degrees.max),
            top_level: graph.and_then(entry_level).unwrap_or(0),
            unreachable_nodes: graph.map_or(0, loomdb_graph::Graph::unreachable_count),
            vector_bytes: graph.map_or(0, |graph| graph.bytes() - link_bytes) + state.tail.bytes(),
            link_bytes,
            distance_computations: computed,
            strategy: strategy.map(|strategy| strategy.name().to_owned()),
            instruction_set: loomdb_graph::instruction_set().to_owned(),
        }
    }

    /// Writes the index into a directory: all of it or nothing. `ids` are those of the points, in
    /// the order in which they were added; without any, points keep their numbers as ids.
    ///
    /// # Errors
    /// `AlreadyExists` when something is there that may not be replaced; `InvalidInput` when
    /// `ids` does not have one id for each point, or has one twice; `StorageFull`, `Io`;
    /// `Canceled` when the progress function asks. After any of them the directory is what it was.
    pub fn save(&self, dir: &Path, ids: Option<&Ids>, options: &SaveOptions<'_>) -> Result<()> {
        let state = self.shared.state.load_full();
        let ids = state.ids_in_file_order(ids)?;
        let contents = storage::Contents {
            metric: self.shared.metric,
            dim: self.shared.dim,
            ids: &ids,
            graph: state.graph.as_deref(),
            row: &|row| state.vector_in_file_order(row),
        };
        storage::save(dir, &contents, options)
    }

    /// Opens an index that [`Self::save`] wrote; its points are numbered anew, in the order of
    /// the file. A graph that is missing or damaged is a warning: the rows are scanned, and
    /// linked anew in the background.
    ///
    /// # Errors
    /// `NotFound` when there is no index; `Corrupted` with the file and the byte; `Unsupported`
    /// for a newer format; `Io`.
    pub fn open(dir: &Path, params: IndexParams) -> Result<OpenedIndex> {
        let storage::Opened { metric, dim, graph, tail, ids, warnings } = storage::open(dir)?;
        let index = Self::new(dim, metric, params)?;
        let tail = Flat::from_vectors(metric, tail)?;
        index
            .shared
            .state
            .store(Arc::new(State { graph: graph.map(Arc::new), ..State::empty(tail) }));
        index.shared.start_linking(&mut index.shared.lock());
        Ok(OpenedIndex { index, ids, warnings })
    }
}

impl Drop for Index {
    /// Lets the linking thread finish: it works for nobody else.
    fn drop(&mut self) {
        self.wait();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Writer> {
        // A writer that panicked has published nothing half-done: states are swapped whole.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the linking thread has finished.
    fn until_linked<'a>(&self, writer: MutexGuard<'a, Writer>) -> MutexGuard<'a, Writer> {
        let is_linking = |writer: &mut Writer| writer.is_linking;
        self.linked.wait_while(writer, is_linking).unwrap_or_else(PoisonError::into_inner)
    }
}
