//! Values as they come from spreadsheets, directories and word processors.

use serde_json::{Value, json};

use crate::support::{Actor, TestApp, sso};

async fn findings(app: &TestApp, users: &Value) -> Vec<(u64, String, String, String)> {
    let answer = app.owner.create(users).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    let rows = answer.error()["rows"].clone();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.as_array()
        .unwrap()
        .iter()
        .map(|row| (row["index"].as_u64().unwrap(), text(row, "field"), text(row, "code"), text(row, "message")))
        .collect()
}

#[tokio::test]
async fn a_domain_that_no_domain_can_be_is_rejected_everywhere() {
    let app = TestApp::spawn().await;
    let no_domain =
        |shown: &str, code: &str| format!("has a domain with `{shown}` ({code}), which no domain name contains");
    let quote = |code: &str| format!("contains a typographic quotation mark ({code}); write ' instead");
    let table = [
        ("ada@my\u{2013}company.com", no_domain("\u{2013}", "U+2013")),
        ("ada@example.com\u{201d}", no_domain("\u{201d}", "U+201D")),
        ("\u{201c}ada@example.com\u{201d}", quote("U+201C")),
        ("ada@my\u{2011}company.com", no_domain("\u{2011}", "U+2011")),
        ("ada@ex\u{2022}ample.com", no_domain("\u{2022}", "U+2022")),
        ("\u{ab}ada@example.com\u{bb}", no_domain("\u{bb}", "U+00BB")),
        ("ada@example.com\u{3001}", no_domain("\u{3001}", "U+3001")),
        ("ada@ex\u{20ac}ample.com", no_domain("\u{20ac}", "U+20AC")),
        ("ada@i\u{2764}.ws", no_domain("\u{2764}", "U+2764")),
        ("o\u{2019}brien@example.com", quote("U+2019")),
        ("ada\u{a0}l@example.com", "contains an invisible character (U+00A0)".to_owned()),
        ("ada@ex\u{200b}ample.com", "contains an invisible character (U+200B)".to_owned()),
        ("ada@exa\u{200d}mple.com", "not a valid e-mail address".to_owned()),
    ];
    let users: Vec<Value> = table.iter().map(|(email, _)| sso(email)).collect();
    let expected: Vec<_> = (0_u64..)
        .zip(&table)
        .map(|(index, (_, message))| (index, "email".to_owned(), "email_invalid".to_owned(), message.clone()))
        .collect();
    assert_eq!(findings(&app, &json!(users)).await, expected);

    let inv = "inv@my\u{2013}company.example";
    let answer = app.owner.post("/api/v2/organization_invitations/batch_create", &json!([{"email": inv}])).await;
    assert_eq!(
        answer.json()["results"][0]["error"]["detail"],
        format!("`{inv}`: {}", no_domain("\u{2013}", "U+2013")),
        "{}",
        answer.text
    );
    let created = app.owner.create(&json!([sso("ada@example.com")])).await.json();
    let path = format!("/api/v2/users/{}", created["results"][0]["user_id"].as_str().unwrap());
    let answer = Actor::send(app.owner.request("PATCH", &path).body(json!({"email": inv}).to_string())).await;
    let detail = format!("the user can't be changed: users[0].email: {}", no_domain("\u{2013}", "U+2013"));
    assert_eq!((answer.status, answer.error()["detail"].as_str()), (422, Some(&*detail)), "{}", answer.text);
}

#[tokio::test]
async fn both_spellings_of_a_persian_domain_are_one_address() {
    let app = TestApp::spawn().await;
    let unicode = "ada@\u{646}\u{627}\u{645}\u{647}\u{200c}\u{627}\u{6cc}.com";
    let others = ["ada@b\u{fc}cher.example", "ada@stra\u{df}e.de", "ada@example\u{3002}com"];
    let users: Vec<Value> = std::iter::once(unicode).chain(others).map(sso).collect();
    assert_eq!(app.owner.create(&json!(users)).await.status, 200);
    let answer = app.owner.create(&json!([sso("ada@xn--mgba3gch31f060k.com")])).await;
    assert_eq!((answer.status, &answer.error()["rows"][0]["code"]), (409, &json!("email_taken")), "{}", answer.text);
}

#[tokio::test]
async fn blanks_and_zero_width_characters_around_values_are_dropped() {
    let app = TestApp::spawn().await;
    let row = |n: usize, name: &str| json!({"name": name, "email": format!(" a{n}@example.com\u{a0}"), "is_sso_user": true, "title": "\u{200b}Dr. "});
    let names = [" Ada", "Ada ", "Ada\u{a0}", "Ada\u{200b}", "\u{feff}Ada"];
    let users: Vec<Value> = names.iter().enumerate().map(|(n, name)| row(n, name)).collect();
    let answer = app.owner.create(&json!(users)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    for (n, user) in answer.json()["results"].as_array().unwrap().iter().enumerate() {
        assert_eq!((&user["name"], &user["email"]), (&json!("Ada"), &json!(format!("a{n}@example.com"))));
    }
    let kept: String =
        app.db_value("select string_agg(distinct name || '|' || title, ',') from users where email like 'a%'").await;
    assert_eq!(kept, "Ada|Dr.");
    let kept = [
        "\u{639}\u{644}\u{6cc}\u{200c}\u{631}\u{636}\u{627}",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "X",
        "Null",
        "O'Brien",
    ];
    let users: Vec<Value> = kept.iter().enumerate().map(|(n, name)| row(n + 10, name)).collect();
    let answer = app.owner.create(&json!(users)).await.json();
    let stored: Vec<&str> =
        answer["results"].as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap()).collect();
    assert_eq!(stored, kept);
    let bad: Vec<Value> =
        ["a\u{2028}b", "\u{2800}", "a\u{ffff}"].iter().enumerate().map(|(n, name)| row(n + 20, name)).collect();
    let codes: Vec<String> = findings(&app, &json!(bad)).await.into_iter().map(|(_, _, code, _)| code).collect();
    assert_eq!(codes, ["control_character", "empty", "control_character"]);
}

#[tokio::test]
async fn a_wrapped_hash_is_rejected_with_what_to_remove() {
    let app = TestApp::spawn().await;
    let hashed = |n: usize, hash: &str| json!({"name": "Ada", "email": format!("a{n}@example.com"), "is_sso_user": false, "password_hash": hash});
    let bcrypt = "$2a$10$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq";
    let argon2 = "$argon2id$v=19$m=65536,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$ATsMz00JXy3Yf/ITGYzLCvC0FKN28vSlP9RtlNb2wDU";
    let users = [format!("{{bcrypt}}{bcrypt}"), format!("{{ARGON2}}{argon2}"), format!("'{bcrypt}'")];
    let users: Vec<Value> = users.iter().enumerate().map(|(n, hash)| hashed(n, hash)).collect();
    let braces = "a hash with a prefix in braces; remove the `{…}` in front of the `$`";
    let messages: Vec<String> = findings(&app, &json!(users)).await.into_iter().map(|(.., message)| message).collect();
    assert_eq!(messages, [braces, braces, "in quotation marks; remove them"]);

    let tag = "ATsMz00JXy3Yf/ITGYzLCvC0FKN28vSlP9RtlNb2wDU";
    let cheap = format!("$argon2id$v=19$m=16,t=20,p=2$AAECAwQFBgcICQoLDA0ODw${tag}");
    let short_salt = format!("$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ${tag}");
    let answer = app.owner.create(&json!([hashed(1, &cheap), hashed(2, &short_salt)])).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let warnings = answer.json()["metadata"]["warnings"].clone();
    let messages: Vec<&str> = warnings.as_array().unwrap().iter().map(|w| w["message"].as_str().unwrap()).collect();
    assert_eq!(
        messages,
        [
            "argon2id with 16 KiB and 20 iterations is weaker than OWASP's 12288 KiB for as many iterations; the password \
             is rehashed at the next sign-in",
            "a salt of 8 bytes is shorter than the 16 that NIST SP 800-132 recommends; the password is rehashed at the \
             next sign-in",
        ]
    );
}

#[tokio::test]
async fn other_encodings_and_formats_of_a_body_are_named() {
    let app = TestApp::spawn().await;
    let users = json!([sso("ada@example.com")]).to_string();
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let (mark, sixteen) =
        ("it begins with a byte order mark; send UTF-8 without one", "it looks like UTF-16; send UTF-8");
    let csv = "it looks like CSV; `muster user batch-create -f FILE` takes it, this API takes JSON";
    for (body, why) in [
        (format!("\u{feff}{users}").into_bytes(), mark),
        (utf16(&users), sixteen),
        (utf16(&format!("\u{feff}{users}")), sixteen),
        (b"name;email;is_sso_user\nAda;ada@example.com;true\n".to_vec(), csv),
    ] {
        let answer = app.owner.create_raw(body).await;
        let error = json!({"code": "invalid_json", "detail": format!("the body is not valid JSON: {why}")});
        assert_eq!((answer.status, answer.error()), (400, error));
    }
    let answer = Actor::send(app.owner.request("POST", "/api/v2/users/create_api_key").body("\u{feff}{}")).await;
    assert_eq!(answer.error()["detail"], format!("the request body is not valid JSON: {mark}"), "{}", answer.text);
}
