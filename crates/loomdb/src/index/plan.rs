//! Where a batch goes and when the tail is linked: two small pure functions.
//!
//! `limit` is the flat limit, `batch` the rows of one call, `graph` and `tail` the rows that are
//! there already.
//!
//! | batch | beside what is there | goes |
//! |---|---|---|
//! | fits with everything else under the limit | | to the tail: the collection stays exact |
//! | under the limit | | to the tail, which is linked when it is over the limit |
//! | over the limit | over half of the graph and tail | into a rebuild of everything |
//! | over the limit | at most half | into the graph, in chunks |
//!
//! A tail over the limit is linked in the same way as a large batch.

/// Chunks in which rows are linked into a graph that stays.
pub(crate) const CHUNK_ROWS: usize = 500;

/// A tail of so many limits that is searched makes writers wait for the linking to catch up: it
/// costs each search.
const MAX_SEARCHED_TAIL: usize = 2;

/// The same for a tail that nobody searches.
const MAX_TAIL: usize = 16;

/// Where the rows of a batch go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Behind the rows that are scanned exactly.
    Tail,
    /// Into the graph at once.
    Graph,
}

/// How rows get into the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linking {
    /// The graph of everything is built anew.
    Rebuild,
    /// The graph is extended by chunks.
    Chunks,
}

/// The rows up to which an exact scan answers a query about as fast as a graph does (see
/// `docs/adr/0002-flat-limit.md`).
pub fn flat_limit(dim: usize) -> usize {
    match dim {
        0..256 => 2_000,
        256..1024 => 1_500,
        _ => 1_000,
    }
}

/// Where a batch goes.
pub(crate) fn placement(batch: usize, limit: usize) -> Placement {
    if batch > limit { Placement::Graph } else { Placement::Tail }
}

/// Whether the tail is due to be linked.
pub(crate) fn tail_is_due(tail: usize, limit: usize) -> bool {
    tail > limit
}

/// Whether the tail is so long that writers wait.
pub(crate) fn tail_is_full(tail: usize, limit: usize, is_searched: bool) -> bool {
    let limits = if is_searched { MAX_SEARCHED_TAIL } else { MAX_TAIL };
    tail > limits * limit.max(1)
}

/// How `rows` rows get into a graph of `graph` rows: building everything anew costs less than
/// linking chunks as soon as the new rows are many.
pub(crate) fn linking(rows: usize, graph: usize) -> Linking {
    if 2 * rows > graph { Linking::Rebuild } else { Linking::Chunks }
}

#[cfg(test)]
mod tests {
    use super::{Linking, Placement, linking, placement, tail_is_due, tail_is_full};

    #[test]
    fn the_table() {
        assert_eq!(placement(1, 2_000), Placement::Tail);
        assert_eq!(placement(2_000, 2_000), Placement::Tail);
        assert_eq!(placement(2_001, 2_000), Placement::Graph);
        assert!(!tail_is_due(2_000, 2_000));
        assert!(tail_is_due(2_001, 2_000));
        assert!(tail_is_full(4_001, 2_000, true) && !tail_is_full(4_000, 2_000, true));
        assert!(tail_is_full(32_001, 2_000, false) && !tail_is_full(32_000, 2_000, false));
        assert_eq!(linking(2_001, 0), Linking::Rebuild);
        assert_eq!(linking(501, 1_000), Linking::Rebuild);
        assert_eq!(linking(500, 1_000), Linking::Chunks);
    }
}
