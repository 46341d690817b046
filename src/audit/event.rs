//! The closed list of what can be recorded.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::caller::{Action, PermissionLevel};
use crate::id::{ApiKey, Batch, Id, Organization, User};

/// Something that was done, recorded with the change that did it.
#[derive(Debug)]
pub enum Event {
    /// The organization was made.
    OrganizationCreated(Id<Organization>),
    /// An API key was made.
    KeyCreated {
        /// Which.
        key_id: Id<ApiKey>,
        /// What it allows.
        permission_level: PermissionLevel,
        /// Until when.
        expires_at: DateTime<Utc>,
    },
    /// An API key was revoked.
    KeyRevoked(Id<ApiKey>),
    /// A user was created, with their membership.
    UserCreated {
        /// Which.
        user_id: Id<User>,
        /// With which batch; `None` for one who was made alone.
        batch_id: Option<Id<Batch>>,
        /// What their membership allows.
        permission_level: PermissionLevel,
    },
    /// A user was deleted, with their membership and password.
    UserDeleted {
        /// Which.
        user_id: Id<User>,
        /// The batch that was undone.
        batch_id: Id<Batch>,
    },
    /// It was found out what a list of users would do; nothing else was written.
    BatchPlanned {
        /// In which organization.
        organization_id: Id<Organization>,
        /// How many users it would make.
        users: usize,
    },
    /// A batch was stopped before it was created.
    BatchCancelled(Id<Batch>),
    /// A batch was undone.
    BatchUndone {
        /// Which.
        batch_id: Id<Batch>,
        /// How many of its users were deleted.
        users: usize,
        /// How many were kept, because they had signed in or were changed.
        kept: usize,
    },
    /// A batch was created.
    BatchCreated {
        /// Which.
        batch_id: Id<Batch>,
        /// How many users it made.
        users: usize,
    },
}

/// Something that was not done, recorded on its own.
#[derive(Debug)]
pub enum Refusal {
    /// The caller is known and may not do it.
    Forbidden,
    /// The key that was shown opens nothing; the reason's code.
    Unauthenticated(&'static str),
    /// A batch that can't be created.
    BatchRejected {
        /// Which, if it got as far as having an id.
        batch_id: Option<Id<Batch>>,
        /// The error's code.
        code: &'static str,
        /// How many rows it had.
        rows: usize,
        /// How many findings of each code.
        findings: Map<String, Value>,
    },
}

/// The kind and the id of what an event is about.
pub(crate) type Target = (&'static str, Uuid);

impl Event {
    /// What was done.
    pub(crate) const fn action(&self) -> Action {
        match self {
            Self::OrganizationCreated(_) => Action::OrganizationCreate,
            Self::KeyCreated { .. } => Action::KeyCreate,
            Self::KeyRevoked(_) => Action::KeyRevoke,
            Self::UserCreated { .. } => Action::UserCreate,
            Self::BatchCreated { .. } => Action::UserBatchCreate,
            Self::UserDeleted { .. } => Action::UserDelete,
            Self::BatchPlanned { .. } => Action::UserBatchDryRun,
            Self::BatchCancelled(_) => Action::BatchCancel,
            Self::BatchUndone { .. } => Action::BatchUndo,
        }
    }

    /// To what.
    pub(crate) const fn target(&self) -> Target {
        match self {
            Self::OrganizationCreated(id) => ("organization", id.uuid()),
            Self::BatchPlanned { organization_id, .. } => ("organization", organization_id.uuid()),
            Self::KeyCreated { key_id, .. } | Self::KeyRevoked(key_id) => ("api_key", key_id.uuid()),
            Self::UserCreated { user_id, .. } | Self::UserDeleted { user_id, .. } => ("user", user_id.uuid()),
            Self::BatchCreated { batch_id, .. }
            | Self::BatchCancelled(batch_id)
            | Self::BatchUndone { batch_id, .. } => ("batch", batch_id.uuid()),
        }
    }

    /// As part of which batch.
    pub(crate) const fn batch_id(&self) -> Option<Uuid> {
        match self {
            Self::UserCreated { batch_id: Some(batch_id), .. }
            | Self::UserDeleted { batch_id, .. }
            | Self::BatchCreated { batch_id, .. }
            | Self::BatchCancelled(batch_id)
            | Self::BatchUndone { batch_id, .. } => Some(batch_id.uuid()),
            _ => None,
        }
    }

    /// What else is worth knowing; `None` for nothing.
    pub(crate) fn details(&self) -> Option<Value> {
        match self {
            Self::KeyCreated { permission_level, expires_at, .. } => Some(json!({
                "permission_level": permission_level.as_str(),
                "expires_at": expires_at,
            })),
            Self::UserCreated { permission_level: PermissionLevel::Owner, .. } => {
                Some(json!({ "permission_level": PermissionLevel::Owner.as_str() }))
            }
            Self::BatchCreated { users, .. } | Self::BatchPlanned { users, .. } => Some(json!({ "users": users })),
            Self::BatchUndone { users, kept, .. } => Some(json!({ "users": users, "kept": kept })),
            _ => None,
        }
    }
}

impl Refusal {
    /// `denied`: not allowed. `rejected`: allowed, and not possible.
    pub(crate) const fn outcome(&self) -> &'static str {
        match self {
            Self::Forbidden | Self::Unauthenticated(_) => "denied",
            Self::BatchRejected { .. } => "rejected",
        }
    }

    /// Why, as a stable code.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Unauthenticated(reason) => reason,
            Self::BatchRejected { code, .. } => code,
        }
    }

    /// As part of which batch.
    pub(crate) fn batch_id(&self) -> Option<Uuid> {
        match self {
            Self::BatchRejected { batch_id, .. } => batch_id.map(Id::uuid),
            Self::Forbidden | Self::Unauthenticated(_) => None,
        }
    }

    pub(crate) fn details(&self) -> Value {
        match self {
            Self::BatchRejected { rows, findings, .. } => json!({ "rows": rows, "findings": findings }),
            Self::Forbidden | Self::Unauthenticated(_) => json!({}),
        }
    }
}
