//! A collection is rewritten without its dead rows, beside those who write to it.
//!
//! Three steps. Under the writer's lock a version is taken, and a number for its files. Without the
//! lock its live rows are copied, linked and written. Under the lock again, what was written
//! meanwhile is put behind them, and a manifest makes the new files count. So no write waits for a
//! build. There is one rewrite at a time, and closing waits for its end. Under `OnCommit` the lock
//! is held throughout, and the files count from the next commit on, as pieces of streams do: what
//! a rewrite finds is not committed, and it is no commit.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread;

use loomdb_graph::{Observer, Phase, Workers};

use super::staged::Staged;
use super::write::{Target, Writer};
use super::{Compaction, Durability, Shared, compaction};
use crate::collection::{Inner, Making, Saved, State};
use crate::storage::FileSystem;
use crate::storage::manifest::Collection as Entry;
use crate::storage::segment::Place;
use crate::{Error, Result};

/// A rewrite that has begun.
struct Rewrite {
    before: Arc<State>,
    files: Option<NewFiles>,
}

/// Where the files of a rewrite are written.
struct NewFiles {
    fs: Arc<dyn FileSystem>,
    root: PathBuf,
    number: u32,
    /// What the manifest is to say of the collection.
    entry: Entry,
}

/// A version without dead rows, in files that no manifest names yet.
struct Rewritten {
    state: State,
    saved: Saved,
    entry: Option<Entry>,
}

impl Shared {
    /// Rewrites a collection without the rows that were given up, watched by an observer, or by
    /// that of the database.
    pub(crate) fn compact(&self, inner: &Inner, observer: Option<&dyn Observer>) -> Result<()> {
        let _rewriting = self.rewriting();
        let (workers, own) = self.making.watched();
        let watched = (workers, observer.unwrap_or(own));
        self.rewrite(self.lock_to_write()?, inner, watched).map(drop)
    }

    /// Gives back the space of a collection when that is due, behind a write that is finished and
    /// safe whatever comes of this. Under `OnCommit` only a commit does this.
    pub(super) fn give_back_space(&self, inner: &Inner) {
        if self.holds_back() || !is_due(inner) {
            return;
        }
        match self.compaction {
            Compaction::InBackground => self.start_rewriting(),
            Compaction::BehindWrites => {
                // Whoever rewrites already is perhaps the one who called this, between two steps.
                let Ok(_rewriting) = self.rewriting.try_lock() else { return };
                if let Ok(writer) = self.lock_to_write() {
                    drop(self.rewrite_if_due(writer, inner, self.making.watched()));
                }
            }
        }
    }

    /// [`Self::give_back_space`] of all collections behind a commit, whose lock is held if nothing
    /// may be written between the two, nor behind them before that is committed too.
    pub(super) fn give_back_all<'a>(&'a self, mut writer: MutexGuard<'a, Writer>) {
        if !self.holds_back() {
            drop(writer);
            self.all().iter().for_each(|inner| self.give_back_space(inner));
            return;
        }
        for inner in self.all() {
            match self.rewrite_if_due(writer, &inner, self.making.watched()) {
                Some(same) => writer = same,
                None => return,
            }
        }
        if !writer.staged.is_empty()
            && let Err(error) = self.commit(&mut writer)
        {
            self.warn(format!("{error:#}; what was written is safe"));
        }
    }

    /// Whether what is written does not count before a commit.
    pub(crate) fn holds_back(&self) -> bool {
        self.durability == Durability::OnCommit
    }

    /// Held by whoever rewrites a collection, and taken before the writer's lock.
    pub(super) fn rewriting(&self) -> MutexGuard<'_, ()> {
        // Whoever panicked has changed nothing: a rewrite counts from its last step on.
        self.rewriting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nothing is rewritten in the background.
    pub(super) fn wait_for_rewriting(&self) {
        loop {
            let thread = self.rewriter.lock().unwrap_or_else(PoisonError::into_inner).take();
            match thread {
                Some(thread) => drop(thread.join()),
                None => return,
            }
        }
    }

    /// Starts the thread that rewrites collections, unless it is at work.
    fn start_rewriting(&self) {
        let mut rewriter = self.rewriter.lock().unwrap_or_else(PoisonError::into_inner);
        if rewriter.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        let Some(shared) = self.me.upgrade() else { return };
        let thread = thread::Builder::new().name("loomdb-compact".to_owned());
        // Without a thread the next write tries again.
        *rewriter = thread.spawn(move || shared.rewrite_all_due()).ok();
    }

    /// Rewrites collections as long as one is due, on one thread fewer than there are: who writes
    /// meanwhile keeps a core.
    fn rewrite_all_due(&self) {
        let Ok(workers) = Workers::new(self.making.workers.threads().saturating_sub(1).max(1))
        else {
            return;
        };
        let watch = UntilClosed(self);
        while let Some(inner) = self.all().into_iter().find(|inner| is_due(inner)) {
            let _rewriting = self.rewriting();
            let Ok(writer) = self.lock_to_write() else { return };
            if self.is_closing.load(Ordering::Acquire) {
                return;
            }
            drop(self.rewrite_if_due(writer, &inner, (&workers, &watch)));
        }
    }

    /// Rewrites a collection when that is due; what fails becomes a warning. Returns the lock, if
    /// it is held.
    fn rewrite_if_due<'a>(
        &'a self,
        writer: MutexGuard<'a, Writer>,
        inner: &Inner,
        watched: (&Workers, &dyn Observer),
    ) -> Option<MutexGuard<'a, Writer>> {
        if !is_due(inner) {
            return Some(writer);
        }
        let (_, dead, _) = inner.state.load().space();
        inner.failed_at.store(dead, Ordering::Relaxed);
        match self.rewrite(writer, inner, watched) {
            Ok(writer) => {
                inner.failed_at.store(0, Ordering::Relaxed);
                Some(writer)
            }
            Err(error) => {
                let is_gone = inner.is_dropped.load(Ordering::Acquire);
                if !is_gone && !self.is_closing.load(Ordering::Acquire) {
                    self.warn(format!("{error:#}; what was written is safe"));
                }
                None
            }
        }
    }

    fn rewrite<'a>(
        &'a self,
        mut writer: MutexGuard<'a, Writer>,
        inner: &Inner,
        watched: (&Workers, &dyn Observer),
    ) -> Result<MutexGuard<'a, Writer>> {
        inner.check_is_there()?;
        let mut rewrite = self.begin(&mut writer, inner)?;
        let held = self.holds_back().then_some(writer);
        let made = rewrite.run(&self.making, watched);
        let mut writer = held.unwrap_or_else(|| self.lock());
        let done = made.and_then(|made| self.install(&mut writer, inner, &rewrite, made));
        if let Err(error) = done {
            if let Target::Directory(directory) = &mut writer.target {
                directory.note(&error);
            }
            // When a manifest may name the files, nobody knows which one counts.
            if !writer.is_broken() {
                rewrite.remove_files();
            }
            return Err(error);
        }
        Ok(writer)
    }

    fn begin(&self, writer: &mut Writer, inner: &Inner) -> Result<Rewrite> {
        let before = inner.state.load_full();
        let Target::Directory(directory) = &mut writer.target else {
            return Ok(Rewrite { before, files: None });
        };
        let mut entry = self.entry_of(directory, inner)?;
        entry.segments.clear();
        (entry.graph, entry.order, entry.deletes) = (None, None, None);
        let (fs, root) = (Arc::clone(directory.fs()), directory.root().to_owned());
        let number = directory.next_number();
        Ok(Rewrite { before, files: Some(NewFiles { fs, root, number, entry }) })
    }

    /// Makes a rewritten version, with what was written since it was begun, the one that counts;
    /// under `OnCommit` it is the next commit that names its files.
    fn install(
        &self,
        writer: &mut Writer,
        inner: &Inner,
        rewrite: &Rewrite,
        made: Rewritten,
    ) -> Result<()> {
        writer.check()?;
        inner.check_is_there()?;
        let Rewritten { state, mut saved, entry: written } = made;
        let now = inner.state.load_full();
        let next = state.caught_up(&rewrite.before, &now, &self.making)?;
        if let (Target::Directory(directory), Some(written)) = (&mut writer.target, written) {
            let now = self.entry_of(directory, inner)?;
            let number = directory.next_number();
            let Entry { segments, graph, order, .. } = written;
            let mut entry = Entry { segments, graph, order, deletes: None, ..now };
            let (fs, root) = (Arc::clone(directory.fs()), directory.root());
            let path = entry.directory.clone();
            let place = Place { fs: &*fs, root, directory: &path };
            next.seal(place, &mut entry, &mut saved, (None, number))?;
            entry.sequence = entry.sequence.max(writer.sequence);
            self.make_count(writer, Staged { entry, saved })?;
        }
        writer.move_to_files(inner.number, &next);
        inner.state.store(Arc::new(next));
        Ok(())
    }
}

/// Whether a collection has so many dead rows that it is rewritten.
fn is_due(inner: &Inner) -> bool {
    let (rows, dead, flat_limit) = inner.state.load().space();
    let failed_at = inner.failed_at.load(Ordering::Relaxed);
    let is_there = !inner.is_dropped.load(Ordering::Acquire);
    is_there && compaction::is_due(rows, dead, flat_limit) && dead >= 2 * failed_at
}

impl Rewrite {
    /// Copies, links and writes the live rows.
    fn run(
        &mut self,
        making: &Making,
        (workers, observer): (&Workers, &dyn Observer),
    ) -> Result<Rewritten> {
        check_canceled(observer)?;
        let state = self.before.compacted(making, (workers, observer))?;
        check_canceled(observer)?;
        let mut saved = Saved::default();
        let Some(NewFiles { fs, root, number, entry }) = &mut self.files else {
            return Ok(Rewritten { state, saved, entry: None });
        };
        let path = entry.directory.clone();
        let place = Place { fs: &**fs, root, directory: &path };
        state.seal(place, entry, &mut saved, (None, *number))?;
        check_canceled(observer)?;
        state.save_graph(place, entry, &mut saved, *number)?;
        check_canceled(observer)?;
        Ok(Rewritten { state, saved, entry: Some(entry.clone()) })
    }

    /// Removes files that no manifest names. What cannot be removed does no harm, and goes when
    /// the database is opened next.
    fn remove_files(&self) {
        let Some(NewFiles { fs, root, number, entry }) = &self.files else { return };
        Place { fs: &**fs, root, directory: &entry.directory }.remove(*number);
    }
}

/// Watches for the database, until it is closed.
struct UntilClosed<'a>(&'a Shared);

impl Observer for UntilClosed<'_> {
    fn progress(&self, phase: Phase, done: usize, total: usize) {
        self.0.making.observer.progress(phase, done, total);
    }

    fn canceled(&self) -> bool {
        self.0.is_closing.load(Ordering::Relaxed) || self.0.making.observer.canceled()
    }
}

fn check_canceled(observer: &dyn Observer) -> Result<()> {
    if observer.canceled() { Err(Error::canceled()) } else { Ok(()) }
}
