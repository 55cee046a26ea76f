//! The limits of this crate, in one place; those of the vectors are in `loomdb_graph`.

/// The longest text id, in bytes.
pub const MAX_ID_BYTES: usize = 512;
