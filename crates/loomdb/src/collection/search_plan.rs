//! How a search goes about its answer: one small pure function.
//!
//! A walk through the graph passes by rows that are not allowed, so a beam must be wide enough to
//! hold `k` rows that are. `even` is one and a half times the beam that holds `k` of them if they
//! are spread evenly. A search that must go as far as that gets `ef_search` on top, so that it is
//! as careful as one without a filter. A walk with a beam of `ef` computes at most about `m x ef`
//! distances. All numbers are of rows in the graph; those behind it are scanned in any case.
//!
//! | allowed rows | strategy | beam |
//! |---|---|---|
//! | all | `Walk` | `ef_search` |
//! | at most `k`, or at most `m x` the beam | `Scan` of the allowed rows | |
//! | so many that `even` is at most `ef_search` | `Walk` | `ef_search` |
//! | between these | `WideWalk` | `even + ef_search` |
//!
//! Rows are seldom spread evenly: where those that are allowed are far from the query, the beam
//! holds fewer than `k` of them. Then it becomes four times as wide, or wider where it held so few
//! that this would not do either, until scanning the allowed rows costs less than the next walk
//! ([`Plan::wider`]). So `k` rows come back whenever `k` are
//! allowed. Each walk costs less than a scan and a quarter of the next walk, so that all of them
//! and the scan cost at most about two and a third scans.

use loomdb_graph::MAX_EF;
use serde::Serialize;

/// How much wider each walk is than the one before, at least.
const WIDENING: usize = 4;

/// How a search found its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchStrategy {
    /// A walk through the graph with the beam that was asked for.
    Walk,
    /// A walk with a wider beam, since many rows on the way do not match.
    WideWalk,
    /// All matches were looked at.
    Scan,
}

/// What is known before a search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub k: usize,
    pub ef_search: usize,
    /// Rows in the graph.
    pub rows: usize,
    /// Those that may be returned.
    pub allowed: usize,
    /// Links of a node.
    pub m: usize,
}

/// How a search begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub strategy: SearchStrategy,
    /// The width of the beam; 0 for a scan.
    pub beam: usize,
}

/// See the table above.
pub(super) fn plan(ask: Ask) -> Plan {
    if ask.allowed == ask.rows && ask.rows > 0 {
        return Plan { strategy: SearchStrategy::Walk, beam: ask.ef_search.max(ask.k) };
    }
    let even = ask.k.saturating_mul(ask.rows) / ask.allowed.max(1);
    let even = even.saturating_add(even / 2);
    if even <= ask.ef_search {
        ask.walk(SearchStrategy::Walk, ask.ef_search)
    } else {
        ask.walk(SearchStrategy::WideWalk, even.saturating_add(ask.ef_search))
    }
}

impl Plan {
    pub(super) const SCAN: Self = Self { strategy: SearchStrategy::Scan, beam: 0 };

    /// What follows a walk that found too little: `found` of the `k` rows.
    pub(super) fn wider(self, ask: Ask, found: usize) -> Self {
        // None at all counts as one.
        let even = self.beam.saturating_mul(ask.k) / found.max(1);
        let even = even.saturating_add(even / 2);
        let beam = self.beam.saturating_mul(WIDENING).max(even);
        ask.walk(SearchStrategy::WideWalk, beam)
    }
}

impl Ask {
    /// A walk, unless a scan is cheaper.
    fn walk(self, strategy: SearchStrategy, beam: usize) -> Plan {
        let is_cheap = beam <= MAX_EF && self.m.saturating_mul(beam) < self.allowed;
        if self.allowed > self.k && is_cheap { Plan { strategy, beam } } else { Plan::SCAN }
    }
}

#[cfg(test)]
mod tests {
    use super::{Ask, Plan, SearchStrategy, plan};

    const MILLION: Ask = Ask { k: 10, ef_search: 64, rows: 1_000_000, allowed: 1_000_000, m: 16 };

    fn planned(ask: Ask) -> (SearchStrategy, usize) {
        let Plan { strategy, beam } = plan(ask);
        (strategy, beam)
    }

    #[test]
    fn the_table() {
        use SearchStrategy::{Scan, Walk, WideWalk};
        let allowed = |allowed| planned(Ask { allowed, ..MILLION });
        assert_eq!(allowed(1_000_000), (Walk, 64));
        assert_eq!(allowed(500_000), (Walk, 64));
        assert_eq!(allowed(200_000), (WideWalk, 139));
        assert_eq!(allowed(50_000), (WideWalk, 364));
        // About as many distances on either way.
        assert_eq!(allowed(17_000), (WideWalk, 946));
        assert_eq!(allowed(15_000), (Scan, 0));
        assert_eq!(allowed(10), (Scan, 0));
        assert_eq!(allowed(0), (Scan, 0));
    }

    #[test]
    fn a_plain_search_is_a_walk_however_few_rows_there_are() {
        let few = Ask { rows: 30, allowed: 30, ..MILLION };
        assert_eq!(planned(few), (SearchStrategy::Walk, 64));
        assert_eq!(planned(Ask { k: 100, ..few }), (SearchStrategy::Walk, 100));
        assert_eq!(planned(Ask { rows: 0, allowed: 0, ..few }), (SearchStrategy::Scan, 0));
    }

    #[test]
    fn walks_widen_until_a_scan_is_cheaper() {
        let ask = Ask { allowed: 500_000, ..MILLION };
        let mut beams = vec![plan(ask)];
        while let Some(last) = beams.last().filter(|last| last.strategy != SearchStrategy::Scan) {
            beams.push(last.wider(ask, ask.k - 1));
        }
        let widths: Vec<usize> = beams.iter().map(|plan| plan.beam).collect();
        assert_eq!(widths, [64, 256, 1_024, 4_096, 16_384, 0]);
        let cost: usize = widths.iter().map(|beam| beam * ask.m).sum();
        assert!(3 * cost <= 4 * ask.allowed, "walks cost more than a third above a scan");
    }

    #[test]
    fn a_walk_that_found_little_is_followed_by_one_that_is_wide_enough_or_by_a_scan() {
        let ask = Ask { allowed: 500_000, ..MILLION };
        let first = plan(ask);
        let wider = |found| first.wider(ask, found).beam;
        // 64 x 10 / 2, and half as much on top.
        assert_eq!((wider(9), wider(2), wider(1), wider(0)), (256, 480, 960, 960));
        assert_eq!(first.wider(ask, 0).wider(ask, 0).beam, 14_400);
        let few = Ask { allowed: 30_000, ..MILLION };
        assert_eq!(plan(few).wider(few, 0), Plan::SCAN);
    }
}
