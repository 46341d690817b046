//! Whether muster lives, and whether it can work.

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::error::ErrorBody;
use crate::app::App;
use crate::error::{Error, Result};
use crate::postgres::{self, MigrateError};

/// The process runs and answers. Never looks at the database: a restart would not mend that.
#[utoipa::path(get, path = "/livez", operation_id = "livez", tag = "health",
    responses((status = 200, description = "It lives.")),
    security(()))]
pub(super) async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// The database answers, has the migrations that this version needs, and has refused no request in the last four seconds
/// because its disk was full or it had no memory left. It may have newer migrations: while instances
/// are replaced, those of the version before serve on (`migrations/README.md`, rule 3).
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", tag = "health",
    responses(
        (status = 200, description = "Requests can be served."),
        (status = 503, description = "Not now; `detail` says why.", body = ErrorBody),
    ),
    security(()))]
pub(super) async fn readyz(app: web::Data<App>) -> Result<HttpResponse> {
    ready(&app).await?;
    Ok(HttpResponse::Ok().json(json!({ "status": "ok" })))
}

async fn ready(app: &App) -> Result<()> {
    if app.is_leaving() || app.is_draining() {
        return Err(Error::unavailable("the server is shutting down"));
    }
    let mut connection = app
        .db
        .interactive
        .acquire()
        .await
        .map_err(|error| Error::unavailable("the database can't be reached").with_source(error.to_string()))?;
    match postgres::is_current(&mut connection).await {
        // The last two keep an instance from starting; one that runs goes on.
        Ok(true) | Err(MigrateError::Newer { .. } | MigrateError::Dirty { .. } | MigrateError::Changed { .. }) => {
            app.db.exhaustion().map_or(Ok(()), |trouble| Err(Error::unavailable(trouble.as_str())))
        }
        Ok(false) => Err(Error::unavailable("the database lacks migrations: run `muster migrate`")),
        Err(error) => Err(Error::unavailable("the database can't be used; see the log").with_source(error)),
    }
}
