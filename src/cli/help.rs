//! The help of `muster` alone, with the commands by task, examples and hints for commands that do not exist.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

use super::{examples, output};

/// The commands of each task.
const TASKS: [(&str, &[&str]); 5] = [
    ("Server", &["quickstart", "serve", "migrate", "organization", "sso", "secrets"]),
    ("People", &["user", "batch", "invitation", "group", "policy"]),
    ("Access", &["login", "whoami", "logout", "session", "sign-in", "api-key", "service-account", "key"]),
    ("Operations", &["doctor", "audit", "mail", "config", "healthcheck"]),
    ("Shell", &["completions", "man", "help"]),
];

/// What people try that is no command, and the command for it.
const SYNONYMS: [(&[&str], &str); 10] = [
    (
        &["import", "add", "new", "create", "bulk-create", "upload"],
        "`muster user batch-create -f FILE` creates users; `muster invitation create` invites them",
    ),
    (&["dump", "backup"], "`muster user list -o csv` prints all users; to back up the database, use pg_dump"),
    (&["ls", "users", "members"], "`muster user list` lists users"),
    (
        &["passwd", "password", "set-password", "reset-password", "change-password"],
        "`muster user link` makes a link with which a user sets a password",
    ),
    (&["rm", "remove", "del", "destroy"], "`muster user delete` deletes users, `muster batch undo` those of a batch"),
    (&["disable", "block", "lock", "deactivate", "ban"], "`muster user suspend` suspends users"),
    (&["enable", "unblock", "unlock", "activate"], "`muster user reactivate` reactivates users"),
    (&["promote", "demote", "grant", "role", "set-role"], "`muster user set-permission` changes the permission level"),
    (&["rollback", "revert"], "`muster batch undo` deletes the users of a batch"),
    (&["start", "run", "init", "server", "status"], "`muster serve` starts the server, `muster doctor` checks it"),
];

/// Shows the commands by task in the help of the program.
pub(super) fn by_task(command: Command) -> Command {
    let mut command = examples::add(command, "");
    command.build();
    let about = |name: &&&str| {
        let about = command.find_subcommand(name)?.get_about()?.to_string();
        Some(format!("  {name:15}  {}\n", about.trim_end_matches('.')))
    };
    let tasks = TASKS
        .map(|(task, names)| format!("{task}:\n{}", names.iter().filter_map(|name| about(&name)).collect::<String>()));
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}\nOptions:\n{{options}}{{after-help}}",
        tasks.join("\n")
    );
    command.help_template(template)
}

/// Prints help or an error, with a hint, and exits.
pub(super) fn exit(error: &Error) -> ! {
    let _ = error.print();
    if let Some(hint) = hint(error) {
        output::say(&format!("\nhint: {hint}"));
    }
    std::process::exit(error.exit_code());
}

fn hint(error: &Error) -> Option<&'static str> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(tried)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    SYNONYMS.iter().find(|(tries, _)| tries.contains(&tried.as_str())).map(|(_, hint)| *hint)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_command_belongs_to_one_task() {
        let mut command = Cli::command();
        command.build();
        let listed: Vec<&str> = TASKS.iter().flat_map(|(_, names)| *names).copied().collect();
        let known: BTreeSet<&str> = command.get_subcommands().map(Command::get_name).collect();
        assert_eq!(listed.len(), known.len());
        assert_eq!(BTreeSet::from_iter(listed), known);
    }

    #[test]
    fn the_commands_of_hints_exist() {
        for (_, hint) in SYNONYMS {
            for words in hint.split('`').skip(1).step_by(2).filter_map(|words| words.strip_prefix("muster ")) {
                let names = words.split(' ').take_while(|word| !word.starts_with('-'));
                let mut command = Cli::command();
                for name in names {
                    command = command.find_subcommand(name).unwrap_or_else(|| panic!("no command {name}")).clone();
                }
            }
        }
    }
}
