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
//! A tail over the limit is linked in the same way as a large batch. Behind a graph it is linked
//! sooner when it is searched, since each search scans all of it, and writers wait for the linking
//! when it gets too long:
//!
//! | behind a graph | searched | linked from | writers wait from |
//! |---|---|---|---|
//! | no | no | limit | 16 limits |
//! | no | yes | limit | 2 limits |
//! | yes | no | limit | 16 limits |
//! | yes | yes | a 24th of the limit | a twelfth |
//!
//! Searched is a tail that at least one search has met for every four of its rows: fewer searches
//! cost less than what they would make writers wait for.

/// Chunks in which rows are linked into a graph that stays.
pub(crate) const CHUNK_ROWS: usize = 500;

/// A tail of so many limits makes writers wait for the linking to catch up.
const MAX_TAIL: usize = 16;

/// The same for a tail that is searched and has no graph before it.
const MAX_SEARCHED_TAIL: usize = 2;

/// A tail behind a graph is linked from this part of the limit on when it is searched, and makes
/// writers wait from twice that.
const SEARCHED_PART: usize = 24;

/// Shorter tails are not linked sooner: a chunk has to be worth its while.
const MIN_CHUNK_ROWS: usize = 64;

/// Rows of a tail for each search that makes it a searched one.
const ROWS_A_SEARCH: usize = 4;

/// Searches that make the longest tail a searched one: more need not be counted.
pub(crate) fn enough_searches(limit: usize) -> usize {
    MAX_TAIL * limit.max(1) / ROWS_A_SEARCH + 1
}

/// The rows that are scanned, and who scans them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    pub rows: usize,
    /// The flat limit.
    pub limit: usize,
    /// Searches since rows last left the tail.
    pub searches: usize,
    /// Whether it lies behind a graph.
    pub has_graph: bool,
}

impl Tail {
    fn is_searched(self) -> bool {
        self.searches * ROWS_A_SEARCH >= self.rows
    }

    /// The rows up to which a searched tail behind a graph is left alone.
    fn searched_limit(self) -> usize {
        (self.limit / SEARCHED_PART).max(self.limit.min(MIN_CHUNK_ROWS))
    }

    /// Whether it is due to be linked.
    pub(crate) fn is_due(self) -> bool {
        let is_soon = self.has_graph && self.is_searched();
        self.rows > if is_soon { self.searched_limit() } else { self.limit }
    }

    /// Whether it is so long that writers wait.
    pub(crate) fn is_full(self) -> bool {
        let most = match (self.has_graph, self.is_searched()) {
            (_, false) => MAX_TAIL * self.limit.max(1),
            (false, true) => MAX_SEARCHED_TAIL * self.limit.max(1),
            (true, true) => 2 * self.searched_limit().max(1),
        };
        self.rows > most
    }
}

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

/// How `rows` rows get into a graph of `graph` rows: building everything anew costs less than
/// linking chunks as soon as the new rows are many.
pub(crate) fn linking(rows: usize, graph: usize) -> Linking {
    if 2 * rows > graph { Linking::Rebuild } else { Linking::Chunks }
}

#[cfg(test)]
mod tests {
    use super::{Linking, Placement, Tail, enough_searches, linking, placement};

    #[test]
    fn the_table() {
        assert_eq!(placement(1, 2_000), Placement::Tail);
        assert_eq!(placement(2_000, 2_000), Placement::Tail);
        assert_eq!(placement(2_001, 2_000), Placement::Graph);
        assert_eq!(linking(2_001, 0), Linking::Rebuild);
        assert_eq!(linking(501, 1_000), Linking::Rebuild);
        assert_eq!(linking(500, 1_000), Linking::Chunks);
    }

    #[test]
    fn the_table_of_tails() {
        let limit = 2_000;
        let enough = enough_searches(limit);
        for (has_graph, searches, due, full) in [
            (false, 0, 2_000, 32_000),
            (false, enough, 2_000, 4_000),
            (true, 0, 2_000, 32_000),
            (true, enough, 83, 166),
        ] {
            let tail = |rows| Tail { rows, limit, searches, has_graph };
            assert!(!tail(due).is_due() && tail(due + 1).is_due(), "{:?}", tail(due));
            assert!(!tail(full).is_full() && tail(full + 1).is_full(), "{:?}", tail(full));
        }
        let tail = |searches| Tail { rows: 400, limit, searches, has_graph: true };
        assert!(!tail(99).is_due() && tail(100).is_due(), "a search for every four rows");
        let small = |rows| Tail { rows, limit: 10, searches: 99, has_graph: true };
        assert!(!small(10).is_due() && small(11).is_due() && small(21).is_full());
    }
}
