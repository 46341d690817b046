//! What all sources share: the rules of the server, and the text.

use super::*;

fn person(email: &str, name: &str, more: &Value) -> Value {
    let mut person = json!({"email": email, "given_name": name, "identities": [{"provider": "samlp"}]});
    person.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    person
}

fn auth0(people: &[Value]) -> (Value, Vec<String>) {
    converted(Source::Auth0, &json!(people).to_string())
}

#[test]
fn people_whom_the_server_would_reject_are_left_out_with_the_reason() {
    let long = "x".repeat(256);
    let (rows, notes) = auth0(&[
        person("ada@example.com", "Ada", &json!({})),
        person("no address", "A", &json!({})),
        person("ADA@example.com", "Ada", &json!({})),
        person("long@example.com", &long, &json!({})),
        person("last@example.com", "A", &json!({"family_name": long})),
        person("break@example.com", "A\nB", &json!({})),
        person("blank@example.com", " \u{200b}", &json!({})),
    ]);
    assert_eq!(
        rows,
        json!([
            {"name": "Ada", "email": "ada@example.com", "is_sso_user": true},
            {"name": "blank", "email": "blank@example.com", "is_sso_user": true},
        ])
    );
    assert_eq!(
        notes,
        [
            "no address: left out: not a valid e-mail address",
            "ADA@example.com: left out: an earlier person has the same e-mail address",
            "long@example.com: left out: the name is longer than 255 characters",
            "last@example.com: left out: the last name is longer than 255 characters",
            "break@example.com: left out: the name contains a line break (U+000A)",
            "blank@example.com: has no name and is named `blank`",
        ]
    );
}

#[test]
fn names_and_addresses_lose_white_space_and_invisible_characters_at_their_ends() {
    let (rows, notes) = auth0(&[person("\u{feff}ada@example.com\u{a0}", " Ada ❤\u{fe0f}\u{200b}", &json!({}))]);
    assert_eq!(
        (rows, notes.len()),
        (json!([{"name": "Ada ❤\u{fe0f}", "email": "ada@example.com", "is_sso_user": true}]), 0)
    );
}

#[test]
fn a_title_that_the_server_would_reject_is_dropped() {
    let text = format!("mail,givenName,jobTitle\nada@example.com,Ada,{}\n", "x".repeat(256));
    let (rows, notes) = converted(Source::Entra, &text);
    assert_eq!(rows, json!([{"name": "Ada", "email": "ada@example.com", "is_sso_user": true}]));
    assert_eq!(notes, ["ada@example.com: the title is dropped: it is longer than 255 characters"]);
}

#[test]
fn a_disabled_person_who_is_left_out_does_not_take_the_address() {
    let (rows, notes) = auth0(&[
        person("ada@example.com", "Old", &json!({"blocked": true})),
        person("ada@example.com", "New", &json!({})),
    ]);
    assert_eq!((&rows[0]["name"], notes.len()), (&json!("New"), 1));
}

#[test]
fn an_export_has_at_most_as_many_people_as_a_users_file() {
    let mut lines = "{\"email\":\"a@example.com\"}\n".repeat(100_000);
    assert_eq!(converted(Source::Auth0, &lines).1.len(), 100_000);
    lines.push_str("{\"email\":\"b@example.com\"}\n");
    assert_eq!(broken(Source::Auth0, &lines), "more than 100000 people; split the export into several files");
}

#[test]
fn text_that_is_neither_utf_8_nor_marked_utf_16_is_one_error() {
    let rejected = |bytes: &[u8]| convert_bytes(bytes.to_vec(), &options(Source::Entra)).err().unwrap();
    let line = |line, message: &str| Broken::line(line, message);
    assert_eq!(rejected(b"mail\nj\xf6rg@example.com\n"), line(2, "invalid UTF-8; save the file as UTF-8"));
    let utf16: Vec<u8> = "mail\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(rejected(&utf16), line(1, "contains a NUL character; save the file as UTF-8"));
    for bytes in [&b"\xff\xfem\0a"[..], b"\xff\xfe\0\xd8m\0"] {
        assert_eq!(rejected(bytes), Broken::new("invalid UTF-16; save the file as UTF-8"));
    }
    let zip = "a workbook or another ZIP archive; save the list as CSV in UTF-8";
    assert_eq!(rejected(b"PK\x03\x04rest"), Broken::new(zip));
}

proptest::proptest! {
    /// The fragments are those at which the parsers branch.
    #[test]
    fn no_text_ends_the_program(fragments in proptest::collection::vec(proptest::sample::select(FRAGMENTS), 0..40)) {
        for source in Source::value_variants() {
            let _ = convert_bytes(fragments.concat().into_bytes(), &Options { disabled: true, ..options(*source) });
        }
    }
}

const FRAGMENTS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\n",
    "\r\n",
    " ",
    ";",
    "\t",
    "#",
    "null",
    "true",
    "1e999",
    "é",
    "\u{200b}",
    "$",
    "\"users\":[",
    "\"email\":\"a@example.com\"",
    "\"email\":[\"a\"]",
    "\"traits\":{",
    "\"credentials\":[{",
    "\"type\":\"password\"",
    "\"secretData\":\"{}\"",
    "\"profile\":{",
    "mail,givenName\n",
    "a@example.com,",
    "version:v1.0",
    "Email Address [Required]",
    "[accountEnabled]",
    "dn: a",
    "dn:: YQ==",
    "\nmail: a@example.com",
    "\nmail:: %",
    "\nuserPassword: {CRYPT}$2b$",
    "\nuserPassword: {PBKDF2-SHA256}1$",
    "\nobjectClass: person",
    "changetype: add",
    "{SSHA}",
    "-",
    "\n ",
    "\n\n",
    "result: 0",
];

#[test]
fn an_address_that_nobody_has_verified_is_a_note() {
    let keycloak = |verified: Value| {
        json!({"users": [{"username": "a", "email": "a@example.com", "firstName": "A", "emailVerified": verified,
                          "federatedIdentities": [{"identityProvider": "x"}]}]})
    };
    let auth0 = |verified: Value| json!([{"email": "a@example.com", "given_name": "A", "email_verified": verified, "password_hash": BCRYPT}]);
    let kratos = |verified: Value| {
        json!([{"traits": {"email": "a@example.com", "name": {"first": "A"}}, "credentials": {"oidc": {}},
                "verifiable_addresses": [{"value": "A@example.com", "verified": verified},
                                         {"value": "b@example.com", "verified": false}]}])
    };
    for (source, export) in
        [(Source::Keycloak, &keycloak as &dyn Fn(Value) -> Value), (Source::Auth0, &auth0), (Source::Kratos, &kratos)]
    {
        for (verified, due) in [
            (json!(false), &["a@example.com: the e-mail address is not verified"][..]),
            (json!(true), &[]),
            (Value::Null, &[]),
        ] {
            let (rows, notes) = converted(source, &export(verified).to_string());
            assert_eq!(rows[0]["email"], "a@example.com");
            assert_eq!(notes, due, "{source:?}");
        }
    }
}
