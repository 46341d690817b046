//! Filters of the audit log: which events are asked for, and the IDs behind names and addresses.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ActorKind, address};
use crate::app::App;
use crate::caller::Action;
use crate::error::{Code, Error, Result};
use crate::id::{ApiKey, Batch, Group, Id, Invitation, Kind, Organization, Request, Session, User};
use crate::users::EmailAddress;

/// Restricts a list of entries, which must match all fields that are set.
#[derive(Debug, Default)]
pub struct Filter {
    /// The earliest time, inclusive.
    pub since: Option<DateTime<Utc>>,
    /// The latest time, exclusive.
    pub until: Option<DateTime<Utc>>,
    /// The action.
    pub action: Option<Action>,
    /// The actor.
    pub actor: Option<ActorFilter>,
    /// The target.
    pub target: Option<TargetFilter>,
    /// The batch that the event is part of.
    pub batch: Option<Id<Batch>>,
    /// The request that led to the event.
    pub request: Option<Id<Request>>,
}

/// The actor of an event.
#[derive(Clone, Debug)]
pub enum ActorFilter {
    /// The ID of an API key, a session, an invitation, or a user. A user's ID selects what any API key or session of the user did.
    Id(Uuid),
    /// A kind of actor whose actors have no IDs.
    Kind(ActorKind),
    /// The name of API keys, or the address of a user.
    Named(String),
}

impl FromStr for ActorFilter {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        if let Some(kind) = ActorKind::parse(text).filter(|kind| WITHOUT_ID.contains(kind)) {
            return Ok(Self::Kind(kind));
        }
        let id = id::<ApiKey>(text)
            .or_else(|| id::<User>(text))
            .or_else(|| id::<Session>(text))
            .or_else(|| id::<Invitation>(text));
        match id {
            Some(id) => Ok(Self::Id(id)),
            None if text.is_empty() => {
                Err("must be an ID, the name of an API key, an e-mail address, `operator`, `system` or `anonymous`")
            }
            None => Ok(Self::Named(text.to_owned())),
        }
    }
}

/// The kinds of actors without IDs. Keys of these names are found by their IDs.
const WITHOUT_ID: [ActorKind; 3] = [ActorKind::Operator, ActorKind::System, ActorKind::Anonymous];

/// The target of an event.
#[derive(Clone, Debug)]
pub enum TargetFilter {
    /// An ID of any kind of target.
    Id(Uuid),
    /// The address of a person: selects the events about accounts that have or had the address, and about invitations to it.
    Address(EmailAddress),
}

impl FromStr for TargetFilter {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let id = id::<User>(text)
            .or_else(|| id::<Batch>(text))
            .or_else(|| id::<ApiKey>(text))
            .or_else(|| id::<Group>(text))
            .or_else(|| id::<Invitation>(text))
            .or_else(|| id::<Organization>(text));
        match id {
            Some(id) => Ok(Self::Id(id)),
            None if text.contains('@') => {
                EmailAddress::parse(text).map(Self::Address).map_err(|why| why.message().into_owned())
            }
            None => Err(
                "must be an e-mail address, or the ID of a user (`usr_…`), a batch (`bat_…`), an API key (`key_…`), a \
                 group (`ug_…`), an invitation (`orginv_…`) or the organization (`org_…`)"
                    .to_owned(),
            ),
        }
    }
}

fn id<K: Kind>(text: &str) -> Option<Uuid> {
    text.parse::<Id<K>>().ok().map(Uuid::from)
}

/// The IDs of the actors that a filter selects; `None` for any actor, or for those without IDs.
///
/// # Errors
/// `not_found` for a name that no API key and no user has.
pub(super) async fn actor_ids(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    actor: Option<&ActorFilter>,
) -> Result<Option<Vec<Uuid>>> {
    let (id, name) = match actor {
        None | Some(ActorFilter::Kind(_)) => return Ok(None),
        Some(ActorFilter::Id(id)) => (Some(*id), None),
        Some(ActorFilter::Named(name)) => (None, Some(name.as_str())),
    };
    let address = name.and_then(|name| EmailAddress::parse(name).ok());
    let email_key = address.as_ref().map(EmailAddress::key);
    let mut found = sqlx::query_scalar!(
        r#"
        select key_id as "id!" from api_keys
        where organization_id = $1 and (
            name = $3 or user_id = $2 or user_id in (
                select user_id from users where organization_id = $1 and email_key = $4
            )
        )
        union all
        select user_id from users where organization_id = $1 and email_key = $4
        "#,
        organization_id as Id<Organization>,
        id,
        name,
        email_key,
    )
    .fetch_all(connection)
    .await?;
    if let (Some(name), true) = (name, found.is_empty()) {
        let shown: String = name.chars().take(LONGEST_SHOWN).filter(|c| !c.is_control()).collect();
        let message = match email_key {
            Some(_) => format!(
                "no user has the e-mail address `{shown}` now; for a deleted user, filter by the ID of the user (`usr_…`) or of the API key (`key_…`)"
            ),
            None => format!("no API key is named `{shown}`; a deleted key is found by its ID (`key_…`)"),
        };
        return Err(Error::new(Code::NotFound, message));
    }
    found.extend(id);
    Ok(Some(found))
}

/// How much of a name is shown in an error, in characters.
const LONGEST_SHOWN: usize = 100;

/// The IDs of the targets that a filter selects; `None` for any target.
pub(super) async fn target_ids(
    app: &App,
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    target: Option<&TargetFilter>,
) -> Result<Option<Vec<Uuid>>> {
    let address = match target {
        None => return Ok(None),
        Some(TargetFilter::Id(id)) => return Ok(Some(vec![*id])),
        Some(TargetFilter::Address(address)) => address,
    };
    let found = sqlx::query_scalar!(
        r#"
        select user_id as "id!" from users where organization_id = $1 and email_key = $2
        union
        select invitation_id from invitations where organization_id = $1 and email_key = $2
        union
        select target_id from audit_events
        where organization_id = $1 and target_email_hmac = any($3) and target_id is not null
        "#,
        organization_id as Id<Organization>,
        address.key(),
        &address::digests(&app.fingerprints, organization_id, address.key()),
    )
    .fetch_all(connection)
    .await?;
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_is_an_id_a_kind_without_ids_or_a_name() {
        let parse = |text: &str| text.parse::<ActorFilter>();
        for kind in WITHOUT_ID {
            assert!(matches!(parse(kind.as_str()), Ok(ActorFilter::Kind(parsed)) if parsed == kind), "{kind}");
        }
        for id in
            ["key_01k9h6m3x0e8wbz1v5n7q2r4t6", "usr_01k9h6m3x0e8wbz1v5n7q2r4t6", "orginv_01k9h6m3x0e8wbz1v5n7q2r4t6"]
        {
            assert!(matches!(parse(id), Ok(ActorFilter::Id(_))), "{id}");
        }
        for name in ["ci", "ada@example.com", "key_x", "session"] {
            assert!(matches!(parse(name), Ok(ActorFilter::Named(named)) if named == name), "{name}");
        }
        assert!(parse("").is_err());
    }

    #[test]
    fn a_target_is_an_id_of_any_kind_or_an_address() {
        let parse = |text: &str| text.parse::<TargetFilter>();
        for prefix in ["usr", "bat", "key", "ug", "orginv", "org"] {
            assert!(
                matches!(parse(&format!("{prefix}_01k9h6m3x0e8wbz1v5n7q2r4t6")), Ok(TargetFilter::Id(_))),
                "{prefix}"
            );
        }
        assert!(
            matches!(parse("Ada@Example.com"), Ok(TargetFilter::Address(address)) if address.key() == "ada@example.com")
        );
        assert_eq!(parse("ada@").err().as_deref(), Some("not a valid e-mail address"));
        for other in ["", "ada", "req_01k9h6m3x0e8wbz1v5n7q2r4t6"] {
            assert!(
                parse(other).err().unwrap().starts_with("must be an e-mail address, or the ID of a user"),
                "{other}"
            );
        }
    }
}
