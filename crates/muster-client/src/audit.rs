//! The audit log: `GET /api/v2/audit/events`, an addition to the vendor's API.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::client::present;

/// An entry of the audit log: an action that succeeded, was denied or was rejected. Events identify people by ID.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AuditEvent {
    /// ID of the entry, `evt_…`.
    pub event_id: String,
    /// Time of the action.
    pub occurred_at: DateTime<Utc>,
    /// `api_key`, `session`, `invitation`, `operator`, `system` (the server itself) or `anonymous`.
    pub actor_kind: String,
    /// ID of the actor; `null` for `operator`, `system` and `anonymous`.
    pub actor_id: Option<String>,
    /// Current name of the API key that acted.
    pub actor_name: Option<String>,
    /// ID of the user on whose behalf an API key or a session acted. `None` for other actors, and for events of muster 0.1.0.
    #[serde(default)]
    pub actor_user_id: Option<String>,
    /// Name of the action, such as `user.batch_create`.
    pub action: String,
    /// `success`; `denied` if the actor is not authenticated or lacks the permission; `rejected` if the state of the
    /// data or the content of the list does not allow the action.
    pub outcome: String,
    /// Stable code of the reason why the action was denied or rejected, such as `last_owner`.
    pub reason: Option<String>,
    /// Kind of the target, such as `user`, `batch`, `api_key` or `organization`.
    pub target_kind: Option<String>,
    /// ID of the target.
    pub target_id: Option<String>,
    /// ID of the batch that the entry belongs to, `bat_…`.
    pub batch_id: Option<String>,
    /// Name of the batch's file, as its sender named it.
    #[serde(default)]
    pub file_name: Option<String>,
    /// ID of the request, `req_…`.
    pub request_id: Option<String>,
    /// IP address of the client.
    pub source_address: Option<String>,
    /// Program that sent the request: `muster_client` (muster's command line or Rust client), `vendor_client`, or `http` (any other
    /// one, such as a browser); `null` without a request.
    #[serde(default)]
    pub client: Option<String>,
    /// Further details; the keys depend on the action.
    #[serde(default, deserialize_with = "crate::page::null_as_default")]
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub details: Map<String, Value>,
}

/// Selects entries of the audit log. An entry must match all fields that are set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Earliest time, inclusive.
    pub since: Option<DateTime<Utc>>,
    /// Latest time, exclusive.
    pub until: Option<DateTime<Utc>>,
    /// Name of the action, or of a group of actions, such as `changes` or `sign_ins`.
    pub action: Option<String>,
    /// `success`, `denied`, `rejected`, or `refused` for the last two.
    pub outcome: Option<String>,
    /// The actor: the ID (`key_…`) or name of an API key; the ID (`usr_…`), name or e-mail address of a user with any of their keys;
    /// the ID of an invitation (`orginv_…`), `operator`, `system` or `anonymous`.
    pub actor: Option<String>,
    /// The target: an ID; an e-mail address, for the accounts that have or had it and the invitations to it, deleted ones
    /// included; or the name of a user, group, API key or identity provider.
    pub target: Option<String>,
    /// ID of a user (`usr_…`): what the user did, and what happened to the user.
    pub user_id: Option<String>,
    /// ID of the batch that the entries are part of.
    pub batch_id: Option<String>,
    /// ID of the request that led to the entries.
    pub request_id: Option<String>,
    /// IP address of the client, or a network in CIDR notation.
    pub from: Option<String>,
    /// Whether to leave out the entries of the single users that batches created or deleted.
    pub fold: bool,
}

impl AuditFilter {
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        let format = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        present([
            ("since", self.since.map(format)),
            ("until", self.until.map(format)),
            ("action", self.action.clone()),
            ("outcome", self.outcome.clone()),
            ("actor", self.actor.clone()),
            ("target", self.target.clone()),
            ("user_id", self.user_id.clone()),
            ("batch_id", self.batch_id.clone()),
            ("request_id", self.request_id.clone()),
            ("from", self.from.clone()),
            ("fold", self.fold.then(|| "true".to_owned())),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_a_filter_are_sent_in_utc() {
        let filter = AuditFilter {
            since: Some("2026-11-23T10:00:00.5+02:00".parse().unwrap()),
            until: Some("2026-11-23T12:00:00+02:00".parse().unwrap()),
            action: Some("user.create".to_owned()),
            actor: Some("key_1".to_owned()),
            target: Some("ada@example.com".to_owned()),
            request_id: Some("req_1".to_owned()),
            fold: true,
            ..AuditFilter::default()
        };
        assert_eq!(
            filter.query(),
            [
                ("since", "2026-11-23T08:00:00.500Z".to_owned()),
                ("until", "2026-11-23T10:00:00Z".to_owned()),
                ("action", "user.create".to_owned()),
                ("actor", "key_1".to_owned()),
                ("target", "ada@example.com".to_owned()),
                ("request_id", "req_1".to_owned()),
                ("fold", "true".to_owned()),
            ]
        );
    }
}
