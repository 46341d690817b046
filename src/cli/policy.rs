//! `muster policy …`: the roles that group members have in the organization, over HTTP.

use muster_client::{Policy, PolicyBinding};

use super::Exit;
use super::output::{self, Format};
use super::remote::RemoteArgs;

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Show the role of each group.
    Get {
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Replace all bindings, effective immediately. Groups that are not given lose their role.
    Set {
        /// Group whose members are owners; repeatable.
        #[arg(long, value_name = "GROUP_ID", required_unless_present_any = ["collaborator", "none"])]
        owner: Vec<String>,
        /// Group whose members are collaborators; repeatable.
        #[arg(long, value_name = "GROUP_ID")]
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
            let bindings: Vec<PolicyBinding> = [("owner", owner), ("collaborator", collaborator)]
                .into_iter()
                .filter(|(_, groups)| !groups.is_empty())
                .map(|(role, principals)| PolicyBinding { role_name: role.to_owned(), principals })
                .collect();
            show(remote.output, &remote.client()?.set_policy(&bindings).await?)
        }
    }
}

fn show(format: Format, policy: &Policy) -> Result<(), Exit> {
    let rows = policy.bindings.iter().flat_map(|binding| {
        binding.principals.iter().map(|group_id| vec![binding.role_name.clone(), group_id.clone()])
    });
    output::print_rows(format, policy, &["ROLE", "GROUP ID"], rows)
}
