//! Metadata and issuers.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::super::discovery::Metadata;
use super::super::issuer::{self, Transport, discovery_url};
use super::ISSUER;

pub(super) fn document() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://idp.example.org/authorize",
        "token_endpoint": "https://idp.example.org/token",
        "jwks_uri": "https://idp.example.org/jwks",
        "id_token_signing_alg_values_supported": ["none", "HS256", "RS256", "ES256", "ES512"],
        "response_types_supported": ["code", "id_token"],
    })
}

fn parse(document: &Value) -> Result<Metadata, String> {
    Metadata::parse(ISSUER, Transport::Https, document.to_string().as_bytes())
}

#[test]
fn s_67_algorithms_are_those_that_both_sides_support() {
    assert_eq!(parse(&document()).unwrap().algorithms, [Algorithm::RS256, Algorithm::ES256]);
    let mut hmac = document();
    hmac["id_token_signing_alg_values_supported"] = json!(["HS256", "none"]);
    assert!(parse(&hmac).unwrap_err().contains("no signature algorithm"));
    hmac.as_object_mut().unwrap().remove("id_token_signing_alg_values_supported");
    assert_eq!(parse(&hmac).unwrap().algorithms, [Algorithm::RS256]);
}

#[test]
fn s_56_oidcc_discovery_issuer_mismatch_both_issuers_are_quoted() {
    for other in [format!("{ISSUER}/"), "https://evil.example".to_owned()] {
        let mut document = document();
        document["issuer"] = json!(other);
        let why = parse(&document).unwrap_err();
        assert!(
            why.contains(&format!("set to {ISSUER:?}")) && why.contains(&format!("calls itself {other:?}")),
            "{why}"
        );
    }
    for broken in [json!(null), json!([ISSUER]), json!(1)] {
        let mut document = document();
        document["issuer"] = broken;
        assert_eq!(parse(&document).unwrap_err(), "the metadata have no `issuer`");
    }
}

#[test]
fn s_58_endpoints_must_be_https() {
    for name in ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint"] {
        for url in [
            "http://idp.example.org/",
            "http://127.0.0.1/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "//idp.example.org/",
            "https://user:secret@idp.example.org/",
            "https://idp.example.org/#part",
            "",
        ] {
            let mut document = document();
            document[name] = json!(url);
            assert!(parse(&document).is_err(), "{name} {url}");
        }
    }
    for name in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
        let mut document = document();
        document.as_object_mut().unwrap().remove(name);
        assert_eq!(parse(&document).unwrap_err(), format!("the metadata have no `{name}`"));
    }
    for body in ["", "null", "[]", "<html>", "{}"] {
        assert!(Metadata::parse(ISSUER, Transport::Https, body.as_bytes()).is_err(), "{body}");
    }
    let mut implicit = document();
    implicit["response_types_supported"] = json!(["id_token"]);
    assert!(parse(&implicit).unwrap_err().contains("code flow"));
}

#[test]
fn s_58_plain_http_is_for_a_provider_and_a_server_on_this_machine() {
    let transport = Transport::for_issuer;
    assert_eq!(transport("http://127.0.0.1:9000", "http://127.0.0.1:8080"), Transport::Loopback);
    assert_eq!(transport("http://localhost:9000", "http://[::1]:8080"), Transport::Loopback);
    assert_eq!(transport("http://127.0.0.1:9000", "https://muster.example.org"), Transport::Https);
    assert_eq!(transport("https://idp.example.org", "http://127.0.0.1:8080"), Transport::Https);
    assert_eq!(transport("http://127.0.0.1:9000", ""), Transport::Https);
    assert!(Transport::Loopback.parse("http://127.0.0.1:1/x").is_ok());
    assert!(Transport::Loopback.parse("http://idp.example.org/x").is_err());
    assert!(Transport::Loopback.parse("http://127.0.0.1.evil.example/x").is_err());
}

#[test]
fn s_56_an_issuer_that_all_tenants_share_is_rejected_with_the_fix() {
    for shared in ["common", "organizations", "consumers", "Common", "{tenantid}", "%7Btenantid%7D"] {
        let why =
            issuer::check(&format!("https://login.microsoftonline.com/{shared}/v2.0"), Transport::Https).unwrap_err();
        assert!(why.contains("use your tenant's issuer"), "{why}");
    }
    for valid in [
        "https://login.microsoftonline.com/9122040d-6c67-4c5b-b112-36a304b66dad/v2.0",
        "https://accounts.google.com",
        "https://idp.example.org/common",
        "https://idp.example.org/",
    ] {
        assert_eq!(issuer::check(valid, Transport::Https), Ok(()), "{valid}");
    }
    for invalid in [
        "",
        "idp.example.org",
        "http://idp.example.org",
        "https://idp.example.org/?a=b",
        "https://idp.example.org/#a",
        " https://idp.example.org",
    ] {
        assert!(issuer::check(invalid, Transport::Https).is_err(), "{invalid}");
    }
}

#[test]
fn s_56_the_address_of_the_metadata_has_one_slash() {
    assert_eq!(discovery_url("https://a/b"), "https://a/b/.well-known/openid-configuration");
    assert_eq!(discovery_url("https://a/b/"), "https://a/b/.well-known/openid-configuration");
}
