//! Searching collaborators by part of a name or of an address.
//!
//! # Decisions
//!
//! *All fields are searched in one column*, `users.search_text`, which PostgreSQL keeps in lower case. So each user
//! costs one comparison of bytes: without any index, a million users are read in less than a second (0.2 s on two
//! cores). With the extension `pg_trgm`, an index finds rare text in 10 ms (`postgres/indexes.rs`).
//!
//! *PostgreSQL plans each search with the actual text.* Text that many users match fills a page from the primary key;
//! text that few users match needs the index. The statistics distinguish the two, but PostgreSQL eventually uses a generic
//! plan for a prepared statement, which is wrong for one of them. The setting for custom plans is local to a transaction,
//! so that a connection pooler can give the connection to another client afterwards.

use super::filter::AccountKinds;
use crate::app::App;
use crate::caller::{Action, Caller, PermissionLevel};
use crate::error::{Error, Result};
use crate::id::{Id, Membership, Organization, User};
use crate::page::{Page, PageRequest};
use crate::users::read::user_details;
use crate::users::{Status, UserDetails};
use muster_client::CollaboratorType;

/// The longest search text, in characters.
pub const LONGEST_QUERY: usize = 200;

/// Conditions on a collaborator's name, first and last name together, and address, all case-insensitive. The default
/// matches all collaborators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchText {
    /// Part of one of them, in lower case, with the wildcards of `like` escaped.
    contains: String,
    /// Equal to one of them, in lower case.
    equals: Option<String>,
    /// Equal to none of them, in lower case.
    not_equal: Option<String>,
}

impl SearchText {
    /// A part of a name or of the address.
    ///
    /// # Errors
    /// `invalid_request` for text that is empty, too long or has control characters, which no name has.
    pub fn containing(text: &str) -> Result<Self> {
        if !(1..=LONGEST_QUERY).contains(&text.chars().count()) || text.chars().any(char::is_control) {
            let rule = format!("`query` must be 1 to {LONGEST_QUERY} characters long, without control characters");
            return Err(Error::invalid(rule));
        }
        Ok(Self { contains: escaped(text), ..Self::default() })
    }

    /// All of these conditions.
    ///
    /// # Errors
    /// `invalid_request` for text that is too long or has control characters.
    pub fn of_conditions(contains: Option<&str>, equals: Option<&str>, not_equal: Option<&str>) -> Result<Self> {
        let is_invalid = |text: &str| text.chars().count() > LONGEST_QUERY || text.chars().any(char::is_control);
        if [contains, equals, not_equal].into_iter().flatten().any(is_invalid) {
            let rule = format!(
                "the texts of `name_or_email` must have at most {LONGEST_QUERY} characters and no control characters"
            );
            return Err(Error::invalid(rule));
        }
        Ok(Self {
            // Without a part to search for, the index finds an equal text.
            contains: contains.or(equals).map(escaped).unwrap_or_default(),
            equals: equals.map(str::to_lowercase),
            not_equal: not_equal.map(str::to_lowercase),
        })
    }
}

impl SearchText {
    /// The part to search for, in lower case, with the wildcards of `like` escaped.
    pub(super) fn contains(&self) -> &str {
        &self.contains
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.to_lowercase().chars() {
        if matches!(c, '\\' | '%' | '_') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// The criteria of a search. A collaborator matches if all criteria that are present match.
#[derive(Debug)]
pub struct Search {
    /// The conditions on names and address.
    pub text: SearchText,
    /// The kind of account.
    pub collaborator_type: Option<CollaboratorType>,
    /// Whether the account is a service account.
    pub is_service_account: Option<bool>,
    /// The effective permission: by the member's own level or through a group.
    pub permission_level: Option<PermissionLevel>,
    /// Active or suspended.
    pub status: Option<Status>,
}

/// Searches collaborators, ordered by creation time.
///
/// # Errors
/// `forbidden`, or a database error.
pub async fn search(
    app: &App,
    caller: &Caller,
    search: &Search,
    page: &PageRequest<User>,
) -> Result<Page<UserDetails>> {
    let mut read = app.read_planned(caller, Action::CollaboratorList).await?;
    let kinds = AccountKinds::of(search.collaborator_type, search.is_service_account);
    if kinds == AccountKinds::None {
        return Ok(Page { rows: Vec::new(), next: None });
    }
    let (after, limit) = (page.after.unwrap_or(Id::MIN), page.limit());
    let status = search.status.map(Status::as_str);
    let SearchText { contains, equals, not_equal } = &search.text;
    let rows = match search.permission_level {
        // An organization has few owners, so PostgreSQL starts from them.
        Some(PermissionLevel::Owner) => {
            user_details!(
                r#"
                u.user_id > $2 and u.search_text like '%' || $3 || '%'
                and ($4::bool is null or u.is_service_account = $4)
                and ($5::text is null or u.status = $5)
                and u.user_id in (select user_id from effective_owners where organization_id = $1)
                and ($7::text is null or $7 in (
                    left(u.search_text, length(u.name)), split_part(u.search_text, e'\n', 1),
                    split_part(u.search_text, e'\n', 2)
                ))
                and ($8::text is null or $8 not in (
                    left(u.search_text, length(u.name)), split_part(u.search_text, e'\n', 1),
                    split_part(u.search_text, e'\n', 2)
                ))
                order by u.user_id
                limit $6
                "#,
                caller.organization_id as Id<Organization>,
                after as Id<User>,
                contains,
                kinds.is_service_account(),
                status,
                limit,
                equals.as_deref(),
                not_equal.as_deref(),
            )
            .fetch_all(&mut *read)
            .await?
        }
        level => {
            user_details!(
                r#"
                u.user_id > $2 and u.search_text like '%' || $3 || '%'
                and ($4::bool is null or u.is_service_account = $4)
                and ($5::text is null or u.status = $5)
                and (not $6 or not exists (
                    select from effective_owners o where o.organization_id = $1 and o.user_id = u.user_id
                ))
                and ($8::text is null or $8 in (
                    left(u.search_text, length(u.name)), split_part(u.search_text, e'\n', 1),
                    split_part(u.search_text, e'\n', 2)
                ))
                and ($9::text is null or $9 not in (
                    left(u.search_text, length(u.name)), split_part(u.search_text, e'\n', 1),
                    split_part(u.search_text, e'\n', 2)
                ))
                order by u.user_id
                limit $7
                "#,
                caller.organization_id as Id<Organization>,
                after as Id<User>,
                contains,
                kinds.is_service_account(),
                status,
                level.is_some(),
                limit,
                equals.as_deref(),
                not_equal.as_deref(),
            )
            .fetch_all(&mut *read)
            .await?
        }
    };
    drop(read);
    Ok(Page::new(page, rows, |row| row.user_id))
}
