use super::*;

#[test]
fn a_database_user_has_a_password_and_others_are_sso() {
    let lines = [
        json!({"user_id": "auth0|1", "email": "ada@example.com", "given_name": "Ada", "family_name": "Lovelace",
               "name": "ada@example.com", "identities": [{"connection": "Users", "provider": "auth0"}], "passwordHash": BCRYPT}),
        json!({"user_id": "google-oauth2|2", "email": "bo@example.com", "name": "Bo Bar",
               "identities": [{"provider": "google-oauth2", "isSocial": true}]}),
        json!({"user_id": "auth0|3", "email": "cy@example.com", "name": "cy@example.com", "nickname": "cy",
               "identities": [{"provider": "auth0"}, {"provider": "google-oauth2"}]}),
        json!({"user_id": "email|4", "email": "di@example.com", "name": "Di", "identities": [{"provider": "email"}]}),
        json!({"user_id": "sms|5", "phone_number": "+1", "identities": [{"provider": "sms"}]}),
        json!({"user_id": "auth0|6", "email": "eve@example.com", "name": "Eve", "blocked": true}),
    ];
    let export: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let (rows, notes) = converted(Source::Auth0, &export);
    assert_eq!(
        rows,
        json!([
            {"name": "Ada", "lastname": "Lovelace", "email": "ada@example.com", "is_sso_user": false, "password_hash": BCRYPT},
            {"name": "Bo Bar", "email": "bo@example.com", "is_sso_user": true},
            {"name": "cy", "email": "cy@example.com", "is_sso_user": false},
            {"name": "Di", "email": "di@example.com", "is_sso_user": false},
        ])
    );
    assert_eq!(
        notes,
        [
            "cy@example.com: has no name and is named `cy`; has no password until one is set: the export has no hash",
            "di@example.com: has no password until one is set: signs in with codes",
            "sms|5: left out: no e-mail address",
            "eve@example.com: left out: disabled",
        ]
    );
}

#[test]
fn hashes_for_an_import_are_read_too() {
    let argon2 = format!("$argon2id$v=19$m=65536,t=2,p=1${SALT}${TAG}");
    let of = |email: &str, value: &str| json!({"email": email, "name": "N", "custom_password_hash": {"algorithm": "x", "hash": {"value": value}}});
    let export = json!([
        {"email": "a@example.com", "name": "A", "password_hash": BCRYPT},
        of("b@example.com", &argon2),
        of("c@example.com", "hunter2"),
    ]);
    let (rows, notes) = converted(Source::Auth0, &export.to_string());
    assert_eq!((rows[0]["password_hash"].as_str(), rows[1]["password_hash"].as_str()), (Some(BCRYPT), Some(&*argon2)));
    assert!(notes.len() == 1 && !notes[0].contains("hunter2"), "{notes:?}");
}

#[test]
fn another_file_is_not_an_export_of_auth0() {
    let due = "not an export of Auth0: no item is a user with an `email`, a `user_id` or `identities`";
    assert_eq!(broken(Source::Auth0, "{\"statusCode\":401,\"error\":\"Unauthorized\"}"), due);
    assert_eq!(broken(Source::Auth0, "[{\"traits\": {}, \"email\": 1}]"), due);
}
