//! What a collection is made with, and whether one that is there is what is asked for.

use loomdb_graph::{MAX_DIM, Metric};

use super::state::State;
use crate::index::IndexParams;
use crate::storage::graph_params::GraphParams;
use crate::{Error, Result};

/// What a collection is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    dim: Option<usize>,
    metric: Option<Metric>,
    graph: GraphParams,
}

impl GraphParams {
    /// The parameters of an index, where those of the database are `others`.
    pub(crate) fn over(self, others: &IndexParams) -> IndexParams {
        IndexParams {
            m: self.m.unwrap_or(others.m),
            ef_construction: self.ef_construction.unwrap_or(others.ef_construction),
            ..others.clone()
        }
    }
}

impl Schema {
    /// Vectors of `dim` values, compared by their angle unless another metric is given.
    pub fn new(dim: usize) -> Self {
        Self { dim: Some(dim), metric: None, graph: GraphParams::default() }
    }

    /// The vector length is that of the first batch.
    pub fn learned() -> Self {
        Self { dim: None, metric: None, graph: GraphParams::default() }
    }

    /// The same with a metric.
    #[must_use]
    pub fn metric(self, metric: Metric) -> Self {
        Self { metric: Some(metric), ..self }
    }

    /// The same with a number of links of a node on the upper levels of the graph; level 0 has
    /// twice as many. It stays with the collection, whatever [`crate::OpenOptions::index`] says.
    #[must_use]
    pub fn m(self, m: usize) -> Self {
        Self { graph: GraphParams { m: Some(m), ..self.graph }, ..self }
    }

    /// The same with a beam width for the searches that link a single row. It stays with the
    /// collection, whatever [`crate::OpenOptions::index`] says.
    #[must_use]
    pub fn ef_construction(self, ef_construction: usize) -> Self {
        let graph = GraphParams { ef_construction: Some(ef_construction), ..self.graph };
        Self { graph, ..self }
    }

    pub(crate) fn empty_state(self) -> Result<State> {
        if let Some(dim) = self.dim
            && !(1..=MAX_DIM).contains(&dim)
        {
            return Err(loomdb_graph::Error::DimOutOfRange { dim }.into());
        }
        self.graph.validate()?;
        Ok(State::empty(self.metric.unwrap_or(Metric::Cosine), self.dim, self.graph))
    }

    /// Whether an existing collection of a database with `params` is what is asked for.
    pub(crate) fn check(self, name: &str, state: &State, params: &IndexParams) -> Result<()> {
        let own = state.graph.over(params);
        let has = match self {
            Self { metric: Some(metric), .. } if metric != state.metric => {
                format!("the metric {}, not {metric}", state.metric)
            }
            Self { dim: Some(given), .. } if state.dim.is_some_and(|dim| dim != given) => {
                format!("{} dimensions, not {given}", state.dim.unwrap_or_default())
            }
            Self { graph: GraphParams { m: Some(m), .. }, .. } if m != own.m => {
                format!("m {}, not {m}", own.m)
            }
            Self { graph: GraphParams { ef_construction: Some(given), .. }, .. }
                if given != own.ef_construction =>
            {
                format!("ef_construction {}, not {given}", own.ef_construction)
            }
            _ => return Ok(()),
        };
        let advice = "ask for what it is, or use another name";
        Err(Error::invalid(format!("the collection {name:?} has {has}")).advise(advice))
    }
}

impl Default for Schema {
    fn default() -> Self {
        Self::learned()
    }
}
