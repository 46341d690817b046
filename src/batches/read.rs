//! Looking at batches.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::app::App;
use crate::caller::{Action, Caller};
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::id::{ApiKey, Batch, Id, Request, User};
use crate::page::{Page, PageRequest};
use crate::passwords::ImportedHash;
use crate::report::Finding;

/// A batch, as it is shown.
#[derive(Debug)]
pub struct Summary {
    /// Which.
    pub batch_id: Id<Batch>,
    /// `running`, `created`, `failed`, `cancelled` or `undone`.
    pub state: String,
    /// Who asked for it: `api_key` or `operator`.
    pub requested_by_kind: String,
    /// Which key; `None` for the local operator.
    pub requested_by_id: Option<Id<ApiKey>>,
    /// The key's name today.
    pub requested_by_name: Option<String>,
    /// The request that it came with.
    pub request_id: Option<Id<Request>>,
    /// The kind of client that it came from.
    pub source: String,
    /// The file that it came from, as its sender named it.
    pub file_name: Option<String>,
    /// HMAC-SHA256 of the file's SHA-256.
    pub file_digest: Option<Vec<u8>>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it left `running`.
    pub finished_at: Option<DateTime<Utc>>,
    /// When its users were removed again.
    pub undone_at: Option<DateTime<Utc>>,
    /// How many users it makes.
    pub user_count: i32,
    /// How many of their passwords are to be hashed.
    pub hash_count: i32,
    /// How many are.
    pub hashed: i32,
    /// How many came with a hash weaker than today's recommendation.
    pub weak_hash_count: i32,
    /// When it will be done, by estimate.
    pub expected_at: Option<DateTime<Utc>>,
    /// Why it failed: code, detail, rows.
    pub failure: Option<Value>,
}

/// Which batches are asked for.
#[derive(Debug, Default)]
pub struct Filter {
    /// Those in this state.
    pub state: Option<String>,
    /// Those that came from the file with this SHA-256.
    pub file_sha256: Option<[u8; 32]>,
}

pub(super) fn not_found(batch_id: Id<Batch>) -> Error {
    Error::new(Code::NotFound, format!("there is no batch {batch_id}"))
}

/// Looks at one batch.
///
/// # Errors
/// `forbidden` unless the caller is an owner; `not_found`.
pub async fn get(app: &Arc<App>, caller: &Caller, batch_id: Id<Batch>) -> Result<Summary> {
    app.authorize(caller, Action::BatchGet).await?;
    find(app, caller, batch_id).await
}

async fn find(app: &App, caller: &Caller, batch_id: Id<Batch>) -> Result<Summary> {
    let found = select(app, caller, Some(batch_id), &Filter::default(), None, 1).await?;
    found.into_iter().next().ok_or_else(|| not_found(batch_id))
}

/// Lists batches, newest first.
///
/// # Errors
/// `forbidden` unless the caller is an owner.
pub async fn list(app: &App, caller: &Caller, filter: &Filter, page: &PageRequest<Batch>) -> Result<Page<Summary>> {
    app.authorize(caller, Action::BatchList).await?;
    let rows = select(app, caller, None, filter, page.after, page.limit()).await?;
    Ok(Page::new(page, rows, |row| row.batch_id))
}

async fn select(
    app: &App,
    caller: &Caller,
    only: Option<Id<Batch>>,
    filter: &Filter,
    after: Option<Id<Batch>>,
    limit: i64,
) -> Result<Vec<Summary>> {
    // Whichever of the keys of today and of the past made it.
    let digests: Vec<Vec<u8>> =
        filter.file_sha256.map(|sha256| app.fingerprints.all_of("file", &sha256)).unwrap_or_default();
    let rows = sqlx::query_as!(
        Summary,
        r#"
        select
            batch_id as "batch_id: Id<Batch>", state, requested_by_kind,
            requested_by_id as "requested_by_id: Id<ApiKey>", api_keys.name as "requested_by_name?",
            request_id as "request_id: Id<Request>", source, file_name, file_digest, batches.created_at, finished_at, undone_at,
            user_count, hash_count, hashed, weak_hash_count, expected_at, failure
        from batches
        left join api_keys
            on api_keys.organization_id = batches.organization_id and api_keys.key_id = batches.requested_by_id
        where batches.organization_id = $1
            and ($2::uuid is null or batch_id = $2)
            and ($3::uuid is null or batch_id < $3)
            and ($4::text is null or state = $4)
            and ($5::bytea[] = '{}' or file_digest = any($5))
        order by batch_id desc
        limit $6
        "#,
        caller.organization_id.uuid(),
        only.map(Id::uuid),
        after.map(Id::uuid),
        filter.state,
        &digests,
        limit,
    )
    .fetch_all(&app.db.interactive)
    .await?;
    Ok(rows)
}

/// A user who was created with a batch.
#[derive(Debug)]
pub struct CreatedUser {
    /// Which.
    pub user_id: Id<User>,
    /// The address as it was written.
    pub email: String,
    /// When; the same for all users of a batch.
    pub created_at: DateTime<Utc>,
    /// First name, or the whole of it.
    pub name: String,
    /// Signs in through the organization's identity provider.
    pub is_sso_user: bool,
    /// Last name.
    pub lastname: Option<String>,
    /// Title or position.
    pub title: Option<String>,
}

/// The users of a created batch as they are today, in the order of its list, and what is worth knowing
/// about them.
///
/// # Errors
/// `forbidden` unless the caller is an owner; `not_found`; `conflict` while it is not created, or when
/// all of them were removed again.
pub async fn results(app: &Arc<App>, caller: &Caller, batch_id: Id<Batch>) -> Result<(Vec<CreatedUser>, Vec<Finding>)> {
    let batch = get(app, caller, batch_id).await?;
    let has_none = || Error::new(Code::Conflict, format!("batch {batch_id} is {}: it has no users", batch.state));
    // Of one that was undone, those who were kept.
    if !matches!(batch.state.as_str(), "created" | "undone") {
        return Err(has_none());
    }
    let mut read = app.read(caller, Action::BatchGet).await?;
    // Ids are made in the order of the list, and sort by it.
    let users = sqlx::query_as!(
        CreatedUser,
        r#"
        select user_id as "user_id: Id<User>", email, created_at, name, is_sso_user, lastname, title
        from users
        where organization_id = $1 and batch_id = $2
        order by user_id
        "#,
        caller.organization_id.uuid(),
        batch_id.uuid(),
    )
    .fetch_all(&mut *read)
    .await?;
    if users.is_empty() {
        return Err(has_none());
    }
    if batch.weak_hash_count == 0 {
        return Ok((users, Vec::new()));
    }
    let hashes = sqlx::query!(
        r#"
        select user_id as "user_id: Id<User>", phc from users
        join passwords using (organization_id, user_id)
        where organization_id = $1 and batch_id = $2
        order by user_id
        "#,
        caller.organization_id.uuid(),
        batch_id.uuid(),
    )
    .fetch_all(&mut *read)
    .await?;
    let mut hashes = hashes.into_iter().peekable();
    let warning = |(index, user): (usize, &CreatedUser)| {
        let hash = hashes.next_if(|hash| hash.user_id == user.user_id)?;
        let weakness = ImportedHash::parse(&hash.phc).ok()?.weakness()?;
        Some(Finding::field(index, "password_hash", "weak_hash", weakness))
    };
    let warnings = users.iter().enumerate().filter_map(warning).collect();
    Ok((users, warnings))
}

/// A user of a batch.
#[derive(Clone, Debug)]
pub struct Member {
    /// Which.
    pub user_id: Id<User>,
    /// The address as it was written.
    pub email: String,
    /// First name, or the whole of it.
    pub name: String,
    /// Last name.
    pub lastname: Option<String>,
}

/// The users of a batch in the order of its list, each with what has become of them since, if anything.
/// Locked until the end of the change.
pub(super) async fn members(change: &mut Change, batch_id: Id<Batch>) -> Result<Vec<(Member, Option<String>)>> {
    let organization_id = change.organization_id().uuid();
    let rows = sqlx::query!(
        r#"
        select
            user_id as "user_id: Id<User>", email, name, lastname,
            case
                when first_signed_in_at is not null then 'signed_in'
                when users.updated_at > users.created_at
                    or exists (select from passwords p where p.organization_id = users.organization_id
                        and p.user_id = users.user_id and p.set_at > users.created_at)
                    or exists (select from user_group_members m where m.organization_id = users.organization_id
                        and m.user_id = users.user_id)
                    or not exists (select from collaborators c where c.organization_id = users.organization_id
                        and c.user_id = users.user_id and c.granted_at = users.created_at) then 'changed'
                when exists (select from api_keys k where k.organization_id = users.organization_id
                    and k.user_id = users.user_id) then 'in_use'
            end as reason
        from users
        where organization_id = $1 and batch_id = $2
        order by user_id
        for update
        "#,
        organization_id,
        batch_id.uuid(),
    )
    .fetch_all(change.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            (Member { user_id: row.user_id, email: row.email, name: row.name, lastname: row.lastname }, row.reason)
        })
        .collect())
}
