//! Lists of users who are put into a group or taken out: each row of the JSON array has `user`, an id or an address.
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
use crate::users::user_ref::{self, UserRef};

/// A list, as far as it can be judged without the database.
#[derive(Debug)]
pub(super) struct Who {
    rows: Vec<(usize, UserRef)>,
    report: Report,
    /// The places in `rows` of those who were found.
    places: HashMap<Uuid, usize>,
}

/// One row.
#[derive(Debug, Default)]
struct Row {
    user: Field<String>,
}

impl Shape for Row {
    const FIELDS: &'static [&'static str] = &["user"];
    const PURPOSE: &'static str = "put in or take out";

    fn set(&mut self, fields: &mut Fields<'_>, field: &'static str, value: Value) {
        self.user = fields.text(field, value);
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
        let (sent, mut findings) = rows::parse::<Row>(body, max_users)?;
        let mut report = Report::on(sent.len(), done);
        let mut rows = Vec::with_capacity(sent.len());
        for (index, row) in sent.into_iter().enumerate() {
            let named = row.and_then(|row| UserRef::check(row.user, index, &mut findings));
            rows.extend(named.map(|named| (index, named)));
        }
        findings.into_iter().for_each(|finding| report.add(finding));
        Ok(Self { rows, report, places: HashMap::new() })
    }

    /// Finds the users, in the order of their ids, and keeps them from being deleted until the change ends.
    ///
    /// # Errors
    /// `batch_rejected` with everything that is wrong with the list: somebody is unknown, or in it twice.
    pub(super) async fn find(&mut self, change: &mut Change) -> Result<Vec<Id<User>>> {
        let organization_id = change.organization_id();
        let Self { rows, report, places } = self;
        let named: Vec<&UserRef> = rows.iter().map(|(_, named)| named).collect();
        let ids = user_ref::ids(change, &named).await?;
        let asked: Vec<Uuid> = ids.iter().flatten().map(|id| id.uuid()).collect();
        let users = lock(change.connection(), organization_id, &asked).await?;
        let there: HashSet<Uuid> = users.iter().map(|id| id.uuid()).collect();
        for ((place, (index, named)), user_id) in rows.iter().enumerate().zip(ids) {
            match user_id.filter(|user_id| there.contains(&user_id.uuid())) {
                None => report.add(Finding::no_such_user(*index, "user", Some(&named.shown()))),
                Some(user_id) => match places.get(&user_id.uuid()).and_then(|first| rows.get(*first)) {
                    Some((first, _)) => report.add(Finding::user_twice(*index, *first, "user")),
                    None => {
                        places.insert(user_id.uuid(), place);
                    }
                },
            }
        }
        if report.is_empty() { Ok(users) } else { Err(Error::rejected(report.clone())) }
    }

    /// A report with a finding for each of these owners, who were found.
    pub(super) fn last_owners(mut self, owners: &[Id<User>]) -> Report {
        for (index, named) in owners.iter().filter_map(|id| self.rows.get(*self.places.get(&id.uuid())?)) {
            self.report.add(Finding::last_owner(*index, Some("user"), &named.shown()));
        }
        self.report
    }
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
    fn a_row_names_somebody_by_id_or_by_address() {
        let user = Id::<User>::from_uuid(Uuid::from_u128(7));
        let body = format!(r#"[{{"user": "{user}"}}, {{"user": " Ada@Example.com "}}]"#);
        let who = Who::read(body.as_bytes(), 10, "added").unwrap();
        assert!(matches!(&who.rows[0], (0, UserRef::ById(id)) if *id == user));
        assert!(matches!(&who.rows[1], (1, UserRef::ByAddress(email)) if email.key() == "ada@example.com"));
        assert!(who.report.is_empty());
    }

    #[test]
    fn everything_that_is_wrong_with_a_row_is_found() {
        let invalid = "0.user: user_invalid: must be a user ID (`usr_…`) or an e-mail address";
        for (row, expected) in [
            ("{}", vec!["0.user: missing: is missing"]),
            (r#"{"user": null}"#, vec!["0.user: missing: is missing"]),
            (r#"{"user": "a@b.example", "user": "c@d.example"}"#, vec!["0.user: duplicate_field: is there twice"]),
            (r#"{"user": "nobody"}"#, vec![invalid]),
            (r#"{"user": "ug_01k9h6m3x0e8wbz1v5n7q2r4t6"}"#, vec![invalid]),
            (r#"{"user": 7}"#, vec!["0.user: wrong_type: has to be text, not a number"]),
            (r#"{"user": [[{}]]}"#, vec!["0.user: wrong_type: has to be text, not a list"]),
            (
                r#"{"user": "a@b.example", "mail\n": {"x": []}}"#,
                vec!["0.mail\u{fffd}: unknown_field: is unknown; a user has user"],
            ),
            (r#""a@b.example""#, vec!["0.-: wrong_type: a user has to be an object with user; this is text"]),
        ] {
            assert_eq!(findings(&format!("[{row}]")), expected, "{row}");
        }
    }
}
