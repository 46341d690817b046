//! Inviting a list of people, all or none.
//!
//! As for a list of new users, validation continues after the first finding: one report covers all rows and all fields.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::str::FromStr;

use chrono::{DateTime, Duration, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::read::OpenInvitation;
use super::{Details, Invitee, NewInvitation, create, write};
use crate::app::App;
use crate::audit::{AuditDenial, Event, Target};
use crate::caller::{Action, Caller, PermissionLevel};
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::field::UserField;
use crate::id::{Id, Invitation};
use crate::report::{Finding, Report};
use crate::request_body::{BodyShare, RequestBody};
use crate::rows::{self, Field, ListLimits, Row};
use crate::users::{EmailAddress, Expiry, Line, Name};

/// How a list of people is invited.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListOptions {
    /// Whether a new link replaces that of an open invitation. Otherwise, the invitation stays as it is.
    pub resend: bool,
    /// Whether everything is rolled back.
    pub dry_run: bool,
    /// The plan of a dry run: nobody is invited unless the outcomes are the same as those of the dry run.
    pub plan: Option<InvitationPlan>,
}

/// A digest of the outcomes of a list: the addresses, and the open invitations that are kept and replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvitationPlan([u8; 32]);

impl InvitationPlan {
    /// The plan of these outcomes.
    #[must_use]
    pub fn of(outcomes: &[ListOutcome]) -> Self {
        let mut digest = Sha256::new();
        for outcome in outcomes {
            let (key, id, kind) = match outcome {
                ListOutcome::Invited { invitation, replaces } => {
                    (invitation.invitee.email.key(), *replaces, invitation.invitee.permission_level.as_str())
                }
                ListOutcome::AlreadyInvited(open) => (open.email.as_str(), Some(open.invitation_id), "kept"),
            };
            let id = id.map(Uuid::from).unwrap_or_default();
            for part in [key.as_bytes(), id.as_bytes().as_slice(), kind.as_bytes()] {
                digest.update(part.len().to_le_bytes());
                digest.update(part);
            }
        }
        Self(digest.finalize().into())
    }
}

impl fmt::Display for InvitationPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for InvitationPlan {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut plan = [0; 32];
        hex::decode_to_slice(text, &mut plan)?;
        Ok(Self(plan))
    }
}

/// The outcome for a person of a list.
#[derive(Debug)]
pub enum ListOutcome {
    /// The person was invited.
    Invited {
        /// The new invitation.
        invitation: NewInvitation,
        /// The open invitation that the new one replaces.
        replaces: Option<Id<Invitation>>,
    },
    /// The person has an open invitation, which stays as it is.
    AlreadyInvited(OpenInvitation),
}

/// The rules for the rows of a list.
#[derive(Clone, Copy)]
struct Rules {
    may_grant_owner: bool,
    now: DateTime<Utc>,
    /// When the links expire.
    links_end: DateTime<Utc>,
}

/// A list whose rows have been validated without the database.
struct List {
    people: Vec<(usize, Invitee)>,
    report: Report,
    /// The memory of the list.
    _share: BodyShare,
}

/// Invites all people of a list, or none. The rows are those of a list of new users. The body is read after the permission
/// check. Returns the outcomes in the order of the list.
///
/// # Errors
/// `forbidden`; any error of reading the body; `invalid_json`, `invalid_request`, `empty_batch`, `too_large`;
/// `batch_rejected` or `batch_conflict` with the complete report; `plan_changed`; a database error.
pub async fn create_all(
    app: &App,
    caller: &Caller,
    options: ListOptions,
    body: impl Future<Output = Result<RequestBody>>,
) -> Result<Vec<ListOutcome>> {
    let action = Action::InvitationBatchCreate;
    app.authorize(caller, action).await?;
    let lifetime = Duration::days(i64::from(app.config.invitations.days));
    let now = app.clock.now();
    let rules = Rules { may_grant_owner: caller.may(Action::OwnerGrant), now, links_end: now + lifetime };
    let list = match body.await {
        Ok(body) => List::parse(body, ListLimits::from(&app.config.batch), rules).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &list
        && !options.dry_run
        && let Some(denial) = AuditDenial::of_list(None, error)
    {
        app.record_denial(caller, action, &denial).await;
    }
    let list = list?;
    app.change_many(caller, action, Target::Nothing, options.dry_run, async |change| {
        list.write(change, options, lifetime).await
    })
    .await
}

impl List {
    /// Parses a list and validates its rows one by one, on a separate thread.
    async fn parse(body: RequestBody, limits: ListLimits, rules: Rules) -> Result<Self> {
        tokio::task::spawn_blocking(move || Self::read(body, limits, rules)).await.map_err(Error::internal)?
    }

    fn read(body: RequestBody, limits: ListLimits, rules: Rules) -> Result<Self> {
        let (text, mut share) = body.into_parts();
        let (sent, findings) = rows::parse(&text, &mut share, limits, UserField::NEW_USER, "invite")?;
        drop(text);
        let mut report = Report::on(sent.len(), "invited", findings);
        let mut people: Vec<(usize, Invitee)> = Vec::with_capacity(sent.len());
        let mut first_with: HashMap<String, usize> = HashMap::with_capacity(sent.len());
        for (index, row) in sent.into_iter().enumerate() {
            let invitee = row.and_then(|row| check(row, index, rules, &mut report));
            let Some(invitee) = invitee else { continue };
            match first_with.get(invitee.email.key()) {
                Some(first) => report.add(Finding::email_twice(index, *first, invitee.email.as_str())),
                None => {
                    first_with.insert(invitee.email.key().to_owned(), index);
                    people.push((index, invitee));
                }
            }
        }
        Ok(Self { people, report, _share: share })
    }

    async fn write(&self, change: &mut Change, options: ListOptions, lifetime: Duration) -> Result<Vec<ListOutcome>> {
        if self.people.iter().any(|(_, invitee)| invitee.permission_level == PermissionLevel::Owner) {
            change.authorize(Action::OwnerGrant)?;
        }
        let mut report = self.report.clone();
        let emails: Vec<&EmailAddress> = self.people.iter().map(|(_, invitee)| &invitee.email).collect();
        let (mut open, members) = create::lock(change, &emails).await?;
        let (organization_id, now) = (change.organization_id(), change.now());
        let mut outcomes = Vec::with_capacity(self.people.len());
        for (index, invitee) in &self.people {
            let pending = open.remove(invitee.email.key()).filter(|pending| pending.expires_at > now);
            match pending {
                _ if members.contains(invitee.email.key()) => {
                    report.add(Finding::email_taken(*index, invitee.email.as_str()));
                }
                Some(pending) if !options.resend && pending.permission_level != invitee.permission_level => {
                    report.add(invited_with_another_level(*index, pending.permission_level));
                }
                Some(pending) if !options.resend => outcomes.push(ListOutcome::AlreadyInvited(pending)),
                pending => {
                    let replaces = pending.map(|pending| pending.invitation_id);
                    let invitation = NewInvitation::generate(organization_id, now, lifetime, invitee.clone());
                    outcomes.push(ListOutcome::Invited { invitation, replaces });
                }
            }
        }
        if !report.is_empty() {
            return Err(Error::rejected(report));
        }
        if options.plan.is_some_and(|plan| plan != InvitationPlan::of(&outcomes)) {
            let message = "the list would invite others than planned, because invitations have changed; nothing was written, so \
                           make a new dry run";
            return Err(Error::new(Code::PlanChanged, message));
        }
        let created: Vec<&NewInvitation> = outcomes.iter().filter_map(ListOutcome::invitation).collect();
        if created.is_empty() {
            change.dry_run();
        }
        let invitations = created.len();
        write::create(change, &created).await?;
        change.record(Event::InvitationsCreated { organization_id, invitations, refused: 0 });
        Ok(outcomes)
    }
}

impl ListOutcome {
    /// The new invitation.
    #[must_use]
    pub const fn invitation(&self) -> Option<&NewInvitation> {
        match self {
            Self::Invited { invitation, .. } => Some(invitation),
            Self::AlreadyInvited(_) => None,
        }
    }
}

fn invited_with_another_level(index: usize, level: PermissionLevel) -> Finding {
    let message = format!("has an open invitation as `{}`; resend the invitation to replace it", level.as_str());
    Finding::field(index, UserField::PermissionLevel, "invited_with_another_level", message)
}

/// Validates all fields of a row.
fn check(row: Row, index: usize, rules: Rules, report: &mut Report) -> Option<Invitee> {
    let mut invalid =
        |field: UserField, code, message: &str| report.add(Finding::field(index, field, code, message.to_owned()));
    for (field, is_given) in [
        (UserField::Password, is_given(&row.password)),
        (UserField::PasswordHash, is_given(&row.password_hash)),
        (UserField::MustChangePassword, matches!(row.must_change_password, Field::Is(_))),
    ] {
        if is_given {
            let message = "an invited person chooses the password; remove the value, or create the user instead";
            invalid(field, "password_in_invitation", message);
        }
    }
    if matches!(row.is_sso_user, Field::Is(true)) {
        let message = "an invited person chooses a password; create an SSO user instead";
        invalid(UserField::IsSsoUser, "sso_user_in_invitation", message);
    }
    if matches!(row.attributes, Field::Is(_)) {
        let message = "an invitation has no attributes; remove them, and set them when the person has joined";
        invalid(UserField::Attributes, "attributes_in_invitation", message);
    }
    if row.email.is_empty() {
        invalid(UserField::Email, "missing", "is missing");
    }
    let email = row.email.into_option().and_then(|email| {
        EmailAddress::parse(&email).map_err(|why| invalid(UserField::Email, why.code(), &why.message())).ok()
    });
    let name = row
        .name
        .into_option()
        .and_then(|name| Name::parse(name).map_err(|why| invalid(UserField::Name, why.code(), &why.message())).ok());
    let mut line = |field: UserField, text: Field<String>| {
        let line = text.into_option().map(Line::parse).transpose();
        line.map_err(|why| invalid(field, why.code(), &why.message())).ok().flatten()
    };
    let (lastname, title) = (line(UserField::Lastname, row.lastname), line(UserField::Title, row.title));
    let mut refuse = |code, message| {
        invalid(UserField::PermissionLevel, code, message);
        None
    };
    let permission_level = match row.permission_level.into_option().as_deref().map(PermissionLevel::parse) {
        None => Some(PermissionLevel::Collaborator),
        Some(Some(PermissionLevel::Owner)) if !rules.may_grant_owner => {
            refuse("permission_level_forbidden", "this API key can't invite owners")
        }
        Some(Some(level)) => Some(level),
        Some(None) => refuse("permission_level_unknown", "must be `collaborator` or `owner`"),
    };
    let expiry = row.expires_at.into_option().map(|text| Expiry::parse_new(&text, rules.now)).transpose();
    let account_expires_at = expiry.map_err(|why| invalid(UserField::ExpiresAt, why.code(), &why.message())).ok()?;
    if account_expires_at.is_some_and(|expiry| expiry.time() < rules.links_end) {
        let message = "is before the end of the link; create the user instead, or choose a later time";
        invalid(UserField::ExpiresAt, "expires_before_link", message);
    }
    let details = Details { name, lastname, title };
    Some(Invitee { email: email?, permission_level: permission_level?, details, account_expires_at })
}

fn is_given(secret: &Field<crate::secret::Secret>) -> bool {
    matches!(secret, Field::Is(secret) if !secret.expose().is_empty())
}
