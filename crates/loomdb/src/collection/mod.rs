//! Collections: points with ids and metadata, written in atomic batches and searched at once.
//!
//! Rows are only ever appended. A point that is replaced or deleted leaves its row behind, marked;
//! `compact` makes room. A version of a collection is a few shared tables and a bitmap ([`state`]),
//! so that readers keep theirs while the one writer makes the next.

mod allowed;
mod answer;
mod batch;
mod change;
mod check;
mod compacted;
mod edit;
mod fields;
mod indexes;
mod metadata;
mod nested;
mod persist;
mod places;
mod points;
mod rows;
mod salvage;
mod schema;
mod search;
mod search_plan;
mod snapshot;
mod state;
mod within;
mod writer;

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{Field, Schema as TableSchema};
use loomdb_graph::{Observer, Vectors};

use crate::database::Handle;
use crate::export::{ExportOptions, Exported};
use crate::ids::twice;
use crate::limits::MAX_METADATA_BYTES;
use crate::{Error, ErrorKind, Filter, Id, Ids, Result};
pub use batch::{Batch, table_bytes};
pub(crate) use change::{Change, Encoder};
pub use fields::FieldType;
pub(crate) use fields::{can_be_field, can_be_field_name, joined, joined_by_name, normalized};
pub use metadata::Metadata;
pub(crate) use nested::{fields_of, flattened};
pub(crate) use persist::{Files, Saved};
pub use points::{Hits, Points};
pub use schema::Schema;
pub use search::{Explanation, Hit, Search, SearchMany};
pub use search_plan::SearchStrategy;
pub use snapshot::{CollectionInfo, Found, Page, Pages, Point, Snapshot};
pub use state::IdType;
pub(crate) use state::{Linking, Making, Plan, State};
pub use within::Within;
pub use writer::Writer;

/// Ids that an error names.
const NAMED_IDS: usize = 5;

/// What handles of a collection share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub number: u32,
    pub name: ArcSwap<String>,
    pub state: ArcSwap<State>,
    pub is_dropped: AtomicBool,
    /// The dead rows at which the last rewrite failed: it is tried again at twice as many.
    pub failed_at: AtomicUsize,
}

impl Inner {
    pub(crate) fn new(number: u32, name: &str, state: State) -> Self {
        Self {
            number,
            name: ArcSwap::from_pointee(name.to_owned()),
            state: ArcSwap::from_pointee(state),
            is_dropped: AtomicBool::new(false),
            failed_at: AtomicUsize::new(0),
        }
    }

    pub(crate) fn check_is_there(&self) -> Result<()> {
        if !self.is_dropped.load(Ordering::Acquire) {
            return Ok(());
        }
        let what = format!("the collection {:?} was dropped", self.name.load());
        Err(Error::new(ErrorKind::NotFound, what))
    }
}

/// A named collection of points; clones are handles of the same one.
#[derive(Clone)]
pub struct Collection {
    pub(crate) shared: Arc<Handle>,
    pub(crate) inner: Arc<Inner>,
}

impl Collection {
    /// The name that it has now.
    pub fn name(&self) -> String {
        String::clone(&self.inner.name.load())
    }

    /// Adds points and returns their ids. When it returns, they are found by every search, and
    /// safe as the durability of the database says.
    ///
    /// # Errors
    /// `AlreadyExists` when an id is there, with the first five of them; `InvalidInput` for
    /// another dimension, type of ids or type of a metadata field, or a zero vector under cosine;
    /// `StorageFull`, `Io`, `Poisoned`. After any of them none of the points are added.
    pub fn add(&self, batch: &Batch) -> Result<Ids> {
        self.add_watched(batch, &())
    }

    /// [`Self::add`], watched and canceled by an observer: a large batch is built into the graph,
    /// which takes longest, while it is written to files that count when both is done.
    ///
    /// # Errors
    /// As [`Self::add`]; `Canceled` when the observer asks, and then no points are added.
    pub fn add_watched(&self, batch: &Batch, observer: &dyn Observer) -> Result<Ids> {
        self.put(batch.clone(), Putting::Add, Linking::Now(observer))
    }

    /// [`Self::add_watched`] of points that the caller gives up. Where they are written to no file
    /// yet, the graph of a new collection is then built where the vectors lie, which takes less
    /// memory; where they are, that is so for every large batch, and here their memory is given
    /// back at once.
    ///
    /// # Errors
    /// As [`Self::add_watched`].
    pub fn add_owned(&self, batch: Batch, observer: &dyn Observer) -> Result<Ids> {
        self.put(batch, Putting::Add, Linking::Now(observer))
    }

    /// Adds points; those whose ids are there are replaced, vector and metadata.
    ///
    /// # Errors
    /// As [`Self::add`], but for ids that are there.
    pub fn upsert(&self, batch: &Batch) -> Result<Ids> {
        self.upsert_watched(batch, &())
    }

    /// [`Self::upsert`], watched and canceled by an observer.
    ///
    /// # Errors
    /// As [`Self::upsert`]; `Canceled` when the observer asks, and then no points are written.
    pub fn upsert_watched(&self, batch: &Batch, observer: &dyn Observer) -> Result<Ids> {
        self.put(batch.clone(), Putting::Upsert, Linking::Now(observer))
    }

    /// [`Self::upsert_watched`] of points that the caller gives up, as [`Self::add_owned`].
    ///
    /// # Errors
    /// As [`Self::upsert_watched`].
    pub fn upsert_owned(&self, batch: Batch, observer: &dyn Observer) -> Result<Ids> {
        self.put(batch, Putting::Upsert, Linking::Now(observer))
    }

    /// Writes a stream of batches in pieces of bounded size; see [`Writer`].
    pub fn writer(&self) -> Writer<'_> {
        Writer::new(self)
    }

    fn put(&self, batch: Batch, putting: Putting, linking: Linking<'_>) -> Result<Ids> {
        self.put_once(batch, putting, linking, None)
    }

    /// [`Self::put`] of points whose ids must not stand in a row from `first_row` on.
    fn put_once(
        &self,
        batch: Batch,
        putting: Putting,
        linking: Linking<'_>,
        first_row: Option<usize>,
    ) -> Result<Ids> {
        let is_small = batch.is_small() && matches!(linking, Linking::Now(_));
        let Batch { ids, vectors, metadata } = batch;
        let (rows, has_ids) = (vectors.len(), ids.is_some());
        let given = ids.unwrap_or(Ids::Integer(Vec::new()));
        if rows == 0 {
            return Ok(given);
        }
        let metadata = metadata.as_ref().map(prepared).transpose()?;
        let vectors = Mutex::new(Some(vectors));
        let ids = Arc::new(Mutex::new(given));
        let given = Arc::clone(&ids);
        let make = move |state: &State| {
            let mut given = given.lock().unwrap_or_else(PoisonError::into_inner);
            if !has_ids {
                *given = next_ids(state, rows)?;
            }
            state.check_id_type(&given)?;
            first_row.map_or(Ok(()), |first| refuse_twice(state, &given, first))?;
            putting.check(state, &given)?;
            let table = table(&given, metadata.as_ref())?;
            let mut vectors = vectors.lock().unwrap_or_else(PoisonError::into_inner);
            // Only a small batch may be asked for twice; another is kept nowhere else.
            let vectors = if is_small { vectors.clone() } else { vectors.take() };
            Ok(vectors.map(|vectors| Change::Put { table, vectors }))
        };
        self.change(is_small, linking, make)?;
        let given = ids.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(given.clone())
    }

    /// Writes a change; a small one together with others that wait for the disk. Returns how many
    /// rows it gave up.
    fn change(
        &self,
        is_small: bool,
        linking: Linking<'_>,
        make: impl Fn(&State) -> Result<Option<Change>> + Send + Sync + 'static,
    ) -> Result<u64> {
        let make = Arc::new(make);
        if self.shared.is_synced() && is_small {
            let grouped = Arc::clone(&make);
            let grouped = Box::new(move |state: &State| grouped(state));
            if let Some(replaced) = self.shared.write_together(&self.inner, grouped)? {
                return Ok(replaced);
            }
        }
        self.shared.write(&self.inner, linking, &mut |state| make(state))
    }

    /// A version to read, which stays as it is.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(self.inner.state.load_full())
    }

    /// The nearest points to a query in the newest version; see [`Search`].
    pub fn search<'a>(&self, query: &'a [f32]) -> Search<'a> {
        Search::new(Cow::Owned(self.snapshot()), query)
    }

    /// The nearest points to each of many queries in the newest version; see [`SearchMany`].
    pub fn search_many<'a>(&self, queries: &'a Vectors) -> SearchMany<'a> {
        SearchMany::new(Cow::Owned(self.snapshot()), queries)
    }

    /// All points at most `max_distance` away from a query in the newest version; see [`Within`].
    pub fn within<'a>(&self, query: &'a [f32], max_distance: f32) -> Within<'a> {
        Within::new(Cow::Owned(self.snapshot()), query, max_distance)
    }

    /// The points of some ids as flat arrays, and the ids that are not there.
    ///
    /// # Errors
    /// As [`Snapshot::find`].
    pub fn find(&self, ids: &Ids) -> Result<Found> {
        self.snapshot().find(ids)
    }

    /// All points, or those that match a filter, in pages; see [`Snapshot::pages`].
    ///
    /// # Errors
    /// As [`Snapshot::pages`].
    pub fn pages(&self, page_len: usize, filter: Option<&Filter>) -> Result<Pages> {
        self.snapshot().pages(page_len, filter)
    }

    /// The points of some ids, in their order; nothing for an id that is not there.
    pub fn get(&self, ids: &Ids) -> Vec<Option<Point>> {
        self.snapshot().get(ids)
    }

    /// Whether there is a point of this id.
    pub fn contains(&self, id: &Id) -> bool {
        self.snapshot().contains(id)
    }

    /// The number of points.
    pub fn count(&self) -> usize {
        self.snapshot().len()
    }

    /// The number of points that match a filter.
    ///
    /// # Errors
    /// As [`Snapshot::count_matching`].
    pub fn count_matching(&self, filter: &Filter) -> Result<usize> {
        self.snapshot().count_matching(filter)
    }

    /// The state and the cost of the collection; walks through the whole graph.
    pub fn info(&self) -> CollectionInfo {
        let files = self.shared.files(self.inner.number);
        self.snapshot().info(files, self.shared.index_params())
    }

    /// Writes all points into a file of another format; see [`Snapshot::export`].
    ///
    /// # Errors
    /// As [`Snapshot::export`].
    pub fn export(&self, path: impl AsRef<Path>, options: &ExportOptions<'_>) -> Result<Exported> {
        self.snapshot().export(path, options)
    }

    /// Rewrites the collection without the rows that were deleted or replaced, and builds its
    /// graph anew. Readers and writers go on meanwhile; under [`crate::Durability::OnCommit`]
    /// writers wait, and it counts from the next commit on, as everything else.
    ///
    /// # Errors
    /// `StorageFull`, `Io`, `Poisoned`; nothing is lost.
    pub fn compact(&self) -> Result<()> {
        self.shared.compact(&self.inner, None)
    }

    /// [`Self::compact`] with an observer, which learns how far it is and may stop it; then the
    /// collection is as it was.
    ///
    /// # Errors
    /// As [`Self::compact`]; `Canceled`.
    pub fn compact_watched(&self, observer: &dyn Observer) -> Result<()> {
        self.shared.compact(&self.inner, Some(observer))
    }
}

impl fmt::Debug for Collection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = formatter.debug_struct("Collection");
        fields.field("name", &self.name()).field("points", &self.count()).finish_non_exhaustive()
    }
}

/// What happens to points whose ids are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Putting {
    /// They are refused.
    Add,
    /// They are replaced.
    Upsert,
}

impl Putting {
    fn check(self, state: &State, ids: &Ids) -> Result<()> {
        if self == Self::Upsert {
            return Ok(());
        }
        let found = state.find_all(ids);
        let taken = (0..ids.len()).filter(|row| found[*row].is_some());
        refuse_ids(ErrorKind::AlreadyExists, ids, taken, "exist already", "use upsert")
    }
}

/// The next integers that nobody has.
fn next_ids(state: &State, count: usize) -> Result<Ids> {
    if state.id_type == Some(IdType::Text) {
        let what = "the ids of the collection are texts, which are not made up";
        return Err(Error::invalid(what).advise("give an id for each vector"));
    }
    let first = state.next_id;
    let end = first.checked_add(count as u64);
    let end = end.ok_or_else(|| Error::invalid("there are no integers left for ids"))?;
    Ok(Ids::Integer((first..end).collect()))
}

/// Refuses ids that stand in a row from `first` on, where a stream began.
fn refuse_twice(state: &State, ids: &Ids, first: usize) -> Result<()> {
    let stream_rows = state.rows.len().saturating_sub(first);
    if stream_rows == 0 {
        return Ok(());
    }
    let earlier = |found: &Option<u32>| found.and_then(|row| (row as usize).checked_sub(first));
    let mut found = state.find_all(ids).into_iter().map(|found| earlier(&found)).enumerate();
    let Some((row, earlier)) = found.find_map(|(row, found)| Some((row, found?))) else {
        return Ok(());
    };
    // Rows of the stream are counted by whoever knows where this piece begins.
    Err(twice(earlier, row, &ids.get(row)))
}

/// An error that names the first ids of some rows, if there are any.
fn refuse_ids(
    kind: ErrorKind,
    ids: &Ids,
    rows: impl Iterator<Item = usize>,
    what: &str,
    advice: &'static str,
) -> Result<()> {
    let rows: Vec<usize> = rows.collect();
    let Some(first) = rows.first() else { return Ok(()) };
    let named: Vec<String> =
        rows.iter().take(NAMED_IDS).map(|row| ids.get(*row).to_string()).collect();
    let others = match rows.len().saturating_sub(NAMED_IDS) {
        0 => String::new(),
        others => format!(" and {others} others"),
    };
    let text = format!("the ids {}{others} {what}", named.join(", "));
    Err(Error::new(kind, text).at_row(*first).advise(advice))
}

/// Metadata in the types that are kept, each not too long.
fn prepared(metadata: &RecordBatch) -> Result<RecordBatch> {
    let metadata = fields::normalized(metadata)?;
    if metadata.get_array_memory_size() <= MAX_METADATA_BYTES {
        return Ok(metadata);
    }
    for row in 0..metadata.num_rows() {
        let one = metadata.slice(row, 1).columns().iter().map(text_bytes).sum::<usize>();
        if one > MAX_METADATA_BYTES {
            let what = format!("the metadata have {one} bytes, more than {MAX_METADATA_BYTES}");
            return Err(Error::invalid(what).at_row(row).advise("keep long texts elsewhere"));
        }
    }
    Ok(metadata)
}

fn text_bytes(column: &ArrayRef) -> usize {
    use arrow_array::cast::AsArray;
    if let Some(texts) = column.as_string_opt::<i32>() {
        return texts.iter().flatten().map(str::len).sum();
    }
    match column.as_list_opt::<i32>() {
        Some(lists) => lists.iter().flatten().map(|list| text_bytes(&list)).sum(),
        None => size_of::<i64>() * column.len(),
    }
}

/// Ids and metadata as one table.
fn table(ids: &Ids, metadata: Option<&RecordBatch>) -> Result<RecordBatch> {
    let column: ArrayRef = match ids {
        Ids::Integer(ids) => Arc::new(UInt64Array::from(ids.clone())),
        Ids::Text(ids) => Arc::new(StringArray::from_iter_values(ids)),
    };
    let id = Arc::new(Field::new(fields::ID, column.data_type().clone(), false));
    let (mut fields, mut columns) = (vec![id], vec![column]);
    if let Some(metadata) = metadata {
        fields.extend(metadata.schema().fields().iter().cloned());
        columns.extend(metadata.columns().iter().cloned());
    }
    let made = RecordBatch::try_new(Arc::new(TableSchema::new(fields)), columns);
    made.map_err(|error| Error::invalid("the metadata contradict each other").caused_by(error))
}
