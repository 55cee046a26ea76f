//! Checksums of a file: crc32c of each block, and from these of the whole.
//!
//! A block is small enough that an error can say where a file is damaged, and large enough that
//! the sums of a gigabyte fit into a few pages.

use std::sync::LazyLock;

use crc32c::{crc32c_append, crc32c_combine};

/// The bytes of a block.
pub(super) const BLOCK_BYTES: usize = 64 * 1024;

/// Sums bytes as they come.
#[derive(Clone, Debug, Default)]
pub(super) struct BlockSums {
    finished: Vec<u32>,
    block: u32,
    block_len: usize,
}

impl BlockSums {
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.block_len));
            self.block = crc32c_append(self.block, now);
            self.block_len += now.len();
            bytes = rest;
            if self.block_len == BLOCK_BYTES {
                self.finish_block();
            }
        }
    }

    /// The sum of each block; the last block may be short.
    pub(super) fn finish(mut self) -> Vec<u32> {
        if self.block_len > 0 {
            self.finish_block();
        }
        self.finished
    }

    fn finish_block(&mut self) {
        self.finished.push(self.block);
        (self.block, self.block_len) = (0, 0);
    }
}

/// What each bit of a sum becomes when a whole block follows. Sums are linear, so that this takes
/// the place of a combination that begins anew for every block.
static BLOCK_BEHIND: LazyLock<[u32; 32]> =
    LazyLock::new(|| std::array::from_fn(|bit| crc32c_combine(1 << bit, 0, BLOCK_BYTES)));

/// The sum of a file of `len_bytes` bytes, from those of its blocks.
pub(super) fn whole(blocks: &[u32], len_bytes: u64) -> u32 {
    let Some((last, others)) = blocks.split_last() else { return 0 };
    let behind = |sum: u32| {
        let bits = (0_u32..).zip(BLOCK_BEHIND.iter());
        bits.filter(|(bit, _)| sum >> bit & 1 == 1).fold(0, |all, (_, part)| all ^ part)
    };
    let before = others.iter().fold(0, |sum, block| behind(sum) ^ block);
    crc32c_combine(before, *last, last_block_len(len_bytes))
}

/// The number of blocks of a file.
pub(super) fn block_count(len_bytes: u64) -> u64 {
    len_bytes.div_ceil(BLOCK_BYTES as u64)
}

/// The length of the last block of a file that is not empty.
fn last_block_len(len_bytes: u64) -> usize {
    match len_bytes as usize % BLOCK_BYTES {
        0 => BLOCK_BYTES,
        len => len,
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK_BYTES, BlockSums, block_count, whole};

    #[test]
    fn the_sum_is_the_published_one() {
        // The check value of CRC-32C in the catalogue of Greg Cook.
        let mut sums = BlockSums::default();
        sums.update(b"123456789");
        assert_eq!(sums.finish(), [0xe306_9283]);
    }

    #[test]
    fn blocks_do_not_depend_on_the_pieces_and_combine_to_the_whole() {
        for len in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES, 200_001] {
            let bytes: Vec<u8> = (0..len).map(|index| (index * index % 251) as u8).collect();
            let at_once: Vec<u32> = bytes.chunks(BLOCK_BYTES).map(crc32c::crc32c).collect();
            let mut sums = BlockSums::default();
            bytes.chunks(1_000).for_each(|piece| sums.update(piece));
            let blocks = sums.finish();
            assert_eq!(blocks, at_once, "{len} bytes");
            assert_eq!(blocks.len() as u64, block_count(len as u64));
            assert_eq!(whole(&blocks, len as u64), crc32c::crc32c(&bytes), "{len} bytes");
        }
    }
}
