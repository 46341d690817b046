//! Where people are signed in, and ending that.

use serde_json::json;

use super::{Answer, Browser, PASSWORD, TestApp, heading, owner, spawn, user};

const PATH: &str = "/console/sessions";

/// Signs in with a program that calls itself so.
async fn sign_in(app: &TestApp, email: &str, agent: &str) -> Browser {
    let browser = Browser::of(app);
    let login = json!({"email": email, "password": PASSWORD}).to_string();
    let request = browser.request("POST", "/api/v2/users/login").header("content-type", "application/json");
    let answer = browser.send(request.header("user-agent", agent).body(login)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    browser
}

async fn is_signed_in(browser: &Browser) -> bool {
    browser.get("/api/v2/userinfo/").await.status == 200
}

/// The rows of the list, from the latest sign-in on.
fn rows(page: &Answer) -> Vec<&str> {
    page.text.split("<tr><th scope=\"row\">").skip(1).map(|row| row.split_once("</tr>").unwrap().0).collect()
}

/// The value of the button that ends the session of a row.
fn button(row: &str) -> &str {
    row.split_once("name=\"end\" value=\"").unwrap().1.split_once('"').unwrap().0
}

#[tokio::test]
async fn open_sessions_of_everybody_are_listed_and_one_is_ended() {
    let app = spawn().await;
    let owner = owner(&app).await;
    user(&app, "cleo@example.com", "collaborator").await;
    let chrome = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36";
    let at_work = sign_in(&app, "cleo@example.com", chrome).await;
    let program = sign_in(&app, "cleo@example.com", "\"><b>curl</b>/8").await;
    let page = owner.get(PATH).await;
    assert_eq!((page.status, heading(&page)), (200, "Sessions"), "{}", page.text);
    let listed = rows(&page);
    assert_eq!(listed.len(), 3, "{}", page.text);
    assert!(listed[0].contains("&#34;&#62;&#60;b&#62;curl&#60;") && !page.text.contains("<b>curl"), "{}", listed[0]);
    for part in
        ["Chrome on Windows", "<td class=\"c1\">Password</td>", "127.0.0.0/24", "Today ", "<bdi>Ada Lovelace</bdi>"]
    {
        assert!(listed[1].contains(part), "{part} in {}", listed[1]);
    }
    // The visitor's own session is marked, and is ended by signing out.
    assert!(listed[2].contains("This session") && !listed[2].contains("<button"), "{}", listed[2]);

    let id = button(listed[1]);
    let ended = owner.submit(PATH, &[("end", id)]).await;
    assert_eq!((ended.status, ended.header("location")), (303, "../console/sessions?ended=1"), "{}", ended.text);
    assert_eq!([is_signed_in(&at_work).await, is_signed_in(&program).await], [false, true]);
    let page = owner.get(&format!("{PATH}?ended=1")).await;
    assert!(page.text.contains("The session has ended.") && rows(&page).len() == 2, "{}", page.text);
    // The form again.
    assert_eq!(owner.submit(PATH, &[("end", id)]).await.status, 303);
    let events = app.owner.get("/api/v2/audit/events?action=session.end").await.json();
    assert_eq!(events["results"].as_array().map(Vec::len), Some(1), "{events}");
    assert_eq!(owner.submit(PATH, &[("end", "all")]).await.status, 400);
}

#[tokio::test]
async fn sessions_are_filtered_by_person_and_by_method() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let cleo = user(&app, "cleo@example.com", "collaborator").await;
    sign_in(&app, "cleo@example.com", "curl/8").await;
    app.signed_in("eve@example.com").await;
    for (parameters, count) in [
        ("", 3),
        ("user=cleo%40example.com", 1),
        (&format!("user={cleo}"), 1),
        ("user=cleo", 1),
        ("method=link", 1),
        ("method=password", 2),
        ("method=sso", 0),
        ("user=cleo&method=link", 0),
    ] {
        let page = owner.get(&format!("{PATH}?{parameters}")).await;
        assert_eq!((page.status, rows(&page).len()), (200, count), "{parameters}: {}", page.text);
        assert_eq!(page.text.contains("No open session matches"), count == 0, "{parameters}: {}", page.text);
    }
    // Several people with a name are a choice.
    let choice = owner.get(&format!("{PATH}?user=lovelace")).await;
    assert!(
        choice.text.contains("Whose sessions?") && choice.text.contains(&format!("sessions?user={cleo}")),
        "{}",
        choice.text
    );
    assert!(owner.get(&format!("{PATH}?user=nobody")).await.text.contains("Nobody matches"));
    for (parameters, status) in
        [("method=magic", 400), ("shade=red", 400), ("after=x", 400), ("user=usr_01k9h6m3x0e8wbz1v5n7q2r4t6", 404)]
    {
        assert_eq!(owner.get(&format!("{PATH}?{parameters}")).await.status, status, "{parameters}");
    }
}

#[tokio::test]
async fn sessions_of_a_person_or_of_everybody_else_end_after_a_review() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let cleo = user(&app, "cleo@example.com", "collaborator").await;
    user(&app, "max@example.com", "collaborator").await;
    let browsers = [
        sign_in(&app, "cleo@example.com", "curl/8").await,
        sign_in(&app, "cleo@example.com", "curl/8").await,
        sign_in(&app, "max@example.com", "curl/8").await,
    ];
    let other = sign_in(&app, "ingrid@example.com", "curl/8").await;
    let path = format!("{PATH}/end?user={cleo}");
    let review = owner.get(&path).await;
    assert_eq!(heading(&review), "End all sessions of <bdi>Ada Lovelace</bdi>?", "{}", review.text);
    assert!(review.text.contains("<dt>sessions end</dt><dd>2</dd>"), "{}", review.text);
    assert!(is_signed_in(&browsers[0]).await);
    let ended = owner.submit(&format!("{PATH}/end"), &[("user", &cleo)]).await;
    let location = format!("../../console/sessions?ended=2&user={cleo}");
    assert_eq!((ended.status, ended.header("location")), (303, location.as_str()), "{}", ended.text);
    let mut signed_in = Vec::new();
    for browser in &browsers {
        signed_in.push(is_signed_in(browser).await);
    }
    assert_eq!(signed_in, [false, false, true]);
    assert!(owner.get(&path).await.text.contains("No other session is open."));

    let review = owner.get(&format!("{PATH}/end")).await;
    assert_eq!(heading(&review), "End all sessions but yours?", "{}", review.text);
    for part in ["<dt>sessions end</dt><dd>2</dd>", "<dt>people have to sign in again</dt><dd>2</dd>", "End 2 sessions"]
    {
        assert!(review.text.contains(part), "{part} in {}", review.text);
    }
    // The review ends none.
    assert!(is_signed_in(&browsers[2]).await && is_signed_in(&other).await);
    assert_eq!(owner.submit(&format!("{PATH}/end"), &[("x", "y")]).await.status, 400);
    for count in [2, 0] {
        let ended = owner.submit(&format!("{PATH}/end"), &[("everyone", "yes")]).await;
        assert_eq!(ended.header("location"), format!("../../console/sessions?ended={count}"), "{}", ended.text);
    }
    assert_eq!([is_signed_in(&browsers[2]).await, is_signed_in(&other).await], [false, false]);
    let page = owner.get(&format!("{PATH}?ended=2")).await;
    assert!(page.text.contains("2 sessions have ended.") && rows(&page).len() == 1, "{}", page.text);
    // One entry for each person.
    let events = app.owner.get("/api/v2/audit/events?action=session.end").await.json();
    let numbers: Vec<u64> =
        events["results"].as_array().unwrap().iter().map(|one| one["details"]["sessions"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 1, 2], "{events}");
}

/// Requirements U-31 and U-32. Sessions that are over are not listed, and hide no other.
#[tokio::test]
async fn the_list_of_sessions_is_read_page_by_page() {
    let app = spawn().await;
    let owner = owner(&app).await;
    app.db_execute(
        "insert into sessions
            (organization_id, session_id, user_id, secret_sha256, stage, method, authenticated_at, created_at, last_seen_at,
             idle_expires_at, expires_at, ended_at, end_reason)
        select organization_id, ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, user_id, secret_sha256, stage, method,
            authenticated_at, created_at, last_seen_at,
            case when n > 55 and n <= 65 then now() - interval '1 minute' else idle_expires_at end, expires_at,
            case when n > 65 then now() end, case when n > 65 then 'ended' end
        from sessions, generate_series(1, 75) n",
    )
    .await;
    let link = |page: &Answer, rel: &str| {
        let (before, _) = page.text.split_once(&format!("\" rel=\"{rel}\""))?;
        Some(before.rsplit_once("href=\"")?.1.replace("&#38;", "&"))
    };
    let first = owner.get(PATH).await;
    assert_eq!((rows(&first).len(), link(&first, "prev")), (50, None), "{}", first.text);
    let second = owner.get(&format!("/console/{}", link(&first, "next").unwrap())).await;
    assert_eq!((rows(&second).len(), link(&second, "next")), (6, None), "{}", second.text);
    let back = owner.get(&format!("/console/{}", link(&second, "prev").unwrap())).await;
    assert_eq!((rows(&back).len(), link(&back, "prev")), (50, None), "{}", back.text);
}
