//! What muster requires of a database, and what to do if a requirement is not met.

use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;

use super::MigrateError;

/// Checks that the database stores any text.
///
/// # Errors
/// [`MigrateError::Encoding`].
pub async fn check_encoding(connection: &mut PgConnection) -> Result<(), MigrateError> {
    let encoding: String =
        sqlx::query_scalar("select current_setting('server_encoding')").fetch_one(connection).await?;
    if encoding == "UTF8" { Ok(()) } else { Err(MigrateError::Encoding { encoding }) }
}

/// What to do about an error that the settings of the database cause; `None` for any other error.
pub(super) fn advice(error: &sqlx::Error, options: &PgConnectOptions) -> Option<String> {
    let error = error.as_database_error()?;
    let role = options.get_username();
    let database = options.get_database().unwrap_or(role);
    let is_about = |text: &str| error.message().contains(text);
    Some(match error.code()?.as_ref() {
        "53300" => {
            let raise = if is_about("for role") {
                format!("`alter role {role} connection limit …`")
            } else if is_about("for database") {
                format!("`alter database {database} connection limit …`")
            } else {
                "PostgreSQL's `max_connections`".to_owned()
            };
            format!("raise {raise}, or lower `database.connections` and `database.batch_connections` of all instances")
        }
        "42501" | "3F000" if is_about("schema") => format!(
            "since PostgreSQL 15, only the owner of a database may create tables: run `alter database {database} owner to \
             {role}`, or `grant usage, create on schema public to {role}`, as the owner; if {role} is only to serve, run \
             `muster migrate --grant-to {role}` as the owner instead"
        ),
        "26000" | "42P05" => POOLER.to_owned(),
        _ => return None,
    })
}

/// The cause of lost prepared statements, and what to do.
pub(super) const POOLER: &str = "the connection pooler loses prepared statements; use PgBouncer 1.21 or newer with \
                                 `max_prepared_statements`, or `pool_mode = session`";
