//! The pages to which the vendor's client refers people: `/v2/api-keys`, `/collaborators`, and the server's own address.
//! They say what to do next. Other clients get the usual 404.

use actix_web::http::StatusCode;
use actix_web::http::header::ACCEPT;
use actix_web::{HttpRequest, HttpResponse};

use super::{html, page};
use crate::error::Result;
use crate::http::error;

const HOME: &str = "\
<p>This is the API of <strong>muster</strong>, which manages the users of an organization. There is nothing to sign in to \
here: use the command line.</p>\n\
<ul>\n\
<li><a href=\"v2/api-keys\">Get an API key</a></li>\n\
<li><a href=\"collaborators\">List and change users</a></li>\n\
<li><a href=\"docs/\">HTTP API</a></li>\n\
</ul>";

const API_KEYS: &str = "\
<p>API keys are created on the command line:</p>\n\
<pre>muster login\nanyscale login</pre>\n\
<p>Either command prints a link to a code. A person who is logged in already approves the code with \
<code>muster login approve</code>, and you get a key of your own.</p>\n\
<p>A key that you were given works at once:</p>\n\
<pre>export ANYSCALE_CLI_TOKEN=amk_…</pre>\n\
<p>Nobody is logged in? The operator of this server creates a key on its machine with \
<code>muster key create</code>.</p>\n\
<p>Your keys, and how to revoke one:</p>\n\
<pre>muster api-key list\nmuster api-key revoke KEY_ID</pre>";

const COLLABORATORS: &str = "\
<p>The users of your organization are managed on the command line:</p>\n\
<pre>muster user list\nmuster user update ada@example.com --title Countess\nmuster user suspend ada@example.com\nmuster invitation create ada@example.com</pre>\n\
<p>The vendor’s <code>anyscale user list</code> lists them, too; it has no commands that change them.</p>";

/// `/`.
pub(in crate::http) async fn home(request: HttpRequest) -> Result<HttpResponse> {
    show(request, "muster", HOME).await
}

/// `/v2/api-keys`, to which the vendor's client refers when it has no valid key.
pub(in crate::http) async fn api_keys(request: HttpRequest) -> Result<HttpResponse> {
    show(request, "API keys", API_KEYS).await
}

/// `/collaborators`, to which the vendor's client refers after a list of users.
pub(in crate::http) async fn collaborators(request: HttpRequest) -> Result<HttpResponse> {
    show(request, "Users", COLLABORATORS).await
}

/// Shows a page to a browser, which asks for HTML. Scripts and scanners get 404, as for any unknown path.
async fn show(request: HttpRequest, title: &str, content: &str) -> Result<HttpResponse> {
    let accepted = request.headers().get_all(ACCEPT).filter_map(|accepted| accepted.to_str().ok());
    if accepted.flat_map(|accepted| accepted.split(',')).any(|range| range.trim_start().starts_with("text/html")) {
        return Ok(html(StatusCode::OK).body(page(title, content)));
    }
    error::not_found(request).await
}
