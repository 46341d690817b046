//! Files that a form brings (`multipart/form-data`, RFC 7578), in memory: nothing is written to a temporary file.

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use zeroize::Zeroizing;

use super::body::Body;
use super::browser;
use crate::error::{Error, Result};
use crate::request_body::BodyShare;
use crate::users::is_visible_line;

/// The form is parsed in pieces of this length.
const PIECE: usize = 64 * 1024;

/// The longest name of a file, in characters.
const LONGEST_NAME: usize = 255;

/// A file, or a text that was pasted instead.
pub(super) struct Upload {
    /// The name of the file, without folders; `None` for a text.
    pub(super) name: Option<String>,
    pub(super) content: Zeroizing<Vec<u8>>,
    /// The memory of the request.
    pub(super) _share: BodyShare,
}

impl Body {
    /// Reads the form of a page with one file in `file`, or a text in `text`.
    ///
    /// # Errors
    /// As [`Body::read`]; `unsupported_media_type` for another type; `invalid_request` for a form that is incomplete.
    pub(super) async fn upload(&mut self) -> Result<Upload> {
        let body = self.read_any().await?;
        browser::check_upload(&self.request)?;
        let (text, share) = body.into_parts();
        let pieces = (0..text.len().div_ceil(PIECE)).map(move |piece| {
            let start = piece * PIECE;
            Ok::<Bytes, PayloadError>(text.slice(start..text.len().min(start + PIECE)))
        });
        let mut parts = Multipart::new(self.request.headers(), stream::iter(pieces));
        let mut upload = Upload { name: None, content: Zeroizing::default(), _share: share };
        while let Some(part) = parts.next().await {
            let mut part = part.map_err(|error| malformed(&error))?;
            let content = content(&mut part).await?;
            let is_file = part.name() == Some("file");
            // A field for a file that is left empty is sent, too.
            if (is_file || part.name() == Some("text")) && !content.is_empty() {
                upload.name = name(&part).filter(|_| is_file);
                upload.content = content;
            }
        }
        Ok(upload)
    }
}

async fn content(part: &mut Field) -> Result<Zeroizing<Vec<u8>>> {
    let mut content = Zeroizing::new(Vec::new());
    while let Some(piece) = part.next().await {
        let piece = piece.map_err(|error| malformed(&error))?;
        if content.len() + piece.len() > content.capacity() {
            // `Vec` would leave the old text in memory.
            let mut longer = Zeroizing::new(Vec::with_capacity((content.len() + piece.len()) * 2));
            longer.extend_from_slice(&content);
            content = longer;
        }
        content.extend_from_slice(&piece);
    }
    Ok(content)
}

/// The last part of a path, as some browsers send it, without characters that can't be seen.
fn name(part: &Field) -> Option<String> {
    let name = part.content_disposition()?.get_filename()?;
    let name = name.rsplit(['/', '\\']).next()?.trim();
    let is_shown = |c: &char| is_visible_line(c.encode_utf8(&mut [0; 4]));
    let name: String = name.chars().filter(is_shown).take(LONGEST_NAME).collect();
    Some(name).filter(|name| !name.is_empty())
}

fn malformed(error: &MultipartError) -> Error {
    Error::invalid(format!(
        "the form is incomplete or malformed ({error}); nothing was written, so send the file again"
    ))
}
