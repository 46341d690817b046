//! `/console/invitations`: who was invited, and what became of it, the latest first.

use actix_web::{HttpRequest, web};
use askama::Template;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::numbers;
use super::respond;
use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use crate::app::App;
use crate::audit::ActorKind;
use crate::caller::{Action, PermissionLevel};
use crate::error::{Error, Result};
use crate::http::extract;
use crate::http::pages::Moment;
use crate::id::{Id, Invitation, User};
use crate::invitations::{self, InvitationDetails, InvitationFilter, InvitationState, ListedInvitation};
use crate::page::Span;

#[derive(Template)]
#[template(path = "console/invitations.html")]
pub(super) struct InvitationsPage {
    pub(super) shell: Shell,
    pub(super) query: InvitationsQuery,
    pub(super) rows: Vec<Row>,
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
    pub(super) may_invite: bool,
    pub(super) notice: Option<&'static str>,
}

/// What a list and the page of an invitation have.
pub(super) struct Heading {
    pub(super) id: Id<Invitation>,
    pub(super) email: String,
    pub(super) is_owner: bool,
    pub(super) state: InvitationState,
    pub(super) created: Moment,
    /// What happened to it, or will.
    pub(super) event: &'static str,
    pub(super) at: Moment,
    /// When an open one ends, in words.
    pub(super) ends: Option<String>,
}

pub(super) struct Row {
    pub(super) heading: Heading,
    /// Who invited.
    pub(super) by: String,
    pub(super) inviter: Option<Id<User>>,
}

impl Heading {
    pub(super) fn of(invitation: &InvitationDetails, now: DateTime<Utc>) -> Self {
        let state = invitation.state(now);
        let (event, at) = match state {
            InvitationState::Open => ("ends", invitation.expires_at),
            InvitationState::Accepted => ("accepted", invitation.accepted_at.unwrap_or(now)),
            InvitationState::Expired => ("ended", invitation.expires_at),
            InvitationState::Revoked => ("revoked", invitation.invalidated_at.unwrap_or(now)),
        };
        Self {
            id: invitation.invitation_id,
            email: invitation.email.clone(),
            is_owner: invitation.permission_level == PermissionLevel::Owner,
            state,
            created: Moment { at: invitation.created_at, now },
            event,
            at: Moment { at, now },
            ends: (state == InvitationState::Open).then(|| numbers::days_until(at, now)),
        }
    }

    pub(super) const fn class(&self) -> &'static str {
        match self.state {
            InvitationState::Open => "busy",
            InvitationState::Accepted => "ok",
            InvitationState::Expired => "warn",
            InvitationState::Revoked => "off",
        }
    }

    pub(super) const fn word(&self) -> &'static str {
        match self.state {
            InvitationState::Open => "Open",
            InvitationState::Accepted => "Accepted",
            InvitationState::Expired => "Expired",
            InvitationState::Revoked => "Revoked or replaced",
        }
    }
}

impl Row {
    fn of(listed: ListedInvitation, now: DateTime<Utc>) -> Self {
        let by = match (listed.inviter_name, listed.inviter, listed.invited_by) {
            (Some(name), Some(_), _) => name,
            (Some(name), None, _) => format!("API key {name}"),
            (None, _, ActorKind::ApiKey) => "an API key".to_owned(),
            (None, _, ActorKind::Session) => "in the browser".to_owned(),
            (None, ..) => "the local operator".to_owned(),
        };
        Self { heading: Heading::of(&listed.invitation, now), by, inviter: listed.inviter }
    }
}

/// The parameters. Empty ones are left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct InvitationsQuery {
    pub(super) state: String,
    /// A part of the address.
    pub(super) q: String,
    /// A part of the name of who invited.
    pub(super) by: String,
    count: String,
    after: String,
    before: String,
    done: String,
}

fn given(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

impl InvitationsQuery {
    fn filter(&self) -> Result<InvitationFilter> {
        let unknown = || Error::invalid(format!("`state` must be one of {}", InvitationState::list()));
        let state = given(&self.state).map(|text| InvitationState::parse(text).ok_or_else(unknown)).transpose()?;
        Ok(InvitationFilter {
            state,
            email: given(&self.q).map(str::to_owned),
            invited_by: given(&self.by).map(str::to_owned),
        })
    }

    fn span(&self, filter: &InvitationFilter) -> Result<Span> {
        Span::parse(filter.list_key(), given(&self.count), given(&self.after), given(&self.before))
    }

    /// The parameters without the place in the list and without the one that is named, each with a trailing `&`.
    pub(super) fn without(&self, name: &str) -> String {
        let fields = [("state", &self.state), ("q", &self.q), ("by", &self.by), ("count", &self.count)];
        let fields = fields.into_iter().filter(|(field, value)| *field != name && given(value).is_some());
        fields.map(|(field, value)| format!("{field}={}&", extract::encoded(value.trim()))).collect()
    }

    pub(super) fn is_filtered(&self) -> bool {
        [&self.state, &self.q, &self.by].into_iter().any(|value| given(value).is_some())
    }

    /// The filters of the form that are in use: the name, the label and the value.
    pub(super) fn chips(&self) -> impl Iterator<Item = (&'static str, &'static str, &str)> {
        let all = [("q", "Address", &self.q), ("by", "Invited by", &self.by)];
        all.into_iter().filter_map(|(name, label, value)| Some((name, label, given(value)?)))
    }
}

impl InvitationsPage {
    fn is_current(&self, state: &str) -> bool {
        self.query.state == state
    }
}

/// `GET /console/invitations`.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Invitations).await?;
    let query: InvitationsQuery = extract::query(&request)?;
    let filter = query.filter()?;
    let slice = invitations::browse(&app, &visit.caller, &filter, &query.span(&filter)?).await?;
    let notice = match query.done.as_str() {
        "revoked" => Some("The invitation is revoked: its link no longer works."),
        _ => None,
    };
    Ok(respond(&InvitationsPage {
        may_invite: visit.caller.may(Action::InvitationBatchCreate),
        rows: slice.rows.into_iter().map(|listed| Row::of(listed, visit.now)).collect(),
        previous: slice.previous,
        next: slice.next,
        notice,
        query,
        shell: visit.shell,
    }))
}
