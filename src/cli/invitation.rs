//! `muster invitation …`: inviting people, over HTTP, with an owner's API key; and accepting, with a link.

use std::io::Read;
use std::path::PathBuf;

use clap::ValueHint;
use muster_client::{
    AcceptInvitation, Client, CreatedInvitation, ExposeSecret, Invitation, InvitationError, NewInvitation,
    PermissionLevel, SecretString,
};
use serde_json::{Value, json};

use super::output::{self, Format};
use super::user::{ServerArgs, builder};
use super::{Exit, password};
use crate::caller::PermissionLevel as Role;
use crate::config::environment;

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Invite addresses: each gets a link that ends in an account. The links go to standard output, once.
    ///
    /// muster sends no mail. An open invitation for the same address is replaced. Those who can be invited are; if there
    /// are others, the exit status is 1.
    Create(CreateArgs),
    /// List the invitations that can be accepted. Links are not kept.
    List {
        /// Only the one for this address, in any spelling.
        #[arg(long)]
        email: Option<String>,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Take an invitation back: its link opens nothing from now on.
    Invalidate {
        /// Its id, as `muster invitation list` shows it, or the address.
        #[arg(value_name = "ID|EMAIL")]
        invitation: String,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Accept an invitation: make the account. Needs no API key.
    Accept(AcceptArgs),
}

#[derive(clap::Args, Debug)]
pub(super) struct CreateArgs {
    /// The addresses.
    #[arg(value_name = "EMAIL", required_unless_present = "file")]
    emails: Vec<String>,
    /// A file of addresses, one a line; `-` for standard input. Empty lines and those that begin with # are left out.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// What the accounts will be allowed: everything, or reading who is there.
    #[arg(long, value_enum, default_value = "collaborator")]
    role: Role,
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(clap::Args, Debug)]
pub(super) struct AcceptArgs {
    /// The link, or the token that it ends in; `-` reads it from the first line of standard input, where other users of
    /// this machine can't see it.
    #[arg(value_name = "TOKEN")]
    token: String,
    /// First name, or the whole of it.
    #[arg(long)]
    name: String,
    /// Last name.
    #[arg(long)]
    lastname: Option<String>,
    /// Title or position.
    #[arg(long)]
    title: Option<String>,
    /// Sign in through the organization's identity provider, without a password. Without this, the password is asked
    /// for or, unless standard input is a terminal, read from its first line (the second, after a token).
    #[arg(long)]
    sso: bool,
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    /// The server [default: that of the link, else MUSTER_HOST or ANYSCALE_HOST, else http://127.0.0.1:8080].
    #[arg(long, value_name = "URL")]
    host: Option<String>,
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::Create(args) => create(&args).await,
        Command::List { email, output, server } => {
            let invitations = server.client()?.list_invitations(email.as_deref()).await?;
            output::print_list(output, &invitations, &HEADER, invitations.iter().map(row))
        }
        Command::Invalidate { invitation, output, server } => invalidate(&server.client()?, &invitation, output).await,
        Command::Accept(args) => accept(args).await,
    }
}

const HEADER: [&str; 5] = ["INVITATION ID", "EMAIL", "PERMISSION", "CREATED", "EXPIRES"];

fn row(invitation: &Invitation) -> Vec<String> {
    vec![
        invitation.id.clone(),
        invitation.email.clone(),
        invitation.permission_level.clone().unwrap_or_default(),
        output::time(invitation.created_at),
        output::time(invitation.expires_at),
    ]
}

async fn create(args: &CreateArgs) -> Result<(), Exit> {
    let client = args.server.client()?;
    let mut emails = args.emails.clone();
    if let Some(file) = &args.file {
        emails.extend(addresses(&read(file)?));
    }
    if emails.is_empty() {
        return Err(Exit::Usage("the file has no address".to_owned()));
    }
    // As without a role: the vendor's server, too, knows collaborators.
    let permission_level = matches!(args.role, Role::Owner).then_some(PermissionLevel::Owner);
    let invitations: Vec<NewInvitation> =
        emails.into_iter().map(|email| NewInvitation { email, permission_level }).collect();
    let outcomes = client.create_invitations(&invitations).await?;
    show_outcomes(args.output, &outcomes)?;
    let failed = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    let failed: Vec<&InvitationError> = failed.collect();
    if failed.is_empty() {
        return Ok(());
    }
    for error in &failed {
        output::say(&format!("not invited: {}", output::clean(&error.detail)));
    }
    let were = if failed.len() == 1 { "was" } else { "were" };
    Err(Exit::Refused(Some(format!("{} of {} {were} not invited", failed.len(), outcomes.len()))))
}

fn show_outcomes(format: Format, outcomes: &[Result<CreatedInvitation, InvitationError>]) -> Result<(), Exit> {
    let made = || outcomes.iter().filter_map(|outcome| outcome.as_ref().ok());
    let cells = |one: &CreatedInvitation| {
        vec![one.email.clone(), one.link.expose_secret().to_owned(), output::time(one.expires_at)]
    };
    const HEADER: [&str; 3] = ["EMAIL", "LINK", "EXPIRES"];
    match format {
        Format::Json => {
            let shown: Vec<Value> = made()
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
        Format::Csv => output::print_csv(&HEADER, made().map(cells)),
        Format::Table if made().next().is_none() => Ok(()),
        Format::Table => {
            output::say("links, shown this once: send each to its person");
            output::print_table(&HEADER, made().map(cells))
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

async fn invalidate(client: &Client, named: &str, format: Format) -> Result<(), Exit> {
    let id = if named.contains('@') {
        let found = client.list_invitations(Some(named)).await?.into_iter().next();
        found
            .map(|invitation| invitation.id)
            .ok_or_else(|| Exit::Refused(Some(format!("there is no open invitation for {}", output::clean(named)))))?
    } else {
        named.to_owned()
    };
    let invitation = client.invalidate_invitation(&id).await?;
    match format {
        Format::Table => {
            output::say(&format!("{} for {} is taken back", invitation.id, output::clean(&invitation.email)));
            Ok(())
        }
        _ => output::print_list(format, &invitation, &HEADER, [row(&invitation)]),
    }
}

async fn accept(args: AcceptArgs) -> Result<(), Exit> {
    let token = if args.token == "-" { password::read("link: ")? } else { SecretString::from(args.token) };
    let (link_host, token) = split(&token);
    let password = if args.sso { None } else { Some(password::read("password: ")?) };
    let host = args
        .host
        .or(link_host)
        .or_else(|| environment("MUSTER_HOST"))
        .or_else(|| environment("ANYSCALE_HOST"))
        .unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    let client = builder(host).build_without_token()?;
    let AcceptArgs { name, lastname, title, sso, output, .. } = args;
    let acceptance = AcceptInvitation { token, name, lastname, title, password, is_sso_user: sso };
    let accepted = client.accept_invitation(&acceptance).await?;
    match output {
        Format::Table => {
            output::say(&format!("{} is a member now: {}", output::clean(&accepted.email), accepted.user_id));
            Ok(())
        }
        _ => {
            let header = ["USER ID", "EMAIL", "NAME", "PERMISSION"];
            let row = [&accepted.user_id, &accepted.email, &accepted.name, &accepted.permission_level];
            output::print_list(output, &accepted, &header, [row.map(String::clone).to_vec()])
        }
    }
}

/// The server and the token of a link; of a bare token, only that.
fn split(text: &SecretString) -> (Option<String>, SecretString) {
    match text.expose_secret().trim().rsplit_once("/invitations/") {
        Some((host, token)) => (Some(host.to_owned()), SecretString::from(token.to_owned())),
        None => (None, SecretString::from(text.expose_secret().trim().to_owned())),
    }
}
