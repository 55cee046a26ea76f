//! Vectors in, graph out, neighbors out: batch construction and search of HNSW graphs.
//!
//! A graph links every vector to a few near and diverse others, so that a walk from anywhere
//! reaches the neighborhood of a query in a few steps. Most libraries link one vector at a time
//! and search the graph for the neighbors of each. This crate links batches: it computes the
//! distances that matter as tiles of a matrix product, within all rows or within overlapping
//! partitions, keeps the nearest of each row while the tile is in the cache, lets every node
//! choose its neighbors, and applies all reverse links grouped by destination.
//!
//! No files, no clock, no hidden randomness: same input and seed, same graph, for any number of
//! threads.
//!
//! ```
//! use loomdb_graph::{build, BuildParams, Metric, Scratch, Vectors, Workers};
//!
//! let vectors = Vectors::from_flat(2, &[0.0, 0.0, 1.0, 0.0, 0.0, 2.0, 5.0, 5.0])?;
//! let workers = Workers::new(1)?;
//! let built = build(vectors, Metric::L2, &BuildParams::default(), &workers, &())?;
//! let nearest = built.graph.search(&[0.9, 0.1], 1, 64, &mut Scratch::new())?;
//! assert_eq!(built.order[nearest[0].node as usize], 1); // node -> row of the input
//! # Ok::<(), loomdb_graph::Error>(())
//! ```

// In the order in which they are best read.
mod aligned;
mod blocks;
mod build;
mod candidate;
mod coded;
mod codes;
mod columns;
mod directions;
mod error;
mod exact;
mod graph;
mod kernels;
mod limits;
mod links;
mod load;
mod metric;
mod nearest;
mod panel;
mod params;
mod progress;
mod prune;
mod random;
mod ruler;
mod scan;
mod search;
mod sketch;
mod space;
mod stored;
mod vectors;
mod visited;

pub use build::{Build, BuildStats, build, build_stored, plan};
pub use codes::CodeParts;
pub use error::Error;
pub use exact::Flat;
pub use graph::{Degrees, Graph, GraphParts, Neighbor};
pub use limits::{MAX_DIM, MAX_EF, MAX_K, MAX_LEVEL, MAX_M, MAX_ROWS, MAX_VALUE};
pub use load::{Product, multiply};
pub use metric::Metric;
pub use params::{BuildParams, Strategy};
pub use progress::{Observer, Phase, Workers};
pub use search::Scratch;
pub use space::check_rows;
pub use stored::{StoredRows, StoredVectors, Values};
pub use vectors::Vectors;

/// The name of the instruction set that the distance loops use on this processor.
pub fn instruction_set() -> &'static str {
    kernels::Kernels::detect().name()
}
