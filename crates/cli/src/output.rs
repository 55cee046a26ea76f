//! What a command prints: its result on standard output, everything else on standard error.
//!
//! With `--json` standard output carries exactly one JSON object. A reader that goes away early
//! (`loomdb info my.loom | head -1`) ends the command quietly; [`Closed`] is how it learns of it.

use std::fmt::{self, Display};
use std::io::{self, Write};

use anyhow::{Context, Result};
use console::style;
use serde::Serialize;

/// Whom the result is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// People.
    Text,
    /// Programs.
    Json,
}

/// Where a command prints.
#[derive(Debug)]
pub struct Output {
    format: Format,
}

/// Standard output has no reader any more.
#[derive(Debug)]
pub struct Closed;

impl Display for Closed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("standard output is closed")
    }
}

impl std::error::Error for Closed {}

impl Output {
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    /// Prints a whole result: its fields for programs, its text for people.
    ///
    /// # Errors
    /// [`Closed`], or the refusal of the system.
    pub fn report<R: Serialize + Display>(&self, report: &R) -> Result<()> {
        self.json(report)?;
        self.text(report)
    }

    /// Prints the JSON object of a command that has told people its result as [`Self::text`].
    ///
    /// # Errors
    /// [`Closed`], or the refusal of the system.
    pub fn json(&self, report: &impl Serialize) -> Result<()> {
        match self.format {
            Format::Json => print(&(serde_json::to_string(report)? + "\n")),
            Format::Text => Ok(()),
        }
    }

    /// Prints text that ends its own lines, for people only.
    ///
    /// # Errors
    /// [`Closed`], or the refusal of the system.
    pub fn text(&self, text: impl Display) -> Result<()> {
        match self.format {
            Format::Json => Ok(()),
            Format::Text => print(&text.to_string()),
        }
    }
}

/// Prints why a command fails, on standard error.
pub fn error(message: impl Display) {
    note(format_args!("{} {message}", style("error:").for_stderr().red().bold()));
}

/// Prints what was found wrong and worked around, on standard error.
pub fn warning(message: impl Display) {
    note(format_args!("{} {message}", style("warning:").for_stderr().yellow().bold()));
}

/// Prints a line on standard error; whether anyone reads it changes nothing.
pub fn note(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Closed.into()),
        written => written.context("cannot write to standard output"),
    }
}
