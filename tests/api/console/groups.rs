//! Groups: their members, and who becomes an owner through them.

use serde_json::json;

use super::{heading, hidden, owner, spawn, user};

/// A group of this name: its ID.
async fn group(app: &super::TestApp, name: &str) -> String {
    let created = app.owner.post("/api/v2/user_groups/", &json!({ "name": name })).await;
    assert!(created.status < 300, "{}", created.text);
    created.json()["result"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn groups_are_created_renamed_and_deleted() {
    let app = spawn().await;
    let owner = owner(&app).await;
    assert!(owner.get("/console/groups").await.text.contains("No group yet"));
    let created = owner.submit("/console/groups", &[("name", " Turbine ops ")]).await;
    assert_eq!(created.status, 303, "{}", created.text);
    let id = created.header("location").rsplit('/').next().unwrap().to_owned();
    assert!(id.starts_with("ug_"), "{id}");
    // A second one of this name.
    let twice = owner.submit("/console/groups", &[("name", "turbine OPS")]).await;
    assert_eq!(twice.status, 409);
    assert!(
        twice.text.contains("No group was created") && twice.text.contains("value=\"turbine OPS\""),
        "{}",
        twice.text
    );
    let path = format!("/console/groups/{id}");
    let renamed = owner.submit(&format!("{path}/rename"), &[("name", "Turbines")]).await;
    assert_eq!(renamed.status, 303, "{}", renamed.text);
    let page = owner.get(&path).await;
    assert_eq!((page.status, heading(&page)), (200, "<bdi>Turbines</bdi>"));
    assert_eq!(owner.submit(&format!("{path}/delete"), &[("confirm", "Turbine ops")]).await.status, 400);
    let deleted = owner.submit(&format!("{path}/delete"), &[("confirm", "Turbines")]).await;
    assert_eq!((deleted.status, deleted.header("location")), (303, "../../../console/groups?done=deleted"));
    assert_eq!(owner.get(&path).await.status, 404);
}

#[tokio::test]
async fn people_are_added_by_address_or_id_all_or_none_and_removed_by_ticking() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let ada = user(&app, "ada@example.com", "collaborator").await;
    let eve = user(&app, "eve@example.com", "collaborator").await;
    let id = group(&app, "Turbines").await;
    let path = format!("/console/groups/{id}/members");
    let wrong = owner.submit(&path, &[("add", "ada@example.com, nobody@example.com")]).await;
    assert_eq!(wrong.status, 422, "{}", wrong.text);
    assert!(wrong.text.contains("nobody@example.com: There is no such user."), "{}", wrong.text);
    assert!(wrong.text.contains("<h2 id=\"members\">Members</h2><p class=\"soft small\">None.</p>"), "{}", wrong.text);
    let added = owner.submit(&path, &[("add", &format!("ADA@example.com\n{eve}"))]).await;
    let location = format!("../../../console/groups/{id}?added=2");
    assert_eq!((added.status, added.header("location")), (303, location.as_str()), "{}", added.text);
    let page = owner.get(&format!("/console/groups/{id}?added=2")).await;
    assert!(page.text.contains("2 people were added.") && page.text.contains("eve@<wbr>example.com"), "{}", page.text);
    let removed = owner.submit(&path, &[("add", ""), ("user", &ada), ("user", &eve)]).await;
    assert_eq!(removed.header("location"), format!("../../../console/groups/{id}?removed=2"), "{}", removed.text);
    let nobody = owner.submit(&path, &[("add", "")]).await;
    assert_eq!(nobody.status, 400, "{}", nobody.text);
    assert!(nobody.text.contains("Nobody was chosen."), "{}", nobody.text);
}

/// Requirement U-80.
#[tokio::test]
async fn a_group_makes_owners_only_as_the_page_has_shown() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let ada = user(&app, "ada@example.com", "collaborator").await;
    let eve = user(&app, "eve@example.com", "collaborator").await;
    let id = group(&app, "Platform").await;
    let members = format!("/console/groups/{id}/members");
    owner.submit(&members, &[("add", &ada)]).await;
    let path = format!("/console/groups/{id}/policy");
    let shown = owner.get(&format!("{path}?role=owner")).await;
    assert_eq!(heading(&shown), "Make the members of <bdi>Platform</bdi> owners?", "{}", shown.text);
    for part in ["<dt>person becomes an owner</dt><dd>1</dd>", "ada@<wbr>example.com", "Make 1 person an owner"] {
        assert!(shown.text.contains(part), "{part} in {}", shown.text);
    }
    let plan = hidden(&shown, "plan").to_owned();
    // Somebody joins before the button is pressed.
    owner.submit(&members, &[("add", &eve)]).await;
    let late = owner.submit(&path, &[("role", "owner"), ("plan", &plan)]).await;
    assert_eq!(late.status, 409, "{}", late.text);
    assert!(
        late.text.contains("Nothing was changed: look again.") && late.text.contains("eve@<wbr>example.com"),
        "{}",
        late.text
    );
    let level = async || {
        let users = [&ada, &eve].map(|id| format!("/api/v2/users/{id}"));
        let mut levels = Vec::new();
        for user in users {
            levels.push(app.owner.get(&user).await.json()["result"]["permission_level"].as_str().unwrap().to_owned());
        }
        levels
    };
    assert_eq!(level().await, ["collaborator", "collaborator"]);
    let plan = hidden(&late, "plan").to_owned();
    let done = owner.submit(&path, &[("role", "owner"), ("plan", &plan)]).await;
    assert_eq!(done.status, 303, "{}", done.text);
    assert_eq!(level().await, ["owner", "owner"]);
    // The page of a person says through which group.
    let person = owner.get(&format!("/console/people/{ada}")).await;
    assert!(person.text.contains("Owner, through <bdi>Platform</bdi>"), "{}", person.text);
    let shown = owner.get(&format!("{path}?role=")).await;
    assert!(shown.text.contains("<dt>people are owners no longer</dt><dd>2</dd>"), "{}", shown.text);
    assert_eq!(owner.get(&format!("{path}?role=king")).await.status, 400);
}
