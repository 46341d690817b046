//! `muster invitation …`: invitations, over HTTP. Creating and revoking requires an owner's API key; accepting, the link.

use std::io::Read;
use std::path::PathBuf;

use clap::ValueHint;
use muster_client::{
    AcceptInvitation, AcceptedInvitation, Client, CreatedInvitation, ExposeSecret, Invitation, InvitationError,
    NewInvitation, PermissionLevel, SecretString,
};
use serde_json::{Value, json};

use super::output::{self, Format, TableRow};
use super::remote::{RemoteArgs, builder, host};
use super::{Exit, password};
use crate::caller::PermissionLevel as Role;
use crate::config::environment;

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Create an invitation for each e-mail address. Prints the links to standard output, only once.
    ///
    /// muster sends no e-mail. A new invitation replaces a pending one for the same address. Each address is processed
    /// on its own; the exit status is 1 if any of them fails.
    Create(CreateArgs),
    /// List pending invitations. Links are not stored.
    List {
        /// Only the invitation for this e-mail address; case-insensitive.
        #[arg(long)]
        email: Option<String>,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Revoke an invitation, effective immediately.
    Invalidate {
        /// Invitation ID, as `muster invitation list` shows it, or e-mail address.
        #[arg(value_name = "ID|EMAIL")]
        invitation: String,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Accept an invitation: create the account. Requires no API key.
    Accept(AcceptArgs),
}

#[derive(clap::Args, Debug)]
pub(super) struct CreateArgs {
    /// E-mail addresses.
    #[arg(value_name = "EMAIL", required_unless_present = "file")]
    emails: Vec<String>,
    /// File of e-mail addresses, one per line; `-` reads standard input. Empty lines and lines that start with # are
    /// ignored.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// Permission level of the new accounts.
    #[arg(long, value_enum, default_value = "collaborator")]
    role: Role,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(clap::Args, Debug)]
pub(super) struct AcceptArgs {
    /// Invitation link, or the token at its end. `-` reads the first line of standard input, which other users of this
    /// machine can't see.
    #[arg(value_name = "TOKEN")]
    token: String,
    /// First name or full name.
    #[arg(long)]
    name: String,
    /// Last name.
    #[arg(long)]
    lastname: Option<String>,
    /// Title or position.
    #[arg(long)]
    title: Option<String>,
    /// Sign in through the organization's identity provider, without a password. Otherwise the password is prompted for
    /// on a terminal, or read from the first line of standard input (the second line if the first is the link).
    #[arg(long)]
    sso: bool,
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    /// Server URL [default: the server of the link, else MUSTER_HOST, else ANYSCALE_HOST, else http://127.0.0.1:8080].
    #[arg(long, value_name = "URL")]
    host: Option<String>,
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::Create(args) => create(&args).await,
        Command::List { email, remote } => {
            let invitations = remote.client()?.list_invitations(email.as_deref()).await?;
            output::print_list(remote.output, &invitations)
        }
        Command::Invalidate { invitation, remote } => revoke(&remote.client()?, &invitation, remote.output).await,
        Command::Accept(args) => accept(args).await,
    }
}

impl TableRow for Invitation {
    const HEADER: &'static [&'static str] = &["INVITATION ID", "EMAIL", "PERMISSION", "CREATED", "EXPIRES"];

    fn cells(&self, _: Format) -> Vec<String> {
        vec![
            self.id.clone(),
            self.email.clone(),
            self.permission_level.clone().unwrap_or_default(),
            output::time(self.created_at),
            output::time(self.expires_at),
        ]
    }
}

impl TableRow for AcceptedInvitation {
    const HEADER: &'static [&'static str] = &["USER ID", "EMAIL", "NAME", "PERMISSION"];

    fn cells(&self, _: Format) -> Vec<String> {
        vec![self.user_id.clone(), self.email.clone(), self.name.clone(), self.permission_level.clone()]
    }
}

async fn create(args: &CreateArgs) -> Result<(), Exit> {
    let client = args.remote.client()?;
    let mut emails = args.emails.clone();
    if let Some(file) = &args.file {
        emails.extend(addresses(&read(file)?));
    }
    if emails.is_empty() {
        return Err(Exit::usage("the file contains no e-mail address"));
    }
    // Collaborator is the default of every server; an Anyscale server does not know the field.
    let permission_level = matches!(args.role, Role::Owner).then_some(PermissionLevel::Owner);
    let invitations: Vec<NewInvitation> =
        emails.into_iter().map(|email| NewInvitation { email, permission_level }).collect();
    let outcomes = client.create_invitations(&invitations).await?;
    show_outcomes(args.remote.output, &outcomes)?;
    let failed = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    let failed: Vec<&InvitationError> = failed.collect();
    if failed.is_empty() {
        return Ok(());
    }
    for error in &failed {
        output::say(&format!("can't invite: {}", output::clean(&error.detail)));
    }
    Err(Exit::rejected(format!("{} of {} invitations failed", failed.len(), outcomes.len())))
}

fn show_outcomes(format: Format, outcomes: &[Result<CreatedInvitation, InvitationError>]) -> Result<(), Exit> {
    let created = || outcomes.iter().filter_map(|outcome| outcome.as_ref().ok());
    let cells = |one: &CreatedInvitation| {
        vec![one.email.clone(), one.link.expose_secret().to_owned(), output::time(one.expires_at)]
    };
    const HEADER: [&str; 3] = ["EMAIL", "LINK", "EXPIRES"];
    match format {
        Format::Json => {
            let shown: Vec<Value> = created()
                .map(|one| {
                    json!({
                        "id": one.id,
                        "email": one.email,
                        "expires_at": one.expires_at,
                        "link": one.link.expose_secret(),
                    })
                })
                .collect();
            output::print_json(&shown)
        }
        Format::Csv => output::print_csv(&HEADER, created().map(cells)),
        Format::Table | Format::Wide if created().next().is_none() => Ok(()),
        Format::Table | Format::Wide => {
            output::say("invitation links, shown only once; send each to its recipient");
            output::print_table(&HEADER, created().map(cells))
        }
    }
}

fn read(file: &PathBuf) -> Result<String, Exit> {
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().lock().read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| Exit::Usage(format!("can't read `{}`: {error}", file.display().to_string().escape_debug())))?;
    Ok(text)
}

fn addresses(text: &str) -> impl Iterator<Item = String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect::<Vec<_>>().into_iter()
}

async fn revoke(client: &Client, named: &str, format: Format) -> Result<(), Exit> {
    let id = if named.contains('@') {
        let found = client.list_invitations(Some(named)).await?.into_iter().next();
        found
            .map(|invitation| invitation.id)
            .ok_or_else(|| Exit::rejected(format!("no pending invitation for {}", output::clean(named))))?
    } else {
        named.to_owned()
    };
    let invitation = client.invalidate_invitation(&id).await?;
    let message = format!("revoked {} for {}", invitation.id, output::clean(&invitation.email));
    output::say_or_print(format, &message, &invitation)
}

async fn accept(args: AcceptArgs) -> Result<(), Exit> {
    let token = if args.token == "-" { password::read("link: ")? } else { SecretString::from(args.token) };
    let (link_host, token) = split(&token);
    let password = if args.sso { None } else { Some(password::read("password: ")?) };
    let host = host(args.host.or(link_host).or_else(|| environment("MUSTER_HOST")));
    let client = builder(host).build_without_token()?;
    let AcceptArgs { name, lastname, title, sso, output, .. } = args;
    let acceptance = AcceptInvitation { token, name, lastname, title, password, is_sso_user: sso };
    let accepted = client.accept_invitation(&acceptance).await?;
    let message = format!("created the account of {}: {}", output::clean(&accepted.email), accepted.user_id);
    output::say_or_print(output, &message, &accepted)
}

/// Splits a link into server and token; a bare token has no server.
fn split(text: &SecretString) -> (Option<String>, SecretString) {
    match text.expose_secret().trim().rsplit_once("/invitations/") {
        Some((host, token)) => (Some(host.to_owned()), SecretString::from(token.to_owned())),
        None => (None, SecretString::from(text.expose_secret().trim().to_owned())),
    }
}
