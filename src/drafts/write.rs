//! Writing drafts. Not by a [`Change`](crate::change::Change): see the decisions in [`super`].

use zeroize::Zeroizing;

use super::seal::{self, Part};
use super::{DraftKey, DraftKind, DraftSummary, IDLE, LIFETIME, MOST_OF_A_PERSON, MOST_OF_AN_ORGANIZATION};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::id::{Draft, Id, Organization, User};
use crate::request_body::SHORT;

/// The encrypted parts of a draft.
pub(super) struct Sealed {
    label: Vec<u8>,
    content: Vec<u8>,
}

impl Sealed {
    /// Encrypts a draft, outside of this thread, which serves other requests, if it is long.
    pub(super) async fn new(
        key: &DraftKey,
        caller: &Caller,
        draft_id: Id<Draft>,
        label: &str,
        content: &[u8],
    ) -> Result<Self> {
        let organization_id = caller.organization_id;
        if content.len() <= SHORT {
            return Self::seal(key, organization_id, draft_id, label, content);
        }
        let (key, label, content) = (key.clone(), label.to_owned(), Zeroizing::new(content.to_vec()));
        let seal = move || Self::seal(&key, organization_id, draft_id, &label, &content);
        tokio::task::spawn_blocking(seal).await.map_err(Error::internal)?
    }

    fn seal(
        key: &DraftKey,
        organization_id: Id<Organization>,
        draft_id: Id<Draft>,
        label: &str,
        content: &[u8],
    ) -> Result<Self> {
        let seal = |part, text: &[u8]| seal::seal(key, organization_id, draft_id, part, text);
        Ok(Self { label: seal(Part::Label, label.as_bytes())?, content: seal(Part::Content, content)? })
    }
}

/// Inserts a draft. `false`: the person or the organization has too many.
pub(super) async fn insert(
    app: &App,
    caller: &Caller,
    user_id: Id<User>,
    draft_id: Id<Draft>,
    kind: DraftKind,
    sealed: &Sealed,
) -> Result<bool> {
    let (mut transaction, now) = app.begin(&app.db.interactive).await?;
    let inserted = sqlx::query!(
        r#"
        insert into drafts
            (organization_id, draft_id, user_id, kind, label, content, revision, created_at, expires_at)
        select $1, $2, $3, $4, $5, $6, 1, $7, $8
        where (
            select count(*) from drafts
            where organization_id = $1 and user_id = $3 and kind <> 'done' and expires_at > $7
        ) < $9
        and (
            select coalesce(sum(octet_length(content)), 0) from drafts
            where organization_id = $1 and expires_at > $7
        ) + octet_length($6::bytea) <= $10
        "#,
        caller.organization_id as Id<Organization>,
        draft_id as Id<Draft>,
        user_id as Id<User>,
        kind.as_str(),
        &sealed.label,
        &sealed.content,
        now,
        now + IDLE,
        MOST_OF_A_PERSON,
        MOST_OF_AN_ORGANIZATION,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(inserted.rows_affected() == 1)
}

/// Replaces the content and the kind of a draft. `false`: it has another revision, is gone, or would take too much room.
pub(super) async fn update(
    app: &App,
    caller: &Caller,
    user_id: Id<User>,
    draft: &DraftSummary,
    kind: DraftKind,
    sealed: &Sealed,
) -> Result<bool> {
    let (mut transaction, now) = app.begin(&app.db.interactive).await?;
    let updated = sqlx::query!(
        r#"
        update drafts
        set kind = $5, label = $6, content = $7, revision = revision + 1,
            expires_at = least($9, created_at + make_interval(secs => $10))
        where organization_id = $1 and draft_id = $2 and user_id = $3 and revision = $4 and expires_at > $8
            and (
                octet_length($7::bytea) <= octet_length(drafts.content)
                or (
                    select coalesce(sum(octet_length(content)), 0) from drafts
                    where organization_id = $1 and draft_id <> $2 and expires_at > $8
                ) + octet_length($7::bytea) <= $11
            )
        "#,
        caller.organization_id as Id<Organization>,
        draft.draft_id as Id<Draft>,
        user_id as Id<User>,
        draft.revision,
        kind.as_str(),
        &sealed.label,
        &sealed.content,
        now,
        now + IDLE,
        LIFETIME.as_seconds_f64(),
        MOST_OF_AN_ORGANIZATION,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(updated.rows_affected() == 1)
}

/// Keeps a draft that is used, at most once a minute.
pub(super) async fn touch(app: &App, caller: &Caller, user_id: Id<User>, draft_id: Id<Draft>) -> Result<()> {
    let (mut transaction, now) = app.begin(&app.db.interactive).await?;
    sqlx::query!(
        r#"
        update drafts set expires_at = least($5, created_at + make_interval(secs => $6))
        where organization_id = $1 and draft_id = $2 and user_id = $3 and expires_at > $4
            and expires_at < least($5, created_at + make_interval(secs => $6)) - interval '1 minute'
        "#,
        caller.organization_id as Id<Organization>,
        draft_id as Id<Draft>,
        user_id as Id<User>,
        now,
        now + IDLE,
        LIFETIME.as_seconds_f64(),
    )
    .execute(&mut *transaction)
    .await?;
    Ok(transaction.commit().await?)
}

pub(super) async fn delete(app: &App, caller: &Caller, user_id: Id<User>, draft_id: Id<Draft>) -> Result<()> {
    let (mut transaction, _) = app.begin(&app.db.interactive).await?;
    sqlx::query!(
        "delete from drafts where organization_id = $1 and draft_id = $2 and user_id = $3",
        caller.organization_id as Id<Organization>,
        draft_id as Id<Draft>,
        user_id as Id<User>,
    )
    .execute(&mut *transaction)
    .await?;
    Ok(transaction.commit().await?)
}

/// Deletes up to 20 drafts of an organization that have expired, for the background work. Returns their number.
pub(crate) async fn delete_expired(app: &App, organization_id: Id<Organization>) -> Result<u64> {
    let (mut transaction, now) = app.begin(&app.db.interactive).await?;
    let deleted = sqlx::query!(
        r#"
        delete from drafts
        where organization_id = $1 and draft_id in (
            select draft_id from drafts
            where organization_id = $1 and expires_at <= $2
            order by draft_id
            limit 20
            for update skip locked
        )
        "#,
        organization_id as Id<Organization>,
        now,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(deleted.rows_affected())
}
