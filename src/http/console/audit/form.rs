//! The filters of the audit log, as parameters of a page.

use std::fmt::Display;
use std::str::FromStr;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use serde::Deserialize;

use crate::audit::{ActionFilter, ActionGroup, Filter, OutcomeFilter};
use crate::error::{Error, Result};
use crate::http::extract::encoded;
use crate::page::{ListKey, Span};

/// The parameters. An empty one is that of a field that was left empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::http::console) struct AuditQuery {
    pub(in crate::http::console) actor: String,
    pub(in crate::http::console) target: String,
    pub(in crate::http::console) user: String,
    pub(in crate::http::console) action: String,
    pub(in crate::http::console) outcome: String,
    pub(in crate::http::console) since: String,
    pub(in crate::http::console) until: String,
    pub(in crate::http::console) batch: String,
    pub(in crate::http::console) request: String,
    pub(in crate::http::console) from: String,
    /// `all`: with the entries of the single users of batches.
    pub(in crate::http::console) entries: String,
    /// The kind of file, for a download.
    pub(super) format: Option<String>,
    count: Option<String>,
    after: Option<String>,
    before: Option<String>,
}

/// A filter in use, and the way to the list without it.
pub(in crate::http::console) struct Chip {
    pub(in crate::http::console) name: &'static str,
    pub(in crate::http::console) value: String,
    /// The parameters of the list without it.
    pub(in crate::http::console) without: String,
}

/// A choice of a field.
pub(in crate::http::console) struct Choice {
    pub(in crate::http::console) value: &'static str,
    pub(in crate::http::console) title: &'static str,
    pub(in crate::http::console) is_selected: bool,
}

const ACTIONS: [(ActionGroup, &str); 8] = [
    (ActionGroup::Changes, "All changes"),
    (ActionGroup::People, "People"),
    (ActionGroup::Batches, "Batches"),
    (ActionGroup::Invitations, "Invitations"),
    (ActionGroup::Groups, "Groups and policy"),
    (ActionGroup::Keys, "API keys"),
    (ActionGroup::SignIns, "Sign-ins"),
    (ActionGroup::Settings, "Settings"),
];

const OUTCOMES: [(&str, &str); 2] = [("success", "Done"), ("refused", "Refused")];

impl AuditQuery {
    /// The filters, by their parameters, with the names that people read.
    fn filters(&self) -> [(&'static str, &'static str, &str); 10] {
        [
            ("actor", "Who", &self.actor),
            ("target", "About", &self.target),
            ("user", "By or about", &self.user),
            ("action", "Action", &self.action),
            ("outcome", "Outcome", &self.outcome),
            ("since", "Since", &self.since),
            ("until", "Until", &self.until),
            ("batch", "Batch", &self.batch),
            ("request", "Request", &self.request),
            ("from", "From", &self.from),
        ]
    }

    /// Whether a filter is in use.
    pub(super) fn is_filtered(&self) -> bool {
        self.filters().iter().any(|(_, _, value)| !value.is_empty())
    }

    /// Whether the entries of the single users of batches are left out: unless they are asked for, by themselves or by an object
    /// of which they may be all there is.
    fn is_folded(&self) -> bool {
        let is_of_object = [&self.target, &self.user, &self.batch, &self.request].iter().any(|value| !value.is_empty());
        self.entries.is_empty() && !is_of_object && !matches!(self.action.as_str(), "user.create" | "user.delete")
    }

    /// # Errors
    /// `invalid_request`, which names the parameter.
    pub(super) fn filter(&self) -> Result<Filter> {
        if !matches!(self.entries.as_str(), "" | "all") {
            return Err(Error::invalid("`entries` must be `all`"));
        }
        Ok(Filter {
            since: day("since", &self.since, 0)?,
            until: day("until", &self.until, 1)?,
            action: parsed::<ActionFilter>("action", &self.action)?,
            outcome: parsed::<OutcomeFilter>("outcome", &self.outcome)?,
            actor: parsed("actor", &self.actor)?,
            target: parsed("target", &self.target)?,
            user: parsed("user", &self.user)?,
            batch: parsed("batch", &self.batch)?,
            request: parsed("request", &self.request)?,
            network: parsed("from", &self.from)?,
            is_folded: self.is_folded(),
        })
    }

    /// # Errors
    /// `invalid_request` for a token of another list.
    pub(super) fn span(&self) -> Result<Span> {
        let filters = self.filters().map(|(_, _, value)| value);
        let list = ListKey::of(["audit", &self.entries].into_iter().chain(filters));
        Span::parse(list, self.count.as_deref(), self.after.as_deref(), self.before.as_deref())
    }

    /// The parameters of the same list, without one of them and with another one, beginning with `?`.
    pub(super) fn with(&self, without: &str, more: &[(&str, &str)]) -> String {
        let filters = self.filters().map(|(name, _, value)| (name, value));
        let rest = [("entries", self.entries.as_str()), ("count", self.count.as_deref().unwrap_or_default())];
        let all = filters.into_iter().chain(rest).filter(|(name, value)| *name != without && !value.is_empty());
        let all = all.chain(more.iter().copied()).map(|(name, value)| format!("{name}={}", encoded(value)));
        let all = all.collect::<Vec<_>>().join("&");
        if all.is_empty() { all } else { format!("?{all}") }
    }

    pub(super) fn chips(&self) -> Vec<Chip> {
        let shown = |name: &str, value: &str| match name {
            "action" => {
                ACTIONS.iter().find(|(group, _)| group.as_str() == value).map_or(value, |(_, title)| title).to_owned()
            }
            "outcome" => {
                OUTCOMES.iter().find(|(outcome, _)| *outcome == value).map_or(value, |(_, title)| title).to_owned()
            }
            _ => value.to_owned(),
        };
        let used = self.filters().into_iter().filter(|(_, _, value)| !value.is_empty());
        let mut chips: Vec<Chip> = used
            .map(|(name, title, value)| Chip { name: title, value: shown(name, value), without: self.with(name, &[]) })
            .collect();
        let single = "single entries of batches".to_owned();
        if self.is_folded() {
            chips.push(Chip { name: "Without", value: single, without: self.with("", &[("entries", "all")]) });
        } else if !self.entries.is_empty() {
            chips.push(Chip { name: "With", value: single, without: self.with("entries", &[]) });
        }
        chips
    }

    pub(super) fn actions(&self) -> Vec<Choice> {
        let choice = |(group, title): &(ActionGroup, &'static str)| Choice {
            value: group.as_str(),
            title,
            is_selected: group.as_str() == self.action,
        };
        let mut choices: Vec<Choice> = ACTIONS.iter().map(choice).collect();
        // One action, which a link names.
        if let Ok(one @ ActionFilter::One(_)) = self.action.parse() {
            choices.push(Choice { value: one.as_str(), title: one.as_str(), is_selected: true });
        }
        choices
    }

    pub(super) fn outcomes(&self) -> Vec<Choice> {
        let choice = |(value, title)| Choice { value, title, is_selected: value == self.outcome };
        let mut choices: Vec<Choice> = OUTCOMES.into_iter().map(choice).collect();
        for (value, title) in [("denied", "No permission"), ("rejected", "Rejected")] {
            if self.outcome == value {
                choices.push(Choice { value, title, is_selected: true });
            }
        }
        choices
    }
}

fn parsed<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<Option<T>> {
    match text.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|error| Error::invalid(format!("invalid `{name}`: {error}"))),
    }
}

/// The midnight at which a day begins, or some days later; a time is itself.
fn day(name: &str, text: &str, later: u64) -> Result<Option<DateTime<Utc>>> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(Some(time.to_utc()));
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|day| day.checked_add_days(Days::new(later)));
    let day = day.ok_or_else(|| Error::invalid(format!("invalid `{name}`: expected a day, such as 2026-11-23")))?;
    Ok(Some(day.and_time(NaiveTime::MIN).and_utc()))
}
