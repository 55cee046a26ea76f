//! An embedded vector database whose heart is true batch graph construction.
//!
//! This crate remembers, `loomdb_graph` computes. Vectors come in from files of many formats
//! ([`import`]), and go to disk and back as a directory that is complete or not there at all
//! ([`storage`]). A [`Filter`] says which points are meant, by their metadata ([`filter`]).

#![forbid(unsafe_code)]

mod error;
pub mod filter;
mod id_column;
mod ids;
pub mod import;
pub mod index;
mod ipc;
mod limits;
pub mod storage;
mod suggest;

pub use error::{Error, ErrorKind, Result};
pub use filter::Filter;
pub use ids::{Id, Ids};
pub use limits::{
    MAX_FILTER_BYTES, MAX_FILTER_DEPTH, MAX_FILTER_NODES, MAX_FILTER_VALUES, MAX_ID_BYTES,
};
