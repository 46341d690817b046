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
mod page;
mod patience;
mod random;
mod service_account;
mod user;
mod user_info;
mod users;

pub use api_key::{ApiKey, ApiKeyWithToken, NewApiKey};
pub use audit::{AuditEvent, AuditFilter};
pub use batch::{
    Batch, BatchAnswer, BatchEvent, BatchFailure, BatchFilter, BatchState, BatchUser, CreatedBatch, KeptUser,
    PlannedBatch, PlannedUser, Undone, Warning,
};
pub use batch_request::BatchRequest;
pub use builder::ClientBuilder;
pub use client::Client;
pub use collaborator::{Collaborator, CollaboratorFilter, CollaboratorType};
pub use collaborators::CollaboratorSearch;
pub use error::{Error, Rejection, RowFinding};
pub use group::{
    Group, GroupChanged, GroupMember, GroupMembership, GroupPermissions, GroupUser, PermissionHolder, Policy,
    PolicyBinding, UserPermissions,
};
pub use invitation::{
    AcceptInvitation, AcceptedInvitation, CreatedInvitation, Invitation, InvitationError, NewInvitation,
};
pub use login::{ApprovedLogin, StartedLogin};
pub use page::{Page, PageMetadata};
pub use patience::Trouble;
pub use secrecy::{ExposeSecret, SecretString};
pub use service_account::ServiceAccount;
pub use user::{AdminCreateUser, AdminCreatedUser, PermissionLevel};
pub use user_info::{OrganizationInfo, UserInfo};
pub use users::{User, UserChange, UserRow};
