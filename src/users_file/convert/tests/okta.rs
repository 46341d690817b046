use super::*;

fn user(of: &str, status: &str) -> Value {
    json!({"id": format!("00u{of}"), "status": status, "profile": {
        "firstName": of, "lastName": "Last", "login": format!("{of}@corp.example"), "email": format!("{of}@example.com"),
        "title": "Boss", "mobilePhone": null,
    }, "credentials": {"password": {}, "provider": {"type": "OKTA", "name": "OKTA"}}})
}

#[test]
fn people_of_okta_are_sso_users_unless_told_otherwise() {
    let export = json!([user("ada", "ACTIVE"), user("bo", "PASSWORD_EXPIRED")]).to_string();
    let (rows, notes) = converted(Source::Okta, &export);
    let due = |of: &str, sso: bool| json!({"name": of, "lastname": "Last", "email": format!("{of}@example.com"), "title": "Boss", "is_sso_user": sso});
    assert_eq!((rows, notes.len()), (json!([due("ada", true), due("bo", true)]), 0));
    let (rows, notes) = with(Options { sso: Some(false), ..options(Source::Okta) }, &export);
    assert_eq!(rows, json!([due("ada", false), due("bo", false)]));
    assert_eq!(notes[0], "ada@example.com: has no password until one is set: Okta exports no hashes");
}

#[test]
fn suspended_and_deactivated_people_are_disabled() {
    let export = [user("ada", "SUSPENDED"), user("bo", "DEPROVISIONED"), user("cy", "LOCKED_OUT")];
    let lines: String = export.iter().map(|user| format!("{user}\n")).collect();
    let (rows, notes) = converted(Source::Okta, &lines);
    assert_eq!(rows[0]["email"], "cy@example.com");
    assert_eq!(notes, ["ada@example.com: left out: disabled", "bo@example.com: left out: disabled"]);
}

#[test]
fn the_login_stands_in_for_a_missing_address() {
    let export = json!([{"id": "1", "profile": {"login": "ada@example.com", "email": null}}, {"id": "2", "profile": {"login": "bo"}}, {"id": "3", "profile": null}]);
    let (rows, notes) = converted(Source::Okta, &export.to_string());
    assert_eq!(rows, json!([{"name": "ada", "email": "ada@example.com", "is_sso_user": true}]));
    assert_eq!(
        notes,
        [
            "ada@example.com: has no name and is named `ada`",
            "bo: left out: no e-mail address",
            "3: left out: no e-mail address",
        ]
    );
}

#[test]
fn an_error_of_the_api_is_not_an_export() {
    let due = "not an export of Okta: no item is a user with a `profile`";
    assert_eq!(broken(Source::Okta, "{\"errorCode\":\"E0000011\",\"errorSummary\":\"Invalid token provided\"}"), due);
}
