//! The list of invitations for a page: in any state, by address and by who invited, the latest first, in both directions.
//!
//! # Decisions
//!
//! *A page reads at most [`MOST_SCANNED`] invitations*, in the order of the primary key. So a page can have fewer rows than requested,
//! even none, although more follow: the next page begins where the reading ended.
//!
//! *Who invited is looked up now.* A session is deleted some time after its end, so the person behind an old invitation can be unknown.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::InvitationDetails;
use crate::app::App;
use crate::audit::ActorKind;
use crate::caller::{Action, Caller, PermissionLevel};
use crate::error::Result;
use crate::id::{Id, Invitation, Organization, User};
use crate::names::names;
use crate::page::{ListKey, Position, Slice, Span};
use crate::users::EmailAddress;

/// The most invitations that are read for one page.
const MOST_SCANNED: i64 = 10_000;

names! {
    /// The state of an invitation.
    pub enum InvitationState {
        /// Its link works.
        Open = "open",
        /// The account was created.
        Accepted = "accepted",
        /// Its time is up.
        Expired = "expired",
        /// It was revoked, or replaced by a newer one.
        Revoked = "revoked",
    }
}

impl InvitationDetails {
    /// The state at a time.
    #[must_use]
    pub fn state(&self, now: DateTime<Utc>) -> InvitationState {
        match (self.accepted_at, self.invalidated_at) {
            (Some(_), _) => InvitationState::Accepted,
            (None, Some(_)) => InvitationState::Revoked,
            (None, None) if self.expires_at <= now => InvitationState::Expired,
            (None, None) => InvitationState::Open,
        }
    }
}

/// Restricts a list of invitations, which must match all fields that are set.
#[derive(Clone, Debug, Default)]
pub struct InvitationFilter {
    /// The state.
    pub state: Option<InvitationState>,
    /// A part of the address, or all of it.
    pub email: Option<String>,
    /// A part of the name or the address of the person who invited, or of the name of the API key.
    pub invited_by: Option<String>,
}

impl InvitationFilter {
    /// The key of the list, for [`Span`].
    #[must_use]
    pub fn list_key(&self) -> ListKey {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let state = self.state.map_or("", InvitationState::as_str);
        ListKey::of(["invitations", state, &text(&self.email), &text(&self.invited_by)])
    }

    /// The part of the normalized address to search for.
    fn email_key(&self) -> Option<String> {
        let email = self.email.as_deref()?;
        Some(EmailAddress::parse(email).map_or_else(|_| email.to_lowercase(), |address| address.key().to_owned()))
    }
}

/// An invitation of a list, with who invited.
#[derive(Debug)]
pub struct ListedInvitation {
    /// The invitation.
    pub invitation: InvitationDetails,
    /// What invited.
    pub invited_by: ActorKind,
    /// The person behind it, if that is known.
    pub inviter: Option<Id<User>>,
    /// The name of the person, or else of the API key.
    pub inviter_name: Option<String>,
}

/// Lists invitations, the latest first.
///
/// # Errors
/// `forbidden`, or a database error.
pub async fn browse(
    app: &App,
    caller: &Caller,
    filter: &InvitationFilter,
    span: &Span,
) -> Result<Slice<ListedInvitation>> {
    let mut read = app.read(caller, Action::InvitationList).await?;
    page(&mut read, caller.organization_id, filter, span, app.clock.now()).await
}

/// Selects the part of the list after or before an invitation: each row, whether it matches, and whether it is the last one that was read.
macro_rules! rows {
    ($after:literal, $order:literal, $read:expr, $organization_id:expr, $($values:expr),+ $(,)?) => {
        sqlx::query!(
            r#"
            select
                i.invitation_id as "invitation_id!: Id<Invitation>", i.email as "email!",
                i.permission_level as "permission_level!: PermissionLevel", i.created_at as "created_at!",
                i.expires_at as "expires_at!", i.accepted_at as "accepted_at?", i.invalidated_at as "invalidated_at?",
                i.user_id as "user_id?: Id<User>", i.invited_by_kind as "invited_by!: ActorKind",
                i.inviter as "inviter?: Id<User>", i.inviter_name as "inviter_name?", i.n = $4 as "is_last_scanned!",
                i.is_match as "is_match!"
            from (
                select
                    i.*, u.user_id as inviter,
                    coalesce(u.name || coalesce(' ' || nullif(u.lastname, ''), ''), k.name) as inviter_name,
                    (
                        ($5::text is null or i.state = $5) and ($6::text is null or strpos(i.email_key, $6) > 0)
                        and ($7::text is null or strpos(u.search_text, $7) > 0 or strpos(lower(k.name), $7) > 0)
                    ) is true as is_match
                from (
                    select
                        *, row_number() over (order by invitation_id "#
                + $order
                + r#") as n,
                        case
                            when accepted_at is not null then 'accepted'
                            when invalidated_at is not null then 'revoked'
                            when expires_at <= $3 then 'expired'
                            else 'open'
                        end as state
                    from invitations
                    where organization_id = $1 and ($2::uuid is null or invitation_id "#
                + $after
                + r#" $2)
                    order by invitation_id "#
                + $order
                + r#"
                    limit $4
                ) i
                left join api_keys k
                    on k.organization_id = $1 and i.invited_by_kind = 'api_key' and k.key_id = i.invited_by_id
                left join sessions s
                    on s.organization_id = $1 and i.invited_by_kind = 'session' and s.session_id = i.invited_by_id
                left join users u on u.organization_id = $1 and u.user_id = coalesce(k.user_id, s.user_id)
            ) i
            where i.is_match or i.n = $4
            order by i.invitation_id "#
                + $order
                + " limit $8",
            $organization_id as Id<Organization>,
            $($values),+
        )
        .fetch_all($read)
        .await?
        .into_iter()
        .map(|row| {
            let invitation = InvitationDetails {
                invitation_id: row.invitation_id,
                organization_id: $organization_id,
                email: row.email,
                permission_level: row.permission_level,
                created_at: row.created_at,
                expires_at: row.expires_at,
                accepted_at: row.accepted_at,
                invalidated_at: row.invalidated_at,
                user_id: row.user_id,
            };
            let (invited_by, inviter, inviter_name) = (row.invited_by, row.inviter, row.inviter_name);
            let listed = ListedInvitation { invitation, invited_by, inviter, inviter_name };
            (listed, row.is_match, row.is_last_scanned)
        })
        .collect()
    };
}

async fn page(
    read: &mut PgConnection,
    organization_id: Id<Organization>,
    filter: &InvitationFilter,
    span: &Span,
    now: DateTime<Utc>,
) -> Result<Slice<ListedInvitation>> {
    let start = span.start().map(|start| start.id);
    let state = filter.state.map(InvitationState::as_str);
    let email = filter.email_key();
    let invited_by = filter.invited_by.as_ref().map(|text| text.to_lowercase());
    let limit = span.limit();
    let rows: Vec<(ListedInvitation, bool, bool)> = match span.is_backward() {
        false => rows!("<", "desc", read, organization_id, start, now, MOST_SCANNED, state, email, invited_by, limit),
        true => rows!(">", "asc", read, organization_id, start, now, MOST_SCANNED, state, email, invited_by, limit),
    };
    let position = |listed: &ListedInvitation| Position::new("", listed.invitation.invitation_id);
    let searched = rows.iter().find(|(.., is_last_scanned)| *is_last_scanned).map(|(listed, ..)| position(listed));
    let found = rows.into_iter().filter(|(_, is_match, _)| *is_match).map(|(listed, ..)| listed).collect();
    Ok(Slice::new(span, found, searched, position))
}
