//! How much a test runs: a little for every change, more every night, most before a release.
//!
//! `cargo xtask crash`, `flips` and `soak` set the variables. A failure names its seed; the same
//! seed at the same tier runs the same.

/// So many for each tier: every change, every night, each release.
pub fn times(pr: usize, nightly: usize, release: usize) -> usize {
    match std::env::var("LOOMDB_TIER").as_deref() {
        Err(_) | Ok("pr") => pr,
        Ok("nightly") => nightly,
        Ok("release") => release,
        Ok(other) => panic!("LOOMDB_TIER is {other:?}, not pr, nightly or release"),
    }
}

/// The seed of all random choices, printed.
pub fn seed() -> u64 {
    let seed = std::env::var("LOOMDB_SEED").map_or(1, |seed| seed.parse().expect("LOOMDB_SEED"));
    println!("seed {seed}: LOOMDB_SEED={seed} repeats it");
    seed
}
