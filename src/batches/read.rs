//! Reading batches and their users.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::warnings::{self, Person};
use super::{BatchState, Source};
use crate::app::App;
use crate::audit::{ActorKind, ActorRef};
use crate::caller::{Action, Caller};
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::id::{ApiKey, Batch, Id, Organization, Request, User};
use crate::names::names;
use crate::page::{Page, PageRequest};
use crate::passwords::ImportedHash;
use crate::report::Finding;
use crate::users::{self, EmailAddress};

/// A batch without its users.
#[derive(Debug)]
pub struct BatchSummary {
    /// The batch's ID.
    pub batch_id: Id<Batch>,
    /// The state at the time of the query.
    pub state: BatchState,
    /// The kind of actor that requested the batch: an API key or an operator.
    pub requested_by_kind: ActorKind,
    /// The API key; `None` for an operator.
    pub requested_by_id: Option<Id<ApiKey>>,
    /// The API key's current name.
    pub requested_by_name: Option<String>,
    /// The HTTP request that created the batch.
    pub request_id: Option<Id<Request>>,
    /// The kind of client.
    pub source: Source,
    /// The name of the client's file.
    pub file_name: Option<String>,
    /// HMAC-SHA256 of the file's SHA-256.
    pub file_digest: Option<Vec<u8>>,
    /// The time of the request.
    pub created_at: DateTime<Utc>,
    /// The end of state `running`.
    pub finished_at: Option<DateTime<Utc>>,
    /// The time of the undo.
    pub undone_at: Option<DateTime<Utc>>,
    /// The number of users.
    pub user_count: i32,
    /// The number of passwords to hash.
    pub hash_count: i32,
    /// The number of passwords hashed so far.
    pub hashed: i32,
    /// The number of imported hashes that are weaker than today's recommendation.
    pub weak_hash_count: i32,
    /// The estimated end of a running batch.
    pub expected_at: Option<DateTime<Utc>>,
    /// The error of a failed batch: `code`, `detail` and `rows`.
    pub failure: Option<Value>,
}

/// A filter of [`list`]; `None` matches all batches.
#[derive(Debug, Default)]
pub struct BatchFilter {
    /// Batches in this state.
    pub state: Option<BatchState>,
    /// Batches from the file with this SHA-256.
    pub file_sha256: Option<[u8; 32]>,
}

pub(super) fn not_found(batch_id: Id<Batch>) -> Error {
    Error::new(Code::NotFound, format!("batch {batch_id} does not exist"))
}

/// Returns one batch.
///
/// # Errors
/// `forbidden` unless the caller is an owner; `not_found`.
pub async fn get(app: &Arc<App>, caller: &Caller, batch_id: Id<Batch>) -> Result<BatchSummary> {
    app.authorize(caller, Action::BatchGet).await?;
    find(app, caller, batch_id).await
}

/// As [`get`], for a caller who has just changed the batch: permission to read is not required.
pub(super) async fn find(app: &App, caller: &Caller, batch_id: Id<Batch>) -> Result<BatchSummary> {
    let filter = BatchFilter::default();
    let found = app.retry_read(async || select(app, caller, Some(batch_id), &filter, None, 1).await).await?;
    found.into_iter().next().ok_or_else(|| not_found(batch_id))
}

/// Lists batches, newest first.
///
/// # Errors
/// `forbidden` unless the caller is an owner.
pub async fn list(
    app: &App,
    caller: &Caller,
    filter: &BatchFilter,
    page: &PageRequest<Batch>,
) -> Result<Page<BatchSummary>> {
    app.authorize(caller, Action::BatchList).await?;
    let rows = select(app, caller, None, filter, page.after, page.limit()).await?;
    Ok(Page::new(page, rows, |row| row.batch_id))
}

async fn select(
    app: &App,
    caller: &Caller,
    only: Option<Id<Batch>>,
    filter: &BatchFilter,
    after: Option<Id<Batch>>,
    limit: i64,
) -> Result<Vec<BatchSummary>> {
    // Under the current server key and the retired ones.
    let digests: Vec<Vec<u8>> =
        filter.file_sha256.map_or_else(Vec::new, |sha256| app.fingerprints.all_of("file", &sha256));
    let rows = sqlx::query_as!(
        BatchSummary,
        r#"
        select
            batch_id as "batch_id: Id<Batch>", state as "state: BatchState", requested_by_kind as "requested_by_kind: ActorKind",
            requested_by_id as "requested_by_id: Id<ApiKey>", api_keys.name as "requested_by_name?",
            request_id as "request_id: Id<Request>", source as "source: Source", file_name, file_digest,
            batches.created_at, finished_at, undone_at, user_count, hash_count, hashed, weak_hash_count, expected_at, failure
        from batches
        left join api_keys
            on api_keys.organization_id = $1 and api_keys.key_id = batches.requested_by_id
        where batches.organization_id = $1
            and ($2::uuid is null or batch_id = $2)
            and ($3::uuid is null or batch_id < $3)
            and ($4::text is null or state = $4)
            and ($5::bytea[] = '{}' or file_digest = any($5))
        order by batch_id desc
        limit $6
        "#,
        caller.organization_id as Id<Organization>,
        only as Option<Id<Batch>>,
        after as Option<Id<Batch>>,
        filter.state.map(BatchState::as_str),
        &digests,
        limit,
    )
    .fetch_all(&mut *app.reader(&app.db.interactive).await?)
    .await?;
    Ok(rows)
}

/// The batch that created the users with all of these addresses, and the time of its request, if the caller requested it.
pub(super) async fn creator(
    app: &App,
    caller: &Caller,
    emails: &[EmailAddress],
) -> Result<Option<(Id<Batch>, DateTime<Utc>)>> {
    let keys: Vec<&str> = emails.iter().map(EmailAddress::key).collect();
    let mut connection = app.reader(&app.db.interactive).await?;
    let Some(batch_id) = users::read::only_batch(&mut connection, caller.organization_id, &keys).await? else {
        return Ok(None);
    };
    let actor = ActorRef::from(caller.principal);
    let created_at = sqlx::query_scalar!(
        r#"
        select created_at from batches
        where organization_id = $1 and batch_id = $2
            and requested_by_kind = $3 and requested_by_id is not distinct from $4
        "#,
        caller.organization_id as Id<Organization>,
        batch_id as Id<Batch>,
        actor.kind.as_str(),
        actor.id,
    )
    .fetch_optional(&mut *connection)
    .await?;
    Ok(created_at.map(|created_at| (batch_id, created_at)))
}

/// A user of a created batch.
#[derive(Debug)]
pub struct CreatedUser {
    /// The user's ID.
    pub user_id: Id<User>,
    /// The e-mail address as it was written.
    pub email: String,
    /// The creation time, the same for all users of a batch.
    pub created_at: DateTime<Utc>,
    /// First name, or the full name.
    pub name: String,
    /// Whether the user signs in through the organization's identity provider.
    pub is_sso_user: bool,
    /// Last name.
    pub lastname: Option<String>,
    /// Title or position.
    pub title: Option<String>,
    /// When the account expires.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Returns the users of a created batch as they are now, in the order of its list, and the warnings about them.
///
/// # Errors
/// `forbidden` unless the caller is an owner; `not_found`; `conflict` for a batch in another state, or without remaining
/// users.
pub async fn results(app: &Arc<App>, caller: &Caller, batch_id: Id<Batch>) -> Result<(Vec<CreatedUser>, Vec<Finding>)> {
    let batch = get(app, caller, batch_id).await?;
    let no_users = || Error::new(Code::Conflict, format!("batch {batch_id} is {} and has no users", batch.state));
    // An undo can have kept users.
    if !matches!(batch.state, BatchState::Created | BatchState::Undone) {
        return Err(no_users());
    }
    let mut read = app.read(caller, Action::BatchGet).await?;
    // IDs are generated in the order of the list, and sort in that order.
    let users = sqlx::query_as!(
        CreatedUser,
        r#"
        select user_id as "user_id: Id<User>", email, created_at, name, is_sso_user, lastname, title, expires_at
        from users
        where organization_id = $1 and batch_id = $2
        order by user_id
        "#,
        caller.organization_id as Id<Organization>,
        batch_id as Id<Batch>,
    )
    .fetch_all(&mut *read)
    .await?;
    if users.is_empty() {
        return Err(no_users());
    }
    let emails: Vec<_> = users.iter().map(|user| EmailAddress::parse(&user.email).ok()).collect();
    let mut people = Vec::with_capacity(users.len());
    for (index, (user, email)) in users.iter().zip(&emails).enumerate() {
        let Some(email) = email else { continue };
        let (lastname, title) = (user.lastname.as_deref(), user.title.as_deref());
        people.push(Person { index, domain: email.domain(), name: &user.name, lastname, title });
    }
    let mut warnings = warnings::of_people(&people);
    if batch.weak_hash_count == 0 {
        return Ok((users, warnings));
    }
    let hashes = sqlx::query!(
        r#"
        select user_id as "user_id: Id<User>", phc from users u
        join passwords p using (organization_id, user_id)
        where u.organization_id = $1 and p.organization_id = $1 and batch_id = $2
        order by user_id
        "#,
        caller.organization_id as Id<Organization>,
        batch_id as Id<Batch>,
    )
    .fetch_all(&mut *read)
    .await?;
    let mut hashes = hashes.into_iter().peekable();
    let warning = |(index, user): (usize, &CreatedUser)| {
        let hash = hashes.next_if(|hash| hash.user_id == user.user_id)?;
        warnings::of_hash(index, &ImportedHash::parse(&hash.phc).ok()?)
    };
    warnings.extend(users.iter().enumerate().filter_map(warning));
    warnings.sort_by_key(Finding::order);
    Ok((users, warnings))
}

names! {
    /// How a user was used after the batch was created, so that removing the user would lose data.
    #[derive(sqlx::Type)]
    #[sqlx(type_name = "text", rename_all = "snake_case")]
    pub enum Use {
        /// The user has signed in.
        SignedIn = "signed_in",
        /// The user's profile, password, permission level or groups were changed.
        Changed = "changed",
        /// The user has an API key.
        InUse = "in_use",
    }
}

impl Use {
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::SignedIn => "has signed in since",
            Self::Changed => "was changed since",
            Self::InUse => "has an API key",
        }
    }
}

/// A user of a batch that is undone.
#[derive(Clone, Debug)]
pub struct BatchMember {
    /// The user's ID.
    pub user_id: Id<User>,
    /// The e-mail address as it was written.
    pub email: String,
    /// First name, or the full name.
    pub name: String,
    /// Last name.
    pub lastname: Option<String>,
    /// How the user was used after the batch was created; `None` for a user who can be removed.
    pub used: Option<Use>,
}

/// Locks the users of a batch, in the order of its list, then reads how they were used: a separate statement, which
/// sees what was committed while the first one waited. What refers to a user afterwards waits for the lock.
pub(super) async fn members(change: &mut Change, batch_id: Id<Batch>) -> Result<Vec<BatchMember>> {
    let organization_id = change.organization_id();
    sqlx::query!(
        "select from users where organization_id = $1 and batch_id = $2 order by user_id for update",
        organization_id as Id<Organization>,
        batch_id as Id<Batch>,
    )
    .execute(change.connection())
    .await?;
    let members = sqlx::query_as!(
        BatchMember,
        r#"
        select
            user_id as "user_id: Id<User>", email, name, lastname,
            case
                when first_signed_in_at is not null then 'signed_in'
                when users.updated_at > users.created_at
                    or exists (select from passwords p where p.organization_id = $1
                        and p.user_id = users.user_id and p.set_at > users.created_at)
                    or exists (select from user_group_members m where m.organization_id = $1
                        and m.user_id = users.user_id)
                    or not exists (select from collaborators c where c.organization_id = $1
                        and c.user_id = users.user_id and c.granted_at = users.created_at) then 'changed'
                when exists (select from api_keys k where k.organization_id = $1
                    and k.user_id = users.user_id)
                    or exists (select from sso_identities i where i.organization_id = $1
                    and i.user_id = users.user_id) then 'in_use'
            end as "used: Use"
        from users
        where organization_id = $1 and batch_id = $2
        order by user_id
        "#,
        organization_id as Id<Organization>,
        batch_id as Id<Batch>,
    )
    .fetch_all(change.connection())
    .await?;
    Ok(members)
}
