//! `/api/v2/organization_invitations`: inviting people, and accepting.

use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Listing, Metadata, Single};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::http::error::ErrorBody;
use crate::http::public_url::public_url;
use crate::http::{body, extract, log};
use crate::invitations::{self, Acceptance, Accepted, InvitationDetails, InvitationRequest, NewInvitation};
use crate::secret::Secret;
use crate::users::{Credential, Line};

/// Somebody to be invited.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct CreateInvitation {
    /// The address. Compared without regard to case and spelling (Unicode, punycode).
    #[schema(max_length = 254, example = "ada@example.com")]
    email: String,
    /// What the account will be allowed: `collaborator` (default) or `owner`.
    #[schema(example = "collaborator")]
    permission_level: Option<String>,
}

/// What became of each address, in the order of the request.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct InvitedList {
    results: Vec<InvitedOne>,
}

/// What became of one address: `data` or `error`.
#[derive(Serialize, ToSchema)]
struct InvitedOne {
    /// 200, or the status that the error has elsewhere.
    #[schema(example = 200)]
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<CreatedInvitation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<InvitationError>,
}

/// An invitation that was made.
#[derive(Serialize, ToSchema)]
struct CreatedInvitation {
    #[schema(example = "orginv_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    id: String,
    email: String,
    permission_level: &'static str,
    expires_at: DateTime<Utc>,
    /// What to send to the person. Shown this once: muster keeps nothing that it could be made of.
    #[schema(example = "https://muster.example.org/invitations/ami_…")]
    link: String,
}

/// Why an address was not invited.
#[derive(Serialize, ToSchema)]
struct InvitationError {
    /// `invalid_request`, `conflict` (twice in the list), `email_taken` or `forbidden`.
    #[schema(example = "email_taken")]
    code: &'static str,
    /// For people; names the address.
    #[schema(example = "ada@example.com is already a member of the organization")]
    detail: String,
    /// The same.
    message: String,
}

/// An invitation that is, or was, open.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Invitation {
    #[schema(example = "orginv_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    id: String,
    email: String,
    #[schema(example = "org_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    organization_id: String,
    /// `collaborator` or `owner`.
    permission_level: String,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    accepted_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Query {
    /// The address, in any spelling.
    email: Option<String>,
}

/// What somebody who was invited says about themselves.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct AcceptInvitation {
    /// What the link ends in.
    #[schema(value_type = String, example = "ami_…")]
    token: Secret,
    /// First name, or the whole of it. 1 to 255 characters, no control characters.
    #[schema(min_length = 1, max_length = 255, example = "Ada")]
    name: String,
    /// Last name.
    #[schema(max_length = 255, example = "Lovelace")]
    lastname: Option<String>,
    /// Title or position.
    #[schema(max_length = 255)]
    title: Option<String>,
    /// The password of their choice. Needed unless `is_sso_user`.
    #[schema(value_type = Option<String>, max_length = 256, format = "password")]
    password: Option<Secret>,
    /// Signs in through the organization's identity provider, without a password. Default false.
    is_sso_user: Option<bool>,
}

/// The account that an invitation has become.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct AcceptedInvitation {
    #[schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    user_id: String,
    email: String,
    name: String,
    lastname: Option<String>,
    title: Option<String>,
    is_sso_user: bool,
    permission_level: &'static str,
    #[schema(example = "org_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    organization_id: String,
    created_at: DateTime<Utc>,
}

/// Invite a list of addresses
///
/// Each gets a link that ends in an account, for `invitations.days`. Results come in the order of the request, one for
/// each address: those who can be invited are, all in one transaction; for the others `error` says why not. An open
/// invitation for the same address is replaced: its link opens nothing any more. muster sends no mail. For owners.
#[utoipa::path(post, path = "/api/v2/organization_invitations/batch_create", operation_id = "invitation_batch_create",
    tag = "invitations", request_body = Vec<CreateInvitation>,
    responses(
        (status = 200, description = "What became of each.", body = InvitedList),
        (status = 400, description = "Not a JSON list of addresses, or an empty one.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 408, description = "The body took too long to arrive.", body = ErrorBody),
        (status = 413, description = "Too many bytes or too many addresses.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn batch_create(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    payload: Payload,
) -> Result<HttpResponse> {
    let mut url = String::new();
    let asked = async {
        // Before anything is written: a link can't be shown later.
        url = public_url(&request, &app.config.server)?;
        let most = app.config.batch.max_users;
        let rule = || format!("more than {most} addresses in one list (setting `batch.max_users`): send several lists");
        let list: Vec<CreateInvitation> = body::list(most, rule, &request, payload, &app.config.server).await?;
        let asked = |CreateInvitation { email, permission_level }| InvitationRequest { email, permission_level };
        Ok(list.into_iter().map(asked).collect())
    };
    let results = invitations::create(&app, &caller, asked).await?;
    log::rows(&request, results.len());
    let results = results.into_iter().map(|one| show_result(&url, one)).collect();
    Ok(HttpResponse::Ok().json(InvitedList { results }))
}

/// List the invitations that can be accepted
///
/// All of them in one answer, oldest first. For owners.
#[utoipa::path(get, path = "/api/v2/organization_invitations/", operation_id = "invitation_list", tag = "invitations",
    params(Query),
    responses(
        (status = 200, description = "All of them.", body = Listing<Invitation>),
        (status = 400, description = "A parameter that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let query: Query = extract::query(&request)?;
    let invitations = invitations::list(&app, &caller, query.email.as_deref()).await?;
    log::rows(&request, invitations.len());
    let results: Vec<Invitation> = invitations.into_iter().map(show).collect();
    let metadata = Metadata { total: Some(results.len()), next_paging_token: None };
    Ok(HttpResponse::Ok().json(Listing { results, metadata }))
}

/// Take an invitation back
///
/// Its link opens nothing from now on. For owners.
#[utoipa::path(post, path = "/api/v2/organization_invitations/{invitation_id}/invalidate",
    operation_id = "invitation_invalidate", tag = "invitations", params(("invitation_id" = String, Path)),
    responses(
        (status = 200, description = "It is taken back.", body = Single<Invitation>),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 404, description = "No such invitation in this organization.", body = ErrorBody),
        (status = 409, description = "It was accepted, taken back or replaced before (`conflict`).", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn invalidate(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    let invitation_id = extract::id(&request, "invitation_id", "invitation")?;
    let invitation = invitations::invalidate(&app, &caller, invitation_id).await?;
    Ok(HttpResponse::Ok().json(Single { result: show(invitation) }))
}

/// Accept an invitation
///
/// For whoever has the link; no API key is needed. The account is active at once. A link works once: of two that
/// accept at the same time, one gets the account. The body may have 4096 bytes.
#[utoipa::path(post, path = "/api/v2/organization_invitations/accept", operation_id = "invitation_accept",
    tag = "invitations", request_body = AcceptInvitation,
    responses(
        (status = 200, description = "The account is there.", body = Single<AcceptedInvitation>),
        (status = 400, description = "Fields that can't be used: all of them are named.", body = ErrorBody),
        (status = 404, description = "The link opens nothing: unknown, expired, taken back, replaced or used.",
            body = ErrorBody),
        (status = 408, description = "The body took too long to arrive.", body = ErrorBody),
        (status = 409, description = "The address has an account meanwhile (`email_taken`).", body = ErrorBody),
        (status = 413, description = "Too many bytes.", body = ErrorBody),
        (status = 503, description = "Too busy, or the database is away; see `Retry-After`.", body = ErrorBody),
    ))]
pub(in crate::http) async fn accept(
    request: HttpRequest,
    app: web::Data<App>,
    payload: Payload,
) -> Result<HttpResponse> {
    let asked: AcceptInvitation = body::small_object(&request, payload, &app.config.server).await?;
    let AcceptInvitation { token, name, lastname, title, password, is_sso_user } = asked;
    let acceptance = Acceptance { name, lastname, title, password, is_sso_user: is_sso_user.unwrap_or(false) };
    let accepted = invitations::accept(&app, token.expose(), acceptance, extract::origin(&request)).await?;
    Ok(HttpResponse::Ok().json(Single { result: show_accepted(&accepted) }))
}

fn show_result(url: &str, one: Result<NewInvitation>) -> InvitedOne {
    match one {
        Ok(invitation) => InvitedOne {
            status: 200,
            data: Some(CreatedInvitation {
                id: invitation.invitation_id.to_string(),
                email: invitation.email.as_str().to_owned(),
                permission_level: invitation.permission_level.as_str(),
                expires_at: invitation.expires_at,
                link: format!("{url}/invitations/{}", invitation.token.text().expose()),
            }),
            error: None,
        },
        Err(error) => InvitedOne { status: error.code().status(), data: None, error: Some(show_error(&error)) },
    }
}

fn show_error(error: &Error) -> InvitationError {
    InvitationError { code: error.code().as_str(), detail: error.to_string(), message: error.to_string() }
}

fn show(invitation: InvitationDetails) -> Invitation {
    Invitation {
        id: invitation.invitation_id.to_string(),
        email: invitation.email,
        organization_id: invitation.organization_id.to_string(),
        permission_level: invitation.permission_level.as_str().to_owned(),
        created_at: invitation.created_at,
        expires_at: invitation.expires_at,
        accepted_at: invitation.accepted_at,
    }
}

fn show_accepted(accepted: &Accepted) -> AcceptedInvitation {
    let user = &accepted.user;
    let text = |line: &Option<Line>| line.as_ref().map(|line| line.as_str().to_owned());
    AcceptedInvitation {
        user_id: accepted.user_id.to_string(),
        email: user.email.as_str().to_owned(),
        name: user.name.as_str().to_owned(),
        lastname: text(&user.lastname),
        title: text(&user.title),
        is_sso_user: matches!(user.credential, Credential::Sso),
        permission_level: user.permission_level.as_str(),
        organization_id: accepted.organization_id.to_string(),
        created_at: accepted.created_at,
    }
}
