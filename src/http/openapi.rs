//! The OpenAPI document, generated from the code, and Swagger UI.

use std::sync::{Arc, LazyLock};

use actix_web::http::header::{CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ContentEncoding, ContentType};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};
use utoipa_swagger_ui::Config;

use super::ApiRoutes;
use super::error::{self, ErrorBody};
use crate::error::{Error, Result};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "muster",
        description = "A self-hosted user-provisioning service: an administrator submits a list of people, and muster \
            creates all accounts or none, with a complete report and an audit log.\n\nEvery error has the same format, \
            and every response the headers `x-request-id` and `x-trace-id`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(ErrorBody)),
    tags(
        (name = "users", description = "Users: creating, changing, suspending and deleting them"),
        (name = "sign-in", description = "Signing in with a password, sessions, and links to set passwords"),
        (name = "single sign-on", description = "Identity providers, and the identities of users there"),
        (name = "batches", description = "Lists of users that are created together"),
        (name = "collaborators", description = "Members of the organization"),
        (name = "service accounts", description = "Service accounts, and the vendor's routes for their API keys"),
        (name = "keys", description = "API keys: creating, reading, rotating and revoking them"),
        (name = "logins", description = "Device logins: getting an API key with a one-time password that a user approves"),
        (name = "invitations", description = "Invitations: links with which people create their accounts"),
        (name = "groups", description = "Groups of users that share permissions"),
        (name = "policies", description = "Roles of groups, and permissions of users"),
        (name = "audit", description = "The audit log"),
        (name = "client", description = "Other routes of the vendor's client"),
        (name = "health", description = "Health checks"),
    ),
)]
struct Document;

/// The OpenAPI document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    document.merge(ApiRoutes::openapi());
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    components.add_security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("cli_token"))));
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        operations.into_iter().flatten().for_each(complete);
    }
    document
}

/// Adds what operations have in common, so that a handler describes only what is particular to it: authentication,
/// unless the handler declares `security(())`, and the errors that follow from authentication, parameters and body.
fn complete(operation: &mut Operation) {
    if operation.security.take().is_some() {
        return;
    }
    let requirement = |scheme: &str| SecurityRequirement::new::<&str, [&str; 0], &str>(scheme, []);
    operation.security = Some(vec![requirement("bearer"), requirement("cookie")]);
    let parameters: Vec<&Parameter> = operation.parameters.iter().flatten().filter_map(parameter).collect();
    let is_in = |place: ParameterIn| parameters.iter().any(|parameter| parameter.parameter_in == place);
    let has_body = operation.request_body.is_some();
    let is_conditional = parameters.iter().any(|parameter| parameter.name == "If-Match");
    for (status, applies, description) in [
        (
            "400",
            has_body || is_in(ParameterIn::Query) || is_in(ParameterIn::Header),
            "A parameter, a header or the body is malformed.",
        ),
        ("401", true, "No valid API key."),
        ("403", true, "The API key lacks the permission or the scope."),
        ("404", is_in(ParameterIn::Path), "No such resource in this organization."),
        ("408", has_body, "The body did not arrive in time."),
        ("412", is_conditional, "The `ETag` differs."),
        ("413", has_body, "The body or the list is too long."),
        ("415", has_body, "A browser sent a body without a JSON media type."),
        ("429", true, "Too many requests with unknown credentials from this network; see `Retry-After`."),
        ("503", true, "The server is overloaded or the database is unavailable; see `Retry-After`."),
    ] {
        if applies {
            let content = Content::new(Some(Ref::from_schema_name("ErrorBody")));
            let response = ResponseBuilder::new().description(description).content("application/json", content);
            operation.responses.responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(response.build()));
        }
    }
}

fn parameter(parameter: &RefOr<Parameter>) -> Option<&Parameter> {
    match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    }
}

pub(super) async fn json() -> Result<HttpResponse> {
    // Serialized once: that takes as long as a hundred other requests, and the route requires no API key.
    static DOCUMENT: LazyLock<Result<Bytes, String>> =
        LazyLock::new(|| serde_json::to_vec(&document()).map(Bytes::from).map_err(|error| error.to_string()));
    let document = DOCUMENT.as_ref().map_err(|error| Error::internal(error.as_str()))?;
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(document.clone()))
}

/// Allows scripts and requests of this server only. Swagger UI has inline styles and images.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; \
                           img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Swagger UI, built into the binary. Without `validator_url("none")` it would send the URL of the document to its
/// vendor. The binary has its files compressed, and every browser takes them so.
pub(super) async fn page(request: HttpRequest, part: web::Path<String>) -> Result<HttpResponse> {
    let config = Config::from("/openapi.json").validator_url("none").try_it_out_enabled(true);
    match utoipa_swagger_ui::serve(&part, Arc::new(config)) {
        Ok(Some(file)) => {
            let mut response = HttpResponse::Ok();
            if file.gzpipped {
                response.insert_header((CONTENT_ENCODING, ContentEncoding::Gzip));
            }
            response.content_type(file.content_type).insert_header((CONTENT_SECURITY_POLICY, PAGE_POLICY));
            Ok(response.body(file.bytes.into_owned()))
        }
        Ok(None) => error::not_found(request).await,
        Err(error) => Err(Error::internal(error.to_string())),
    }
}
