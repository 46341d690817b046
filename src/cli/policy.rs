//! `muster policy …`: the roles that group members have in the organization, over HTTP.

use muster_client::{Client, Policy, PolicyAffectedUser, PolicyBinding, PolicyChanges};

use super::output::{self, Format, confirm, full_name};
use super::remote::RemoteArgs;
use super::{Exit, find};

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Show the role of each group.
    Get {
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Replace all bindings, effective immediately. Groups that are not given lose their role. Shows who gains and who loses
    /// permissions, and asks for confirmation.
    Set(SetArgs),
}

#[derive(clap::Args, Debug)]
pub(super) struct SetArgs {
    /// Group whose members are owners, by name or ID; repeatable.
    #[arg(long, value_name = "GROUP")]
    owner: Vec<String>,
    /// Group whose members are collaborators, by name or ID; repeatable.
    #[arg(long, value_name = "GROUP")]
    collaborator: Vec<String>,
    /// Remove all bindings.
    #[arg(long, conflicts_with_all = ["owner", "collaborator"])]
    none: bool,
    /// Show who would gain or lose permissions; change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Set the policy without confirmation.
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::Get { remote } => show(remote.output, &remote.client()?.policy().await?),
        Command::Set(args) => set(&args).await,
    }
}

async fn set(args: &SetArgs) -> Result<(), Exit> {
    if args.owner.is_empty() && args.collaborator.is_empty() && !args.none {
        return Err(Exit::usage(
            "no roles; name groups with `--owner` or `--collaborator`, or remove all roles with `--none`",
        ));
    }
    if !args.dry_run && !args.yes {
        output::require_terminal("`--yes` or `--dry-run`")?;
    }
    let client = args.remote.client()?;
    let bindings = args.bindings(&client).await?;
    let planned = client.plan_policy(&bindings).await?;
    let changes = planned.changes.ok_or_else(|| Exit::usage("the server does not support a dry run of policies"))?;
    if args.dry_run {
        output::print_rows(args.remote.output, &changes, &CHANGES_HEADER, change_rows(&changes))?;
    } else if !(changes.gained.is_empty() && changes.lost.is_empty()) {
        output::say(&output::table(&CHANGES_HEADER, change_rows(&changes)));
    }
    let summary = |gained: &str, lost: &str| {
        let (gaining, losing) = (output::users(changes.gained.len()), output::users(changes.lost.len()));
        format!("{gaining} {gained} the permissions of an owner, {} {lost} them", losing)
    };
    if args.dry_run {
        output::say(&format!("dry run: {}; nothing was written", summary("would gain", "would lose")));
        return Ok(());
    }
    if !args.yes {
        output::say(&summary("would gain", "would lose"));
        if !confirm("set the policy? [y/N] ") {
            return Err(Exit::rejected("the policy was not changed"));
        }
    }
    let policy = client.set_planned_policy(&bindings, &changes.plan).await.map_err(|error| {
        if error.outcome_unknown() {
            return Exit::usage(format!("{error}; the outcome is unknown: check with `muster policy get`"));
        }
        error.into()
    })?;
    show(args.remote.output, &Policy { changes: None, ..policy })?;
    output::say(&summary("gained", "lost"));
    Ok(())
}

impl SetArgs {
    async fn bindings(&self, client: &Client) -> Result<Vec<PolicyBinding>, Exit> {
        let mut bindings = Vec::new();
        for (role, groups) in [("owner", &self.owner), ("collaborator", &self.collaborator)] {
            let mut principals = Vec::with_capacity(groups.len());
            for group in groups {
                principals.push(find::group_id(client, group).await?);
            }
            if !principals.is_empty() {
                bindings.push(PolicyBinding { role_name: role.to_owned(), principals });
            }
        }
        Ok(bindings)
    }
}

const CHANGES_HEADER: [&str; 5] = ["CHANGE", "EMAIL", "NAME", "USER ID", "THROUGH GROUP"];

fn change_rows(changes: &PolicyChanges) -> impl Iterator<Item = Vec<String>> {
    let row = |change: &str, user: &PolicyAffectedUser| {
        let name = full_name(&user.name, user.lastname.as_deref());
        vec![change.to_owned(), user.email.clone(), name, user.user_id.clone(), user.groups.join(", ")]
    };
    let gained = changes.gained.iter().map(move |user| row("gains owner", user));
    gained.chain(changes.lost.iter().map(move |user| row("loses owner", user)))
}

fn show(format: Format, policy: &Policy) -> Result<(), Exit> {
    let rows = policy.bindings.iter().flat_map(|binding| {
        binding.principals.iter().map(|group_id| vec![binding.role_name.clone(), group_id.clone()])
    });
    output::print_rows(format, policy, &["ROLE", "GROUP ID"], rows)
}
