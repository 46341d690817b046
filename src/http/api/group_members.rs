//! `/api/v2/user_groups/{group_id}/members`: who is in a group; and all groups with their members.

use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::groups::{PageQuery, group_id, page};
use super::{Listing, Metadata, Single};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::groups::{self, MemberCounts, MembershipPart, Memberships};
use crate::http::error::ErrorBody;
use crate::http::stream::{self, Pieces};
use crate::http::{body, extract, log};
use crate::page::Page;

/// Somebody in a group.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct GroupMember {
    #[schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    user_id: String,
    #[schema(example = "ada@example.com")]
    user_email: String,
    /// First and last name.
    #[schema(example = "Ada Lovelace")]
    user_name: String,
    /// Since when.
    added_at: DateTime<Utc>,
}

/// List who is in a group
///
/// In the order in which the users were created, a page at a time.
#[utoipa::path(get, path = "/api/v2/user_groups/{group_id}/members", operation_id = "group_members", tag = "groups",
    params(("group_id" = String, Path), PageQuery),
    responses(
        (status = 200, description = "A page of them.", body = Listing<GroupMember>),
        (status = 400, description = "A parameter that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "A key without the scope.", body = ErrorBody),
        (status = 404, description = "No such group in this organization.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn members(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    let page: Page<groups::GroupMember> = groups::members(&app, &caller, group_id(&request)?, &page(&request)?).await?;
    log::rows(&request, page.rows.len());
    let show = |member: groups::GroupMember| GroupMember {
        user_id: member.user_id.to_string(),
        user_email: member.email,
        user_name: member.name,
        added_at: member.added_at,
    };
    let results = page.rows.into_iter().map(show).collect();
    Ok(HttpResponse::Ok().json(Listing { results, metadata: Metadata { total: None, next_paging_token: page.next } }))
}

/// Somebody who exists.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes what groups::member_list reads, which reports on wrong types too")]
pub(in crate::http) struct GroupUser {
    /// Who: a user's id, or their address in any spelling.
    #[schema(example = "ada@example.com")]
    user: String,
}

/// Whether to do it.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct DryRun {
    /// `true`: find out what it would come to, or what is wrong; change nothing.
    dry_run: Option<String>,
}

fn is_dry_run(request: &HttpRequest) -> Result<bool> {
    let query: DryRun = extract::query(request)?;
    Ok(extract::flag("dry_run", query.dry_run.as_deref())?.unwrap_or(false))
}

/// How many users were put in.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct MembersAdded {
    group_id: String,
    /// How many were put in.
    #[schema(example = 2)]
    added: usize,
    /// How many were in already.
    #[schema(example = 0)]
    unchanged: usize,
}

/// How many users were taken out.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct MembersRemoved {
    group_id: String,
    /// How many were taken out.
    #[schema(example = 2)]
    removed: usize,
    /// How many were not in it.
    #[schema(example = 0)]
    unchanged: usize,
}

/// Put users into a group
///
/// All of a list, or none; then `rows` of the error has every finding on every row. Those who are in it
/// already are no error. For owners; a key for a group of owners needs the scope `users:write`, too.
#[utoipa::path(post, path = "/api/v2/user_groups/{group_id}/members/add", operation_id = "group_add_members",
    tag = "groups", params(("group_id" = String, Path), DryRun),
    request_body = Vec<GroupUser>,
    responses(
        (status = 200, description = "They are in it.", body = Single<MembersAdded>),
        (status = 400, description = "Not a JSON list of users, or an empty one.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key, or one without the scope.", body = ErrorBody),
        (status = 404, description = "No such group in this organization.", body = ErrorBody),
        (status = 408, description = "The body took too long to arrive.", body = ErrorBody),
        (status = 409, description = "A directory keeps the group.", body = ErrorBody),
        (status = 413, description = "Too many bytes or too many users.", body = ErrorBody),
        (status = 422, description = "Rows that name nobody, or somebody twice.", body = ErrorBody),
        (status = 503, description = "Too busy, or the database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn add_members(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    payload: Payload,
) -> Result<HttpResponse> {
    let (group_id, dry_run) = (group_id(&request)?, is_dry_run(&request)?);
    let body = body::read(&request, payload, &app.config.server);
    let MemberCounts { changed, unchanged } = groups::add_members(&app, &caller, group_id, dry_run, body).await?;
    log::rows(&request, changed);
    let result = MembersAdded { group_id: group_id.to_string(), added: changed, unchanged };
    Ok(HttpResponse::Ok().json(Single { result }))
}

/// Take users out of a group
///
/// All of a list, or none; then `rows` of the error has every finding on every row. Those who are not in it
/// are no error. For owners.
#[utoipa::path(post, path = "/api/v2/user_groups/{group_id}/members/remove", operation_id = "group_remove_members",
    tag = "groups", params(("group_id" = String, Path), DryRun),
    request_body = Vec<GroupUser>,
    responses(
        (status = 200, description = "They are not in it.", body = Single<MembersRemoved>),
        (status = 400, description = "Not a JSON list of users, or an empty one.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 404, description = "No such group in this organization.", body = ErrorBody),
        (status = 408, description = "The body took too long to arrive.", body = ErrorBody),
        (status = 409, description = "A directory keeps the group (`conflict`), or nobody would be an owner without \
            them in it (`last_owner`, with `rows`).", body = ErrorBody),
        (status = 413, description = "Too many bytes or too many users.", body = ErrorBody),
        (status = 422, description = "Rows that name nobody, or somebody twice.", body = ErrorBody),
        (status = 503, description = "Too busy, or the database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn remove_members(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    payload: Payload,
) -> Result<HttpResponse> {
    let (group_id, dry_run) = (group_id(&request)?, is_dry_run(&request)?);
    let body = body::read(&request, payload, &app.config.server);
    let MemberCounts { changed, unchanged } = groups::remove_members(&app, &caller, group_id, dry_run, body).await?;
    log::rows(&request, changed);
    let result = MembersRemoved { group_id: group_id.to_string(), removed: changed, unchanged };
    Ok(HttpResponse::Ok().json(Single { result }))
}

/// Nothing can be asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoQuery {}

/// All groups with their members: what is written piece by piece.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct GroupMemberships {
    groups: Vec<GroupMembership>,
}

/// A group with its members.
#[derive(Serialize, ToSchema)]
struct GroupMembership {
    #[schema(example = "ug_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    group_id: String,
    #[schema(example = "Platform team")]
    group_name: String,
    members: Vec<MembershipsMember>,
}

/// Somebody in one of the groups.
#[derive(Serialize, ToSchema)]
struct MembershipsMember {
    #[schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    user_id: String,
    #[schema(example = "ada@example.com")]
    user_email: String,
    /// First and last name.
    #[schema(example = "Ada Lovelace")]
    user_name: String,
}

/// List all groups with all their members
///
/// In one answer, however many they are: it is written while it is read.
#[utoipa::path(get, path = "/api/v2/user_groups/memberships/list", operation_id = "group_memberships",
    tag = "groups",
    responses(
        (status = 200, description = "All of them.", body = Single<GroupMemberships>),
        (status = 400, description = "A parameter, which there is none of.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "A key without the scope.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn memberships(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    let NoQuery {} = extract::query(&request)?;
    let memberships = Memberships::begin(app.into_inner(), &caller).await?;
    stream::answer(MembershipsBody { memberships, written: Written::Nothing }).await
}

/// What is written piece by piece, and how far.
struct MembershipsBody {
    memberships: Memberships,
    written: Written,
}

/// What was written last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Nothing,
    /// The beginning of the list.
    Head,
    /// The beginning of a group.
    Group,
    Member,
    All,
}

impl Pieces for MembershipsBody {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let mut piece = Vec::new();
        // A piece of no parts is no end.
        while piece.is_empty() && self.written != Written::All {
            let parts = self.memberships.next().await?;
            if self.written == Written::Nothing {
                piece.extend_from_slice(br#"{"result":{"groups":["#);
                self.written = Written::Head;
            }
            match parts {
                Some(parts) => parts.into_iter().try_for_each(|part| self.write(part, &mut piece))?,
                None => {
                    let end: &[u8] = if self.written == Written::Head { b"]}}" } else { b"]}]}}" };
                    piece.extend_from_slice(end);
                    self.written = Written::All;
                }
            }
        }
        Ok(Some(Bytes::from(piece)).filter(|piece| !piece.is_empty()))
    }
}

impl MembershipsBody {
    fn write(&mut self, part: MembershipPart, piece: &mut Vec<u8>) -> Result<()> {
        match part {
            MembershipPart::Group { group_id, name } => {
                let before: &[u8] = if self.written == Written::Head { b"" } else { b"]}," };
                piece.extend_from_slice(before);
                piece.extend_from_slice(format!(r#"{{"group_id":"{group_id}","group_name":"#).as_bytes());
                serde_json::to_writer(&mut *piece, &name).map_err(Error::internal)?;
                piece.extend_from_slice(br#","members":["#);
                self.written = Written::Group;
            }
            MembershipPart::Member { user_id, email, name } => {
                if self.written == Written::Member {
                    piece.push(b',');
                }
                let member = MembershipsMember { user_id: user_id.to_string(), user_email: email, user_name: name };
                serde_json::to_writer(&mut *piece, &member).map_err(Error::internal)?;
                self.written = Written::Member;
            }
        }
        Ok(())
    }
}
