//! Files as memory: the one place outside of the kernels where the compiler has to take a word for
//! it.
//!
//! Mapped are only files that a manifest names, or will name. These are never written to again, by
//! any process of ours: a change makes another file, and a file that goes is unlinked, which leaves
//! its mapping as it is. Who cuts such a file short by other means ends the processes that have it
//! mapped, as with the files of a running program.
#![allow(unsafe_code, reason = "a mapping is memory that others could change")]

use std::fs::File;

use arrow_buffer::Buffer;
use bytes::Bytes;
use memmap2::Mmap;

/// The bytes of an open file; nothing when the system refuses, and then they can still be read.
pub(super) fn map(file: &File) -> Option<Buffer> {
    // SAFETY: The file is one that a manifest names or will name, and complete. No process of ours
    // changes it, and its length is compared with the manifest before a byte is looked at.
    let mapped = unsafe { Mmap::map(file) }.ok()?;
    Some(Buffer::from(Bytes::from_owner(mapped)))
}
