//! All groups with all their members, a piece at a time: there may be 100,000 of them, and nobody has to
//! hold them all. Each piece is a query or two by primary keys, on a connection that is given back before
//! the piece is sent.

use std::collections::VecDeque;
use std::sync::Arc;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::Result;
use crate::id::{self, Id, Organization, User};

/// Groups that are looked at together.
const GROUPS_AT_ONCE: i64 = 200;

/// Members of these that are read together.
const MEMBERS_AT_ONCE: i64 = 1000;

/// A piece of the list. Its groups come by id, each followed by its members.
#[derive(Debug)]
pub enum Part {
    /// A group begins.
    Group {
        /// Which.
        group_id: Id<id::Group>,
        /// Its name.
        name: String,
    },
    /// Somebody is in the group that has begun.
    Member {
        /// Who.
        user_id: Id<User>,
        /// The address as it was written.
        email: String,
        /// First and last name.
        name: String,
    },
}

/// All groups with their members, as far as they have been read.
#[derive(Debug)]
pub struct Memberships {
    app: Arc<App>,
    organization_id: Id<Organization>,
    /// Groups that are looked at, and have not begun.
    groups: VecDeque<(Id<id::Group>, String)>,
    /// The group that has begun.
    current: Option<Id<id::Group>>,
    /// The last of the groups that were looked at; the nil UUID is before all.
    last_group: Uuid,
    /// The last member that was read, with their group; `None` when all of `groups` are read.
    last_member: Option<(Uuid, Uuid)>,
}

impl Memberships {
    /// Begins.
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
            last_group: Uuid::nil(),
            last_member: None,
        })
    }

    /// Reads on. `None` when there is no more; a piece may be empty.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn next(&mut self) -> Result<Option<Vec<Part>>> {
        let mut connection = self.app.db.interactive.acquire().await?;
        let after = match self.last_member {
            Some(after) => after,
            None => {
                self.groups = groups(&mut connection, self.organization_id, self.last_group).await?.into();
                let Some((last, _)) = self.groups.back() else { return Ok(None) };
                let before = self.last_group;
                self.last_group = last.uuid();
                // Behind the groups of before, whoever joined them meanwhile.
                (before, Uuid::max())
            }
        };
        let members = members(&mut connection, self.organization_id, after, self.last_group).await?;
        drop(connection);
        let are_all = i64::try_from(members.len()).is_ok_and(|count| count < MEMBERS_AT_ONCE);
        self.last_member = members.last().filter(|_| !are_all).map(|last| (last.group_id.uuid(), last.user_id.uuid()));
        let mut parts = Vec::with_capacity(members.len());
        for member in members {
            self.begin_groups(member.group_id, &mut parts);
            // One whose group was made between the two queries is left out with it.
            if self.current == Some(member.group_id) {
                parts.push(Part::Member { user_id: member.user_id, email: member.email, name: member.name });
            }
        }
        if are_all {
            self.begin_groups(Id::from_uuid(self.last_group), &mut parts);
        }
        Ok(Some(parts))
    }

    /// Begins all groups up to this one.
    fn begin_groups(&mut self, last: Id<id::Group>, parts: &mut Vec<Part>) {
        while let Some((group_id, name)) = self.groups.pop_front_if(|(group_id, _)| group_id.uuid() <= last.uuid()) {
            self.current = Some(group_id);
            parts.push(Part::Group { group_id, name });
        }
    }
}

async fn groups(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    after: Uuid,
) -> Result<Vec<(Id<id::Group>, String)>> {
    let rows = sqlx::query!(
        r#"
        select group_id as "group_id: Id<id::Group>", name from user_groups
        where organization_id = $1 and group_id > $2
        order by group_id
        limit $3
        "#,
        organization_id.uuid(),
        after,
        GROUPS_AT_ONCE,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.group_id, row.name)).collect())
}

struct Row {
    group_id: Id<id::Group>,
    user_id: Id<User>,
    email: String,
    name: String,
}

/// The members behind one, of groups up to one.
async fn members(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    (after_group, after_user): (Uuid, Uuid),
    last_group: Uuid,
) -> Result<Vec<Row>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        select
            m.group_id as "group_id: Id<id::Group>", user_id as "user_id: Id<User>", u.email,
            concat_ws(' ', u.name, nullif(u.lastname, '')) as "name!"
        from (
            select organization_id, group_id, user_id from user_group_members
            where organization_id = $1 and (group_id, user_id) > ($2, $3) and group_id <= $4
            order by group_id, user_id
            limit $5
        ) m
        join users u using (organization_id, user_id)
        order by m.group_id, user_id
        "#,
        organization_id.uuid(),
        after_group,
        after_user,
        last_group,
        MEMBERS_AT_ONCE,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}
