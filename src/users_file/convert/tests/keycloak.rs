use super::*;

fn realm(users: &Value) -> String {
    json!({"realm": "staff", "clients": [{"id": "1"}], "users": users, "groups": []}).to_string()
}

fn keycloak(users: &Value) -> (Value, Vec<String>) {
    converted(Source::Keycloak, &realm(users))
}

/// A user with this credential.
fn user(credential: &Value) -> Value {
    json!({"username": "a", "email": "a@example.com", "firstName": "A", "credentials": [credential]})
}

fn password(secret: &Value, data: &Value) -> Value {
    json!({"type": "password", "secretData": secret.to_string(), "credentialData": data.to_string()})
}

/// The hash of the only user.
fn hash(credential: &Value) -> String {
    let (rows, notes) = keycloak(&json!([user(credential)]));
    assert!(notes.is_empty(), "{notes:?}");
    rows[0]["password_hash"].as_str().unwrap().to_owned()
}

/// The only note, about a user who arrives without a password.
fn note(credential: &Value) -> String {
    let (rows, notes) = keycloak(&json!([user(credential)]));
    assert_eq!(rows, json!([{"name": "A", "email": "a@example.com", "is_sso_user": false}]));
    let [note] = &notes[..] else { panic!("{notes:?}") };
    note.strip_prefix("a@example.com: has no password until one is set: ").unwrap().to_owned()
}

#[test]
fn each_scheme_of_keycloak_becomes_a_hash_of_muster() {
    let padded = (format!("{SALT}=="), format!("{TAG}="));
    let secret = json!({"value": padded.1, "salt": padded.0, "additionalParameters": {}});
    let more =
        json!({"hashLength": ["32"], "memory": ["7168"], "type": ["id"], "version": ["1.3"], "parallelism": ["1"]});
    let argon2 = json!({"hashIterations": 5, "algorithm": "argon2", "additionalParameters": more});
    assert_eq!(hash(&password(&secret, &argon2)), format!("$argon2id$v=19$m=7168,t=5,p=1${SALT}${TAG}"));
    for algorithm in ["pbkdf2-sha256", "pbkdf2-sha512"] {
        let data = json!({"hashIterations": 27500, "algorithm": algorithm});
        assert_eq!(hash(&password(&secret, &data)), format!("${algorithm}$i=27500${SALT}${TAG}"));
    }
    let data = json!({"hashIterations": 10, "algorithm": "bcrypt"});
    assert_eq!(hash(&password(&json!({"value": BCRYPT, "salt": ""}), &data)), BCRYPT);
}

#[test]
fn a_credential_from_before_version_8_keeps_its_hash() {
    let old = json!({
        "type": "password", "hashedSaltedValue": "ng6oDRung/pBLayd5ro7IU3mL/p86pg3WvQNQc+N1Eg=",
        "salt": "RaXjs4RiUKgJGkX6kp277w==", "hashIterations": 27500, "algorithm": "pbkdf2-sha256",
    });
    let due = "$pbkdf2-sha256$i=27500$RaXjs4RiUKgJGkX6kp277w$ng6oDRung/pBLayd5ro7IU3mL/p86pg3WvQNQc+N1Eg";
    assert_eq!(hash(&old), due);
}

#[test]
fn a_password_in_plain_text_is_named_and_not_shown() {
    let note = note(&json!({"type": "password", "value": "hunter2"}));
    assert_eq!(note, "the export has it in plain text, which is not used");
}

#[test]
fn a_hash_that_the_server_would_reject_is_dropped_with_the_reason() {
    let secret = json!({"value": TAG, "salt": SALT});
    let argon2 = |memory: &str, rounds: u32| {
        let more = json!({"memory": [memory], "type": ["id"], "version": ["1.3"], "parallelism": ["1"]});
        password(&secret, &json!({"hashIterations": rounds, "algorithm": "argon2", "additionalParameters": more}))
    };
    let pbkdf2 = |rounds: u32, secret: &Value| {
        password(secret, &json!({"hashIterations": rounds, "algorithm": "pbkdf2-sha256"}))
    };
    let argon2id = |memory: &str| format!("$argon2id$v=19$m={memory},t=5,p=1${SALT}${TAG}");
    assert_eq!(note(&argon2("524288", 5)), refused(&argon2id("524288")));
    let rounds = format!("$pbkdf2-sha256$i=20000000${SALT}${TAG}");
    assert_eq!(note(&pbkdf2(20_000_000, &secret)), refused(&rounds));
    for (salt, value) in [("c2FsdA==", TAG), (SALT, "AAECAwQFBgcICQoL")] {
        let phc = format!("$pbkdf2-sha256$i=27500${}${value}", salt.trim_end_matches('='));
        assert_eq!(note(&pbkdf2(27500, &json!({"value": value, "salt": salt}))), refused(&phc));
    }
    let costly = BCRYPT.replace("$10$", "$17$");
    assert_eq!(note(&password(&json!({"value": costly}), &json!({"algorithm": "bcrypt"}))), refused(&costly));
    let sha1 = json!({"hashIterations": 20000, "algorithm": "pbkdf2"});
    assert_eq!(note(&password(&secret, &sha1)), "muster does not support `pbkdf2` hashes");
    let own = json!({"hashIterations": 1, "algorithm": "our-own"});
    assert_eq!(note(&password(&secret, &own)), "muster does not support its kind of hash");
}

#[test]
fn a_hash_that_muster_supports_is_found_behind_one_that_it_does_not() {
    let credentials = json!([
        password(&json!({"value": TAG, "salt": SALT}), &json!({"algorithm": "pbkdf2", "hashIterations": 1})),
        password(&json!({"value": BCRYPT}), &json!({"algorithm": "bcrypt"})),
    ]);
    let (rows, notes) =
        keycloak(&json!([{"username": "a", "email": "a@example.com", "firstName": "A", "credentials": credentials}]));
    assert_eq!((rows[0]["password_hash"].as_str(), notes.len()), (Some(BCRYPT), 0));
}

#[test]
fn a_user_without_a_password_gets_a_note_with_the_reason() {
    let none = "the export has no password";
    assert_eq!(note(&json!({"type": "otp"})), "the export has only `otp`");
    assert_eq!(note(&json!({"type": "webauthn-passwordless"})), "the export has only `webauthn-passwordless`");
    assert_eq!(note(&json!({"type": "password-history"})), "the export has only `password-history`");
    assert_eq!(note(&json!({"type": "password"})), "the export lacks the hash");
    assert_eq!(note(&json!(null)), none);
    for more in [json!({}), json!({"credentials": null}), json!({"credentials": []}), json!({"credentials": "?"})] {
        let mut user = json!({"username": "a", "email": "a@example.com", "firstName": "A", "requiredActions": null});
        user.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (rows, notes) = keycloak(&json!([user]));
        assert_eq!(rows, json!([{"name": "A", "email": "a@example.com", "is_sso_user": false}]));
        assert_eq!(notes, [format!("a@example.com: has no password until one is set: {none}")]);
    }
    let federated = json!([{"username": "a", "email": "a@example.com", "federationLink": "b7a5", "credentials": []}]);
    let due = "a@example.com: has no password until one is set: signs in through a directory (`federationLink`)";
    assert_eq!(keycloak(&federated).1, [due]);
}

#[test]
fn null_credentials_of_one_user_do_not_end_the_list() {
    let (rows, notes) = keycloak(&json!([
        {"username": "a", "email": "a@example.com", "firstName": "A"},
        {"username": "b", "email": "b@example.com", "firstName": "B", "credentials": null},
        {"username": "c", "email": "c@example.com", "firstName": "C"},
    ]));
    let due = ["a", "b", "c"]
        .map(|of| json!({"name": of.to_uppercase(), "email": format!("{of}@example.com"), "is_sso_user": false}));
    assert_eq!((rows, notes.len()), (json!(due), 3));
}

#[test]
fn a_user_of_an_identity_provider_is_an_sso_user() {
    let mut linked = user(&password(&json!({"value": BCRYPT}), &json!({"algorithm": "bcrypt"})));
    linked["federatedIdentities"] = json!([{"identityProvider": "google"}]);
    let (rows, notes) = keycloak(&json!([linked]));
    assert_eq!(rows, json!([{"name": "A", "email": "a@example.com", "is_sso_user": true}]));
    assert_eq!(notes, ["a@example.com: signs in through an identity provider, and the password is not used"]);
}

#[test]
fn a_required_action_makes_the_password_one_that_must_be_changed() {
    let mut one = user(&password(&json!({"value": BCRYPT}), &json!({"algorithm": "bcrypt"})));
    one["requiredActions"] = json!(["VERIFY_EMAIL", "UPDATE_PASSWORD"]);
    assert_eq!(keycloak(&json!([one])).0[0]["must_change_password"], json!(true));
    // Without a password there is none to change, and the server rejects the field.
    one["credentials"] = json!([]);
    assert_eq!(keycloak(&json!([one])).0[0].get("must_change_password"), None);
}

#[test]
fn a_user_is_named_after_the_user_name_or_the_address() {
    let (rows, notes) = keycloak(&json!([
        {"username": "lukasz", "email": "l@example.com", "credentials": [], "firstName": null},
        {"username": "g@example.com", "email": "g@example.com", "lastName": " "},
        {"email": "h@example.com"},
        {"username": "l", "email": "w@example.com", "firstName": "\u{141}ukasz", "lastName": "Wałęsa"},
    ]));
    let names: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["lukasz", "g", "h", "Łukasz"]);
    assert_eq!(rows[3]["lastname"], "Wałęsa");
    let named = |of: &str| {
        format!(
            "{of}@example.com: has no name and is named `{of}`; has no password until one is set: the export has no password"
        )
    };
    assert_eq!(notes[1..3], [named("g"), named("h")]);
}

#[test]
fn service_accounts_and_disabled_users_are_left_out() {
    let users = json!([
        {"username": "service-account-ci", "serviceAccountClientId": "ci"},
        {"username": "desk"},
        {"username": "annie", "email": "annie@example.com", "enabled": false, "firstName": "Annie"},
    ]);
    let (rows, notes) = keycloak(&users);
    assert_eq!(rows, json!([]));
    let due = [
        "service-account-ci: left out: service account; see `muster service-account create`",
        "desk: left out: no e-mail address",
        "annie@example.com: left out: disabled",
    ];
    assert_eq!(notes, due);
    let all = Options { disabled: true, ..options(Source::Keycloak) };
    let converted = convert_bytes(realm(&users).into_bytes(), &all).unwrap();
    assert_eq!((converted.users, converted.left_out), (1, 2));
    assert_eq!(converted.suspended, "{\"user\":\"annie@example.com\"}\n");
}

#[test]
fn a_realm_an_array_of_realms_and_the_files_of_a_directory_export_are_read() {
    let (one, other) = (json!([{"email": "a@example.com"}]), json!([{"email": "b@example.com"}]));
    let realms = format!("[{},{}]", realm(&one), realm(&other));
    let files = format!("{}\n{}\n", realm(&one), realm(&other));
    for export in [realms, files, "[{\"email\":\"a@example.com\"},{\"email\":\"b@example.com\"}]".to_owned()] {
        let emails: Vec<_> =
            converted(Source::Keycloak, &export).0.as_array().unwrap().iter().map(|row| row["email"].clone()).collect();
        assert_eq!(emails, ["a@example.com", "b@example.com"]);
    }
}

#[test]
fn another_file_is_not_a_realm() {
    let due = "contains no users of Keycloak; export with `kc.sh export --users realm_file`";
    for export in
        ["{\"realm\": \"staff\"}", "{\"realm\": \"staff\", \"users\": []}", "[]", "", "{\"users\": null}", "7"]
    {
        assert_eq!(broken(Source::Keycloak, export), due, "{export}");
    }
    assert_eq!(broken(Source::Keycloak, "no JSON"), ":1:2 malformed JSON: expected ident");
    let cut = realm(&json!([{"email": "a@example.com"}]));
    let cut = cut.get(..cut.len() - 20).unwrap();
    assert!(broken(Source::Keycloak, cut).ends_with(" the JSON text is incomplete; is the export complete?"));
    assert_eq!(
        broken(Source::Keycloak, "{\"users\": [\n  {\"email\": \"a@example.com\"}\n  {\"email\": \"hunter2\"}]}"),
        ":3:3 malformed JSON: expected `,` or `]`"
    );
    assert_eq!(broken(Source::Keycloak, "{\"users\": {}}"), ":1:12 malformed JSON: the users must be a list");
}
