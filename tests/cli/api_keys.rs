//! `muster api-key …` and `muster service-account …` over HTTP; `muster key rotate` and `show` on the database.

use muster::caller::PermissionLevel;
use serde_json::Value;

use crate::support::{Actor, TestApp};
use crate::{json, local, remote};

async fn status(app: &TestApp, token: &Value) -> u16 {
    Actor::new(app.address, token.as_str()).get("/api/v2/userinfo/").await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_manages_keys_remotely() {
    let app = TestApp::spawn().await;
    let made = remote(
        &app,
        &"api-key create --name ci --scope users:read --scope audit:read --role collaborator --expires-in 12h -o json"
            .split(' ')
            .collect::<Vec<_>>(),
    );
    let key = json(&made);
    assert_eq!(
        (&key["scopes"], &key["permission_level"]),
        (&serde_json::json!(["users:read", "audit:read"]), &Value::from("collaborator"))
    );
    assert_eq!(status(&app, &key["token"]).await, 200);
    let id = key["key_id"].as_str().unwrap();
    let listed = remote(&app, &["api-key", "list"]);
    let row = listed.out.lines().find(|line| line.contains(id)).unwrap();
    assert!(row.contains("users:read audit:read") && row.contains("active") && !listed.out.contains("amk_"), "{row}");
    // The last column is the key that created it.
    assert!(row.trim_end().ends_with(&format!("  {}", key["created_by"].as_str().unwrap())), "{row}");
    assert_eq!(json(&remote(&app, &["api-key", "get", id, "-o", "json"]))["name"], "ci");

    let rotated = remote(&app, &["api-key", "rotate", id, "--overlap", "1h"]);
    assert_eq!(rotated.status, Some(0));
    assert!(
        rotated.err.contains("; the old token stays valid until ")
            && rotated.err.ends_with("; its token, shown only once:\n"),
        "{}",
        rotated.err
    );
    let token = Value::from(rotated.out.trim_end());
    assert_eq!((status(&app, &key["token"]).await, status(&app, &token).await), (200, 200));
    let revoked = remote(&app, &["api-key", "revoke", id]);
    assert_eq!((revoked.status, revoked.out.as_str(), revoked.err), (Some(0), "", format!("revoked {id}\n")));
    assert_eq!(status(&app, &token).await, 401);
    let again = remote(&app, &["api-key", "revoke", id]);
    assert_eq!((again.status, again.err), (Some(1), format!("error: API key {id} is already revoked\n")));
    let wrong = remote(&app, &["api-key", "create", "--name", "x", "--scope", "users"]);
    assert_eq!(wrong.status, Some(2));
    assert!(wrong.err.contains("expected one of users:read, users:write, "), "{}", wrong.err);
    let wrong = remote(&app, &["api-key", "get", "../userinfo"]);
    assert_eq!((wrong.status, wrong.err.as_str()), (Some(2), "error: invalid ID `../userinfo`; expected `key_…`\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_is_created_and_its_key_is_rotated() {
    let app = TestApp::spawn().await;
    let account = json(&remote(&app, &["service-account", "create", "--name", "ci", "-o", "json"]));
    let again = remote(&app, &["service-account", "create", "--name", "ci"]);
    assert_eq!(
        (again.status, again.err.as_str()),
        (Some(1), "error: a collaborator named `ci` already exists; choose another name\n")
    );
    let listed = json(&remote(&app, &["service-account", "list", "-o", "json"]));
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["user_id"]), (1, &account["user_id"]));
    let key = json(&remote(&app, &["service-account", "create-key", "--name", "ci", "-o", "json"]));
    assert_eq!((&key["user_id"], &key["permission_level"]), (&account["user_id"], &Value::from("collaborator")));
    assert_eq!(status(&app, &key["token"]).await, 200);
    let rotated = remote(&app, &["service-account", "rotate-keys", "--name", "ci", "-o", "json"]);
    assert_eq!(rotated.err, "revoked 1 API key\n");
    assert_eq!((status(&app, &key["token"]).await, status(&app, &json(&rotated)["token"]).await), (401, 200));
    let asked = remote(&app, &["service-account", "delete", "--name", "ci"]);
    let message = "error: can't ask for confirmation without a terminal; add `--yes`\n";
    assert_eq!((asked.status, asked.err.as_str()), (Some(2), message));
    let deleted = remote(&app, &["service-account", "delete", "--name", "ci", "--yes"]);
    assert_eq!((deleted.status, deleted.err.as_str()), (Some(0), "deleted ci and its API keys\n"));
    assert_eq!(status(&app, &json(&rotated)["token"]).await, 401);
    assert_eq!(json(&remote(&app, &["service-account", "list", "-o", "json"])), serde_json::json!([]));
    let nobody = remote(&app, &["service-account", "create-key", "--name", "nobody"]);
    assert_eq!((nobody.status, nobody.err.as_str()), (Some(1), "error: no service account named `nobody`\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_operator_creates_rotates_and_shows_keys_of_users() {
    let app = TestApp::spawn().await;
    let (ada_id, _) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let made = json(&local(
        &app,
        &"key create --name ada's --user ada@example.com --role owner --scope users:read -o json"
            .split(' ')
            .collect::<Vec<_>>(),
    ));
    // The level of a key is capped by that of its user.
    assert_eq!(
        (&made["user_id"], &made["permission_level"]),
        (&Value::from(ada_id.as_str()), &Value::from("collaborator"))
    );
    assert_eq!(made["scopes"], serde_json::json!(["users:read"]));
    assert_eq!(status(&app, &made["token"]).await, 200);
    let id = made["key_id"].as_str().unwrap();
    let rotated = json(&local(&app, &["key", "rotate", id, "--overlap", "0s", "-o", "json"]));
    assert_eq!(rotated.get("previous_expires_at"), None);
    Actor::new(app.address, made["token"].as_str()).is_rejected_within_a_second().await;
    assert_eq!(status(&app, &rotated["token"]).await, 200);
    let shown = json(&local(&app, &["key", "show", id, "-o", "json"]));
    assert_eq!((&shown["rotated_at"], shown.get("token")), (&rotated["rotated_at"], None));
    let listed = json(&local(&app, &["key", "list", "--user", &ada_id, "-o", "json"]));
    assert_eq!(
        listed.as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["test", "ada's"]
    );
    let nobody = local(&app, &["key", "create", "--name", "x", "--user", "nobody@example.com"]);
    assert_eq!((nobody.status, nobody.err.as_str()), (Some(1), "error: no such user\n"));
    let long = local(&app, &["key", "rotate", id, "--overlap", "8d"]);
    assert_eq!(
        (long.status, long.err.as_str()),
        (Some(1), "error: the previous secret can stay valid for 0 to 7 days after a rotation\n")
    );
}
