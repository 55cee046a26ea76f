//! Which strategy builds how many rows: one small pure function.
//!
//! | rows | strategy | why |
//! |---|---|---|
//! | up to [`ALL_PAIRS_ROWS`] | `all_pairs` | exact, and cheaper than finding partitions |
//! | more | `partition` | the number of pairs grows linearly |
//!
//! `insert` is never the best way to build from nothing; it is picked only by name.

use crate::params::Strategy;

/// The most rows for which all pairs are cheaper than partitions (see `docs/benchmarks.md`).
pub(crate) const ALL_PAIRS_ROWS: usize = 1_000;

/// The strategy for building a graph of `rows` rows when `asked` was asked for.
pub fn plan(rows: usize, asked: Strategy) -> Strategy {
    match asked {
        Strategy::Auto if rows <= ALL_PAIRS_ROWS => Strategy::AllPairs,
        Strategy::Auto => Strategy::Partition,
        forced => forced,
    }
}

/// Whether a chunk finds its candidates among `nodes` nodes by tiles of a matrix product rather
/// than by searches. Products are exact and cost `nodes` distances for each row, ten to thirty
/// times cheaper ones than those of a search.
pub(crate) fn inserts_by_tiles(chunk: usize, nodes: usize) -> bool {
    chunk >= MIN_TILE_CHUNK && nodes <= MAX_TILE_NODES
}

/// The beam width with which the rows of a chunk search. Rows of a larger chunk also meet their
/// exact neighbors within the chunk and random nodes, so half the beam finds as good a list.
pub(crate) fn insert_ef(chunk: usize, ef_construction: usize) -> usize {
    if chunk >= MIN_TILE_CHUNK { ef_construction.div_ceil(2) } else { ef_construction }
}

/// Smaller chunks do not fill a tile.
const MIN_TILE_CHUNK: usize = 32;

/// Where a search becomes cheaper than the products with all nodes.
const MAX_TILE_NODES: usize = 8_000;

#[cfg(test)]
mod tests {
    use super::{ALL_PAIRS_ROWS, insert_ef, inserts_by_tiles, plan};
    use crate::params::Strategy;

    #[test]
    fn the_table() {
        assert_eq!(plan(0, Strategy::Auto), Strategy::AllPairs);
        assert_eq!(plan(ALL_PAIRS_ROWS, Strategy::Auto), Strategy::AllPairs);
        assert_eq!(plan(ALL_PAIRS_ROWS + 1, Strategy::Auto), Strategy::Partition);
        assert_eq!(plan(5, Strategy::Partition), Strategy::Partition);
        assert!(!inserts_by_tiles(1, 10));
        assert!(inserts_by_tiles(100, 1_000));
        assert!(!inserts_by_tiles(100, 1_000_000));
        assert_eq!((insert_ef(1, 200), insert_ef(100, 200), insert_ef(100, 1)), (200, 100, 1));
    }
}
