//! A hash that is written down here and so never changes: a pinned figure can rely on it.

/// The FNV-1a hash of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }
}

impl Fnv {
    /// Takes up the bytes of numbers, each as eight bytes.
    pub fn add(&mut self, numbers: impl IntoIterator<Item = u64>) {
        for byte in numbers.into_iter().flat_map(u64::to_le_bytes) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }

    /// The hash of all that was taken up.
    pub fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Fnv;

    #[test]
    fn the_bytes_of_the_published_test_vector() {
        let mut hash = Fnv::default();
        assert_eq!(hash.value(), 0xCBF2_9CE4_8422_2325);
        hash.add([0]);
        assert_eq!(hash.value(), 0xA8C7_F832_281A_39C5);
    }
}
