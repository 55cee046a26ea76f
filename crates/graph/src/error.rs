//! What can be wrong with the input of this crate.
//!
//! Every message says what was wrong, where, and what is expected instead.

use crate::limits::{MAX_DIM, MAX_ROWS, MAX_VALUE};

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The vector length is zero or above [`MAX_DIM`].
    #[error("dim {dim} is out of range: vectors have 1 to {MAX_DIM} dimensions")]
    DimOutOfRange {
        /// The vector length that was asked for.
        dim: usize,
    },
    /// A vector has another length than the collection.
    #[error("dim mismatch: the vectors have {expected} dimensions, this one has {given}")]
    DimMismatch {
        /// The vector length of the collection.
        expected: usize,
        /// The vector length that was given.
        given: usize,
    },
    /// Flat data cannot be cut into whole rows.
    #[error("{values} values cannot be cut into rows of {dim} dimensions")]
    RaggedRows {
        /// The number of values that were given.
        values: usize,
        /// The vector length.
        dim: usize,
    },
    /// A value is NaN, infinite, or so large that distances would overflow.
    #[error("row {row} has {value} at position {column}: values must lie within +-{MAX_VALUE:e}")]
    UnfitValue {
        /// The row that holds the value.
        row: usize,
        /// The position within the row.
        column: usize,
        /// The value.
        value: f32,
    },
    /// A row is zero or next to it, so it has no direction and no cosine distance.
    #[error("row {row} is zero (its norm is under 1e-15): the cosine metric needs a direction")]
    ZeroVector {
        /// The row.
        row: usize,
    },
    /// There are more rows than a graph can hold.
    #[error("{rows} rows are too many: a graph holds at most {MAX_ROWS}")]
    TooManyRows {
        /// The number of rows.
        rows: usize,
    },
    /// A parameter is out of its range.
    #[error("{name} = {given} is not valid: expected {allowed}")]
    InvalidParameter {
        /// The parameter.
        name: &'static str,
        /// What was given.
        given: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The graph that was loaded contradicts itself or its vectors.
    #[error("the graph is not valid: {what}")]
    InvalidGraph {
        /// The first contradiction that was found.
        what: String,
    },
    /// The graph has been extended since this version of it was taken.
    #[error("this version of the graph is not the newest: insert into the newest version")]
    StaleGraph,
    /// The observer asked to stop; nothing was changed.
    #[error("canceled")]
    Canceled,
}
