//! Generators and oracles for the tests of loomdb.
//!
//! This crate knows none of the crates that it tests, so that each of them can use it: rows are
//! flat slices of `f32`, and the oracle sums plainly in `f64`. Every draw comes from a seed and
//! from arithmetic that is the same on every machine, so a set is the same wherever it is made.
//!
//! ```
//! use loomdb_testkit::{DataSet, Metric, Oracle, generate, recall_at};
//!
//! let set = DataSet::new("uniform", 4, generate::uniform(1, 100, 4));
//! let oracle = Oracle::new(Metric::L2, set.dim, &set.values);
//! let exact = oracle.exact_neighbors(set.row(7), 10);
//! assert_eq!(exact[0].row, 7);
//! assert!((recall_at(10, &exact, &exact[..9]) - 0.9).abs() < 1e-9);
//! ```

pub mod generate;

mod data_set;
mod fnv;
mod npy;
mod oracle;
mod random;
mod wordnet;

pub use data_set::DataSet;
pub use fnv::Fnv;
pub use oracle::{ExactNeighbor, Metric, Oracle, exact_neighbors, recall_at};
pub use random::Random;
pub use wordnet::{Wordnet, wordnet};
