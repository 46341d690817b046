//! An example in the help of every command. Commands that need more than a line have their own (`after_help`).

use clap::Command;

/// The examples of each command, without `muster`.
const EXAMPLES: [(&str, &[&str]); 77] = [
    ("quickstart", &["quickstart", "quickstart --data-dir ./muster-data --exit"]),
    ("serve", &["serve", "serve --config /etc/muster/muster.toml --listen 0.0.0.0:8080"]),
    ("migrate", &["migrate --config /etc/muster/muster.toml", "migrate --grant-to muster_app"]),
    ("user batch-create", &["user batch-create -f people.csv --dry-run", "user batch-create -f people.csv -o csv"]),
    ("user template", &["user template --format csv"]),
    ("user list", &["user list", "user list --max-items 20 -o json"]),
    ("user get", &["user get ada@example.com", "user get usr_01k9h6m3x0e8wbz1v5n7q2r4t6 -o json"]),
    ("user search", &["user search lovelace", "user search example.com --permission owner -o csv"]),
    ("user update", &["user update ada@example.com --title Countess", "user update -f changes.csv --dry-run"]),
    ("user suspend", &["user suspend ada@example.com", "user suspend -f leavers.csv"]),
    ("user reactivate", &["user reactivate ada@example.com"]),
    ("user delete", &["user delete ada@example.com", "user delete -f leavers.csv --yes"]),
    ("user set-permission", &["user set-permission ada@example.com owner"]),
    ("user list-permissions", &["user list-permissions", "user list-permissions --user ada@example.com"]),
    ("batch list", &["batch list --state failed", "batch list -f people.csv"]),
    ("batch show", &["batch show bat_01k9h6m3x0e8wbz1v5n7q2r4t6"]),
    ("batch wait", &["batch wait bat_01k9h6m3x0e8wbz1v5n7q2r4t6"]),
    ("batch results", &["batch results bat_01k9h6m3x0e8wbz1v5n7q2r4t6 -o csv"]),
    ("batch cancel", &["batch cancel bat_01k9h6m3x0e8wbz1v5n7q2r4t6"]),
    ("batch undo", &["batch undo bat_01k9h6m3x0e8wbz1v5n7q2r4t6"]),
    ("service-account create", &["service-account create --name ci"]),
    ("service-account list", &["service-account list"]),
    ("service-account create-key", &["service-account create-key --name ci"]),
    ("service-account rotate-keys", &["service-account rotate-keys --name ci"]),
    ("service-account delete", &["service-account delete --name ci"]),
    (
        "api-key create",
        &["api-key create --name laptop --expires-in 30d", "api-key create --name auditor --scope audit:read"],
    ),
    ("api-key list", &["api-key list"]),
    ("api-key get", &["api-key get key_01k9h6m3x0e8wbz1v5n7q2r4t6"]),
    ("api-key rotate", &["api-key rotate key_01k9h6m3x0e8wbz1v5n7q2r4t6 --overlap 1h"]),
    ("api-key revoke", &["api-key revoke key_01k9h6m3x0e8wbz1v5n7q2r4t6"]),
    ("session list", &["session list", "session list ada@example.com -o json", "session list --everyone"]),
    (
        "session end",
        &["session end ses_01k9h6m3x0e8wbz1v5n7q2r4t6", "session end --user ada@example.com", "session end --everyone"],
    ),
    ("logout", &["logout", "logout --host https://muster.example.org"]),
    ("invitation create", &["invitation create ada@example.com --role owner", "invitation create -f people.csv"]),
    ("invitation list", &["invitation list", "invitation list --email ada@example.com"]),
    ("invitation invalidate", &["invitation invalidate orginv_01k9h6m3x0e8wbz1v5n7q2r4t6"]),
    ("invitation accept", &["invitation accept https://muster.example.org/invitations/oit_… --name Ada"]),
    ("mail list", &["mail list", "mail list --state failed"]),
    ("mail retry", &["mail retry mail_01k9h6m3x0e8wbz1v5n7q2r4t6"]),
    ("mail test", &["mail test ada@example.com --config /etc/muster/muster.toml"]),
    ("organization create", &["organization create Example --identifier example"]),
    ("organization list", &["organization list"]),
    ("organization rename", &["organization rename example Example"]),
    ("sign-in policy show", &["sign-in policy show", "sign-in policy show -o json"]),
    (
        "sign-in policy set",
        &["sign-in policy set --sso required", "sign-in policy set --sso required --owners-sso required"],
    ),
    ("secrets reseal", &["secrets reseal"]),
    (
        "sso provider add",
        &[
            "sso provider add okta --preset okta --issuer https://example.okta.com --client-id 0oa1 --client-secret-file secret --domain example.com",
        ],
    ),
    ("sso provider list", &["sso provider list"]),
    ("sso provider show", &["sso provider show okta -o json"]),
    ("sso provider update", &["sso provider update okta --second-client-secret-file new-secret"]),
    ("sso provider remove", &["sso provider remove okta"]),
    ("sso provider test", &["sso provider test okta"]),
    ("sso identity list", &["sso identity list ada@example.com"]),
    ("sso identity bind", &["sso identity bind ada@example.com --provider okta --subject 00u1"]),
    ("sso identity unbind", &["sso identity unbind ada@example.com sid_01k9h6m3x0e8wbz1v5n7q2r4t6"]),
    ("sso set-sso", &["sso set-sso ada@example.com"]),
    ("sso set-password-user", &["sso set-password-user ada@example.com"]),
    ("group create", &["group create research"]),
    ("group rename", &["group rename research development"]),
    ("group delete", &["group delete research"]),
    ("group list", &["group list"]),
    ("group get", &["group get research"]),
    ("group members", &["group members research -o csv"]),
    ("group add", &["group add research ada@example.com ben@example.com", "group add research -f people.csv"]),
    ("group remove", &["group remove research ada@example.com"]),
    ("policy get", &["policy get"]),
    ("policy set", &["policy set --owner administrators --dry-run"]),
    ("key create", &["key create --name ci --role owner --expires-in 90d"]),
    ("key list", &["key list", "key list --user ada@example.com"]),
    ("key show", &["key show key_01k9h6m3x0e8wbz1v5n7q2r4t6"]),
    ("key rotate", &["key rotate key_01k9h6m3x0e8wbz1v5n7q2r4t6 --overlap 0s"]),
    ("key revoke", &["key revoke key_01k9h6m3x0e8wbz1v5n7q2r4t6"]),
    ("doctor", &["doctor", "doctor --config /etc/muster/muster.toml -o json"]),
    ("config check", &["config check --config /etc/muster/muster.toml", "config check --defaults"]),
    ("healthcheck", &["healthcheck --config /etc/muster/muster.toml"]),
    ("completions", &["completions bash"]),
    ("man", &["man", "man --dir /usr/local/share/man/man1"]),
];

/// Adds the examples to the help of the commands below `command`, whose words are `path`.
pub(super) fn add(command: Command, path: &str) -> Command {
    let below: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    let command = below.iter().fold(command, |command, name| {
        let path = [path, name].join(" ").trim_start().to_owned();
        command.mut_subcommand(name, |below| add(below, &path))
    });
    match EXAMPLES.iter().find(|(known, _)| *known == path) {
        Some((_, examples)) if command.get_after_help().is_none() => {
            let heading = if examples.len() == 1 { "Example:" } else { "Examples:" };
            let lines: String = examples.iter().map(|words| format!("\n  muster {words}")).collect();
            command.after_help(format!("{heading}{lines}"))
        }
        _ => command,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    /// The examples in the help of every command without subcommands, by its words.
    fn shown(command: &Command, path: &str) -> Vec<(String, String)> {
        let below = command.get_subcommands().filter(|below| below.get_name() != "help");
        let mut all: Vec<(String, String)> =
            below.flat_map(|below| shown(below, [path, below.get_name()].join(" ").trim_start())).collect();
        if !command.has_subcommands() || command.get_name() == "login" {
            all.push((path.to_owned(), command.get_after_help().map(ToString::to_string).unwrap_or_default()));
        }
        all
    }

    #[test]
    fn every_command_has_examples_that_it_accepts() {
        for (path, help) in shown(&add(Cli::command(), ""), "") {
            let examples: Vec<&str> =
                help.lines().filter_map(|line| line.trim_start().strip_prefix("muster ")).collect();
            assert!(!examples.is_empty(), "{path} has no example");
            assert!(examples.iter().any(|example| example.starts_with(&path)), "{path}: {examples:?}");
            for example in examples {
                let words = example.split(" >").next().unwrap().split(' ');
                let parsed = Cli::command().try_get_matches_from(["muster"].into_iter().chain(words));
                assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
            }
        }
    }

    #[test]
    fn every_example_belongs_to_a_command() {
        for (path, _) in EXAMPLES {
            let mut command = Cli::command();
            for name in path.split(' ') {
                command = command.find_subcommand(name).unwrap_or_else(|| panic!("no command {path}")).clone();
            }
        }
    }
}
