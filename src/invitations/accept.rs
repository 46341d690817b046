//! Accepting an invitation.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Token, read, write};
use crate::app::App;
use crate::audit::{ActorRef, Attribution, AuditDenial, Target};
use crate::caller::{Action, Caller, Origin, PermissionLevel, Principal};
use crate::error::{Code, Error, Result};
use crate::failpoints;
use crate::id::{Id, Invitation, Organization, User};
use crate::passwords::{Candidate, Policy};
use crate::secret::Secret;
use crate::token::InvalidToken;
use crate::users::write::AddressTaken;
use crate::users::{
    self, Account, Attributes, Credential, EmailAddress, Expiry, Line, Name, NewUser, StoredPassword, password_context,
};

/// Attempts to accept one invitation, on all instances, before it gets 429: enough for a person who tries passwords.
const ATTEMPTS: i32 = 10;

/// The span in which attempts are counted.
const SPAN: TimeDelta = TimeDelta::minutes(1);

/// The fields that the invited person enters.
#[derive(Debug)]
pub struct Acceptance {
    /// First name or full name.
    pub name: String,
    /// Last name; `None`: as in the invitation.
    pub lastname: Option<String>,
    /// Title or position; `None`: as in the invitation.
    pub title: Option<String>,
    /// The chosen password. `None` or empty if and only if `is_sso_user` is set.
    pub password: Option<Secret>,
    /// Whether the person signs in through the organization's identity provider.
    pub is_sso_user: bool,
}

/// An open invitation whose secret the client has presented.
#[derive(Debug)]
pub struct Invited {
    /// The invited person, who may only accept the invitation.
    caller: Caller,
    invitation_id: Id<Invitation>,
    /// The name of the organization.
    pub organization_name: String,
    /// The invited address.
    pub email: EmailAddress,
    permission_level: PermissionLevel,
    /// First name or full name, if the inviting administrator entered one.
    pub name: Option<String>,
    /// Last name, if the inviting administrator entered one.
    pub lastname: Option<String>,
    /// Title or position, if the inviting administrator entered one.
    pub title: Option<String>,
    account_expires_at: Option<DateTime<Utc>>,
    /// The attempts to accept the invitation since a time.
    attempts: Option<(i32, DateTime<Utc>)>,
}

/// The account that was created for an invitation.
#[derive(Debug)]
pub struct Accepted {
    /// The ID of the account.
    pub user_id: Id<User>,
    /// The fields of the user.
    pub user: NewUser,
    /// When the account was created.
    pub created_at: DateTime<Utc>,
    /// The organization of the account.
    pub organization_id: Id<Organization>,
}

/// Finds the invitation of a link.
///
/// # Errors
/// `not_found` for an invitation that is unknown, expired, revoked, replaced or accepted; `rate_limited`. A malformed link is rejected
/// without a database query; any other denial is recorded in the audit log of the organization that the link names.
pub async fn open(app: &App, token: &str, origin: Origin) -> Result<Invited> {
    let token = Token::parse(token).map_err(|InvalidToken| {
        Error::new(Code::NotFound, "invalid invitation link; check that the whole link was copied")
    })?;
    let organization_id = token.organization_id;
    let found = read::find(app, &token).await?.filter(|found| token.matches(&found.secret_sha256));
    let (actor, reason, detail) = match &found {
        None => (ActorRef::ANONYMOUS, "unknown_invitation", UNKNOWN),
        Some(found) => match why_ended(app.clock.now(), found.expires_at, found.accepted_at, found.invalidated_at) {
            Some((reason, detail)) => (Principal::Invitation(token.id).into(), reason, detail),
            None => {
                // The rules for addresses may have changed since the invitation was created.
                let email = EmailAddress::parse(&found.email).map_err(|why| {
                    let why = why.message();
                    Error::invalid(format!("`{}`: {why}; ask for an invitation to another address", found.email))
                })?;
                return Ok(Invited {
                    caller: Caller { organization_id, principal: Principal::Invitation(token.id), origin },
                    invitation_id: token.id,
                    organization_name: found.organization_name.clone(),
                    email,
                    permission_level: found.permission_level,
                    name: found.name.clone(),
                    lastname: found.lastname.clone(),
                    title: found.title.clone(),
                    account_expires_at: found.account_expires_at,
                    attempts: found.attempts_since.map(|since| (found.attempts, since)),
                });
            }
        },
    };
    let attribution = Attribution { organization_id, actor, user_id: None, origin };
    let error = Error::new(Code::NotFound, detail);
    Err(app.deny_credential(attribution, Action::InvitationAccept, reason, error))
}

const UNKNOWN: &str = "unknown invitation";

/// The reason why an invitation can no longer be accepted, for the audit log and for people; `None` for an open one.
fn why_ended(
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    accepted_at: Option<DateTime<Utc>>,
    invalidated_at: Option<DateTime<Utc>>,
) -> Option<(&'static str, &'static str)> {
    match (accepted_at, invalidated_at) {
        (Some(_), _) => Some(("used_invitation", "the invitation has already been accepted; the account exists")),
        (None, Some(_)) => Some((
            "invalidated_invitation",
            "the invitation was revoked or replaced by a newer one; use the latest link or ask for a new one",
        )),
        (None, None) if expires_at <= now => {
            Some(("expired_invitation", "the invitation has expired; ask for a new one"))
        }
        (None, None) => None,
    }
}

/// Creates the account of an invitation, active immediately. The strength of the password is checked after all other
/// fields, and the password is hashed after all other checks.
///
/// # Errors
/// As [`open`]; `rate_limited` after too many attempts; `invalid_request` that names every invalid field; `email_taken` for
/// an address that has an account by now; `overloaded` if the hashing queue is full. After any of these the invitation
/// stays open.
pub async fn accept(app: &App, token: &str, acceptance: Acceptance, origin: Origin) -> Result<Accepted> {
    let invited = open(app, token, origin).await?;
    let (caller, invitation_id) = (invited.caller, invited.invitation_id);
    limit_attempts(app, &invited).await?;
    let (mut user, candidate) = validate(acceptance, invited, &app.policy, app.clock.now())?;
    if let Some(candidate) = candidate {
        let password =
            app.hasher.check(candidate).await?.map_err(|why| invalid(&[in_field("password", &why.message())]))?;
        user.credential = Credential::Password(password);
    }
    if is_taken(app, &caller, &user.email).await? {
        let error = taken();
        if let Some(refusal) = AuditDenial::of_change(Target::Invitation(invitation_id), &error) {
            app.record_denial(&caller, Action::InvitationAccept, &refusal).await;
        }
        return Err(error);
    }
    let password = match &user.credential {
        Credential::Password(password) => {
            let hash = app.hasher.hash(password.clone()).await?;
            failpoints::reach("invitation::hashed").await;
            Some(StoredPassword { hash, must_change: false })
        }
        _ => None,
    };
    let organization_id = caller.organization_id;
    app.change(&caller, Action::InvitationAccept, Target::Invitation(invitation_id), async |change| {
        let now = change.now();
        // Of two concurrent requests, the second waits here.
        let ended = match read::lock(change, invitation_id).await? {
            None => Some(("unknown_invitation", UNKNOWN)),
            Some(locked) => why_ended(now, locked.expires_at, locked.accepted_at, locked.invalidated_at),
        };
        if let Some((reason, detail)) = ended {
            let denial = AuditDenial::Unauthenticated(reason);
            return Err(change.deny(Action::InvitationAccept, denial, Error::new(Code::NotFound, detail)));
        }
        let account = [Account { user_id: Id::new(now), identity_id: Id::new(now), user, password }];
        users::write::create(change, None, false, &account).await?.map_err(|AddressTaken| taken())?;
        let [Account { user_id, user, .. }] = account;
        write::accept(change, invitation_id, user_id).await?;
        Ok(Accepted { user_id, user, created_at: now, organization_id })
    })
    .await
}

/// Counts the attempt. It counts before its data is checked, so that concurrent attempts count, too.
async fn limit_attempts(app: &App, invited: &Invited) -> Result<()> {
    let limit = |attempts: Option<(i32, DateTime<Utc>)>, most: i32| {
        let left = attempts.filter(|(attempts, _)| *attempts > most).map(|(_, since)| since + SPAN - app.clock.now());
        match left.and_then(|left| left.to_std().ok()).filter(|left| !left.is_zero()) {
            Some(left) => Err(Error::rate_limited("too many attempts to accept this invitation; retry later", left)),
            None => Ok(()),
        }
    };
    // Without a write, once there were too many.
    limit(invited.attempts, ATTEMPTS - 1)?;
    let Caller { organization_id, .. } = invited.caller;
    limit(write::count_attempt(app, organization_id, invited.invitation_id, SPAN).await?, ATTEMPTS)
}

async fn is_taken(app: &App, caller: &Caller, email: &EmailAddress) -> Result<bool> {
    let mut connection = app.reader(&app.db.interactive).await?;
    Ok(!users::read::taken(&mut connection, caller.organization_id, &[email], None).await?.is_empty())
}

fn taken() -> Error {
    Error::new(Code::EmailTaken, "this address already has an account; the invitation is no longer needed")
}

/// Validates all fields of an acceptance, except the strength of the password. A user with a candidate has no credential
/// yet.
fn validate(
    acceptance: Acceptance,
    invited: Invited,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<(NewUser, Option<Candidate>)> {
    let Acceptance { name, lastname, title, password, is_sso_user } = acceptance;
    let mut wrong: Vec<String> = Vec::new();
    let mut note = |field: &str, why: &str| wrong.push(in_field(field, why));
    let name = Name::parse(name).map_err(|why| note("name", &why.message())).ok();
    let mut line = |field: &str, text: Option<String>| {
        let text = text.filter(|text| !text.is_empty());
        text.and_then(|text| Line::parse(text).map_err(|why| note(field, &why.message())).ok())
    };
    let lastname = line("lastname", lastname.or_else(|| invited.lastname.clone()));
    let title = line("title", title.or_else(|| invited.title.clone()));
    let mut context =
        password_context(name.as_ref().map(Name::as_str), lastname.as_ref().map(Line::as_str), Some(&invited.email));
    context.push(&invited.organization_name);
    let password = password.filter(|password| !password.expose().is_empty());
    let mut candidate = None;
    match password {
        Some(_) if is_sso_user => note("password", "must be absent if `is_sso_user` is set"),
        None if is_sso_user => {}
        None => note("password", "must not be empty"),
        Some(password) => match policy.screen(password.expose(), &context) {
            Ok(password) => candidate = Some(password),
            Err(why) => note("password", &why.message()),
        },
    }
    match name {
        Some(name) if wrong.is_empty() => {
            let Invited { email, permission_level, account_expires_at, .. } = invited;
            // An invitation is not open any more once the account has expired.
            let expires_at = account_expires_at.and_then(|time| Expiry::from_stored(time, now));
            let credential = if is_sso_user { Credential::Sso } else { Credential::Unset };
            let attributes = Attributes::default();
            Ok((
                NewUser { name, email, lastname, title, credential, permission_level, expires_at, attributes },
                candidate,
            ))
        }
        _ => Err(invalid(&wrong)),
    }
}

fn in_field(field: &str, why: &str) -> String {
    format!("{field}: {why}")
}

fn invalid(wrong: &[String]) -> Error {
    Error::invalid(format!("the account can't be created: {}", wrong.join("; ")))
}
