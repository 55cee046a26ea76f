//! `loomdb completions`: a script that lets a shell complete command lines.

use std::io;

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;
use serde::Serialize;

use crate::output::Output;

/// Print a script that completes command lines of `loomdb` in a shell
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Command {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  loomdb completions bash > ~/.local/share/bash-completion/completions/loomdb
  loomdb completions zsh > ~/.zfunc/_loomdb
  loomdb completions fish > ~/.config/fish/completions/loomdb.fish";

#[derive(Serialize)]
struct Report {
    shell: String,
    script: String,
}

/// # Errors
/// When the script cannot be printed.
pub fn run(command: &Command, output: &Output) -> Result<()> {
    let mut script = Vec::new();
    let mut whole = crate::Arguments::command();
    clap_complete::generate(command.shell, &mut whole, "loomdb", &mut script);
    let script = String::from_utf8(script).map_err(io::Error::other)?;
    output.text(&script)?;
    output.json(&Report { shell: command.shell.to_string(), script })
}
