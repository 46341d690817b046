//! The HTTP API from outside: real requests, a real PostgreSQL, exact responses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic"
)]

#[path = "../support/mod.rs"]
mod support;

mod acceptance;
mod audit;
mod authentication;
mod batch;
mod batch_bad_input;
mod batch_conflicts;
mod batches;
mod bounds;
mod browsers;
mod clock_jumps;
mod collaborator_changes;
mod collaborator_search;
mod collaborators;
mod console;
mod coverage;
mod cross_site;
mod docs;
mod dry_run;
mod expiry;
mod group_members;
mod groups;
mod idempotency;
mod imports;
mod invitations;
mod key_holders;
mod keys;
mod logins;
mod mail;
mod pages;
mod password_links;
mod password_strength;
mod policies;
mod refusals;
mod repeated_denials;
mod schema;
mod scim;
mod service_accounts;
mod sessions;
mod sign_in;
mod sign_in_policy;
mod sso_configuration;
mod sso_linking;
mod sso_logout;
mod sso_sign_in;
mod surface;
mod tenants;
mod throttle;
mod time_limits;
mod user;
mod user_apply;
mod user_attributes;
mod user_deletion;
mod user_filters;
mod user_lists;
mod values;
mod vendor_client;
mod vendor_keys;
mod warnings;
