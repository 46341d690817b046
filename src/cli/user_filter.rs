//! The filters of `muster user list` and `export`.

use chrono::TimeDelta;
use clap::builder::PossibleValuesParser;
use muster_client::{Client, CollaboratorFilter};
use serde_json::Value;

use super::audit::{When, parse_time};
use super::{Exit, find, output};
use crate::caller::PermissionLevel;
use crate::clock::Clock;
use crate::collaborators::{OwnerThrough, SignInMethod};
use crate::users::attributes::{LONGEST_KEY, from_cell, is_key};

#[derive(clap::Args, Debug)]
pub(super) struct MoreFilterArgs {
    /// Only users with this status.
    #[arg(long, value_parser = ["active", "suspended"])]
    status: Option<String>,
    /// Only users with this permission level, by their own level or through a group.
    #[arg(long, value_enum)]
    permission: Option<PermissionLevel>,
    /// Only users who sign in through SSO, or only the others.
    #[arg(long, value_name = "true|false")]
    sso: Option<bool>,
    /// Only users that this batch created.
    #[arg(long, value_name = "ID")]
    batch: Option<String>,
    /// Only members of this group: its ID or name.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Only users whose e-mail address has this domain.
    #[arg(long)]
    domain: Option<String>,
    /// Only users created since this time: 2026-11-23T10:00:00Z, a day such as 2026-11-23, `today` or `yesterday` (days begin
    /// at midnight UTC), or a duration before now, such as 24h.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    created_after: Option<When>,
    /// Only users created before this time; the same forms.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    created_before: Option<When>,
    /// Only people who should sign in with a password and have none.
    #[arg(long)]
    without_password: bool,
    /// Only people who have never signed in.
    #[arg(long)]
    never_signed_in: bool,
    /// Only users whose last sign-in was at this time or later; the same forms.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    signed_in_after: Option<When>,
    /// Only users whose last sign-in was before this time, such as 365d; the same forms.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    signed_in_before: Option<When>,
    /// Only people who can sign in like this at present: through SSO, with a password, with an open one-time link, or not at all.
    /// Several are separated by commas.
    #[arg(long, value_name = "METHOD", value_delimiter = ',', value_parser = values(SignInMethod::ALL, SignInMethod::as_str))]
    sign_in: Vec<String>,
    /// Only users who have an identity at this identity provider.
    #[arg(long, value_name = "ID")]
    provider: Option<String>,
    /// Only owners, by their own level or through a group.
    #[arg(long, value_name = "HOW", value_parser = values(OwnerThrough::ALL, OwnerThrough::as_str))]
    owner_through: Option<String>,
    /// Only users with this custom attribute. Can be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_attribute)]
    attribute: Vec<(String, Value)>,
    /// Only active users whose account expires within this time, such as 30d.
    #[arg(long, value_name = "DURATION", value_parser = output::parse_duration)]
    expiring: Option<TimeDelta>,
}

/// Parses `KEY=VALUE`. A number or boolean is a value as in CSV files; an empty value is null.
pub(super) fn parse_attribute(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    if !is_key(key) {
        return Err(format!("a key has 1 to {LONGEST_KEY} letters, digits, `_`, `.` or `-`"));
    }
    let value = value.trim();
    Ok((key.to_owned(), if value.is_empty() { Value::Null } else { from_cell(value) }))
}

/// A parser of the names of an enum.
pub(super) fn values<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str) -> PossibleValuesParser {
    PossibleValuesParser::new(all.iter().map(|value| name(*value)))
}

impl MoreFilterArgs {
    pub(super) const fn is_expiring(&self) -> bool {
        self.expiring.is_some()
    }

    /// Adds the filters; asks the server for the ID of the group.
    pub(super) async fn add_to(self, filter: CollaboratorFilter, client: &Client) -> Result<CollaboratorFilter, Exit> {
        let now = Clock::System.now();
        Ok(CollaboratorFilter {
            status: self.status,
            permission_level: self.permission.map(Into::into),
            is_sso_user: self.sso,
            batch_id: self.batch,
            group_id: match self.group {
                Some(group) => Some(find::group_id(client, &group).await?),
                None => None,
            },
            domain: self.domain,
            created_after: self.created_after.map(|time| time.at(now)),
            created_before: self.created_before.map(|time| time.at(now)),
            without_password: self.without_password.then_some(true),
            never_signed_in: self.never_signed_in.then_some(true),
            signed_in_after: self.signed_in_after.map(|time| time.at(now)),
            signed_in_before: self.signed_in_before.map(|time| time.at(now)),
            sign_in: (!self.sign_in.is_empty()).then(|| self.sign_in.join(",")),
            provider_id: self.provider,
            owner_through: self.owner_through,
            expires_before: self.expiring.and_then(|span| now.checked_add_signed(span)),
            attributes: self.attribute.into_iter().collect(),
            ..filter
        })
    }
}
