//! Invitations: inviting people by their addresses, the links, revoking.

use serde_json::{Value, json};

use super::{Answer, Browser, TestApp, heading, hidden, owner, spawn, title, user};

const PATH: &str = "/console/invitations";
const NEW: &str = "/console/invitations/new";

/// The open invitations, by address.
async fn open(app: &TestApp) -> Vec<String> {
    let listed = app.owner.get("/api/v2/organization_invitations/").await.json();
    let mut emails: Vec<String> =
        listed["results"].as_array().unwrap().iter().map(|one| one["email"].as_str().unwrap().to_owned()).collect();
    emails.sort();
    emails
}

/// Invites the people of a review.
async fn confirm(owner: &Browser, review: &Answer, addresses: &str, more: &[(&str, &str)]) -> Answer {
    let fields = [&[("addresses", addresses), ("plan", hidden(review, "plan"))], more].concat();
    owner.submit(NEW, &fields).await
}

/// The links of a page.
fn links(page: &Answer) -> Vec<&str> {
    page.text.split("<p class=\"url\">").skip(1).map(|rest| rest.split_once('<').unwrap().0).collect()
}

#[tokio::test]
async fn people_are_invited_after_a_review_and_their_links_are_shown_once() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let empty = owner.get(PATH).await;
    assert!(
        empty.text.contains("Nobody has been invited yet") && empty.text.contains("invitations/new"),
        "{}",
        empty.text
    );
    let addresses = "Max@example.com, eva@example.com\r\nnora@example.com;";
    let review = owner.submit(NEW, &[("addresses", addresses)]).await;
    assert_eq!((review.status, heading(&review)), (200, "Invite 3 people?"), "{}", review.text);
    assert!(review.text.contains("<dt>are invited</dt><dd>3</dd>"), "{}", review.text);
    assert_eq!(open(&app).await, Vec::<String>::new());

    let shown = confirm(&owner, &review, addresses, &[("as", "page")]).await;
    assert_eq!((shown.status, heading(&shown)), (200, "3 invitation links"), "{}", shown.text);
    let shown_links = links(&shown);
    assert_eq!(shown_links.len(), 3, "{}", shown.text);
    assert!(
        shown.text.contains("Max@<wbr>example.com") && shown.text.contains("which only this machine can open"),
        "{}",
        shown.text
    );
    assert_eq!(open(&app).await, ["Max@example.com", "eva@example.com", "nora@example.com"]);
    // The link works, and the list says so.
    let path = shown_links[0].split_once(&app.address.to_string()).unwrap().1.to_owned();
    let accepted = Browser::of(&app)
        .submit(&path, &[("name", "Max"), ("lastname", ""), ("title", ""), ("password", super::PASSWORD)])
        .await;
    assert!(accepted.status < 400, "{}", accepted.text);
    let list = owner.get(&format!("{PATH}?state=accepted")).await;
    assert!(list.text.contains("Max@<wbr>example.com") && list.text.contains(">Accepted</span>"), "{}", list.text);
    assert!(!list.text.contains("eva@"), "{}", list.text);

    // The same form again, as after a reload: nobody is invited, and the links of before still work.
    let again = confirm(&owner, &review, addresses, &[("as", "page")]).await;
    assert_eq!(again.status, 409, "{}", again.text);
    assert!(again.text.contains("Nobody was invited") && links(&again).is_empty(), "{}", again.text);
    assert_eq!(open(&app).await, ["eva@example.com", "nora@example.com"]);
}

/// Requirement: open invitations are kept, unless replacing them is chosen; a form that is sent twice replaces them once.
#[tokio::test]
async fn open_invitations_stay_unless_they_are_to_be_replaced() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let invited = app.owner.post("/api/v2/organization_invitations/", &json!({"email": "eva@example.com"})).await;
    let first = invited.json()["result"]["id"].as_str().unwrap().to_owned();
    let addresses = "eva@example.com max@example.com";
    let review = owner.submit(NEW, &[("addresses", addresses)]).await;
    assert_eq!(heading(&review), "Invite 1 person?", "{}", review.text);
    assert!(review.text.contains("<dt>has an open invitation, which stays</dt><dd>1</dd>"), "{}", review.text);
    let shown = confirm(&owner, &review, addresses, &[("as", "page")]).await;
    assert_eq!((heading(&shown), links(&shown).len()), ("1 invitation link", 1), "{}", shown.text);
    assert!(shown.text.contains("1 person has an open invitation, which stays as before."), "{}", shown.text);
    // Nobody is left to invite.
    let review = owner.submit(NEW, &[("addresses", addresses)]).await;
    assert_eq!(heading(&review), "Everybody is invited already", "{}", review.text);
    let back = owner.submit(NEW, &[("addresses", addresses), ("as", "edit")]).await;
    assert!(back.text.contains(&format!("{addresses}</textarea>")), "{}", back.text);

    let replace = [("addresses", addresses), ("replace", "yes")];
    let review = owner.submit(NEW, &replace).await;
    assert!(
        review.text.contains("<dt>get new links, and the earlier ones stop working</dt><dd>2</dd>"),
        "{}",
        review.text
    );
    let fields = [("replace", "yes"), ("as", "csv")];
    let file = confirm(&owner, &review, addresses, &fields).await;
    assert_eq!((file.status, file.header("content-type")), (200, "text/csv; charset=utf-8"));
    assert_eq!(file.header("content-disposition"), "attachment; filename=\"invitations.csv\"");
    let lines: Vec<&str> = file.text.lines().collect();
    assert_eq!((lines[0], lines.len()), ("email,link,expires_at", 3), "{}", file.text);
    assert!(lines[1].starts_with("eva@example.com,http://127.0.0.1:"), "{}", file.text);
    let state = async |id: &str| owner.get(&format!("{PATH}/{id}")).await;
    assert!(state(&first).await.text.contains("Revoked or replaced"));
    let open_before = app.owner.get("/api/v2/organization_invitations/").await.json();
    let twice = confirm(&owner, &review, addresses, &fields).await;
    assert_eq!(twice.status, 409, "{}", twice.text);
    assert_eq!(app.owner.get("/api/v2/organization_invitations/").await.json(), open_before);
}

/// Requirement U-23: all or none, and what was entered stays.
#[tokio::test]
async fn a_list_with_a_problem_invites_nobody_and_keeps_what_was_entered() {
    let app = spawn().await;
    let owner = owner(&app).await;
    user(&app, "ada@example.com", "collaborator").await;
    let addresses = "max@example.com\nada@example.com\n<b>nobody\nMAX@example.com";
    let wrong = owner.submit(NEW, &[("addresses", addresses), ("level", "collaborator"), ("replace", "yes")]).await;
    assert_eq!((wrong.status, title(&wrong)), (422, "Error: Invite people · muster"), "{}", wrong.text);
    for part in [
        "There is a problem. Nobody was invited.",
        "ada@example.com: has an account already.",
        "&#60;b&#62;nobody: not a valid e-mail address.",
        "MAX@example.com: is in the list twice.",
        "max@example.com\nada@example.com\n&#60;b&#62;nobody\nMAX@example.com</textarea>",
        "name=\"replace\" value=\"yes\" checked",
        "aria-invalid=\"true\"",
        "Review the other 1",
    ] {
        assert!(wrong.text.contains(part), "{part} in {}", wrong.text);
    }
    let review = owner.submit(NEW, &[("addresses", addresses), ("leave_out", "yes")]).await;
    assert_eq!((review.status, heading(&review)), (200, "Invite 1 person?"), "{}", review.text);
    assert_eq!(hidden(&review, "addresses"), "max@example.com");
    for (addresses, problem) in [(" ,\n", "No address was entered."), ("ada@example.com", "has an account already.")] {
        let wrong = owner.submit(NEW, &[("addresses", addresses)]).await;
        assert!(wrong.status >= 400 && wrong.text.contains(problem), "{problem} in {}", wrong.text);
    }
    assert_eq!(open(&app).await, Vec::<String>::new());
    let forged = owner.submit(NEW, &[("addresses", "max@example.com"), ("plan", "x")]).await;
    assert_eq!(forged.status, 400, "{}", forged.text);
}

/// S-48: inviting owners needs a recent sign-in.
#[tokio::test]
async fn owners_are_invited_only_after_a_recent_sign_in() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let fields = [("addresses", "eva@example.com"), ("level", "owner")];
    let review = owner.submit(NEW, &fields).await;
    assert!(review.text.contains("owners, who may do everything in this organization"), "{}", review.text);
    let made = confirm(&owner, &review, "eva@example.com", &fields[1..]).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let list = owner.get(PATH).await;
    assert!(list.text.contains("<span class=\"tag owner\">Owner</span>"), "{}", list.text);

    app.db_execute("update sessions set authenticated_at = authenticated_at - interval '16 minutes'").await;
    app.app.holders.clear();
    let form = owner.get(NEW).await;
    assert!(form.text.contains("To invite owners, <a href"), "{}", form.text);
    let late = owner.submit(NEW, &[("addresses", "max@example.com"), ("level", "owner")]).await;
    assert_eq!(late.status, 403, "{}", late.text);
    for part in ["Inviting owners needs a recent sign-in.", "max@example.com</textarea>", "sign-in?again=1"] {
        assert!(late.text.contains(part), "{part} in {}", late.text);
    }
    // Collaborators, as before.
    assert_eq!(heading(&owner.submit(NEW, &[("addresses", "max@example.com")]).await), "Invite 1 person?");
}

#[tokio::test]
async fn an_invitation_is_revoked_once_after_its_page_has_said_what_ends() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let invited = app.owner.post("/api/v2/organization_invitations/", &json!({"email": "o'neil&co@example.com"})).await;
    assert_eq!(invited.status, 200, "{}", invited.text);
    let id = invited.json()["result"]["id"].as_str().unwrap().to_owned();
    // The overview leads to the list with the same number.
    let overview = owner.get("/console").await;
    assert!(overview.text.contains("href=\"console/invitations?state=open\">Invitation is open"), "{}", overview.text);
    let list = owner.get(&format!("{PATH}?state=open")).await;
    assert_eq!(list.text.matches("<tr><th scope=\"row\">").count(), 1, "{}", list.text);
    for part in ["in 7 days", "<bdi>Administrator</bdi>", "o&#39;neil&#38;co@<wbr>example.com"] {
        assert!(list.text.contains(part), "{part} in {}", list.text);
    }

    let path = format!("{PATH}/{id}");
    let page = owner.get(&path).await;
    for part in ["Revoke the invitation", "muster invitation invalidate", &id, "/audit?target=orginv_"] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    let found = owner.get(&format!("/console/find?q={id}")).await;
    assert_eq!(found.header("location"), format!("../console/invitations/{id}"));
    let revoked = owner.submit(&path, &[("revoke", "yes")]).await;
    assert_eq!(
        (revoked.status, revoked.header("location")),
        (303, "../../console/invitations?done=revoked"),
        "{}",
        revoked.text
    );
    assert!(owner.get(&format!("{PATH}?done=revoked")).await.text.contains("its link no longer works"));
    let again = owner.submit(&path, &[("revoke", "yes")]).await;
    assert_eq!(again.status, 409, "{}", again.text);
    assert!(
        again.text.contains("has already been revoked") && !again.text.contains("class=\"danger\""),
        "{}",
        again.text
    );
    let events = app.owner.get("/api/v2/audit/events?action=invitation.invalidate&outcome=success").await.json();
    assert_eq!(events["results"].as_array().map(Vec::len), Some(1), "{events}");
}

/// Requirements U-30 to U-32, U-37.
#[tokio::test]
async fn the_list_is_filtered_and_read_page_by_page() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let list: Vec<Value> = (0..52).map(|n| json!({"email": format!("crowd-{n:02}@example.com")})).collect();
    let invited = app.owner.post("/api/v2/organization_invitations/admin_batch_create", &json!(list)).await;
    assert_eq!(invited.status, 200, "{}", invited.text);
    let review = owner.submit(NEW, &[("addresses", "max@BÜCHER.example")]).await;
    assert_eq!(confirm(&owner, &review, "max@BÜCHER.example", &[]).await.status, 200);
    let rows = |page: &Answer| page.text.matches("<tr><th scope=\"row\">").count();
    let link = |page: &Answer, rel: &str| {
        let (before, _) = page.text.split_once(&format!("\" rel=\"{rel}\""))?;
        Some(before.rsplit_once("href=\"")?.1.replace("&#38;", "&"))
    };
    let first = owner.get(PATH).await;
    assert_eq!((rows(&first), link(&first, "prev")), (50, None), "{}", first.text);
    let second = owner.get(&format!("/console/{}", link(&first, "next").unwrap())).await;
    assert_eq!((rows(&second), link(&second, "next")), (3, None), "{}", second.text);
    let back = owner.get(&format!("/console/{}", link(&second, "prev").unwrap())).await;
    assert_eq!((rows(&back), link(&back, "prev")), (50, None), "{}", back.text);
    for (parameters, count) in [
        ("q=crowd-1", 10),
        ("q=CROWD-01%40example.com", 1),
        ("q=max%40b%C3%BCcher.example", 1),
        ("by=lovelace", 1),
        ("by=%25", 0),
        ("state=open&q=max", 1),
        ("state=revoked", 0),
        ("state=expired", 0),
    ] {
        let page = owner.get(&format!("{PATH}?{parameters}")).await;
        assert_eq!((page.status, rows(&page)), (200, count), "{parameters}: {}", page.text);
        assert_eq!(page.text.contains("Clear the filters"), count == 0, "{parameters}: {}", page.text);
    }
    app.db_execute("update invitations set created_at = created_at - interval '8 days', expires_at = expires_at - interval '8 days' where email like 'max@%'").await;
    let expired = owner.get(&format!("{PATH}?state=expired")).await;
    assert_eq!(rows(&expired), 1, "{}", expired.text);
    let of_another_list = link(&first, "next").unwrap().replace("invitations?", "invitations?state=open&");
    for path in ["invitations?state=lost", "invitations?shade=red", "invitations?after=x", &of_another_list] {
        assert_eq!(owner.get(&format!("/console/{path}")).await.status, 400, "{path}");
    }
}
