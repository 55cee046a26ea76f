//! A directory of its own for each test, small files of vectors in it, and the built command.

#![allow(dead_code, reason = "every test file uses a part of this")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A directory that vanishes after the test; commands run in it.
pub struct Sandbox {
    directory: TempDir,
}

/// How a command ended.
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Sandbox {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The command, to be run in this directory, with its temporary files here too.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loomdb"));
        command.current_dir(self.directory.path()).args(line.split_whitespace());
        command.env("TMPDIR", self.directory.path()).env_remove("RUST_BACKTRACE");
        command
    }

    /// Runs the command with arguments that blanks separate.
    pub fn run(&self, line: &str) -> Outcome {
        self.command(line).output().unwrap().into()
    }

    /// Runs a command that must succeed, and returns the one object that it prints.
    pub fn json(&self, line: &str) -> Value {
        let outcome = self.run(&format!("{line} --json"));
        assert_eq!(outcome.code, Some(0), "{line}: {}", outcome.stderr);
        outcome.json()
    }

    /// Runs a command that must fail, and returns the message.
    pub fn error(&self, line: &str) -> String {
        let outcome = self.run(line);
        assert!(outcome.code > Some(2), "{line}: {}{}", outcome.stdout, outcome.stderr);
        assert_eq!(outcome.stdout, "", "{line}");
        let message = outcome.stderr.split_once("error: ");
        message.expect(&outcome.stderr).1.trim_end().to_owned()
    }

    /// The path of a file of a database, whose name ends so.
    pub fn stored(&self, database: &str, end: &str) -> String {
        let info = self.json(&format!("info {database}"));
        let files = info["files"].as_array().unwrap();
        let mut names = files.iter().map(|file| file["name"].as_str().unwrap());
        format!("{database}/{}", names.find(|name| name.ends_with(end)).unwrap())
    }

    /// Writes rows of `dim` values as `numpy.save` does.
    pub fn npy(&self, name: &str, dim: usize, values: &[f32]) {
        let rows = values.len() / dim;
        let fields =
            format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
        let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        bytes.extend(format!("{fields:117}\n").as_bytes());
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        self.write(name, &bytes);
    }

    /// Writes rows of `dim` values, each behind its length.
    pub fn fvecs(&self, name: &str, dim: usize, values: &[f32]) {
        let row = |row: &[f32]| {
            let mut bytes = (dim as u32).to_le_bytes().to_vec();
            bytes.extend(row.iter().flat_map(|value| value.to_le_bytes()));
            bytes
        };
        self.write(name, &values.chunks(dim).flat_map(row).collect::<Vec<u8>>());
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Everything in the directory, hidden files too, sorted.
    pub fn names(&self) -> Vec<String> {
        names_in(self.directory.path())
    }
}

/// Everything in a directory, sorted.
pub fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Outcome {
    /// The one object that was printed.
    pub fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.stdout);
        parsed.unwrap_or_else(|error| panic!("not one object: {error}: {}", self.stdout))
    }
}
