//! How a command fails: a message on standard error, an object for programs, an exit code.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Error;
use loomdb::ErrorKind;
use serde::Serialize;

use crate::interrupt;
use crate::output::{Closed, Output, note};

const FAILED: u8 = 1;
const USAGE: u8 = 2;

/// Why a command refuses before the library is asked, or in better words than the library's.
#[derive(Debug)]
pub struct Refusal {
    kind: ErrorKind,
    file: PathBuf,
    what: String,
}

impl Refusal {
    pub fn new(kind: ErrorKind, file: &Path, what: String) -> Self {
        Self { kind, file: file.to_owned(), what }
    }
}

impl Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.file.display(), self.what)
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
    let failure = Failure::of(error);
    note(format_args!("error: {}", failure.message));
    let is_stopped = failure.kind == name(ErrorKind::Canceled) && interrupt::is_requested();
    print(failure, output);
    ExitCode::from(if is_stopped { interrupt::EXIT_CODE } else { FAILED })
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
    fn of(error: &Error) -> Self {
        let message = format!("{error:#}");
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            let (kind, file) = (name(refusal.kind), Some(refusal.file.clone()));
            return Self { kind, message, file, ..Self::default() };
        }
        let mut causes = error.chain();
        match causes.find_map(|cause| cause.downcast_ref::<loomdb::Error>()) {
            Some(cause) => Self {
                kind: name(cause.kind()),
                message,
                file: cause.file().map(Path::to_owned),
                offset: cause.offset(),
                row: cause.row(),
            },
            None => Self { kind: "failed", message, ..Self::default() },
        }
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
        _ => "failed",
    }
}
