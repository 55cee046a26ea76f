//! The data of the demo, part of the program so that it works from anywhere: definitions of an
//! English dictionary and their vectors. `data/wordnet/README.md` says where they are from.

macro_rules! data {
    ($file:literal) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/wordnet/", $file)
    };
}

/// A `.npy` file: 5,000 vectors of 384 dimensions.
pub static VECTORS: &[u8] = include_bytes!(data!("vectors.npy"));

/// A `.npy` file: 50 vectors that are not among the others.
pub static QUERIES: &[u8] = include_bytes!(data!("queries.npy"));

static TEXTS: &str = include_str!(data!("texts.txt"));
static QUERY_TEXTS: &str = include_str!(data!("query_texts.txt"));

/// The text of each row of [`VECTORS`].
pub fn texts() -> Vec<&'static str> {
    TEXTS.lines().collect()
}

/// The text of each row of [`QUERIES`].
pub fn query_texts() -> Vec<&'static str> {
    QUERY_TEXTS.lines().collect()
}
