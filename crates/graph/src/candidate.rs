//! A node and how far away it is, in a total order: by distance, ties by node number.
//!
//! Both are packed into one word whose integer order is that order, so that comparing, sorting
//! and selecting are integer operations. Ties by node number are what makes every result
//! independent of the order in which candidates were found.

use std::fmt;

/// A node at a distance; `Ord` is by distance, then by node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub(crate) struct Candidate(u64);

impl Candidate {
    /// After every other candidate: infinitely far away.
    pub(crate) const LAST: Self = Self((INFINITE as u64) << 32 | u32::MAX as u64);

    pub(crate) fn new(distance: f32, node: u32) -> Self {
        Self(u64::from(ordered_bits(distance)) << 32 | u64::from(node))
    }

    /// The word whose order is the order of candidates: distance above, node below.
    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) fn distance(self) -> f32 {
        from_ordered_bits((self.0 >> 32) as u32)
    }

    /// The next distance above: what is under it is as near as this candidate, or nearer.
    #[inline]
    pub(crate) fn threshold(self) -> f32 {
        from_ordered_bits(((self.0 >> 32) as u32 + 1).min(INFINITE))
    }

    pub(crate) fn node(self) -> u32 {
        self.0 as u32
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.node(), self.distance())
    }
}

/// Infinity as an integer of the same order.
const INFINITE: u32 = f32::INFINITY.to_bits() | 1 << 31;

/// Maps a float to an integer of the same order: negative distances are real (inner product).
fn ordered_bits(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

fn from_ordered_bits(bits: u32) -> f32 {
    f32::from_bits(if bits >> 31 == 1 { bits & !(1 << 31) } else { !bits })
}

#[cfg(test)]
mod tests {
    use super::Candidate;

    #[test]
    fn order_is_by_distance_then_node_also_below_zero() {
        let distances = [f32::MIN, -2.5, -1.0, -1.0e-30, 0.0, 1.0e-30, 1.0, 7.5, f32::MAX];
        for pair in distances.windows(2) {
            assert!(Candidate::new(pair[0], 9) < Candidate::new(pair[1], 1), "{pair:?}");
        }
        assert!(Candidate::new(-3.0, 1) < Candidate::new(-3.0, 2));
        for distance in distances {
            let candidate = Candidate::new(distance, 77);
            assert_eq!((candidate.distance(), candidate.node()), (distance, 77));
            assert!(candidate < Candidate::LAST);
            assert!(candidate.threshold() > distance);
        }
        assert_eq!(Candidate::new(1.0, 1).threshold(), 1.0_f32.next_up());
        assert_eq!(Candidate::LAST.threshold(), f32::INFINITY);
    }
}
