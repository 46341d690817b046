//! The command line. A door like HTTP: parses, calls one operation, renders.
//!
//! `user …`, `batch …`, `group …`, `policy …`, `invitation …`, `api-key …` and `service-account …` commands talk to a
//! server over HTTP with an API key, from anywhere; `login` gets one. `organization …`, `key …`, `audit …` and `doctor` work on the database itself, as the local
//! operator: whoever can reach the
//! database may. Data goes to standard output, words to standard error. Exit status: 0 done,
//! 1 refused, 2 wrong usage or something could not be reached.

mod api_key;
mod args;
mod audit;
mod batch;
mod batch_create;
mod batch_undo;
mod completions;
mod config;
mod credentials;
mod doctor;
mod exit;
mod file_report;
mod group;
mod healthcheck;
mod invitation;
mod key;
mod listing;
mod local;
mod local_hash;
mod login;
mod man;
mod organization;
mod output;
mod password;
mod policy;
mod progress;
mod quickstart;
mod remote;
mod serve;
mod service_account;
mod user;
mod user_change;
mod user_list;

use args::{ConfigArgs, ServeArgs};
use clap::{Parser, Subcommand};
pub use exit::Exit;
pub use output::say;

/// Creates users on an administrator's word: all of a list or none.
#[derive(Debug, Parser)]
#[command(name = "muster", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "\
Start with `muster quickstart`: it needs no configuration and no database.
Exit status: 0 done, 1 refused, 2 wrong usage or something could not be reached.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve, create the two users of the example through the HTTP API, show them, go on serving.
    Quickstart(quickstart::Args),
    /// Serve the HTTP API.
    Serve(ServeArgs),
    /// Bring the database's schema up to date, and make the first organization and key.
    Migrate(ConfigArgs),
    /// Create, look up, change, suspend and delete users, through a server's HTTP API.
    #[command(subcommand)]
    User(user::Command),
    /// Look at batches of users, cancel and undo them, through a server's HTTP API.
    #[command(subcommand)]
    Batch(batch::Command),
    /// Make service accounts and their API keys, through a server's HTTP API.
    #[command(subcommand)]
    ServiceAccount(service_account::Command),
    /// Make, list, rotate and revoke API keys, through a server's HTTP API.
    #[command(subcommand)]
    ApiKey(api_key::Command),
    /// Get an API key from a server, which somebody who has one approves; or approve it.
    Login(login::Args),
    /// Revoke the API key that `login` got, and forget it.
    Logout(login::LogoutArgs),
    /// Invite people, list and take back invitations, accept one, through a server's HTTP API.
    #[command(subcommand)]
    Invitation(invitation::Command),
    /// Make, list and rename organizations, in the database, as the local operator.
    #[command(subcommand)]
    Organization(organization::Command),
    /// Put users together in groups, through a server's HTTP API.
    #[command(subcommand)]
    Group(group::Command),
    /// Look at and set what the members of groups may do, through a server's HTTP API.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Make, list, rotate and revoke API keys, in the database, as the local operator.
    #[command(subcommand)]
    Key(key::Command),
    /// Read the audit log, in the database, as the local operator.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Look at the database, the machine and the settings, and say what is wrong with them and what to do.
    Doctor(doctor::Args),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(config::Command),
    /// Ask whether the server with these settings lives: for the health check of a container. Ends with 1 if it can't
    /// be reached.
    Healthcheck(ServeArgs),
    /// Print what a shell needs to complete muster's commands and options.
    Completions(completions::Args),
    /// Print the manual page, or write one for each command into a folder.
    Man(man::Args),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// What to tell, and the exit status.
    pub fn run(self) -> Result<(), Exit> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).enable_all().build().map_err(Exit::usage)?;
        let ran = runtime.block_on(async {
            match self.command {
                Command::Quickstart(args) => quickstart::run(&args).await,
                Command::Serve(args) => serve::run(&args).await,
                Command::Migrate(args) => serve::migrate(&args).await,
                Command::User(command) => user::run(command).await,
                Command::Batch(command) => batch::run(command).await,
                Command::ServiceAccount(command) => service_account::run(command).await,
                Command::ApiKey(command) => api_key::run(command).await,
                Command::Login(args) => login::run(args).await,
                Command::Logout(args) => login::log_out(&args).await,
                Command::Invitation(command) => invitation::run(command).await,
                Command::Organization(command) => organization::run(command).await,
                Command::Group(command) => group::run(command).await,
                Command::Policy(command) => policy::run(command).await,
                Command::Key(command) => key::run(command).await,
                Command::Audit(command) => audit::run(command).await,
                Command::Doctor(args) => doctor::run(args).await,
                Command::Config(command) => config::run(&command),
                Command::Healthcheck(args) => healthcheck::run(&args).await,
                Command::Completions(args) => completions::run(&args),
                Command::Man(args) => man::run(&args),
            }
        });
        // The process exits now. Shutting the runtime down would wait for blocked file reads, and HTTP workers that still
        // use the runtime after a forced shutdown would panic.
        std::mem::forget(runtime);
        ran
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }
}
