//! Asking queries one by one on one thread: how long that takes, and how many answers are right.

use std::time::Instant;

use loomdb_graph::{Build, Flat, Metric, Neighbor, Scratch, Vectors, Workers};
use serde::Serialize;

use super::statistics::percentile;

/// Neighbors that every query asks for.
pub const K: usize = 10;

/// Times that all queries are asked; the fastest pass counts, as the least disturbed one.
const PASSES: usize = 3;

/// Queries, and the rows nearest to each.
pub struct Questions {
    pub metric: Metric,
    pub queries: Vectors,
    /// The rows nearest to each query, at most [`K`], nearest first.
    pub nearest: Vec<Vec<u32>>,
}

impl Questions {
    /// The share of the nearest rows that `answers` hold. A row that is exactly as far away as
    /// the last of the nearest is as good as that one.
    pub fn recall<'a>(&self, answers: &[Vec<u32>], vector: impl Fn(u32) -> &'a [f32]) -> f64 {
        let mut right = 0;
        let mut asked = 0;
        for (query, (answer, nearest)) in answers.iter().zip(&self.nearest).enumerate() {
            let distance = |row| distance(self.metric, self.queries.row(query), vector(row));
            let farthest = nearest.last().map(|row| distance(*row));
            let is_tied = |row| farthest.is_some_and(|tie| distance(row).total_cmp(&tie).is_eq());
            let is_right = |row: &&u32| nearest.contains(row) || is_tied(**row);
            right += answer.iter().filter(is_right).count().min(nearest.len());
            asked += nearest.len();
        }
        right as f64 / asked.max(1) as f64
    }
}

/// The rows nearest to each query, found by looking at every row; `row_of` tells the row of each
/// node.
///
/// # Errors
/// When a query does not fit the rows.
pub fn nearest_rows(
    flat: &Flat,
    row_of: impl Fn(u32) -> u32,
    queries: &Vectors,
    workers: &Workers,
) -> loomdb::Result<Vec<Vec<u32>>> {
    let nearest = flat.search_many(queries, K, workers)?;
    Ok(nearest.iter().map(|nearest| rows(nearest, &row_of)).collect())
}

/// The rows of some nodes.
pub fn rows(found: &[Neighbor], row_of: impl Fn(u32) -> u32) -> Vec<u32> {
    found.iter().map(|found| row_of(found.node)).collect()
}

/// A distance for comparing rows with each other; computed in double precision, so that rounding
/// makes no difference between rows that are equally far away.
fn distance(metric: Metric, left: &[f32], right: &[f32]) -> f32 {
    let sum = |term: fn(f64, f64) -> f64| -> f64 {
        left.iter().zip(right).map(|(l, r)| term(f64::from(*l), f64::from(*r))).sum()
    };
    let dot = sum(|l, r| l * r);
    let distance = match metric {
        Metric::L2 => sum(|l, r| (l - r) * (l - r)),
        Metric::Ip => -dot,
        Metric::Cosine => 1.0 - dot / (sum(|l, _| l * l) * sum(|_, r| r * r)).sqrt(),
    };
    distance as f32
}

/// The answers to all queries, and how long they took.
pub struct Timed<A> {
    pub answers: Vec<A>,
    pub seconds: f64,
    /// The time of each query, ascending.
    micros: Vec<f64>,
}

impl<A> Timed<A> {
    /// The time that at least `share` of the queries did not exceed.
    pub fn micros(&self, share: f64) -> f64 {
        percentile(&self.micros, share)
    }

    pub fn queries_per_second(&self) -> f64 {
        self.answers.len() as f64 / self.seconds
    }
}

/// Asks all queries several times, and returns the fastest pass.
///
/// # Errors
/// The first of `ask`.
pub fn time<A, E>(
    queries: &Vectors,
    mut ask: impl FnMut(&[f32]) -> Result<A, E>,
) -> Result<Timed<A>, E> {
    let mut fastest = time_once(queries, &mut ask)?;
    for _ in 1..PASSES {
        let pass = time_once(queries, &mut ask)?;
        if pass.seconds < fastest.seconds {
            fastest = pass;
        }
    }
    Ok(fastest)
}

/// Asks all queries once.
///
/// # Errors
/// The first of `ask`.
pub fn time_once<A, E>(
    queries: &Vectors,
    mut ask: impl FnMut(&[f32]) -> Result<A, E>,
) -> Result<Timed<A>, E> {
    let mut answers = Vec::with_capacity(queries.len());
    let mut micros = Vec::with_capacity(queries.len());
    let started = Instant::now();
    let mut before = started;
    for query in 0..queries.len() {
        answers.push(ask(queries.row(query))?);
        let now = Instant::now();
        micros.push((now - before).as_secs_f64() * 1e6);
        before = now;
    }
    let seconds = (before - started).as_secs_f64();
    micros.sort_unstable_by(f64::total_cmp);
    Ok(Timed { answers, seconds, micros })
}

/// What searches at one beam width gave.
#[derive(Clone, Debug, Serialize)]
pub struct Searched {
    pub ef_search: usize,
    pub recall_at_10: f64,
    pub queries_per_second: f64,
    pub distances_per_query: f64,
    pub p50_us: f64,
    pub p99_us: f64,
}

/// A graph that is asked for rows of its input.
pub struct Searcher<'a> {
    build: &'a Build,
    /// The node of each row.
    nodes: Vec<u32>,
}

impl<'a> Searcher<'a> {
    pub fn new(build: &'a Build) -> Self {
        let mut nodes = vec![0; build.order.len()];
        for (node, row) in build.order.iter().enumerate() {
            nodes[*row as usize] = node as u32;
        }
        Self { build, nodes }
    }

    /// Asks all questions at a beam width.
    ///
    /// # Errors
    /// When a query does not fit the graph.
    pub fn search(&self, questions: &Questions, ef_search: usize) -> loomdb::Result<Searched> {
        let graph = &self.build.graph;
        let mut scratch = Scratch::new();
        let ask = |query: &[f32]| graph.search(query, K, ef_search, &mut scratch);
        let timed = time(&questions.queries, ask)?;
        let row_of = |node| self.build.order[node as usize];
        let answers: Vec<_> = timed.answers.iter().map(|found| rows(found, row_of)).collect();
        let vector = |row| graph.vector(self.nodes[row as usize]);
        let asked = PASSES * questions.queries.len();
        Ok(Searched {
            ef_search,
            recall_at_10: questions.recall(&answers, vector),
            queries_per_second: timed.queries_per_second(),
            distances_per_query: scratch.distance_computations() as f64 / asked as f64,
            p50_us: timed.micros(0.5),
            p99_us: timed.micros(0.99),
        })
    }
}

#[cfg(test)]
mod tests {
    use loomdb_graph::{BuildParams, Flat, Metric, Vectors, Workers, build};

    use super::{K, Questions, Searcher, distance, nearest_rows, time};
    use crate::bench::made::Mixture;

    /// One query at 0 on a line, where row `i` lies at `positions[i]`.
    fn recall(positions: &[f32], nearest: &[u32], answer: &[u32]) -> f64 {
        let queries = Vectors::from_flat(1, &[0.0]).unwrap();
        let questions = Questions { metric: Metric::L2, queries, nearest: vec![nearest.to_vec()] };
        questions.recall(&[answer.to_vec()], |row| &positions[row as usize..][..1])
    }

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-12
    }

    #[test]
    fn recall_counts_rows_in_any_order() {
        let positions = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert!(close(recall(&positions, &[0, 1, 2, 3], &[3, 2, 1, 0]), 1.0));
        assert!(close(recall(&positions, &[0, 1, 2, 3], &[0, 1, 2, 4]), 0.75));
        assert!(close(recall(&positions, &[0, 1, 2, 3], &[]), 0.0));
    }

    #[test]
    fn a_row_as_far_as_the_last_is_right() {
        let positions = [1.0, 2.0, -2.0, 3.0, -1.0];
        assert!(close(recall(&positions, &[0, 1], &[0, 2]), 1.0));
        assert!(close(recall(&positions, &[0, 1], &[0, 3]), 0.5));
        // A row that is nearer than the last, yet not among the nearest, shows a wrong truth.
        assert!(close(recall(&positions, &[0, 1], &[0, 4]), 0.5));
    }

    #[test]
    fn ties_cannot_make_more_right_than_there_is() {
        let positions = [1.0; 5];
        assert!(close(recall(&positions, &[0], &[1, 2, 3]), 1.0));
    }

    #[test]
    fn distances_order_as_the_metrics_do() {
        let [near, far] = [[3.0, 4.0], [4.0, 3.0]];
        for metric in Metric::ALL {
            assert!(distance(metric, &near, &near) < distance(metric, &near, &far), "{metric}");
        }
        assert!((distance(Metric::Cosine, &near, &[-4.0, 3.0]) - 1.0).abs() < 1e-6);
        assert!((distance(Metric::L2, &near, &far) - 2.0).abs() < 1e-6);
    }

    #[test]
    fn a_wide_search_finds_all_and_order_is_undone() {
        let workers = Workers::new(1).unwrap();
        let mut mixture = Mixture::new(12, 5);
        let (base, queries) = (mixture.rows(700).unwrap(), mixture.rows(20).unwrap());
        for metric in Metric::ALL {
            let flat = Flat::from_vectors(metric, base.clone()).unwrap();
            let nearest = nearest_rows(&flat, |row| row, &queries, &workers).unwrap();
            let built = build(base.clone(), metric, &BuildParams::default(), &workers, &());
            let built = built.unwrap();
            let questions = Questions { metric, queries: queries.clone(), nearest };
            let search = Searcher::new(&built).search(&questions, 700).unwrap();
            assert!(close(search.recall_at_10, 1.0), "{metric}: {}", search.recall_at_10);
            assert!(search.distances_per_query >= 690.0 && search.p50_us <= search.p99_us);
        }
    }

    #[test]
    fn answers_are_in_the_order_of_the_queries() {
        let queries = Vectors::from_flat(1, &[3.0, 1.0, 2.0]).unwrap();
        let timed = time(&queries, |query| Ok::<_, ()>(query[0] as usize)).unwrap();
        assert_eq!(timed.answers, [3, 1, 2]);
        assert!(timed.micros(0.5) <= timed.micros(1.0) && timed.seconds > 0.0);
        assert_eq!(time(&queries, |_| Err::<(), _>(K)).err(), Some(K));
    }
}
