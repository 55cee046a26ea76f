//! When space is given back, without being asked: two small pure functions.
//!
//! **Rows.** A collection is rewritten without its dead rows, those that were deleted or replaced,
//! when they are more than the live ones and more than the flat limit. So a rewrite, which costs
//! as much as building the live rows, is paid for by as many deletions, and what a collection
//! takes stays within twice what its points need.
//!
//! | rows | dead | flat limit | rewritten |
//! |---|---|---|---|
//! | 10,000 | 5,000 | 2,000 | no: not more than half |
//! | 10,000 | 5,001 | 2,000 | yes |
//! | 3,000 | 2,000 | 2,000 | no: a small collection |
//!
//! **Segments.** A segment that is written takes in the ones before it, from the last one back,
//! when eight of about its size or smaller have come together. So there are at most seven of a
//! size, and a row is rewritten once for each eightfold growth of its collection.
//!
//! | segments | written | takes in |
//! |---|---|---|
//! | 1,000; then 6 of 10 | 10 | none |
//! | 1,000; then 7 of 10 | 10 | the 7 small ones |
//! | 7 of 500, then 7 of 70 | 70 | all of them |

use crate::collection::State;
use crate::storage::manifest::Collection;

/// Segments of a size that become one.
const FAN_OUT: usize = 8;

/// Whether a collection is rewritten.
pub(super) fn is_due(rows: usize, dead: usize, flat_limit: usize) -> bool {
    2 * dead > rows && dead > flat_limit
}

/// How many of the segments, whose numbers of rows are `segments`, stay when another is written
/// over `rows` rows; the others become part of it.
pub(super) fn kept_segments(segments: &[usize], mut rows: usize) -> usize {
    let mut kept = segments.len();
    loop {
        let is_smaller = |segment: &&usize| rank(**segment) <= rank(rows);
        let run = segments[..kept].iter().rev().take_while(is_smaller).count();
        if run + 1 < FAN_OUT {
            return kept;
        }
        rows += segments[kept - run..kept].iter().sum::<usize>();
        kept -= run;
    }
}

/// Segments of about one size have one rank.
fn rank(rows: usize) -> u32 {
    rows.max(1).ilog(FAN_OUT)
}

/// Takes segments out of the entry of a collection that is about to be sealed, so that their rows
/// are written again together with the new ones.
pub(super) fn merge_segments(entry: &mut Collection, state: &State) {
    let segments: Vec<usize> = entry.segments.iter().map(|segment| segment.rows).collect();
    let (rows, _, _) = state.space();
    if let Some(new @ 1..) = rows.checked_sub(entry.rows()) {
        entry.segments.truncate(kept_segments(&segments, new));
    }
}

#[cfg(test)]
mod tests {
    use super::{is_due, kept_segments};

    #[test]
    fn the_table_of_rows() {
        assert!(!is_due(10_000, 5_000, 2_000));
        assert!(is_due(10_000, 5_001, 2_000));
        assert!(!is_due(3_000, 2_000, 2_000));
        assert!(!is_due(0, 0, 0));
    }

    #[test]
    fn the_table_of_segments() {
        let behind = |first: &[usize], count: usize, rows: usize| {
            first.iter().copied().chain(vec![rows; count]).collect::<Vec<_>>()
        };
        assert_eq!(kept_segments(&behind(&[1_000], 6, 10), 10), 7);
        assert_eq!(kept_segments(&behind(&[1_000], 7, 10), 10), 1);
        assert_eq!(kept_segments(&behind(&[500; 7], 7, 70), 70), 0);
        assert_eq!(kept_segments(&[], 10), 0);
    }

    #[test]
    fn segments_stay_few_and_rows_are_written_a_few_times() {
        let (mut segments, mut written) = (Vec::<usize>::new(), 0);
        for _ in 0..10_000 {
            let kept = kept_segments(&segments, 1);
            let rows = segments.drain(kept..).sum::<usize>() + 1;
            written += rows;
            segments.push(rows);
            assert!(segments.len() <= 7 * 5, "{segments:?}");
        }
        assert_eq!(segments.iter().sum::<usize>(), 10_000);
        assert!(written <= 10_000 * 6, "{written} rows were written");
    }
}
