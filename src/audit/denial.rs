//! Denied and rejected actions.

use serde_json::{Map, Value, json};

use super::{Outcome, Target};
use crate::error::{Code, Error};
use crate::id::{Batch, Id, User};
use crate::report::Report;

/// An action that was denied or rejected, recorded outside any change.
#[derive(Debug)]
pub enum AuditDenial {
    /// The caller lacks the permission.
    Forbidden,
    /// A page of another site sent the request.
    CrossSite,
    /// Authentication failed; the code of the reason.
    Unauthenticated(&'static str),
    /// A sign-in was refused.
    SignIn {
        /// The user whose address was given, if there is one.
        user_id: Option<Id<User>>,
        /// The code of the reason, which the client is not told.
        reason: &'static str,
        /// The name of the identity provider.
        provider: Option<String>,
    },
    /// The caller has the permission, but the request conflicts with the stored state or has findings.
    Rejected {
        /// The target. For a list of new users: the batch, if it already had an ID.
        target: Target,
        /// The error's code.
        code: &'static str,
        /// The findings, for a list.
        findings: Option<Findings>,
    },
}

/// The number of findings of a list.
#[derive(Debug, Default)]
pub struct Findings {
    /// The number of rows of the list.
    pub(crate) rows: usize,
    /// The number of findings for each code.
    pub(crate) of_code: Map<String, Value>,
}

impl From<&Report> for Findings {
    fn from(report: &Report) -> Self {
        Self { rows: report.total(), of_code: report.counts() }
    }
}

impl AuditDenial {
    /// A refused sign-in without an identity provider.
    pub(crate) const fn sign_in(user_id: Option<Id<User>>, reason: &'static str) -> Self {
        Self::SignIn { user_id, reason, provider: None }
    }

    /// A change that failed with `error`. Only conflicts (409), failed preconditions (412) and rejected values (422) are
    /// recorded. Malformed requests and unknown objects affect no object, missing permissions are recorded by the
    /// permission check, and the caller does not cause server errors.
    pub(crate) fn of_change(target: Target, error: &Error) -> Option<Self> {
        let code = error.code();
        let findings = error.report().map(Findings::from);
        matches!(code.status(), 409 | 412 | 422).then_some(Self::Rejected { target, code: code.as_str(), findings })
    }

    /// A list that was rejected with `error`. A denial is recorded by the permission check. Errors of the server are not
    /// recorded: without the database, writing the denial would fail as well, and delay the response.
    pub(crate) fn of_list(batch_id: Option<Id<Batch>>, error: &Error) -> Option<Self> {
        if matches!(error.code(), Code::Forbidden | Code::Unauthenticated | Code::Internal | Code::Unavailable) {
            return None;
        }
        let target = batch_id.map_or(Target::Nothing, Target::Batch);
        let findings = error.report().map(Findings::from).unwrap_or_default();
        Some(Self::Rejected { target, code: error.code().as_str(), findings: Some(findings) })
    }

    /// The outcome.
    pub(crate) const fn outcome(&self) -> Outcome {
        match self {
            Self::Forbidden | Self::CrossSite | Self::Unauthenticated(_) | Self::SignIn { .. } => Outcome::Denied,
            Self::Rejected { .. } => Outcome::Rejected,
        }
    }

    /// The code of the reason.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::CrossSite => "cross_site",
            Self::Unauthenticated(reason) | Self::SignIn { reason, .. } => reason,
            Self::Rejected { code, .. } => code,
        }
    }

    /// The target of the action.
    pub(crate) const fn target(&self) -> Target {
        match self {
            Self::Rejected { target, .. } => *target,
            Self::SignIn { user_id: Some(user_id), .. } => Target::User(*user_id),
            Self::SignIn { user_id: None, .. } | Self::Forbidden | Self::CrossSite | Self::Unauthenticated(_) => {
                Target::Nothing
            }
        }
    }

    /// The fields that only lists have.
    pub(crate) fn details(&self) -> Option<Value> {
        match self {
            Self::Rejected { findings: Some(Findings { rows, of_code }), .. } => {
                Some(json!({ "rows": rows, "findings": of_code }))
            }
            Self::SignIn { provider: Some(provider), .. } => Some(json!({ "provider": provider })),
            Self::Rejected { .. }
            | Self::Forbidden
            | Self::CrossSite
            | Self::Unauthenticated(_)
            | Self::SignIn { .. } => None,
        }
    }
}
