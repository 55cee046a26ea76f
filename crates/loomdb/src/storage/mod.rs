//! A collection as a directory: written whole, renamed into place, verified while it is read.
//!
//! The vectors are a plain `.npy` file and the ids an Arrow file, so that other tools read them
//! without this library. Their checksums stand in the manifest, which names every live file. The
//! graph is derived data: when its file is missing or damaged, the collection opens without it.
//!
//! ```text
//! my.loom/
//!   manifest-00000001               names every file, with its length and checksums
//!   default/
//!     seg-00000001/vectors.npy      f32, C order: first the nodes of the graph, then the rest
//!     seg-00000001/points.arrow     the ids, in the same order
//!     graph-00000001                levels and links
//! ```
//!
//! ```
//! use loomdb::Ids;
//! use loomdb::storage::{Contents, SaveOptions, open, save};
//! use loomdb_graph::Metric;
//!
//! let parent = tempfile::tempdir()?;
//! let directory = parent.path().join("my.loom");
//! let rows = [[0.0, 1.0], [1.0, 0.0]];
//! let ids = Ids::from(vec![10, 20]);
//! let row = |row: usize| &rows[row][..];
//! let contents = Contents { metric: Metric::L2, dim: 2, ids: &ids, graph: None, row: &row };
//! save(&directory, &contents, &SaveOptions::default())?;
//!
//! let opened = open(&directory)?;
//! assert_eq!(opened.ids, ids);
//! assert_eq!(opened.tail.row(1), rows[1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

/// What to do about a damaged file.
pub(crate) const RESTORE: &str =
    "restore the directory from a copy, or repair it, which saves what is sound";

mod checked;
mod checksum;
pub(crate) mod copy;
pub(crate) mod directory;
mod fs;
mod graph_codes;
mod graph_file;
pub(crate) mod graph_params;
pub(crate) mod log;
pub(crate) mod lost_manifest;
pub(crate) mod manifest;
pub(crate) mod new_file;
pub(crate) mod npy;
mod points;
mod rows_file;
pub(crate) mod salvage;
mod save;
pub(crate) mod segment;
pub(crate) mod staging;
mod store;
mod vectors;
pub(crate) mod verify;

pub use fs::{EntryKind, FileHandle, FileLock, FileSystem, Locking, RealFs};
pub use save::{Contents, Existing, SaveOptions, save, save_on};
pub use store::{Opened, open, open_on};
