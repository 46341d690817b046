//! All groups with all their members, page by page, so that up to 100,000 members are not in memory at once. Each page
//! is read by one or two queries on primary keys, and the connection is released before the page is sent.

use std::collections::VecDeque;
use std::sync::Arc;

use sqlx::PgConnection;

use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::Result;
use crate::id::{self, Id, Organization, User};

/// Groups per query.
const GROUPS_PER_PAGE: i64 = 200;

/// Members per query.
const MEMBERS_PER_PAGE: i64 = 1000;

/// An element of the list. The groups are ordered by ID, each followed by its members.
#[derive(Debug)]
pub enum MembershipPart {
    /// The start of a group.
    Group {
        /// The ID of the group.
        group_id: Id<id::Group>,
        /// The name of the group.
        name: String,
    },
    /// A member of the preceding group.
    Member {
        /// The ID of the account.
        user_id: Id<User>,
        /// The address as it was entered.
        email: String,
        /// First and last name.
        name: String,
    },
}

/// A cursor over all groups and their members.
#[derive(Debug)]
pub struct Memberships {
    app: Arc<App>,
    organization_id: Id<Organization>,
    /// Groups of the current page that have not started yet.
    groups: VecDeque<(Id<id::Group>, String)>,
    /// The group that started last.
    current: Option<Id<id::Group>>,
    /// The last group of the current page.
    last_group: Id<id::Group>,
    /// The last member that was read, with the group; `None` after all members of the page.
    last_member: Option<(Id<id::Group>, Id<User>)>,
}

impl Memberships {
    /// Starts before the first group.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn begin(app: Arc<App>, caller: &Caller) -> Result<Self> {
        app.authorize(caller, Action::GroupList).await?;
        Ok(Self {
            app,
            organization_id: caller.organization_id,
            groups: VecDeque::new(),
            current: None,
            last_group: Id::MIN,
            last_member: None,
        })
    }

    /// Reads the next page, which may be empty. `None` at the end.
    ///
    /// # Errors
    /// A database error.
    pub async fn next(&mut self) -> Result<Option<Vec<MembershipPart>>> {
        let mut connection = self.app.reader(&self.app.db.interactive).await?;
        let after = match self.last_member {
            Some(after) => after,
            None => {
                self.groups = groups(&mut connection, self.organization_id, self.last_group).await?.into();
                let Some((last, _)) = self.groups.back() else { return Ok(None) };
                let before = self.last_group;
                self.last_group = *last;
                // After the last group of the previous page, even if members joined that group meanwhile.
                (before, Id::MAX)
            }
        };
        let members = members(&mut connection, self.organization_id, after, self.last_group).await?;
        drop(connection);
        let is_last = i64::try_from(members.len()).is_ok_and(|count| count < MEMBERS_PER_PAGE);
        self.last_member = members.last().filter(|_| !is_last).map(|last| (last.group_id, last.user_id));
        let mut parts = Vec::with_capacity(members.len());
        for member in members {
            self.start_groups(member.group_id, &mut parts);
            // A group that was created between the two queries is left out with its members.
            if self.current == Some(member.group_id) {
                parts.push(MembershipPart::Member { user_id: member.user_id, email: member.email, name: member.name });
            }
        }
        if is_last {
            self.start_groups(self.last_group, &mut parts);
        }
        Ok(Some(parts))
    }

    /// Starts all groups up to `last`.
    fn start_groups(&mut self, last: Id<id::Group>, parts: &mut Vec<MembershipPart>) {
        while let Some((group_id, name)) = self.groups.pop_front_if(|(group_id, _)| *group_id <= last) {
            self.current = Some(group_id);
            parts.push(MembershipPart::Group { group_id, name });
        }
    }
}

async fn groups(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    after: Id<id::Group>,
) -> Result<Vec<(Id<id::Group>, String)>> {
    let rows = sqlx::query!(
        r#"
        select group_id as "group_id: Id<id::Group>", name from user_groups
        where organization_id = $1 and group_id > $2
        order by group_id
        limit $3
        "#,
        organization_id as Id<Organization>,
        after as Id<id::Group>,
        GROUPS_PER_PAGE,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.group_id, row.name)).collect())
}

struct MembershipRow {
    group_id: Id<id::Group>,
    user_id: Id<User>,
    email: String,
    name: String,
}

/// Reads the members after `(after_group, after_user)` of the groups up to `last_group`.
async fn members(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    (after_group, after_user): (Id<id::Group>, Id<User>),
    last_group: Id<id::Group>,
) -> Result<Vec<MembershipRow>> {
    let rows = sqlx::query_as!(
        MembershipRow,
        r#"
        select
            m.group_id as "group_id: Id<id::Group>", user_id as "user_id: Id<User>", u.email,
            concat_ws(' ', u.name, nullif(u.lastname, '')) as "name!"
        from (
            select group_id, user_id from user_group_members
            where organization_id = $1 and (group_id, user_id) > ($2, $3) and group_id <= $4
            order by group_id, user_id
            limit $5
        ) m
        join users u using (user_id)
        where u.organization_id = $1
        order by m.group_id, user_id
        "#,
        organization_id as Id<Organization>,
        after_group as Id<id::Group>,
        after_user as Id<User>,
        last_group as Id<id::Group>,
        MEMBERS_PER_PAGE,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}
