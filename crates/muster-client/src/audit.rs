//! The audit log, as `GET /api/v2/audit/events` lists it: muster's own addition to the vendor's API.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One entry: somebody did something, or was not allowed to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// Id of the entry.
    pub event_id: String,
    /// When.
    pub occurred_at: DateTime<Utc>,
    /// `api_key`, `operator` or `anonymous`.
    pub actor_kind: String,
    /// Id of the actor; `None` for kinds without one.
    pub actor_id: Option<String>,
    /// The actor's name today.
    pub actor_name: Option<String>,
    /// Dotted name of what was asked for, such as `user.batch_create`.
    pub action: String,
    /// `success`, `denied` or `rejected`.
    pub outcome: String,
    /// Why it was denied or rejected, as a stable code.
    pub reason: Option<String>,
    /// `user`, `batch`, `api_key` or `organization`.
    pub target_kind: Option<String>,
    /// Id of what it was done to.
    pub target_id: Option<String>,
    /// The batch it belongs to.
    pub batch_id: Option<String>,
    /// The request it came in with.
    pub request_id: Option<String>,
    /// Network address the request came from.
    pub source_address: Option<String>,
    /// What else is worth knowing; its keys depend on the action.
    #[serde(default, deserialize_with = "crate::page::null_as_default")]
    pub details: Map<String, Value>,
}

/// Which entries are asked for: those that meet all conditions that are set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Before this time.
    pub until: Option<DateTime<Utc>>,
    /// Of the action with this dotted name.
    pub action: Option<String>,
    /// Done with this API key (`key_…`), by this user with any key of theirs (`usr_…`), or with this invitation.
    pub actor_id: Option<String>,
}

impl AuditFilter {
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        let shown = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        [
            ("since", self.since.map(shown)),
            ("until", self.until.map(shown)),
            ("action", self.action.clone()),
            ("actor_id", self.actor_id.clone()),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_asked_for_in_utc() {
        let filter = AuditFilter {
            since: Some("2026-11-23T10:00:00.5+02:00".parse().unwrap()),
            until: Some("2026-11-23T12:00:00+02:00".parse().unwrap()),
            action: Some("user.create".to_owned()),
            actor_id: Some("key_1".to_owned()),
        };
        assert_eq!(
            filter.query(),
            [
                ("since", "2026-11-23T08:00:00.500Z".to_owned()),
                ("until", "2026-11-23T10:00:00Z".to_owned()),
                ("action", "user.create".to_owned()),
                ("actor_id", "key_1".to_owned()),
            ]
        );
    }
}
