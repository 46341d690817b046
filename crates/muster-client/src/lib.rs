#![doc = include_str!("../README.md")]

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
mod page;
mod patience;
mod random;
mod user;
mod user_info;
mod users;

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
pub use page::{Page, PageMetadata};
pub use secrecy::{ExposeSecret, SecretString};
pub use user::{AdminCreateUser, AdminCreatedUser, PermissionLevel};
pub use user_info::{OrganizationInfo, UserInfo};
pub use users::{User, UserChange, UserRow};
