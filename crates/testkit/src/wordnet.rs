//! The small real data of the repository: dictionary definitions as vectors.

use std::path::Path;

use crate::{DataSet, npy};

/// 5,000 embedded definitions and 50 queries, made for the cosine metric.
#[derive(Clone, Debug)]
pub struct Wordnet {
    /// The definitions.
    pub rows: DataSet,
    /// Definitions that are not among the rows.
    pub queries: DataSet,
}

/// Reads the set from `data/wordnet`.
///
/// # Panics
/// When the files are not there or not as described.
pub fn wordnet() -> Wordnet {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/wordnet");
    let read = |name, file| {
        let (dim, values) = npy::read_f16(&directory.join(file));
        DataSet::new(name, dim, values)
    };
    Wordnet {
        rows: read("wordnet", "vectors.npy"),
        queries: read("wordnet queries", "queries.npy"),
    }
}

#[cfg(test)]
mod tests {
    use super::wordnet;
    use crate::{Metric, Oracle};

    #[test]
    fn the_set_is_as_its_readme_says() {
        let wordnet = wordnet();
        assert_eq!((wordnet.rows.len(), wordnet.rows.dim), (5_000, 384));
        assert_eq!((wordnet.queries.len(), wordnet.queries.dim), (50, 384));
        let norm = |row: &[f32]| row.iter().map(|value| value * value).sum::<f32>().sqrt();
        assert!(wordnet.rows.rows().all(|row| (norm(row) - 1.0).abs() < 0.01));
    }

    #[test]
    fn the_nearest_rows_are_as_near_as_its_readme_says() {
        let wordnet = wordnet();
        let oracle = Oracle::new(Metric::Cosine, wordnet.rows.dim, &wordnet.rows.values);
        let percents = |query: &[f32]| {
            let nearest = oracle.exact_neighbors(query, 3);
            nearest.iter().map(|near| (near.distance * 100.0).round() as u32).collect::<Vec<_>>()
        };
        let found: Vec<_> = wordnet.queries.rows().map(percents).collect();
        for expected in [[18, 33, 39], [21, 34, 53], [24, 28, 42]] {
            assert!(found.iter().any(|percents| percents == &expected), "{expected:?}: {found:?}");
        }
    }
}
