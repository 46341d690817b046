//! muster creates users from an administrator's list: all of them or none, with a complete report when the list is
//! rejected, and a record of who did it.
//!
//! # Map
//!
//! A request arrives at an *interface*, [`http`] or [`cli`], which parses it, calls one operation and renders the result;
//! it contains neither SQL nor rules. An *operation* is a function of a resource's module, with the rules and the SQL of
//! one action.
//!
//! | module | contents |
//! |---|---|
//! | [`http`] | the HTTP server: `http/mod.rs` has the URL table, `http/api/` one file for each resource, `http/pages/` the pages on which people sign in, `http/console/` those of administrators, with their `templates/` |
//! | [`cli`] | the command line, one file for each command |
//! | [`batches`] | creating lists of users, from JSON to the commit; its documentation lists the steps |
//! | [`apply`] | applying a list as the wished state: creating, changing and suspending users at once |
//! | [`users`], [`collaborators`] | accounts and memberships, one or a list; search; the last-owner rule; e-mail addresses |
//! | [`passwords`] | the password policy, the pool of hashing threads, imported hashes |
//! | [`keys`], [`organizations`] | API keys; tenants |
//! | [`mail`] | messages with links, and notices: the queue, and the worker that sends them |
//! | [`sign_in`], [`sessions`], [`links`] | signing in with a password, and the throttle; sessions of browsers; one-time links to set a password |
//! | [`service_accounts`], [`device_logins`] | accounts of programs; API keys for clients that a person approves with a one-time password |
//! | [`sso`], [`sign_in_policies`] | single sign-on: identity providers by OpenID Connect; whether people may or must use it |
//! | [`invitations`] | links that each create one account |
//! | [`groups`], [`policies`] | groups of users; the permissions that groups grant |
//! | [`daily_counts`] | people and sign-ins of each day, for the pictures of the console |
//! | [`drafts`] | unfinished work of the pages, such as a list that is being corrected, encrypted with a key that only the browser has |
//! | `imports` | files that become users on the pages of the console: reading, checking, creating |
//! | [`audit`] | the append-only audit log: a closed list of events |
//! | [`jobs`] | background work: failing batches whose lease has expired, suspending users whose accounts have expired, expiring idempotency keys, deleting old sessions, throttle rows and drafts, counting days |
//! | [`doctor`] | checks of the database, the machine, the settings and the certificate |
//! | [`setup`] | migrations and the first organization of a database |
//! | [`app`], [`caller`], [`change`] | the parts of a running server; principals and permissions; transactions with their audit events |
//! | [`postgres`] | connection pools, migrations, the embedded PostgreSQL, classes of database errors |
//! | `field`, `list`, `rows`, [`report`] | the fields of a user in lists; parsing lists of bounded length, and of users; the findings on a rejected list |
//! | [`request_body`], [`memory`] | the memory budget of request bodies; returning memory to the system |
//! | `users_file` | users files in YAML, JSON and CSV, and exports of other systems, for the command line and the console |
//! | [`fingerprint`] | recognizing requests, files and plans without storing them |
//! | [`seal`] | encrypting secrets that are stored and read again |
//! | [`metrics`], [`traces`], [`telemetry`] | Prometheus metrics; spans for an OTLP collector; the log |
//! | [`tls`], [`proxies`] | the certificate, reloaded when it changes; addresses of clients behind proxies |
//! | [`config`], [`error`], [`id`], [`page`], [`clock`], `names`, `shell`, [`secret`], [`token`] | settings; the error type; typed IDs; pagination; the clock; enums with fixed names; arguments of commands that people copy; secret text; tokens of keys and links |
//!
//! In a resource's module, `mod.rs` has the types and the operations, `read.rs` the queries, and `write.rs` the
//! `INSERT`, `UPDATE` and `DELETE` statements. `migrations/` explains the tables. `crates/muster-client` is the Rust
//! client, with the types of requests and responses; the server and the command line use it, too.
//!
//! # The path of a request
//!
//! `POST /api/v2/users/admin_batch_create` is handled in `http/api/users.rs`. The extractor of [`caller::Caller`]
//! authenticates the API key, or responds with 401. The handler passes the unread body to [`batches::create()`], which
//! checks the permission (a denial gets 403 and an audit event), reads the body within its limits, claims the
//! idempotency key if there is one, validates all rows, looks up the addresses, and rejects the list with all findings
//! if there are any. [`passwords::Pool`] hashes the passwords. The response is rendered. `App::begin_many` begins a
//! [`change::Change`]; the functions in `write.rs` files write through it and record events; its `commit` checks the
//! permission again, under lock, appends the events to the audit log and commits. Then the handler sends the response.
//!
//! # Rules
//!
//! 1. `INSERT`, `UPDATE` and `DELETE` are in `write.rs` files, on a `&mut Change`. The exceptions say so: audit events of
//!    denials, the last use of a key or a session, the attempts to accept an invitation, the throttle, drafts, login requests, the numbers of days, and the rows of running batches
//!    (`batches/claim.rs`, `batches/lease.rs`, `jobs/`).
//! 2. Nothing leaves the process before the commit.
//! 3. The database decides uniqueness: a statement is judged by the rows that it returns (`on conflict do nothing`) or by
//!    the SQLSTATE of its error, never by a query before it.
//! 4. SQL uses sqlx's checked macros; `.sqlx/` is committed, so that a build needs no database.
//! 5. A parsed value is valid: an [`users::EmailAddress`] or a [`passwords::Password`] exists only if it is. A secret
//!    can't be displayed.
//! 6. Time and IDs come from [`app::App`]'s clock. Only [`config`] reads the environment.
//! 7. There are no import cycles: only a module and its own submodules import each other.

pub mod app;
pub mod apply;
pub mod audit;
pub mod batches;
pub mod caller;
pub mod change;
pub mod cli;
pub mod clock;
pub mod collaborators;
pub mod config;
pub mod daily_counts;
pub mod device_logins;
pub mod doctor;
pub mod drafts;
pub mod error;
pub mod failpoints;
pub(crate) mod field;
pub mod fingerprint;
pub mod groups;
pub mod http;
pub mod id;
pub(crate) mod imports;
pub mod invitations;
pub mod jobs;
pub mod keys;
pub mod links;
mod list;
pub mod mail;
pub mod memory;
pub mod metrics;
mod names;
pub mod organizations;
pub mod page;
pub mod passwords;
pub mod policies;
pub mod postgres;
pub mod proxies;
pub mod report;
pub mod request_body;
mod rows;
pub mod seal;
pub mod secret;
pub mod service_accounts;
pub mod sessions;
pub mod setup;
mod shell;
pub mod sign_in;
pub mod sign_in_policies;
pub mod sso;
pub mod telemetry;
pub mod tls;
pub mod token;
pub mod traces;
pub mod users;
pub(crate) mod users_file;
