//! Collaborators: who belongs to the organization, and what each may do.

pub(crate) mod owners;
mod read;

pub use read::{Collaborator, CollaboratorType, Filter, list};
