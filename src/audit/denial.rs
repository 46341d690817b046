//! What can be refused.

use serde_json::{Map, Value, json};

use super::{Outcome, Target};
use crate::error::{Code, Error};
use crate::id::{Batch, Id};
use crate::report::Report;

/// Something that was not done, recorded on its own.
#[derive(Debug)]
pub enum AuditDenial {
    /// The caller is known and may not do it.
    Forbidden,
    /// The key that was shown opens nothing; the reason's code.
    Unauthenticated(&'static str),
    /// The caller may, and it can't be done.
    Rejected {
        /// To what. Of a list that would have made a batch: the batch, if it got as far as having an id.
        target: Target,
        /// The error's code.
        code: &'static str,
        /// What was found on the rows, if there are any.
        findings: Option<Findings>,
    },
}

/// How much is wrong with a list.
#[derive(Debug, Default)]
pub struct Findings {
    /// How many rows it has.
    pub(crate) rows: usize,
    /// How many findings of each code.
    pub(crate) of_code: Map<String, Value>,
}

impl From<&Report> for Findings {
    fn from(report: &Report) -> Self {
        Self { rows: report.total(), of_code: report.counts() }
    }
}

impl AuditDenial {
    /// A change that is refused because of what it met: something is not as it would have to be (409), is no longer
    /// what it was (412), or can't be set (422). `None` for anything else: what is no request or is about nothing is no
    /// attempt on anything, whoever may not was recorded when that was found, and a failure is none of the caller's.
    pub(crate) fn of_change(target: Target, error: &Error) -> Option<Self> {
        let code = error.code();
        let findings = error.report().map(Findings::from);
        matches!(code.status(), 409 | 412 | 422).then_some(Self::Rejected { target, code: code.as_str(), findings })
    }

    /// A list that is refused because of `error`. `None` when there is nothing to record: a database that is away can't
    /// take the record either, and the caller would wait for that.
    pub(crate) fn of_list(batch_id: Option<Id<Batch>>, error: &Error) -> Option<Self> {
        if matches!(error.code(), Code::Internal | Code::Unavailable) {
            return None;
        }
        let target = batch_id.map_or(Target::Nothing, Target::Batch);
        let findings = error.report().map(Findings::from).unwrap_or_default();
        Some(Self::Rejected { target, code: error.code().as_str(), findings: Some(findings) })
    }

    /// `denied`: not allowed. `rejected`: allowed, and not possible.
    pub(crate) const fn outcome(&self) -> Outcome {
        match self {
            Self::Forbidden | Self::Unauthenticated(_) => Outcome::Denied,
            Self::Rejected { .. } => Outcome::Rejected,
        }
    }

    /// Why, as a stable code.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Unauthenticated(reason) => reason,
            Self::Rejected { code, .. } => code,
        }
    }

    /// What it would have been done to.
    pub(crate) const fn target(&self) -> Target {
        match self {
            Self::Rejected { target, .. } => *target,
            Self::Forbidden | Self::Unauthenticated(_) => Target::Nothing,
        }
    }

    /// What else is worth knowing.
    pub(crate) fn details(&self) -> Option<Value> {
        match self {
            Self::Rejected { findings: Some(Findings { rows, of_code }), .. } => {
                Some(json!({ "rows": rows, "findings": of_code }))
            }
            Self::Rejected { .. } | Self::Forbidden | Self::Unauthenticated(_) => None,
        }
    }
}
