//! Streamed JSON responses, for results too large to hold in memory.
//!
//! The first piece is produced before the response begins, so that its errors become ordinary error responses. If a later
//! piece fails, the connection is closed in the middle of the response, which clients detect as incomplete, and the error
//! is logged.

use actix_web::HttpResponse;
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;

use crate::error::{Error, Result};

/// Produces a response piece by piece.
pub(super) trait Pieces {
    /// The next piece; `None` after the last one.
    async fn next(&mut self) -> Result<Option<Bytes>>;
}

/// Responds with the pieces of a JSON document.
pub(super) async fn answer(mut pieces: impl Pieces + 'static) -> Result<HttpResponse> {
    let first = pieces.next().await?;
    let all = stream::try_unfold((first, pieces), |(ready, mut pieces)| async move {
        let piece = match ready {
            Some(piece) => Some(piece),
            None => pieces.next().await.inspect_err(|error| {
                tracing::error!(error = error.chain(), "streamed response aborted: {error}");
            })?,
        };
        Ok::<_, Error>(piece.map(|piece| (piece, (None, pieces))))
    });
    Ok(HttpResponse::Ok().content_type("application/json").streaming(all))
}

/// Writes items of a JSON array that may continue in the next piece. `is_first` is true until an item is written.
pub(super) fn items<T: Serialize>(
    piece: &mut Vec<u8>,
    is_first: &mut bool,
    items: impl IntoIterator<Item = T>,
) -> Result<()> {
    for item in items {
        if !std::mem::take(is_first) {
            piece.push(b',');
        }
        serde_json::to_writer(&mut *piece, &item).map_err(Error::internal)?;
    }
    Ok(())
}
