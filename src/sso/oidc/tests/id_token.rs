//! ID tokens and keys.

use chrono::TimeDelta;
use jsonwebtoken::Algorithm;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::id_token::{Expected, IdToken, IdTokenError};
use super::super::keys::KeySet;
use super::{CLIENT, ISSUER, Signer, claims, encode, expected, header, keys, now};
use crate::sso::denial::DenialClass;

/// The outcome of a token: the subject, `unknown key`, or the class of the denial with a part of its detail.
fn outcome(token: &str, keys: &KeySet, expected: &Expected<'_>) -> Result<String, String> {
    match IdToken::verify(token, keys, expected) {
        Ok(token) => Ok(token.subject),
        Err(IdTokenError::UnknownKey(_)) => Err("unknown key".to_owned()),
        Err(IdTokenError::Denied(denial)) => Err(denial.to_string()),
    }
}

fn with(change: impl FnOnce(&mut Map<String, Value>)) -> Result<String, String> {
    let (signer, required) = (Signer::new(), Map::new());
    let mut claims = claims();
    change(claims.as_object_mut().unwrap());
    outcome(&signer.sign(&header("RS256"), &claims), &signer.keys(), &expected(&required))
}

fn with_header(header: Value) -> Result<String, String> {
    let (signer, required) = (Signer::new(), Map::new());
    outcome(&signer.sign(&header, &claims()), &signer.keys(), &expected(&required))
}

fn assert_denied(outcome: Result<String, String>, class: &str, part: &str) {
    let denial = outcome.expect_err(part);
    assert!(denial.starts_with(&format!("{class}: ")) && denial.contains(part), "{denial:?} has no {part:?}");
}

#[test]
fn s_67_oidcc_client_test_and_idtoken_sig_a_valid_token_of_each_algorithm_is_accepted() {
    for algorithm in ["RS256", "RS512", "PS256", "ES256", "EdDSA"] {
        assert_eq!(with_header(header(algorithm)).as_deref(), Ok("248289761001"), "{algorithm}");
    }
    assert!(with_header(json!({ "alg": "RS256", "kid": "rsa" })).is_ok(), "`typ` is optional");
    // Keys and addresses in the header are ignored: this signature fits the provider's key.
    let ignored = json!({ "alg": "RS256", "kid": "rsa", "jku": "https://evil.example/", "x5u": "https://evil.example/", "x5c": ["AA=="] });
    assert!(with_header(ignored).is_ok());
}

#[test]
fn s_67_oidcc_idtoken_sig_none_unsigned_tokens_and_shared_secrets_are_rejected() {
    for algorithm in ["none", "None", "nOnE", "NONE", "HS256", "HS384", "HS512", "RS1", "", "ES256K", "A128KW"] {
        assert_denied(with_header(json!({ "alg": algorithm, "kid": "rsa" })), "sso_bad_token", "");
    }
    assert_denied(with_header(json!({ "kid": "rsa" })), "sso_bad_token", "header");
    let (signer, required) = (Signer::new(), Map::new());
    let unsigned = format!("{}.{}.", encode(json!({ "alg": "none" }).to_string()), encode(claims().to_string()));
    assert_denied(outcome(&unsigned, &signer.keys(), &expected(&required)), "sso_bad_token", "");
    // The public key as the secret of an HMAC.
    let oct = keys(&[json!({ "kty": "oct", "kid": "rsa", "k": encode("secret") }), signer.rsa_jwk()]);
    assert_eq!(oct.len(), 1);
    let all = Expected { algorithms: &[Algorithm::HS256, Algorithm::RS256], ..expected(&required) };
    let hmac = signer.sign(&json!({ "alg": "HS256", "kid": "rsa" }), &claims());
    assert_eq!(outcome(&hmac, &oct, &all), Err("unknown key".to_owned()));
}

#[test]
fn s_67_an_algorithm_that_the_provider_does_not_offer_is_rejected() {
    let (signer, required) = (Signer::new(), Map::new());
    let only = Expected { algorithms: &[Algorithm::ES256], ..expected(&required) };
    let token = signer.sign(&header("RS256"), &claims());
    assert_denied(outcome(&token, &signer.keys(), &only), "sso_bad_token", "the algorithm RS256 is not allowed");
    // The key's own algorithm limits it, too.
    let mut jwk = signer.rsa_jwk();
    jwk["alg"] = json!("RS256");
    assert!(outcome(&token, &keys(&[jwk.clone()]), &expected(&required)).is_ok());
    let other = signer.sign(&header("PS256"), &claims());
    assert_eq!(outcome(&other, &keys(&[jwk]), &expected(&required)), Err("unknown key".to_owned()));
}

#[test]
fn s_67_oidcc_invalid_sig_rs256_a_signature_of_another_key_is_rejected() {
    let (signer, other, required) = (Signer::new(), Signer::other(), Map::new());
    for algorithm in ["RS256", "PS256", "ES256", "EdDSA"] {
        let token = other.sign(&header(algorithm), &claims());
        assert_eq!(outcome(&token, &signer.keys(), &expected(&required)), Err("unknown key".to_owned()), "{algorithm}");
    }
    // Its own key in the header does not help.
    let mut header = header("RS256");
    header["jwk"] = other.rsa_jwk();
    let token = other.sign(&header, &claims());
    assert_eq!(outcome(&token, &signer.keys(), &expected(&required)), Err("unknown key".to_owned()));
    // Nor does another algorithm with the type of the key.
    let token = signer.sign(&json!({ "alg": "RS256", "kid": "ec" }), &claims());
    assert_eq!(outcome(&token, &signer.keys(), &expected(&required)), Err("unknown key".to_owned()));
}

#[test]
fn s_67_a_changed_token_is_rejected() {
    let (signer, required) = (Signer::new(), Map::new());
    let token = signer.sign(&header("RS256"), &claims());
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let mut root = claims();
    root["sub"] = json!("root");
    let root = encode(root.to_string());
    let tokens = [
        format!("{header}.{root}.{signature}"),
        format!("{header}.{payload}."),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{signature}."),
        format!("{header}.{payload}.{signature}.{signature}.{signature}"),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{header}.{payload}.{}", &signature[4..]),
        format!("{header}.{payload}.{signature}="),
        format!(" {token}"),
        format!("{token}\n"),
        "..".to_owned(),
        String::new(),
        json!({ "payload": payload, "signatures": [{ "protected": header, "signature": signature }] }).to_string(),
        "x".repeat(70_000),
    ];
    for token in tokens {
        assert!(outcome(&token, &signer.keys(), &expected(&required)).is_err(), "{token}");
    }
}

#[test]
fn s_67_types_and_extensions_of_other_tokens_are_rejected() {
    for typ in ["at+jwt", "logout+jwt", "JOSE", ""] {
        let header = json!({ "alg": "RS256", "kid": "rsa", "typ": typ });
        assert_denied(with_header(header), "sso_bad_token", "the token has the type");
    }
    for extension in [
        json!({ "crit": ["exp"] }),
        json!({ "crit": [] }),
        json!({ "crit": ["b64"], "b64": true }),
        json!({ "zip": "DEF" }),
        json!({ "enc": "A128GCM" }),
    ] {
        let mut header = header("RS256");
        header.as_object_mut().unwrap().extend(extension.as_object().unwrap().clone());
        assert_denied(with_header(header), "sso_bad_token", "");
    }
}

#[test]
fn s_68_oidcc_invalid_iss_another_issuer_is_rejected_byte_for_byte() {
    for issuer in [
        json!("https://evil.example"),
        json!(format!("{ISSUER}/")),
        json!(ISSUER.to_uppercase()),
        json!([ISSUER]),
        json!(null),
        json!(1),
    ] {
        assert_denied(
            with(|claims| drop(claims.insert("iss".to_owned(), issuer))),
            "sso_bad_token",
            "`iss` must be \"https://idp.example.org",
        );
    }
    assert_denied(with(|claims| drop(claims.remove("iss"))), "sso_bad_token", "but is missing");
}

#[test]
fn s_68_oidcc_invalid_aud_another_audience_is_rejected() {
    for audience in
        [json!("other"), json!([]), json!(["other"]), json!(""), json!(null), json!({ "muster": 1 }), json!([1])]
    {
        assert_denied(
            with(|claims| drop(claims.insert("aud".to_owned(), audience))),
            "sso_bad_token",
            "`aud` does not contain the client",
        );
    }
    assert_denied(with(|claims| drop(claims.remove("aud"))), "sso_bad_token", "`aud`");
    assert_denied(
        with(|claims| drop(claims.insert("aud".to_owned(), json!([CLIENT, "other"])))),
        "sso_bad_token",
        "`aud` contains \"other\"",
    );
    assert_denied(
        with(|claims| drop(claims.insert("aud".to_owned(), json!([CLIENT, 1])))),
        "sso_bad_token",
        "`aud` contains \"\"",
    );
    assert!(with(|claims| drop(claims.insert("aud".to_owned(), json!([CLIENT])))).is_ok());
    let (signer, required, extra) = (Signer::new(), Map::new(), ["other".to_owned()]);
    let mut claims = claims();
    claims["aud"] = json!([CLIENT, "other"]);
    let token = signer.sign(&header("RS256"), &claims);
    let wider = Expected { extra_audiences: &extra, ..expected(&required) };
    assert!(outcome(&token, &signer.keys(), &wider).is_ok());
    // The extra one alone is not the client.
    claims["aud"] = json!("other");
    let token = signer.sign(&header("RS256"), &claims);
    assert!(outcome(&token, &signer.keys(), &wider).is_err());
}

#[test]
fn s_68_another_authorized_party_is_rejected() {
    for party in [json!("other"), json!([CLIENT]), json!(null), json!("")] {
        assert_denied(
            with(|claims| drop(claims.insert("azp".to_owned(), party))),
            "sso_bad_token",
            "`azp` is not the client",
        );
    }
    assert!(with(|claims| drop(claims.insert("azp".to_owned(), json!(CLIENT)))).is_ok());
}

#[test]
fn s_68_oidcc_nonce_invalid_the_nonce_of_another_sign_in_is_rejected() {
    for nonce in [json!("another"), json!(""), json!("n-0S6_WzA2M"), json!("n-0S6_WzA2Mj ")] {
        assert_denied(
            with(|claims| drop(claims.insert("nonce".to_owned(), nonce))),
            "sso_bad_token",
            "`nonce` is that of another sign-in",
        );
    }
    assert_denied(
        with(|claims| drop(claims.insert("nonce".to_owned(), json!(["n-0S6_WzA2Mj"])))),
        "sso_bad_token",
        "`nonce` is missing",
    );
    assert_denied(with(|claims| drop(claims.remove("nonce"))), "sso_bad_token", "`nonce` is missing");
}

#[test]
fn s_68_oidcc_missing_sub_a_token_without_a_valid_subject_is_rejected() {
    for subject in [json!(""), json!("x".repeat(256)), json!("a\u{0}b")] {
        assert_denied(
            with(|claims| drop(claims.insert("sub".to_owned(), subject))),
            "sso_bad_token",
            "`sub` must have 1 to 255 bytes",
        );
    }
    for subject in [json!(1), json!(null), json!(["a"]), json!({ "a": 1 })] {
        assert_denied(with(|claims| drop(claims.insert("sub".to_owned(), subject))), "sso_bad_token", "");
    }
    assert_denied(with(|claims| drop(claims.remove("sub"))), "sso_bad_token", "`sub`");
    assert_eq!(
        with(|claims| drop(claims.insert("sub".to_owned(), json!("  Ada\tß ")))).as_deref(),
        Ok("  Ada\tß "),
        "as it is"
    );
}

#[test]
fn s_54_another_claim_can_identify_people() {
    let (signer, required) = (Signer::new(), Map::new());
    let by_oid = Expected { subject_claim: "oid", ..expected(&required) };
    let token = signer.sign(&header("RS256"), &claims());
    assert_denied(outcome(&token, &signer.keys(), &by_oid), "sso_bad_token", "`oid` is missing or not text");
    let mut claims = claims();
    claims["oid"] = json!("00000000-0000-0000-66f3-3332eca7ea81");
    let token = signer.sign(&header("RS256"), &claims);
    assert_eq!(outcome(&token, &signer.keys(), &by_oid).as_deref(), Ok("00000000-0000-0000-66f3-3332eca7ea81"));
}

#[test]
fn s_68_oidcc_missing_iat_times_must_be_numbers() {
    for name in ["iat", "exp"] {
        assert_denied(with(|claims| drop(claims.remove(name))), "sso_bad_token", "is missing");
        for time in [json!("1800000000"), json!(null), json!([1_800_000_000]), json!(true)] {
            assert_denied(with(|claims| drop(claims.insert(name.to_owned(), time))), "sso_bad_token", "");
        }
    }
    assert_denied(
        with(|claims| drop(claims.insert("nbf".to_owned(), json!("soon")))),
        "sso_bad_token",
        "`nbf` is not a number",
    );
    assert!(with(|claims| drop(claims.insert("iat".to_owned(), json!(1_800_000_000.75)))).is_ok(), "a fraction");
    assert!(with(|claims| drop(claims.insert("exp".to_owned(), json!(1e300)))).is_ok());
}

#[test]
fn s_68_tokens_that_are_expired_old_or_of_the_future_name_the_difference_of_the_clocks() {
    let time = |name: &'static str, offset: i64| {
        with(|claims| drop(claims.insert(name.to_owned(), json!(1_800_000_000 + offset))))
    };
    assert!(time("iat", 60).is_ok() && time("iat", -599).is_ok());
    assert_denied(time("iat", 62), "sso_clock", "`iat` is 62 s in the future");
    assert_denied(time("iat", -605), "sso_clock", "`iat` is 605 s in the past");
    assert!(time("exp", -59).is_ok());
    assert_denied(time("exp", -61), "sso_clock", "`exp` was 61 s ago");
    assert!(time("nbf", 60).is_ok());
    assert_denied(time("nbf", 62), "sso_clock", "`nbf` is 62 s in the future");
    assert_denied(with(|claims| drop(claims.insert("iat".to_owned(), json!(1e300)))), "sso_clock", "in the future");
    assert_denied(with(|claims| drop(claims.insert("exp".to_owned(), json!(-1e300)))), "sso_clock", "ago");
    let (signer, required) = (Signer::new(), Map::new());
    let late = Expected { now: now() + TimeDelta::seconds(500), ..expected(&required) };
    let Err(IdTokenError::Denied(denial)) =
        IdToken::verify(&signer.sign(&header("RS256"), &claims()), &signer.keys(), &late)
    else {
        panic!("accepted");
    };
    assert_eq!((denial.class, denial.clock_ahead), (DenialClass::Clock, Some(-200)));
}

#[test]
fn s_68_with_a_maximum_age_the_time_of_authentication_must_be_recent() {
    let (signer, required) = (Signer::new(), Map::new());
    let aged = |max_age, auth_time: Option<Value>| {
        let mut claims = claims();
        if let Some(time) = auth_time {
            claims["auth_time"] = time;
        }
        let expected = Expected { max_age: Some(max_age), ..expected(&required) };
        outcome(&signer.sign(&header("RS256"), &claims), &signer.keys(), &expected)
    };
    assert_denied(aged(0, None), "sso_bad_token", "`auth_time` is missing");
    assert_denied(aged(0, Some(json!("1800000000"))), "sso_bad_token", "`auth_time` is not a number");
    assert_denied(aged(0, Some(json!(1_799_999_900))), "sso_bad_token", "did not authenticate the person again");
    assert!(aged(0, Some(json!(1_799_999_941.5))).is_ok());
    assert!(aged(3_600, Some(json!(1_799_997_000))).is_ok());
    assert!(aged(3_600, Some(json!(1_800_000_060))).is_ok());
    assert_denied(aged(3_600, Some(json!(1_800_000_061))), "sso_bad_token", "`auth_time` is in the future");
    assert!(aged(3_600, Some(json!(1_799_996_000))).is_err());
}

#[test]
fn s_68_the_hash_of_the_access_token_must_fit_if_there_is_one() {
    // python3: base64.urlsafe_b64encode(hashlib.sha256(b"the access token").digest()[:16]), and sha512()[:32] for Ed25519.
    let (sha256, sha512) = ("8kJybPby-BwHrrSnx_oS4A", "rJq7e2CTaULjAi2cpsvtkzpr3rW65IwDOQ6JhWhRCao");
    assert!(with(|claims| drop(claims.insert("at_hash".to_owned(), json!(sha256)))).is_ok());
    for wrong in [json!("x"), json!(""), json!(null), json!(sha512), json!(format!("{sha256}="))] {
        assert_denied(with(|claims| drop(claims.insert("at_hash".to_owned(), wrong))), "sso_bad_token", "`at_hash`");
    }
    let (signer, required) = (Signer::new(), Map::new());
    let mut claims = claims();
    claims["at_hash"] = json!(sha512);
    let token = signer.sign(&header("EdDSA"), &claims);
    assert!(outcome(&token, &signer.keys(), &expected(&required)).is_ok());
    let without = Expected { access_token: None, ..expected(&required) };
    assert_denied(outcome(&token, &signer.keys(), &without), "sso_bad_token", "`at_hash`");
}

#[test]
fn s_68_required_claims_must_be_equal() {
    let signer = Signer::new();
    let required = json!({ "tid": "our tenant" }).as_object().unwrap().clone();
    for tenant in [json!("another"), json!(null), json!(["our tenant"]), json!("our tenant ")] {
        let mut claims = claims();
        claims["tid"] = tenant;
        assert_denied(
            outcome(&signer.sign(&header("RS256"), &claims), &signer.keys(), &expected(&required)),
            "sso_wrong_tenant",
            "`tid`",
        );
    }
    assert_denied(
        outcome(&signer.sign(&header("RS256"), &claims()), &signer.keys(), &expected(&required)),
        "sso_wrong_tenant",
        "missing",
    );
    let mut claims = claims();
    claims["tid"] = json!("our tenant");
    assert!(outcome(&signer.sign(&header("RS256"), &claims), &signer.keys(), &expected(&required)).is_ok());
}

#[test]
fn s_69_claims_that_are_not_needed_can_have_any_type() {
    let outcome = with(|claims| {
        for name in [
            "email",
            "email_verified",
            "name",
            "updated_at",
            "auth_time",
            "acr",
            "amr",
            "sid",
            "groups",
            "_claim_names",
        ] {
            claims.insert(name.to_owned(), json!([{ "a": null }, "1", 2.5]));
        }
    });
    assert_eq!(outcome.as_deref(), Ok("248289761001"));
}

#[test]
fn s_60_oidcc_kid_absent_single_and_multiple_jwks_fitting_keys_are_tried() {
    let (signer, other, required) = (Signer::new(), Signer::other(), Map::new());
    let token = signer.sign(&json!({ "alg": "RS256" }), &claims());
    let anonymous = |mut jwk: Value| {
        jwk.as_object_mut().unwrap().remove("kid");
        jwk
    };
    assert!(outcome(&token, &keys(&[anonymous(signer.rsa_jwk())]), &expected(&required)).is_ok());
    let several = [other.ec_jwk(), anonymous(other.rsa_jwk()), other.ed_jwk(), signer.rsa_jwk()];
    assert!(outcome(&token, &keys(&several), &expected(&required)).is_ok());
    assert_eq!(outcome(&token, &keys(&[other.rsa_jwk()]), &expected(&required)), Err("unknown key".to_owned()));
    // With a key ID, only that key.
    let named = signer.sign(&json!({ "alg": "RS256", "kid": "new" }), &claims());
    assert_eq!(outcome(&named, &signer.keys(), &expected(&required)), Err("unknown key".to_owned()));
}

#[test]
fn s_60_keys_that_can_not_be_used_are_skipped() {
    let signer = Signer::new();
    let change = |name: &str, value: Value| {
        let mut jwk = signer.rsa_jwk();
        jwk[name] = value;
        jwk
    };
    let mut ec = signer.ec_jwk();
    ec["x"] = json!("AAAA");
    let unusable = [
        json!(null),
        json!([]),
        json!("key"),
        json!({}),
        json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AA" }),
        json!({ "kty": "oct", "k": "AAAA" }),
        json!({ "kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA" }),
        json!({ "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA" }),
        json!({ "kty": "OKP", "crv": "X25519", "x": signer.ed_jwk()["x"] }),
        ec,
        change("use", json!("enc")),
        change("use", json!(1)),
        change("key_ops", json!(["encrypt"])),
        change("key_ops", json!("verify")),
        change("kty", json!(1)),
        change("n", json!("not base64!")),
        change("n", json!(1)),
        change("n", json!("")),
        change("e", json!("")),
        // 1024 bits.
        change("n", json!(encode([0xff; 128]))),
        change("n", json!(encode([0xff; 2000]))),
    ];
    for jwk in &unusable {
        assert_eq!(keys(std::slice::from_ref(jwk)).len(), 0, "{jwk}");
    }
    let all = [unusable.to_vec(), vec![signer.rsa_jwk(), signer.rsa_jwk(), change("use", json!("sig"))]].concat();
    assert_eq!(keys(&all).len(), 1, "doubled keys are skipped");
    let many: Vec<Value> = (0..150).map(|number| change("kid", json!(number.to_string()))).collect();
    assert_eq!(keys(&many).len(), 100);
    for body in ["", "[]", "{}", "{\"keys\": {}}", "<html>", "{\"keys\": null}"] {
        assert!(KeySet::parse(body.as_bytes()).is_err(), "{body}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn s_67_no_text_is_a_token(text in "\\PC{0,200}") {
        let (signer, required) = (Signer::new(), Map::new());
        prop_assert!(outcome(&text, &signer.keys(), &expected(&required)).is_err());
    }

    #[test]
    fn s_67_a_token_with_one_changed_character_is_rejected(at in 0_usize..500, replacement in "[A-Za-z0-9_.-]") {
        let (signer, required) = (Signer::new(), Map::new());
        let token = signer.sign(&header("ES256"), &claims());
        let at = at % token.len();
        let mut changed = token.clone();
        changed.replace_range(at..=at, &replacement);
        // The last character of a part may have unused bits, which the decoder rejects, too.
        prop_assert!(changed == token || outcome(&changed, &signer.keys(), &expected(&required)).is_err());
    }

    #[test]
    fn s_69_no_value_of_a_claim_makes_another_person(name in "[a-z_]{1,12}", value in any::<i64>()) {
        let result = with(|claims| drop(claims.insert(name, json!(value))));
        prop_assert!(result.as_deref().map_or(true, |subject| subject == "248289761001"));
    }
}
