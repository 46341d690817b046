//! `muster sign-in policy …`: how the people of an organization sign in.

use muster::caller::PermissionLevel;
use serde_json::json;

use crate::support::TestApp;
use crate::{json, muster_at, remote, run};

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_is_shown_and_set() {
    let app = TestApp::spawn().await;
    let shown = remote(&app, &["sign-in", "policy", "show"]);
    assert_eq!((shown.status, shown.out.as_str()), (Some(0), "SSO       OWNERS    CHANGED\noptional  optional\n"));
    let set = remote(&app, &["sign-in", "policy", "set", "--sso", "off"]);
    assert_eq!((set.status, set.err.as_str()), (Some(0), "0 sessions ended\n"));
    assert!(set.out.starts_with("SSO  OWNERS    CHANGED\noff  optional  20"), "{}", set.out);
    let mut shown = json(&remote(&app, &["sign-in", "policy", "show", "-o", "json"]));
    assert!(shown["changed_at"].take().is_string(), "{shown}");
    assert_eq!(shown, json!({"sso_mode": "off", "owners_sso": "optional", "changed_at": null}));
    let set = json(&remote(&app, &["sign-in", "policy", "set", "--sso", "optional", "-o", "json"]));
    assert_eq!((&set["sso_mode"], &set["ended_sessions"]), (&json!("optional"), &json!(0)));

    let refused = remote(&app, &["sign-in", "policy", "set", "--sso", "required", "--owners-sso", "required"]);
    let message = "error: no active owner has signed in through an enabled identity provider in the last 30 days; sign in through \
                   it as an owner first, then require it\n";
    assert_eq!((refused.status, refused.out.as_str(), refused.err.as_str()), (Some(1), "", message));
    let refused = remote(&app, &["sign-in", "policy", "set", "--sso", "off", "--owners-sso", "required"]);
    let message = "error: `owners_sso` can be `required` only if `sso_mode` is `required`\n";
    assert_eq!((refused.status, refused.err.as_str()), (Some(1), message));
    assert_eq!(remote(&app, &["sign-in", "policy", "set"]).status, Some(2));
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    let denied = run(muster_at(&app)
        .env("MUSTER_TOKEN", collaborator.token())
        .args(["sign-in", "policy", "set", "--sso", "off"]));
    let message = "error: not permitted: `sign_in_policy.set` requires an owner's API key\n";
    assert_eq!((denied.status, denied.err.as_str()), (Some(1), message));
}
