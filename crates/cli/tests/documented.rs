//! `docs/shell.md` tells of every command and every option, and of none that is not there.

mod common;

use std::collections::BTreeSet;

use common::Sandbox;

const PAGE: &str = include_str!("../../../docs/shell.md");

/// Options that the page tells of for all commands at once.
const GLOBAL: [&str; 4] = ["--help", "--json", "--version", "--collection"];

/// The words of a text that are long options.
fn options(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
    let words = words.map(|word| word.trim_end_matches('-').to_owned());
    words.filter(|word| word.starts_with("--") && word.len() > 2).collect()
}

/// The names of the subcommands in a help text.
fn commands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    let named = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = named.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// What stands under the heading of a command.
fn section(command: &str) -> &'static str {
    let heading = format!("\n## {command}\n");
    let start = PAGE.find(&heading).unwrap_or_else(|| panic!("no heading {command:?}"));
    let rest = &PAGE[start + heading.len()..];
    rest.split("\n## ").next().unwrap()
}

/// The options in the help of a command and its subcommands, examples not counted.
fn options_of(sandbox: &Sandbox, command: &str) -> BTreeSet<String> {
    let help = sandbox.run(&format!("{command} --help")).stdout;
    let mut found = options(help.split("Example").next().unwrap());
    for verb in commands(&help) {
        found.extend(options_of(sandbox, &format!("{command} {verb}")));
    }
    found.retain(|option| !GLOBAL.contains(&option.as_str()));
    found
}

#[test]
fn every_command_and_option_is_on_the_page_and_none_else() {
    let sandbox = Sandbox::new();
    let help = sandbox.run("--help").stdout;
    let all = commands(&help);
    assert!(all.len() > 10, "{help}");
    // What can be measured changes often, and has a page of its own.
    for command in all.iter().filter(|command| *command != "bench") {
        let mut written = options(section(command));
        written.retain(|option| !GLOBAL.contains(&option.as_str()));
        assert_eq!(written, options_of(&sandbox, command), "{command}");
    }
    let headings = PAGE.lines().filter_map(|line| line.strip_prefix("## "));
    let commands: Vec<&str> =
        headings.filter(|heading| !heading.contains(' ') && heading.is_ascii()).collect();
    let commands: Vec<&str> =
        commands.into_iter().filter(|name| name.chars().all(char::is_lowercase)).collect();
    assert_eq!(commands, all, "the page has the commands in the order of the help");
}

#[test]
fn the_exit_codes_are_those_of_the_help() {
    let help = Sandbox::new().run("--help").stdout;
    let codes: Vec<(&str, &str)> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" | "))
        .filter(|(code, _)| code.parse::<u8>().is_ok())
        .map(|(code, rest)| (code, rest.split(" | ").next().unwrap()))
        .collect();
    assert_eq!(codes.len(), 10);
    for (code, meaning) in codes {
        assert!(help.contains(&format!("{code}  {meaning}")), "{code} {meaning} is not in {help}");
    }
}

#[test]
fn every_command_shows_an_example() {
    let sandbox = Sandbox::new();
    for command in commands(&sandbox.run("--help").stdout) {
        let help = sandbox.run(&format!("{command} --help")).stdout;
        let example = format!("\n  loomdb {command} ");
        assert!(command == "bench" || help.contains(&example), "{help}");
    }
}
