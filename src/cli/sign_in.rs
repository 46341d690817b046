//! `muster sign-in …`: how the people of the organization sign in, over HTTP.

use muster_client::SignInPolicy;

use super::Exit;
use super::output::{self, Format, TableRow};
use super::remote::RemoteArgs;
use crate::sign_in_policies::{OwnersSso, SsoMode};

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Show and set whether people sign in with passwords or through identity providers.
    #[command(subcommand)]
    Policy(PolicyCommand),
}

#[derive(clap::Subcommand, Debug)]
pub(super) enum PolicyCommand {
    /// Show the policy.
    Show {
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Replace the policy, effective immediately, and end the sessions that the new one does not allow. API keys stay.
    Set(SetArgs),
}

#[derive(clap::Args, Debug)]
pub(super) struct SetArgs {
    /// Whether people sign in through identity providers. `required`: passwords and links to set one don't sign in.
    #[arg(long, value_enum)]
    sso: SsoMode,
    /// Whether `--sso required` is for owners, too.
    #[arg(long, value_enum, default_value = "optional")]
    owners_sso: OwnersSso,
    #[command(flatten)]
    remote: RemoteArgs,
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    let Command::Policy(command) = command;
    match command {
        PolicyCommand::Show { remote } => output::print_one(remote.output, &remote.client()?.sign_in_policy().await?),
        PolicyCommand::Set(args) => set(&args).await,
    }
}

async fn set(args: &SetArgs) -> Result<(), Exit> {
    let client = args.remote.client()?;
    let policy = client.set_sign_in_policy(args.sso.as_str(), args.owners_sso.as_str()).await?;
    output::print_one(args.remote.output, &policy)?;
    output::say(&format!("{} ended", output::count(policy.ended_sessions.unwrap_or_default(), "session")));
    Ok(())
}

impl TableRow for SignInPolicy {
    const HEADER: &'static [&'static str] = &["SSO", "OWNERS", "CHANGED"];

    fn cells(&self, _: Format) -> Vec<String> {
        let changed = self.changed_at.map(output::time).unwrap_or_default();
        vec![output::clean(&self.sso_mode), output::clean(&self.owners_sso), changed]
    }
}
