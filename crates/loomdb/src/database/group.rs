//! Group commit: writers that wait for the disk at the same time share one sync.
//!
//! A small synced write waits in a line. Whoever finds nobody at work there writes for all who wait
//! by then, while others line up for the next sync: every batch gets its record and is applied, one
//! sync makes them durable, and only then are they visible and their callers told. A batch that is
//! refused does not touch the others; a sync that fails fails them all.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::write::Writer;
use super::{Durability, Shared};
use crate::collection::{Change, Inner, Linking, State};
use crate::limits::MAX_RECORD_BYTES;
use crate::{Error, Result};

/// What makes the change of a write, given the version that it changes.
pub(crate) type Make = Box<dyn FnMut(&State) -> Result<Option<Change>> + Send>;

/// A write that waits.
pub(super) struct Request {
    inner: Arc<Inner>,
    make: Make,
    done: Done,
}

/// The rows that a write gave up; nothing when it does not fit into a record, and was not made.
type Done = Arc<Mutex<Option<Result<Option<u64>>>>>;

/// Writes that wait, and whether one of their threads is writing for the others.
#[derive(Default)]
pub(super) struct Line {
    state: Mutex<Waiting>,
    moved: Condvar,
}

#[derive(Default)]
struct Waiting {
    requests: Vec<Request>,
    is_led: bool,
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, line: MutexGuard<'a, Waiting>) -> MutexGuard<'a, Waiting> {
        self.moved.wait(line).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the next one write, however this one ends.
struct Lead<'a>(&'a Line);

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.0.lock().is_led = false;
        self.0.moved.notify_all();
    }
}

/// The versions that are applied and not visible yet, by the number of their collection.
type Heads = HashMap<u32, (Arc<Inner>, Arc<State>)>;

impl Shared {
    /// Whether a write waits for the disk.
    pub(crate) fn is_synced(&self) -> bool {
        self.durability == Durability::Synced
    }

    /// [`Self::write`] for a batch that is linked later, together with others that wait; nothing
    /// when it turns out that it does not fit into a record.
    pub(crate) fn write_together(&self, inner: &Arc<Inner>, make: Make) -> Result<Option<u64>> {
        let done = Done::default();
        let request = Request { inner: Arc::clone(inner), make, done: Arc::clone(&done) };
        let mut line = self.line.lock();
        line.requests.push(request);
        while line.is_led {
            line = self.line.wait(line);
            if let Some(result) = take(&done) {
                return result;
            }
        }
        line.is_led = true;
        drop(line);
        let lead = Lead(&self.line);
        let mut writer = self.lock();
        let requests = std::mem::take(&mut self.line.lock().requests);
        let changed = self.write_all(&mut writer, requests);
        let result = take(&done).unwrap_or_else(|| {
            // Who wrote for this thread has panicked.
            writer.set_broken();
            writer.check().map(|()| Some(0))
        });
        drop(writer);
        drop(lead);
        for inner in changed {
            self.give_back_space(&inner);
        }
        result
    }

    /// Writes for all who wait; the collections that changed.
    fn write_all(&self, writer: &mut Writer, requests: Vec<Request>) -> Vec<Arc<Inner>> {
        let mut heads = Heads::new();
        let mut written = Vec::new();
        let mark = writer.mark(self);
        for mut request in requests {
            let result = mark
                .as_ref()
                .map_err(Error::repeated)
                .and_then(|_| self.write_one(writer, &mut heads, &mut request));
            match result {
                Ok(replaced) => written.push((request.done, replaced)),
                Err(error) => put(&request.done, Err(error)),
            }
        }
        let Ok(mark) = mark else { return Vec::new() };
        match writer.sync_since(mark) {
            Ok(()) => {
                for (inner, state) in heads.values() {
                    inner.state.store(Arc::clone(state));
                }
                for (done, replaced) in &written {
                    put(done, Ok(*replaced));
                }
                for (inner, _) in heads.values() {
                    self.tidy_up(writer, inner, false);
                }
                heads.into_values().map(|(inner, _)| inner).collect()
            }
            Err(error) => {
                for (done, _) in &written {
                    put(done, Err(error.repeated()));
                }
                Vec::new()
            }
        }
    }

    /// Appends the record of a batch and applies it on top of those before it.
    fn write_one(
        &self,
        writer: &mut Writer,
        heads: &mut Heads,
        request: &mut Request,
    ) -> Result<Option<u64>> {
        writer.check()?;
        let inner = &request.inner;
        inner.check_is_there()?;
        let head = heads.get(&inner.number).map(|(_, state)| Arc::clone(state));
        let state = head.unwrap_or_else(|| inner.state.load_full());
        let Some(change) = (request.make)(&state)? else { return Ok(Some(0)) };
        let is_logged = self.is_logged(writer);
        let encode = || writer.encoder.encode(inner.number, &change);
        let record = is_logged.then(encode).transpose()?;
        if record.as_ref().is_some_and(|record| record.len() > MAX_RECORD_BYTES) {
            return Ok(None);
        }
        let plan = state.plan(change, &self.making)?;
        if let Some(record) = record {
            writer.append_unsynced(&record)?;
        }
        let replaced = plan.replaced;
        let applied = plan.apply(writer.sequence, Linking::Now(&()));
        let applied = Arc::new(applied.inspect_err(|_| writer.set_broken())?);
        heads.insert(inner.number, (Arc::clone(inner), applied));
        Ok(Some(replaced))
    }
}

fn take(done: &Done) -> Option<Result<Option<u64>>> {
    done.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn put(done: &Done, result: Result<Option<u64>>) {
    *done.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
}
