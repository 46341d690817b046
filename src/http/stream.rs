//! Answers that are written while they are read, a piece at a time: what is too long to be held whole.
//!
//! The first piece is there before the answer begins, so whatever can be refused is refused as everywhere. If
//! a later one fails, the connection is broken off in the middle of the answer, which no client takes for
//! whole, and the log says why.

use actix_web::HttpResponse;
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;

use crate::error::{Error, Result};

/// Gives an answer piece by piece.
pub(super) trait Pieces {
    /// The next piece; `None` behind the last one.
    async fn next(&mut self) -> Result<Option<Bytes>>;
}

/// Answers with JSON that comes in pieces.
pub(super) async fn answer(mut pieces: impl Pieces + 'static) -> Result<HttpResponse> {
    let first = pieces.next().await?;
    let all = stream::try_unfold((first, pieces), |(ready, mut pieces)| async move {
        let piece = match ready {
            Some(piece) => Some(piece),
            None => pieces.next().await.inspect_err(|error| {
                tracing::error!(error = error.chain(), "an answer was broken off: {error}");
            })?,
        };
        Ok::<_, Error>(piece.map(|piece| (piece, (None, pieces))))
    });
    Ok(HttpResponse::Ok().content_type("application/json").streaming(all))
}

/// Writes items of a JSON array that go on in the next piece. `is_first`: whether none has been written yet.
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
