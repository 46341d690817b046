//! Reading drafts.

use chrono::{DateTime, Utc};

use super::DraftKind;
use crate::app::App;
use crate::caller::Caller;
use crate::error::Result;
use crate::id::{Draft, Id, Organization, User};

/// A draft as it is stored.
pub(super) struct Stored {
    pub(super) kind: DraftKind,
    pub(super) label: Vec<u8>,
    pub(super) content: Vec<u8>,
    pub(super) revision: i64,
    pub(super) created_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
}

/// The draft of a person with this ID, unless it has expired.
pub(super) async fn find(app: &App, caller: &Caller, user_id: Id<User>, draft_id: Id<Draft>) -> Result<Option<Stored>> {
    let found = sqlx::query_as!(
        Stored,
        r#"
        select kind as "kind: DraftKind", label, content, revision, created_at, expires_at
        from drafts
        where organization_id = $1 and draft_id = $2 and user_id = $3 and expires_at > $4
        "#,
        caller.organization_id as Id<Organization>,
        draft_id as Id<Draft>,
        user_id as Id<User>,
        app.clock.now(),
    )
    .fetch_optional(&mut *app.reader(&app.db.interactive).await?)
    .await?;
    Ok(found)
}

/// A draft without its content, as it is stored.
pub(super) struct Listed {
    pub(super) draft_id: Id<Draft>,
    pub(super) label: Vec<u8>,
    pub(super) revision: i64,
    pub(super) created_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
}

/// The drafts of a person of this kind that have not expired.
pub(super) async fn list(app: &App, caller: &Caller, user_id: Id<User>, kind: DraftKind) -> Result<Vec<Listed>> {
    let found = sqlx::query_as!(
        Listed,
        r#"
        select draft_id as "draft_id: Id<Draft>", label, revision, created_at, expires_at
        from drafts
        where organization_id = $1 and user_id = $2 and kind = $3 and expires_at > $4
        order by draft_id desc
        "#,
        caller.organization_id as Id<Organization>,
        user_id as Id<User>,
        kind.as_str(),
        app.clock.now(),
    )
    .fetch_all(&mut *app.reader(&app.db.interactive).await?)
    .await?;
    Ok(found)
}

/// The number of unfinished drafts of a person.
pub(super) async fn count(app: &App, caller: &Caller, user_id: Id<User>) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"
        select count(*) as "count!" from drafts
        where organization_id = $1 and user_id = $2 and kind <> 'done' and expires_at > $3
        "#,
        caller.organization_id as Id<Organization>,
        user_id as Id<User>,
        app.clock.now(),
    )
    .fetch_one(&mut *app.reader(&app.db.interactive).await?)
    .await?;
    Ok(count)
}
