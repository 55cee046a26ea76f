//! Exact answers in plain `f64`: slow, short, and independent of everything that they judge.

/// How the distance of two vectors is measured; smaller is always nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The Euclidean distance.
    L2,
    /// One minus the cosine of the angle.
    Cosine,
    /// The negated inner product.
    Ip,
}

impl Metric {
    /// The metric that loomdb calls by this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn named(name: &str) -> Self {
        match name {
            "l2" => Self::L2,
            "cosine" => Self::Cosine,
            "ip" => Self::Ip,
            _ => panic!("there is no metric {name}"),
        }
    }

    /// The distance of two vectors.
    pub fn distance(self, left: &[f32], right: &[f32]) -> f64 {
        match self {
            Self::L2 => {
                let pairs = left.iter().zip(right);
                let square = |(x, y): (&f32, &f32)| (f64::from(*x) - f64::from(*y)).powi(2);
                pairs.map(square).sum::<f64>().sqrt()
            }
            Self::Cosine => {
                1.0 - dot(left, right) / (dot(left, left).sqrt() * dot(right, right).sqrt())
            }
            Self::Ip => -dot(left, right),
        }
    }
}

fn dot(left: &[f32], right: &[f32]) -> f64 {
    left.iter().zip(right).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

/// A row and its distance from a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExactNeighbor {
    /// The number of the row.
    pub row: u32,
    /// Its distance.
    pub distance: f64,
}

/// Rows that are all looked at for each question.
#[derive(Clone, Copy, Debug)]
pub struct Oracle<'a> {
    metric: Metric,
    dim: usize,
    rows: &'a [f32],
}

impl<'a> Oracle<'a> {
    /// The oracle of some rows.
    ///
    /// # Panics
    /// When the values are not whole rows.
    pub fn new(metric: Metric, dim: usize, rows: &'a [f32]) -> Self {
        assert!(rows.len().is_multiple_of(dim), "the values are not whole rows");
        Self { metric, dim, rows }
    }

    /// How distances are measured.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// The distance of a row from a query.
    pub fn distance(&self, query: &[f32], row: u32) -> f64 {
        self.metric.distance(query, &self.rows[row as usize * self.dim..][..self.dim])
    }

    /// The `k` nearest rows, nearest first, ties by row.
    pub fn exact_neighbors(&self, query: &[f32], k: usize) -> Vec<ExactNeighbor> {
        let rows = 0..(self.rows.len() / self.dim) as u32;
        let mut neighbors = self.measure(query, rows);
        neighbors.sort_by(|left, right| left.distance.total_cmp(&right.distance));
        neighbors.truncate(k);
        neighbors
    }

    /// Some rows with their distances, in the order given.
    pub fn measure(
        &self,
        query: &[f32],
        rows: impl IntoIterator<Item = u32>,
    ) -> Vec<ExactNeighbor> {
        let neighbor = |row| ExactNeighbor { row, distance: self.distance(query, row) };
        rows.into_iter().map(neighbor).collect()
    }
}

/// The `k` rows nearest to a query, nearest first, ties by row.
pub fn exact_neighbors(
    rows: &[f32],
    dim: usize,
    metric: Metric,
    query: &[f32],
    k: usize,
) -> Vec<ExactNeighbor> {
    Oracle::new(metric, dim, rows).exact_neighbors(query, k)
}

/// The share of the `k` nearest rows, `exact`, that is among `found`. A row that is as near as
/// the last of them counts: which of several ties is found is nobody's merit.
///
/// # Panics
/// When `exact` has fewer than `k` rows.
pub fn recall_at(k: usize, exact: &[ExactNeighbor], found: &[ExactNeighbor]) -> f64 {
    let last = exact[k - 1].distance;
    let bound = last + last.abs() * TIE + f64::MIN_POSITIVE;
    let near = found.iter().filter(|neighbor| neighbor.distance <= bound);
    let mut rows: Vec<u32> = near.map(|neighbor| neighbor.row).collect();
    rows.sort_unstable();
    rows.dedup();
    rows.len().min(k) as f64 / k as f64
}

/// The share of a distance that an `f32` cannot tell apart.
const TIE: f64 = 1.0e-6;

#[cfg(test)]
mod tests {
    use super::{ExactNeighbor, Metric, exact_neighbors, recall_at};

    const ROWS: [f32; 8] = [3.0, 4.0, 1.0, 0.0, 0.0, 1.0, -1.0, 0.0];

    fn rows_of(neighbors: &[ExactNeighbor]) -> Vec<u32> {
        neighbors.iter().map(|neighbor| neighbor.row).collect()
    }

    #[test]
    fn distances_are_those_of_the_textbook() {
        let known = [("l2", 5.0, 20.0_f64.sqrt()), ("cosine", 1.0, 0.4), ("ip", 0.0, -3.0)];
        for (name, from_zero, from_one) in known {
            let metric = Metric::named(name);
            if metric != Metric::Cosine {
                assert!((metric.distance(&[0.0, 0.0], &ROWS[..2]) - from_zero).abs() < 1e-12);
            }
            assert!((metric.distance(&[1.0, 0.0], &ROWS[..2]) - from_one).abs() < 1e-12);
        }
    }

    #[test]
    fn the_nearest_come_first_and_ties_by_row() {
        let nearest = exact_neighbors(&ROWS, 2, Metric::L2, &[0.0, 0.0], 9);
        assert_eq!(rows_of(&nearest), [1, 2, 3, 0]);
        let nearest = exact_neighbors(&ROWS, 2, Metric::Ip, &[1.0, 0.0], 3);
        assert_eq!(rows_of(&nearest), [0, 1, 2]);
        let nearest = exact_neighbors(&ROWS, 2, Metric::Cosine, &[0.0, 2.0], 2);
        assert_eq!(rows_of(&nearest), [2, 0]);
    }

    #[test]
    fn recall_counts_ties_and_counts_each_row_once() {
        let exact = exact_neighbors(&ROWS, 2, Metric::L2, &[0.0, 0.0], 4);
        let recall = |found: &[ExactNeighbor]| (2.0 * recall_at(2, &exact, found)).round() as u32;
        assert_eq!(recall(&exact[..2]), 2);
        assert_eq!(recall(&exact[1..3]), 2, "the third ties with the second");
        assert_eq!(recall(&[exact[0], exact[0]]), 1);
        assert_eq!(recall(&[exact[0], exact[3]]), 1);
        assert_eq!(recall(&exact), 2);
        assert_eq!(recall(&[]), 0);
    }
}
