//! Inviting a list of addresses.

use std::collections::{HashMap, HashSet};
use std::future::Future;

use chrono::Duration;
use serde::Deserialize;
use utoipa::ToSchema;

use super::read::OpenInvitation;
use super::{Details, Invitee, NewInvitation, read, write};
use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{Action, Caller, PermissionLevel};
use crate::change::Change;
use crate::collaborators::owners;
use crate::error::{Code, Error, Result};
use crate::request_body::BodyShare;
use crate::users::{self, EmailAddress, InvalidEmail, is_invisible};

/// How much of a malformed address is shown in an error, in characters.
const LONGEST_SHOWN: usize = 100;

/// An invitation as the client requests it, before validation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateInvitation)]
pub struct InvitationRequest {
    /// E-mail address. Compared without regard to case and encoding (Unicode or punycode).
    #[schema(max_length = 254, example = "ada@example.com")]
    pub email: String,
    /// Permission level of the account: `collaborator` (default) or `owner`.
    #[schema(example = "collaborator")]
    pub permission_level: Option<String>,
}

/// Invites the valid entries of a list, in one transaction. The results are in the order of the list: an invitation, or
/// an error for a malformed address, a duplicate (the first entry is used), a member, or an owner that the caller can't
/// make. The body is read after the permission check.
///
/// # Errors
/// `forbidden`; any error of reading the body; `empty_batch`; a database error. Then no one is invited.
pub async fn create(
    app: &App,
    caller: &Caller,
    body: impl Future<Output = Result<(Vec<InvitationRequest>, Option<BodyShare>)>>,
) -> Result<Vec<Result<NewInvitation>>> {
    app.authorize(caller, Action::InvitationBatchCreate).await?;
    let (requests, _share) = body.await?;
    if requests.is_empty() {
        return Err(Error::new(Code::EmptyBatch, "the list is empty"));
    }
    let validated = validate(requests, caller.may(Action::OwnerGrant));
    let invitees: Vec<&Invitee> = validated.iter().flatten().collect();
    let organization_id = caller.organization_id;
    let target = Target::Organization(organization_id);
    let invited = app.change_many(caller, Action::InvitationBatchCreate, target, false, async |change| {
        if invitees.iter().any(|invitee| invitee.permission_level == PermissionLevel::Owner) {
            change.authorize(Action::OwnerGrant)?;
        }
        let emails: Vec<&EmailAddress> = invitees.iter().map(|invitee| &invitee.email).collect();
        let (_, members) = lock(change, &emails).await?;
        let (now, lifetime) = (change.now(), Duration::days(i64::from(app.config.invitations.days)));
        let invite = |invitee: &Invitee| {
            let is_member = members.contains(invitee.email.key());
            (!is_member).then(|| NewInvitation::generate(organization_id, now, lifetime, invitee.clone()))
        };
        let invited: Vec<Option<NewInvitation>> = invitees.iter().map(|invitee| invite(invitee)).collect();
        let created: Vec<&NewInvitation> = invited.iter().flatten().collect();
        let refused = validated.len() - created.len();
        write::create(change, &created).await?;
        change.record(Event::InvitationsCreated { organization_id, invitations: created.len(), refused });
        Ok(invited)
    });
    let mut invited = invited.await?.into_iter();
    let mut result = |invitee: Invitee| {
        invited.next().flatten().ok_or_else(|| {
            let detail = format!("{} is already a member of the organization", invitee.email.as_str());
            Error::new(Code::EmailTaken, detail)
        })
    };
    Ok(validated.into_iter().map(|entry| entry.and_then(&mut result)).collect())
}

/// Validates each entry on its own and against the preceding entries.
fn validate(requests: Vec<InvitationRequest>, may_grant_owner: bool) -> Vec<Result<Invitee>> {
    let mut seen = HashSet::new();
    let validate_one = |request: InvitationRequest| {
        let email = EmailAddress::parse(&request.email).map_err(|why| malformed(&request.email, why))?;
        let permission_level = match request.permission_level.as_deref().map(PermissionLevel::parse) {
            None => PermissionLevel::Collaborator,
            Some(Some(PermissionLevel::Owner)) if !may_grant_owner => {
                let detail = format!("{}: this API key can't invite owners", email.as_str());
                return Err(Error::new(Code::Forbidden, detail));
            }
            Some(Some(level)) => level,
            Some(None) => {
                let detail = format!("{}: `permission_level` must be `collaborator` or `owner`", email.as_str());
                return Err(Error::invalid(detail));
            }
        };
        if !seen.insert(email.key().to_owned()) {
            let detail = format!("{} is in the list more than once; the first entry is used", email.as_str());
            return Err(Error::new(Code::Conflict, detail));
        }
        Ok(Invitee { email, permission_level, details: Details::default(), account_expires_at: None })
    };
    requests.into_iter().map(validate_one).collect()
}

/// Rejects a malformed address and shows it, without invisible characters.
fn malformed(text: &str, why: InvalidEmail) -> Error {
    if why == InvalidEmail::Empty {
        return Error::invalid("the address must not be empty");
    }
    let clean = |c: char| if c.is_control() || is_invisible(c) { char::REPLACEMENT_CHARACTER } else { c };
    let shown: String = text.chars().take(LONGEST_SHOWN).map(clean).collect();
    Error::invalid(format!("`{shown}`: {}", why.message()))
}

/// Serializes the lists of invitations of the organization, and locks the open invitations of these addresses. Returns
/// them, by the keys of the addresses, and the keys of those that belong to an account.
pub(super) async fn lock(
    change: &mut Change,
    emails: &[&EmailAddress],
) -> Result<(HashMap<String, OpenInvitation>, HashSet<String>)> {
    owners::lock(change).await?;
    let keys: Vec<&str> = emails.iter().map(|email| email.key()).collect();
    // An invitation that is being accepted becomes a member first.
    let open = read::lock_open(change, &keys).await?;
    let organization_id = change.organization_id();
    let taken = users::read::taken(change.connection(), organization_id, emails, None).await?;
    let members = taken.into_iter().filter_map(|index| Some(emails.get(index)?.key().to_owned())).collect();
    Ok((open, members))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validated(emails: &[&str]) -> Vec<String> {
        let request = |email: &&str| InvitationRequest { email: (*email).to_owned(), permission_level: None };
        let show =
            |entry: Result<Invitee>| entry.map_or_else(|error| error.to_string(), |one| one.email.key().to_owned());
        validate(emails.iter().map(request).collect(), false).into_iter().map(show).collect()
    }

    #[test]
    fn a_malformed_address_is_shown_without_invisible_characters() {
        let long = "x".repeat(10_000);
        assert_eq!(
            validated(&["", "a\u{202e}b\nc", &long]),
            [
                "the address must not be empty".to_owned(),
                "`a\u{fffd}b\u{fffd}c`: not a valid e-mail address".to_owned(),
                format!("`{}`: not a valid e-mail address", "x".repeat(100)),
            ]
        );
    }

    #[test]
    fn the_first_of_two_spellings_of_an_address_is_used() {
        assert_eq!(
            validated(&["A@x.org", "a@x.org", " b@x.org"]),
            ["a@x.org", "a@x.org is in the list more than once; the first entry is used", "b@x.org"]
        );
    }
}
