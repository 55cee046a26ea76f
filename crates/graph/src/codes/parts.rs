//! Codes as plain values and back, so that they need not be made again when a graph is opened.

use super::{Codes, DEPTH, Encoder, MIN_DIM, Norm};
use crate::blocks::Blocks;
use crate::kernels::Kernels;
use crate::limits::MAX_VALUE;
use crate::space::Space;
use crate::stored::{Stored, Values};
use crate::{Error, Graph, Metric};

/// What belongs to the codes of a graph, for saving and loading; the codes themselves are kept
/// elsewhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CodeParts {
    /// What codes are relative to.
    pub centre: Vec<f32>,
    /// What a difference of one between two codes stands for.
    pub step: f32,
    /// The mean squared distance of a row from what its code stands for, in squared steps.
    pub error: f32,
    /// The largest distance of a row in range from what its code stands for, in steps.
    pub max_error: f32,
    /// The squared length of each code, and whether it stands for its row.
    pub norms: Vec<u32>,
    /// One over the norm of each row under cosine, else nothing.
    pub scales: Vec<f32>,
}

impl CodeParts {
    /// The bytes of a code of `dim` values.
    pub fn code_bytes(dim: usize) -> usize {
        dim.next_multiple_of(DEPTH)
    }
}

impl Graph {
    /// What belongs to the codes of the nodes; nothing when walks read values.
    pub fn code_parts(&self) -> Option<CodeParts> {
        self.space.codes().map(|codes| codes.to_parts(&self.space, self.len()))
    }

    /// The code of a node; nothing when walks read values.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn code(&self, node: u32) -> Option<&[i8]> {
        self.space.codes().map(|codes| codes.code(node))
    }
}

impl Codes {
    fn to_parts(&self, space: &Space, nodes: usize) -> CodeParts {
        let nodes = 0..nodes as u32;
        let scales = match space.metric() {
            Metric::Cosine => nodes.clone().map(|node| space.scale(node)).collect(),
            Metric::L2 | Metric::Ip => Vec::new(),
        };
        CodeParts {
            centre: self.encoder.centre.to_vec(),
            step: self.encoder.step,
            error: self.error,
            max_error: self.max_error,
            norms: nodes.map(|node| self.norm(node).0).collect(),
            scales,
        }
    }

    /// The codes of the nodes of a graph, one after the other in `values`.
    ///
    /// # Errors
    /// [`Error::InvalidGraph`] when they are not those of so many rows of this shape.
    pub(crate) fn from_parts(
        (metric, dim): (Metric, usize),
        nodes: usize,
        parts: &CodeParts,
        values: &Values<i8>,
    ) -> Result<Self, Error> {
        validate((metric, dim), nodes, parts)?;
        let depth = CodeParts::code_bytes(dim);
        check((**values).as_ref().len() == nodes * depth, "the codes of all nodes")?;
        let kernels = Kernels::detect();
        let encoder = Encoder { kernels, centre: parts.centre.as_slice().into(), step: parts.step };
        let norms = parts.norms.iter().map(|norm| Norm(*norm)).collect();
        Ok(Self {
            kernels,
            encoder,
            depth,
            values: Blocks::stored(Stored::of(depth, values.clone()), nodes),
            norms: Blocks::new(1, norms),
            error: parts.error,
            max_error: parts.max_error,
        })
    }
}

fn validate((metric, dim): (Metric, usize), nodes: usize, parts: &CodeParts) -> Result<(), Error> {
    let CodeParts { centre, step, error, max_error, norms, scales } = parts;
    check(metric != Metric::Ip && dim >= MIN_DIM, "rows that have codes")?;
    check(centre.len() == dim && centre.iter().all(|value| value.abs() <= MAX_VALUE), "a centre")?;
    check(*step > f32::MIN_POSITIVE && step.is_finite(), "the step of the codes")?;
    let is_error = |error: f32| error >= 0.0 && error.is_finite();
    check(is_error(*error) && is_error(*max_error), "the errors of the codes")?;
    check(norms.len() == nodes, "a length for each code")?;
    let scale_count = if metric == Metric::Cosine { nodes } else { 0 };
    let are_scales = scales.iter().all(|scale| *scale > 0.0 && scale.is_finite());
    check(scales.len() == scale_count && are_scales, "the norms of the rows")
}

fn check(holds: bool, what: &str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::InvalidGraph { what: format!("it lacks {what}") }) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use loomdb_testkit::generate;

    use crate::{
        BuildParams, CodeParts, Graph, Metric, Scratch, StoredRows, StoredVectors, Strategy,
        Vectors, Workers, build, build_stored,
    };

    const DIM: usize = 40;
    const ROWS: usize = 1_200;

    /// A graph and the same rows kept elsewhere, in two pieces.
    fn stored(metric: Metric) -> (Graph, StoredRows) {
        let values = generate::mixture(31, ROWS, DIM);
        let vectors = Vectors::from_flat(DIM, &values).unwrap();
        let workers = Workers::new(2).unwrap();
        let built = build(vectors, metric, &BuildParams::default(), &workers, &()).unwrap();
        let mut vectors = StoredVectors::new(DIM).unwrap();
        for piece in [&values[..500 * DIM], &values[500 * DIM..]] {
            vectors.push(Arc::new(piece.to_vec())).unwrap();
        }
        let graph = built.graph;
        let codes: Vec<i8> =
            (0..ROWS as u32).flat_map(|node| graph.code(node).unwrap().to_vec()).collect();
        let codes = Some((graph.code_parts().unwrap(), Arc::new(codes) as _));
        (graph, StoredRows { vectors, order: Arc::new(built.order), codes })
    }

    fn answers(graph: &Graph) -> Vec<Vec<crate::Neighbor>> {
        let queries = generate::mixture(32, 40, DIM);
        let ask = |query| graph.search(query, 10, 50, &mut Scratch::new()).unwrap();
        queries.chunks(DIM).map(ask).collect()
    }

    #[test]
    fn a_graph_over_stored_rows_answers_and_grows_as_the_one_that_was_built() {
        let workers = Workers::new(2).unwrap();
        for metric in [Metric::L2, Metric::Cosine] {
            let (built, mut rows) = stored(metric);
            let parts = built.to_parts();
            let opened = Graph::from_stored(&parts, &rows, metric, &workers).unwrap();
            assert_eq!(opened.code_parts(), built.code_parts());
            assert_eq!(answers(&opened), answers(&built));
            assert!((0..ROWS as u32).all(|node| opened.vector(node) == built.vector(node)));
            let more = Vectors::from_flat(DIM, &generate::mixture(33, 100, DIM)).unwrap();
            let params = BuildParams::default();
            let grow = |graph: &Graph| graph.insert(&more, &params, &workers, &()).unwrap().0;
            assert_eq!(grow(&opened).to_parts(), grow(&built).to_parts());
            rows.codes = None;
            let copied = Graph::from_stored(&parts, &rows, metric, &workers).unwrap();
            assert!((0..ROWS as u32).all(|node| copied.vector(node) == built.vector(node)));
            assert!(copied.code_parts().is_some());
        }
    }

    #[test]
    fn a_graph_that_is_built_over_stored_rows_is_the_same() {
        let workers = Workers::new(2).unwrap();
        for metric in [Metric::L2, Metric::Cosine, Metric::Ip] {
            for strategy in [Strategy::Auto, Strategy::Partition, Strategy::Insert { chunk: 300 }] {
                let (_, StoredRows { vectors, .. }) = stored(Metric::L2);
                let values = generate::mixture(31, ROWS, DIM);
                let own = Vectors::from_flat(DIM, &values).unwrap();
                let params = BuildParams { strategy, ..BuildParams::default() };
                let own = build(own, metric, &params, &workers, &()).unwrap();
                let other = build_stored(&vectors, metric, &params, &workers, &()).unwrap();
                assert_eq!((&other.order, &other.stats), (&own.order, &own.stats), "{metric}");
                assert_eq!(other.graph.to_parts(), own.graph.to_parts(), "{metric}");
                assert_eq!(answers(&other.graph), answers(&own.graph), "{metric}");
                let order = Arc::new(own.order.clone());
                let moved = own.graph.moved_to(&vectors, &order).unwrap();
                let is_same = |node| moved.vector(node) == own.graph.vector(node);
                assert!((0..ROWS as u32).all(is_same), "{metric}");
                assert_eq!(answers(&moved), answers(&own.graph), "{metric}");
                let more = Vectors::from_flat(DIM, &generate::mixture(33, 100, DIM)).unwrap();
                let grown = |graph: &Graph| graph.insert(&more, &params, &workers, &()).unwrap().0;
                assert_eq!(grown(&other.graph).to_parts(), grown(&own.graph).to_parts());
            }
        }
    }

    #[test]
    fn codes_that_do_not_fit_are_refused() {
        let (built, rows) = stored(Metric::Cosine);
        let (parts, workers) = (built.to_parts(), Workers::new(1).unwrap());
        let (sound, values) = rows.codes.clone().unwrap();
        let refuse = |codes, metric| {
            let rows = StoredRows { codes: Some(codes), ..rows.clone() };
            let error = Graph::from_stored(&parts, &rows, metric, &workers).unwrap_err();
            assert!(error.to_string().contains("it lacks"), "{error}");
        };
        let spoils: [fn(&mut CodeParts); 8] = [
            |parts| parts.centre.truncate(3),
            |parts| parts.centre[0] = f32::NAN,
            |parts| parts.step = 0.0,
            |parts| parts.error = f32::INFINITY,
            |parts| parts.max_error = -1.0,
            |parts| parts.norms.truncate(9),
            |parts| parts.scales.clear(),
            |parts| parts.scales[7] = f32::NAN,
        ];
        for spoil in spoils {
            let mut parts = sound.clone();
            spoil(&mut parts);
            refuse((parts, values.clone()), Metric::Cosine);
        }
        refuse((sound.clone(), Arc::new(vec![0_i8; 64])), Metric::Cosine);
        refuse((sound, values), Metric::Ip);
    }
}
