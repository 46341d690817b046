//! The settings of a provider.

use serde_json::json;

use super::super::discovery::Metadata;
use super::super::issuer::Transport;
use super::super::token_response::Authentication;
use super::ISSUER;
use super::discovery::document;
use crate::config::Config;
use crate::sso::provider::{EmailProof, Preset, ProviderName, ProviderSettings, TokenAuth, base_url, redirect_uri};

const TENANT: &str = "9122040d-6c67-4c5b-b112-36a304b66dad";

#[test]
fn s_54_settings_are_checked_and_domains_become_keys() {
    let mut settings = ProviderSettings::new("Our IdP", ISSUER, "muster");
    settings.domains = vec!["Example.COM".to_owned(), "b\u{fc}cher.example".to_owned(), "example.com".to_owned()];
    settings.check(Transport::Https).unwrap();
    assert_eq!(settings.domains, ["example.com", "xn--bcher-kva.example"]);
    let wrong = ProviderSettings {
        title: String::new(),
        client_id: "a\nb".to_owned(),
        scopes: "email".to_owned(),
        domains: vec!["*.example.com".to_owned()],
        creates: true,
        max_age: Some(u32::MAX),
        required_claims: json!({ "hd": ["a"] }).as_object().unwrap().clone(),
        ..settings
    };
    let why = wrong.clone().check(Transport::Https).unwrap_err();
    for part in [
        "title",
        "client ID",
        "scopes",
        "`*.example.com` is not a domain",
        "at least one domain",
        "maximum age",
        "claims",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    for name in ["okta", "a", "our-idp-2", &"x".repeat(32)] {
        assert!(name.parse::<ProviderName>().is_ok(), "{name}");
    }
    for name in ["", "Okta", "a_b", "a/b", "a b", "\u{e4}", &"x".repeat(33)] {
        assert!(name.parse::<ProviderName>().is_err(), "{name}");
    }
}

#[test]
fn s_55_presets_know_what_products_need() {
    let mut entra =
        ProviderSettings::new("Entra", &format!("https://login.microsoftonline.com/{TENANT}/v2.0"), "muster");
    entra.apply(Preset::Entra).unwrap();
    assert_eq!((entra.subject_claim.as_str(), entra.email_claim.as_str()), ("oid", "preferred_username"));
    assert_eq!(entra.required_claims["tid"], TENANT);
    assert_ne!(entra.email_proof, EmailProof::Issuer, "only when the operator says so");
    for issuer in
        ["https://login.microsoftonline.com/common/v2.0", "https://login.microsoftonline.com/contoso.com/v2.0", ISSUER]
    {
        assert!(ProviderSettings::new("Entra", issuer, "muster").apply(Preset::Entra).is_err(), "{issuer}");
    }
    let mut google = ProviderSettings::new("Google", "https://accounts.google.com", "muster");
    assert!(google.apply(Preset::Google).is_err());
    google.domains = vec!["example.com".to_owned()];
    google.apply(Preset::Google).unwrap();
    assert_eq!(google.required_claims["hd"], "example.com");
}

#[test]
fn s_57_the_redirect_uri_is_that_of_one_provider() {
    let uri = "https://m.example.org/sso/default/okta/callback";
    assert_eq!(redirect_uri("https://m.example.org", "default", "okta"), uri);
}

#[test]
fn s_57_redirect_uris_begin_with_the_public_url_or_with_a_loopback_address_of_the_server() {
    for (public_url, listening_url, base) in [
        ("https://m.example.org/sub/", "http://127.0.0.1:8080", Some("https://m.example.org/sub")),
        ("", "http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
        ("", "https://[::1]:8443", Some("https://[::1]:8443")),
        ("", "http://0.0.0.0:8080", None),
        ("", "http://192.0.2.1:8080", None),
        ("", "", None),
    ] {
        let mut server = Config::built_in().unwrap().server;
        (server.public_url, server.listening_url) = (public_url.to_owned(), listening_url.to_owned());
        assert_eq!(base_url(&server), base, "{public_url} {listening_url}");
    }
}

#[test]
fn s_66_the_metadata_decide_how_the_client_authenticates() {
    let chosen = |methods: serde_json::Value, auth, has_secret| {
        let mut document = document();
        document["token_endpoint_auth_methods_supported"] = methods;
        let metadata = Metadata::parse(ISSUER, Transport::Https, document.to_string().as_bytes()).unwrap();
        let settings = ProviderSettings { token_auth: auth, ..ProviderSettings::new("a", ISSUER, "muster") };
        settings.authentication(&metadata, has_secret)
    };
    let (basic, post) = (json!("client_secret_basic"), json!("client_secret_post"));
    assert_eq!(chosen(json!(null), TokenAuth::Auto, true), Authentication::Basic);
    assert_eq!(chosen(json!([post, basic]), TokenAuth::Auto, true), Authentication::Basic);
    assert_eq!(chosen(json!([post]), TokenAuth::Auto, true), Authentication::Post);
    assert_eq!(chosen(json!([post]), TokenAuth::Auto, false), Authentication::None);
    assert_eq!(chosen(json!([post]), TokenAuth::Basic, true), Authentication::Basic);
}
