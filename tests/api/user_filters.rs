//! Filters of the list of members.

use muster::caller::PermissionLevel;
use serde_json::{Value, json};

use crate::support::{Actor, Answer, TestApp, sso, with_password};
use crate::user::send;

const PATH: &str = "/api/v2/organization_collaborators/";

async fn emails(actor: &Actor, query: &str) -> Vec<String> {
    let answer = actor.get(&format!("{PATH}{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    let results = answer.json()["results"].clone();
    results.as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap().to_owned()).collect()
}

async fn refused(actor: &Actor, query: &str) -> Answer {
    let answer = actor.get(&format!("{PATH}{query}")).await;
    assert!(answer.status >= 400, "{query}: {}", answer.text);
    answer
}

#[tokio::test]
async fn members_are_filtered_by_each_property_and_by_several() {
    let app = TestApp::spawn().await;
    let list = json!([
        sso("ada@example.com"),
        with_password("grace@Example.com", "tidal-anchor-Plum-91"),
        {"name": "Ada", "email": "alan@sub.example.com", "is_sso_user": false},
        {"name": "Ada", "email": "zoe@münchen.example", "is_sso_user": true, "permission_level": "owner"},
    ]);
    let batch = app.owner.create(&list).await.json()["metadata"]["batch_id"].as_str().unwrap().to_owned();
    let other = app.owner.create(&json!([sso("late@example.com")])).await;
    assert_eq!(other.status, 200);
    let suspend = json!([{"user": "ada@example.com"}]);
    assert_eq!(send(&app.owner, "POST", "/api/v2/users/admin_batch_suspend", &suspend).await.status, 200);
    let group = app.owner.post("/api/v2/user_groups/", &json!({"name": "team"})).await.json();
    let group = group["result"]["id"].as_str().unwrap().to_owned();
    let members = json!([{"user": "grace@example.com"}, {"user": "ada@example.com"}]);
    let added = app.owner.post(&format!("/api/v2/user_groups/{group}/members/add"), &members).await;
    assert_eq!(added.status, 200, "{}", added.text);
    app.db_execute("update users set last_signed_in_at = now() where email = 'grace@Example.com'").await;
    app.db_execute("update users set created_at = '2026-01-02T03:04:05Z' where email = 'late@example.com'").await;
    let admin = "administrator@muster.invalid";
    let (ada, grace, alan, zoe, late) =
        ("ada@example.com", "grace@Example.com", "alan@sub.example.com", "zoe@münchen.example", "late@example.com");
    for (query, expected) in [
        ("status=suspended".to_owned(), &[ada][..]),
        ("status=active".to_owned(), &[admin, grace, alan, zoe, late]),
        ("permission_level=owner".to_owned(), &[admin, zoe]),
        ("permission_level=collaborator".to_owned(), &[ada, grace, alan, late]),
        ("is_sso_user=true".to_owned(), &[ada, zoe, late]),
        ("is_sso_user=False".to_owned(), &[admin, grace, alan]),
        (format!("batch_id={batch}"), &[ada, grace, alan, zoe]),
        (format!("group_id={group}"), &[ada, grace]),
        ("domain=EXAMPLE.com".to_owned(), &[ada, grace, late]),
        ("domain=xn--mnchen-3ya.example".to_owned(), &[zoe]),
        ("domain=ample.com".to_owned(), &[]),
        ("created_before=2026-01-02T03:04:06Z".to_owned(), &[late]),
        ("created_after=2026-01-02T03:04:06Z".to_owned(), &[admin, ada, grace, alan, zoe]),
        ("created_after=2026-01-02T03:04:05Z&created_before=2026-01-02T04:04:06%2B01:00".to_owned(), &[late]),
        ("without_password=true".to_owned(), &[admin, alan]),
        ("without_password=false".to_owned(), &[ada, grace, zoe, late]),
        ("never_signed_in=true&status=active".to_owned(), &[admin, alan, zoe, late]),
        ("never_signed_in=false".to_owned(), &[grace]),
        ("sign_in=sso".to_owned(), &[ada, zoe, late]),
        ("sign_in=password,none".to_owned(), &[admin, grace, alan]),
        ("sign_in=link".to_owned(), &[]),
        (format!("batch_id={batch}&group_id={group},{group}"), &[ada, grace]),
        ("domain=sub.example.com,münchen.example".to_owned(), &[alan, zoe]),
        ("owner_through=level".to_owned(), &[admin, zoe]),
        ("owner_through=group".to_owned(), &[]),
        ("signed_in_after=2026-01-01T00:00:00Z".to_owned(), &[grace]),
        ("signed_in_before=2026-01-01T00:00:00Z".to_owned(), &[]),
        ("query=EXAMPLE.com&status=active".to_owned(), &[grace, alan, late]),
        ("query=grace%20@".to_owned(), &[]),
        ("query=late@example.com,%20ZOE@m%C3%BCnchen.example".to_owned(), &[zoe, late]),
        ("query=late@example.com,%20zo%C3%AB@m%C3%BCnchen.example".to_owned(), &[late]),
        (format!("group_id={group}&batch_id={batch}&status=active"), &[grace]),
        ("permission_level=owner&is_sso_user=true&domain=münchen.example".to_owned(), &[zoe]),
        ("email=ADA@example.com&status=suspended".to_owned(), &[ada]),
        ("email=ada@example.com&status=active".to_owned(), &[]),
        ("name=Ada&permission_level=collaborator&count=50".to_owned(), &[ada, grace, alan, late]),
        ("collaborator_type=only_service_accounts&status=active".to_owned(), &[]),
    ] {
        assert_eq!(emails(&app.owner, &format!("?{query}")).await, expected, "{query}");
    }
    let row = app.owner.get(&format!("{PATH}?domain=münchen.example")).await.json()["results"][0].clone();
    assert_eq!((&row["is_sso_user"], &row["base_role"]), (&json!(true), &json!("owner")));
}

#[tokio::test]
async fn filters_are_paged_over_users_that_do_not_match() {
    let app = TestApp::spawn().await;
    let user = |n: usize| {
        let mut user = sso(&format!("{n}@example.com"));
        user["is_sso_user"] = json!(n.is_multiple_of(3));
        user
    };
    assert_eq!(app.owner.create(&(0..40).map(user).collect()).await.status, 200);
    let (mut seen, mut query) = (Vec::new(), "?is_sso_user=true&count=5".to_owned());
    loop {
        seen.extend(emails(&app.owner, &query).await);
        let page = app.owner.get(&format!("{PATH}{query}")).await.json();
        match page["metadata"]["next_paging_token"].as_str() {
            Some(token) => query = format!("?is_sso_user=true&count=5&paging_token={token}"),
            None => break,
        }
    }
    let expected: Vec<String> = (0..40).filter(|n| n % 3 == 0).map(|n| format!("{n}@example.com")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_page_reads_a_bounded_number_of_users() {
    let app = TestApp::spawn().await;
    app.db_execute(
        "insert into users (organization_id, user_id, email, email_key, email_key_version, name, is_sso_user, status,
            created_at, updated_at)
         select organization_id, ('ffff0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, n || '@example.com',
            n || '@example.com', 1, 'Ada', true, case n when 15000 then 'suspended' else 'active' end, now(), now()
         from organizations, generate_series(1, 25000) n",
    )
    .await;
    app.db_execute(
        "insert into collaborators (organization_id, user_id, identity_id, permission_level, granted_by_kind, granted_at)
         select organization_id, user_id, gen_random_uuid(), 'collaborator', 'operator', now() from users
         where user_id > 'ffff0000-0000-0000-0000-000000000000'",
    )
    .await;
    app.db_execute("update users set attributes = '{\"x\": 1}' where status = 'suspended'").await;
    let (mut pages, mut query) = (Vec::new(), "?attributes={\"x\":1}".to_owned());
    loop {
        pages.push(emails(&app.owner, &query).await.len());
        let page = app.owner.get(&format!("{PATH}{query}")).await.json();
        match page["metadata"]["next_paging_token"].as_str() {
            Some(token) => query = format!("?attributes={{\"x\":1}}&paging_token={token}"),
            None => break,
        }
    }
    assert_eq!(pages, [0, 1, 0]);
    // A filter with an index finds its users at once, in any order.
    for query in ["?status=suspended", "?status=suspended&order=name"] {
        let answer = app.owner.get(&format!("{PATH}{query}")).await.json();
        assert_eq!(
            (answer["results"].as_array().unwrap().len(), &answer["metadata"]["next_paging_token"]),
            (1, &json!(null))
        );
    }
}

#[tokio::test]
async fn invalid_and_unknown_filters_are_errors() {
    let app = TestApp::spawn().await;
    for (query, detail) in [
        ("status=deleted", "invalid `status`; expected `active` or `suspended`"),
        ("permission_level=admin", "invalid `permission_level`; expected `owner` or `collaborator`"),
        ("is_sso_user=yes", "`is_sso_user` must be `true` or `false`"),
        ("without_password=1", "`without_password` must be `true` or `false`"),
        ("batch_id=usr_01k9h6m3x0e8wbz1v5n7q2r4t6", "`batch_id` must be an ID, `bat_` and 26 characters"),
        ("group_id=ug_01k9h6m3x0e8wbz1v5n7q2r4t6,", "`group_id` must be an ID, `ug_` and 26 characters"),
        ("order=age", "`order` must be one of: name, -name, email, -email, created, -created, last, -last"),
        ("sign_in=passkey", "`sign_in` must be one of: sso, password, link, none"),
        ("owner_through=role", "`owner_through` must be one of: level, group"),
        ("query=%20", "`query` must be 1 to 200 characters long, without control characters"),
        (
            "order=name&paging_token=usr_01k9h6m3x0e8wbz1v5n7q2r4t6",
            "the page belongs to another list; begin with the first page",
        ),
        ("domain=exa%20mple", "`domain` must be a domain such as example.com"),
        ("domain=", "`domain` must be a domain such as example.com"),
        ("created_after=2026-01-02", "`created_after` must be a time such as 2026-11-23T10:00:00Z"),
        ("created_before=now", "`created_before` must be a time such as 2026-11-23T10:00:00Z"),
    ] {
        let answer = refused(&app.owner, &format!("?{query}")).await;
        assert_eq!(
            (answer.status, answer.error()),
            (400, json!({"code": "invalid_request", "detail": detail})),
            "{query}"
        );
    }
    for query in ["group=x", "sso=true", "status=active&status=active"] {
        let answer = refused(&app.owner, &format!("?{query}")).await;
        assert_eq!((answer.status, answer.error()["code"].as_str()), (400, Some("invalid_request")), "{query}");
    }
}

#[tokio::test]
async fn a_filter_by_batch_or_group_needs_permission_to_read_it() {
    let app = TestApp::spawn().await;
    let batch = app.owner.create(&json!([sso("a@example.com")])).await.json()["metadata"]["batch_id"].clone();
    let group = app.owner.post("/api/v2/user_groups/", &json!({"name": "team"})).await.json()["result"]["id"].clone();
    let reader = app.actor(PermissionLevel::Collaborator).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for query in [format!("?batch_id={}", text(&batch)), format!("?group_id={}", text(&group))] {
        assert_eq!(refused(&reader, &query).await.status, 403, "{query}");
    }
    assert_eq!(emails(&reader, "?status=active&is_sso_user=true").await, ["a@example.com"]);
}

#[tokio::test]
async fn a_list_in_any_order_is_paged_completely_and_a_token_belongs_to_its_list() {
    let app = TestApp::spawn().await;
    let user = |n: usize| {
        let mut user = sso(&format!("{:02}@example.com", (n * 17) % 40));
        user["name"] = json!(["ada", "Ada", "Bob", "Åse"][n % 4]);
        user["lastname"] = json!(["X", "", "x"][n % 3]);
        user
    };
    assert_eq!(app.owner.create(&(0..40).map(user).collect()).await.status, 200);
    app.db_execute(
        "update users set last_signed_in_at = '2026-01-01T00:00:00.000001Z'::timestamptz + (ascii(right(email_key, 14)) % 4) * interval '1 us'
         where name in ('Ada', 'Bob')",
    )
    .await;
    let rows = app
        .db_value::<Vec<String>>(
            "select array_agg(email || ' ' || coalesce(to_char(last_signed_in_at, 'US'), '') order by user_id) from users",
        )
        .await;
    let rows: Vec<(&str, &str)> = rows.iter().map(|row| row.split_once(' ').unwrap()).collect();
    let all = |order: &str| format!("?order={order}&count=7&query=EXAMPLE.com");
    let mut lists = Vec::new();
    for order in ["name", "email", "created", "last"] {
        let mut both = Vec::new();
        for order in [order.to_owned(), format!("-{order}")] {
            let (mut seen, mut query) = (Vec::new(), all(&order));
            loop {
                seen.extend(emails(&app.owner, &query).await);
                let page = app.owner.get(&format!("{PATH}{query}")).await.json();
                match page["metadata"]["next_paging_token"].as_str() {
                    Some(token) => query = format!("{}&paging_token={token}", all(&order)),
                    None => break,
                }
            }
            both.push(seen);
        }
        both[1].reverse();
        assert_eq!(both[0], both[1], "{order}");
        assert_eq!(both[0].len(), 40, "{order}");
        lists.push(both.swap_remove(0));
    }
    assert!(lists[1].is_sorted());
    let created: Vec<&str> =
        rows.iter().map(|(email, _)| *email).filter(|email| email.ends_with("example.com")).collect();
    assert_eq!(lists[2], created);
    let last: std::collections::HashMap<&str, &str> = rows.into_iter().collect();
    assert!(lists[3].iter().map(|email| last[email.as_str()]).is_sorted());
    let full_name = |email: &String| {
        let n = (0..40).find(|n| format!("{:02}@example.com", (n * 17) % 40) == *email).unwrap();
        let lastname = ["X", "", "x"][n % 3];
        format!("{} {lastname}", ["ada", "Ada", "Bob", "Åse"][n % 4]).trim().to_lowercase()
    };
    assert!(lists[0].iter().map(|email| (full_name(email), email)).is_sorted());

    let page = app.owner.get(&format!("{PATH}{}", all("name"))).await.json();
    let token = page["metadata"]["next_paging_token"].as_str().unwrap();
    for other in ["order=-name&query=EXAMPLE.com", "order=name", "order=name&query=example"] {
        let answer = refused(&app.owner, &format!("?{other}&paging_token={token}")).await;
        let error =
            json!({"code": "invalid_request", "detail": "the page belongs to another list; begin with the first page"});
        assert_eq!((answer.status, answer.error()), (400, error), "{other}");
    }
}
