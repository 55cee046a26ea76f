//! What the system is asked for, where it is Linux. It may refuse: nothing depends on it.
//!
//! Large arrays in large pages: rows that are read in no order then miss the translation of
//! addresses less often, and fresh memory comes in few faults.

/// Smaller arrays gain nothing.
const MIN_BYTES: usize = 4 << 20;

/// What no page is smaller than.
#[cfg(target_os = "linux")]
const PAGE_BYTES: usize = 1 << 12;

/// Asks for large pages under the room of an array, before it is written to.
pub(crate) fn advise_huge<T>(array: &mut Vec<T>) {
    let room = array.spare_capacity_mut();
    if size_of_val(room) < MIN_BYTES {
        return;
    }
    #[cfg(target_os = "linux")]
    {
        use std::ffi::{c_int, c_void};
        const MADV_HUGEPAGE: c_int = 14;
        #[allow(unsafe_code)]
        // SAFETY: the declaration is that of the C library, which every program of this target has.
        unsafe extern "C" {
            fn madvise(address: *mut c_void, bytes: usize, advice: c_int) -> c_int;
        }
        let bytes = size_of_val(room);
        let first = room.as_mut_ptr().cast::<u8>();
        let before = first.align_offset(PAGE_BYTES);
        let whole = (bytes - before) / PAGE_BYTES * PAGE_BYTES;
        #[allow(unsafe_code)]
        // SAFETY: the pages lie within the room of the array, and the advice does not change
        // what is in them.
        unsafe {
            madvise(first.wrapping_add(before).cast(), whole, MADV_HUGEPAGE);
        }
    }
}
