//! A progress bar on standard error for work that takes a while, and the way to stop that work.
//!
//! The bar appears when the work has lasted for half a second and a person is watching, and
//! leaves no trace when it is done.

use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use loomdb_graph::{Observer, Phase};

use crate::interrupt;

/// Shorter work is over before a bar could be read.
const DELAY: Duration = Duration::from_millis(500);

const TEMPLATE: &str = "  {msg:<22} [{bar:30}] {percent:>3} %  {elapsed}";
const SPINNER: &str = "  {msg:<22} {spinner} {elapsed}";

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(100);

const TEMPLATE_WITHOUT_TOTAL: &str = "  {msg:<22} {human_pos}  {elapsed}";

/// Shows how far one piece of work is; dropped, it vanishes.
#[derive(Debug)]
pub struct Progress {
    work: &'static str,
    started: Instant,
    is_watched: bool,
    bar: Mutex<Option<Bar>>,
}

/// A bar on the screen, and the step that it shows.
#[derive(Debug)]
struct Bar {
    drawn: ProgressBar,
    step: Option<&'static str>,
    total: Option<u64>,
}

impl Progress {
    /// Begins to watch `work`, a word such as "reading".
    pub fn new(work: &'static str) -> Self {
        let is_watched = io::stderr().is_terminal();
        Self { work, started: Instant::now(), is_watched, bar: Mutex::new(None) }
    }

    /// Shows that one call that tells nothing goes on.
    pub fn spinner(work: &'static str) -> Self {
        let progress = Self::new(work);
        if progress.is_watched {
            let drawn = ProgressBar::new_spinner().with_message(work);
            drawn.set_style(style(SPINNER).tick_chars("|/-\\ "));
            drawn.enable_steady_tick(TICK);
            let bar = Bar { drawn, step: None, total: None };
            return Self { bar: Mutex::new(Some(bar)), ..progress };
        }
        progress
    }

    /// `done` of `total` are finished, 0 when nobody knows how many; whether to go on.
    pub fn reached(&self, done: usize, total: usize) -> bool {
        self.show(None, done as u64, total as u64);
        !interrupt::is_requested()
    }

    fn show(&self, step: Option<&'static str>, done: u64, total: u64) {
        if !self.is_watched || self.started.elapsed() < DELAY {
            return;
        }
        // Whoever finds the bar taken leaves the drawing to the other thread.
        if let Ok(mut bar) = self.bar.try_lock() {
            bar.get_or_insert_with(|| Bar::new(self.started)).show(self.work, step, done, total);
        }
    }
}

/// Watches the builds of a database for as long as it is open; a bar is there only while one runs.
#[derive(Debug, Default)]
pub struct Builds(Mutex<Option<Arc<Progress>>>);

impl Builds {
    /// Takes the bar away.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn build(&self) -> Arc<Progress> {
        let mut build = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(build.get_or_insert_with(|| Arc::new(Progress::new("building"))))
    }
}

impl Observer for Builds {
    fn progress(&self, phase: Phase, done: usize, total: usize) {
        self.build().progress(phase, done, total);
    }

    fn canceled(&self) -> bool {
        interrupt::is_requested()
    }
}

impl Observer for Progress {
    fn progress(&self, phase: Phase, done: usize, total: usize) {
        self.show(Some(phase.name()), done as u64, total as u64);
    }

    fn canceled(&self) -> bool {
        interrupt::is_requested()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let bar = self.bar.get_mut().ok().and_then(Option::as_mut);
        if let Some(bar) = bar {
            bar.drawn.finish_and_clear();
        }
    }
}

impl Bar {
    fn new(started: Instant) -> Self {
        let drawn = ProgressBar::no_length().with_elapsed(started.elapsed());
        Self { drawn, step: None, total: None }
    }

    /// Calls come out of order, so within a step the bar only moves forward.
    fn show(&mut self, work: &str, step: Option<&'static str>, done: u64, total: u64) {
        if (self.step, self.total) == (step, Some(total)) {
            if done > self.drawn.position() {
                self.drawn.set_position(done);
            }
            return;
        }
        (self.step, self.total) = (step, Some(total));
        let message = step.map_or_else(|| work.to_owned(), |step| format!("{work}: {step}"));
        self.drawn.set_style(style(if total == 0 { TEMPLATE_WITHOUT_TOTAL } else { TEMPLATE }));
        self.drawn.set_message(message);
        self.drawn.set_length(total);
        self.drawn.set_position(done);
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}
