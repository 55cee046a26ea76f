//! What a caller may set about a build, with the defaults.

use crate::Error;
use crate::limits::{MAX_EF, MAX_M};

/// How a graph is built.
#[derive(Clone, Debug, PartialEq)]
pub struct BuildParams {
    /// Links of a node on the upper levels; level 0 has twice as many (`M` in the HNSW paper).
    pub m: usize,
    /// Beam width of the searches that find the neighbors of a single new node
    /// (`efConstruction` in the HNSW paper); rows of a batch search half as wide.
    pub ef_construction: usize,
    /// Where every random choice comes from: same rows, parameters and seed, same graph.
    pub seed: u64,
    /// How the candidates of a node are found.
    pub strategy: Strategy,
}

impl Default for BuildParams {
    fn default() -> Self {
        Self { m: 16, ef_construction: 200, seed: 42, strategy: Strategy::Auto }
    }
}

impl BuildParams {
    /// Whether every parameter is in its range.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for the first that is not.
    pub fn validate(&self) -> Result<(), Error> {
        let invalid = |name, given: usize, allowed| {
            Err(Error::InvalidParameter { name, given: given.to_string(), allowed })
        };
        if !(2..=MAX_M).contains(&self.m) {
            return invalid("m", self.m, "2 to 512");
        }
        if !(1..=MAX_EF).contains(&self.ef_construction) {
            return invalid("ef_construction", self.ef_construction, "1 to 100,000");
        }
        match self.strategy {
            Strategy::Insert { chunk: 0 } => invalid("chunk", 0, "at least 1 row"),
            _ => Ok(()),
        }
    }

    /// The most links that a node may have on `level` (`Mmax` and `Mmax0` in the paper).
    pub fn max_degree(&self, level: u8) -> usize {
        if level == 0 { 2 * self.m } else { self.m }
    }
}

/// How the candidates of a node are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// The planner picks by the number of rows.
    Auto,
    /// All pairs of rows, by tiles of a matrix product: exact.
    AllPairs,
    /// All pairs of rows within overlapping partitions.
    Partition,
    /// Row after row in chunks: one row at a time is classic insertion, 100 to 500 are batches.
    Insert {
        /// Rows linked together.
        chunk: usize,
    },
}

impl Strategy {
    /// The name that every interface of loomdb uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::AllPairs => "all_pairs",
            Self::Partition => "partition",
            Self::Insert { .. } => "insert",
        }
    }
}
