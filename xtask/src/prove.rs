//! `cargo xtask crash`, `flips` and `soak`: the tests of the promises, as often as is asked for.
//!
//! They are the tests that run for every change, at another tier. A tier and a seed repeat a run
//! to the last call; a test that fails names its seed.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use crate::step::Steps;
use crate::test::cargo;

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Tier {
    /// As for every change: minutes
    Pr,
    /// As every night: up to two hours
    Nightly,
    /// As before a release: up to twelve hours
    Release,
}

impl Tier {
    fn name(self) -> &'static str {
        match self {
            Self::Pr => "pr",
            Self::Nightly => "nightly",
            Self::Release => "release",
        }
    }
}

#[derive(clap::Args)]
pub struct Arguments {
    /// How much is run
    #[arg(long, value_enum, default_value = "pr")]
    tier: Tier,
    /// Where all random choices come from
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    seed: u64,
    /// Prints the command and runs nothing
    #[arg(long)]
    dry_run: bool,
}

/// A family of tests, by the modules of `crates/loomdb/tests/database` that hold them.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    name: &'static str,
    modules: &'static [&'static str],
}

/// Power, processes and calls fail at every place.
pub const CRASH: Family = Family {
    name: "crash",
    modules: &["crash::", "io_errors::", "processes::", "readers::", "model_test::", "backup::"],
};

/// Bytes change, files are cut, swapped and removed; and what is damaged is repaired.
pub const FLIPS: Family = Family { name: "flips", modules: &["damage::", "repair::"] };

/// A day of use, and years of changes.
pub const SOAK: Family = Family { name: "soak", modules: &["soak::", "recall::", "graphs::"] };

/// Runs a family of tests.
///
/// # Errors
/// If a test fails, or cargo cannot be started.
pub fn run(root: &Path, family: Family, arguments: &Arguments) -> Result<()> {
    let mut command = command(root, family, arguments);
    if arguments.dry_run {
        println!("{}", line(&command));
        return Ok(());
    }
    let mut steps = Steps::new();
    println!("    {}", line(&command));
    steps.tests(family.name, &mut command)?;
    println!("{}", steps.summary(family.name));
    Ok(())
}

fn command(root: &Path, family: Family, arguments: &Arguments) -> Command {
    let mut command = cargo(root, "test --profile checked --package loomdb --test database --");
    command.args(family.modules).arg("--nocapture");
    // Memory and time are those of a test alone.
    command.args((family.name == SOAK.name).then_some("--test-threads=1"));
    command.env("LOOMDB_TIER", arguments.tier.name());
    command.env("LOOMDB_SEED", arguments.seed.to_string());
    command
}

/// The command as a person would type it, with the variables that it needs.
fn line(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        Some(format!("{}={}", name.to_string_lossy(), value?.to_string_lossy()))
    });
    let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
    variables.chain(["cargo".to_owned()]).chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn parse(words: &[&str]) -> (Family, Arguments) {
        let words = ["xtask"].iter().chain(words);
        match crate::Arguments::try_parse_from(words).unwrap().command {
            crate::Command::Crash(arguments) => (CRASH, arguments),
            crate::Command::Flips(arguments) => (FLIPS, arguments),
            crate::Command::Soak(arguments) => (SOAK, arguments),
            _ => panic!("not the command that was given"),
        }
    }

    fn line_of(words: &[&str]) -> String {
        let (family, arguments) = parse(words);
        line(&command(Path::new("/root"), family, &arguments))
    }

    #[test]
    fn tiers_and_seeds_reach_the_tests() {
        let expected = "LOOMDB_SEED=7 LOOMDB_TIER=nightly cargo test --profile checked --package \
                        loomdb --test database -- damage:: repair:: --nocapture";
        assert_eq!(line_of(&["flips", "--tier", "nightly", "--seed", "7"]), expected);
        assert!(line_of(&["crash"]).starts_with("LOOMDB_SEED=1 LOOMDB_TIER=pr cargo test"));
        assert!(line_of(&["soak", "--tier", "release"]).ends_with("--nocapture --test-threads=1"));
    }

    #[test]
    fn every_module_of_a_family_is_there() {
        let tests = crate::repository_root().join("crates/loomdb/tests/database");
        for module in [CRASH, FLIPS, SOAK].iter().flat_map(|family| family.modules) {
            let file = tests.join(format!("{}.rs", module.trim_end_matches("::")));
            assert!(file.is_file(), "{}", file.display());
        }
    }

    #[test]
    fn what_is_no_tier_or_seed_is_refused() {
        for words in [["crash", "--tier", "weekly"], ["soak", "--seed", "0"]] {
            let words = ["xtask"].iter().chain(&words);
            assert!(crate::Arguments::try_parse_from(words).is_err());
        }
    }
}
