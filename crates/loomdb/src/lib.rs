//! An embedded vector database whose heart is true batch graph construction.
//!
//! This crate remembers, `loomdb_graph` computes. A [`Database`] is a directory of named
//! [`Collection`]s of points: an id, a vector, and metadata. Writes are atomic and durable, and
//! found by the next search. Vectors come in from files of many formats ([`import`]).
//! A [`Filter`] says which points are meant, by their metadata ([`filter`]).

#![deny(unsafe_code)]

mod check;
mod collection;
mod database;
mod error;
mod export;
pub mod filter;
mod id_column;
mod ids;
pub mod import;
pub mod index;
mod ipc;
mod limits;
mod repair;
pub mod storage;
mod suggest;

pub use check::{
    CheckOptions, CheckReport, CheckedCollection, CheckedFile, Finding, RecallSample, Severity,
    check, check_on,
};
pub use collection::{
    Batch, Collection, CollectionInfo, Explanation, FieldType, Found, Hit, Hits, IdType, Metadata,
    Page, Pages, Point, Points, Schema, Search, SearchMany, SearchStrategy, Snapshot, Within,
    Writer, table_bytes,
};
pub use database::{BackupInfo, BackupOptions, Compaction, Database, Durability, OpenOptions};
pub use error::{Error, ErrorKind, Result};
pub use export::{ExportOptions, Exported};
pub use filter::Filter;
pub use ids::{Id, Ids};
pub use limits::{
    MAX_FILTER_BYTES, MAX_FILTER_DEPTH, MAX_FILTER_NODES, MAX_FILTER_VALUES, MAX_ID_BYTES,
    MAX_METADATA_BYTES, MAX_NAME_BYTES, MAX_RECORD_BYTES,
};
pub use repair::{Loss, RepairOptions, RepairReport, RepairedCollection, repair, repair_on};
