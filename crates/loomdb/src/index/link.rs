//! How rows move: into the tail, into the graph, and from the tail into the graph.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use loomdb_graph::{
    BuildStats, Graph, Observer, Phase, StoredVectors, Vectors, Workers, build, build_stored,
};

use super::plan::{self, CHUNK_ROWS, Linking, Tail};
use super::state::{State, inverse};
use super::{Shared, Writer};
use crate::error::Result;

pub(super) type GraphResult<T> = std::result::Result<T, loomdb_graph::Error>;

/// A graph over more rows than before, ready to be published.
#[derive(Debug)]
pub(crate) struct Linked {
    graph: Graph,
    points: Arc<Vec<u32>>,
    stats: BuildStats,
}

impl Shared {
    /// Appends rows to the tail.
    pub(super) fn add_to_tail(&self, rows: &Vectors) -> Result<Range<usize>> {
        let mut state = State::clone(&self.state.load());
        let first = state.len();
        state.tail.append(rows)?;
        self.state.store(Arc::new(state));
        Ok(first..first + rows.len())
    }

    /// The graph of everything and a large batch. Nothing is changed before it is published.
    pub(super) fn linked_with(&self, batch: Batch<'_>, observer: &dyn Observer) -> Result<Linked> {
        let state = self.state.load_full();
        let rows = Sources { state: &state, batch: Some(batch) };
        Ok(self.link(&rows, &self.workers, observer)?)
    }

    /// Builds the graph of an index that is still empty.
    pub(super) fn build(
        &self,
        writer: &mut Writer,
        vectors: Vectors,
        (workers, observer): (&Workers, &dyn Observer),
    ) -> Result<()> {
        let linked = self.built(vectors, (workers, observer))?;
        Ok(self.publish(writer, linked)?)
    }

    /// The graph of some rows alone.
    pub(super) fn built(
        &self,
        vectors: Vectors,
        (workers, observer): (&Workers, &dyn Observer),
    ) -> GraphResult<Linked> {
        let params = self.params.build_params();
        let built = build(vectors, self.metric, &params, workers, observer)?;
        Ok(Linked { graph: built.graph, points: Arc::new(built.order), stats: built.stats })
    }

    /// Starts a thread that links the tail, when it is due and none is running.
    pub(super) fn start_linking(self: &Arc<Self>, writer: &mut Writer) {
        if writer.is_linking || !self.tail().is_due() {
            return;
        }
        let shared = Arc::clone(self);
        let thread = thread::Builder::new().name("loomdb-link".to_owned());
        let started = thread.spawn(move || {
            let _finish = Finish(&shared);
            shared.link_in_background();
        });
        // Without a thread the rows stay in the tail, and the next call tries again.
        writer.is_linking = started.is_ok();
    }

    pub(super) fn tail(&self) -> Tail {
        let (state, limit) = (self.state.load(), self.limit);
        let (rows, has_graph) = (state.tail.len(), state.graph.is_some());
        Tail { rows, limit, searches: self.searches.load(Ordering::Relaxed), has_graph }
    }

    /// Remembers that searches met the tail. Written only as often as it matters, since every
    /// search reads what lies beside it.
    pub(super) fn note_searches(&self, count: usize) {
        if self.searches.load(Ordering::Relaxed) < plan::enough_searches(self.limit) {
            self.searches.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Links tails as long as one is due, on one thread fewer than there are: who writes meanwhile
    /// keeps a core.
    fn link_in_background(&self) {
        let workers = Workers::new(self.workers.threads().saturating_sub(1).max(1));
        match workers {
            Ok(workers) => while self.tail().is_due() && self.link_tail(&workers) {},
            Err(error) => self.lock().failure = Some(error),
        }
    }

    /// Links what the tail holds now, while it goes on growing; whether that succeeded.
    fn link_tail(&self, workers: &Workers) -> bool {
        let state = self.state.load_full();
        let linked = self.link(&Sources { state: &state, batch: None }, workers, &());
        let mut writer = self.lock();
        let published = linked.and_then(|linked| self.publish(&mut writer, linked));
        writer.failure = published.err();
        writer.failure.is_none()
    }

    /// The graph of everything that is there.
    pub(super) fn linked_tail(&self, observer: &dyn Observer) -> GraphResult<Linked> {
        let state = self.state.load_full();
        self.link(&Sources { state: &state, batch: None }, &self.workers, observer)
    }

    fn link(
        &self,
        rows: &Sources<'_>,
        workers: &Workers,
        observer: &dyn Observer,
    ) -> GraphResult<Linked> {
        let graph = rows.state.graph.as_deref();
        match (graph, plan::linking(rows.new_rows(), rows.state.graph_len())) {
            (Some(graph), Linking::Chunks) => {
                match self.link_chunks(graph, rows, (workers, observer)) {
                    // Chunks of a batch that was canceled have taken its place.
                    Err(loomdb_graph::Error::StaleGraph) => self.rebuild(rows, workers, observer),
                    linked => linked,
                }
            }
            _ => self.rebuild(rows, workers, observer),
        }
    }

    fn link_chunks(
        &self,
        graph: &Graph,
        rows: &Sources<'_>,
        (workers, observer): (&Workers, &dyn Observer),
    ) -> GraphResult<Linked> {
        let params = self.params.build_params();
        let mut graph = graph.clone();
        let mut total: Option<BuildStats> = None;
        let (first, last) = (rows.state.graph_len(), rows.len());
        for start in (first..last).step_by(CHUNK_ROWS) {
            let end = (start + CHUNK_ROWS).min(last);
            let vectors = copied(self.dim, (start..end).map(|row| rows.vector(row)))?;
            let (next, stats) = graph.insert(&vectors, &params, workers, observer)?;
            graph = match &rows.state.files {
                Some(files) if files.len() >= end => next.moved_to(files, &rows.state.points)?,
                _ => next,
            };
            let before = total.as_ref().map_or(0, |total| total.distance_computations);
            let distance_computations = before + stats.distance_computations;
            total = Some(BuildStats { distance_computations, ..stats });
            observer.progress(Phase::Insert, end - first, last - first);
        }
        let stats = total.expect("there is a row to link");
        Ok(Linked { graph, points: Arc::clone(&rows.state.points), stats })
    }

    fn rebuild(
        &self,
        rows: &Sources<'_>,
        workers: &Workers,
        observer: &dyn Observer,
    ) -> GraphResult<Linked> {
        let Some(all) = rows.stored()? else {
            let vectors = copied(self.dim, (0..rows.len()).map(|row| rows.vector(row)))?;
            return self.built(vectors, (workers, observer));
        };
        let params = self.params.build_params();
        let built = build_stored(&all, self.metric, &params, workers, observer)?;
        Ok(Linked { graph: built.graph, points: Arc::new(built.order), stats: built.stats })
    }

    /// Makes a graph the current one; what it covers leaves the tail.
    pub(super) fn publish(&self, writer: &mut Writer, linked: Linked) -> GraphResult<()> {
        let state = self.state.load_full();
        let covered = linked.graph.len() - state.graph_len();
        let behind = covered.min(state.tail.len())..state.tail.len();
        let tail = linked.graph.flat_behind();
        let nodes = if Arc::ptr_eq(&linked.points, &state.points) {
            Arc::clone(&state.nodes)
        } else {
            Arc::new(inverse(&linked.points))
        };
        let (graph, files) = (Some(Arc::new(linked.graph)), state.files.clone());
        let mut next = State { graph, points: linked.points, nodes, tail, files: None };
        if let Some(files) = files
            && files.len() >= next.graph_len()
        {
            // Rows of versions that were linked before they were in files go with them.
            next = next.moved_to(files)?;
        }
        let behind = behind.skip(next.tail.len());
        let rows = behind.map(|row| state.tail.vector(row as u32));
        next.tail.append(&copied(self.dim, rows)?)?;
        next.files = next.files.or(state.files.clone());
        self.state.store(Arc::new(next));
        self.searches.store(0, Ordering::Relaxed);
        writer.distance_computations += linked.stats.distance_computations;
        writer.strategy = Some(linked.stats.strategy);
        Ok(())
    }
}

/// A batch whose rows get into the graph at once.
#[derive(Clone, Copy)]
pub(crate) enum Batch<'a> {
    /// It is copied.
    Lent(&'a Vectors),
    /// It is being written to files, where [`super::Index::move_to`] makes its rows lie. The graph
    /// has them where they are meanwhile.
    Filed(&'a Arc<Vectors>),
}

impl Batch<'_> {
    pub(super) fn rows(&self) -> &Vectors {
        match self {
            Self::Lent(rows) => rows,
            Self::Filed(rows) => rows,
        }
    }
}

/// What is there and what a batch adds, by point.
struct Sources<'a> {
    state: &'a State,
    batch: Option<Batch<'a>>,
}

impl Sources<'_> {
    fn len(&self) -> usize {
        self.state.len() + self.batch.as_ref().map_or(0, |batch| batch.rows().len())
    }

    fn new_rows(&self) -> usize {
        self.len() - self.state.graph_len()
    }

    fn vector(&self, point: usize) -> &[f32] {
        match (&self.batch, point.checked_sub(self.state.len())) {
            (Some(batch), Some(behind)) => batch.rows().row(behind),
            _ => self.state.vector(point),
        }
    }

    /// All rows, where most of them lie and stay; nothing when they lie nowhere else.
    fn stored(&self) -> GraphResult<Option<StoredVectors>> {
        let mut all = match (&self.state.files, &self.batch) {
            (Some(files), _) => StoredVectors::clone(files),
            (None, Some(Batch::Filed(batch))) => StoredVectors::new(batch.dim())?,
            (None, _) => return Ok(None),
        };
        let copied_up_to = match self.batch {
            Some(Batch::Filed(_)) => self.state.len(),
            _ => self.len(),
        };
        let behind = (all.len()..copied_up_to).flat_map(|row| self.vector(row));
        let behind: Vec<f32> = behind.copied().collect();
        if !behind.is_empty() {
            all.push(Arc::new(behind))?;
        }
        if let Some(Batch::Filed(batch)) = self.batch {
            let batch = Arc::clone(batch);
            all.push(batch)?;
        }
        Ok(Some(all))
    }
}

/// Tells whoever waits that the linking thread has ended, however it ended.
struct Finish<'a>(&'a Shared);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.lock().is_linking = false;
        self.0.linked.notify_all();
    }
}

/// A table of copied rows.
pub(super) fn copied<'a>(
    dim: usize,
    rows: impl Iterator<Item = &'a [f32]>,
) -> GraphResult<Vectors> {
    let mut vectors = Vectors::with_capacity(dim, rows.size_hint().0)?;
    for row in rows {
        vectors.push_rows(row)?;
    }
    Ok(vectors)
}
