//! Named steps of a command: announced, timed, and stopped at the first failure.
//!
//! Output of a step goes straight to the terminal. Only the test step is read on its way through,
//! because its counts belong in the summary.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The steps of one command run so far.
pub struct Steps {
    started: Instant,
    finished_count: usize,
    tests: TestCounts,
}

/// What the test binaries reported in their `test result:` lines.
#[derive(Debug, Default, PartialEq, Eq)]
struct TestCounts {
    passed: usize,
    ignored: usize,
}

impl Steps {
    pub fn new() -> Self {
        Self { started: Instant::now(), finished_count: 0, tests: TestCounts::default() }
    }

    /// Runs one program as the step `name`.
    ///
    /// # Errors
    /// If the program cannot be started or does not succeed.
    pub fn command(&mut self, name: &str, command: &mut Command) -> Result<()> {
        let what = command_line(command);
        self.measure(name, &what, || run_to_end(command))
    }

    /// Runs `cargo test` as the step `name` and adds what it reports to the summary.
    ///
    /// # Errors
    /// If the program cannot be started or does not succeed.
    pub fn tests(&mut self, name: &str, command: &mut Command) -> Result<()> {
        let what = command_line(command);
        let mut counts = TestCounts::default();
        self.measure(name, &what, || run_counting(command, &mut counts))?;
        self.tests.passed += counts.passed;
        self.tests.ignored += counts.ignored;
        Ok(())
    }

    /// Runs `work` as the step `name`; `what` says what it does.
    ///
    /// # Errors
    /// What `work` returns, with the name of the step in front.
    pub fn measure(
        &mut self,
        name: &str,
        what: &str,
        work: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        println!("==> {name}: {what}");
        let started = Instant::now();
        let outcome = work();
        let elapsed = seconds(started.elapsed());
        outcome.with_context(|| format!("step `{name}` failed after {elapsed}"))?;
        println!("    {name}: ok in {elapsed}");
        self.finished_count += 1;
        Ok(())
    }

    /// One line that says what was done, for the end of a command.
    pub fn summary(&self, command: &str) -> String {
        let TestCounts { passed, ignored } = self.tests;
        let tests = match (passed, ignored) {
            (0, 0) => String::new(),
            (passed, 0) => format!(", {passed} Rust tests"),
            (passed, ignored) => format!(", {passed} Rust tests ({ignored} more ignored)"),
        };
        let elapsed = seconds(self.started.elapsed());
        format!("{command}: {} steps{tests}: all passed in {elapsed}", self.finished_count)
    }
}

impl TestCounts {
    /// Adds one `test result: ok. 3 passed; 0 failed; 1 ignored; ...` line; skips other lines.
    fn add_line(&mut self, line: &str) {
        let Some(counts) = line.trim_start().strip_prefix("test result: ") else {
            return;
        };
        self.passed += count_before(counts, " passed");
        self.ignored += count_before(counts, " ignored");
    }
}

/// The number that stands before `label`, or 0.
fn count_before(text: &str, label: &str) -> usize {
    let Some((before, _)) = text.split_once(label) else {
        return 0;
    };
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn run_to_end(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| cannot_start(command))?;
    if !status.success() {
        bail!("{}: {status}", command_line(command));
    }
    Ok(())
}

fn run_counting(command: &mut Command, counts: &mut TestCounts) -> Result<()> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| cannot_start(command))?;
    let output = child.stdout.take().context("the standard output of a step is not readable")?;
    for line in BufReader::new(output).lines() {
        let line = line.context("reading the output of a step")?;
        println!("{line}");
        counts.add_line(&line);
    }
    let status = child.wait().context("waiting for a step")?;
    if !status.success() {
        bail!("{}: {status}", command_line(command));
    }
    Ok(())
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start {}: is it installed?", command.get_program().display())
}

/// The program and its arguments as a person would type them, without its directory.
fn command_line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_added_up_and_other_lines_are_not() {
        let mut counts = TestCounts::default();
        counts.add_line("test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured");
        counts.add_line("test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured");
        counts.add_line("test tests::that_7 passed ... ok");
        assert_eq!(counts, TestCounts { passed: 13, ignored: 3 });
    }

    #[test]
    fn a_failure_names_its_step_and_is_not_counted() {
        let mut steps = Steps::new();
        let outcome = steps.measure("weave", "nothing", || bail!("the thread broke"));
        let message = format!("{:#}", outcome.unwrap_err());
        assert!(message.starts_with("step `weave` failed after "), "{message}");
        assert!(message.ends_with(": the thread broke"), "{message}");
        assert_eq!(steps.finished_count, 0);
    }

    #[test]
    fn a_program_that_fails_or_is_missing_fails_its_step() {
        let mut steps = Steps::new();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut unknown = Command::new(cargo);
        let outcome =
            steps.command("unknown", unknown.arg("no-such-command").stderr(Stdio::null()));
        assert!(format!("{:#}", outcome.unwrap_err()).contains("no-such-command"));
        let outcome = steps.command("missing", &mut Command::new("no-such-program"));
        assert!(format!("{:#}", outcome.unwrap_err()).contains("is it installed?"));
    }

    #[test]
    fn the_summary_counts_steps_and_tests() {
        let mut steps = Steps::new();
        steps.measure("one", "nothing", || Ok(())).unwrap();
        steps.tests = TestCounts { passed: 5, ignored: 1 };
        let summary = steps.summary("test");
        assert!(
            summary.starts_with("test: 1 steps, 5 Rust tests (1 more ignored): all passed in "),
            "{summary}"
        );
    }
}
