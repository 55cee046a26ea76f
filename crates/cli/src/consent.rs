//! Asking a person before something is lost.
//!
//! A question is asked only where someone can answer it: with standard input and standard error on
//! a terminal. Scripts are not asked, since they said what they want.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, Result};

/// What a person did not want, after being asked.
#[derive(Debug)]
pub struct Declined;

impl std::fmt::Display for Declined {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("nothing was changed")
    }
}

impl std::error::Error for Declined {}

/// Asks `question`, unless nobody can answer.
///
/// # Errors
/// [`Declined`] for any answer but yes.
pub fn ask(question: &str) -> Result<()> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(());
    }
    let mut stderr = io::stderr();
    write!(stderr, "{question} [y/N] ").context("cannot ask")?;
    stderr.flush().context("cannot ask")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    let answer = answer.trim().to_lowercase();
    if answer == "y" || answer == "yes" { Ok(()) } else { Err(Declined.into()) }
}
