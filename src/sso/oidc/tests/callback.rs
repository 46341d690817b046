//! Authorization responses, and requests.

use proptest::prelude::*;
use reqwest::Url;

use super::super::callback::Callback;
use super::super::discovery::Metadata;
use super::super::flow::{Flow, Request};
use super::super::issuer::Transport;
use super::ISSUER;
use super::discovery::document;
use crate::sso::denial::DenialClass;

fn parse(query: &str) -> Result<Callback, DenialClass> {
    Callback::parse(query).map_err(|denial| denial.class)
}

fn metadata(has_iss_parameter: bool) -> Metadata {
    let mut document = document();
    document["authorization_response_iss_parameter_supported"] = has_iss_parameter.into();
    Metadata::parse(ISSUER, Transport::Https, document.to_string().as_bytes()).unwrap()
}

#[test]
fn s_64_a_response_has_each_parameter_once() {
    let valid = Callback { state: "s".to_owned(), issuer: None, outcome: Ok("a b/c".to_owned()) };
    assert_eq!(parse("state=s&code=a+b%2Fc&session_state=x"), Ok(valid));
    let long = "x".repeat(2_049);
    for query in [
        "",
        "state=s",
        "code=c",
        "state=&code=c",
        "state=s&code=",
        "state=s&code=c&code=c",
        "state=s&state=s&code=c",
        "state=s&code=c&iss=a&iss=a",
        "state=s&code=c&x=1&x=2",
        "state=s&code=c&%73tate=s",
        "state=s&code=c&error=access_denied",
        "code=c#state=s",
        &format!("state=s&code={long}"),
        &format!("state={long}&code=c"),
        &format!("state=s&code=c&x={long}"),
    ] {
        assert_eq!(parse(query), Err(DenialClass::BadState), "{query}");
    }
}

#[test]
fn s_72_errors_of_the_provider_have_a_class_and_are_quoted() {
    let denial = |query: &str| parse(query).unwrap().outcome.unwrap_err();
    assert_eq!(denial("state=s&error=access_denied").class, DenialClass::Denied);
    let unknown = denial("state=s&error=%3Cscript%3E&error_description=a%0D%0Ab%3Cb%3E");
    assert_eq!(unknown.class, DenialClass::ProviderError);
    assert_eq!(unknown.detail, r#"the provider answered unknown error "<script>": "a\r\nb<b>""#);
    assert_eq!(denial("state=s&error=login_required").detail, "the provider answered login_required");
}

#[test]
fn s_64_a_response_of_another_issuer_is_rejected() {
    let check = |issuer: &str, is_required| {
        parse(&format!("state=s&code=c{issuer}"))
            .unwrap()
            .check_issuer(&metadata(is_required))
            .map_err(|denial| denial.class)
    };
    let own = format!("&iss={}", ISSUER.replace('/', "%2F"));
    assert_eq!((check(&own, true), check(&own, false), check("", false)), (Ok(()), Ok(()), Ok(())));
    assert_eq!(check("", true), Err(DenialClass::ProviderError));
    assert_eq!(check("&iss=", true), Err(DenialClass::ProviderError));
    for required in [true, false] {
        assert_eq!(check("&iss=https://evil.example", required), Err(DenialClass::ProviderError));
        assert_eq!(check(&format!("{own}/"), required), Err(DenialClass::ProviderError));
    }
}

#[test]
fn s_61_the_request_has_a_code_challenge_and_keeps_the_query_of_the_endpoint() {
    let mut document = document();
    document["authorization_endpoint"] = "https://idp.example.org/authorize?p=b2c_1".into();
    let metadata = Metadata::parse(ISSUER, Transport::Https, document.to_string().as_bytes()).unwrap();
    // The example of RFC 7636, appendix B.
    let flow = Flow {
        state: "the-state".to_owned(),
        nonce: "the-nonce".to_owned(),
        verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(),
    };
    let request = Request {
        client_id: "a&b",
        redirect_uri: "https://muster.example.org/sso/default/one/callback",
        scopes: "openid email",
        login_hint: Some("ada@example.com"),
        max_age: Some(3_600),
        prompt: None,
    };
    let url = flow.authorization_url(&metadata, &request);
    assert_eq!(
        url.as_str(),
        "https://idp.example.org/authorize?p=b2c_1&response_type=code&client_id=a%26b&redirect_uri=https%3A%2F%2Fmuster.\
         example.org%2Fsso%2Fdefault%2Fone%2Fcallback&scope=openid+email&state=the-state&nonce=the-nonce&code_challenge=\
         E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&login_hint=ada%40example.com&max_age=3600"
    );
    let again = flow.authorization_url(
        &metadata,
        &Request { prompt: Some("login"), max_age: Some(0), login_hint: None, ..request },
    );
    assert!(again.as_str().ends_with("&max_age=0&prompt=login"), "{again}");
}

proptest! {
    #[test]
    fn s_64_no_query_panics_and_a_code_comes_from_the_query(query in "[a-z=&%0-9+#?]{0,60}") {
        if let Ok(Callback { outcome: Ok(code), .. }) = parse(&query) {
            let decoded = Url::parse(&format!("http://h/?{}", query.replace('#', "%23"))).unwrap();
            prop_assert!(decoded.query_pairs().any(|(name, value)| name == "code" && value == code));
        }
    }
}
