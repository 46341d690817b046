//! The token endpoint and userinfo.

use serde_json::json;

use super::super::token_response::{Authentication, TokenError, TokenRequest, Tokens};
use super::super::userinfo;
use crate::secret::Secret;
use crate::sso::denial::DenialClass;

#[test]
fn s_66_oidcc_client_secret_basic_both_parts_are_form_encoded() {
    let secret = Secret::new("s:e/c r+e%t&=ü");
    let request = |authentication| {
        TokenRequest::new(
            authentication,
            "mus:ter",
            Some(&secret),
            ("c&d", "the-verifier", "https://m/sso/a/b/callback"),
        )
    };
    let basic = request(Authentication::Basic);
    let common = "grant_type=authorization_code&code=c%26d&redirect_uri=https%3A%2F%2Fm%2Fsso%2Fa%2Fb%2Fcallback&code_verifier=the-verifier";
    assert_eq!(basic.body.expose(), common);
    // base64("mus%3Ater:s%3Ae%2Fc+r%2Be%25t%26%3D%C3%BC")
    assert_eq!(basic.authorization.unwrap().expose(), "Basic bXVzJTNBdGVyOnMlM0FlJTJGYytyJTJCZSUyNXQlMjYlM0QlQzMlQkM=");
    let post = request(Authentication::Post);
    assert_eq!(
        post.body.expose(),
        format!("{common}&client_id=mus%3Ater&client_secret=s%3Ae%2Fc+r%2Be%25t%26%3D%C3%BC")
    );
    assert!(post.authorization.is_none());
    let public = request(Authentication::None);
    assert_eq!(public.body.expose(), format!("{common}&client_id=mus%3Ater"));
    assert!(public.authorization.is_none());
}

#[test]
fn s_66_a_response_must_be_a_bearer_token_with_an_id_token() {
    let parse = |status, body: serde_json::Value| match Tokens::parse(status, body.to_string().as_bytes()) {
        Ok(tokens) => Ok(tokens.id_token),
        Err(TokenError::InvalidClient) => Err(None),
        Err(TokenError::Denied(denial)) => Err(Some(denial.class)),
    };
    assert_eq!(
        parse(200, json!({ "token_type": "bEaReR", "id_token": "a.b.c", "refresh_token": "r" })).as_deref(),
        Ok("a.b.c")
    );
    for body in [
        json!({ "token_type": "Bearer" }),
        json!({ "id_token": "a.b.c" }),
        json!({ "token_type": "DPoP", "id_token": "a.b.c" }),
        json!({ "token_type": "Bearer", "id_token": ["a.b.c"] }),
        json!({ "token_type": "Bearer", "id_token": "x".repeat(65_537) }),
        json!([]),
        json!(null),
    ] {
        assert_eq!(parse(200, body.clone()), Err(Some(DenialClass::BadToken)), "{body}");
    }
    assert_eq!(parse(401, json!({ "error": "invalid_client" })), Err(None));
    assert_eq!(parse(400, json!({ "error": "invalid_client" })), Err(None));
    assert_eq!(parse(401, json!({})), Err(None));
    assert_eq!(parse(400, json!({ "error": "invalid_grant" })), Err(Some(DenialClass::ProviderError)));
    assert_eq!(
        parse(302, json!({ "token_type": "Bearer", "id_token": "a.b.c" })),
        Err(Some(DenialClass::ProviderError))
    );
    assert_eq!(parse(503, json!({})), Err(Some(DenialClass::Unreachable)));
}

#[test]
fn s_70_oidcc_userinfo_invalid_sub_and_signed_userinfo_are_rejected() {
    let body = json!({ "sub": "a", "email": "ada@example.com" }).to_string();
    assert_eq!(userinfo::parse("a", "application/json", body.as_bytes()).unwrap()["email"], "ada@example.com");
    assert!(userinfo::parse("a", "", body.as_bytes()).is_ok());
    for (sub, content_type, body) in [
        ("b", "application/json", body.as_str()),
        ("", "application/json", "{}"),
        ("a", "application/jwt", &body),
        ("a", "Application/JWT; charset=utf-8", &body),
        ("a", "application/json", "{\"sub\": [\"a\"]}"),
        ("a", "application/json", "[]"),
        ("a", "application/json", "eyJ.eyJ.sig"),
    ] {
        assert!(userinfo::parse(sub, content_type, body.as_bytes()).is_err(), "{sub} {content_type} {body}");
    }
}
