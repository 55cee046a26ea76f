//! Ctrl-C: long work is asked to stop, so that it takes down what it has put up.
//!
//! The first signal sets a flag, which reading, building and saving look at often; temporary
//! directories then go the ordinary way, when their owners are dropped. The second one ends the
//! process at once, for people whose patience is at an end.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use loomdb_graph::Observer;

use crate::output::note;

/// What a shell reports of a process that Ctrl-C has ended.
pub const EXIT_CODE: u8 = 130;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// From here on Ctrl-C (or a request to terminate) stops work in an orderly way.
///
/// # Errors
/// When the system refuses to tell us of signals.
pub fn listen() -> Result<()> {
    let handler = || {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(EXIT_CODE));
        }
        note("stopping; press Ctrl-C again to stop at once");
    };
    ctrlc::set_handler(handler).context("cannot listen for Ctrl-C")
}

/// Stops a call on Ctrl-C, and shows nothing.
pub struct Stop;

impl Observer for Stop {
    fn canceled(&self) -> bool {
        is_requested()
    }
}

/// Stops between two steps when someone has asked for it.
///
/// # Errors
/// `Canceled`.
pub fn check() -> loomdb::Result<()> {
    if is_requested() { Err(loomdb_graph::Error::Canceled.into()) } else { Ok(()) }
}

/// Whether someone has asked to stop.
pub fn is_requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}
