use super::*;

fn identity(of: &str, credentials: &Value) -> Value {
    json!({"id": of, "state": "active", "traits": {"email": format!("{of}@example.com"), "name": {"first": of}},
           "credentials": credentials})
}

fn password(hash: &str) -> Value {
    json!({"password": {"config": {"hashed_password": hash}}})
}

fn kratos(identities: &Value) -> (Value, Vec<String>) {
    converted(Source::Kratos, &identities.to_string())
}

fn hash(stored: &str) -> String {
    let (rows, notes) = kratos(&json!([identity("a", &password(stored))]));
    assert!(notes.is_empty(), "{notes:?}");
    rows[0]["password_hash"].as_str().unwrap().to_owned()
}

/// The only note, about a person who arrives without a password.
fn note(credentials: &Value) -> String {
    let (rows, notes) = kratos(&json!([identity("a", credentials)]));
    assert_eq!(rows, json!([{"name": "a", "email": "a@example.com", "is_sso_user": false}]));
    let [note] = &notes[..] else { panic!("{notes:?}") };
    note.strip_prefix("a@example.com: has no password until one is set: ").unwrap().to_owned()
}

#[test]
fn each_scheme_of_kratos_becomes_a_hash_of_muster() {
    assert_eq!(hash(BCRYPT), BCRYPT);
    let argon2 = format!("$argon2id$v=19$m=65536,t=2,p=1${SALT}${TAG}");
    assert_eq!(hash(&argon2), argon2);
    // N itself instead of its logarithm, and padded.
    let scrypt = hash(&format!("$scrypt$ln=16384,r=8,p=1${SALT}==${TAG}="));
    assert_eq!(scrypt, format!("$scrypt$ln=14,r=8,p=1${SALT}${TAG}"));
}

#[test]
fn the_length_of_a_pbkdf2_hash_is_dropped_because_kratos_ignores_it() {
    for length in ["16", "32", "128", "256", "512"] {
        let stored = format!("$pbkdf2-sha256$i=1000,l={length}${SALT}${SALT}");
        assert_eq!(hash(&stored), format!("$pbkdf2-sha256$i=1000${SALT}${SALT}"));
    }
}

#[test]
fn an_unsupported_hash_is_one_note_and_the_others_come_along() {
    let (rows, notes) = kratos(&json!([
        identity("a", &password(BCRYPT)),
        identity("b", &password("{SSHA}JFZFs0oHzxbMwkSJmYVeI8MnTDy/276a")),
        identity("c", &password(BCRYPT)),
    ]));
    assert_eq!(rows.as_array().unwrap().len(), 3);
    assert_eq!(notes, ["b@example.com: has no password until one is set: muster does not support `{SSHA}` hashes"]);
    for (stored, scheme) in [
        ("$md5$AAECAwQFBgcICQoLDA0ODw", "$md5$"),
        ("{SSHA512}JFZFs0oHzxbMwkSJmYVeI8MnTDy/276a", "{SSHA512}"),
        ("$pbkdf2-sha1$i=1000,l=32$AAECAwQFBgcICQoLDA0ODw$AAEC", "$pbkdf2-sha1$"),
    ] {
        assert_eq!(note(&password(stored)), format!("muster does not support `{scheme}` hashes"));
    }
}

#[test]
fn a_text_that_is_no_hash_is_not_shown() {
    for plain in ["hunter2", "{hunter2}hunter2", "$hunter2$hunter2", "hunter2 hunter2"] {
        let note = note(&password(plain));
        assert!(note.starts_with("the hash can't be imported: ") && !note.contains("hunter2"), "{note}");
    }
}

#[test]
fn a_hash_that_the_server_would_reject_is_dropped_with_the_reason() {
    let costly = [
        format!("$argon2id$v=19$m=4194304,t=1,p=1${SALT}${TAG}"),
        format!("$argon2id$v=19$m=65536,t=1,p=1$c2FsdA${TAG}"),
        BCRYPT.replace("$10$", "$17$"),
    ];
    for hash in costly {
        assert_eq!(note(&password(&hash)), refused(&hash));
    }
    let scrypt = |n: &str| format!("$scrypt$ln={n},r=8,p=1${SALT}${TAG}");
    assert_eq!(note(&password(&scrypt("1048576"))), refused(&scrypt("20")));
}

#[test]
fn a_person_without_a_password_gets_a_note_with_the_reason() {
    assert_eq!(note(&json!({"webauthn": {"type": "webauthn"}})), "the export has only `webauthn`");
    assert_eq!(note(&json!({"code": {}, "totp": {}})), "the export has only `code` and `totp`");
    assert_eq!(note(&json!({"passkey": {}})), "the export has only `passkey`");
    assert_eq!(note(&json!({})), "the export has no password");
    assert_eq!(note(&Value::Null), "the export has no password");
    assert_eq!(note(&json!({"password": {}})), "the export lacks the hash; add `include_credential=password`");
}

#[test]
fn a_social_sign_in_without_a_password_is_sso() {
    let mut both = password(BCRYPT);
    both["oidc"] = json!({});
    let (rows, notes) = kratos(&json!([
        identity("a", &json!({"oidc": {}})),
        identity("b", &json!({"saml": {}})),
        identity("c", &both)
    ]));
    let sso: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["is_sso_user"].as_bool()).collect();
    assert_eq!((sso, notes.len()), (vec![Some(true), Some(true), Some(false)], 0));
}

#[test]
fn traits_of_any_type_are_one_note_at_most() {
    let (rows, notes) = kratos(&json!([
        {"id": "1", "traits": null},
        {"id": "2", "traits": {"email": ["two@example.com", "deux@example.com"], "name": "Two Deux"}},
        {"id": "3", "traits": {"email": {"work": "three@example.com"}}},
        {"id": "4", "traits": []},
        {"id": "5"},
        null,
        {"id": "7", "traits": {"email": "seven@example.com", "first_name": "Sev", "last_name": "En", "name": 7}, "credentials": {"oidc": {}}},
    ]));
    assert_eq!(
        rows,
        json!([
            {"name": "Two Deux", "email": "two@example.com", "is_sso_user": false},
            {"name": "Sev", "lastname": "En", "email": "seven@example.com", "is_sso_user": true},
        ])
    );
    assert_eq!(
        notes,
        [
            "1: left out: no e-mail address",
            "two@example.com: has 2 e-mail addresses, of which the first is used; has no password until one is set: the \
         export has no password",
            "3: left out: no e-mail address",
            "4: left out: no e-mail address",
            "item 5: left out: not a user of this kind of export",
            "item 6: left out: not a user of this kind of export",
        ]
    );
}

#[test]
fn an_array_lines_and_pages_are_read() {
    let (a, b) = (identity("a", &password(BCRYPT)), identity("b", &password(BCRYPT)));
    let pretty = format!("{a:#}\n{b:#}");
    for export in
        [format!("[{a},{b}]"), format!("{a}\n\n{b}\n"), format!("[{a}][{b}]"), format!("[[{a}],[{b}]]"), pretty]
    {
        assert_eq!(converted(Source::Kratos, &export).0.as_array().unwrap().len(), 2, "{export}");
    }
}

#[test]
fn another_file_is_not_an_export_of_kratos() {
    let due = "not an export of Kratos: no item is an identity with `traits`";
    for export in ["[{\"id\": \"1\"}]", "[]", "{\"realm\": \"staff\", \"users\": [{\"email\": \"a@example.com\"}]}"] {
        assert_eq!(broken(Source::Kratos, export), due);
    }
    let lines = format!("{}\n{{\"id\": \"2\", }}\n", identity("a", &password(BCRYPT)));
    assert_eq!(broken(Source::Kratos, &lines), ":2:13 malformed JSON: key must be a string");
}
