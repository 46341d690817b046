//! Files: whole ones, and those that are read and sent in pieces.

use actix_web::body::MessageBody;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, X_CONTENT_TYPE_OPTIONS};
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use futures_util::stream;

use crate::error::{Error, Result};
use crate::names::names;
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
    async fn read(self) -> Result<(Bytes, Option<Self>)>;
}

/// Sends a file while it is read. The first piece is read before the response begins, so that its errors become pages.
///
/// # Errors
/// Those of the first piece.
pub(super) async fn stream(pieces: impl Pieces, name: &str, format: Format) -> Result<HttpResponse> {
    let name = format!("{name}.{format}");
    let (first, rest) = pieces.read().await?;
    let all = stream::try_unfold((Some(first), rest), |(ready, rest)| async move {
        if let Some(piece) = ready {
            return Ok::<_, Error>(Some((piece, (None, rest))));
        }
        let Some(rest) = rest else { return Ok(None) };
        let (piece, rest) = rest.read().await.inspect_err(|error| {
            tracing::error!(error = error.chain(), "streamed response aborted: {error}");
        })?;
        Ok(Some((piece, (None, rest))))
    });
    Ok(head(&name, format).streaming(all))
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
