//! Files: whole ones, and those that are read and sent in pieces.

use actix_web::body::MessageBody;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, X_CONTENT_TYPE_OPTIONS};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use bytes::Bytes;
use futures_util::stream;

use super::visit::Visit;
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::failpoints;
use crate::http::{extract, session};
use crate::names::names;
use crate::sessions;
use crate::users_file::csv_text;

names! {
    /// The format of a file with the rows of a list.
    pub enum Format {
        /// JSON, an object on each line.
        JsonLines = "jsonl",
        /// For spreadsheets: RFC 4180 with a header.
        Csv = "csv",
    }
}

impl Format {
    /// The format of a request.
    ///
    /// # Errors
    /// `invalid_request` for another one, or none.
    pub(super) fn of(parameter: Option<&str>) -> Result<Self> {
        let format = parameter.and_then(Self::parse);
        format.ok_or_else(|| Error::invalid(format!("`format` must be one of {}", Self::list())))
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::JsonLines => "application/jsonl",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// A file that is read in pieces.
pub(super) trait Pieces: Sized + 'static {
    /// The next piece, and what is left after it.
    async fn read(self, app: &App, caller: &Caller) -> Result<(Bytes, Option<Self>)>;
}

/// Sends a file while it is read; the day becomes part of its name. The first piece is read before the response begins, so that its
/// errors become pages. A visitor who loses access meanwhile gets no further piece.
///
/// # Errors
/// Those of the first piece.
pub(super) async fn stream(
    request: &HttpRequest,
    app: web::Data<App>,
    visit: &Visit,
    pieces: impl Pieces,
    (name, format): (&str, Format),
) -> Result<HttpResponse> {
    let token = session::token(request)?.ok_or_else(|| Error::internal("a visit without a session"))?;
    let origin = extract::origin(request);
    let (first, rest) = pieces.read(&app, &visit.caller).await?;
    let all = stream::try_unfold((Some(first), rest, app, token), move |(ready, rest, app, token)| async move {
        if let Some(piece) = ready {
            return Ok::<_, Error>(Some((piece, (None, rest, app, token))));
        }
        let Some(rest) = rest else { return Ok(None) };
        failpoints::reach("download::next").await;
        let next = async {
            let holder = sessions::authenticate(&app, &token, origin).await?;
            rest.read(&app, &holder.caller(origin, app.clock.now())).await
        };
        let (piece, rest) = next.await.inspect_err(|error| {
            tracing::error!(error = error.chain(), "streamed response aborted: {error}");
        })?;
        Ok(Some((piece, (None, rest, app, token))))
    });
    let day = visit.now.format("%Y-%m-%d");
    Ok(head(&format!("{name}-{day}.{format}"), format).streaming(all))
}

/// Sends rows as CSV.
///
/// # Errors
/// `internal` if the rows have different lengths.
pub(super) fn csv<R>(rows: impl IntoIterator<Item = R>, name: &str) -> Result<HttpResponse>
where
    R: IntoIterator<Item = String>,
{
    let text = csv_text(rows).map_err(|error| Error::internal(error.to_string()))?;
    Ok(text_of(text, name))
}

/// Sends a text as CSV.
pub(super) fn text_of(text: impl MessageBody + 'static, name: &str) -> HttpResponse {
    head(&format!("{name}.csv"), Format::Csv).body(text)
}

fn head(name: &str, format: Format) -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type(format.content_type())
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((CACHE_CONTROL, "no-store"));
    response
}
