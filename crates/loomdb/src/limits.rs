//! The limits of this crate, in one place; those of the vectors are in `loomdb_graph`.

/// The longest text id, in bytes.
pub const MAX_ID_BYTES: usize = 512;

/// The deepest nesting of a filter: a field is one level, and so is each `$and`, `$or` and `$not`
/// around it or inside of it.
pub const MAX_FILTER_DEPTH: usize = 32;

/// The most conditions and connectives of a filter.
pub const MAX_FILTER_NODES: usize = 1024;

/// The most values in the lists of a filter, together.
pub const MAX_FILTER_VALUES: usize = 65_536;

/// The longest text of a filter, in bytes.
pub const MAX_FILTER_BYTES: usize = 4 << 20;

/// The longest record of the log, in bytes; a larger batch goes straight to a segment.
pub const MAX_RECORD_BYTES: usize = 64 << 20;

/// The most bytes of metadata that one point may have.
pub const MAX_METADATA_BYTES: usize = 1 << 20;

/// The longest name of a collection or of a field, in bytes.
pub const MAX_NAME_BYTES: usize = 256;
