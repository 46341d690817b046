//! `muster policy …`: the roles that group members have in the organization, over HTTP.

use muster_client::{Policy, PolicyBinding};

use super::output::{self, Format};
use super::remote::RemoteArgs;
use super::{Exit, find};

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Show the role of each group.
    Get {
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Replace all bindings, effective immediately. Groups that are not given lose their role.
    Set {
        /// Group whose members are owners, by name or ID; repeatable.
        #[arg(long, value_name = "GROUP", required_unless_present_any = ["collaborator", "none"])]
        owner: Vec<String>,
        /// Group whose members are collaborators, by name or ID; repeatable.
        #[arg(long, value_name = "GROUP")]
        collaborator: Vec<String>,
        /// Remove all bindings.
        #[arg(long, conflicts_with_all = ["owner", "collaborator"])]
        none: bool,
        #[command(flatten)]
        remote: RemoteArgs,
    },
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::Get { remote } => show(remote.output, &remote.client()?.policy().await?),
        Command::Set { owner, collaborator, none: _, remote } => {
            let client = remote.client()?;
            let mut bindings = Vec::new();
            for (role, groups) in [("owner", owner), ("collaborator", collaborator)] {
                let mut principals = Vec::with_capacity(groups.len());
                for group in groups {
                    principals.push(find::group_id(&client, &group).await?);
                }
                if !principals.is_empty() {
                    bindings.push(PolicyBinding { role_name: role.to_owned(), principals });
                }
            }
            show(remote.output, &client.set_policy(&bindings).await?)
        }
    }
}

fn show(format: Format, policy: &Policy) -> Result<(), Exit> {
    let rows = policy.bindings.iter().flat_map(|binding| {
        binding.principals.iter().map(|group_id| vec![binding.role_name.clone(), group_id.clone()])
    });
    output::print_rows(format, policy, &["ROLE", "GROUP ID"], rows)
}
