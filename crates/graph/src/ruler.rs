//! How rows are compared when links are chosen: by their codes, or by their values where rounding
//! is not small beside the distances at hand.
//!
//! A node is linked by its nearest candidates, and whether one of them lies a thousandth nearer
//! than another decides nothing. Codes take a quarter of the memory traffic of values, which is
//! what linking waits for.

use crate::candidate::Candidate;
use crate::codes::{CodeRows, Codes};
use crate::search::Target;
use crate::space::Space;

/// Equal rows are at most so far apart.
const EQUAL: f32 = 1.0e-5;

/// Compares rows of a space; distances are in the unit of its metric, however they are found.
#[derive(Clone, Copy)]
pub(crate) struct Ruler<'a> {
    space: &'a Space,
    codes: Option<CodeRows<'a>>,
    /// What a squared step between codes stands for.
    unit: f32,
}

/// A node that a walk compares others with.
pub(crate) struct From<'a> {
    ruler: Ruler<'a>,
    node: u32,
}

impl Target for From<'_> {
    #[inline]
    fn prefetch(&self, node: u32) {
        self.ruler.prefetch(node);
    }

    #[inline]
    fn distances(&self, nodes: &[u32], out: &mut [f32]) {
        self.ruler.distances(self.node, nodes, out);
    }
}

impl<'a> Ruler<'a> {
    /// Compares by codes when there are some.
    pub(crate) fn coarse(space: &'a Space) -> Self {
        let codes = space.codes().map(Codes::rows);
        let unit = codes.map_or(1.0, |rows| rows.codes().unit(space.metric()));
        Self { space, codes, unit }
    }

    /// Compares by values.
    pub(crate) fn sharp(space: &'a Space) -> Self {
        Self { space, codes: None, unit: 1.0 }
    }

    /// The ruler for candidates whose nearest is `nearest`.
    pub(crate) fn sharp_at(space: &'a Space, nearest: Option<&Candidate>) -> Self {
        let coarse = Self::coarse(space);
        if coarse.is_blurred_at(nearest) { Self::sharp(space) } else { coarse }
    }

    /// Whether rounding is not small beside the distance of the nearest candidate.
    pub(crate) fn is_blurred_at(self, nearest: Option<&Candidate>) -> bool {
        let Some((codes, nearest)) = self.codes.zip(nearest) else { return false };
        !codes.codes().is_sharp_at(nearest.distance() / self.unit)
    }

    /// Whether a candidate is certain to have another row than the node that it is a candidate of.
    pub(crate) fn tells_apart(self, candidate: Candidate) -> bool {
        // Equal rows have equal codes, and at most what the products of a cosine are rounded by
        // lies between them where codes do not stand for them.
        self.codes.is_some() && candidate.distance() > EQUAL
    }

    /// The distances of `node` to `others`.
    pub(crate) fn distances(self, node: u32, others: &[u32], out: &mut [f32]) {
        let Some(codes) = self.codes.filter(|codes| !codes.norm(node).is_clamped()) else {
            self.space.distances(&self.space.query_of(node), others, out);
            return;
        };
        let from = (codes.code(node), codes.norm(node), self.unit);
        codes.distances(from, others, out, |other| self.space.between(node, other));
    }

    /// A node whose distances to others are asked for.
    pub(crate) fn from(self, node: u32) -> From<'a> {
        From { ruler: self, node }
    }

    /// Asks for what is compared to be brought into the cache.
    #[inline]
    pub(crate) fn prefetch(self, node: u32) {
        match self.codes {
            Some(codes) => codes.prefetch(node),
            None => self.space.prefetch(node),
        }
    }
}
