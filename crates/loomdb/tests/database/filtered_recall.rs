//! Promise: a filter costs no recall, however few points match and wherever they lie.
//!
//! Matches lie around the queries, or far from them, or anywhere. A walk that takes the first
//! matches that it meets would still return `k` of them, but wrong ones, so recall is measured
//! for each case alone: a mean over all would hide the worst.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch};
use loomdb::index::IndexParams;
use loomdb::{Batch, Collection, Durability, Filter, Id, OpenOptions, Schema, SearchStrategy};
use loomdb_graph::{Metric, Vectors};
use loomdb_testkit::{
    DataSet, Metric as OracleMetric, Oracle, Random, generate, recall_at, wordnet,
};

use crate::model::ROOT;
use crate::sim::SimFs;

const K: usize = 10;
const QUERIES: usize = 20;
const FLOOR: f64 = 0.95;

/// The share of the points that match, in percent.
const SELECTIVITIES: [f64; 7] = [50.0, 20.0, 10.0, 5.0, 1.0, 0.1, 0.01];

/// Whether a row matches.
type IsMatch<'a> = &'a dyn Fn(usize) -> bool;

/// A collection, and the queries around its first query.
struct Measured {
    docs: Collection,
    rows: DataSet,
    queries: Vec<Vec<f32>>,
    metric: OracleMetric,
    /// The rank of each row by its distance from the first query, and by chance.
    near: Vec<i64>,
    any: Vec<i64>,
}

fn ranks(order: &[u32]) -> Vec<i64> {
    let mut ranks = vec![0; order.len()];
    for (rank, row) in (0..).zip(order) {
        ranks[*row as usize] = rank;
    }
    ranks
}

fn measured(metric: Metric, m: usize, (rows, queries): (DataSet, DataSet)) -> Measured {
    let own = OracleMetric::named(metric.name());
    let order = |set: &DataSet| -> Vec<u32> {
        let nearest =
            Oracle::new(own, set.dim, &set.values).exact_neighbors(queries.row(0), set.len());
        nearest.iter().map(|near| near.row).collect()
    };
    let near = ranks(&order(&rows));
    let mut drawn: Vec<u32> = (0..rows.len() as u32).collect();
    Random::new(7).shuffle(&mut drawn);
    let any = ranks(&drawn);
    let around = order(&queries);
    let around = around.iter().take(QUERIES).map(|row| queries.row(*row as usize).to_vec());
    let index = IndexParams { m, ..IndexParams::default() };
    let options = OpenOptions::new().index(index).file_system(Arc::new(SimFs::new()));
    let db = options.durability(Durability::OnCommit).open(Path::new(ROOT)).unwrap();
    let docs = db.collection("docs", Schema::new(rows.dim).metric(metric)).unwrap();
    let column = |values: &Vec<i64>| Arc::new(Int64Array::from(values.clone())) as _;
    let columns = [("near", column(&near)), ("any", column(&any))];
    let columns = RecordBatch::try_from_iter(columns).unwrap();
    let vectors = Vectors::from_flat(rows.dim, &rows.values).unwrap();
    let ids: Vec<u64> = (0..rows.len() as u64).collect();
    docs.add(&Batch::new(ids, vectors).unwrap().with_metadata(columns).unwrap()).unwrap();
    assert!(docs.info().index.unwrap().graph_rows > 0);
    Measured { docs, queries: around.collect(), metric: own, near, any, rows }
}

impl Measured {
    /// The mean recall of the queries, and how they were answered.
    fn recall(&self, filter: &Filter, is_match: IsMatch<'_>) -> (f64, Vec<SearchStrategy>) {
        let rows: Vec<u32> =
            (0..self.rows.len() as u32).filter(|row| is_match(*row as usize)).collect();
        let k = K.min(rows.len());
        let oracle = Oracle::new(self.metric, self.rows.dim, &self.rows.values);
        let (mut sum, mut strategies) = (0.0, Vec::new());
        for query in &self.queries {
            let mut exact = oracle.measure(query, rows.iter().copied());
            exact.sort_by(|left, right| left.distance.total_cmp(&right.distance));
            let search = self.docs.search(query).k(K).filter(filter.clone());
            strategies.push(search.clone().explain().unwrap().strategy);
            let found = search.run().unwrap().into_iter().map(|hit| match hit.id {
                Id::Integer(id) => id as u32,
                Id::Text(id) => panic!("{id}"),
            });
            let found: Vec<u32> = found.collect();
            assert_eq!(found.len(), k, "{filter}");
            assert!(found.iter().all(|row| is_match(*row as usize)), "{filter}");
            sum += recall_at(k, &exact, &oracle.measure(query, found));
        }
        (sum / self.queries.len() as f64, strategies)
    }

    /// Measures every selectivity and every place of the matches.
    fn check(&self) -> Vec<SearchStrategy> {
        let (mut below, mut used) = (Vec::new(), Vec::new());
        let rows = self.rows.len() as i64;
        for percent in SELECTIVITIES {
            let count = ((rows as f64 * percent / 100.0) as i64).max(1);
            let cases: [(&str, Filter, IsMatch<'_>); 3] = [
                ("around", Filter::lt("near", count), &|row| self.near[row] < count),
                ("far", Filter::gte("near", rows - count), &|row| self.near[row] >= rows - count),
                ("anywhere", Filter::lt("any", count), &|row| self.any[row] < count),
            ];
            for (name, filter, is_match) in cases {
                let (recall, strategies) = self.recall(&filter, is_match);
                let walks = strategies.iter().filter(|one| **one != SearchStrategy::Scan).count();
                let set = self.rows.name;
                let line = format!("{set}, {percent} % {name}: {recall:.4}, {walks} by a walk");
                println!("{line}");
                below.extend((recall < FLOOR).then_some(line));
                used.extend(strategies);
            }
        }
        assert!(below.is_empty(), "\n{}", below.join("\n"));
        used
    }
}

#[test]
fn on_a_mixture() {
    let set = DataSet::new("mixture", 24, generate::mixture(31, 20_400, 24)).hold_out(400);
    let used = measured(Metric::L2, 16, set).check();
    for strategy in [SearchStrategy::Walk, SearchStrategy::WideWalk, SearchStrategy::Scan] {
        assert!(used.contains(&strategy), "{strategy:?} was not measured");
    }
}

#[test]
fn on_separate_clusters() {
    let set = DataSet::new("clusters", 16, generate::clusters(32, 20_400, 16)).hold_out(400);
    measured(Metric::L2, 16, set).check();
}

#[test]
fn on_real_texts() {
    let wordnet = wordnet();
    measured(Metric::Cosine, 16, (wordnet.rows, wordnet.queries)).check();
}

/// Few links make walks cheap, so that they are taken also where few points match.
#[test]
fn on_real_texts_by_walks() {
    let wordnet = wordnet();
    measured(Metric::Cosine, 8, (wordnet.rows, wordnet.queries)).check();
}
