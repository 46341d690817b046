//! Filters of the audit log: which events are asked for, and the IDs behind names and addresses.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ActionFilter, ActorKind, OutcomeFilter, address};
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::id::{ApiKey, Batch, Group, Id, Invitation, Kind, Organization, Request, Session, SsoProvider, User};
use crate::proxies::Network;
use crate::users::{EmailAddress, fold};

/// Restricts a list of entries, which must match all fields that are set.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The earliest time, inclusive.
    pub since: Option<DateTime<Utc>>,
    /// The latest time, exclusive.
    pub until: Option<DateTime<Utc>>,
    /// The action.
    pub action: Option<ActionFilter>,
    /// How the action ended.
    pub outcome: Option<OutcomeFilter>,
    /// The actor.
    pub actor: Option<ActorFilter>,
    /// The target.
    pub target: Option<TargetFilter>,
    /// The user who acted, or whom the event is about.
    pub user: Option<Id<User>>,
    /// The batch that the event is part of.
    pub batch: Option<Id<Batch>>,
    /// The request that led to the event.
    pub request: Option<Id<Request>>,
    /// The network of the client.
    pub network: Option<Network>,
    /// Whether to leave out the events of the single users of batches: the event of the batch has their number.
    pub is_folded: bool,
}

impl Filter {
    /// Whether few events can match, which are found by their index.
    pub(super) const fn is_selective(&self) -> bool {
        self.target.is_some() || self.user.is_some() || self.batch.is_some() || self.request.is_some()
    }
}

/// The actor of an event.
#[derive(Clone, Debug)]
pub enum ActorFilter {
    /// The ID of an API key, a session, an invitation, or a user. A user's ID selects what any API key or session of the user did.
    Id(Uuid),
    /// A kind of actor whose actors have no IDs.
    Kind(ActorKind),
    /// The name of API keys or users, or an address that users or invited people have or had.
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
            None if text.is_empty() => Err(
                "must be an ID, the name of an API key or a user, an e-mail address, `operator`, `system` or `anonymous`",
            ),
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
    /// The name of users, groups, API keys or identity providers.
    Named(String),
}

impl FromStr for TargetFilter {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let id = id::<User>(text)
            .or_else(|| id::<Batch>(text))
            .or_else(|| id::<ApiKey>(text))
            .or_else(|| id::<Group>(text))
            .or_else(|| id::<Invitation>(text))
            .or_else(|| id::<Session>(text))
            .or_else(|| id::<SsoProvider>(text))
            .or_else(|| id::<Organization>(text));
        match id {
            Some(id) => Ok(Self::Id(id)),
            None if text.is_empty() => Err("must be an ID, an e-mail address or a name".to_owned()),
            None if text.contains('@') => {
                EmailAddress::parse(text).map(Self::Address).map_err(|why| why.message().into_owned())
            }
            None => Ok(Self::Named(text.to_owned())),
        }
    }
}

fn id<K: Kind>(text: &str) -> Option<Uuid> {
    text.parse::<Id<K>>().ok().map(Uuid::from)
}

/// The IDs of the actors that a filter selects; `None` for any actor, or for those without IDs.
///
/// # Errors
/// `not_found` for a name that no API key and no user has, and for an address that nobody has or had.
pub(super) async fn actor_ids(
    app: &App,
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
    let digests = address.as_ref().map(|address| address::digests(&app.fingerprints, organization_id, address.key()));
    let mut found = sqlx::query_scalar!(
        r#"
        with people as (
            select user_id from users where organization_id = $1 and email_key = $4
            union
            select user_id from users
            where organization_id = $1 and name = $3 and coalesce(lastname, '') = ''
            union
            select user_id from users
            where organization_id = $1 and (name || ' ' || lastname) = $3 and lastname <> ''
            union
            select target_id from audit_events
            where organization_id = $1 and target_email_hmac = any($5) and target_id is not null
        )
        select user_id as "id!" from people
        union
        select key_id from api_keys
        where organization_id = $1 and (name = $3 or user_id = $2 or user_id in (select user_id from people))
        "#,
        organization_id as Id<Organization>,
        id,
        name,
        address.as_ref().map(EmailAddress::key),
        digests.as_deref(),
    )
    .fetch_all(connection)
    .await?;
    if let (Some(name), true) = (name, found.is_empty()) {
        let shown = shown(name);
        let message = match address {
            Some(_) => format!("nobody has or had the e-mail address `{shown}`"),
            None => format!(
                "no API key and no user is named `{shown}`; a deleted key is found by its ID (`key_…`), a deleted user by \
                 the ID (`usr_…`) or the e-mail address"
            ),
        };
        return Err(Error::new(Code::NotFound, message));
    }
    found.extend(id);
    Ok(Some(found))
}

/// A name as it is shown in an error.
fn shown(name: &str) -> String {
    name.chars().take(LONGEST_SHOWN).filter(|c| !c.is_control()).collect()
}

/// How much of a name is shown in an error, in characters.
const LONGEST_SHOWN: usize = 100;

/// The IDs of the targets that a filter selects; `None` for any target.
///
/// # Errors
/// `not_found` for a name that nothing has.
pub(super) async fn target_ids(
    app: &App,
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    target: Option<&TargetFilter>,
) -> Result<Option<Vec<Uuid>>> {
    match target {
        None => Ok(None),
        Some(TargetFilter::Id(id)) => Ok(Some(vec![*id])),
        Some(TargetFilter::Address(address)) => {
            of_address(app, connection, organization_id, address).await.map(Some).map_err(Error::from)
        }
        Some(TargetFilter::Named(name)) => {
            let found = of_name(connection, organization_id, name).await?;
            if found.is_empty() {
                let shown = shown(name);
                let message = format!(
                    "no user, group, API key or identity provider is named `{shown}`; what was deleted is found by its ID, and \
                     users also by the e-mail address"
                );
                return Err(Error::new(Code::NotFound, message));
            }
            Ok(Some(found))
        }
    }
}

async fn of_address(
    app: &App,
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    address: &EmailAddress,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
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
    .await
}

async fn of_name(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    name: &str,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"
        select user_id as "id!" from users where organization_id = $1 and name = $2 and coalesce(lastname, '') = ''
        union
        select user_id from users where organization_id = $1 and (name || ' ' || lastname) = $2 and lastname <> ''
        union
        select group_id from user_groups where organization_id = $1 and name_key = $3
        union
        select key_id from api_keys where organization_id = $1 and name = $2
        union
        select provider_id from sso_providers where organization_id = $1 and (name = $2 or title = $2)
        "#,
        organization_id as Id<Organization>,
        name,
        fold(name),
    )
    .fetch_all(connection)
    .await
}

/// The IDs of what belongs to a user: the events about them are about the user.
pub(super) async fn of_user(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    user_id: Id<User>,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"
        select $2::uuid as "id!"
        union all
        select key_id from api_keys where organization_id = $1 and user_id = $2
        union all
        select invitation_id from invitations where organization_id = $1 and user_id = $2
        "#,
        organization_id as Id<Organization>,
        user_id as Id<User>,
    )
    .fetch_all(connection)
    .await
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
    fn a_target_is_an_id_of_any_kind_an_address_or_a_name() {
        let parse = |text: &str| text.parse::<TargetFilter>();
        for prefix in ["usr", "bat", "key", "ug", "orginv", "ses", "idp", "org"] {
            assert!(
                matches!(parse(&format!("{prefix}_01k9h6m3x0e8wbz1v5n7q2r4t6")), Ok(TargetFilter::Id(_))),
                "{prefix}"
            );
        }
        assert!(
            matches!(parse("Ada@Example.com"), Ok(TargetFilter::Address(address)) if address.key() == "ada@example.com")
        );
        assert_eq!(parse("ada@").err().as_deref(), Some("not a valid e-mail address"));
        assert!(matches!(parse("Ada Lovelace"), Ok(TargetFilter::Named(name)) if name == "Ada Lovelace"));
        assert_eq!(parse("").err().as_deref(), Some("must be an ID, an e-mail address or a name"));
    }
}
