//! `/api/v2/user_groups/{group_id}/members`: the members of a group, and of all groups.

use actix_web::{HttpRequest, HttpResponse, web};
use muster_client::{GroupMember, GroupMembership, GroupUser};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::groups::{PageQuery, group_id, page};
use super::{DryRun, Listing, NoQuery, Single, is_dry_run, single};
use crate::app::App;
use crate::caller::Caller;
use crate::error::Result;
use crate::groups::{self, MemberChange, MemberCounts, MemberRows, MembershipPart, Memberships};
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::http::stream::{self, Json, Source};
use crate::http::{extract, log};
use crate::list;

impl From<groups::GroupMember> for GroupMember {
    fn from(member: groups::GroupMember) -> Self {
        Self {
            user_id: member.user_id.to_string(),
            user_email: member.email,
            user_name: member.name,
            added_at: Some(member.added_at),
        }
    }
}

/// List the members of a group
///
/// In the order of the creation of their accounts.
#[utoipa::path(get, path = "/api/v2/user_groups/{group_id}/members", operation_id = "group_members", tag = "groups",
    params(("group_id" = String, Path), PageQuery),
    responses((status = 200, description = "A page of members.", body = Listing<GroupMember>)))]
pub(in crate::http) async fn members(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    let page = groups::members(&app, &caller, group_id(&request)?, &page(&request)?).await?;
    Ok(super::page(&request, page, GroupMember::from))
}

/// The result of adding users to a group or removing them.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct MembersChanged {
    group_id: String,
    /// Number of users added; absent if users were removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 2)]
    added: Option<usize>,
    /// Number of users removed; absent if users were added.
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<usize>,
    /// Number of users that already were members, or were not members.
    #[schema(example = 0)]
    unchanged: usize,
}

/// Add users to a group
///
/// All users of the list or none; on an error, `rows` contains all findings about all rows. Users that already are
/// members are not an error. Requires an owner; for a group of owners, a key must not be limited to scopes.
#[utoipa::path(post, path = "/api/v2/user_groups/{group_id}/members/add", operation_id = "group_add_members",
    tag = "groups", params(("group_id" = String, Path), DryRun),
    request_body = Vec<GroupUser>,
    responses(
        (status = 200, description = "The number of added users.", body = Single<MembersChanged>),
        (status = 409, description = "A directory manages the group.", body = ErrorBody),
        (status = 422, description = "Rows with unknown or duplicate users.", body = ErrorBody),
    ))]
pub(in crate::http) async fn add(app: web::Data<App>, caller: Caller, body: Body) -> Result<HttpResponse> {
    change(&app, &caller, body, MemberChange::Add).await
}

/// Remove users from a group
///
/// All users of the list or none; on an error, `rows` contains all findings about all rows. Users that are not members
/// are not an error. Requires an owner.
#[utoipa::path(post, path = "/api/v2/user_groups/{group_id}/members/remove", operation_id = "group_remove_members",
    tag = "groups", params(("group_id" = String, Path), DryRun),
    request_body = Vec<GroupUser>,
    responses(
        (status = 200, description = "The number of removed users.", body = Single<MembersChanged>),
        (status = 409, description = "A directory manages the group (`conflict`), or no owner would remain \
            (`last_owner`, with `rows`).", body = ErrorBody),
        (status = 422, description = "Rows with unknown or duplicate users.", body = ErrorBody),
    ))]
pub(in crate::http) async fn remove(app: web::Data<App>, caller: Caller, body: Body) -> Result<HttpResponse> {
    change(&app, &caller, body, MemberChange::Remove).await
}

/// The users to add or to remove, as the vendor's client sends them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct UserGroupMembersRequest {
    /// IDs of users, each once.
    #[serde(deserialize_with = "user_ids")]
    #[schema(max_items = 1000, example = json!(["usr_01k9h6m3x0e8wbz1v5n7q2r4t6"]))]
    user_ids: Vec<String>,
}

/// The maximum number of users in a request of the vendor's client.
const MAX_USER_IDS: usize = 1000;

fn user_ids<'de, D: Deserializer<'de>>(ids: D) -> Result<Vec<String>, D::Error> {
    list::field(ids, "user_ids", MAX_USER_IDS)
}

/// Add users to a group (vendor's route)
///
/// As `POST /api/v2/user_groups/{group_id}/members/add`, which accepts addresses as well and returns the number of added
/// users.
#[utoipa::path(post, path = "/api/v2/user_groups/{group_id}/members", operation_id = "group_add_members_by_id",
    tag = "groups", params(("group_id" = String, Path)), request_body = UserGroupMembersRequest,
    responses(
        (status = 204, description = "All of the users are members."),
        (status = 409, description = "A directory manages the group.", body = ErrorBody),
        (status = 422, description = "Unknown or duplicate users.", body = ErrorBody),
    ))]
pub(in crate::http) async fn add_by_id(app: web::Data<App>, caller: Caller, body: Body) -> Result<HttpResponse> {
    change_by_id(&app, &caller, body, MemberChange::Add).await
}

/// Remove users from a group (vendor's route)
///
/// As `POST /api/v2/user_groups/{group_id}/members/remove`, which accepts addresses as well and returns the number of
/// removed users.
#[utoipa::path(delete, path = "/api/v2/user_groups/{group_id}/members", operation_id = "group_remove_members_by_id",
    tag = "groups", params(("group_id" = String, Path)), request_body = UserGroupMembersRequest,
    responses(
        (status = 204, description = "None of the users is a member."),
        (status = 409, description = "A directory manages the group (`conflict`), or no owner would remain \
            (`last_owner`, with `rows`).", body = ErrorBody),
        (status = 422, description = "Unknown or duplicate users.", body = ErrorBody),
    ))]
pub(in crate::http) async fn remove_by_id(app: web::Data<App>, caller: Caller, body: Body) -> Result<HttpResponse> {
    change_by_id(&app, &caller, body, MemberChange::Remove).await
}

async fn change_by_id(app: &App, caller: &Caller, mut body: Body, change: MemberChange) -> Result<HttpResponse> {
    let group_id = group_id(&body.request)?;
    let request = body.request.clone();
    let rows = async { Ok(MemberRows::UserIds(body.object::<UserGroupMembersRequest>().await?.user_ids)) };
    let counts = groups::change_members(app, caller, group_id, change, false, rows).await?;
    log::rows(&request, counts.changed);
    Ok(HttpResponse::NoContent().finish())
}

async fn change(app: &App, caller: &Caller, mut body: Body, change: MemberChange) -> Result<HttpResponse> {
    let (group_id, dry_run) = (group_id(&body.request)?, is_dry_run(&body.request)?);
    let rows = async { Ok(MemberRows::Json(body.read().await?)) };
    let MemberCounts { changed, unchanged } =
        groups::change_members(app, caller, group_id, change, dry_run, rows).await?;
    log::rows(&body.request, changed);
    let (added, removed) = match change {
        MemberChange::Add => (Some(changed), None),
        MemberChange::Remove => (None, Some(changed)),
    };
    Ok(single(MembersChanged { group_id: group_id.to_string(), added, removed, unchanged }))
}

/// All groups with their members. The response is streamed in this format.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct GroupMemberships {
    groups: Vec<GroupMembership>,
}

/// List all groups with all their members
///
/// In one response of any size, which is streamed.
#[utoipa::path(get, path = "/api/v2/user_groups/memberships/list", operation_id = "group_memberships",
    tag = "groups",
    responses(
        (status = 200, description = "All groups.", body = Single<GroupMemberships>),
        (status = 400, description = "No parameters are accepted.", body = ErrorBody),
    ))]
pub(in crate::http) async fn memberships(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    extract::query::<NoQuery>(&request)?;
    let memberships = Memberships::begin(app.into_inner(), &caller).await?;
    stream::answer(r#"{"result":{"groups":["#, MembershipsSource { memberships, is_in_group: false }).await
}

/// The streamed list of [`memberships`].
struct MembershipsSource {
    memberships: Memberships,
    /// Whether a group was begun.
    is_in_group: bool,
}

impl Source for MembershipsSource {
    type Part = Vec<MembershipPart>;

    async fn next(&mut self) -> Result<Option<Vec<MembershipPart>>> {
        self.memberships.next().await
    }

    fn write(&mut self, parts: Option<Vec<MembershipPart>>, json: &mut Json) -> Result<()> {
        let Some(parts) = parts else {
            json.text(if self.is_in_group { "]}]}}" } else { "]}}" });
            return Ok(());
        };
        for part in parts {
            match part {
                MembershipPart::Group { group_id, name } => {
                    if std::mem::replace(&mut self.is_in_group, true) {
                        json.text("]}");
                    }
                    json.separate();
                    json.text(&format!(r#"{{"group_id":"{group_id}","group_name":"#));
                    json.value(&name)?;
                    json.text(r#","members":["#);
                }
                MembershipPart::Member { user_id, email, name } => {
                    let user_id = user_id.to_string();
                    json.item(&GroupMember { user_id, user_email: email, user_name: name, added_at: None })?;
                }
            }
        }
        Ok(())
    }
}
