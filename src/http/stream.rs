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

/// Reads a result part by part and writes it as JSON.
pub(super) trait Source {
    type Part;

    /// The next part; `None` after the last one.
    async fn next(&mut self) -> Result<Option<Self::Part>>;

    /// Writes a part, or the end of the document.
    fn write(&mut self, part: Option<Self::Part>, json: &mut Json) -> Result<()>;
}

/// A JSON document of which only the text that was not sent yet is in memory.
#[derive(Default)]
pub(super) struct Json {
    piece: Vec<u8>,
    /// The last byte before `piece`.
    last: Option<u8>,
}

impl Json {
    pub(super) fn text(&mut self, text: &str) {
        self.piece.extend_from_slice(text.as_bytes());
    }

    pub(super) fn value(&mut self, value: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.piece, value).map_err(Error::internal)
    }

    /// Writes a comma, unless the array has just begun.
    pub(super) fn separate(&mut self) {
        if self.piece.last().copied().or(self.last) != Some(b'[') {
            self.piece.push(b',');
        }
    }

    /// Writes an item of an array.
    pub(super) fn item(&mut self, item: &impl Serialize) -> Result<()> {
        self.separate();
        self.value(item)
    }
}

/// Responds with a JSON document that begins with `head`.
pub(super) async fn answer(head: &str, source: impl Source + 'static) -> Result<HttpResponse> {
    let mut body = Body { source, json: Json::default(), is_over: false };
    body.json.text(head);
    let first = body.next().await?;
    let all = stream::try_unfold((first, body), |(ready, mut body)| async move {
        let piece = match ready {
            Some(piece) => Some(piece),
            None => body.next().await.inspect_err(|error| {
                tracing::error!(error = error.chain(), "streamed response aborted: {error}");
            })?,
        };
        Ok::<_, Error>(piece.map(|piece| (piece, (None, body))))
    });
    Ok(HttpResponse::Ok().content_type("application/json").streaming(all))
}

struct Body<S> {
    source: S,
    json: Json,
    is_over: bool,
}

impl<S: Source> Body<S> {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        // Skips parts without text: an empty piece would end the response.
        while !self.is_over {
            let part = self.source.next().await?;
            self.is_over = part.is_none();
            self.source.write(part, &mut self.json)?;
            if let Some(last) = self.json.piece.last().copied() {
                self.json.last = Some(last);
                return Ok(Some(std::mem::take(&mut self.json.piece).into()));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers(Vec<Vec<u8>>);

    impl Source for Numbers {
        type Part = Vec<u8>;

        async fn next(&mut self) -> Result<Option<Vec<u8>>> {
            Ok(self.0.pop())
        }

        fn write(&mut self, part: Option<Vec<u8>>, json: &mut Json) -> Result<()> {
            match part {
                Some(numbers) => numbers.iter().try_for_each(|number| json.item(number)),
                None => {
                    json.text("]");
                    Ok(())
                }
            }
        }
    }

    #[actix_web::test]
    async fn parts_without_items_are_skipped() {
        let response = answer("[", Numbers(vec![vec![3], vec![], vec![1, 2], vec![]])).await.unwrap();
        let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
        assert_eq!(body, "[1,2,3]");
    }
}
