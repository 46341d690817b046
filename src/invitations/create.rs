//! Inviting a list of addresses.

use std::collections::HashSet;
use std::future::Future;

use chrono::Duration;

use super::{NewInvitation, Token, write};
use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{Action, Caller, PermissionLevel};
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::id::Id;
use crate::users::{self, EmailAddress, InvalidEmail};
use crate::users_file::is_invisible;

/// How much of an address that is none is repeated, in characters.
const LONGEST_SHOWN: usize = 100;

/// Whom somebody wants to invite, as they say it.
#[derive(Debug)]
pub struct Asked {
    /// The address.
    pub email: String,
    /// What the account is to be allowed; `None`: as a collaborator.
    pub permission_level: Option<String>,
}

/// An address that can be invited, as far as the list itself tells.
struct Invitee {
    email: EmailAddress,
    permission_level: PermissionLevel,
}

/// Invites those of a list who can be, in one transaction. The results are in the order of the list: an invitation,
/// or why there is none: not an address, twice in the list (the first one counts), a member already, or an owner that
/// the caller may not make.
///
/// The body is read only after the caller's permission has been checked.
///
/// # Errors
/// `forbidden`; what reading the body gives; `empty_batch`; those of the database. Then nobody is invited.
pub async fn create(
    app: &App,
    caller: &Caller,
    body: impl Future<Output = Result<Vec<Asked>>>,
) -> Result<Vec<Result<NewInvitation>>> {
    app.authorize(caller, Action::InvitationBatchCreate).await?;
    let asked = body.await?;
    if asked.is_empty() {
        return Err(Error::new(Code::EmptyBatch, "the list is empty: there is nobody to invite"));
    }
    let checked = check(asked, caller.may(Action::OwnerGrant));
    let invitees: Vec<&Invitee> = checked.iter().flatten().collect();
    let organization_id = caller.organization_id;
    let target = Target::Organization(organization_id);
    let invited = app.change_many(caller, Action::InvitationBatchCreate, target, false, async |change| {
        write::lock(change).await?;
        let members = members(change, &invitees).await?;
        let now = change.now();
        let expires_at = now + Duration::days(i64::from(app.config.invitations.days));
        let invite = |Invitee { email, permission_level }: &Invitee| {
            let (invitation_id, email, permission_level) = (Id::new(now), email.clone(), *permission_level);
            let token = Token::generate(organization_id, invitation_id);
            NewInvitation { invitation_id, email, permission_level, expires_at, token }
        };
        let invited: Vec<Option<NewInvitation>> =
            invitees.iter().map(|invitee| (!members.contains(invitee.email.key())).then(|| invite(invitee))).collect();
        let created: Vec<&NewInvitation> = invited.iter().flatten().collect();
        let refused = checked.len() - created.len();
        write::create(change, &created).await?;
        change.record(Event::InvitationsCreated { organization_id, invitations: created.len(), refused });
        Ok(invited)
    });
    let mut invited = invited.await?.into_iter();
    let mut result = |invitee: Invitee| {
        invited.next().flatten().ok_or_else(|| {
            let sentence = format!("{} is a member of the organization already", invitee.email.as_str());
            Error::new(Code::EmailTaken, sentence)
        })
    };
    Ok(checked.into_iter().map(|one| one.and_then(&mut result)).collect())
}

/// Judges each by itself, and against those before it.
fn check(asked: Vec<Asked>, may_grant_owner: bool) -> Vec<Result<Invitee>> {
    let mut seen = HashSet::new();
    let mut judge = |one: Asked| {
        let email = EmailAddress::parse(&one.email).map_err(|why| no_address(&one.email, why))?;
        let permission_level = match one.permission_level.as_deref().map(PermissionLevel::parse) {
            None => PermissionLevel::Collaborator,
            Some(Some(PermissionLevel::Owner)) if !may_grant_owner => {
                let sentence = format!("{}: this API key can't make owners", email.as_str());
                return Err(Error::new(Code::Forbidden, sentence));
            }
            Some(Some(level)) => level,
            Some(None) => {
                let sentence = format!("{}: `permission_level` has to be `collaborator` or `owner`", email.as_str());
                return Err(Error::invalid(sentence));
            }
        };
        if !seen.insert(email.key().to_owned()) {
            let sentence = format!("{} is in the list more than once: the first one counts", email.as_str());
            return Err(Error::new(Code::Conflict, sentence));
        }
        Ok(Invitee { email, permission_level })
    };
    asked.into_iter().map(&mut judge).collect()
}

/// Says which address is none, as far as that can be shown.
fn no_address(text: &str, why: InvalidEmail) -> Error {
    if why == InvalidEmail::Empty {
        return Error::invalid("an address must not be empty");
    }
    let clean = |c: char| if c.is_control() || is_invisible(c) { char::REPLACEMENT_CHARACTER } else { c };
    let shown: String = text.chars().take(LONGEST_SHOWN).map(clean).collect();
    Error::invalid(format!("`{shown}`: {}", why.message()))
}

/// The addresses that have an account already, as keys.
async fn members(change: &mut Change, invitees: &[&Invitee]) -> Result<HashSet<String>> {
    let organization_id = change.organization_id();
    let emails: Vec<&EmailAddress> = invitees.iter().map(|invitee| &invitee.email).collect();
    let taken = users::read::taken(change.connection(), organization_id, &emails).await?;
    Ok(taken.into_iter().filter_map(|place| Some(emails.get(place)?.key().to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(emails: &[&str]) -> Vec<String> {
        let asked = emails.iter().map(|email| Asked { email: (*email).to_owned(), permission_level: None }).collect();
        let show = |one: Result<Invitee>| one.map_or_else(|error| error.to_string(), |one| one.email.key().to_owned());
        check(asked, false).into_iter().map(show).collect()
    }

    #[test]
    fn what_is_no_address_is_named_without_what_can_not_be_seen() {
        let long = "x".repeat(10_000);
        assert_eq!(
            judged(&["", "a\u{202e}b\nc", &long]),
            [
                "an address must not be empty".to_owned(),
                "`a\u{fffd}b\u{fffd}c`: not a valid e-mail address".to_owned(),
                format!("`{}`: not a valid e-mail address", "x".repeat(100)),
            ]
        );
    }

    #[test]
    fn of_two_spellings_of_an_address_the_first_counts() {
        assert_eq!(
            judged(&["A@x.org", "a@x.org", " b@x.org"]),
            ["a@x.org", "a@x.org is in the list more than once: the first one counts", "b@x.org"]
        );
    }
}
