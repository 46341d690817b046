//! `/console/keys`: the API keys, the newest first.

use actix_web::{HttpRequest, web};
use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::numbers::days_until;
use super::respond;
use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use crate::app::App;
use crate::caller::{Caller, PermissionLevel};
use crate::collaborators::{self, CollaboratorFilter};
use crate::error::{Error, Result};
use crate::http::extract::{self, encoded};
use crate::http::pages::{Moment, Short};
use crate::id::{ApiKey, Id, User};
use crate::keys::{self, Creator, KeyFilter, KeyStatus, ListedKey};
use crate::page::{ListKey, PageRequest, Span};
use crate::users::{EmailAddress, Status};

/// When a key counts as ending soon, as on the overview.
const ENDS_SOON: TimeDelta = TimeDelta::days(14);

/// The longest time of a filter, in days: a hundred years.
const LONGEST_DAYS: i64 = 36_500;

#[derive(Template)]
#[template(path = "console/keys.html")]
pub(super) struct KeysPage {
    pub(super) shell: Shell,
    pub(super) query: KeysQuery,
    pub(super) rows: Vec<KeyRow>,
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
    /// Whether the name or address of an owner that the list is limited to is unknown.
    pub(super) is_owner_unknown: bool,
}

/// The parameters. Empty ones are left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct KeysQuery {
    /// A user by address, ID or name.
    pub(super) owner: String,
    /// `active` if it is empty; `any` for all.
    pub(super) state: String,
    /// Within how many days a key ends.
    pub(super) ends: String,
    /// For how many days a key was not used.
    pub(super) unused: String,
    /// The key that created them.
    pub(super) by: String,
    count: String,
    after: String,
    before: String,
}

/// A filter in use, and the way to the list without it.
pub(super) struct Chip {
    pub(super) label: &'static str,
    pub(super) value: String,
    pub(super) without: String,
}

/// A key, as lists show it.
pub(super) struct KeyRow {
    pub(super) listed: ListedKey,
    pub(super) state: KeyState,
    pub(super) ends: Short,
    /// How many days there are until the end.
    pub(super) ends_in: String,
    pub(super) last_used: Option<Short>,
}

/// What a key is like now: a shape and a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyState {
    Active,
    EndsSoon,
    /// The account of its user is suspended.
    Suspended,
    Expired,
    Revoked,
}

impl KeyState {
    pub(super) fn of(key: &keys::Summary, now: DateTime<Utc>) -> Self {
        match key.status(now) {
            KeyStatus::Revoked => Self::Revoked,
            KeyStatus::Expired => Self::Expired,
            KeyStatus::Active if key.user_status == Some(Status::Suspended) => Self::Suspended,
            KeyStatus::Active if key.expires_at - now < ENDS_SOON => Self::EndsSoon,
            KeyStatus::Active => Self::Active,
        }
    }

    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Active => "ok",
            Self::EndsSoon => "warn",
            Self::Suspended | Self::Expired | Self::Revoked => "off",
        }
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::EndsSoon => "Ends soon",
            Self::Suspended => "Account suspended",
            Self::Expired => "Expired",
            Self::Revoked => "Revoked",
        }
    }
}

impl KeyRow {
    pub(super) fn of(listed: ListedKey, now: DateTime<Utc>) -> Self {
        let moment = |at| Moment { at, now }.short();
        let key = &listed.key;
        Self {
            state: KeyState::of(key, now),
            ends: moment(key.expires_at),
            ends_in: days_until(key.expires_at, now),
            last_used: key.last_used_at.map(moment),
            listed,
        }
    }

    pub(super) fn is_owner(&self) -> bool {
        self.listed.level() == PermissionLevel::Owner
    }

    /// What the key may do, in a word or two.
    pub(super) fn scopes(&self) -> String {
        match self.listed.key.scopes.as_deref() {
            None => "all".to_owned(),
            Some(scopes) => scopes.join(", "),
        }
    }
}

fn given(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

fn days(name: &str, text: &str) -> Result<Option<TimeDelta>> {
    let invalid = || Error::invalid(format!("`{name}` must be a number of days from 1 to {LONGEST_DAYS}"));
    let days = given(text).map(|text| {
        text.parse().ok().filter(|days| (1..=LONGEST_DAYS).contains(days)).map(TimeDelta::days).ok_or_else(invalid)
    });
    days.transpose()
}

impl KeysQuery {
    fn fields(&self) -> [(&'static str, &str); 6] {
        [
            ("owner", &self.owner),
            ("state", &self.state),
            ("ends", &self.ends),
            ("unused", &self.unused),
            ("by", &self.by),
            ("count", &self.count),
        ]
    }

    /// The parameters without the place in the list, and without one of them; each with a trailing `&`.
    fn without(&self, without: &str) -> String {
        let fields = self.fields().into_iter().filter(|(name, value)| *name != without && given(value).is_some());
        fields.map(|(name, value)| format!("{name}={}&", encoded(value.trim()))).collect()
    }

    /// The parameters of the list of another state.
    fn of_state(&self, state: &str) -> String {
        let rest = self.without("state");
        let state = if state.is_empty() { String::new() } else { format!("state={state}&") };
        match format!("{rest}{state}").trim_end_matches('&') {
            "" => String::new(),
            all => format!("?{all}"),
        }
    }

    fn is_state(&self, state: &str) -> bool {
        self.state == state
    }

    /// The parameters for which the form has no field.
    fn hidden(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let shown = ["owner", "ends", "unused"];
        self.fields().into_iter().filter(move |(name, value)| !shown.contains(name) && given(value).is_some())
    }

    /// Whether keys are left out that the state alone does not.
    fn is_filtered(&self) -> bool {
        self.fields().iter().any(|(name, value)| !["state", "count"].contains(name) && given(value).is_some())
    }

    /// That the list is empty.
    fn nothing(&self) -> &'static str {
        match self.state.as_str() {
            _ if self.is_filtered() => "No key matches",
            "" => "No active key",
            "any" => "No key yet",
            _ => "No such key",
        }
    }

    fn status(&self) -> Result<Option<KeyStatus>> {
        match self.state.as_str() {
            "" => Ok(Some(KeyStatus::Active)),
            "any" => Ok(None),
            text => {
                let unknown = || Error::invalid(format!("`state` must be one of any, {}", KeyStatus::list()));
                KeyStatus::parse(text).map(Some).ok_or_else(unknown)
            }
        }
    }

    fn created_by(&self) -> Result<Option<Id<ApiKey>>> {
        let invalid = |_| Error::invalid("`by` must be the ID of a key, such as `key_…`");
        given(&self.by).map(|text| text.parse().map_err(invalid)).transpose()
    }

    fn chips(&self) -> Vec<Chip> {
        let shown = |name: &str, value: &str| match name {
            "ends" => Some(("Ends within", format!("{value} days"))),
            "unused" => Some(("Not used for", format!("{value} days"))),
            "owner" => Some(("Whose", value.to_owned())),
            "by" => Some(("Created by", value.to_owned())),
            _ => None,
        };
        let used = self.fields().into_iter().filter_map(|(name, value)| Some((name, given(value)?)));
        let chip =
            |(name, value)| shown(name, value).map(|(label, value)| Chip { label, value, without: self.without(name) });
        used.filter_map(chip).collect()
    }

    fn span(&self) -> Result<Span> {
        let list = ListKey::of(["keys"].into_iter().chain(self.fields().map(|(_, value)| value)));
        let [count, after, before] = [&self.count, &self.after, &self.before].map(|text| given(text));
        Span::parse(list, count, after, before)
    }
}

/// The users whom a text names: by ID, address or whole name.
pub(super) async fn named(app: &App, caller: &Caller, text: &str) -> Result<Vec<Id<User>>> {
    if let Ok(user_id) = text.parse() {
        return Ok(vec![user_id]);
    }
    let filter = match EmailAddress::parse(text) {
        Ok(_) => CollaboratorFilter { email: Some(text.to_owned()), ..CollaboratorFilter::default() },
        Err(_) => CollaboratorFilter { name: Some(text.to_owned()), ..CollaboratorFilter::default() },
    };
    let users = collaborators::list(app, caller, &filter, &PageRequest::new(None, None)?).await?;
    Ok(users.rows.into_iter().map(|user| user.user_id).collect())
}

/// `GET /console/keys`.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Keys).await?;
    let query: KeysQuery = extract::query(&request)?;
    let [ends, unused] = [days("ends", &query.ends)?, days("unused", &query.unused)?];
    let users = match given(&query.owner) {
        Some(owner) => Some(named(&app, &visit.caller, owner).await?),
        None => None,
    };
    let filter = KeyFilter {
        created_by: query.created_by()?,
        status: query.status()?,
        ends_before: ends.map(|days| visit.now + days),
        unused_since: unused.map(|days| visit.now - days),
        users,
    };
    let slice = keys::browse(&app, &visit.caller, &filter, &query.span()?).await?;
    Ok(respond(&KeysPage {
        rows: slice.rows.into_iter().map(|listed| KeyRow::of(listed, visit.now)).collect(),
        previous: slice.previous,
        next: slice.next,
        is_owner_unknown: filter.users.is_some_and(|users| users.is_empty()),
        query,
        shell: visit.shell,
    }))
}
