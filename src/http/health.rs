//! Liveness and readiness probes.

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::error::ErrorBody;
use crate::app::App;
use crate::error::{Error, Result};
use crate::postgres::{self, MigrateError};

/// The process responds. Does not check the database, as a restart would not fix that.
#[utoipa::path(get, path = "/livez", operation_id = "livez", tag = "health",
    responses((status = 200, description = "The process responds.")),
    security(()))]
pub(super) async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// The database responds, has the migrations of this version, and did not run out of disk or memory in the last four
/// seconds. Newer migrations are allowed: during a rolling upgrade, instances of the previous version continue to
/// serve (`migrations/README.md`, rule 3).
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", tag = "health",
    responses(
        (status = 200, description = "Ready for requests."),
        (status = 503, description = "Not ready; `detail` has the reason.", body = ErrorBody),
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
    let mut read = app
        .reader(&app.db.reserved)
        .await
        .map_err(|error| Error::unavailable("the database can't be reached").with_source(error))?;
    match postgres::is_current(&mut read).await {
        // Dirty or changed migrations prevent a start, but a running instance continues.
        Ok(true) | Err(MigrateError::Newer { .. } | MigrateError::Dirty { .. } | MigrateError::Changed { .. }) => {
            app.db.exhaustion().map_or(Ok(()), |trouble| Err(Error::unavailable(trouble.as_str())))
        }
        Ok(false) => Err(Error::unavailable("the database schema is outdated; run `muster migrate`")),
        Err(error) => Err(Error::unavailable("the database can't be used; see the log").with_source(error)),
    }
}
