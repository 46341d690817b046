//! Drafts: unfinished work of the pages, such as a list of users that is being corrected, or a selection that is being reviewed.
//!
//! A draft belongs to one person in one browser. Its content is encrypted with a key that only a cookie of that browser has
//! ([`DraftKey`]); any instance serves it. It expires [`IDLE`] after its last use, and [`LIFETIME`] after its creation.
//!
//! # Decisions
//!
//! *The key is only in the browser.* A draft can contain passwords as they were typed. The seal keys of the settings open all
//! stored secrets; the key of a draft opens what one browser sent, and signing out deletes it.
//!
//! *A draft outlives its session.* Creating owners needs a recent sign-in, so the way to create a list can lead through another one,
//! and a session that ends must not cost the corrections. A draft is opened by a live session of its person, in its browser.
//!
//! *Drafts are written without a [`Change`](crate::change::Change)*, and without audit events: nobody but their person sees them, and
//! what is made of them is recorded then, dry runs included. A person who may not do what the draft is for can't create one, and that
//! denial is recorded.
//!
//! *The limits are checked by the statement that inserts.* Concurrent requests can exceed them by what they bring.
//!
//! *A finished draft stays until it expires*, without its content, so that a page that is sent again says what came of it.

mod read;
mod seal;
mod write;

use chrono::{DateTime, TimeDelta, Utc};

use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::{Code, Error, Result};
use crate::id::{self, Id, User};
use crate::names::names;
use crate::request_body::RequestBody;
use crate::secret::Secret;

pub use seal::DraftKey;
pub(crate) use write::delete_expired;

/// How long a draft is kept after its last use.
pub const IDLE: TimeDelta = TimeDelta::hours(2);

/// How long a draft is kept at most.
pub const LIFETIME: TimeDelta = TimeDelta::hours(24);

/// The most unfinished drafts of a person.
const MOST_OF_A_PERSON: i64 = 5;

/// The most bytes of all drafts of an organization, as they are stored.
const MOST_OF_AN_ORGANIZATION: i64 = 256 * 1024 * 1024;

names! {
    /// What a draft is for.
    #[derive(sqlx::Type)]
    #[sqlx(type_name = "text", rename_all = "snake_case")]
    pub enum DraftKind {
        /// A list of users to create.
        Import = "import",
        /// A selection of users.
        People = "people",
        /// A file of changes.
        Changes = "changes",
        /// Nothing any more: it says what came of it.
        Done = "done",
    }
}

impl DraftKind {
    /// What a person must be permitted to do.
    const fn action(self) -> Action {
        match self {
            Self::Import | Self::Done => Action::UserBatchDryRun,
            Self::People => Action::UserBatchUpdate,
            Self::Changes => Action::UserBatchApply,
        }
    }
}

/// A draft without its content.
#[derive(Debug)]
pub struct DraftSummary {
    /// The draft's ID.
    pub draft_id: Id<id::Draft>,
    /// What it is for.
    pub kind: DraftKind,
    /// What the list of drafts shows; `None` in another browser.
    pub label: Option<Secret>,
    /// The number of its changes.
    pub revision: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it expires without a further use.
    pub expires_at: DateTime<Utc>,
}

/// A draft.
#[derive(Debug)]
pub struct Draft {
    /// All but the content.
    pub summary: DraftSummary,
    /// The content, which counts as a request body.
    pub content: RequestBody,
}

/// Creates a draft. `label` is what the list of drafts shows.
///
/// # Errors
/// `forbidden`; `conflict` if the person has too many drafts; `overloaded` if the organization's drafts take too much.
pub async fn create(
    app: &App,
    caller: &Caller,
    kind: DraftKind,
    key: &DraftKey,
    label: &str,
    content: &[u8],
) -> Result<Id<id::Draft>> {
    let user_id = person(app, caller, kind).await?;
    let draft_id = Id::new(app.clock.now());
    let sealed = write::Sealed::new(key, caller, draft_id, label, content).await?;
    match write::insert(app, caller, user_id, draft_id, kind, &sealed).await? {
        true => Ok(draft_id),
        false if read::count(app, caller, user_id).await? >= MOST_OF_A_PERSON => {
            let message =
                format!("you have {MOST_OF_A_PERSON} unfinished lists; discard one of them, or wait until one expires");
            Err(Error::new(Code::Conflict, message))
        }
        false => Err(full()),
    }
}

/// As [`create`]. If the person has too many drafts, the oldest one of this kind makes room.
///
/// # Errors
/// As [`create`]; `conflict` if none of the drafts is of this kind.
pub async fn create_anyway(
    app: &App,
    caller: &Caller,
    kind: DraftKind,
    key: &DraftKey,
    label: &str,
    content: &[u8],
) -> Result<Id<id::Draft>> {
    match create(app, caller, kind, key, label, content).await {
        Err(error) if error.code() == Code::Conflict => {
            let kept = list(app, caller, kind, Some(key)).await?;
            let Some(oldest) = kept.last() else { return Err(error) };
            discard(app, caller, kind, oldest.draft_id).await?;
            create(app, caller, kind, key, label, content).await
        }
        created => created,
    }
}

fn full() -> Error {
    let retry_after = IDLE.to_std().unwrap_or_default();
    Error::overloaded("the unfinished lists of this organization take too much room; nothing was written", retry_after)
}

/// The person whose drafts a request is about.
async fn person(app: &App, caller: &Caller, kind: DraftKind) -> Result<Id<User>> {
    app.authorize(caller, kind.action()).await?;
    caller.user_id().ok_or_else(|| Error::new(Code::Forbidden, "not permitted: only a person has drafts"))
}

/// Opens a draft of this kind, or a finished one, which is kept for another [`IDLE`].
///
/// # Errors
/// `forbidden`; `not_found` for a draft that does not exist, has expired or is another person's; `conflict` if it was begun in another
/// browser; `overloaded`.
pub async fn open(
    app: &App,
    caller: &Caller,
    kind: DraftKind,
    key: Option<&DraftKey>,
    draft_id: Id<id::Draft>,
) -> Result<Draft> {
    let user_id = person(app, caller, kind).await?;
    let unknown = || Error::new(Code::NotFound, "no such list: it was discarded, or nobody used it for two hours");
    let found = read::find(app, caller, user_id, draft_id).await?.ok_or_else(unknown)?;
    if ![kind, DraftKind::Done].contains(&found.kind) {
        return Err(unknown());
    }
    let elsewhere =
        || Error::new(Code::Conflict, "this list was begun in another browser, and only that browser can open it");
    let key = key.ok_or_else(elsewhere)?;
    let label =
        seal::open(key, caller.organization_id, draft_id, seal::Part::Label, &found.label).ok_or_else(elsewhere)?;
    let (opener, organization_id, sealed) = (key.clone(), caller.organization_id, found.content);
    // A long list takes a while, and this thread serves other requests.
    let open = move || seal::open(&opener, organization_id, draft_id, seal::Part::Content, &sealed);
    let text = tokio::task::spawn_blocking(open).await.map_err(Error::internal)?.ok_or_else(elsewhere)?;
    let mut content = RequestBody::new(&app.body_budget, text.len());
    content.push(&text)?;
    write::touch(app, caller, user_id, draft_id).await?;
    let summary = DraftSummary {
        draft_id,
        kind: found.kind,
        label: std::str::from_utf8(&label).ok().map(Secret::new),
        revision: found.revision,
        created_at: found.created_at,
        expires_at: found.expires_at,
    };
    Ok(Draft { summary, content })
}

/// Replaces the content of a draft, if it still has this revision. Returns the next one.
///
/// # Errors
/// `forbidden`; `conflict` if it was changed meanwhile; `not_found`; `overloaded`.
pub async fn update(app: &App, caller: &Caller, key: &DraftKey, draft: &DraftSummary, content: &[u8]) -> Result<i64> {
    replace(app, caller, key, draft, draft.kind, content).await
}

/// Replaces the content of a draft by what came of it.
///
/// # Errors
/// As [`update`].
pub async fn finish(app: &App, caller: &Caller, key: &DraftKey, draft: &DraftSummary, outcome: &[u8]) -> Result<()> {
    replace(app, caller, key, draft, DraftKind::Done, outcome).await.map(drop)
}

async fn replace(
    app: &App,
    caller: &Caller,
    key: &DraftKey,
    draft: &DraftSummary,
    kind: DraftKind,
    content: &[u8],
) -> Result<i64> {
    let user_id = person(app, caller, draft.kind).await?;
    let label = draft.label.as_ref().map_or("", Secret::expose);
    let sealed = write::Sealed::new(key, caller, draft.draft_id, label, content).await?;
    if write::update(app, caller, user_id, draft, kind, &sealed).await? {
        return Ok(draft.revision + 1);
    }
    match read::find(app, caller, user_id, draft.draft_id).await? {
        Some(found) if found.revision == draft.revision => Err(full()),
        Some(_) => Err(changed()),
        None => Err(Error::not_found("draft", draft.draft_id)),
    }
}

/// The error about a draft that another page has changed.
#[must_use]
pub fn changed() -> Error {
    Error::new(Code::Conflict, "this list was changed in another tab; nothing was written")
}

/// Lists the unfinished drafts of the caller of this kind, the latest first.
///
/// # Errors
/// `forbidden`.
pub async fn list(app: &App, caller: &Caller, kind: DraftKind, key: Option<&DraftKey>) -> Result<Vec<DraftSummary>> {
    let user_id = person(app, caller, kind).await?;
    let found = read::list(app, caller, user_id, kind).await?;
    let summary = |found: read::Listed| {
        let open = |key| seal::open(key, caller.organization_id, found.draft_id, seal::Part::Label, &found.label);
        let label = key.and_then(open).and_then(|label| std::str::from_utf8(&label).ok().map(Secret::new));
        DraftSummary {
            draft_id: found.draft_id,
            kind,
            label,
            revision: found.revision,
            created_at: found.created_at,
            expires_at: found.expires_at,
        }
    };
    Ok(found.into_iter().map(summary).collect())
}

/// Deletes a draft. Idempotent.
///
/// # Errors
/// `forbidden`.
pub async fn discard(app: &App, caller: &Caller, kind: DraftKind, draft_id: Id<id::Draft>) -> Result<()> {
    let user_id = person(app, caller, kind).await?;
    write::delete(app, caller, user_id, draft_id).await
}
