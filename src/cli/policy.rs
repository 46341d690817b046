//! `muster policy …`: what the members of groups may do, over HTTP.

use muster_client::{Policy, PolicyBinding};

use super::Exit;
use super::output::{self, Format};
use super::user::ServerArgs;

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Show which groups are bound to what.
    Get {
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Replace all bindings. Those that are not given end; it holds at once.
    Set {
        /// A group whose members are owners. Can be given several times.
        #[arg(long, value_name = "GROUP_ID", required_unless_present_any = ["collaborator", "none"])]
        owner: Vec<String>,
        /// A group whose members are collaborators. Can be given several times.
        #[arg(long, value_name = "GROUP_ID")]
        collaborator: Vec<String>,
        /// Bind no group.
        #[arg(long, conflicts_with_all = ["owner", "collaborator"])]
        none: bool,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        server: ServerArgs,
    },
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::Get { output, server } => show(output, &server.client()?.policy().await?),
        Command::Set { owner, collaborator, none: _, output, server } => {
            let bindings: Vec<PolicyBinding> = [("owner", owner), ("collaborator", collaborator)]
                .into_iter()
                .filter(|(_, groups)| !groups.is_empty())
                .map(|(role, principals)| PolicyBinding { role_name: role.to_owned(), principals })
                .collect();
            show(output, &server.client()?.set_policy(&bindings).await?)
        }
    }
}

fn show(format: Format, policy: &Policy) -> Result<(), Exit> {
    let rows = policy.bindings.iter().flat_map(|binding| {
        binding.principals.iter().map(|group_id| vec![binding.role_name.clone(), group_id.clone()])
    });
    output::print_list(format, policy, &["ROLE", "GROUP ID"], rows)
}
