//! Every `muster …` command on a page exists and accepts the options it is given.

use clap::{Arg, Command, CommandFactory};
use muster::cli::Cli;

use crate::markdown::{Part, pages, parts, read};

/// Other files that mention commands.
const OTHERS: [&str; 4] =
    ["compose.yaml", "config/muster.toml", "deploy/helm/muster/templates/NOTES.txt", "deploy/observability/alerts.yml"];

/// The inline code of a text; it may span lines.
fn inline_code(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(|code| code.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The commands of a page: those in its terminal and script blocks, and its inline code.
fn commands(page: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut paragraph = String::new();
    for part in parts(page) {
        match part {
            Part::Line(line) if !line.trim().is_empty() => paragraph.push_str(&format!("{line}\n")),
            Part::Line(_) => commands.extend(inline_code(&std::mem::take(&mut paragraph))),
            Part::Code(code) => {
                commands.extend(inline_code(&std::mem::take(&mut paragraph)));
                if matches!(code.info, "console" | "sh") {
                    commands.extend(typed(&code.lines, code.info == "console"));
                }
            }
        }
    }
    commands.extend(inline_code(&paragraph));
    commands
}

/// The commands typed in a block, with continued lines joined.
fn typed(lines: &[&str], has_prompt: bool) -> Vec<String> {
    let mut typed: Vec<String> = Vec::new();
    let mut is_continued = false;
    for line in lines {
        let (begins, text) = match (line.strip_prefix("$ "), line.strip_prefix("> ")) {
            (Some(text), _) => (true, text),
            (_, Some(text)) if has_prompt => (false, text),
            _ if is_continued || !has_prompt => (!is_continued, *line),
            _ => continue,
        };
        let (text, continues) = text.strip_suffix('\\').map_or((text, false), |text| (text, true));
        match typed.last_mut() {
            Some(last) if !begins => last.push_str(&format!(" {text}")),
            _ => typed.push(text.to_owned()),
        }
        is_continued = continues;
    }
    typed
}

/// The arguments of each call of muster in a command.
fn calls(command: &str) -> Vec<Vec<String>> {
    let words: Vec<_> = command.split_whitespace().collect();
    let ends = |word: &str| matches!(word, "|" | "\\|" | "||" | "&&" | ">" | "<" | "#");
    let mut calls = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let is_program = *word == "muster"
            || word.starts_with(['/', '~']) && word.ends_with("/muster")
            || *word == "target/release/muster";
        let before = at.checked_sub(1).map(|at| words[at]);
        // `sudo -u muster muster …`, `docker compose exec muster muster …`, `… run --rm muster migrate`.
        let is_called = before.is_none_or(|before| {
            ends(before)
                || before.ends_with(';')
                || matches!(before, "--" | "muster" | "sudo" | "--rm")
                || is_setting(before)
        });
        if is_program && is_called && words.get(at + 1) != Some(&"muster") {
            let rest = words[at + 1..].iter().take_while(|word| !ends(word));
            let mut call: Vec<String> = Vec::new();
            for word in rest {
                call.push(word.trim_end_matches([';', ')', ',']).to_owned());
                if word.ends_with([';', ')']) {
                    break;
                }
            }
            calls.push(call);
        }
    }
    calls
}

/// `NAME=value` before a command.
fn is_setting(word: &str) -> bool {
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    word.split_once('=').is_some_and(|(name, _)| is_name(name))
}

/// Returns an error if the call is invalid. `create|list` stands for several commands.
fn check(program: &Command, call: &[String]) -> Option<String> {
    let (first, rest) = call.split_first()?;
    // `login` has options and subcommands.
    let is_own_option =
        program.get_arguments().filter_map(Arg::get_long).any(|long| first.strip_prefix("--") == Some(long));
    if program.has_subcommands() && !is_own_option {
        if matches!(first.as_str(), "…" | "COMMAND" | "--help" | "--version") {
            return None;
        }
        for name in first.split('|') {
            let Some(found) = program.find_subcommand(name) else {
                return Some(format!("`{}` has no command `{name}`", program.get_name()));
            };
            if let Some(error) = check(found, rest) {
                return Some(error);
            }
        }
        return None;
    }
    let options =
        call.iter().take_while(|word| *word != "--").filter_map(|word| word.trim_start_matches('[').strip_prefix('-'));
    for option in options.filter(|option| !option.is_empty()) {
        let option = option.split(['=', '…', ']']).next().unwrap();
        let known = match option.strip_prefix('-') {
            None => option
                .chars()
                .next()
                .is_none_or(|c| c == 'h' || program.get_arguments().any(|arg| arg.get_short() == Some(c))),
            Some(long) => {
                long == "help"
                    || program
                        .get_arguments()
                        .any(|arg| arg.get_long_and_visible_aliases().is_some_and(|all| all.contains(&long)))
            }
        };
        if !known {
            return Some(format!("`{}` has no option `-{option}`", program.get_name()));
        }
    }
    None
}

#[test]
fn every_command_on_a_page_exists_and_accepts_its_options() {
    let program = Cli::command();
    let texts = pages().into_iter().map(|page| (commands(&read(&page)), page));
    let others = OTHERS.map(|name| (read(name).split("\n\n").flat_map(inline_code).collect(), name.to_owned()));
    let mut checked = 0;
    let mut findings = Vec::new();
    for (commands, page) in texts.chain(others) {
        for command in commands {
            for call in calls(&command) {
                checked += usize::from(!call.is_empty());
                findings.extend(check(&program, &call).map(|error| format!("{page}: {error}: {command}")));
            }
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert!(checked > 150, "found only {checked} commands");
}

#[test]
fn unknown_commands_and_options_are_found() {
    let program = Cli::command();
    for (page, finding) in [
        (
            "All of them: `muster service-account\nrotate-api-keys`.",
            "`service-account` has no command `rotate-api-keys`",
        ),
        ("`sudo -u muster muster key make --name me`", "`key` has no command `make`"),
        ("`muster batch list|shows|undo`", "`batch` has no command `shows`"),
        ("| `muster man --nowhere \\| man -l -` |", "`man` has no option `--nowhere`"),
        ("```console\n$ docker compose exec muster muster user list --pages 3\n```", "`list` has no option `--pages`"),
        ("```console\n$ muster user \\\n    lists\nmuster is the output\n```", "`user` has no command `lists`"),
        ("```sh\nA=1 muster serves\n```", "`muster` has no command `serves`"),
        ("```sh\nkubectl exec deploy/muster -- muster key list -z\n```", "`list` has no option `-z`"),
    ] {
        let calls: Vec<_> = commands(page).iter().flat_map(|command| calls(command)).collect();
        let found: Vec<_> = calls.iter().filter_map(|call| check(&program, call)).collect();
        assert_eq!(found, [finding], "{page}: {calls:?}");
    }
    let page = "`muster`, `createuser muster`, `muster key create|list`, `helm install muster ./chart -n muster -f v`, `muster key …`";
    assert!(commands(page).iter().flat_map(|command| calls(command)).all(|call| check(&program, &call).is_none()));
}
