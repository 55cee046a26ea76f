//! A walk or a scan on codes, and the exact answer that comes of it.
//!
//! The walk reads one byte a value in place of four. What it found is then measured unrounded,
//! nearest first, until an error bound says that nothing further can be among the nearest: a code
//! lies no farther from its row than the largest rounding of any row, so a distance of codes is
//! off by at most that and the rounding of the query. Where rounding is not small beside the
//! distances of the beam, the walk may have gone astray, and the caller walks on values. A scan
//! looks at all codes and cannot go astray.

use crate::candidate::Candidate;
use crate::codes::{CodeRows, Codes, Norm, square};
use crate::nearest::Nearest;
use crate::scan;
use crate::search::{ByValues, Target};
use crate::space::{Query, Space};

/// The least that is measured together, so that rows arrive from memory together.
const MEASURED_ROWS: usize = 16;

/// More than what the arithmetic of a distance can be off by, as a factor.
const ROUNDING: f32 = 1.001;

/// A vector in the range of the codes, whose distances to codes are asked for; they come in
/// squared steps.
pub(crate) struct ByCodes<'a> {
    space: &'a Space,
    codes: &'a Codes,
    rows: CodeRows<'a>,
    query: Query<'a>,
    code: &'a [i8],
    norm: Norm,
    /// The most that a distance of codes may differ from that of their vectors, in steps.
    slack: f32,
}

impl<'a> ByCodes<'a> {
    /// A query, whose code is written to `code`; nothing when there are no codes, or when it is
    /// out of their range.
    pub(crate) fn of_query(
        space: &'a Space,
        query: Query<'a>,
        code: &'a mut Vec<i8>,
    ) -> Option<Self> {
        let codes = space.codes()?;
        let encoded = codes.encode(query.vector(), query.scale(), code);
        let (norm, slack) = (encoded.norm, encoded.error.sqrt() + codes.max_error());
        (!norm.is_clamped()).then_some(Self {
            space,
            codes,
            rows: codes.rows(),
            query,
            code,
            norm,
            slack,
        })
    }

    /// Whether rounding is so large beside the distances of what a walk found that the walk may
    /// have missed the way.
    pub(crate) fn is_blurred(&self, found: &[Candidate]) -> bool {
        found.last().is_some_and(|last| !self.codes.is_sharp_at(last.distance()))
    }

    /// The `k` nearest of what a walk found, nearest first, with their exact distances.
    pub(crate) fn nearest(
        &self,
        found: impl Iterator<Item = Candidate>,
        k: usize,
        computed: &mut u64,
    ) -> Vec<Candidate> {
        let mut found = found.peekable();
        let mut near: Vec<Candidate> = Vec::with_capacity(k + MEASURED_ROWS);
        let mut nodes = Vec::with_capacity(k.max(MEASURED_ROWS));
        let mut distances = Vec::with_capacity(k.max(MEASURED_ROWS));
        while let Some(next) = found.peek() {
            if near.len() >= k && self.is_beyond(*next, near[k - 1]) {
                break;
            }
            nodes.clear();
            let rows = if near.is_empty() { k } else { k / 4 };
            nodes.extend(found.by_ref().take(rows.max(MEASURED_ROWS)).map(Candidate::node));
            distances.resize(nodes.len(), 0.0);
            for node in &nodes {
                self.space.prefetch(*node);
            }
            self.space.distances(&self.query, &nodes, &mut distances);
            *computed += nodes.len() as u64;
            let pairs = nodes.iter().zip(&distances);
            near.extend(pairs.map(|(node, distance)| Candidate::new(*distance, *node)));
            near.sort_unstable();
        }
        near.truncate(k);
        near
    }

    /// The `keep` nearest of the first `places` nodes, called by their places: the same as from
    /// all values. The nearest by codes are measured, then all that may be as near as the last.
    /// Of nodes farther away than `max_distance` nobody wants to know: then only those that may be
    /// as near as that are measured.
    pub(crate) fn nearest_of_all(
        &self,
        places: u32,
        node: impl Fn(u32) -> u32 + Copy,
        (keep, max_distance): (usize, Option<f32>),
    ) -> Vec<Candidate> {
        let coded = self.coded(places, node);
        let last = max_distance.or_else(|| {
            let mut near = Nearest::new(self.space.kernels(), 1, keep);
            (0..).zip(&coded).for_each(|(place, distance)| near.offer(0, *distance, place));
            let nearest: Vec<u32> = near.sorted(0).iter().map(|near| near.node()).collect();
            self.measured(&nearest, node, keep).last().map(|last| last.distance())
        });
        let last = self.codes.in_steps(self.space.metric(), last.unwrap_or(f32::INFINITY));
        let reach = (last.max(0.0).sqrt() + self.slack) * ROUNDING;
        let is_near = |place: &u32| coded[*place as usize] <= reach * reach;
        let near: Vec<u32> = (0..places).filter(is_near).collect();
        if near.is_empty() { Vec::new() } else { self.measured(&near, node, keep) }
    }

    /// The distances of codes to the first `places` nodes; those of nodes that follow each other
    /// are measured where they lie.
    fn coded(&self, places: u32, node: impl Fn(u32) -> u32) -> Vec<f32> {
        let mut coded = Vec::with_capacity(places as usize);
        let mut place = 0;
        while place < places {
            let first = node(place);
            let follows = |count: &u32| node(place + count) == first + count;
            let count = 1 + (1..places - place).take_while(follows).count();
            self.codes.each_product(self.code, (first, count), |node, norm, product| {
                coded.push(if norm.is_clamped() {
                    self.distance_by_values(node)
                } else {
                    square(self.norm, norm, product)
                });
            });
            place += count as u32;
        }
        coded
    }

    /// The `keep` nearest of some places by their values.
    fn measured(&self, places: &[u32], node: impl Fn(u32) -> u32, keep: usize) -> Vec<Candidate> {
        let target = ByValues { space: self.space, query: self.query };
        let mut near = Nearest::new(self.space.kernels(), 1, keep);
        let mut left = places.iter();
        scan::each(&target, places.iter().map(|place| node(*place)), |_, distance| {
            let place = left.next().expect("each place is measured once");
            near.offer(0, distance, *place);
        });
        near.sorted(0).to_vec()
    }

    /// Whether a candidate at this distance of codes, and all that follow, are certain to lie
    /// behind one that was measured.
    fn is_beyond(&self, coded: Candidate, measured: Candidate) -> bool {
        let measured = self.codes.in_steps(self.space.metric(), measured.distance());
        let least = coded.distance().sqrt() - self.slack;
        least > 0.0 && least * least > measured
    }

    #[cold]
    fn distance_by_values(&self, node: u32) -> f32 {
        let mut distance = [0.0];
        self.space.distances(&self.query, &[node], &mut distance);
        self.codes.in_steps(self.space.metric(), distance[0])
    }
}

impl Target for ByCodes<'_> {
    #[inline]
    fn prefetch(&self, node: u32) {
        self.rows.prefetch(node);
    }

    #[inline]
    fn distances(&self, nodes: &[u32], out: &mut [f32]) {
        let by_values = |node| self.distance_by_values(node);
        self.rows.distances((self.code, self.norm, 1.0), nodes, out, by_values);
    }
}

#[cfg(test)]
mod tests {
    use loomdb_testkit::generate;

    use super::ByCodes;
    use crate::exact::reported;
    use crate::scan;
    use crate::search::ByValues;
    use crate::{BuildParams, Flat, Graph, Metric, Neighbor, Scratch, Vectors, Workers, build};

    const DIM: usize = 40;
    const K: usize = 10;

    fn vectors(values: &[f32]) -> Vectors {
        Vectors::from_flat(DIM, values).unwrap()
    }

    fn workers() -> Workers {
        Workers::new(2).unwrap()
    }

    fn graph_of(metric: Metric, values: &[f32]) -> Graph {
        let params = BuildParams::default();
        build(vectors(values), metric, &params, &workers(), &()).unwrap().graph
    }

    fn with(graph: &Graph, values: &[f32]) -> Graph {
        graph.insert(&vectors(values), &BuildParams::default(), &workers(), &()).unwrap().0
    }

    fn nodes(found: &[Neighbor]) -> Vec<u32> {
        found.iter().map(|found| found.node).collect()
    }

    /// What a walk on values finds.
    fn found_by_values(graph: &Graph, query: &[f32], ef: usize) -> Vec<u32> {
        let mut scratch = Scratch::new();
        let query = graph.space.query(query).unwrap();
        graph.search_level_0(&ByValues { space: &graph.space, query }, ef, &mut scratch);
        scratch.found.iter().take(K).map(|found| found.node()).collect()
    }

    /// The answer from the values of all rows.
    fn exact(graph: &Graph, query: &[f32]) -> Vec<Neighbor> {
        let query = graph.space.query(query).unwrap();
        let found = scan::nearest(&graph.space, &query, 0..graph.len() as u32, K);
        reported(graph.metric(), &found)
    }

    fn share(found: &[u32], exact: &[u32]) -> usize {
        found.iter().filter(|node| exact.contains(node)).count()
    }

    #[test]
    fn codes_answer_as_well_as_values_and_with_exact_distances() {
        for (seed, metric) in [(1, Metric::L2), (2, Metric::Cosine)] {
            let graph = graph_of(metric, &generate::mixture(seed, 4_000, DIM));
            assert!(graph.space.codes().is_some(), "{metric}");
            let (flat, mut scratch) = (graph.flat(), Scratch::new());
            let (mut by_codes, mut by_values) = (0, 0);
            for query in generate::mixture(seed, 4_100, DIM)[4_000 * DIM..].chunks(DIM) {
                let found = graph.search(query, K, 24, &mut scratch).unwrap();
                let exact = exact(&graph, query);
                for found in &found {
                    let alone = flat.search_among(query, 1, &[found.node]).unwrap();
                    assert_eq!(found.distance.to_bits(), alone[0].distance.to_bits());
                }
                assert!(found.is_sorted_by(|left, right| left.distance <= right.distance));
                by_codes += share(&nodes(&found), &nodes(&exact));
                by_values += share(&found_by_values(&graph, query, 24), &nodes(&exact));
            }
            let worst = by_values - by_values / 100;
            assert!(by_codes >= worst, "{metric}: {by_codes} against {by_values}");
        }
    }

    /// The bound stops no search too early: a beam that holds every node answers exactly.
    #[test]
    fn a_beam_of_all_nodes_is_exact() {
        for metric in [Metric::L2, Metric::Cosine] {
            for values in [generate::uniform(3, 900, DIM), generate::mixture(4, 900, DIM)] {
                let graph = graph_of(metric, &values[..800 * DIM]);
                assert!(graph.space.codes().is_some(), "{metric}");
                for query in values[800 * DIM..].chunks(DIM) {
                    let found = graph.search(query, K, 800, &mut Scratch::new()).unwrap();
                    assert_eq!(found, exact(&graph, query), "{metric}");
                }
            }
        }
    }

    /// The rows of a graph, and rows behind it whose codes have its range: some far outside of it,
    /// some closer together than a step, some twice.
    #[test]
    fn a_scan_of_codes_answers_as_one_of_values() {
        for (seed, metric) in [(21, Metric::L2), (22, Metric::Cosine)] {
            let graph = graph_of(metric, &generate::uniform(seed, 1_500, DIM));
            let mut values = generate::uniform(seed + 10, 1_000, DIM);
            values[..50 * DIM].chunks_mut(DIM).for_each(|row| row[0] += 3.0);
            values[50 * DIM..300 * DIM].iter_mut().for_each(|value| *value = 0.1 + *value * 1.0e-3);
            values.copy_within(300 * DIM..400 * DIM, 400 * DIM);
            let mut behind = graph.flat_behind();
            for rows in values.chunks(7 * DIM) {
                behind.append(&vectors(rows)).unwrap();
            }
            let by_values = Flat::from_vectors(metric, vectors(&values)).unwrap();
            let queries = generate::uniform(seed + 20, 50, DIM);
            let some: Vec<u32> = (0..1_000).step_by(3).collect();
            for query in values.chunks(DIM).step_by(11).chain(queries.chunks(DIM)) {
                for k in [1, 10, 60] {
                    let coded = behind.search(query, k).unwrap();
                    assert_eq!(coded, by_values.search(query, k).unwrap(), "{metric}, {k}");
                    let coded = behind.search_among(query, k, &some).unwrap();
                    assert_eq!(coded, by_values.search_among(query, k, &some).unwrap());
                    let within = coded[k / 2].distance;
                    let near = behind.search_among_within(query, (k, within), &some).unwrap();
                    let last = near.iter().rposition(|near| near.distance <= within).unwrap();
                    let expected = coded.iter().rposition(|near| near.distance <= within);
                    assert_eq!(near[..=last], coded[..=expected.unwrap()], "{metric}, {k}");
                }
                assert_eq!(graph.flat().search(query, K).unwrap(), exact(&graph, query));
            }
        }
    }

    /// One step for both sets is far wider than either of them.
    #[test]
    fn codes_of_far_sets_are_dropped() {
        let graph = graph_of(Metric::L2, &generate::two_far_sets(5, 2_000, DIM));
        assert!(graph.space.codes().is_none());
    }

    /// What all rows share lies in the centre, so that small differences keep their digits.
    #[test]
    fn a_large_offset_costs_no_digits() {
        let mut values = generate::uniform(6, 1_600, DIM);
        for value in &mut values {
            *value = 1_000.0 + *value * 0.01;
        }
        let graph = graph_of(Metric::L2, &values[..1_500 * DIM]);
        assert!(graph.space.codes().is_some());
        let mut right = 0;
        for query in values[1_500 * DIM..].chunks(DIM) {
            let found = graph.search(query, K, 128, &mut Scratch::new()).unwrap();
            right += share(&nodes(&found), &nodes(&exact(&graph, query)));
        }
        assert!(right >= 980, "{right} of 1,000");
    }

    /// A cluster that is smaller than a step comes into a graph whose codes are sharp elsewhere:
    /// its codes are all alike, and searches in it walk on values.
    #[test]
    fn a_cluster_within_a_step_is_searched_by_values() {
        let graph = graph_of(Metric::L2, &generate::uniform(7, 2_000, DIM));
        let mut cluster = generate::uniform(8, 500, DIM);
        for value in &mut cluster {
            *value = 0.1 + *value * 1.0e-4;
        }
        let graph = with(&graph, &cluster[..400 * DIM]);
        assert!(graph.space.codes().is_some());
        let mut right = 0;
        for query in cluster[400 * DIM..].chunks(DIM) {
            let found = graph.search(query, K, 64, &mut Scratch::new()).unwrap();
            assert_eq!(nodes(&found), found_by_values(&graph, query, 64));
            right += share(&nodes(&found), &nodes(&exact(&graph, query)));
        }
        assert!(right >= 950, "{right} of 1,000");
    }

    /// Rows and queries with values far outside of the range that the codes were made for: in one
    /// dimension, and in all of them, where every row before them finds others nearer.
    #[test]
    fn rows_out_of_range_are_found() {
        for (chunk, dims) in [(1, 1), (50, 1), (1, DIM), (50, DIM)] {
            let mut graph = graph_of(Metric::L2, &generate::uniform(9, 1_500, DIM));
            let mut far = generate::uniform(10, 100, DIM);
            for row in far.chunks_mut(DIM) {
                row[..dims].iter_mut().for_each(|value| *value += 3.0);
            }
            for rows in far.chunks(chunk * DIM) {
                graph = with(&graph, rows);
            }
            let codes = graph.space.codes().unwrap();
            assert!((1_500..1_600).all(|node| codes.norm(node).is_clamped()));
            let mut missed = 0;
            for (row, query) in far.chunks(DIM).enumerate() {
                let found = graph.search(query, 1, 32, &mut Scratch::new()).unwrap();
                let expected = (1_500 + row as u32, 0.0);
                missed += usize::from((found[0].node, found[0].distance) != expected);
            }
            // Nothing but a few links leads there in all dimensions: without them, all are missed.
            assert!(missed <= if dims == DIM { 25 } else { 0 }, "{chunk}, {dims}: {missed}");
            let query = graph.vector(700).to_vec();
            let found = graph.search(&query, 1, 32, &mut Scratch::new()).unwrap();
            assert_eq!((found[0].node, found[0].distance), (700, 0.0));
        }
    }

    /// The code of a clamped row is worthless, so its distance comes from its values.
    #[test]
    fn a_row_out_of_range_has_the_distance_of_its_values() {
        let graph = graph_of(Metric::L2, &generate::uniform(11, 1_500, DIM));
        let graph = with(&graph, &[2.5; DIM]);
        let (codes, mut code) = (graph.space.codes().unwrap(), Vec::new());
        let query = graph.space.query_of(3);
        let target = ByCodes::of_query(&graph.space, query, &mut code).unwrap();
        let mut distance = [0.0];
        crate::search::Target::distances(&target, &[1_500], &mut distance);
        let exact = codes.in_steps(Metric::L2, graph.space.between(3, 1_500));
        assert!((distance[0] - exact).abs() <= exact * 1.0e-5);
    }

    #[test]
    fn duplicates_are_all_found() {
        let mut values = generate::uniform(12, 1_200, DIM);
        let row = values[..DIM].to_vec();
        for copy in 1..40 {
            values[copy * 25 * DIM..][..DIM].copy_from_slice(&row);
        }
        let graph = graph_of(Metric::L2, &values);
        let found = graph.search(&row, 40, 64, &mut Scratch::new()).unwrap();
        assert!(found.iter().all(|found| found.distance == 0.0), "{found:?}");
    }
}
