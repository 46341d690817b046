//! Lists of users who exist: each row of the JSON array names one by exactly one of `user_id` and `email`.
//! All findings are collected, as for a batch.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::change::Change;
use crate::error::{Error, Result};
use crate::id::{Id, Organization, User};
use crate::report::{Finding, Report};
use crate::rows::{self, Field, Fields, Shape};
use crate::users::{self, EmailAddress};

/// A list, as far as it can be judged without the database.
#[derive(Debug)]
pub(super) struct Who {
    rows: Vec<(usize, Named)>,
    report: Report,
}

/// How a row names somebody.
#[derive(Debug)]
enum Named {
    Id(Id<User>),
    Email(EmailAddress),
}

impl Named {
    const fn field(&self) -> &'static str {
        match self {
            Self::Id(_) => "user_id",
            Self::Email(_) => "email",
        }
    }

    fn email(&self) -> Option<&str> {
        match self {
            Self::Id(_) => None,
            Self::Email(email) => Some(email.as_str()),
        }
    }
}

impl Who {
    /// Takes a list of users who are to be `done` apart, beside the threads that serve requests.
    ///
    /// # Errors
    /// `invalid_json`, `invalid_request`, `empty_batch` or `too_large` when there is no list to report on.
    pub(super) async fn parse(body: Bytes, max_users: usize, done: &'static str) -> Result<Self> {
        tokio::task::spawn_blocking(move || Self::read(&body, max_users, done)).await.map_err(Error::internal)?
    }

    fn read(body: &[u8], max_users: usize, done: &'static str) -> Result<Self> {
        let (sent, findings) = rows::parse::<Row>(body, max_users)?;
        let mut report = Report::on(sent.len(), done);
        findings.into_iter().for_each(|finding| report.add(finding));
        let mut rows = Vec::with_capacity(sent.len());
        for (index, row) in sent.into_iter().enumerate() {
            let Some(row) = row else { continue };
            match row.judge(index) {
                Ok(named) => rows.extend(named.map(|named| (index, named))),
                Err(finding) => report.add(finding),
            }
        }
        Ok(Self { rows, report })
    }

    /// Finds the users, in the order of their ids, and keeps them from being deleted until the change ends.
    ///
    /// # Errors
    /// `batch_rejected` with everything that is wrong with the list: somebody is unknown, or in it twice.
    pub(super) async fn find(self, change: &mut Change) -> Result<Vec<Id<User>>> {
        let organization_id = change.organization_id();
        let Self { rows, mut report } = self;
        let by_email = by_email(change, &rows).await?;
        let user_id = |named: &Named| match named {
            Named::Id(user_id) => Some(*user_id),
            Named::Email(email) => by_email.get(email.key()).copied(),
        };
        let asked: Vec<Uuid> = rows.iter().filter_map(|(_, named)| user_id(named)).map(Id::uuid).collect();
        let users = lock(change.connection(), organization_id, &asked).await?;
        let there: HashSet<Uuid> = users.iter().map(|id| id.uuid()).collect();
        let mut first_with = HashMap::with_capacity(users.len());
        for (index, named) in &rows {
            match user_id(named).filter(|user_id| there.contains(&user_id.uuid())) {
                None => report.add(Finding::no_such_user(*index, named.field(), named.email())),
                Some(user_id) => match first_with.get(&user_id.uuid()) {
                    Some(first) => report.add(Finding::user_twice(*index, *first, named.field())),
                    None => {
                        first_with.insert(user_id.uuid(), *index);
                    }
                },
            }
        }
        if report.is_empty() { Ok(users) } else { Err(Error::rejected(report)) }
    }
}

/// One row.
#[derive(Debug, Default)]
struct Row {
    user_id: Field<String>,
    email: Field<String>,
}

impl Shape for Row {
    const FIELDS: &'static [&'static str] = &["user_id", "email"];
    const PURPOSE: &'static str = "put in or take out";

    fn set(&mut self, fields: &mut Fields<'_>, field: &'static str, value: Value) {
        match field {
            "user_id" => self.user_id = fields.text(field, value),
            _ => self.email = fields.text(field, value),
        }
    }
}

impl Row {
    /// Whom it names; `None` when why it names nobody has been found before.
    fn judge(self, index: usize) -> std::result::Result<Option<Named>, Finding> {
        match (self.user_id, self.email) {
            // What is not the id of a user is the id of no user.
            (Field::Is(text), Field::Missing) => match text.parse() {
                Ok(user_id) => Ok(Some(Named::Id(user_id))),
                Err(_) => Err(Finding::no_such_user(index, "user_id", None)),
            },
            (Field::Missing, Field::Is(text)) => match EmailAddress::parse(&text) {
                Ok(email) => Ok(Some(Named::Email(email))),
                Err(why) => Err(Finding::field(index, "email", why.code(), why.message())),
            },
            (Field::Wrong, Field::Missing) | (Field::Missing, Field::Wrong) => Ok(None),
            _ => Err(Finding::row(index, "not_exactly_one", "needs exactly one of user_id and email")),
        }
    }
}

/// The users who have these addresses, by the addresses' keys.
async fn by_email(change: &mut Change, rows: &[(usize, Named)]) -> Result<HashMap<String, Id<User>>> {
    let keys = rows.iter().filter_map(|(_, named)| match named {
        Named::Id(_) => None,
        Named::Email(email) => Some(email.key()),
    });
    let keys: Vec<&str> = keys.collect();
    let organization_id = change.organization_id();
    Ok(users::read::by_address(change.connection(), organization_id, &keys).await?.into_iter().collect())
}

/// Those of the users who exist, each once, by id; nobody can delete them until the change ends.
async fn lock(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    user_ids: &[Uuid],
) -> Result<Vec<Id<User>>> {
    let users = sqlx::query_scalar!(
        r#"
        select user_id as "user_id: Id<User>" from users
        where organization_id = $1 and user_id = any($2)
        order by user_id
        for key share
        "#,
        organization_id.uuid(),
        user_ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(body: &str) -> Vec<String> {
        let who = Who::read(body.as_bytes(), 10, "added").unwrap();
        let findings = who.report.findings();
        let shown = |finding: &&Finding| {
            format!(
                "{}.{}: {}: {}",
                finding.index,
                finding.field.as_deref().unwrap_or("-"),
                finding.code,
                finding.message
            )
        };
        findings.iter().map(shown).collect()
    }

    #[test]
    fn a_row_names_somebody_by_exactly_one_of_id_and_address() {
        let user = Id::<User>::from_uuid(Uuid::from_u128(7));
        let body = format!(r#"[{{"user_id": "{user}"}}, {{"email": " Ada@Example.com ", "user_id": null}}]"#);
        let who = Who::read(body.as_bytes(), 10, "added").unwrap();
        assert!(matches!(&who.rows[0], (0, Named::Id(id)) if *id == user));
        assert!(matches!(&who.rows[1], (1, Named::Email(email)) if email.key() == "ada@example.com"));
        assert!(who.report.is_empty());
    }

    #[test]
    fn everything_that_is_wrong_with_a_row_is_found() {
        let none = "0.-: not_exactly_one: needs exactly one of user_id and email";
        for (row, expected) in [
            ("{}", vec![none]),
            (r#"{"email": null}"#, vec![none]),
            (r#"{"email": "a@b.example", "user_id": "usr_x"}"#, vec![none]),
            (r#"{"email": "a@b.example", "email": "c@d.example"}"#, vec!["0.email: duplicate_field: is there twice"]),
            (r#"{"email": "nobody"}"#, vec!["0.email: email_invalid: not a valid e-mail address"]),
            (r#"{"user_id": "ug_1"}"#, vec!["0.user_id: unknown_user: there is no such user"]),
            (r#"{"email": 7}"#, vec!["0.email: wrong_type: has to be text, not a number"]),
            (r#"{"email": [[{}]]}"#, vec!["0.email: wrong_type: has to be text, not a list"]),
            (
                r#"{"email": "a@b.example", "mail\n": {"x": []}}"#,
                vec!["0.mail\u{fffd}: unknown_field: is unknown; a user has user_id, email"],
            ),
            (r#""a@b.example""#, vec!["0.-: wrong_type: a user has to be an object with user_id, email; this is text"]),
        ] {
            assert_eq!(findings(&format!("[{row}]")), expected, "{row}");
        }
    }
}
