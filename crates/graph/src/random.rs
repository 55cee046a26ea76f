//! Randomness without state: a number is a hash of a seed and of what the number is for.
//!
//! So a draw depends neither on the order of the calls nor on the number of threads.

/// Mixes two words into one (the finalizer of `SplitMix64`).
pub(crate) fn hash(seed: u64, value: u64) -> u64 {
    let mut word = seed ^ value.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// A sequence of draws.
pub(crate) struct Random {
    seed: u64,
    drawn: u64,
}

impl Random {
    /// The sequence for one purpose under a seed.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        Self { seed: hash(seed, purpose), drawn: 0 }
    }

    /// A number below `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.drawn += 1;
        let word = hash(self.seed, self.drawn);
        ((u128::from(word) * bound as u128) >> 64) as usize
    }

    /// `count` different numbers below `bound`, in random order.
    pub(crate) fn sample(&mut self, count: usize, bound: usize) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0..bound as u32).collect();
        let count = count.min(bound);
        for place in 0..count {
            let other = place + self.below(bound - place);
            numbers.swap(place, other);
        }
        numbers.truncate(count);
        numbers
    }
}

/// A number in (0, 1] from a hash.
pub(crate) fn unit(word: u64) -> f64 {
    ((word >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::{Random, unit};

    #[test]
    fn a_sample_has_no_repetition_and_covers_the_range() {
        let mut seen = Random::new(7, 1).sample(100, 100);
        seen.sort_unstable();
        assert!(seen.iter().enumerate().all(|(index, number)| *number == index as u32));
        assert_eq!(Random::new(7, 1).sample(5, 100), Random::new(7, 1).sample(5, 100));
        assert_ne!(Random::new(7, 1).sample(5, 100), Random::new(8, 1).sample(5, 100));
    }

    #[test]
    fn unit_is_never_zero() {
        assert!(unit(0) > 0.0);
        assert!(unit(u64::MAX) <= 1.0);
    }
}
