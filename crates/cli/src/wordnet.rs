//! The data of the demo, part of the program so that it works from anywhere: definitions of an
//! English dictionary and their vectors. `data/wordnet/README.md` says where they are from.

use loomdb::Metadata;

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
static SUBJECTS: &str = include_str!(data!("subjects.txt"));
static QUERY_TEXTS: &str = include_str!(data!("query_texts.txt"));

/// The metadata of each row of [`VECTORS`]: its text, the subject field of the dictionary, and how
/// many words the text has.
pub fn metadata() -> Vec<Metadata> {
    let record = |(text, subject): (&str, &str)| {
        let words = text.split_whitespace().count();
        let fields = [("text", text.into()), ("subject", subject.into()), ("words", words.into())];
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    };
    TEXTS.lines().zip(SUBJECTS.lines()).map(record).collect()
}

/// The text of each row of [`QUERIES`].
pub fn query_texts() -> Vec<&'static str> {
    QUERY_TEXTS.lines().collect()
}
