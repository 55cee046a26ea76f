//! What is reported of several measurements of the same thing.

use serde::Serialize;

/// How long each repetition took.
#[derive(Clone, Debug, Serialize)]
pub struct Seconds {
    pub median: f64,
    /// In the order in which they were measured.
    pub all: Vec<f64>,
}

impl Seconds {
    /// # Panics
    /// When there are none.
    pub fn new(all: Vec<f64>) -> Self {
        Self { median: median(&all), all }
    }
}

/// The value in the middle; between the two in the middle when their number is even.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let upper = sorted[sorted.len() / 2];
    let lower = sorted[(sorted.len() - 1) / 2];
    f64::midpoint(lower, upper)
}

/// The smallest of some ascending values that at least `share` of them do not exceed; 0 when
/// there are none.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Seconds, median, percentile};

    #[test]
    fn the_median_does_not_depend_on_the_order() {
        assert!((median(&[3.0]) - 3.0).abs() < f64::EPSILON);
        assert!((median(&[9.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[9.0, 1.0, 2.0, 4.0]) - 3.0).abs() < f64::EPSILON);
    }

    #[test]
    fn repetitions_keep_their_order() {
        assert_eq!(Seconds::new(vec![0.3, 0.1, 0.2]).all, [0.3, 0.1, 0.2]);
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=250).map(f64::from).collect();
        let shares = [0.0, 0.004, 0.5, 0.99, 0.999, 1.0];
        let found = shares.map(|share| percentile(&values, share) as u32);
        assert_eq!(found, [1, 1, 125, 248, 250, 250]);
        assert_eq!(percentile(&[7.0], 0.99) as u32, 7);
        assert_eq!(percentile(&[], 0.5) as u32, 0);
    }
}
