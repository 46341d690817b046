//! Logout tokens.

use serde_json::{Map, Value, json};

use super::super::jws::InvalidToken;
use super::super::logout_token::LogoutToken;
use super::{CLIENT, ISSUER, Signer, expected, header};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": CLIENT, "iat": 1_800_000_000, "exp": 1_800_000_120, "jti": "bWJq", "sub": "248289761001",
        "sid": "08a5019c", "events": { EVENT: {} },
    })
}

fn verify(header: &Value, claims: &Value) -> Result<LogoutToken, InvalidToken> {
    let (signer, required) = (Signer::new(), Map::new());
    LogoutToken::verify(&signer.sign(header, claims), &signer.keys(), &expected(&required))
}

#[test]
fn s_77_a_logout_token_names_a_session_or_a_person() {
    let full = LogoutToken {
        id: "bWJq".to_owned(),
        session: Some("08a5019c".to_owned()),
        subject: Some("248289761001".to_owned()),
    };
    let typed = json!({ "alg": "RS256", "kid": "rsa", "typ": "logout+jwt" });
    assert_eq!(verify(&typed, &claims()).as_ref(), Ok(&full));
    assert_eq!(verify(&json!({ "alg": "RS256", "kid": "rsa" }), &claims()).as_ref(), Ok(&full));
    let without = |name: &str| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        verify(&typed, &claims)
    };
    assert_eq!(without("sid"), Ok(LogoutToken { session: None, ..without("sid").unwrap() }));
    assert_eq!(without("sub").unwrap().subject, None);
    let mut neither = claims();
    neither.as_object_mut().unwrap().retain(|name, _| name != "sid" && name != "sub");
    assert!(verify(&typed, &neither).is_err());
}

#[test]
fn s_77_other_tokens_and_incomplete_ones_are_rejected() {
    let typed = json!({ "alg": "RS256", "kid": "rsa", "typ": "logout+jwt" });
    let other = json!({ "alg": "RS256", "kid": "rsa", "typ": "at+jwt" });
    assert!(verify(&other, &claims()).is_err(), "the type of an access token");
    assert!(verify(&header("RS256"), &claims()).is_ok(), "the type that earlier versions of Keycloak send");
    let changes: [(&str, Value); 16] = [
        ("nonce", json!("n")),
        ("nonce", json!(null)),
        ("events", json!(null)),
        ("events", json!({})),
        ("events", json!({ EVENT: true })),
        ("events", json!([EVENT])),
        ("iss", json!("https://evil.example")),
        ("aud", json!("other")),
        ("aud", json!([CLIENT, "other"])),
        ("iat", json!(1_800_000_062)),
        ("iat", json!(1_799_999_399)),
        ("exp", json!(1_799_999_939)),
        ("exp", json!("1800000120")),
        ("jti", json!("")),
        ("jti", json!(1)),
        ("sid", json!(["08a5019c"])),
    ];
    for (name, value) in changes {
        let mut claims = claims();
        claims[name] = value.clone();
        assert!(verify(&typed, &claims).is_err(), "{name} {value}");
    }
    for name in ["events", "iss", "aud", "iat", "exp", "jti"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        assert!(verify(&typed, &claims).is_err(), "without {name}");
    }
}
