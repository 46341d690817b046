//! The command line: parses arguments, calls one operation, prints the result.
//!
//! `user`, `batch`, `group`, `policy`, `invitation`, `api-key`, `service-account`, `session`, `sign-in`, `mail` and `audit` talk to a server over HTTP
//! with an API key, which `login` obtains. `organization`, `sso`, `secrets`, `key`, `doctor`, `user link --recover` and, with `--local`, `audit` access
//! the database directly, as the local operator: access to the database is the permission. Data goes to standard output, messages to standard error.
//! Exit status: 0 success, 1 rejected, 2 usage error or something unreachable.

mod api_key;
mod args;
mod audit;
mod batch;
mod batch_create;
mod batch_undo;
mod batch_wait;
mod columns;
mod completions;
mod config;
mod credentials;
mod doctor;
mod examples;
mod exit;
mod file_args;
mod file_report;
mod find;
mod generated_passwords;
mod group;
mod healthcheck;
mod help;
mod invitation;
mod key;
mod listing;
mod local;
mod local_hash;
mod login;
mod mail;
mod man;
mod organization;
mod output;
mod password;
mod plan_summary;
mod policy;
mod private_file;
mod progress;
mod quickstart;
mod remote;
mod secrets;
mod serve;
mod service_account;
mod session;
mod sign_in;
mod sso;
mod user;
mod user_apply;
mod user_change;
mod user_convert;
mod user_export;
mod user_filter;
mod user_link;
mod user_list;
mod whoami;

use args::ServeArgs;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
pub use exit::Exit;
pub use output::say;

/// User provisioning: creates all users of a list, or none.
#[derive(Debug, Parser)]
#[command(name = "muster", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "\
To try muster, run `muster quickstart`; it needs no configuration and no database.
Exit status: 0 success, 1 rejected, 2 usage error or something unreachable.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a server, create two example users through its HTTP API, and continue serving.
    Quickstart(quickstart::Args),
    /// Start the server.
    Serve(ServeArgs),
    /// Migrate the database schema and, in a new database, create the first organization and its owner key.
    Migrate(serve::MigrateArgs),
    /// Create, list, update, suspend and delete users, through a server's HTTP API.
    #[command(subcommand)]
    User(user::Command),
    /// List, show, wait for, cancel and undo batches of users, through a server's HTTP API.
    #[command(subcommand)]
    Batch(batch::Command),
    /// Create service accounts and their API keys, through a server's HTTP API.
    #[command(subcommand)]
    ServiceAccount(service_account::Command),
    /// Create, list, rotate and revoke API keys, through a server's HTTP API.
    #[command(subcommand)]
    ApiKey(api_key::Command),
    /// List and end sessions of browsers, through a server's HTTP API.
    #[command(subcommand)]
    Session(session::Command),
    /// Log in to a server: get an API key once the login is approved; or approve a login.
    Login(login::Args),
    /// Log out of a server: revoke and remove the API key of `login`.
    Logout(login::LogoutArgs),
    /// Show the server that commands use, and the user, organization and API key that they act as.
    Whoami(whoami::Args),
    /// Create, list, revoke and accept invitations, through a server's HTTP API.
    #[command(subcommand)]
    Invitation(invitation::Command),
    /// Create, list and rename organizations, directly in the database, as the local operator.
    #[command(subcommand)]
    Organization(organization::Command),
    /// Show and set how people sign in, through a server's HTTP API.
    #[command(subcommand)]
    SignIn(sign_in::Command),
    /// Encrypt stored secrets with another key, directly in the database, as the local operator.
    #[command(subcommand)]
    Secrets(secrets::Command),
    /// Set up single sign-on, directly in the database, as the local operator.
    #[command(subcommand)]
    Sso(sso::Command),
    /// Create groups of users and change their members, through a server's HTTP API.
    #[command(subcommand)]
    Group(group::Command),
    /// Show and set the roles of groups, through a server's HTTP API.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Create, list, rotate and revoke API keys, directly in the database, as the local operator.
    #[command(subcommand)]
    Key(key::Command),
    /// List the messages that a server has sent by mail, send a failed one again, and send a test message.
    #[command(subcommand)]
    Mail(mail::Command),
    /// Read the audit log, through a server's HTTP API, or directly in the database.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Check the database, the machine and the settings, and report problems with advice.
    Doctor(doctor::Args),
    /// Check the settings, or print all of them.
    #[command(subcommand)]
    Config(config::Command),
    /// Probe the server with these settings, for the health check of a container. The exit status is 1 if it is not
    /// alive.
    Healthcheck(ServeArgs),
    /// Print a shell completion script.
    Completions(completions::Args),
    /// Print the manual page, or write one page per command to a directory.
    Man(man::Args),
}

impl Cli {
    /// Parses the command line. Prints help or an error and exits, if that is what the command line leads to.
    #[must_use]
    pub fn from_command_line() -> Self {
        let matches = help::by_task(Self::command()).try_get_matches();
        matches.and_then(|matches| Self::from_arg_matches(&matches)).unwrap_or_else(|error| help::exit(&error))
    }

    /// Runs the command.
    ///
    /// # Errors
    /// The error message and the exit status.
    pub fn run(self) -> Result<(), Exit> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        // Its threads do the database I/O of all HTTP workers.
        let threads = std::thread::available_parallelism().map_or(2, |threads| threads.get().max(2));
        let runtime = builder.worker_threads(threads).enable_all().build().map_err(Exit::usage)?;
        let result = runtime.block_on(async {
            match self.command {
                Command::Quickstart(args) => quickstart::run(&args).await,
                Command::Serve(args) => serve::run(&args).await,
                Command::Migrate(args) => serve::migrate(&args).await,
                Command::User(command) => user::run(command).await,
                Command::Batch(command) => batch::run(command).await,
                Command::ServiceAccount(command) => service_account::run(command).await,
                Command::ApiKey(command) => api_key::run(command).await,
                Command::Session(command) => session::run(command).await,
                Command::Login(args) => login::run(args).await,
                Command::Logout(args) => login::log_out(&args).await,
                Command::Whoami(args) => whoami::run(&args).await,
                Command::Invitation(command) => invitation::run(command).await,
                Command::Organization(command) => organization::run(command).await,
                Command::SignIn(command) => sign_in::run(command).await,
                Command::Secrets(command) => secrets::run(command).await,
                Command::Sso(command) => sso::run(command).await,
                Command::Group(command) => group::run(command).await,
                Command::Policy(command) => policy::run(command).await,
                Command::Key(command) => key::run(command).await,
                Command::Mail(command) => mail::run(command).await,
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
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_valid() {
        Cli::command().debug_assert();
    }
}
