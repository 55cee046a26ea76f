//! How long each phase of a build took, watched from outside.
//!
//! A build tells when it begins a phase and whenever a step of it is done. The time between two
//! calls belongs to the phase of the later one; what lies before the beginning of a phase, or
//! behind the last call, belongs to none.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use loomdb_graph::{Observer, Phase};
use serde::Serialize;

/// Seconds of each phase; a phase that a strategy does not have took none.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Phases {
    pub partition: f64,
    pub candidates: f64,
    pub prune: f64,
    pub backlinks: f64,
    pub insert: f64,
    pub connect: f64,
    /// All that is between: rows are compared, moved and given levels; levels above 0 are linked.
    pub other: f64,
}

impl Phases {
    /// The phases by their names, in order.
    pub fn named(&self) -> [(&'static str, f64); 7] {
        [
            ("partition", self.partition),
            ("candidates", self.candidates),
            ("prune", self.prune),
            ("backlinks", self.backlinks),
            ("insert", self.insert),
            ("connect", self.connect),
            ("other", self.other),
        ]
    }
}

/// Watches a build for somebody else, and its clock as well.
pub struct Stopwatch<'a> {
    observer: &'a dyn Observer,
    started: Instant,
    laps: Mutex<Laps>,
}

struct Laps {
    last: Instant,
    seconds: BTreeMap<Phase, f64>,
}

impl<'a> Stopwatch<'a> {
    /// Starts the clock.
    pub fn start(observer: &'a dyn Observer) -> Self {
        let started = Instant::now();
        let laps = Mutex::new(Laps { last: started, seconds: BTreeMap::new() });
        Self { observer, started, laps }
    }

    /// Seconds in all, and of each phase.
    pub fn stop(self) -> (f64, Phases) {
        let total = self.started.elapsed().as_secs_f64();
        let laps = self.laps.into_inner().unwrap_or_else(PoisonError::into_inner);
        let of = |phase| laps.seconds.get(&phase).copied().unwrap_or_default();
        let told: f64 = laps.seconds.values().sum();
        let phases = Phases {
            partition: of(Phase::Partition),
            candidates: of(Phase::Candidates),
            prune: of(Phase::Prune),
            backlinks: of(Phase::Backlinks),
            insert: of(Phase::Insert),
            connect: of(Phase::Connect),
            other: total - told,
        };
        (total, phases)
    }
}

impl Observer for Stopwatch<'_> {
    fn progress(&self, phase: Phase, done: usize, total: usize) {
        self.observer.progress(phase, done, total);
        let mut laps = self.laps.lock().unwrap_or_else(PoisonError::into_inner);
        let lap = laps.last.elapsed();
        laps.last += lap;
        if done > 0 {
            *laps.seconds.entry(phase).or_default() += lap.as_secs_f64();
        }
    }

    fn canceled(&self) -> bool {
        self.observer.canceled()
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::Duration;

    use loomdb_graph::{Observer, Phase};

    use super::Stopwatch;

    #[test]
    fn time_belongs_to_the_phase_that_ends_it() {
        let pause = Duration::from_millis(20);
        let watch = Stopwatch::start(&());
        sleep(pause);
        watch.progress(Phase::Prune, 0, 2);
        for done in 1..=2 {
            sleep(pause);
            watch.progress(Phase::Prune, done, 2);
        }
        let (total, phases) = watch.stop();
        let pause = pause.as_secs_f64();
        assert!(phases.prune >= 2.0 * pause && phases.other >= pause, "{phases:?}");
        let sum: f64 = phases.named().iter().map(|(_, seconds)| seconds).sum();
        assert!((sum - total).abs() < 1.0e-6 && phases.connect == 0.0, "{phases:?}");
    }
}
