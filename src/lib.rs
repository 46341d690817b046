//! muster creates users on an administrator's word: a list of people becomes accounts, all of
//! them or none, with a complete report when it can't be, and a record of who did it.
//!
//! # The map of the house
//!
//! Three words are enough to find one's way. A **door** is a way in: it parses, calls one
//! operation and renders, and knows neither SQL nor rules. An **operation** is a function of a
//! noun's folder: the rules, and the SQL, of one thing muster can do. A **table** is a table.
//!
//! | room | what lives there |
//! |---|---|
//! | [`http`] | the HTTP door. `http/mod.rs` is the URL table; `http/api/` one resource a file, `http/pages/` pages for people |
//! | [`cli`] | the command line, one command a file |
//! | [`batches`] | the heart: lists of users, from JSON to commit, told as a story |
//! | [`users`], [`collaborators`] | accounts and memberships, one or a list of them; searching; the last owner; what an e-mail address is |
//! | [`passwords`] | what a password has to be; the pool of threads that hash |
//! | [`keys`], [`organizations`] | API keys; tenants |
//! | [`service_accounts`], [`device_logins`] | accounts of programs; handing a key to whoever shows a one-time password |
//! | [`invitations`] | links that each end in one account |
//! | [`groups`], [`policies`] | users who get permissions together; what those are, and who has them |
//! | [`jobs`] | background work: batches whose process died, expired keys |
//! | [`audit`] | the append-only log: a closed list of events |
//! | [`postgres`] | pools, migrations, the private cluster, what database errors mean |
//! | [`doctor`] | what is wrong with what muster stands on: database, machine, settings, certificate |
//! | [`app`], [`caller`], [`change`] | put together once; who asks; the one way to write |
//! | [`setup`] | migrations and the first organization |
//! | [`report`], `rows` | what is wrong with a list that is refused: all of it; reading lists |
//! | [`fingerprint`] | recognising requests, files and plans without keeping what they hold |
//! | [`metrics`], [`traces`] | what muster counts about itself, for Prometheus; how requests went, for a collector by OTLP |
//! | [`tls`], [`proxies`] | the certificate, kept current; whom proxies speak for |
//! | [`config`], [`telemetry`], [`error`], [`id`], [`page`], [`clock`], [`secret`], [`token`] | one thing each, as named |
//!
//! Inside a noun: `mod.rs` has the types and the operations, `read.rs` the queries, `write.rs`
//! the only `INSERT`, `UPDATE` and `DELETE`. The tables are explained in `migrations/`.
//! `crates/muster-client` is what other programs use; the command line uses it too.
//!
//! # One request, walked through
//!
//! `POST /api/v2/users/admin_batch_create` comes in at `http/api/users.rs`. The [`caller::Caller`]
//! extractor turns the API key into somebody, or into 401. The handler hands the body, unread, to
//! [`batches::create()`], which checks the permission (403, recorded), reads the body within its
//! bounds, claims the request's key if it has one, takes the rows apart, asks which addresses exist,
//! and refuses with all findings if there is one. [`passwords::Pool`] hashes. The answer is rendered.
//! Then `App::begin_many` begins a [`change::Change`]; the functions in `write.rs` files
//! write through it and record what they did; its `commit` appends the audit events and commits.
//! The handler sends the answer.
//!
//! # Rules
//!
//! 1. `INSERT`, `UPDATE` and `DELETE` stand in `write.rs` files, on a `&mut Change`. Three exceptions,
//!    all said where they are: refusals, the latest use of a key, and the claims on batches that are
//!    being made (`batches/claim.rs`, `batches/lease.rs`, `jobs/`).
//! 2. Nothing leaves the process before the commit.
//! 3. The database judges uniqueness, by the constraint's name.
//! 4. SQL goes through the checked macros; `.sqlx/` is committed, so a build needs no database.
//! 5. What is parsed can't be wrong: an [`users::EmailAddress`] or a [`passwords::Password`] exists
//!    only if valid. What is secret can't be shown.
//! 6. Time and ids come from [`app::App`]'s clock; the environment is read in [`config`] only.

pub mod app;
pub mod audit;
pub mod batches;
pub mod caller;
pub mod change;
pub mod cli;
pub mod clock;
pub mod collaborators;
pub mod config;
pub mod device_logins;
pub mod doctor;
pub mod error;
pub mod failpoints;
pub(crate) mod field;
pub mod fingerprint;
pub mod groups;
pub mod http;
pub mod id;
pub mod invitations;
pub mod jobs;
pub mod keys;
pub mod metrics;
pub mod organizations;
pub mod page;
pub mod passwords;
pub mod policies;
pub mod postgres;
pub mod proxies;
pub mod report;
mod rows;
pub mod secret;
pub mod service_accounts;
pub mod setup;
pub mod telemetry;
pub mod tls;
pub mod token;
pub mod traces;
pub mod users;
pub(crate) mod users_file;
