//! The stylesheet, the icon and the script of the pages. Their names contain a digest of their content, so that browsers never ask twice
//! for the same content, and never use an old one.

use std::sync::LazyLock;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::http::error;

const YEAR: &str = "public, max-age=31536000, immutable";

/// A file that is compiled in.
pub(in crate::http) struct Asset {
    /// Its path, without a leading slash.
    pub(in crate::http) path: String,
    kind: &'static str,
    pub(super) content: &'static [u8],
}

impl Asset {
    fn new(name: &str, extension: &str, kind: &'static str, content: &'static [u8]) -> Self {
        let digest = hex::encode(Sha256::digest(content));
        let digest = digest.get(..12).unwrap_or_default();
        Self { path: format!("assets/{name}.{digest}.{extension}"), kind, content }
    }
}

pub(super) static STYLESHEET: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("app", "css", "text/css; charset=utf-8", include_bytes!("../../../assets/app.css")));

pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_bytes!("../../../assets/icon.svg")));

pub(in crate::http) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("app", "js", "text/javascript; charset=utf-8", include_bytes!("../../../assets/app.js"))
});

/// `/assets/{name}`.
pub(in crate::http) async fn asset(request: HttpRequest) -> Result<HttpResponse> {
    let path = request.path().trim_start_matches('/');
    match [&STYLESHEET, &ICON, &SCRIPT].into_iter().find(|asset| asset.path == path) {
        Some(asset) => {
            Ok(HttpResponse::Ok().content_type(asset.kind).insert_header((CACHE_CONTROL, YEAR)).body(asset.content))
        }
        None => error::not_found(request).await,
    }
}
