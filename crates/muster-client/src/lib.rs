#![doc = include_str!("../README.md")]

mod api_key;
mod audit;
mod base;
mod batch;
mod batch_request;
mod batches;
mod builder;
mod client;
mod collaborator;
mod collaborators;
mod error;
mod group;
mod groups;
mod http;
mod invitation;
mod invitations;
mod login;
mod mail;
mod page;
mod random;
mod retry;
mod secret;
mod service_account;
mod session;
mod sign_in_policy;
mod user;
mod user_info;
mod users;

pub use api_key::{ApiKey, ApiKeyWithToken, KeyExpiration, NewApiKey};
pub use audit::{AuditEvent, AuditFilter};
pub use batch::{
    Batch, BatchError, BatchEvent, BatchFilter, BatchOutcome, BatchState, BatchUser, CreatedBatch, KeptUser,
    PlannedBatch, PlannedCredential, PlannedUser, UndoneBatch,
};
pub use batch_request::BatchRequest;
pub use builder::ClientBuilder;
pub use client::Client;
pub use collaborator::{Collaborator, CollaboratorFilter, CollaboratorType};
pub use collaborators::CollaboratorSearch;
pub use error::{ApiError, Error, RowFinding};
pub use group::{
    Group, GroupChanged, GroupMember, GroupMembership, GroupPermissions, GroupUser, OwnerPermission, PermissionHolder,
    Policy, PolicyAffectedUser, PolicyBinding, PolicyChanges, UserPermissions,
};
pub use invitation::{
    AcceptInvitation, AcceptedInvitation, CreatedInvitation, Invitation, InvitationError, InvitationOutcome,
    InvitedUser, InvitedUsers, InvitedUsersMetadata, NewInvitation,
};
pub use login::{ApprovedLogin, LoginRequest, StartedLogin};
pub use mail::Mail;
pub use page::{Page, PageMetadata};
pub use retry::RetryReason;
pub use secrecy::{ExposeSecret, SecretString};
pub use service_account::ServiceAccount;
pub use session::{EndedSessions, LinksFor, PasswordLink, PasswordLinks, PasswordLinksMetadata, Session};
pub use sign_in_policy::SignInPolicy;
pub use user::{AdminCreateUser, AdminCreatedUser, PermissionLevel};
pub use user_info::{OrganizationInfo, UserInfo};
pub use users::{
    AppliedUser, AppliedUsers, AppliedUsersMetadata, ApplyOptions, ChangeOptions, ChangedField, ChangedUsers,
    ChangedUsersMetadata, FieldChange, User, UserChange, UserRow,
};
