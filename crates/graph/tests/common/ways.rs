//! The ways in which a graph can come to be: every strategy in one go, and growing by inserts.

use std::fmt;

use loomdb_graph::{BuildParams, BuildStats, Graph, Metric, Strategy, Workers, build};
use loomdb_testkit::DataSet;

use super::{WORKERS, params, vectors};

/// How a graph is made of the rows of a set.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// All at once.
    Build(Strategy),
    /// One half at once, the rest by inserts of `step` rows.
    Grow { half: Strategy, step: usize },
}

/// Every strategy, and growth from graphs that were built in bulk.
pub const WAYS: [Way; 9] = [
    Way::Build(Strategy::Auto),
    Way::Build(Strategy::AllPairs),
    Way::Build(Strategy::Partition),
    Way::Build(Strategy::Insert { chunk: 1 }),
    Way::Build(Strategy::Insert { chunk: 100 }),
    Way::Build(Strategy::Insert { chunk: 500 }),
    Way::Grow { half: Strategy::AllPairs, step: 7 },
    Way::Grow { half: Strategy::AllPairs, step: 100 },
    Way::Grow { half: Strategy::Partition, step: 333 },
];

/// A graph and where its nodes came from.
#[derive(Clone, Debug)]
pub struct Made {
    pub graph: Graph,
    pub order: Vec<u32>,
    pub stats: BuildStats,
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build(Strategy::Insert { chunk }) => write!(formatter, "insert_{chunk}"),
            Self::Build(strategy) => formatter.write_str(strategy.name()),
            Self::Grow { half, step } => write!(formatter, "{}_grow_{step}", half.name()),
        }
    }
}

impl Way {
    /// Whether all rows are linked at once.
    pub fn is_bulk(self) -> bool {
        matches!(self, Self::Build(Strategy::Auto | Strategy::AllPairs | Strategy::Partition))
    }

    /// The last version of [`Self::versions`].
    pub fn make(self, set: &DataSet, metric: Metric, m: usize) -> Made {
        let made = self.versions(set, metric, &self.params(m), &WORKERS).pop();
        made.expect("there is always a version")
    }

    /// Parameters that ask for this way.
    pub fn params(self, m: usize) -> BuildParams {
        let (Self::Build(strategy) | Self::Grow { half: strategy, .. }) = self;
        params(m, strategy)
    }

    /// Every version of the graph on the way to the last, oldest first.
    pub fn versions(
        self,
        set: &DataSet,
        metric: Metric,
        params: &BuildParams,
        workers: &Workers,
    ) -> Vec<Made> {
        let first = match self {
            Self::Build(_) => set.len(),
            Self::Grow { .. } => set.len() / 2,
        };
        let case = format!("{} under {metric} by {self}", set.name);
        let built = build(vectors(&set.slice(0..first)), metric, params, workers, &());
        let built = built.expect(&case);
        let mut versions =
            vec![Made { graph: built.graph, order: built.order, stats: built.stats }];
        let Self::Grow { step, .. } = self else { return versions };
        for start in (first..set.len()).step_by(step) {
            let rows = vectors(&set.slice(start..(start + step).min(set.len())));
            let last = &versions[versions.len() - 1];
            let next = last.graph.insert(&rows, params, workers, &());
            let (graph, stats) = next.expect(&case);
            let order = last.order.iter().copied().chain(start as u32..graph.len() as u32);
            let order = order.collect();
            versions.push(Made { graph, order, stats });
        }
        versions
    }
}
