//! Collaborators: who belongs to the organization, and what each may do.

mod read;

pub use read::{Collaborator, CollaboratorType, Filter, list};
