//! The vendor's client, recognized by its headers, and the differences between its versions.
//!
//! # Decisions
//!
//! *Versions 0.26.46 to 0.26.62 take people for service accounts.* Their commands for service accounts don't send
//! `is_service_account`, so their list would contain people, and `service-account delete --name` would delete the person
//! of that name. They have no command that lists people. So for these versions, a list that asks for no kind of account
//! is one of service accounts, and they can neither delete a person nor revoke a person's keys.
//!
//! *Unknown query parameters of the vendor's client are ignored and counted*, because a newer version must not fail
//! over a filter that muster does not know. Other clients get 400: an ignored filter returns too much. Unknown fields
//! of bodies are rejected for all clients, because a body says what to write.

use std::ops::RangeInclusive;

use actix_web::http::header::HeaderName;
use actix_web::{HttpRequest, web};
use serde::de::value::Error as NothingToDeserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

use super::log::RouteTemplate;
use crate::app::App;
use crate::users::AccountKind;

const CLIENT: HeaderName = HeaderName::from_static("x-anyscale-client");
const CLIENT_VERSION: HeaderName = HeaderName::from_static("x-anyscale-client-version");

type Version = (u32, u32, u32);

const WITHOUT_IS_SERVICE_ACCOUNT: RangeInclusive<Version> = (0, 26, 46)..=(0, 26, 62);

/// Whether the request comes from the vendor's client.
pub(super) fn is_vendors(request: &HttpRequest) -> bool {
    request.headers().contains_key(CLIENT)
}

/// The kind of account that the client means when it lists, deletes or rotates without saying so.
pub(super) fn meant_kind(request: &HttpRequest) -> AccountKind {
    match version(request) {
        Some(version) if WITHOUT_IS_SERVICE_ACCOUNT.contains(&version) => AccountKind::ServiceAccount,
        _ => AccountKind::Any,
    }
}

/// The version of the vendor's client; `None` for other clients, and for a version that has another format.
fn version(request: &HttpRequest) -> Option<Version> {
    let mut numbers = request.headers().get(CLIENT_VERSION)?.to_str().ok()?.split('.');
    let mut number = || numbers.next()?.parse().ok();
    Some((number()?, number()?, number()?))
}

/// The query string without the parameters that `T` does not have, if the request comes from the vendor's client.
pub(super) fn known_parameters<T: DeserializeOwned>(request: &HttpRequest) -> Option<String> {
    if !is_vendors(request) {
        return None;
    }
    let known = field_names::<T>();
    let is_known = |parameter: &&str| {
        let name = parameter.split('=').next().unwrap_or_default();
        known.contains(&name)
    };
    let (kept, ignored): (Vec<&str>, Vec<&str>) =
        request.query_string().split('&').filter(|parameter| !parameter.is_empty()).partition(is_known);
    if !ignored.is_empty()
        && let (Some(app), Some(RouteTemplate(route))) =
            (request.app_data::<web::Data<App>>(), request.app_data::<RouteTemplate>())
    {
        app.metrics.requests.record_ignored_parameters(route, ignored.len());
    }
    Some(kept.join("&"))
}

/// The names of the fields that a struct deserializes.
fn field_names<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    let _ = T::deserialize(FieldNames(&mut names));
    names
}

/// Deserializes nothing, and learns which fields were asked for.
struct FieldNames<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = NothingToDeserialize;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, NothingToDeserialize> {
        Err(NothingToDeserialize::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, NothingToDeserialize> {
        *self.0 = fields;
        Err(NothingToDeserialize::custom("the names are known"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}
