//! The page of the command line, from the tree of commands.

use clap::{Arg, ArgAction, Command, CommandFactory};
use muster::cli::Cli;

use crate::markdown::{head, text};

const INTRODUCTION: &str = "\
All commands and their arguments. `muster COMMAND --help` prints the same; `muster man | man -l -` shows the manual page.

`user`, `batch`, `group`, `policy`, `invitation`, `api-key`, `service-account`, `session`, `sign-in`, `mail`, `audit` and `login` commands talk to a server over
HTTP. `organization`, `sso`, `secrets`, `key`, `migrate`, `doctor`, `user link --recover` and `audit list --local` work on the database directly and need
access to it instead of an API key. Data goes to standard output, messages to standard error.

| exit status | |
|---|---|
| 0 | success |
| 1 | the request was rejected and nothing was changed; `muster healthcheck`: the server is unreachable; `muster doctor`: a problem was found, in the settings or elsewhere |
| 2 | wrong usage, or the server or the database is unreachable |
";

pub fn page() -> String {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut page = head("Command line", "the tree of commands in `src/cli/`") + INTRODUCTION;
    for command in root.get_subcommands() {
        add(&mut page, command, "##");
    }
    format!("{}\n", page.trim_end())
}

/// Adds a command, and its subcommands under headings of the next level.
fn add(page: &mut String, command: &Command, heading: &str) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    page.push_str(&format!("\n{heading} {name}\n\n"));
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        page.push_str(&format!("{}\n", sentence(&about.to_string())));
    }
    if !command.has_subcommands() {
        let usage = command.clone().render_usage().to_string();
        page.push_str(&format!("\n```text\n{}\n```\n", usage.trim_start_matches("Usage: ")));
        let arguments: Vec<_> =
            command.get_arguments().filter(|argument| !argument.is_hide_set() && argument.get_id() != "help").collect();
        if !arguments.is_empty() {
            page.push('\n');
        }
        arguments.into_iter().for_each(|argument| page.push_str(&item(argument)));
    }
    command.get_subcommands().for_each(|below| add(page, below, &format!("{heading}#")));
}

/// An argument as a list item.
fn item(argument: &Arg) -> String {
    let help = argument.get_long_help().or_else(|| argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut sentences = vec![sentence(&help)];
    let defaults: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if takes_value(argument) && !defaults.is_empty() {
        sentences.push(format!("Default: `{}`.", defaults.join(" ")));
    }
    if let Some(variable) = argument.get_env() {
        sentences.push(format!("Also `{}` in the environment.", variable.to_string_lossy()));
    }
    let values = if takes_value(argument) { argument.get_possible_values() } else { Vec::new() };
    let explained = values.iter().any(|value| value.get_help().is_some());
    if !values.is_empty() && !explained {
        let names: Vec<_> = values.iter().map(|value| format!("`{}`", value.get_name())).collect();
        sentences.push(format!("One of {}.", names.join(", ")));
    }
    sentences.retain(|sentence| !sentence.is_empty());
    let mut item = format!("- `{}`: {}\n", name(argument), sentences.join(" "));
    for value in values.iter().filter(|_| explained) {
        let help = value.get_help().map(ToString::to_string).unwrap_or_default();
        item.push_str(&format!("  - `{}`: {}\n", value.get_name(), sentence(&help)));
    }
    item
}

/// The help text on one line, with the full stop that clap removes.
fn sentence(help: &str) -> String {
    let words: Vec<&str> = help.split_whitespace().collect();
    let line = text(&words.join(" "));
    if line.is_empty() || line.ends_with('.') { line } else { format!("{line}.") }
}

fn takes_value(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Set | ArgAction::Append)
}

/// `-f, --users-file <FILE>`
fn name(argument: &Arg) -> String {
    let mut names = Vec::new();
    names.extend(argument.get_short().map(|short| format!("-{short}")));
    names.extend(argument.get_long().map(|long| format!("--{long}")));
    let value =
        argument.get_value_names().map_or_else(|| argument.get_id().as_str().to_uppercase(), |names| names.join(" "));
    match (names.is_empty(), takes_value(argument)) {
        (true, _) => value,
        (false, true) => format!("{} <{value}>", names.join(", ")),
        (false, false) => names.join(", "),
    }
}
