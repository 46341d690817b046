//! Searching collaborators: a piece of a name or of an address.
//!
//! # Decisions
//!
//! *The pieces are looked for in one column*, `users.search_text`, which PostgreSQL keeps in lower case. So each user
//! costs one comparison of bytes: even where nothing helps, all of a million are read in less than a second (0.2 s
//! on two cores). With the extension `pg_trgm` an index finds the rare pieces at once (10 ms; `postgres/search_index.rs`).
//!
//! *PostgreSQL plans each search with what is searched for.* A piece that many have fills a page from the primary
//! key on, one that few have comes from the index, and its statistics tell which is which. A plan for any piece, which
//! is what a prepared statement ends up with, would be wrong for one of the two. Such planning is asked for within
//! a transaction, so that a pooler between muster and PostgreSQL may hand the connection to others afterwards.

use uuid::Uuid;

use super::CollaboratorType;
use super::read::{Collaborator, Kinds, collaborators};
use crate::app::App;
use crate::caller::{Action, Caller, PermissionLevel};
use crate::error::{Error, Result};
use crate::id::{Id, Membership, User};
use crate::page::{Page, PageRequest};
use crate::users::Status;

/// The longest piece of text that is searched for, in characters.
pub const LONGEST_QUERY: usize = 200;

/// A piece of a name or an address, in lower case, with nothing in it that a pattern would take for a sign.
#[derive(Debug)]
pub struct Piece(String);

impl Piece {
    /// Takes a text as it is.
    ///
    /// # Errors
    /// `invalid_request` when it is empty, too long, or has control characters, which no name has.
    pub fn parse(text: &str) -> Result<Self> {
        if !(1..=LONGEST_QUERY).contains(&text.chars().count()) || text.chars().any(char::is_control) {
            let rule = format!("`query` has to have 1 to {LONGEST_QUERY} characters, none of them a control character");
            return Err(Error::invalid(rule));
        }
        let mut piece = String::with_capacity(text.len());
        for c in text.to_lowercase().chars() {
            if matches!(c, '\\' | '%' | '_') {
                piece.push('\\');
            }
            piece.push(c);
        }
        Ok(Self(piece))
    }
}

/// Whom a search is for: those for whom all that is given holds.
#[derive(Debug)]
pub struct Search {
    /// In the name, in name and last name, or in the address; without regard to case.
    pub piece: Piece,
    /// The kind of account.
    pub collaborator_type: Option<CollaboratorType>,
    /// Whether it is a service account.
    pub is_service_account: Option<bool>,
    /// What they may do, by their own level and by their groups.
    pub permission_level: Option<PermissionLevel>,
    /// Whether they are let in.
    pub status: Option<Status>,
}

/// Searches collaborators; they come in the order in which they were created.
///
/// # Errors
/// `forbidden`, or those of the database.
pub async fn search(
    app: &App,
    caller: &Caller,
    search: &Search,
    page: &PageRequest<User>,
) -> Result<Page<Collaborator>> {
    let mut read = app.read_planned(caller, Action::CollaboratorList).await?;
    let kinds = Kinds::of(search.collaborator_type, search.is_service_account);
    if kinds == Kinds::None {
        return Ok(Page { rows: Vec::new(), next: None });
    }
    let organization_id = caller.organization_id.uuid();
    let (after, limit) = (page.after.map_or(Uuid::nil(), Id::uuid), page.limit());
    let (piece, status) = (&search.piece.0, search.status.map(Status::as_str));
    let rows = match search.permission_level {
        // Few, as a rule: they are looked up first.
        Some(PermissionLevel::Owner) => {
            collaborators!(
                r#"
                u.user_id > $2 and u.search_text like '%' || $3 || '%'
                and ($4::bool is null or u.is_service_account = $4)
                and ($5::text is null or u.status = $5)
                and u.user_id in (select user_id from effective_owners where organization_id = $1)
                order by u.user_id
                limit $6
                "#,
                organization_id,
                after,
                piece,
                kinds.are_programs(),
                status,
                limit,
            )
            .fetch_all(&mut *read)
            .await?
        }
        level => {
            collaborators!(
                r#"
                u.user_id > $2 and u.search_text like '%' || $3 || '%'
                and ($4::bool is null or u.is_service_account = $4)
                and ($5::text is null or u.status = $5)
                and (not $6 or not exists (
                    select from effective_owners o where o.organization_id = $1 and o.user_id = u.user_id
                ))
                order by u.user_id
                limit $7
                "#,
                organization_id,
                after,
                piece,
                kinds.are_programs(),
                status,
                level.is_some(),
                limit,
            )
            .fetch_all(&mut *read)
            .await?
        }
    };
    read.rollback().await?;
    Ok(Page::new(page, rows, |row| row.user_id))
}
