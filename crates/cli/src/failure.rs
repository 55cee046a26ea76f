//! How a command fails: a message on standard error, an object for programs, an exit code.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Error;
use loomdb::ErrorKind;
use serde::Serialize;

use crate::interrupt;
use crate::output::{self, Closed, Output};

/// What the process ends with; `docs/shell.md` lists them.
const FAILED: u8 = 1;
const USAGE: u8 = 2;
const NOT_FOUND: u8 = 3;
const ALREADY_EXISTS: u8 = 4;
const INVALID: u8 = 5;
const CORRUPTED: u8 = 6;
const LOCKED: u8 = 7;
const STORAGE_FULL: u8 = 8;

/// A command that has printed its result, which is not what scripts hope for.
#[derive(Debug)]
pub struct Reported(u8);

impl Reported {
    pub const NOT_FOUND: Self = Self(NOT_FOUND);
    pub const CORRUPTED: Self = Self(CORRUPTED);
}

impl Display for Reported {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the result ends with code {}", self.0)
    }
}

impl std::error::Error for Reported {}

/// Why a command refuses before the library is asked, or in better words than the library's.
#[derive(Debug)]
pub struct Refusal {
    kind: ErrorKind,
    file: Option<PathBuf>,
    row: Option<usize>,
    what: String,
}

impl Refusal {
    pub fn new(kind: ErrorKind, file: &Path, what: String) -> Self {
        Self { kind, file: Some(file.to_owned()), row: None, what }
    }

    /// What is wrong with something that stands in no file.
    pub fn of_input(kind: ErrorKind, what: String) -> Self {
        Self { kind, file: None, row: None, what }
    }

    /// The same, with the row of the input that it is about.
    pub fn at_row(self, row: Option<usize>) -> Self {
        Self { row, ..self }
    }
}

impl Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(formatter, "{}: ", file.display())?;
        }
        formatter.write_str(&self.what)
    }
}

impl std::error::Error for Refusal {}

/// What `--json` prints in place of a result.
#[derive(Serialize)]
struct Report {
    error: Failure,
}

#[derive(Default, Serialize)]
struct Failure {
    kind: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<usize>,
}

/// Reports why a command failed.
pub fn of_command(error: &Error, output: &Output) -> ExitCode {
    // Whoever closed standard output has seen enough: that is no failure.
    if error.is::<Closed>() {
        return ExitCode::SUCCESS;
    }
    if let Some(Reported(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    let (kind, failure) = Failure::of(error);
    output::error(&failure.message);
    let is_stopped = kind == Some(ErrorKind::Canceled) && interrupt::is_requested();
    print(failure, output);
    ExitCode::from(if is_stopped { interrupt::EXIT_CODE } else { kind.map_or(FAILED, code) })
}

/// Reports a command line that cannot be understood, or prints the help that it asks for.
pub fn of_usage(error: &clap::Error, output: &Output) -> ExitCode {
    // There is nowhere else to say that this failed.
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    let message = text.split("\n\n").next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(message).to_owned();
    print(Failure { kind: "usage", message, ..Failure::default() }, output);
    ExitCode::from(USAGE)
}

/// The exit code tells of the failure even where this cannot be printed.
fn print(error: Failure, output: &Output) {
    let _ = output.json(&Report { error });
}

impl Failure {
    fn of(error: &Error) -> (Option<ErrorKind>, Self) {
        let message = format!("{error:#}");
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            let (kind, file, row) = (refusal.kind, refusal.file.clone(), refusal.row);
            return (Some(kind), Self { kind: name(kind), message, file, row, ..Self::default() });
        }
        let mut causes = error.chain();
        match causes.find_map(|cause| cause.downcast_ref::<loomdb::Error>()) {
            Some(cause) => {
                let failure = Self {
                    kind: name(cause.kind()),
                    message,
                    file: cause.file().map(Path::to_owned),
                    offset: cause.offset(),
                    row: cause.row(),
                };
                (Some(cause.kind()), failure)
            }
            None => (None, Self { kind: "failed", message, ..Self::default() }),
        }
    }
}

/// What the process ends with.
fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::NotFound => NOT_FOUND,
        ErrorKind::AlreadyExists => ALREADY_EXISTS,
        ErrorKind::InvalidInput | ErrorKind::InvalidFilter => INVALID,
        ErrorKind::Corrupted => CORRUPTED,
        ErrorKind::Locked => LOCKED,
        ErrorKind::StorageFull => STORAGE_FULL,
        _ => FAILED,
    }
}

fn name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "not_found",
        ErrorKind::AlreadyExists => "already_exists",
        ErrorKind::InvalidInput => "invalid_input",
        ErrorKind::InvalidFilter => "invalid_filter",
        ErrorKind::Corrupted => "corrupted",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::StorageFull => "storage_full",
        ErrorKind::Io => "io",
        ErrorKind::Canceled => "canceled",
        ErrorKind::Locked => "locked",
        ErrorKind::Poisoned => "poisoned",
        _ => "failed",
    }
}
