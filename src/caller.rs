//! Who asks, and what they may do.

use std::fmt;
use std::net::IpAddr;

use crate::id::{ApiKey, Id, Organization, Request, User};

/// What muster can do, each with the dotted name that it has everywhere: in the audit
/// log, in spans, as OpenAPI operation id (with `_`) and as CLI command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the organization.
    OrganizationCreate,
    /// Create a list of users.
    UserBatchCreate,
    /// Find out what creating a list of users would do.
    UserBatchDryRun,
    /// Create one user of a batch: an audit entry each; nobody asks for it by itself.
    UserCreate,
    /// Delete one user of a batch that is undone: an audit entry each.
    UserDelete,
    /// Make somebody an owner.
    OwnerGrant,
    /// List batches.
    BatchList,
    /// Look at a batch.
    BatchGet,
    /// Stop a batch before it is created.
    BatchCancel,
    /// Delete the users of a batch.
    BatchUndo,
    /// Ask who one is.
    UserInfo,
    /// List and search collaborators.
    CollaboratorList,
    /// Make an API key.
    KeyCreate,
    /// List API keys.
    KeyList,
    /// Revoke an API key.
    KeyRevoke,
    /// Show an API key: an audit entry when it opens nothing.
    KeyUse,
    /// Read the audit log.
    AuditList,
}

impl Action {
    /// The dotted name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OrganizationCreate => "organization.create",
            Self::UserBatchCreate => "user.batch_create",
            Self::UserBatchDryRun => "user.batch_dry_run",
            Self::UserCreate => "user.create",
            Self::UserDelete => "user.delete",
            Self::OwnerGrant => "owner.grant",
            Self::BatchList => "batch.list",
            Self::BatchGet => "batch.get",
            Self::BatchCancel => "batch.cancel",
            Self::BatchUndo => "batch.undo",
            Self::UserInfo => "user.info",
            Self::CollaboratorList => "collaborator.list",
            Self::KeyCreate => "key.create",
            Self::KeyList => "key.list",
            Self::KeyRevoke => "key.revoke",
            Self::KeyUse => "key.use",
            Self::AuditList => "audit.list",
        }
    }

    /// Whether a collaborator may do it. An owner may do everything.
    const fn is_for_collaborators(self) -> bool {
        matches!(self, Self::UserInfo | Self::CollaboratorList)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a membership allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PermissionLevel {
    /// Everything.
    Owner,
    /// Reading who is there.
    Collaborator,
}

impl PermissionLevel {
    /// The name on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Collaborator => "collaborator",
        }
    }

    /// Reads what [`Self::as_str`] wrote. The database's check constraint allows nothing
    /// else; should it ever, the lesser level is the safe reading.
    #[must_use]
    pub fn from_database(text: &str) -> Self {
        if text == "owner" { Self::Owner } else { Self::Collaborator }
    }

    /// Reads what a request says. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Owner, Self::Collaborator].into_iter().find(|level| level.as_str() == text)
    }

    /// Whether somebody with this level may do `action`.
    #[must_use]
    pub const fn allows(self, action: Action) -> bool {
        matches!(self, Self::Owner) || action.is_for_collaborators()
    }
}

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A program or a person that showed an API key.
    ApiKey {
        /// Which key.
        id: Id<ApiKey>,
        /// Its name.
        name: String,
        /// The user who acts with it; `None`: the key acts for itself.
        user_id: Option<Id<User>>,
        /// What it allows.
        permission: PermissionLevel,
    },
    /// Somebody with access to the database itself, through `muster` on the machine.
    Operator,
    /// Somebody whose key opened nothing. Only refusals are recorded of them.
    Anonymous,
}

impl Actor {
    /// The kind, as the database and the audit log name it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ApiKey { .. } => "api_key",
            Self::Operator => "operator",
            Self::Anonymous => "anonymous",
        }
    }

    /// The id, for kinds that have one.
    #[must_use]
    pub const fn id(&self) -> Option<uuid::Uuid> {
        match self {
            Self::ApiKey { id, .. } => Some(id.uuid()),
            Self::Operator | Self::Anonymous => None,
        }
    }
}

/// Where a request came from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin {
    /// The request; `None` for the local operator.
    pub request_id: Option<Id<Request>>,
    /// The other end of the connection.
    pub address: Option<IpAddr>,
}

/// Somebody who asks for something, in one organization.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The organization they act in. They see and change nothing outside it.
    pub organization_id: Id<Organization>,
    /// Who they are.
    pub actor: Actor,
    /// Where they ask from.
    pub origin: Origin,
}

impl Caller {
    /// The local operator, acting in an organization.
    #[must_use]
    pub const fn operator(organization_id: Id<Organization>) -> Self {
        Self { organization_id, actor: Actor::Operator, origin: Origin { request_id: None, address: None } }
    }

    /// Whether they may do `action`.
    #[must_use]
    pub const fn may(&self, action: Action) -> bool {
        match self.actor {
            Actor::ApiKey { permission, .. } => permission.allows(action),
            Actor::Operator => true,
            Actor::Anonymous => false,
        }
    }
}
