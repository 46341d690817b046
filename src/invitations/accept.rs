//! From a link to an account.

use chrono::{DateTime, Utc};

use super::{Token, read, write};
use crate::app::App;
use crate::audit::{ActorRef, Attribution, AuditDenial, Target};
use crate::caller::{Action, Caller, Origin, PermissionLevel, Principal};
use crate::error::{Code, Error, Result};
use crate::id::{Id, Invitation, User};
use crate::passwords::Policy;
use crate::secret::Secret;
use crate::token::InvalidToken;
use crate::users::{self, Account, Credential, EmailAddress, Line, Name, NewUser, StoredPassword, password_context};

/// What somebody who was invited says about themselves.
#[derive(Debug)]
pub struct Acceptance {
    /// First name, or the whole of it.
    pub name: String,
    /// Last name.
    pub lastname: Option<String>,
    /// Title or position.
    pub title: Option<String>,
    /// The password of their choice; `None` or empty with `is_sso_user` only.
    pub password: Option<Secret>,
    /// Signs in through the organization's identity provider instead.
    pub is_sso_user: bool,
}

/// An invitation that can be accepted, and its holder.
#[derive(Debug)]
pub struct Invited {
    /// Its holder, who may accept it and nothing else.
    caller: Caller,
    /// Which.
    invitation_id: Id<Invitation>,
    /// What the organization is called.
    pub organization_name: String,
    /// For whom.
    pub email: EmailAddress,
    permission_level: PermissionLevel,
}

/// The account that an invitation has become.
#[derive(Debug)]
pub struct Accepted {
    /// Whose.
    pub user_id: Id<User>,
    /// Who.
    pub user: NewUser,
    /// When.
    pub created_at: DateTime<Utc>,
    /// In which organization.
    pub organization_id: Id<crate::id::Organization>,
}

/// Finds the invitation of a link.
///
/// # Errors
/// `not_found` when it opens nothing: unknown, expired, taken back, replaced or used. A link that was never one of
/// muster's, or has been mistyped, is refused without asking the database; any other refusal is recorded in the
/// organization that the link names.
pub async fn open(app: &App, token: &str, origin: Origin) -> Result<Invited> {
    let token = Token::parse(token).map_err(|InvalidToken| {
        Error::new(Code::NotFound, "this is not a valid invitation link: check that all of it was copied")
    })?;
    let organization_id = token.organization_id;
    let found = read::find(app, &token).await?.filter(|found| token.matches(&found.secret_sha256));
    let (actor, reason, sentence) = match &found {
        None => (ActorRef::ANONYMOUS, "unknown_invitation", UNKNOWN),
        Some(found) => match why_ended(app.clock.now(), found.expires_at, found.accepted_at, found.invalidated_at) {
            Some((reason, sentence)) => (Principal::Invitation(token.id).into(), reason, sentence),
            None => {
                let email = EmailAddress::parse(&found.email).map_err(|why| Error::internal(why.message()))?;
                return Ok(Invited {
                    caller: Caller { organization_id, principal: Principal::Invitation(token.id), origin },
                    invitation_id: token.id,
                    organization_name: found.organization_name.clone(),
                    email,
                    permission_level: PermissionLevel::from_database(&found.permission_level),
                });
            }
        },
    };
    app.refused(
        Attribution { organization_id, actor, origin },
        Action::InvitationAccept,
        &AuditDenial::Unauthenticated(reason),
    )
    .await;
    Err(Error::new(Code::NotFound, sentence))
}

const UNKNOWN: &str = "this invitation is unknown";

/// Why an invitation can't be accepted, as a code and a sentence; `None`: it can.
fn why_ended(
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    accepted_at: Option<DateTime<Utc>>,
    invalidated_at: Option<DateTime<Utc>>,
) -> Option<(&'static str, &'static str)> {
    match (accepted_at, invalidated_at) {
        (Some(_), _) => Some(("used_invitation", "this invitation has been used: the account exists")),
        (None, Some(_)) => Some((
            "invalidated_invitation",
            "this invitation has been taken back or replaced by a newer one: use the latest link, or ask for one",
        )),
        (None, None) if expires_at <= now => {
            Some(("expired_invitation", "this invitation has expired: ask for a new one"))
        }
        (None, None) => None,
    }
}

/// Makes the account that an invitation is for: active at once, with the password that its owner chose.
///
/// The password is hashed only after the link was found to be good and everything else to be in order.
///
/// # Errors
/// As [`open`]; `invalid_request` that names every field that can't be used; `email_taken` when the address
/// belongs to an account meanwhile; `overloaded` when too much waits to be hashed. Then the link stays as it is.
pub async fn accept(app: &App, token: &str, acceptance: Acceptance, origin: Origin) -> Result<Accepted> {
    let invited = open(app, token, origin).await?;
    let (caller, invitation_id) = (invited.caller.clone(), invited.invitation_id);
    let user = check(acceptance, invited, &app.policy)?;
    if is_taken(app, &caller, &user.email).await? {
        let error = taken();
        if let Some(refusal) = AuditDenial::of_change(Target::Invitation(invitation_id), &error) {
            app.refused(&caller, Action::InvitationAccept, &refusal).await;
        }
        return Err(error);
    }
    let password = match &user.credential {
        Credential::Password(password) => {
            let hash = app.hasher.hash(password.clone()).await?;
            Some(StoredPassword { hash, must_change: false })
        }
        _ => None,
    };
    let organization_id = caller.organization_id;
    app.change(&caller, Action::InvitationAccept, Target::Invitation(invitation_id), async |change| {
        let now = change.now();
        // Of two who accept at the same time, the second waits here.
        let ended = match read::locked(change, invitation_id).await? {
            None => Some(UNKNOWN),
            Some((locked, invalidated_at)) => {
                why_ended(now, locked.expires_at, locked.accepted_at, invalidated_at).map(|(_, sentence)| sentence)
            }
        };
        if let Some(sentence) = ended {
            return Err(Error::new(Code::NotFound, sentence));
        }
        let account = [Account { user_id: Id::new(now), identity_id: Id::new(now), user, password }];
        if users::write::insert(change, None, &account).await? == 0 {
            return Err(taken());
        }
        users::write::insert_collaborators(change, &account).await?;
        users::write::insert_passwords(change, &account).await?;
        let [Account { user_id, user, .. }] = account;
        write::accept(change, invitation_id, user_id).await?;
        Ok(Accepted { user_id, user, created_at: now, organization_id })
    })
    .await
}

async fn is_taken(app: &App, caller: &Caller, email: &EmailAddress) -> Result<bool> {
    let mut connection = app.db.interactive.acquire().await?;
    Ok(!users::read::taken(&mut connection, caller.organization_id, &[email]).await?.is_empty())
}

fn taken() -> Error {
    Error::new(Code::EmailTaken, "this address has an account already: no invitation is needed any more")
}

/// A user who can be created, or everything that is wrong.
fn check(acceptance: Acceptance, invited: Invited, policy: &Policy) -> Result<NewUser> {
    let Acceptance { name, lastname, title, password, is_sso_user } = acceptance;
    let mut wrong: Vec<String> = Vec::new();
    let mut note = |field: &str, why: &str| wrong.push(format!("{field}: {why}"));
    let name = Name::parse(name).map_err(|why| note("name", why.message())).ok();
    let mut line = |field: &str, text: Option<String>| {
        let text = text.filter(|text| !text.is_empty());
        text.and_then(|text| Line::parse(text).map_err(|why| note(field, why.message())).ok())
    };
    let (lastname, title) = (line("lastname", lastname), line("title", title));
    let mut context =
        password_context(name.as_ref().map(Name::as_str), lastname.as_ref().map(Line::as_str), Some(&invited.email));
    context.push(&invited.organization_name);
    let password = password.filter(|password| !password.expose().is_empty());
    let credential = match password {
        Some(_) if is_sso_user => {
            note("password", "whoever signs in through SSO has none: leave it out, or is_sso_user");
            None
        }
        None if is_sso_user => Some(Credential::Sso),
        None => {
            note("password", "must not be empty");
            None
        }
        Some(password) => match policy.check(password.expose(), &context) {
            Ok(password) => Some(Credential::Password(password)),
            Err(why) => {
                note("password", &why.message());
                None
            }
        },
    };
    match (name, credential) {
        (Some(name), Some(credential)) if wrong.is_empty() => {
            let Invited { email, permission_level, .. } = invited;
            Ok(NewUser { name, email, lastname, title, credential, permission_level })
        }
        _ => Err(Error::invalid(format!("the account can't be made: {}", wrong.join("; ")))),
    }
}
