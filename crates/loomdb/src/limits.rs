//! The limits of this crate, in one place; those of the vectors are in `loomdb_graph`.

/// The longest text id, in bytes.
pub const MAX_ID_BYTES: usize = 512;

/// The longest record of the log, in bytes; a larger batch goes straight to a segment.
pub const MAX_RECORD_BYTES: usize = 64 << 20;

/// The most bytes of metadata that one point may have.
pub const MAX_METADATA_BYTES: usize = 1 << 20;

/// The longest name of a collection or of a field, in bytes.
pub const MAX_NAME_BYTES: usize = 256;
