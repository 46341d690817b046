//! API keys: the list, making, rotating and revoking them.

use serde_json::{Value, json};

use super::{Answer, Browser, PASSWORD, TestApp, heading, hidden, owner, spawn, user};

const CANARY: &str = "\"><script>alert(1)</script>";

/// The escaped [`CANARY`].
const SHOWN: &str = "&#34;&#62;&#60;script&#62;alert(1)&#60;/script&#62;";

async fn signed_in(app: &TestApp, email: &str) -> Browser {
    let browser = Browser::of(app);
    browser.sign_in_on_page(email, PASSWORD, "").await;
    browser
}

/// Makes a key over HTTP: its ID and its token.
async fn key(actor: &super::Actor, wanted: Value) -> (String, String) {
    let made = actor.post("/api/v2/api_keys", &wanted).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let key = made.json()["result"].clone();
    (key["key_id"].as_str().unwrap().to_owned(), key["token"].as_str().unwrap().to_owned())
}

async fn service_account(app: &TestApp, name: &str) -> String {
    let path = format!("/api/v2/users/service_accounts?name={name}");
    app.owner.post(&path, &Value::Null).await.json()["result"]["user_id"].as_str().unwrap().to_owned()
}

/// The secret that a page shows.
fn secret(page: &Answer) -> String {
    let (_, rest) =
        page.text.split_once("<h2 id=\"secret\">Secret</h2><pre>").unwrap_or_else(|| panic!("{}", page.text));
    rest.split_once("</pre>").unwrap().0.to_owned()
}

async fn works(app: &TestApp, token: &str) -> bool {
    match app.anonymous().with_token(token).get("/api/v2/userinfo/").await.status {
        200 => true,
        401 => false,
        status => panic!("{status}"),
    }
}

/// The names of the listed keys, in order.
fn names(page: &Answer) -> Vec<String> {
    assert_eq!(page.status, 200, "{}", page.text);
    let rows = page.text.split("<th scope=\"row\">").skip(1);
    rows.map(|row| row.split_once("<bdi>").unwrap().1.split_once("</bdi>").unwrap().0.to_owned()).collect()
}

fn has(page: &Answer, status: u16, parts: &[&str]) {
    assert_eq!(page.status, status, "{}", page.text);
    for part in parts {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
}

/// Requirements U-27 and U-85.
#[tokio::test]
async fn a_key_is_made_once_and_its_secret_is_shown_once() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let form = owner.get("/console/keys/new").await;
    let fields = [("form", hidden(&form, "form")), ("name", CANARY), ("days", "30"), ("level", "owner")];
    let made = owner.submit("/console/keys/new", &fields).await;
    let token = secret(&made);
    let export = format!("MUSTER_TOKEN={token}\nmuster whoami");
    has(&made, 200, &["The secret is shown only now", &export, &format!("ANYSCALE_CLI_TOKEN={token}"), SHOWN]);
    assert_eq!(made.header("cache-control"), "no-store");
    assert!(works(&app, &token).await && !made.text.contains("<script>alert"), "{}", made.text);

    // The same form again, as by a double click or a reload.
    let again = owner.submit("/console/keys/new", &fields).await;
    has(&again, 412, &["The form was sent before", "Nothing was made", "Its secret was shown then", SHOWN]);
    assert!(!again.text.contains("amk_"), "{}", again.text);
    let list = owner.get("/console/keys?owner=ingrid@example.com").await;
    assert_eq!(names(&list), [SHOWN]);

    let id = muster::keys::Token::parse(&token).unwrap().id;
    let page = owner.get(&format!("/console/keys/{id}")).await;
    let log = format!("audit?target={id}\">In the audit log</a>");
    has(&page, 200, &["<dd>Owner</dd>", "in 30 days", &log, "<bdi>Ada Lovelace</bdi></a>"]);
    assert!(!page.text.contains(&token) && page.text.contains(&format!("data-copy=\"{id}\"")), "{}", page.text);

    // The form of somebody else is not accepted: nobody chooses the ID of a key.
    user(&app, "eve@example.com", "owner").await;
    let eve = signed_in(&app, "eve@example.com").await;
    let foreign = hidden(&form, "form").to_owned();
    let forged = format!("key_01k9h6m3x0e8wbz1v5n7q2r4t6.{}", foreign.split_once('.').unwrap().1);
    for form in [foreign.as_str(), forged.as_str(), "", "key_01k9h6m3x0e8wbz1v5n7q2r4t6.", "x.y"] {
        let page = eve.submit("/console/keys/new", &[("form", form), ("name", "eve"), ("days", "")]).await;
        has(&page, 400, &["This form can’t be sent any more.", "value=\"eve\"", "name=\"form\" value=\"key_"]);
    }
    assert_eq!(app.db_value::<i64>("select count(*) from api_keys where name = 'eve'").await, 0);
}

/// Requirement U-23.
#[tokio::test]
async fn what_is_wrong_with_a_new_key_is_said_at_its_field() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let form = owner.get("/console/keys/new").await;
    let form = hidden(&form, "form");
    for (name, level, days, scope, link) in [
        (
            "",
            "owner",
            "",
            "",
            "<a href=\"#name\">An API key&#39;s name must be one line of 1 to 100 visible characters.",
        ),
        ("ci", "owner", "400", "", "<a href=\"#days\">An API key&#39;s lifetime must be positive and at most 365 days"),
        ("ci", "owner", "soon", "", "<a href=\"#days\">Enter a number of days."),
        ("ci", "king", "", "", "<a href=\"#level\">Choose a level."),
        ("ci", "owner", "", "users:eat", "<a href=\"#scopes\">Choose from these scopes."),
    ] {
        let mut fields = vec![("form", form), ("name", name), ("level", level), ("days", days)];
        if !scope.is_empty() {
            fields.push(("scope", scope));
        }
        let page = owner.submit("/console/keys/new", &fields).await;
        has(&page, 400, &["There is a problem. No key was made.", link, &format!("name=\"days\" value=\"{days}\"")]);
    }
    let unknown = [("form", form), ("name", "ci"), ("for", "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")];
    has(&owner.submit("/console/keys/new", &unknown).await, 404, &["<a href=\"#for\">"]);
    // Another person's key would act as that person.
    let eve = user(&app, "eve@example.com", "collaborator").await;
    let denied = owner.submit("/console/keys/new", &[("form", form), ("name", "ci"), ("for", &eve)]).await;
    has(&denied, 403, &["A key for another person would act as that person"]);
    // None of these has used the form up.
    let made = owner.submit("/console/keys/new", &[("form", form), ("name", "ci"), ("scope", "users:read")]).await;
    assert!(works(&app, &secret(&made)).await);
    assert_eq!(app.db_value::<i64>("select count(*) from api_keys where name = 'ci'").await, 1);
}

#[tokio::test]
async fn keys_are_listed_with_whose_they_are_and_filtered() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let service = service_account(&app, "importer").await;
    key(&app.owner, json!({"name": "nightly", "user_id": service, "expires_in_seconds": 86_400})).await;
    let (revoked, _) = key(&app.owner, json!({"name": "gone", "user_id": service})).await;
    assert_eq!(app.owner.delete(&format!("/api/v2/api_keys/{revoked}")).await.status, 200);
    let (old, _) = key(&app.owner, json!({"name": "old", "scopes": ["users:read"]})).await;
    app.db_execute("update api_keys set created_at = created_at - interval '100 days' where name = 'old'").await;

    let list = owner.get("/console/keys").await;
    assert_eq!(names(&list), ["old", "nightly", "first key"]);
    let whose = format!("services/{service}\"><bdi>importer</bdi></a> <span class=\"tag\">Service account</span>");
    has(&list, 200, &[&whose, "Ends soon", "<td class=\"c3 cut\">users:read</td>", "tomorrow"]);
    let empty: [&str; 0] = [];
    for (query, expected) in [
        (format!("?owner={service}"), ["nightly"].as_slice()),
        ("?owner=importer&state=any".to_owned(), &["gone", "nightly"]),
        ("?owner=ingrid%40example.com".to_owned(), &empty),
        ("?owner=Nobody".to_owned(), &empty),
        ("?state=revoked".to_owned(), &["gone"]),
        ("?state=expired".to_owned(), &empty),
        ("?ends=14".to_owned(), &["nightly"]),
        ("?unused=90".to_owned(), &["old"]),
        ("?unused=120".to_owned(), &empty),
        (format!("?by={old}"), &empty),
    ] {
        assert_eq!(names(&owner.get(&format!("/console/keys{query}")).await), expected, "{query}");
    }
    let nobody = owner.get("/console/keys?owner=%3Cb%3ENobody").await;
    has(
        &nobody,
        200,
        &["No key matches", "Nobody has the name or address <bdi>&#60;b&#62;Nobody</bdi>", "Clear the filters"],
    );
    for query in ["ends=0", "ends=soon", "unused=-1", "state=new", "by=usr_x", "after=x", "shade=red", "count=7"] {
        assert_eq!(owner.get(&format!("/console/keys?{query}")).await.status, 400, "{query}");
    }
    // The number on the overview is that of its list.
    let overview = owner.get("/console").await;
    has(&overview, 200, &["<li><b>1</b><p><a href=\"console/keys?ends=14\">API key ends within 14 days</a>"]);
    assert_eq!(owner.get(&format!("/console/find?q={old}")).await.header("location"), format!("../console/keys/{old}"));
}

/// Requirement U-31.
#[tokio::test]
async fn the_list_of_keys_is_read_in_both_directions() {
    let app = spawn().await;
    let owner = owner(&app).await;
    for n in 0..60 {
        key(&app.owner, json!({"name": format!("n{n}")})).await;
    }
    let first = owner.get("/console/keys").await;
    let expected: Vec<String> = (0..60).rev().map(|n| format!("n{n}")).chain(["first key".to_owned()]).collect();
    assert_eq!(names(&first), expected[..50]);
    let link = |page: &Answer, rel: &str| {
        let (before, _) = page.text.split_once(&format!("\" rel=\"{rel}\"")).unwrap_or_else(|| panic!("{}", page.text));
        before.rsplit_once("href=\"").unwrap().1.replace("&#38;", "&").replace("&amp;", "&")
    };
    let second = owner.get(&format!("/console/{}", link(&first, "next"))).await;
    assert_eq!(names(&second), expected[50..]);
    let back = owner.get(&format!("/console/{}", link(&second, "prev"))).await;
    assert_eq!(names(&back), expected[..50]);
    // The place is one of this list.
    let other = link(&first, "next").replace("keys?", "keys?state=any&");
    has(&owner.get(&format!("/console/{other}")).await, 400, &["The page belongs to another list"]);
}

/// Requirement U-27.
#[tokio::test]
async fn a_rotation_that_is_sent_twice_replaces_the_secret_once() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let service = service_account(&app, "importer").await;
    let (id, token) = key(&app.owner, json!({"name": "nightly", "user_id": service})).await;
    let path = format!("/console/keys/{id}/rotate");
    let form = owner.get(&path).await;
    has(&form, 200, &["Rotate <bdi>nightly</bdi>?", "name=\"hours\" value=\"24\""]);
    let fields = [("latest", hidden(&form, "latest")), ("hours", "1")];
    for hours in ["", "many", "-1", "169"] {
        has(&owner.submit(&path, &[("latest", ""), ("hours", hours)]).await, 400, &["Nothing was changed"]);
    }
    let rotated = owner.submit(&path, &fields).await;
    let new = secret(&rotated);
    has(&rotated, 200, &["The previous secret works until"]);
    assert!(works(&app, &token).await && works(&app, &new).await);
    let again = owner.submit(&path, &fields).await;
    has(
        &again,
        412,
        &["The key was rotated Today ", "Rotating it again replaces that one.", "It ends at once if you rotate"],
    );
    assert!(works(&app, &new).await);
    // Knowingly again, at once.
    let third = owner.submit(&path, &[("latest", hidden(&again, "latest")), ("hours", "0")]).await;
    has(&third, 200, &["The previous secret no longer works."]);
    app.app.holders.clear();
    assert!(works(&app, &secret(&third)).await && !works(&app, &new).await);
    // The key of a person is theirs.
    let (_, ada) = app.person("ada@example.com", muster::caller::PermissionLevel::Collaborator).await;
    let (own, _) = key(&ada, json!({"name": "laptop"})).await;
    let page = owner.get(&format!("/console/keys/{own}")).await;
    assert!(!page.text.contains("Rotate…") && page.text.contains("Revoke…"), "{}", page.text);
    has(&owner.get(&format!("/console/keys/{own}/rotate")).await, 200, &["This is not possible", "act as its owner"]);
    let denied = owner.submit(&format!("/console/keys/{own}/rotate"), &[("latest", ""), ("hours", "0")]).await;
    assert_eq!((denied.status, heading(&denied)), (403, "Not permitted"));
}

/// Requirement U-88.
#[tokio::test]
async fn revoking_a_key_names_the_keys_that_it_made() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let (first, token) = key(&app.owner, json!({"name": "first"})).await;
    let actor = app.anonymous().with_token(&token);
    let (second, token) = key(&actor, json!({"name": CANARY})).await;
    let (third, third_token) = key(&app.anonymous().with_token(&token), json!({"name": "third"})).await;
    let (other, _) = key(&app.owner, json!({"name": "other"})).await;
    let page = owner.get(&format!("/console/keys/{first}/revoke")).await;
    has(&page, 200, &["Revoke <bdi>first</bdi>?", "2 keys that it made", SHOWN, "Revoke 1 key<", "Revoke 3 keys<"]);
    assert!(!page.text.contains("<bdi>other</bdi>"), "{}", page.text);
    let list = owner.get(&format!("/console/keys?by={first}")).await;
    assert_eq!(names(&list), [SHOWN]);
    has(&list, 200, &[&format!("keys/{first}\"><bdi>first</bdi></a></td>")]);

    let path = format!("/console/keys/{second}/revoke");
    let one = owner.submit(&path, &[("made", &third), ("scope", "one")]).await;
    let location = format!("../../../console/keys/{second}?revoked=1");
    assert_eq!((one.status, one.header("location")), (303, location.as_str()), "{}", one.text);
    assert!(works(&app, &third_token).await);
    has(&owner.submit(&path, &[("scope", "one")]).await, 409, &["is already revoked.", "It no longer works"]);
    // What a revoked key has made is still found, and can be revoked from there.
    has(&owner.get(&path).await, 200, &["It no longer works", "1 key that it made still works", "Revoke 1 key<"]);
    let path = format!("/console/keys/{first}/revoke");
    has(&owner.get(&path).await, 200, &["1 key that it made", "<bdi>third</bdi>", "Revoke 2 keys<"]);
    let all = owner.submit(&path, &[("made", &third), ("scope", "all")]).await;
    assert_eq!(all.header("location"), format!("../../../console/keys/{first}?revoked=2"), "{}", all.text);
    has(&owner.get(&format!("/console/keys/{first}?revoked=2")).await, 200, &["2 API keys are revoked.", "Revoked"]);
    assert!(!works(&app, &third_token).await);
    let left: i64 = app.db_value("select count(*) from api_keys where revoked_at is null").await;
    assert_eq!(left, 2, "the first key of the test, and {other}");
}

/// Requirement U-29.
#[tokio::test]
async fn collaborators_have_their_own_keys_only() {
    let app = spawn().await;
    owner(&app).await;
    user(&app, "cleo@example.com", "collaborator").await;
    let cleo = signed_in(&app, "cleo@example.com").await;
    let (other, _) = key(&app.owner, json!({"name": "nightly"})).await;
    has(&cleo.get("/console/keys").await, 200, &["No active key", "Make a key"]);
    let form = cleo.get("/console/keys/new").await;
    assert!(!form.text.contains("name=\"for\"") && !form.text.contains("name=\"level\""), "{}", form.text);
    let made =
        cleo.submit("/console/keys/new", &[("form", hidden(&form, "form")), ("name", "mine"), ("days", "1")]).await;
    let own = muster::keys::Token::parse(&secret(&made)).unwrap().id;
    let list = cleo.get("/console/keys").await;
    assert_eq!(names(&list), ["mine"]);
    assert!(!list.text.contains("name=\"owner\""), "{}", list.text);
    assert_eq!(cleo.get(&format!("/console/keys/{own}")).await.status, 200);
    for path in ["", "/rotate", "/revoke"] {
        let page = cleo.get(&format!("/console/keys/{other}{path}")).await;
        assert_eq!((page.status, heading(&page)), (403, "Not permitted"), "{path}");
    }
    assert_eq!(cleo.submit(&format!("/console/keys/{other}/revoke"), &[("scope", "one")]).await.status, 403);
    assert_eq!(cleo.get("/console/keys?owner=Administrator").await.status, 403);
    let revoked = cleo.submit(&format!("/console/keys/{own}/revoke"), &[("scope", "one")]).await;
    assert_eq!(revoked.status, 303, "{}", revoked.text);
}

/// Requirement U-29: what needs a recent sign-in asks for it, and comes back with what was entered.
#[tokio::test]
async fn making_a_key_needs_a_recent_sign_in() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let form = owner.get("/console/keys/new").await;
    app.db_execute("update sessions set authenticated_at = authenticated_at - interval '16 minutes'").await;
    app.app.holders.clear();
    let shown = owner.get("/console/keys/new?name=ci%20job&days=30").await;
    let location = "../../sign-in?return_to=%2Fconsole%2Fkeys%2Fnew%3Fname%3Dci%2520job%26days%3D30&again=1";
    assert_eq!((shown.status, shown.header("location")), (303, location));
    let fields = [("form", hidden(&form, "form")), ("name", "ci job"), ("days", "30")];
    let sent = owner.submit("/console/keys/new", &fields).await;
    assert_eq!((sent.status, sent.header("location")), (303, location));
    // Revoking does not.
    let (id, _) = key(&app.owner, json!({"name": "nightly"})).await;
    assert_eq!(owner.get(&format!("/console/keys/{id}/rotate")).await.status, 303);
    assert_eq!(owner.submit(&format!("/console/keys/{id}/revoke"), &[("scope", "one")]).await.status, 303);
    assert_eq!(
        owner.submit("/console/services", &[("name", "ci")]).await.header("location"),
        "../sign-in?return_to=%2Fconsole%2Fservices%3Fname%3Dci&again=1"
    );
}
