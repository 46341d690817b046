//! The parameters of the list of people: filters, order and place, as they are in the address.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use muster_client::CollaboratorType;
use serde::Deserialize;

use crate::caller::PermissionLevel;
use crate::collaborators::{
    CollaboratorFilter, MoreFilters, OwnerThrough, PeopleOrder, PersonQuery, SignInMethod, View,
};
use crate::error::{Error, Result};
use crate::http::extract;
use crate::id::{Id, Kind};
use crate::users::{EmailAddress, Status};

/// The parameters. Empty ones are left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PeopleQuery {
    pub(super) q: String,
    pub(super) state: String,
    pub(super) sign_in: String,
    /// `never`, `before:DAY` or `since:DAY`.
    pub(super) signed_in: String,
    pub(super) level: String,
    pub(super) via: String,
    pub(super) kind: String,
    pub(super) group: String,
    pub(super) domain: String,
    pub(super) batch: String,
    pub(super) provider: String,
    /// `DAY..DAY`; either may be left out.
    pub(super) created: String,
    pub(super) order: String,
    count: String,
    after: String,
    before: String,
    pub(super) done: String,
    /// Of an exported file.
    pub(super) format: String,
}

/// A filter that is in use, as a label with a way to remove it.
#[derive(Debug)]
pub(super) struct Chip {
    pub(super) label: &'static str,
    pub(super) value: String,
    /// The parameters without it.
    pub(super) without: String,
}

/// The times between which something happened; either may be open.
type Period = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);

/// When somebody last signed in.
#[derive(Default)]
struct SignedIn {
    never: Option<bool>,
    period: Period,
}

fn given(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

fn parsed<T>(
    name: &str,
    text: &str,
    parse: impl Fn(&str) -> Option<T>,
    rule: impl Fn() -> String,
) -> Result<Option<T>> {
    let invalid = || Error::invalid(format!("`{name}` must be {}", rule()));
    given(text).map(|text| parse(text).ok_or_else(invalid)).transpose()
}

fn id<K: Kind>(name: &str, text: &str) -> Result<Vec<Id<K>>>
where
    Id<K>: FromStr,
{
    let found = parsed(name, text, |text| text.parse::<Id<K>>().ok(), || format!("an ID such as `{}_…`", K::PREFIX))?;
    Ok(found.into_iter().collect())
}

/// The beginning of a day, in UTC.
fn day(text: &str) -> Option<DateTime<Utc>> {
    Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc())
}

impl PeopleQuery {
    fn fields(&self) -> [(&'static str, &str); 14] {
        [
            ("q", &self.q),
            ("state", &self.state),
            ("sign_in", &self.sign_in),
            ("signed_in", &self.signed_in),
            ("level", &self.level),
            ("via", &self.via),
            ("kind", &self.kind),
            ("group", &self.group),
            ("domain", &self.domain),
            ("batch", &self.batch),
            ("provider", &self.provider),
            ("created", &self.created),
            ("order", &self.order),
            ("count", &self.count),
        ]
    }

    /// The parameters without the place in the list, and without those that are named; each with a trailing `&`.
    pub(super) fn without(&self, names: &[&str]) -> String {
        let fields = self.fields().into_iter().filter(|(name, value)| !names.contains(name) && given(value).is_some());
        fields.map(|(name, value)| format!("{name}={}&", extract::encoded(value.trim()))).collect()
    }

    /// All parameters but the place in the list.
    pub(super) fn parameters(&self) -> String {
        self.without(&[])
    }

    /// The parameters for which the form has no field.
    pub(super) fn hidden(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let shown = ["q", "state", "sign_in", "level", "order"];
        self.fields().into_iter().filter(move |(name, value)| !shown.contains(name) && given(value).is_some())
    }

    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.fields().into_iter().any(|(field, given)| field == name && given == value)
    }

    /// Whether some people are left out.
    pub(super) fn is_filtered(&self) -> bool {
        !self.without(&["order", "count"]).is_empty()
    }

    pub(super) fn order(&self) -> Result<PeopleOrder> {
        let order = parsed("order", &self.order, PeopleOrder::parse, || format!("one of {}", PeopleOrder::list()))?;
        Ok(order.unwrap_or(PeopleOrder::Name))
    }

    /// The size of a page, and the places after and before which it is.
    pub(super) fn place(&self) -> [Option<&str>; 3] {
        [&self.count, &self.after, &self.before].map(|text| given(text))
    }

    /// The filters of all pages of the list.
    pub(super) fn filter(&self) -> Result<CollaboratorFilter> {
        let query = given(&self.q).map(PersonQuery::parse).transpose()?;
        let status = parsed("state", &self.state, Status::parse, || format!("one of {}", Status::list()))?;
        let level =
            parsed("level", &self.level, PermissionLevel::parse, || format!("one of {}", PermissionLevel::list()))?;
        let through = parsed("via", &self.via, OwnerThrough::parse, || format!("one of {}", OwnerThrough::list()))?;
        let sign_in =
            parsed("sign_in", &self.sign_in, SignInMethod::parse, || format!("one of {}", SignInMethod::list()))?;
        let domain = |text: &str| EmailAddress::domain_key(text.trim_start_matches('@'));
        let domain = parsed("domain", &self.domain, domain, || "a domain such as `example.com`".to_owned())?;
        let kind = |text: &str| match text {
            "person" => Some(CollaboratorType::OnlyUserAccounts),
            "service" => Some(CollaboratorType::OnlyServiceAccounts),
            _ => None,
        };
        let kind = parsed("kind", &self.kind, kind, || "`person` or `service`".to_owned())?;
        let SignedIn { never, period: (since, before) } = self.signed_in()?;
        let (created_after, created_before) = self.created()?;
        let more = MoreFilters {
            query,
            status,
            permission_level: level,
            owner_through: through,
            sign_in: sign_in.into_iter().collect(),
            batches: id("batch", &self.batch)?,
            groups: id("group", &self.group)?,
            providers: id("provider", &self.provider)?,
            domains: domain.into_iter().collect(),
            created_after,
            created_before,
            never_signed_in: never,
            signed_in_after: since,
            signed_in_before: before,
            ..MoreFilters::default()
        };
        Ok(CollaboratorFilter { collaborator_type: kind, more, ..CollaboratorFilter::default() })
    }

    fn signed_in(&self) -> Result<SignedIn> {
        let parse = |text: &str| match text.split_once(':') {
            None if text == "never" => Some(SignedIn { never: Some(true), ..SignedIn::default() }),
            Some(("before", at)) => Some(SignedIn { never: None, period: (None, Some(day(at)?)) }),
            Some(("since", at)) => Some(SignedIn { never: None, period: (Some(day(at)?), None) }),
            _ => None,
        };
        let rule = || "`never`, `before:2026-01-31` or `since:2026-01-31`".to_owned();
        Ok(parsed("signed_in", &self.signed_in, parse, rule)?.unwrap_or_default())
    }

    /// From the first day to the end of the last one.
    fn created(&self) -> Result<Period> {
        let parse = |text: &str| {
            let (from, to) = text.split_once("..")?;
            let bound = |text: &str| if text.is_empty() { Some(None) } else { day(text).map(Some) };
            let (from, to) = (bound(from)?, bound(to)?);
            Some((from, to.and_then(|to| to.checked_add_days(chrono::Days::new(1)))))
        };
        let rule = || "two days such as `2026-01-01..2026-01-31`; either may be left out".to_owned();
        Ok(parsed("created", &self.created, parse, rule)?.unwrap_or_default())
    }

    /// The filters in use for which the form has no field.
    pub(super) fn chips(&self) -> Vec<Chip> {
        let labels = [
            ("signed_in", "Last sign-in"),
            ("via", "Owner by"),
            ("kind", "Kind"),
            ("group", "Group"),
            ("domain", "Domain"),
            ("batch", "Batch"),
            ("provider", "Identity provider"),
            ("created", "Created"),
        ];
        let label = |name: &str| labels.iter().find(|(field, _)| *field == name).map(|(_, label)| *label);
        let chip = |(name, value): (&'static str, &str)| {
            Some(Chip { label: label(name)?, value: value.to_owned(), without: self.without(&[name]) })
        };
        self.hidden().filter_map(chip).collect()
    }
}

/// The parameters of a view, as a link.
pub(super) fn of_view(view: View, now: DateTime<Utc>) -> String {
    let before = view.filter(now).more.signed_in_before.map(|at| at.format("%Y-%m-%d").to_string()).unwrap_or_default();
    match view {
        View::Everyone => String::new(),
        View::Owners => "level=owner&kind=person&".to_owned(),
        View::Suspended => "state=suspended&kind=person&".to_owned(),
        View::NeverSignedIn => "signed_in=never&kind=person&".to_owned(),
        View::CannotSignIn => "sign_in=none&kind=person&".to_owned(),
        View::NotForAYear => format!("signed_in=before%3A{before}&kind=person&").replace("%3A", ":"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> PeopleQuery {
        actix_web::web::Query::<PeopleQuery>::from_query(text).unwrap().into_inner()
    }

    #[test]
    fn filters_are_read_from_the_address() {
        let filter =
            query("state=active&sign_in=link&signed_in=since:2026-01-31&created=2026-01-01..2026-01-31").filter();
        let more = filter.unwrap().more;
        assert_eq!((more.status, more.sign_in), (Some(Status::Active), vec![SignInMethod::Link]));
        let at = |text: &str| Some(text.parse::<DateTime<Utc>>().unwrap());
        assert_eq!(more.signed_in_after, at("2026-01-31T00:00:00Z"));
        assert_eq!((more.created_after, more.created_before), (at("2026-01-01T00:00:00Z"), at("2026-02-01T00:00:00Z")));
        assert_eq!(query("signed_in=never").filter().unwrap().more.never_signed_in, Some(true));
        assert!(!query("order=-created&count=100").is_filtered() && query("q=x").is_filtered());
    }

    #[test]
    fn malformed_filters_are_named() {
        for (text, message) in [
            ("state=asleep", "`state` must be one of active, suspended"),
            ("group=x", "`group` must be an ID such as `ug_…`"),
            ("created=2026", "`created` must be two days such as `2026-01-01..2026-01-31`; either may be left out"),
            ("signed_in=2026-01-01", "`signed_in` must be `never`, `before:2026-01-31` or `since:2026-01-31`"),
            ("kind=robot", "`kind` must be `person` or `service`"),
        ] {
            assert_eq!(query(text).filter().unwrap_err().to_string(), message);
        }
        assert!(query("order=color").order().is_err());
    }

    #[test]
    fn a_chip_leads_to_the_list_without_its_filter() {
        let query = query("q=a b&domain=example.com&kind=person&after=x");
        let chips = query.chips();
        let chips: Vec<_> = chips.iter().map(|chip| (chip.label, chip.value.as_str(), chip.without.as_str())).collect();
        assert_eq!(
            chips,
            [("Kind", "person", "q=a%20b&domain=example%2Ecom&"), ("Domain", "example.com", "q=a%20b&kind=person&"),]
        );
        assert_eq!(query.parameters(), "q=a%20b&kind=person&domain=example%2Ecom&");
    }

    #[test]
    fn views_are_filters() {
        let now = "2026-11-30T12:00:00Z".parse().unwrap();
        for view in View::ALL {
            let query = query(&of_view(view, now));
            assert_eq!(query.filter().unwrap().more, view.filter(now).more, "{view:?}");
        }
    }
}
