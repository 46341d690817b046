//! Listing collaborators.

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::Result;
use crate::id::{Id, Identity, User};
use crate::page::{Page, PageRequest};
use crate::users::EmailAddress;

/// A member of the organization.
#[derive(Debug)]
pub struct Collaborator {
    /// The membership.
    pub identity_id: Id<Identity>,
    /// The person.
    pub user_id: Id<User>,
    /// First name, or the whole of it.
    pub name: String,
    /// Last name.
    pub lastname: Option<String>,
    /// The address as it was written.
    pub email: String,
    /// `owner` or `collaborator`.
    pub permission_level: String,
    /// Whether it is a program.
    pub is_service_account: bool,
    /// When the user was created.
    pub created_at: DateTime<Utc>,
}

impl Collaborator {
    /// First and last name.
    #[must_use]
    pub fn full_name(&self) -> String {
        match self.lastname.as_deref() {
            None | Some("") => self.name.clone(),
            Some(lastname) => format!("{} {lastname}", self.name),
        }
    }
}

/// Which kind of account is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollaboratorType {
    /// People and programs.
    All,
    /// Programs.
    OnlyServiceAccounts,
    /// People.
    OnlyUserAccounts,
}

/// Which collaborators are asked for: those for whom all that is given holds.
#[derive(Debug, Default)]
pub struct Filter {
    /// The address, in any spelling. One that is no address matches nobody.
    pub email: Option<String>,
    /// The display name, exactly: the name, or name and last name.
    pub name: Option<String>,
    /// The kind of account.
    pub collaborator_type: Option<CollaboratorType>,
    /// Whether it is a service account.
    pub is_service_account: Option<bool>,
}

/// Lists collaborators in the order in which they were created.
///
/// # Errors
/// `forbidden`, or those of the database.
pub async fn list(app: &App, caller: &Caller, filter: &Filter, page: &PageRequest<User>) -> Result<Page<Collaborator>> {
    let mut read = app.read(caller, Action::CollaboratorList).await?;
    let by_type = match filter.collaborator_type {
        None | Some(CollaboratorType::All) => None,
        Some(CollaboratorType::OnlyServiceAccounts) => Some(true),
        Some(CollaboratorType::OnlyUserAccounts) => Some(false),
    };
    let email_key = match filter.email.as_deref().map(EmailAddress::parse) {
        None => None,
        Some(Ok(address)) => Some(address.key().to_owned()),
        Some(Err(_)) => return Ok(Page { rows: Vec::new(), next: None }),
    };
    let rows = sqlx::query_as!(
        Collaborator,
        r#"
        select
            identity_id as "identity_id: Id<Identity>", user_id as "user_id: Id<User>", name, lastname, email,
            permission_level, is_service_account, created_at
        from collaborators
        join users using (organization_id, user_id)
        where organization_id = $1
            and ($2::uuid is null or user_id > $2)
            and ($3::text is null or email_key = $3)
            and ($4::text is null or name = $4 or concat_ws(' ', name, nullif(lastname, '')) = $4)
            and ($6::bool is null or is_service_account = $6)
            and ($7::bool is null or is_service_account = $7)
        order by user_id
        limit $5
        "#,
        caller.organization_id.uuid(),
        page.after.map(Id::uuid),
        email_key,
        filter.name,
        page.limit(),
        filter.is_service_account,
        by_type,
    )
    .fetch_all(&mut *read)
    .await?;
    Ok(Page::new(page, rows, |row| row.user_id))
}
