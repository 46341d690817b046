//! `muster sso …`: single sign-on, directly in the database, as the local operator.

use std::io::Read;
use std::num::ParseIntError;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::Exit;
use super::args::{LocalArgs, OperatorArgs};
use super::local::{user_of, with_operator};
use super::output::{self, Format, TableRow};
use crate::config::read_file;
use crate::id::{Id, SsoIdentity};
use crate::secret::Secret;
use crate::sso::{
    self, ClientSecrets, EmailProof, Identity, Preset, Probe, ProviderName, ProviderSettings, ProviderSummary,
    ProviderUses, TokenAuth,
};

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Add, list, show, update, remove and test identity providers (OpenID Connect).
    #[command(subcommand)]
    Provider(ProviderCommand),
    /// List, bind and unbind the identities of users at identity providers.
    #[command(subcommand)]
    Identity(IdentityCommand),
    /// Make a user one of single sign-on: removes the password, and ends all sessions and links of the user.
    SetSso(UserArgs),
    /// Make a user one with a password: removes the identities, and ends all sessions and links of the user. The user then needs a link
    /// to set a password.
    SetPasswordUser(UserArgs),
}

#[derive(Subcommand, Debug)]
pub(super) enum ProviderCommand {
    /// Add an identity provider. Reads its metadata and keys first, and prints the redirect URI to register there.
    Add(Box<AddArgs>),
    /// List the identity providers of an organization.
    List(LocalArgs),
    /// Show an identity provider, without its secrets.
    Show(NamedArgs),
    /// Change an identity provider. What is not given stays.
    Update(Box<UpdateArgs>),
    /// Remove an identity provider with the identities of its users, and end the sessions that were started through it. `update NAME
    /// --enabled false` keeps the identities.
    Remove(RemoveArgs),
    /// Read the metadata and keys of an identity provider now.
    Test(NamedArgs),
}

#[derive(Subcommand, Debug)]
pub(super) enum IdentityCommand {
    /// List the identities of a user.
    List(UserArgs),
    /// Bind an identity to a user, by the subject that the provider knows the person by.
    Bind {
        #[command(flatten)]
        user: UserArgs,
        /// Name of the identity provider.
        #[arg(long, value_name = "NAME")]
        provider: String,
        /// Value of the claim that identifies people, usually `sub`.
        #[arg(long)]
        subject: String,
    },
    /// Unbind an identity, and end all sessions of its user.
    Unbind {
        #[command(flatten)]
        user: UserArgs,
        /// ID of the identity.
        #[arg(value_name = "IDENTITY_ID")]
        identity_id: Id<SsoIdentity>,
    },
}

#[derive(Args, Debug)]
pub(super) struct UserArgs {
    /// User ID or e-mail address.
    #[arg(value_name = "ID|EMAIL")]
    user: String,
    #[command(flatten)]
    local: LocalArgs,
}

#[derive(Args, Debug)]
pub(super) struct NamedArgs {
    /// Name of the identity provider.
    name: String,
    #[command(flatten)]
    local: LocalArgs,
}

#[derive(Args, Debug)]
pub(super) struct RemoveArgs {
    #[command(flatten)]
    named: NamedArgs,
    /// Don't ask for confirmation.
    #[arg(long)]
    yes: bool,
}

#[derive(Args, Debug)]
pub(super) struct AddArgs {
    /// Name, part of the redirect URI: lower-case letters, digits and `-`. It can't be changed.
    name: ProviderName,
    /// Issuer, exactly as the provider's metadata spell it.
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// ID of the client that is registered at the provider.
    #[arg(long, value_name = "ID")]
    client_id: String,
    /// Settings of a product.
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    #[command(flatten)]
    changes: Changes,
    #[command(flatten)]
    local: LocalArgs,
}

#[derive(Args, Debug)]
pub(super) struct UpdateArgs {
    /// Name of the identity provider.
    name: String,
    /// Issuer, exactly as the provider's metadata spell it.
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// ID of the client that is registered at the provider.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// File with a second client secret, which is tried when the first one is wrong; `-` reads standard input; `/dev/null` removes it.
    #[arg(long, value_name = "FILE")]
    second_client_secret_file: Option<PathBuf>,
    /// Whether people can sign in through it. Disabling ends their sessions.
    #[arg(long, value_name = "BOOL")]
    enabled: Option<bool>,
    #[command(flatten)]
    changes: Changes,
    #[command(flatten)]
    local: LocalArgs,
}

/// Settings that can be given when a provider is added and later.
#[derive(Args, Debug)]
struct Changes {
    /// File with the client secret; `-` reads standard input. Without a secret, the client is a public one; `/dev/null` removes it.
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,
    /// Text of the button on the sign-in page [default: the name].
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Domain of e-mail addresses that the provider is responsible for; repeat for several. Unknown people are matched by address only
    /// in these domains. An empty value: none.
    #[arg(long = "domain", value_name = "DOMAIN")]
    domains: Vec<String>,
    /// Scopes, with a space between them [default: openid email profile].
    #[arg(long)]
    scopes: Option<String>,
    /// How muster authenticates to the token endpoint [default: auto].
    #[arg(long, value_enum)]
    token_auth: Option<TokenAuth>,
    /// Claim that identifies people [default: sub].
    #[arg(long, value_name = "CLAIM")]
    subject_claim: Option<String>,
    /// Claim with the e-mail address [default: email].
    #[arg(long, value_name = "CLAIM")]
    email_claim: Option<String>,
    /// How the provider vouches for an address [default: email_verified].
    #[arg(long, value_enum)]
    email_proof: Option<EmailProof>,
    /// Trust all addresses of this issuer: the same as `--email-proof issuer`.
    #[arg(long, conflicts_with = "email_proof")]
    trust_addresses: bool,
    /// Claim that must have this value, as JSON or text; repeat for several. An empty value removes it.
    #[arg(long = "require", value_name = "CLAIM=VALUE", value_parser = parse_claim)]
    required: Vec<(String, Option<Value>)>,
    /// Whether to create accounts for unknown people of the domains, as collaborators [default: false].
    #[arg(long = "create", value_name = "BOOL")]
    creates: Option<bool>,
    /// How long ago the provider may have authenticated a person, in seconds; 0: always again; an empty value: any time ago.
    #[arg(long, value_name = "SECONDS")]
    max_age: Option<MaxAge>,
    /// Whether signing out leads to the provider, too [default: false].
    #[arg(long, value_name = "BOOL")]
    logout: Option<bool>,
}

/// A number of seconds. `None`: no limit.
#[derive(Clone, Copy, Debug)]
struct MaxAge(Option<u32>);

impl FromStr for MaxAge {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let seconds = Some(text).filter(|text| !text.is_empty()).map(str::parse);
        seconds.transpose().map(Self)
    }
}

/// A required claim. `None`: it is not required.
fn parse_claim(text: &str) -> Result<(String, Option<Value>), String> {
    let (name, value) = text.split_once('=').ok_or("expected CLAIM=VALUE")?;
    let value = Some(value).filter(|value| !value.is_empty());
    let value = value.map(|value| serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned())));
    Ok((name.to_owned(), value))
}

impl Changes {
    fn apply(self, settings: &mut ProviderSettings) {
        fn set<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        set(&mut settings.title, self.title);
        set(&mut settings.scopes, self.scopes);
        set(&mut settings.token_auth, self.token_auth);
        set(&mut settings.subject_claim, self.subject_claim);
        set(&mut settings.email_claim, self.email_claim);
        set(&mut settings.email_proof, self.email_proof.or(self.trust_addresses.then_some(EmailProof::Issuer)));
        set(&mut settings.creates, self.creates);
        set(&mut settings.logout, self.logout);
        set(&mut settings.max_age, self.max_age.map(|MaxAge(seconds)| seconds));
        for (name, value) in self.required {
            match value {
                Some(value) => drop(settings.required_claims.insert(name, value)),
                None => drop(settings.required_claims.remove(&name)),
            }
        }
        if !self.domains.is_empty() {
            settings.domains = self.domains;
            settings.domains.retain(|domain| !domain.is_empty());
        }
    }
}

/// Reads a secret from a file, without the line break at its end. `None` for `/dev/null`.
fn secret(path: Option<&Path>) -> Result<Option<Secret>, Exit> {
    let Some(path) = path.filter(|path| *path != Path::new("/dev/null")) else { return Ok(None) };
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().take(64 * 1024).read_to_end(&mut bytes).map_err(Exit::usage)?;
        bytes
    } else {
        read_file("the client secret", path).map_err(Exit::usage)?
    };
    let text = String::from_utf8(bytes).map_err(|_| Exit::usage("the client secret is not UTF-8 text"))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(Exit::usage("the client secret is empty; `/dev/null` stands for none")),
        text => Ok(Some(Secret::new(text))),
    }
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::Provider(ProviderCommand::Add(args)) => add(*args).await,
        Command::Provider(ProviderCommand::List(LocalArgs { output, config })) => {
            let listed = with_operator(config.load()?, async |app, caller| Ok(sso::list(app, caller).await?));
            output::print_list(output, &listed.await?)
        }
        Command::Provider(ProviderCommand::Show(NamedArgs { name, local })) => {
            let shown =
                with_operator(local.config.load()?, async |app, caller| Ok(sso::get(app, caller, &name).await?));
            output::print_one(local.output, &shown.await?)
        }
        Command::Provider(ProviderCommand::Update(args)) => update(*args).await,
        Command::Provider(ProviderCommand::Remove(args)) => remove(&args).await,
        Command::Provider(ProviderCommand::Test(NamedArgs { name, local })) => {
            let probe =
                with_operator(local.config.load()?, async |app, caller| Ok(sso::test(app, caller, &name).await?));
            output::print_one(local.output, &probe.await?)
        }
        Command::Identity(IdentityCommand::List(UserArgs { user, local })) => {
            identities(local, async |app, caller| {
                let user_id = user_of(app, caller, &user).await?;
                Ok(sso::identities(app, caller, user_id).await?)
            })
            .await
        }
        Command::Identity(IdentityCommand::Bind { user: UserArgs { user, local }, provider, subject }) => {
            identities(local, async |app, caller| {
                let user_id = user_of(app, caller, &user).await?;
                Ok(sso::bind(app, caller, user_id, &provider, &subject).await?)
            })
            .await
        }
        Command::Identity(IdentityCommand::Unbind { user: UserArgs { user, local }, identity_id }) => {
            with_operator(local.config.load()?, async |app, caller| {
                let user_id = user_of(app, caller, &user).await?;
                Ok(sso::unbind(app, caller, user_id, identity_id).await?)
            })
            .await?;
            output::say(&format!("unbound {identity_id}"));
            Ok(())
        }
        Command::SetSso(UserArgs { user, local }) => set_sso(&local.config, &user, true).await,
        Command::SetPasswordUser(UserArgs { user, local }) => set_sso(&local.config, &user, false).await,
    }
}

async fn identities(
    local: LocalArgs,
    operation: impl AsyncFnOnce(&crate::app::App, &crate::caller::Caller) -> Result<Vec<Identity>, Exit>,
) -> Result<(), Exit> {
    let found = with_operator(local.config.load()?, operation).await?;
    output::print_list(local.output, &found)
}

async fn add(args: AddArgs) -> Result<(), Exit> {
    let AddArgs { name, issuer, client_id, preset, changes, local } = args;
    let secrets = ClientSecrets { first: secret(changes.client_secret_file.as_deref())?, second: None };
    let mut settings = ProviderSettings::new(name.as_str(), &issuer, &client_id);
    settings.domains.clone_from(&changes.domains);
    if let Some(preset) = preset {
        settings.apply(preset).map_err(Exit::Usage)?;
    }
    changes.apply(&mut settings);
    let added = with_operator(local.config.load()?, async |app, caller| {
        let added = sso::create(app, caller, &name, settings, &secrets).await?;
        Ok((added, app.config.server.public_url.is_empty()))
    });
    let ((provider, probe), is_on_this_machine) = added.await?;
    output::say(&format!("added {}; the provider signs with {}", name.as_str(), probe.algorithms.join(", ")));
    say_addresses(&provider);
    if is_on_this_machine {
        output::say(
            "hint: only this machine can open the redirect URI, which begins with the address of the running server; for other \
             people, set `server.public_url`, and register the redirect URI that `muster sso provider show` prints then",
        );
    }
    if preset == Some(Preset::Okta) {
        let start = provider.redirect_uri.replace("/callback", "/start");
        output::say(&format!("for a tile in Okta, set the initiate login URI: {start}"));
    }
    if preset == Some(Preset::Keycloak) {
        output::say(
            "hint: for federated users, turn on `Trust Email` in Keycloak, or their addresses are not verified",
        );
    }
    if provider.settings.domains.is_empty() {
        output::say(
            "hint: without `--domain`, people are recognized only after `muster sso identity bind`; add the domains of their addresses",
        );
    }
    output::print_one(local.output, &provider)
}

/// Prints the addresses to register at the provider.
fn say_addresses(provider: &ProviderSummary) {
    output::say(&format!("register this redirect URI at the provider: {}", provider.redirect_uri));
    if let Some(uri) = &provider.post_logout_redirect_uri {
        output::say(&format!("register this post-logout redirect URI at the provider: {uri}"));
    }
}

async fn remove(args: &RemoveArgs) -> Result<(), Exit> {
    let RemoveArgs { named: NamedArgs { name, local }, yes } = args;
    if !yes {
        output::require_terminal("`--yes`")?;
    }
    let removed = with_operator(local.config.load()?, async |app, caller| {
        if !yes {
            let ProviderUses { identities, sessions } = sso::uses(app, caller, name).await?;
            let (identities, sessions) = (count_identities(identities), output::count(sessions, "session"));
            output::say(&format!(
                "removing {name} deletes {identities} and ends {sessions}; people who only signed in through it need another provider \
                 or a password (`muster sso set-password-user`)\n\
                 hint: `muster sso provider update {name} --enabled false` keeps the identities"
            ));
            if !output::confirm(&format!("remove {name}? [y/N] ")) {
                return Err(Exit::rejected("no identity provider was removed"));
            }
        }
        Ok(sso::remove(app, caller, name).await?)
    });
    let ProviderUses { identities, sessions } = removed.await?;
    let (identities, sessions) = (count_identities(identities), output::count(sessions, "session"));
    output::say(&format!("removed {name} and {identities}; ended {sessions}"));
    Ok(())
}

fn count_identities(count: usize) -> String {
    if count == 1 { "1 identity".to_owned() } else { format!("{count} identities") }
}

async fn update(args: UpdateArgs) -> Result<(), Exit> {
    let UpdateArgs { name, issuer, client_id, second_client_secret_file, enabled, changes, local } = args;
    let first_file = changes.client_secret_file.clone();
    let first = secret(first_file.as_deref())?;
    let second = secret(second_client_secret_file.as_deref())?;
    let changes_logout = changes.logout;
    let edit = |settings: &mut ProviderSettings| {
        if let Some(issuer) = issuer {
            settings.issuer = issuer;
        }
        if let Some(client_id) = client_id {
            settings.client_id = client_id;
        }
        if let Some(enabled) = enabled {
            settings.enabled = enabled;
        }
        changes.apply(settings);
    };
    let set_secrets = |secrets: &mut ClientSecrets| {
        if first_file.is_some() {
            secrets.first = first;
        }
        if second_client_secret_file.is_some() {
            secrets.second = second;
        }
    };
    let updated = with_operator(local.config.load()?, async |app, caller| {
        Ok(sso::update(app, caller, &name, edit, set_secrets).await?)
    });
    let (provider, sessions) = updated.await?;
    if enabled == Some(false) {
        output::say(&format!("{name} is disabled; ended {}", output::count(sessions, "session")));
    }
    if changes_logout == Some(true) {
        say_addresses(&provider);
    }
    output::print_one(local.output, &provider)
}

async fn set_sso(config: &OperatorArgs, user: &str, is_sso_user: bool) -> Result<(), Exit> {
    let changed = with_operator(config.load()?, async |app, caller| {
        let user_id = user_of(app, caller, user).await?;
        Ok(sso::set_sso(app, caller, user_id, is_sso_user).await?)
    });
    let kind = if is_sso_user { "single sign-on" } else { "a password" };
    output::say(&match changed.await? {
        true => format!("{user} signs in with {kind} from now on; all sessions and links of the user have ended"),
        false => format!("{user} signs in with {kind} already; nothing was changed"),
    });
    Ok(())
}

impl TableRow for ProviderSummary {
    const HEADER: &'static [&'static str] =
        &["NAME", "TITLE", "ISSUER", "CLIENT ID", "DOMAINS", "ENABLED", "REDIRECT URI"];

    fn cells(&self, _: Format) -> Vec<String> {
        vec![
            self.name.clone(),
            self.settings.title.clone(),
            self.settings.issuer.clone(),
            self.settings.client_id.clone(),
            self.settings.domains.join(" "),
            self.settings.enabled.to_string(),
            self.redirect_uri.clone(),
        ]
    }
}

impl TableRow for Probe {
    const HEADER: &'static [&'static str] = &["AUTHORIZATION ENDPOINT", "TOKEN ENDPOINT", "ALGORITHMS", "KEYS"];

    fn cells(&self, _: Format) -> Vec<String> {
        vec![
            self.authorization_endpoint.clone(),
            self.token_endpoint.clone(),
            self.algorithms.join(" "),
            self.keys.to_string(),
        ]
    }
}

impl TableRow for Identity {
    const HEADER: &'static [&'static str] =
        &["IDENTITY ID", "PROVIDER", "SUBJECT", "BOUND", "HOW", "LAST USED", "ADDRESS THERE"];

    fn cells(&self, _: Format) -> Vec<String> {
        vec![
            self.identity_id.to_string(),
            self.provider.clone(),
            self.subject.clone(),
            output::time(self.bound_at),
            self.bound_how.clone(),
            self.last_used_at.map(output::time).unwrap_or_default(),
            self.email_seen.clone().unwrap_or_default(),
        ]
    }
}
