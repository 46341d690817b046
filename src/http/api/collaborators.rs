//! `/api/v2/organization_collaborators/`: the members of the organization.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::DateTime;
use muster_client::{Collaborator, CollaboratorType};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{IfMatch, Listing, NoQuery, Single, with_etag};
use crate::app::App;
use crate::caller::{Caller, PermissionLevel};
use crate::collaborators::{
    self, CollaboratorFilter, MoreFilters, OwnerThrough, PeopleOrder, PersonQuery, Search, SearchText, SignInMethod,
};
use crate::error::{Error, Result};
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::http::{extract, headers, vendor};
use crate::id::{self, Id};
use crate::page::{Page, PageRequest, Span};
use crate::users::{self, AccountKind, Attributes, EmailAddress, Status, UserDetails};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Query {
    /// E-mail address, compared without regard to case and encoding (Unicode or punycode).
    email: Option<String>,
    /// Display name, exact: the name, or first and last name.
    name: Option<String>,
    /// `all_accounts`, `only_service_accounts` or `only_user_accounts`.
    collaborator_type: Option<String>,
    /// `true` or `false`, optionally capitalized as in Python. If it and `collaborator_type` are absent, versions 0.26.46
    /// to 0.26.62 of the vendor's client get service accounts only, because their commands do not send it.
    is_service_account: Option<String>,
    /// `active` or `suspended`.
    status: Option<String>,
    /// Effective permission level, including groups: `owner` or `collaborator`.
    permission_level: Option<String>,
    /// Whether the user signs in through the organization's identity provider: `true` or `false`.
    is_sso_user: Option<String>,
    /// IDs of batches, separated by commas: one of them created the user. Requires an owner.
    batch_id: Option<String>,
    /// IDs of groups, separated by commas: the user is a member of one of them. Requires an owner.
    group_id: Option<String>,
    /// Domains, separated by commas: the e-mail address has one of them, compared without regard to case and encoding; subdomains
    /// are other domains.
    domain: Option<String>,
    /// Earliest time of creation (RFC 3339).
    created_after: Option<String>,
    /// Time before which the user was created (RFC 3339).
    created_before: Option<String>,
    /// `true`: only people who should sign in with a password and have none. `false`: only the others.
    without_password: Option<String>,
    /// `true`: only people who have never signed in. `false`: only the others.
    never_signed_in: Option<String>,
    /// Earliest time of the last sign-in (RFC 3339).
    signed_in_after: Option<String>,
    /// Time before which the last sign-in was (RFC 3339); those who have never signed in do not match.
    signed_in_before: Option<String>,
    /// How people can sign in at present: `sso`, `password`, `link` (an open one-time link, and no password) or `none`; several are
    /// separated by commas.
    sign_in: Option<String>,
    /// IDs of identity providers, separated by commas: the user has an identity at one of them. Requires an owner.
    provider_id: Option<String>,
    /// Only owners, by what makes them so: `level` or `group`.
    owner_through: Option<String>,
    /// A part of the name or of the e-mail address, case-insensitive; or the ID of a user; or up to 500 e-mail addresses, separated
    /// by commas or spaces.
    query: Option<String>,
    /// Only active members whose account expires until this time (RFC 3339).
    expires_before: Option<String>,
    /// JSON object of custom attributes that the user has, such as `{"department":"Research"}`.
    attributes: Option<String>,
    /// `name` (first and last name, then address, regardless of case), `email`, `created` or `last` (last sign-in); backward with a
    /// `-` before it: `-last` has the latest sign-ins first. Default: `created`.
    order: Option<String>,
    /// The `next_paging_token` of the previous page, with the same filters and order.
    paging_token: Option<String>,
    /// Members per page: 1 to 50, default 50. With filters other than `email`, `name` and the kinds of account, a page can
    /// have fewer members, even none, although more follow: the last page is the one without `next_paging_token`.
    count: Option<String>,
}

impl Query {
    fn more(&self) -> Result<MoreFilters> {
        let time = |name: &str, text: &Option<String>| {
            text.as_deref().map(|text| {
                let time = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
                time.map_err(|_| Error::invalid(format!("`{name}` must be a time such as 2026-11-23T10:00:00Z")))
            })
        };
        let domain = |text: &str| {
            EmailAddress::domain_key(text)
                .ok_or_else(|| Error::invalid("`domain` must be a domain such as example.com"))
        };
        let attributes = self.attributes.as_deref().map(|text| {
            let rule = "`attributes` must be a JSON object of texts, numbers and booleans";
            Attributes::parse(text).ok_or_else(|| Error::invalid(rule))
        });
        Ok(MoreFilters {
            attributes: attributes.transpose()?,
            status: self.status.as_deref().map(status).transpose()?,
            permission_level: self.permission_level.as_deref().map(permission_level).transpose()?,
            is_sso_user: extract::flag("is_sso_user", self.is_sso_user.as_deref())?,
            query: self.query.as_deref().map(PersonQuery::parse).transpose()?,
            owner_through: self
                .owner_through
                .as_deref()
                .map(|text| named("owner_through", text, OwnerThrough::parse, &OwnerThrough::list()))
                .transpose()?,
            sign_in: any_of(self.sign_in.as_deref(), |text| {
                named("sign_in", text, SignInMethod::parse, &SignInMethod::list())
            })?,
            batches: any_of(self.batch_id.as_deref(), |id| id_filter("batch_id", id))?,
            groups: any_of(self.group_id.as_deref(), |id| id_filter("group_id", id))?,
            providers: any_of(self.provider_id.as_deref(), |id| id_filter("provider_id", id))?,
            domains: any_of(self.domain.as_deref(), domain)?,
            signed_in_after: time("signed_in_after", &self.signed_in_after).transpose()?,
            signed_in_before: time("signed_in_before", &self.signed_in_before).transpose()?,
            created_after: time("created_after", &self.created_after).transpose()?,
            created_before: time("created_before", &self.created_before).transpose()?,
            without_password: extract::flag("without_password", self.without_password.as_deref())?,
            never_signed_in: extract::flag("never_signed_in", self.never_signed_in.as_deref())?,
            expires_before: time("expires_before", &self.expires_before).transpose()?,
        })
    }
}

fn id_filter<K: id::Kind>(name: &str, text: &str) -> Result<Id<K>> {
    text.parse().map_err(|_| {
        let rule = format!("`{name}` must be an ID, `{}_` and {} characters", K::PREFIX, id::ENCODED_LEN);
        Error::invalid(rule)
    })
}

/// Parses values that are separated by commas.
fn any_of<T>(text: Option<&str>, parse: impl Fn(&str) -> Result<T>) -> Result<Vec<T>> {
    text.into_iter().flat_map(|text| text.split(',')).map(|value| parse(value.trim())).collect()
}

/// Parses the name of a value.
fn named<T>(name: &str, text: &str, parse: impl Fn(&str) -> Option<T>, names: &str) -> Result<T> {
    parse(text).ok_or_else(|| Error::invalid(format!("`{name}` must be one of: {names}")))
}

fn status(text: &str) -> Result<Status> {
    Status::parse(text).ok_or_else(|| Error::invalid("invalid `status`; expected `active` or `suspended`"))
}

fn collaborator_type(text: Option<&str>) -> Result<Option<CollaboratorType>> {
    let invalid = || {
        let kinds = "`all_accounts`, `only_service_accounts` or `only_user_accounts`";
        Error::invalid(format!("invalid `collaborator_type`; expected {kinds}"))
    };
    text.map(|text| CollaboratorType::parse(text).ok_or_else(invalid)).transpose()
}

pub(super) fn permission_level(text: &str) -> Result<PermissionLevel> {
    PermissionLevel::parse(text)
        .ok_or_else(|| Error::invalid("invalid `permission_level`; expected `owner` or `collaborator`"))
}

/// List the members of the organization
///
/// Users and service accounts, including suspended ones, by default in the order of their creation.
#[utoipa::path(get, path = "/api/v2/organization_collaborators/", operation_id = "collaborator_list",
    tag = "collaborators", params(Query),
    responses((status = 200, description = "A page of members.", body = Listing<Collaborator>)))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let query: Query = extract::query(&request)?;
    let mut is_service_account = extract::flag("is_service_account", query.is_service_account.as_deref())?;
    if is_service_account.is_none()
        && query.collaborator_type.is_none()
        && vendor::meant_kind(&request) == AccountKind::ServiceAccount
    {
        is_service_account = Some(true);
    }
    let filter = CollaboratorFilter {
        collaborator_type: collaborator_type(query.collaborator_type.as_deref())?,
        is_service_account,
        more: query.more()?,
        email: query.email,
        name: query.name,
    };
    let (count, paging_token) = (query.count.as_deref(), query.paging_token.as_deref());
    let page = match query.order.as_deref() {
        None => collaborators::list(&app, &caller, &filter, &PageRequest::parse(count, paging_token)?).await?,
        Some(order) => {
            let order = named("order", order, PeopleOrder::parse, &PeopleOrder::list())?;
            let span = Span::forward(collaborators::list_key(&filter, order), count, paging_token)?;
            let slice = collaborators::browse(&app, &caller, &filter, order, &span).await?;
            Page { next: slice.next, rows: slice.rows.into_iter().map(|person| person.user).collect() }
        }
    };
    Ok(super::page(&request, page, Collaborator::from))
}

impl From<UserDetails> for Collaborator {
    fn from(collaborator: UserDetails) -> Self {
        Self {
            id: collaborator.identity_id.to_string(),
            user_id: Some(collaborator.user_id.to_string()),
            full_name: Some(collaborator.full_name()),
            name: collaborator.name,
            lastname: collaborator.lastname,
            title: collaborator.title,
            is_sso_user: Some(collaborator.is_sso_user),
            attributes: collaborator.attributes.to_object(),
            email: collaborator.email,
            base_role: Some(collaborator.own_level.as_str().to_owned()),
            permission_level: collaborator.permission_level.as_str().to_owned(),
            additional_roles: Vec::new(),
            is_service_account: Some(collaborator.is_service_account),
            status: Some(collaborator.status.to_string()),
            expires_at: collaborator.expires_at,
            last_signed_in_at: collaborator.last_signed_in_at,
            created_at: collaborator.created_at,
        }
    }
}

/// A search for members: with `query`, or with the fields of the vendor's client, `name_or_email` and
/// `collaborator_type` only. A member must match all fields that are present.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SearchBody {
    /// Part of the name, the full name or the e-mail address, case-insensitive: 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200, example = "lovel")]
    query: Option<String>,
    /// The search of the vendor's client. Without `query` and `collaborator_type`, only people are found.
    name_or_email: Option<TextQuery>,
    /// `all_accounts`, `only_service_accounts` or `only_user_accounts`.
    #[schema(example = "only_user_accounts")]
    collaborator_type: Option<String>,
    /// Effective permission level, including groups: `owner` or `collaborator`.
    #[schema(example = "collaborator")]
    permission_level: Option<String>,
    is_service_account: Option<bool>,
    /// `active` or `suspended`.
    #[schema(example = "active")]
    status: Option<String>,
    /// Members per page: 1 to 50, default 50.
    #[schema(minimum = 1, maximum = 50, example = 50)]
    count: Option<u16>,
    /// The `next_paging_token` of the previous page.
    paging_token: Option<String>,
}

/// Conditions on the name, the full name and the e-mail address, case-insensitive: up to 200 characters each.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct TextQuery {
    /// Part of one of them.
    #[schema(max_length = 200)]
    contains: Option<String>,
    /// Equal to one of them.
    #[schema(max_length = 200)]
    equals: Option<String>,
    /// Equal to none of them.
    #[schema(max_length = 200)]
    not_equal: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SearchQuery {
    /// As in the body, where the vendor's client does not send it.
    paging_token: Option<String>,
    /// As in the body, where the vendor's client does not send it.
    count: Option<String>,
}

impl SearchBody {
    fn page(&self, query: &SearchQuery) -> Result<PageRequest<id::User>> {
        let paging_token = self.paging_token.as_deref().or(query.paging_token.as_deref());
        match self.count {
            Some(count) => PageRequest::new(Some(count), paging_token),
            None => PageRequest::parse(query.count.as_deref(), paging_token),
        }
    }

    fn search(&self) -> Result<Search> {
        match (&self.query, &self.name_or_email) {
            (Some(query), None) => self.with_filters(SearchText::containing(query)?),
            (Some(_), Some(_)) => Err(Error::invalid("`query` and `name_or_email` exclude each other")),
            // Not the vendor's client, which has none of these filters.
            (None, _)
                if self.is_service_account.is_some() || self.permission_level.is_some() || self.status.is_some() =>
            {
                Err(Error::invalid("invalid request body: missing field `query`"))
            }
            (None, text) => {
                let search = self.with_filters(match text {
                    Some(TextQuery { contains, equals, not_equal }) => {
                        SearchText::of_conditions(contains.as_deref(), equals.as_deref(), not_equal.as_deref())?
                    }
                    None => SearchText::default(),
                })?;
                let collaborator_type = search.collaborator_type.or(Some(CollaboratorType::OnlyUserAccounts));
                Ok(Search { collaborator_type, ..search })
            }
        }
    }

    fn with_filters(&self, text: SearchText) -> Result<Search> {
        Ok(Search {
            text,
            collaborator_type: collaborator_type(self.collaborator_type.as_deref())?,
            is_service_account: self.is_service_account,
            permission_level: self.permission_level.as_deref().map(permission_level).transpose()?,
            status: self.status.as_deref().map(status).transpose()?,
        })
    }
}

/// Search the members of the organization
///
/// By part of the name or the e-mail address, in the order of their creation. `%` and `_` are matched literally.
/// Read-only.
#[utoipa::path(post, path = "/api/v2/organization_collaborators/search", operation_id = "collaborator_search",
    tag = "collaborators", params(SearchQuery), request_body = SearchBody,
    responses((status = 200, description = "A page of members.", body = Listing<Collaborator>)))]
pub(in crate::http) async fn search(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    let query: SearchQuery = extract::query(&body.request)?;
    let search: SearchBody = body.object().await?;
    let page = search.page(&query)?;
    let page = collaborators::search(&app, &caller, &search.search()?, &page).await?;
    Ok(super::page(&body.request, page, Collaborator::from))
}

fn identity_id(request: &HttpRequest) -> Result<Id<id::Membership>> {
    extract::id(request, "identity_id", "collaborator")
}

/// Get a member of the organization
#[utoipa::path(get, path = "/api/v2/organization_collaborators/{identity_id}", operation_id = "collaborator_get",
    tag = "collaborators",
    params(("identity_id" = String, Path, description = "ID of the membership, `ide_…`, or of the user, `usr_…`.")),
    responses(
        (status = 200, description = "The member.", body = Single<Collaborator>, headers(("ETag" = String))),
        (status = 400, description = "No parameters are accepted.", body = ErrorBody),
    ))]
pub(in crate::http) async fn get(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    extract::query::<NoQuery>(&request)?;
    // The vendor's client names a member by the user here, and by the membership elsewhere.
    let member = match extract::id(&request, "identity_id", "user") {
        Ok(user_id) => users::get(&app, &caller, user_id).await?,
        Err(_) => collaborators::get(&app, &caller, identity_id(&request)?).await?,
    };
    Ok(with_etag(member.revision, Collaborator::from(member)))
}

/// A new permission level.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct LevelBody {
    /// `owner` or `collaborator`.
    #[schema(example = "owner")]
    permission_level: String,
}

/// Set the permission level of a member
///
/// Sets the permission level of the membership; the permissions of groups are unaffected. The last owner can't be
/// demoted. Requires an owner.
#[utoipa::path(put, path = "/api/v2/organization_collaborators/{identity_id}", operation_id = "collaborator_update",
    tag = "collaborators",
    params(("identity_id" = String, Path, description = "ID of the membership, `ide_…`."), IfMatch),
    request_body = LevelBody,
    responses(
        (status = 200, description = "The changed member.", body = Single<Collaborator>, headers(("ETag" = String))),
        (status = 409, description = "No owner would remain (`last_owner`).", body = ErrorBody),
    ))]
pub(in crate::http) async fn put(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    extract::query::<NoQuery>(&body.request)?;
    let (identity_id, expected) = (identity_id(&body.request)?, headers::if_match(&body.request)?);
    // The operation reads the body only after the permission check.
    let level = async {
        let level: LevelBody = body.object().await?;
        permission_level(&level.permission_level)
    };
    let member = collaborators::set_permission_level(&app, &caller, identity_id, &expected, level).await?;
    Ok(with_etag(member.revision, Collaborator::from(member)))
}

/// Remove a member from the organization
///
/// Ends the membership and deletes the account, like deleting the user. The last owner can't be removed. Requires an
/// owner.
#[utoipa::path(delete, path = "/api/v2/organization_collaborators/{identity_id}", operation_id = "collaborator_remove",
    tag = "collaborators",
    params(("identity_id" = String, Path, description = "ID of the membership, `ide_…`."), IfMatch),
    responses(
        (status = 204, description = "The member is removed."),
        (status = 409, description = "No owner would remain (`last_owner`); or a version of the vendor's client that \
            takes people for service accounts (0.26.46 to 0.26.62) sent the ID of a person (`conflict`).",
            body = ErrorBody),
    ))]
pub(in crate::http) async fn delete(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    extract::query::<NoQuery>(&request)?;
    let expected = headers::if_match(&request)?;
    let kind = vendor::meant_kind(&request);
    collaborators::remove(&app, &caller, identity_id(&request)?, kind, &expected).await?;
    Ok(HttpResponse::NoContent().finish())
}
