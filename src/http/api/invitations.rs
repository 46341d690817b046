//! `/api/v2/organization_invitations`: inviting people and accepting invitations.

use actix_web::{HttpRequest, HttpResponse, web};
use muster_client::{
    AcceptedInvitation, CreatedInvitation, Invitation, InvitationOutcome, InvitedUser, InvitedUsers,
    InvitedUsersMetadata, SecretString,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Listing, Single, complete, single};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::http::public_url::{link_warning, public_url};
use crate::http::{extract, log};
use crate::invitations::{
    self, Acceptance, Accepted, InvitationDetails, InvitationRequest, ListOptions, ListOutcome, NewInvitation, Token,
};
use crate::page::PageRequest;
use crate::secret::Secret;
use crate::users::{Credential, Line};

/// The outcomes, in the order of the request.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct InvitedList {
    results: Vec<InvitedItem>,
}

/// The outcome for an address: `data` or `error`.
#[derive(Serialize, ToSchema)]
struct InvitedItem {
    /// 200, or the HTTP status of the error.
    #[schema(example = 200)]
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<CreatedInvitation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<InvitationError>,
}

/// Why a person was not invited.
#[derive(Serialize, ToSchema)]
struct InvitationError {
    /// `invalid_request`, `conflict` (duplicate in the list), `email_taken` or `forbidden`.
    #[schema(example = "email_taken")]
    code: &'static str,
    /// Error message for people; contains the e-mail address.
    #[schema(example = "ada@example.com is already a member of the organization")]
    detail: String,
    /// The same message, for the vendor's client.
    message: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Query {
    /// E-mail address, compared without regard to case and encoding (Unicode or punycode).
    email: Option<String>,
    /// The `next_paging_token` of the previous page.
    paging_token: Option<String>,
    /// Invitations per page: 1 to 50. Without `count` and `paging_token`, all of them are in one response.
    count: Option<String>,
}

/// The details that an invited person provides.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct AcceptInvitation {
    /// Token at the end of the link.
    #[schema(value_type = String, example = "ami_…")]
    token: Secret,
    /// First name or full name: 1 to 255 characters, no control characters.
    #[schema(min_length = 1, max_length = 255, example = "Ada")]
    name: String,
    /// Last name. Default: that in the invitation.
    #[schema(max_length = 255, example = "Lovelace")]
    lastname: Option<String>,
    /// Job title. Default: that in the invitation.
    #[schema(max_length = 255)]
    title: Option<String>,
    /// Password; required unless `is_sso_user`.
    #[schema(value_type = Option<String>, max_length = 256, format = "password")]
    password: Option<Secret>,
    /// Whether the user signs in through the organization's identity provider instead of a password. Default: false.
    is_sso_user: Option<bool>,
}

/// Invite a list of people, as the vendor's client does
///
/// Creates a link for each address, with which the person creates an account within `invitations.days`. Returns one
/// outcome for each address in the order of the request. All valid addresses are invited, in one transaction. An
/// invitation replaces the open invitation for the same address. muster does not send e-mail. Requires an owner.
#[utoipa::path(post, path = "/api/v2/organization_invitations/batch_create", operation_id = "invitation_batch_create",
    tag = "invitations", request_body = Vec<InvitationRequest>,
    responses((status = 200, description = "The outcomes.", body = InvitedList)))]
pub(in crate::http) async fn batch_create(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    let mut url = String::new();
    let requests = async {
        // Fails before anything is written, because a link can't be shown later.
        url = public_url(&body.request, &app.config.server)?;
        let most = app.config.batch.max_users;
        let rule = || format!("more than {most} addresses in one list (setting `batch.max_users`); send several lists");
        let (list, share) = body.list(most, rule).await?;
        Ok((list, Some(share)))
    };
    let results = invitations::create(&app, &caller, requests).await?;
    log::rows(&body.request, results.len());
    let results = results.into_iter().map(|result| InvitedItem::new(&url, result)).collect();
    Ok(HttpResponse::Ok().json(InvitedList { results }))
}

/// A person to invite: a user to create, without the credential.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what invitations::create_all reads, which reports on wrong types too")]
pub(in crate::http) struct InvitationRow {
    /// E-mail address. Compared without regard to case and encoding (Unicode or punycode).
    #[schema(max_length = 254, example = "ada@example.com")]
    email: String,
    /// First name or full name, which the person may change.
    #[schema(min_length = 1, max_length = 255, example = "Ada")]
    name: Option<String>,
    /// Last name, which the person may change.
    #[schema(max_length = 255, example = "Lovelace")]
    lastname: Option<String>,
    /// Job title, which the person may change.
    #[schema(max_length = 255, example = "Countess of Lovelace")]
    title: Option<String>,
    /// Permission level of the account: `collaborator` (default) or `owner`.
    #[schema(example = "collaborator")]
    permission_level: Option<String>,
    /// When the account expires: the last day of access in UTC, or a time of RFC 3339 with its zone.
    #[schema(example = "2027-12-31")]
    expires_at: Option<String>,
    /// Only `false`, because an invited person chooses a password.
    is_sso_user: Option<bool>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ListQuery {
    /// `true` to replace the links of people who have an open invitation.
    resend: Option<String>,
    /// `true` to validate the list without writing.
    dry_run: Option<String>,
}

/// Invite a list of people, all or none
///
/// The rows of a list of new users, without passwords. A person with an open invitation is skipped, unless `resend` is
/// set. If any row is invalid, nobody is invited, and `rows` of the error contains all findings about all rows. Results are in
/// the order of the request. Requires an owner.
#[utoipa::path(post, path = "/api/v2/organization_invitations/admin_batch_create",
    operation_id = "invitation_admin_batch_create", tag = "invitations", params(ListQuery),
    request_body = Vec<InvitationRow>,
    responses(
        (status = 200, description = "The invitations.", body = InvitedUsers),
        (status = 409, description = "Addresses belong to accounts (`batch_conflict`).", body = ErrorBody),
        (status = 422, description = "Rows with findings (`batch_rejected`).", body = ErrorBody),
    ))]
pub(in crate::http) async fn create_all(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    let query: ListQuery = extract::query(&body.request)?;
    let options = ListOptions {
        resend: extract::flag("resend", query.resend.as_deref())?.unwrap_or(false),
        dry_run: extract::flag("dry_run", query.dry_run.as_deref())?.unwrap_or(false),
        plan: None,
    };
    let mut url = String::new();
    let list = async {
        url = public_url(&body.request, &app.config.server)?;
        body.read().await
    };
    let outcomes = invitations::create_all(&app, &caller, options, list).await?;
    log::rows(&body.request, outcomes.len());
    let results: Vec<InvitedUser> =
        outcomes.iter().map(|outcome| invited_user(outcome, (!options.dry_run).then_some(&url))).collect();
    let invited = results.iter().filter(|user| user.outcome == InvitationOutcome::Invited).count();
    let metadata = InvitedUsersMetadata {
        total: results.len(),
        next_paging_token: None,
        invited,
        already_invited: results.len() - invited,
        replaced: results.iter().filter(|user| user.replaces.is_some()).count(),
        link_warning: link_warning(&url, &app.config.server),
    };
    Ok(HttpResponse::Ok().json(InvitedUsers { results, metadata }))
}

/// `url` is `None` in a dry run.
fn invited_user(outcome: &ListOutcome, url: Option<&String>) -> InvitedUser {
    match outcome {
        ListOutcome::Invited { invitation, replaces } => {
            let NewInvitation { invitation_id, invitee, expires_at, token } = invitation;
            InvitedUser {
                outcome: InvitationOutcome::Invited,
                id: url.map(|_| invitation_id.to_string()),
                email: invitee.email.as_str().to_owned(),
                permission_level: invitee.permission_level.as_str().to_owned(),
                expires_at: *expires_at,
                link: url.map(|url| link(url, token)),
                replaces: replaces.map(|id| id.to_string()),
            }
        }
        ListOutcome::AlreadyInvited(open) => InvitedUser {
            outcome: InvitationOutcome::AlreadyInvited,
            id: Some(open.invitation_id.to_string()),
            email: open.email.clone(),
            permission_level: open.permission_level.as_str().to_owned(),
            expires_at: open.expires_at,
            link: None,
            replaces: None,
        },
    }
}

fn link(url: &str, token: &Token) -> SecretString {
    format!("{url}/invitations/{}", token.text().expose()).into()
}

/// Invite a person
///
/// As `POST /api/v2/organization_invitations/batch_create` with one address, whose error is that of the response.
/// Requires an owner.
#[utoipa::path(post, path = "/api/v2/organization_invitations/", operation_id = "invitation_create",
    tag = "invitations", request_body = InvitationRequest,
    responses(
        (status = 200, description = "The invitation, with its link, which is shown only once.",
            body = Single<CreatedInvitation>),
        (status = 409, description = "The person is already a member (`email_taken`).", body = ErrorBody),
    ))]
pub(in crate::http) async fn create(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    let mut url = String::new();
    let requests = async {
        url = public_url(&body.request, &app.config.server)?;
        Ok((vec![body.object().await?], None))
    };
    let invited = invitations::create(&app, &caller, requests).await?.pop();
    let invited = invited.ok_or_else(|| Error::internal("one address without an outcome"))??;
    Ok(single(created(&url, &invited)))
}

fn created(url: &str, invitation: &NewInvitation) -> CreatedInvitation {
    CreatedInvitation {
        id: invitation.invitation_id.to_string(),
        email: invitation.invitee.email.as_str().to_owned(),
        permission_level: Some(invitation.invitee.permission_level.as_str().to_owned()),
        expires_at: invitation.expires_at,
        link: link(url, &invitation.token),
    }
}

impl InvitedItem {
    fn new(url: &str, result: Result<NewInvitation>) -> Self {
        match result {
            Ok(invitation) => Self { status: 200, data: Some(created(url, &invitation)), error: None },
            Err(error) => {
                let (code, message) = (error.code(), error.to_string());
                let details = InvitationError { code: code.as_str(), detail: message.clone(), message };
                Self { status: code.status(), data: None, error: Some(details) }
            }
        }
    }
}

/// List open invitations, oldest first
///
/// All of them in one response, unless the request asks for a page. Requires an owner.
#[utoipa::path(get, path = "/api/v2/organization_invitations/", operation_id = "invitation_list", tag = "invitations",
    params(Query),
    responses((status = 200, description = "The invitations.", body = Listing<Invitation>)))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let query: Query = extract::query(&request)?;
    let (email, count, token) = (query.email.as_deref(), query.count.as_deref(), query.paging_token.as_deref());
    if count.is_none() && token.is_none() {
        let all = invitations::list(&app, &caller, email, None).await?;
        return Ok(complete::<_, Invitation>(&request, all.rows));
    }
    let page = invitations::list(&app, &caller, email, Some(&PageRequest::parse(count, token)?)).await?;
    Ok(super::page(&request, page, Invitation::from))
}

impl From<InvitationDetails> for Invitation {
    fn from(invitation: InvitationDetails) -> Self {
        Self {
            id: invitation.invitation_id.to_string(),
            email: invitation.email,
            organization_id: invitation.organization_id.to_string(),
            permission_level: Some(invitation.permission_level.as_str().to_owned()),
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
            accepted_at: invitation.accepted_at,
            invalidated_at: invitation.invalidated_at,
        }
    }
}

/// Get an invitation
///
/// Open, expired, accepted or revoked. Requires an owner.
#[utoipa::path(get, path = "/api/v2/organization_invitations/{invitation_id}", operation_id = "invitation_get",
    tag = "invitations", params(("invitation_id" = String, Path)),
    responses((status = 200, description = "The invitation.", body = Single<Invitation>)))]
pub(in crate::http) async fn get(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let invitation_id = extract::id(&request, "invitation_id", "invitation")?;
    let invitation = invitations::get(&app, &caller, invitation_id).await?;
    Ok(single(Invitation::from(invitation)))
}

/// Revoke an invitation
///
/// Invalidates the link. Requires an owner.
#[utoipa::path(post, path = "/api/v2/organization_invitations/{invitation_id}/invalidate",
    operation_id = "invitation_invalidate", tag = "invitations", params(("invitation_id" = String, Path)),
    responses(
        (status = 200, description = "The revoked invitation.", body = Single<Invitation>),
        (status = 409, description = "The invitation is already accepted, revoked or replaced (`conflict`).",
            body = ErrorBody),
    ))]
pub(in crate::http) async fn invalidate(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    let invitation_id = extract::id(&request, "invitation_id", "invitation")?;
    let invitation = invitations::invalidate(&app, &caller, invitation_id).await?;
    Ok(single(Invitation::from(invitation)))
}

/// Accept an invitation
///
/// Creates an active account. Requires the token of the link instead of an API key. A link works once: of two concurrent
/// requests, one gets the account. The body is limited to 4096 bytes.
#[utoipa::path(post, path = "/api/v2/organization_invitations/accept", operation_id = "invitation_accept",
    tag = "invitations", request_body = AcceptInvitation,
    responses(
        (status = 200, description = "The created account.", body = Single<AcceptedInvitation>),
        (status = 400, description = "Invalid fields; the message names all of them.", body = ErrorBody),
        (status = 404, description = "The link is unknown, expired, revoked, replaced or used.", body = ErrorBody),
        (status = 408, description = "The body did not arrive in time.", body = ErrorBody),
        (status = 409, description = "An account with the address exists (`email_taken`).", body = ErrorBody),
        (status = 413, description = "The body is too long.", body = ErrorBody),
        (status = 415, description = "A browser sent a body without a JSON media type.", body = ErrorBody),
        (status = 429, description = "Too many invalid links from this network, or attempts to accept this invitation; see \
            `Retry-After`.", body = ErrorBody),
        (status = 503, description = "The server is overloaded or the database is unavailable; see `Retry-After`.",
            body = ErrorBody),
    ),
    security(()))]
pub(in crate::http) async fn accept(app: web::Data<App>, mut body: Body) -> Result<HttpResponse> {
    let AcceptInvitation { token, name, lastname, title, password, is_sso_user } = body.object().await?;
    let acceptance = Acceptance { name, lastname, title, password, is_sso_user: is_sso_user.unwrap_or(false) };
    let accepted = invitations::accept(&app, token.expose(), acceptance, extract::origin(&body.request)).await?;
    Ok(single(AcceptedInvitation::from(accepted)))
}

impl From<Accepted> for AcceptedInvitation {
    fn from(accepted: Accepted) -> Self {
        let user = accepted.user;
        let text = |line: Option<Line>| line.map(|line| line.as_str().to_owned());
        Self {
            user_id: accepted.user_id.to_string(),
            email: user.email.as_str().to_owned(),
            name: user.name.as_str().to_owned(),
            lastname: text(user.lastname),
            title: text(user.title),
            is_sso_user: matches!(user.credential, Credential::Sso),
            permission_level: user.permission_level.as_str().to_owned(),
            organization_id: accepted.organization_id.to_string(),
            created_at: accepted.created_at,
        }
    }
}
