//! Rows under a metric: every distance of this crate is computed here.
//!
//! Rows are kept as they were given. For the cosine metric the inverse of each norm lies beside
//! them, so that a distance stays one pass over the row. Those of a graph also lie there as
//! codes, which walks read in their place.

use crate::aligned::Aligned;
use crate::blocks::Blocks;
use crate::codes::{CodeParts, Codes};
use crate::kernels::{Kernels, prefetch};
use crate::sketch::Sketch;
use crate::stored::{Stored, StoredRows, StoredVectors, Values};
use crate::vectors::check_values;
use crate::{Error, Metric, Vectors};

/// The most rows of a block of a table that grows row by row.
const SMALL_BLOCK_ROWS: usize = 64;

/// The most bytes of such a block, which is copied with each append until it is full.
const SMALL_BLOCK_BYTES: usize = 16 << 10;

/// The shortest vector that has a direction.
const MIN_NORM: f32 = 1.0e-15;

/// A version of a growing table of rows, and how far apart they are.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    metric: Metric,
    kernels: Kernels,
    rows: Blocks<f32>,
    /// One over the norm of each row; empty unless the metric is cosine.
    inverse_norms: Blocks<f32>,
    /// The rows rounded to bytes, where that pays.
    codes: Option<Codes>,
    /// The rows as tiles multiply them, while a build looks for candidates.
    sketch: Option<Sketch>,
}

/// A vector whose distances are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'a> {
    vector: &'a [f32],
    /// The inverse norm under cosine, 1 otherwise.
    scale: f32,
}

impl<'a> Query<'a> {
    pub(crate) fn vector(&self) -> &'a [f32] {
        self.vector
    }

    /// One over the norm under cosine, 1 otherwise.
    pub(crate) fn scale(&self) -> f32 {
        self.scale
    }
}

impl Space {
    /// The space of `vectors`.
    pub(crate) fn new(metric: Metric, vectors: Vectors) -> Result<Self, Error> {
        let norms = inverse_norms(metric, (0..vectors.len()).map(|row| vectors.row(row)))?;
        let dim = vectors.dim();
        Ok(Self::of(metric, Blocks::new(dim, vectors.into_values()), norms))
    }

    /// The space of rows that are kept elsewhere, in their order there.
    pub(crate) fn over(metric: Metric, rows: &StoredVectors) -> Result<Self, Error> {
        let norms = inverse_norms(metric, (0..rows.len()).map(|row| rows.row(row)))?;
        Ok(Self::of(metric, Blocks::stored(rows.from(0), rows.len()), norms))
    }

    fn of(metric: Metric, rows: Blocks<f32>, norms: Vec<f32>) -> Self {
        Self {
            metric,
            kernels: Kernels::detect(),
            rows,
            inverse_norms: Blocks::new(1, norms.into_iter().collect()),
            codes: None,
            sketch: None,
        }
    }

    /// The space of the first `nodes` rows that are kept elsewhere, with the codes that lie there
    /// too.
    ///
    /// # Errors
    /// [`Error::InvalidGraph`] when the codes do not fit the rows.
    pub(crate) fn stored(
        metric: Metric,
        rows: &StoredRows,
        nodes: usize,
        (parts, values): &(CodeParts, Values<i8>),
    ) -> Result<Self, Error> {
        let (kernels, dim) = (Kernels::detect(), rows.vectors.dim());
        let codes = Codes::from_parts((metric, dim), nodes, parts, values)?;
        let norms = match metric {
            Metric::Cosine => parts.scales.iter().copied().collect(),
            Metric::L2 | Metric::Ip => Aligned::with_capacity(0),
        };
        Ok(Self {
            metric,
            kernels,
            rows: Blocks::stored(rows.vectors.in_order(&rows.order), nodes),
            inverse_norms: Blocks::new(1, norms),
            codes: Some(codes),
            sketch: None,
        })
    }

    /// Makes later rows lie in small blocks, for a table that grows row by row: a partly filled
    /// block is copied with each append.
    pub(crate) fn small_blocks(mut self) -> Self {
        let rows = |row_bytes: usize| {
            1 << (SMALL_BLOCK_BYTES / row_bytes).clamp(1, SMALL_BLOCK_ROWS).ilog2()
        };
        let dim = self.dim();
        self.rows = self.rows.block_rows(rows(size_of::<f32>() * dim));
        self.inverse_norms = self.inverse_norms.block_rows(SMALL_BLOCK_ROWS);
        self.codes = self.codes.map(|codes| codes.block_rows(rows(dim), SMALL_BLOCK_ROWS));
        self
    }

    /// A space without rows, whose rows are to be compared and rounded as those of this one.
    pub(crate) fn emptied(&self) -> Self {
        Self {
            rows: Blocks::new(self.dim(), Aligned::with_capacity(0)),
            inverse_norms: Blocks::new(1, Aligned::with_capacity(0)),
            codes: self.codes.as_ref().map(Codes::emptied),
            sketch: None,
            ..*self
        }
    }

    /// Appends rows to this version.
    pub(crate) fn append(&mut self, vectors: &Vectors) -> Result<(), Error> {
        if vectors.dim() != self.dim() {
            return Err(Error::DimMismatch { expected: self.dim(), given: vectors.dim() });
        }
        self.prepare(|| (0..vectors.len()).map(|row| vectors.row(row)))?;
        self.rows.append(vectors.as_flat());
        Ok(())
    }

    /// This version with its rows where they are kept elsewhere, and those behind them there.
    pub(crate) fn moved_to(&self, rows: Stored<f32>) -> Result<Self, Error> {
        let mut next = self.clone();
        next.prepare(|| (self.len()..rows.len()).map(|row| rows.row(row)))?;
        next.rows = self.rows.moved_to(rows);
        Ok(next)
    }

    /// Appends what belongs to rows that are appended.
    fn prepare<'a, I: Iterator<Item = &'a [f32]>>(
        &mut self,
        rows: impl Fn() -> I,
    ) -> Result<(), Error> {
        let norms = inverse_norms(self.metric, rows())?;
        if let Some(codes) = &mut self.codes {
            codes.append(rows(), &norms);
        }
        self.inverse_norms.append(&norms);
        Ok(())
    }

    /// Copies rows that are kept elsewhere into the order of the nodes, for walks on values.
    pub(crate) fn gather(&mut self) {
        if self.rows.is_stored() {
            let values = (0..self.len() as u32).flat_map(|node| self.row(node)).copied();
            self.rows = Blocks::new(self.dim(), values.collect());
        }
    }

    /// Rounds the rows to codes, and from now on those that are appended.
    pub(crate) fn encode(&mut self) {
        self.codes = Codes::of(self);
    }

    /// Makes a sketch of the rows, where that pays, for the tiles of a build.
    pub(crate) fn make_sketch(&mut self) {
        self.sketch = Sketch::of(self);
    }

    pub(crate) fn drop_sketch(&mut self) {
        self.sketch = None;
    }

    pub(crate) fn sketch(&self) -> Option<&Sketch> {
        self.sketch.as_ref()
    }

    pub(crate) fn codes(&self) -> Option<&Codes> {
        self.codes.as_ref()
    }

    pub(crate) fn drop_codes(&mut self) {
        self.codes = None;
    }

    /// Puts row `order[i]` at place `i`.
    pub(crate) fn permute(&mut self, order: &[u32]) {
        let has_codes = self.codes.is_some();
        let Self { rows, inverse_norms, codes, sketch, .. } = self;
        rayon::join(
            || rows.permute(order),
            || {
                if let Some(sketch) = sketch {
                    sketch.release();
                }
                if let Some(codes) = codes {
                    codes.permute(order);
                    if let Some(sketch) = sketch {
                        sketch.permute(order, codes);
                    }
                }
                if inverse_norms.len() > 0 {
                    inverse_norms.permute(order);
                }
            },
        );
        if !has_codes {
            self.gather();
        }
    }

    pub(crate) fn metric(&self) -> Metric {
        self.metric
    }

    pub(crate) fn kernels(&self) -> Kernels {
        self.kernels
    }

    pub(crate) fn dim(&self) -> usize {
        self.rows.stride()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    #[inline]
    pub(crate) fn row(&self, node: u32) -> &[f32] {
        self.rows.row(node as usize)
    }

    /// One over the norm of a row under cosine, 1 otherwise.
    #[inline]
    pub(crate) fn scale(&self, node: u32) -> f32 {
        match self.metric {
            Metric::Cosine => self.inverse_norms.row(node as usize)[0],
            Metric::L2 | Metric::Ip => 1.0,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        let codes = self.codes.as_ref().map_or(0, Codes::bytes);
        self.rows.bytes() + self.inverse_norms.bytes() + codes
    }

    /// Checks a vector from outside and prepares it.
    pub(crate) fn query<'a>(&self, vector: &'a [f32]) -> Result<Query<'a>, Error> {
        if vector.len() != self.dim() {
            return Err(Error::DimMismatch { expected: self.dim(), given: vector.len() });
        }
        check_values(vector, self.dim(), 0)?;
        let scale = match self.metric {
            Metric::Cosine => {
                inverse_norm(self.kernels, vector).ok_or(Error::ZeroVector { row: 0 })?
            }
            Metric::L2 | Metric::Ip => 1.0,
        };
        Ok(Query { vector, scale })
    }

    /// A row as a query.
    #[inline]
    pub(crate) fn query_of(&self, node: u32) -> Query<'_> {
        Query { vector: self.row(node), scale: self.scale(node) }
    }

    /// The distance of two rows.
    #[inline]
    pub(crate) fn between(&self, left: u32, right: u32) -> f32 {
        match self.metric {
            Metric::L2 => self.kernels.l2_squared(self.row(left), self.row(right)),
            Metric::Ip => -self.kernels.dot(self.row(left), self.row(right)),
            Metric::Cosine => {
                let product = self.kernels.dot(self.row(left), self.row(right));
                (1.0 - product * self.scale(left) * self.scale(right)).max(0.0)
            }
        }
    }

    /// The distances of `query` to the rows of `nodes`.
    #[inline]
    pub(crate) fn distances(&self, query: &Query<'_>, nodes: &[u32], out: &mut [f32]) {
        match self.metric {
            Metric::L2 => self.kernels.l2_squared_many(query.vector, self.rows.rows(), nodes, out),
            Metric::Ip => {
                self.kernels.dot_many(query.vector, self.rows.rows(), nodes, out);
                for product in out {
                    *product = -*product;
                }
            }
            Metric::Cosine => {
                self.kernels.dot_many(query.vector, self.rows.rows(), nodes, out);
                for (product, &node) in out.iter_mut().zip(nodes) {
                    *product = (1.0 - *product * query.scale * self.scale(node)).max(0.0);
                }
            }
        }
    }

    /// Asks for a row to be brought into the cache.
    #[inline]
    pub(crate) fn prefetch(&self, node: u32) {
        prefetch(self.row(node));
    }
}

/// Whether rows can be compared under a metric.
///
/// # Errors
/// [`Error::ZeroVector`] with the first row that has no direction, where one is needed.
pub fn check_rows(metric: Metric, vectors: &Vectors) -> Result<(), Error> {
    let kernels = Kernels::detect();
    let is_short = |row: &usize| inverse_norm(kernels, vectors.row(*row)).is_none();
    let short = (metric == Metric::Cosine).then(|| (0..vectors.len()).find(is_short));
    short.flatten().map_or(Ok(()), |row| Err(Error::ZeroVector { row }))
}

/// One over the norm of each row under cosine, nothing under the other metrics.
fn inverse_norms<'a>(
    metric: Metric,
    rows: impl Iterator<Item = &'a [f32]>,
) -> Result<Vec<f32>, Error> {
    if metric != Metric::Cosine {
        return Ok(Vec::new());
    }
    let kernels = Kernels::detect();
    let norm_of = |(row, vector)| inverse_norm(kernels, vector).ok_or(Error::ZeroVector { row });
    rows.enumerate().map(norm_of).collect()
}

/// One over the norm, or nothing for a vector so short that its products would vanish.
fn inverse_norm(kernels: Kernels, vector: &[f32]) -> Option<f32> {
    let square = kernels.dot(vector, vector);
    (square > MIN_NORM * MIN_NORM).then(|| 1.0 / square.sqrt())
}
