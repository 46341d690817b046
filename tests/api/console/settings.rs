//! The settings of the organization.

use super::{heading, owner, spawn};

#[tokio::test]
async fn an_owner_renames_the_organization_and_limits_keys() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let page = owner.get("/console/settings").await;
    for part in [
        "value=\"Default organization\"",
        "<dt>Short name</dt><dd>default</dd>",
        "<dt>Mail</dt><dd>off: links are handed over by you <code class=\"soft\">mail.url, mail.from</code></dd>",
        "end after 60 minutes without a request, and 24 hours after signing in (12 hours after single sign-on)",
    ] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    let canary = "Vesta \"><script>alert(1)</script>";
    let renamed = owner.submit("/console/settings/name", &[("name", canary)]).await;
    assert_eq!(renamed.header("location"), "../../console/settings?done=name", "{}", renamed.text);
    let page = owner.get("/console/settings?done=name").await;
    let shown = "Vesta &#34;&#62;&#60;script&#62;alert(1)&#60;/script&#62;";
    assert!(
        page.text.contains(&format!("Owner · <bdi>{shown}</bdi>")) && !page.text.contains("<script>"),
        "{}",
        page.text
    );
    assert!(page.text.contains("The organization is renamed."), "{}", page.text);
    let empty = owner.submit("/console/settings/name", &[("name", " ")]).await;
    assert_eq!(empty.status, 400, "{}", empty.text);
    assert!(
        empty.text.contains("<a href=\"#name\">An organization&#39;s name must not be empty.</a>"),
        "{}",
        empty.text
    );

    for days in ["0", "x", "40000", "-1"] {
        let page = owner.submit("/console/settings/keys", &[("days", days)]).await;
        assert_eq!(page.status, 400, "{}", page.text);
        assert!(page.text.contains("<a href=\"#days\">Enter 1 to 36,500 days"), "{}", page.text);
        assert!(page.text.contains(&format!("name=\"days\" value=\"{days}\"")), "{}", page.text);
    }
    for (days, kept) in [("30", Some(30)), ("", None::<i32>)] {
        let set = owner.submit("/console/settings/keys", &[("days", days)]).await;
        assert_eq!(set.header("location"), "../../console/settings?done=keys", "{}", set.text);
        assert_eq!(app.db_value::<Option<i32>>("select max_key_days from organizations").await, kept);
        let hint = format!("1 to {}; empty", kept.unwrap_or(365));
        let form = owner.get("/console/keys/new").await;
        assert!(form.text.contains(&hint), "{hint} in {}", form.text);
    }
}

#[tokio::test]
async fn a_sign_in_policy_is_set_only_after_a_review_that_says_what_it_ends() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let path = "/console/settings/sign-in";
    for policy in ["required", "required_of_owners"] {
        let refused = owner.get(&format!("{path}?policy={policy}")).await;
        assert_eq!(refused.status, 409, "{}", refused.text);
        let why = "No active owner has signed in through an enabled identity provider in the last 30 days";
        assert!(refused.text.contains(why) && !refused.text.contains("Set the policy"), "{}", refused.text);
        assert_eq!(owner.submit(path, &[("policy", policy)]).await.status, 409);
    }
    let same = owner.get(&format!("{path}?policy=optional")).await;
    assert!(same.text.contains("It is like that already"), "{}", same.text);
    app.db_execute("update sessions set method = 'sso'").await;
    let review = owner.get(&format!("{path}?policy=off")).await;
    assert_eq!((review.status, heading(&review)), (200, "Turn single sign-on off?"), "{}", review.text);
    for part in [
        "<dt>session ends</dt><dd>1</dd>",
        "Set it and end 1 session",
        "muster sign-in policy set --sso off --owners-sso optional",
    ] {
        assert!(review.text.contains(part), "{part} in {}", review.text);
    }
    // The review has changed nothing.
    assert_eq!(app.db_value::<i64>("select count(*) from sign_in_policies").await, 0);
    assert_eq!(owner.get("/console/settings").await.status, 200);
    app.db_execute("update sessions set method = 'password'").await;
    let set = owner.submit(path, &[("policy", "off")]).await;
    assert_eq!(set.header("location"), "../../console/settings?done=sign-in&sessions=0", "{}", set.text);
    let page = owner.get("/console/settings?done=sign-in&sessions=0").await;
    assert!(page.text.contains("The sign-in policy is set; 0 sessions have ended."), "{}", page.text);
    assert!(page.text.contains("id=\"policy-off\" value=\"off\" checked"), "{}", page.text);
    assert_eq!(owner.get(&format!("{path}?policy=never")).await.status, 400);
    app.db_execute("update sessions set authenticated_at = authenticated_at - interval '16 minutes'").await;
    app.app.holders.clear();
    let stale = owner.get(&format!("{path}?policy=optional")).await;
    let location = "../../sign-in?return_to=%2Fconsole%2Fsettings%2Fsign-in%3Fpolicy%3Doptional&again=1";
    assert_eq!((stale.status, stale.header("location")), (303, location));
    let stale = owner.submit(path, &[("policy", "optional")]).await;
    assert_eq!((stale.status, stale.header("location")), (303, location));
}
