//! `muster session …`: the requirement S-26.

use muster::caller::PermissionLevel;
use serde_json::json;

use crate::support::{TestApp, sso, with_password};
use crate::{json, muster_at, remote, run};

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_ended() {
    let app = TestApp::spawn().await;
    let (_, first) = app.signed_in("ada@example.com").await;
    let second = app.signed_in_by_link("ada@example.com").await;
    assert_eq!(first.get("/api/v2/userinfo/").await.status, 401, "a new password ends all sessions");
    let listed = remote(&app, &["session", "list", "ada@example.com"]);
    let lines: Vec<&str> = listed.out.lines().collect();
    assert_eq!((listed.status, lines.len()), (Some(0), 2), "{}", listed.err);
    assert!(lines[0].starts_with("SESSION ID "), "{}", lines[0]);
    let id = lines[1].split_whitespace().next().unwrap();
    assert!(lines[1].contains("  link  ") && lines[1].contains("  127.0.0.0/24  "), "{}", lines[1]);
    let ran = remote(&app, &["session", "end", id]);
    assert_eq!((ran.status, ran.out, ran.err), (Some(0), String::new(), format!("ended {id}\n")));
    assert_eq!(second.get("/api/v2/userinfo/").await.status, 401);
    let third = app.signed_in_by_link("ada@example.com").await;
    let ran = remote(&app, &["session", "end", "--user", "ada@example.com", "-o", "json"]);
    assert_eq!(json(&ran), json!({"ended": 1}));
    assert_eq!(third.get("/api/v2/userinfo/").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_lists_and_ends_their_own_sessions_and_no_others() {
    let app = TestApp::spawn().await;
    let (_, ada) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    app.signed_in("ben@example.com").await;
    let own = |arguments: &[&str]| run(muster_at(&app).env("MUSTER_TOKEN", ada.token()).args(arguments));
    assert_eq!(json(&own(&["session", "list", "-o", "json"])), json!([]));
    let ran = own(&["session", "end", "--all"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "0 sessions ended\n"));
    assert_eq!(own(&["session", "list", "ben@example.com"]).status, Some(1));
    let machine = app.actor(PermissionLevel::Collaborator).await;
    let ran = run(muster_at(&app).env("MUSTER_TOKEN", machine.token()).args(["session", "list"]));
    let message = "error: the API key acts as no user; name one: muster session list USER\n";
    assert_eq!((ran.status, ran.err.as_str()), (Some(1), message));
    let ran = remote(&app, &["session", "end"]);
    assert_eq!(ran.status, Some(2), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_lists_and_ends_the_sessions_of_everybody() {
    let app = TestApp::spawn().await;
    let (_, ada) = app.signed_in("ada@example.com").await;
    app.signed_in("ben@example.com").await;
    let listed = remote(&app, &["session", "list", "--everyone"]);
    let lines: Vec<&str> = listed.out.lines().collect();
    assert_eq!((listed.status, lines.len()), (Some(0), 3), "{}", listed.err);
    assert!(lines[0].starts_with("SESSION ID ") && lines[0].contains("  EMAIL "), "{}", lines[0]);
    assert!(lines[1].contains("  ben@example.com  link  "), "{}", lines[1]);
    let listed = json(&remote(&app, &["session", "list", "--everyone", "-o", "json"]));
    assert_eq!(listed[1]["email"], "ada@example.com", "{listed}");
    let ran = remote(&app, &["session", "end", "--everyone"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "2 sessions ended\n"));
    assert_eq!(ada.get("/api/v2/userinfo/").await.status, 401);
    for arguments in ["list ada@example.com --everyone", "end --all --everyone"] {
        let arguments: Vec<&str> = ["session"].into_iter().chain(arguments.split(' ')).collect();
        assert_eq!(remote(&app, &arguments).status, Some(2), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_sign_in_is_shown_and_those_who_never_signed_in_are_found() {
    let app = TestApp::spawn().await;
    app.signed_in("ada@example.com").await;
    assert_eq!(app.owner.create(&json!([sso("ben@example.com")])).await.status, 200);
    let wide = remote(&app, &["user", "list", "--domain", "example.com", "-o", "wide"]);
    let lines: Vec<&str> = wide.out.lines().collect();
    assert!(lines[0].ends_with("  CREATED               LAST SIGN-IN"), "{}", wide.out);
    assert!(lines[1].starts_with("ada@") && lines[1].ends_with('Z'), "{}", wide.out);
    assert!(lines[2].starts_with("ben@") && lines[2].ends_with("Z  -"), "{}", wide.out);
    let ada = json(&remote(&app, &["user", "get", "ada@example.com", "-o", "json"]));
    assert!(ada["last_signed_in_at"].is_string() && ada["revision"] == 1, "{ada}");
    let shown = remote(&app, &["user", "get", "ada@example.com"]).out;
    assert!(shown.contains("\ncredential          password\nlast_signed_in_at   20"), "{shown}");
    let ben = remote(&app, &["user", "get", "ben@example.com"]).out;
    assert!(ben.contains("\ncredential          sso\nlast_signed_in_at   never\n"), "{ben}");
    let never = json(&remote(&app, &["user", "list", "--never-signed-in", "-o", "json"]));
    let emails: Vec<&str> = never.as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap()).collect();
    assert_eq!(emails, ["administrator@muster.invalid", "ben@example.com"]);
    let people =
        json!([with_password("eve@example.com", ""), with_password("kim@example.com", "tidal-anchor-Plum-91")]);
    assert_eq!(app.owner.create(&people).await.status, 200);
    for (email, credential) in [
        ("eve@example.com", "none (`muster user link` makes a link to set a password)"),
        ("kim@example.com", "initial_password (must be changed at the next sign-in)"),
    ] {
        let shown = remote(&app, &["user", "get", email]).out;
        assert!(shown.contains(&format!("\ncredential          {credential}\n")), "{shown}");
    }
}
