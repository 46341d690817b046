//! Access that ends while a change is in progress: the change is held, the access ends, the change is not committed.

use muster::caller::PermissionLevel;
use muster::clock::Clock;
use serde_json::{Value, json};

use crate::contention::waits_for_a_lock;
use crate::support::gate::{Gate, eventually};
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, Answer, BATCH, TestApp, migrated_database, with_password};

/// Two instances on one database, of which one is held at a step.
struct Instances {
    gate: Gate,
    held: ServerProcess,
    other: TestApp,
}

/// A way in which access ends, and what a change in progress gets then: status, code, detail, and the reason in the
/// audit log.
struct End {
    name: &'static str,
    status: u16,
    code: &'static str,
    detail: &'static str,
    reason: &'static str,
}

const fn unauthenticated(name: &'static str, detail: &'static str, reason: &'static str) -> End {
    End { name, status: 401, code: "unauthenticated", detail, reason }
}

const fn forbidden(name: &'static str, detail: &'static str) -> End {
    End { name, status: 403, code: "forbidden", detail, reason: "forbidden" }
}

const OWNERS_ONLY: &str = "not permitted: `user.batch_create` requires an owner's API key";

const ENDS: [End; 9] = [
    unauthenticated("revoke", "the API key is revoked; nothing was written", "revoked_key"),
    unauthenticated("suspend", "the user of the API key is suspended; nothing was written", "suspended_user"),
    unauthenticated("delete", "the API key was deleted together with its user; nothing was written", "deleted_user"),
    unauthenticated(
        "rotate",
        "the secret of the API key was rotated and is no longer valid; nothing was written",
        "rotated_key",
    ),
    forbidden("demote", OWNERS_ONLY),
    forbidden("leave", OWNERS_ONLY),
    forbidden("unbind", OWNERS_ONLY),
    forbidden("disband", OWNERS_ONLY),
    // No request changes the scopes of a key yet.
    forbidden("scope", "not permitted: `user.batch_create` requires an API key with the scope `users:write`"),
];

/// A person with an owner's key.
struct Person {
    user_id: String,
    email: String,
    key_id: String,
    actor: Actor,
    /// The group that makes the person an owner, if one does.
    group: Option<String>,
}

impl Instances {
    async fn held_at(step: &'static str) -> Self {
        let (database, gate) = (migrated_database().await, Gate::open(step));
        let held = ServerProcess::start(muster().env("MUSTER_DATABASE__URL", url(&database)).envs([gate.variable()]));
        let other = TestApp::spawn_on(database, Clock::System, |_| {}).await;
        Self { gate, held, other }
    }

    /// The same caller at the instance that is held.
    fn at_held(&self, actor: &Actor) -> Actor {
        self.held.actor(actor.token())
    }

    /// A person whose access can end in this way.
    async fn person(&self, name: &str, end: &End) -> Person {
        let email = format!("{name}@example.com");
        let is_through_group = ["leave", "unbind", "disband"].contains(&end.name);
        let level = if is_through_group { PermissionLevel::Collaborator } else { PermissionLevel::Owner };
        let (user_id, _) = self.other.person(&email, level).await;
        let group = match is_through_group {
            true => Some(self.owner_group(name, &user_id).await),
            false => None,
        };
        let spec = muster::keys::KeySpec {
            user_id: Some(user_id.parse().unwrap()),
            ..muster::keys::KeySpec::new("in use", PermissionLevel::Owner)
        };
        let operator = muster::organizations::operator(&self.other.app).await.unwrap();
        let key = muster::keys::create(&self.other.app, &operator, spec).await.unwrap();
        let actor = self.other.owner.with_token(key.token.expose());
        Person { user_id, email, key_id: key.key.key_id.to_string(), actor, group }
    }

    /// Creates a group with this member, and makes it one of owners.
    async fn owner_group(&self, name: &str, user_id: &str) -> String {
        let owner = &self.other.owner;
        let group = owner.post("/api/v2/user_groups/", &json!({"name": name})).await.json()["result"].clone();
        let id = group["id"].as_str().unwrap().to_owned();
        done(&owner.post(&format!("/api/v2/user_groups/{id}/members/add"), &json!([{"user": user_id}])).await);
        done(&set_policy(owner, &json!([{"role_name": "owner", "principals": [id]}])).await);
        id
    }

    /// Ends the access of a person, by a request of `owner`.
    async fn end(&self, end: &End, person: &Person, owner: &Actor) {
        let Person { user_id, email, key_id, .. } = person;
        let group = format!("/api/v2/user_groups/{}", person.group.as_deref().unwrap_or_default());
        match end.name {
            "revoke" => done(&owner.delete(&format!("/api/v2/api_keys/{key_id}")).await),
            "suspend" => done(&owner.post(&format!("/api/v2/users/{user_id}/suspend"), &Value::Null).await),
            "delete" => done(&owner.delete(&format!("/api/v2/users/{user_id}")).await),
            "rotate" => {
                let own = owner.with_token(person.actor.token());
                let now = json!({"overlap_seconds": 0});
                done(&own.post(&format!("/api/v2/api_keys/{key_id}/rotate"), &now).await);
            }
            "demote" => done(&demote(owner, email).await),
            "leave" => done(&owner.post(&format!("{group}/members/remove"), &json!([{"user": user_id}])).await),
            "unbind" => done(&set_policy(owner, &json!([])).await),
            "disband" => done(&owner.delete(&group).await),
            "scope" => self.other.db_execute("update api_keys set scopes = '{users:read}' where name = 'in use'").await,
            other => panic!("{other}"),
        }
    }

    /// The last denial of an action: outcome, reason, and actor.
    async fn denial(&self, action: &str) -> Value {
        let path = format!("/api/v2/audit/events?action={action}&count=1");
        let event = self.other.owner.get(&path).await.json()["results"][0].clone();
        json!([event["outcome"], event["reason"], event["actor_id"]])
    }

    async fn emails(&self) -> Vec<String> {
        let list = self.other.owner.get("/api/v2/organization_collaborators/?count=50").await.json();
        list["results"].as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap().to_owned()).collect()
    }
}

fn done(answer: &Answer) {
    assert!([200, 201, 204].contains(&answer.status), "{}: {}", answer.status, answer.text);
}

async fn set_policy(owner: &Actor, bindings: &Value) -> Answer {
    let body = json!({ "bindings": bindings });
    Actor::send(owner.request("PUT", "/api/v2/policy/organization/_").body(body.to_string())).await
}

async fn demote(owner: &Actor, email: &str) -> Answer {
    let found = owner.get(&format!("/api/v2/organization_collaborators/?email={email}")).await.json();
    let path = format!("/api/v2/organization_collaborators/{}", found["results"][0]["id"].as_str().unwrap());
    Actor::send(owner.request("PUT", &path).body(json!({"permission_level": "collaborator"}).to_string())).await
}

/// A list with a password and a new owner.
fn list() -> Value {
    let mut owner = with_password("new@example.com", "kT9$wqzPlr");
    owner["permission_level"] = json!("owner");
    json!([owner])
}

/// Ends the access in every way, on the same and on another instance, while a batch's passwords are hashed.
/// `check` gets the answer and the expected error.
async fn while_hashing(header: Option<(&'static str, &'static str)>, check: impl AsyncFn(&Instances, Answer, &End)) {
    let instances = Instances::held_at("batch::hashed").await;
    for (n, (end, is_same)) in ENDS.iter().flat_map(|end| [(end, true), (end, false)]).enumerate() {
        let person = instances.person(&format!("{}{n}", end.name), end).await;
        let owner = instances.other.owner.clone();
        let owner = if is_same { instances.at_held(&owner) } else { owner };
        instances.gate.close();
        let mut request = instances.at_held(&person.actor).request("POST", BATCH).body(list().to_string());
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let batch = tokio::spawn(Actor::send(request));
        instances.gate.reached().await;
        instances.end(end, &person, &owner).await;
        instances.gate.release();
        check(&instances, batch.await.unwrap(), end).await;
        assert_eq!(
            instances.denial("user.batch_create").await,
            json!(["denied", end.reason, person.key_id]),
            "{}, same instance: {is_same}",
            end.name
        );
        assert!(!instances.emails().await.contains(&"new@example.com".to_owned()), "{}", end.name);
    }
}

fn is_refused(answer: &Answer, end: &End) {
    assert_eq!(answer.status, end.status, "{}: {}", end.name, answer.text);
    assert_eq!(answer.error(), json!({"code": end.code, "detail": end.detail}), "{}", end.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_caller_loses_access_while_hashing_is_not_created() {
    while_hashing(None, async |instances, answer, end| {
        is_refused(&answer, end);
        // The list of its caller was followed from the start.
        let others = "select count(*) from batches where state not in ('created', 'failed')";
        assert_eq!(instances.other.db_value::<i64>(others).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_a_key_whose_caller_loses_access_is_not_created_and_frees_the_key() {
    while_hashing(Some(("idempotency-key", "monday")), async |instances, answer, end| {
        is_refused(&answer, end);
        let keyed = "select count(*) from batches where idempotency_key is not null";
        assert_eq!(instances.other.db_value::<i64>(keyed).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_batch_whose_caller_loses_access_fails_with_the_reason() {
    while_hashing(Some(("prefer", "respond-async")), async |instances, answer, end| {
        assert_eq!(answer.status, 202, "{}", answer.text);
        let path = answer.header("location").to_owned();
        let owner = &instances.other.owner;
        eventually("the batch ends", async || owner.get(&path).await.json()["result"]["state"] != "running").await;
        let batch = owner.get(&path).await.json()["result"].clone();
        assert_eq!(batch["state"], "failed", "{batch}");
        assert_eq!(batch["error"], json!({"code": end.code, "detail": end.detail}), "{}", end.name);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn access_that_ends_before_the_commit_of_any_change_undoes_it() {
    let instances = Instances::held_at("change::written").await;
    for end in ENDS.iter().filter(|end| end.status == 401) {
        let person = instances.person(end.name, end).await;
        instances.gate.close();
        let actor = instances.at_held(&person.actor);
        let create = tokio::spawn(async move { actor.post("/api/v2/user_groups/", &json!({"name": "Ops"})).await });
        instances.gate.reached().await;
        instances.end(end, &person, &instances.other.owner).await;
        instances.gate.release();
        is_refused(&create.await.unwrap(), end);
        assert_eq!(instances.denial("group.create").await, json!(["denied", end.reason, person.key_id]));
        assert_eq!(instances.other.db_value::<i64>("select count(*) from user_groups").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn access_that_ends_before_the_commit_of_invitations_or_attributes_undoes_it() {
    let instances = Instances::held_at("change::written").await;
    let owner = &instances.other.owner;
    let (leaver, _) = instances.other.person("leaver@example.com", PermissionLevel::Collaborator).await;
    let changes = [
        (
            "invitation.batch_create",
            "POST",
            "/api/v2/organization_invitations/admin_batch_create".to_owned(),
            json!([{"email": "new@example.com"}]),
        ),
        (
            "user.update",
            "PATCH",
            format!("/api/v2/users/{leaver}"),
            json!({"title": "Boss", "attributes": {"floor": 3}}),
        ),
    ];
    for (number, (action, method, path, body)) in changes.iter().enumerate() {
        // Invitations lock the owners, so the suspension or deletion of an owner waits for them.
        let waits = |end: &End| *action == "invitation.batch_create" && ["suspend", "delete"].contains(&end.name);
        for end in ENDS.iter().filter(|end| end.status == 401 && !waits(end)) {
            let person = instances.person(&format!("{}{number}", end.name), end).await;
            instances.gate.close();
            let request = instances.at_held(&person.actor).request(method, path).body(body.to_string());
            let change = tokio::spawn(Actor::send(request));
            instances.gate.reached().await;
            instances.end(end, &person, owner).await;
            instances.gate.release();
            is_refused(&change.await.unwrap(), end);
            assert_eq!(instances.denial(action).await, json!(["denied", end.reason, person.key_id]), "{action}");
        }
    }
    let written = "select (select count(*) from invitations)
        + (select count(*) from users where title = 'Boss' or attributes <> '{}')";
    assert_eq!(instances.other.db_value::<i64>(written).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_is_not_created_with_permissions_that_its_creator_has_lost() {
    let instances = Instances::held_at("key::requested").await;
    let demoted = ENDS.iter().find(|end| end.name == "demote").unwrap();
    let person = instances.person("ada", demoted).await;
    instances.gate.close();
    let actor = instances.at_held(&person.actor);
    let create = tokio::spawn(async move { actor.post("/api/v2/api_keys", &json!({"name": "ci"})).await });
    instances.gate.reached().await;
    instances.end(demoted, &person, &instances.other.owner).await;
    instances.gate.release();
    let answer = create.await.unwrap();
    let detail = "an API key with the collaborator level can't create or rotate a key with more permissions";
    assert_eq!((answer.status, answer.error()), (403, json!({"code": "forbidden", "detail": detail})));
    assert_eq!(instances.denial("key.create").await, json!(["denied", "forbidden", person.key_id]));
    assert_eq!(instances.other.db_value::<i64>("select count(*) from api_keys where name = 'ci'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_waits_for_a_commit_in_progress_and_not_for_the_rest_of_a_change() {
    let instances = Instances::held_at("change::audited").await;
    let revoked = &ENDS[0];
    let person = instances.person("ada", revoked).await;
    instances.gate.close();
    let (actor, owner) = (instances.at_held(&person.actor), instances.other.owner.clone());
    let create = tokio::spawn(async move { actor.post("/api/v2/user_groups/", &json!({"name": "Ops"})).await });
    instances.gate.reached().await;
    let path = format!("/api/v2/api_keys/{}", person.key_id);
    let revoke = tokio::spawn(async move { owner.delete(&path).await });
    waits_for_a_lock(&instances.other.database, 1).await;
    instances.gate.release();
    assert_eq!((create.await.unwrap().status, revoke.await.unwrap().status), (200, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_can_end_their_own_access() {
    let instances = Instances::held_at("change::written").await;
    for end in ENDS.iter().filter(|end| end.name != "scope") {
        let person = instances.person(end.name, end).await;
        instances.end(end, &person, &person.actor).await;
    }
}

/// Two owners, of whom each ends the other's access: the first request is held before its commit, with everything
/// locked but its own access. The second waits for it, is denied, and nobody deadlocks.
async fn duel(first: &'static str, second: &'static str) {
    duel_at("change::written", first, second).await;
}

/// As [`duel`], with the first request held when its own access is locked, which for a change that can lower it is
/// before it writes.
async fn duel_when_confirmed(first: &'static str, second: &'static str) {
    duel_at("change::confirmed", first, second).await;
}

async fn duel_at(step: &'static str, first: &'static str, second: &'static str) {
    let named = |name: &str| match name {
        "revoke all" => &ENDS[0],
        name => ENDS.iter().find(|end| end.name == name).unwrap(),
    };
    let instances = Instances::held_at(step).await;
    // An owner by her own level: only one group is bound at a time.
    let (ada, grace) = (instances.person("ada", &ENDS[0]).await, instances.person("grace", named(first)).await);
    instances.gate.close();
    let (of_ada, of_grace) = (instances.at_held(&ada.actor), grace.actor.clone());
    let (answer, denied) = tokio::join!(attempt(first, &grace, &of_ada), async {
        instances.gate.reached().await;
        while_it_waits(&instances, attempt(second, &ada, &of_grace)).await
    });
    done(&answer);
    let end = named(first);
    assert_eq!(denied.status, end.status, "{}", denied.text);
    assert_eq!(denied.error()["code"], end.code, "{}", denied.text);
    // The first caller still has access.
    assert_eq!(ada.actor.get("/api/v2/api_keys").await.status, 200);
}

/// Sends a request, and releases the gate when the request waits for a lock.
async fn while_it_waits(instances: &Instances, request: impl Future<Output = Answer>) -> Answer {
    let release = async {
        waits_for_a_lock(&instances.other.database, 1).await;
        instances.gate.release();
    };
    tokio::join!(request, release).0
}

async fn attempt(end: &str, person: &Person, by: &Actor) -> Answer {
    let group = format!("/api/v2/user_groups/{}", person.group.as_deref().unwrap_or_default());
    match end {
        "leave" => {
            // The caller, too: a change of one's own access confirms it before it writes.
            let own = by.get("/api/v2/userinfo/").await.json()["result"]["id"].clone();
            by.post(&format!("{group}/members/remove"), &json!([{"user": person.user_id}, {"user": own}])).await
        }
        "unbind" => set_policy(by, &json!([])).await,
        "disband" => by.delete(&group).await,
        "revoke all" => {
            let path = format!("/api/v2/organization_collaborators/rotate_api_key_for_user/{}", person.user_id);
            by.post(&path, &Value::Null).await
        }
        "revoke" => by.delete(&format!("/api/v2/api_keys/{}", person.key_id)).await,
        "suspend" => by.post(&format!("/api/v2/users/{}/suspend", person.user_id), &Value::Null).await,
        "delete" => by.delete(&format!("/api/v2/users/{}", person.user_id)).await,
        _ => demote(by, &person.email).await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_owners_who_demote_each_other_the_first_succeeds() {
    duel("demote", "demote").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_keys_that_revoke_each_other_the_first_succeeds() {
    duel("revoke", "revoke").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_owners_who_revoke_all_keys_of_each_other_the_first_succeeds() {
    duel("revoke all", "revoke all").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_owner_can_no_longer_revoke_all_keys_of_the_owner_who_suspends_them() {
    duel("suspend", "revoke all").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_owner_can_no_longer_revoke_the_key_that_suspends_them() {
    duel("suspend", "revoke").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_owner_can_no_longer_revoke_the_key_that_deletes_them() {
    duel("delete", "revoke").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_and_a_revocation_by_an_owner_who_loses_a_binding_do_not_deadlock() {
    duel_when_confirmed("unbind", "revoke").await;
    duel_when_confirmed("unbind", "revoke all").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_group_and_a_revocation_by_its_member_do_not_deadlock() {
    duel_when_confirmed("disband", "revoke").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_members_and_oneself_and_a_revocation_by_a_member_do_not_deadlock() {
    duel_when_confirmed("leave", "revoke").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_who_delete_themselves_while_all_their_keys_are_revoked_do_not_deadlock() {
    let instances = Instances::held_at("change::confirmed").await;
    // The key in use is the later one of two.
    let ada = instances.person("ada", &ENDS[0]).await;
    instances.gate.close();
    let (own, owner) = (instances.at_held(&ada.actor), instances.other.owner.clone());
    let (deleted, revoked) = tokio::join!(attempt("delete", &ada, &own), async {
        instances.gate.reached().await;
        while_it_waits(&instances, attempt("revoke all", &ada, &owner)).await
    });
    done(&deleted);
    let detail = format!("there is no user {}", ada.user_id);
    assert!(revoked.error()["detail"].as_str().unwrap().starts_with(&detail), "{}", revoked.text);
    assert_eq!((revoked.status, revoked.error()["code"].as_str()), (404, Some("not_found")), "{}", revoked.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_is_not_created_with_the_key_of_a_deleted_user() {
    let instances = Instances::held_at("key::requested").await;
    let deleted = ENDS.iter().find(|end| end.name == "delete").unwrap();
    let person = instances.person("ada", deleted).await;
    instances.gate.close();
    let actor = instances.at_held(&person.actor);
    let create = tokio::spawn(async move { actor.post("/api/v2/api_keys", &json!({"name": "ci"})).await });
    instances.gate.reached().await;
    instances.end(deleted, &person, &instances.other.owner).await;
    instances.gate.release();
    is_refused(&create.await.unwrap(), deleted);
    assert_eq!(instances.denial("key.create").await, json!(["denied", deleted.reason, person.key_id]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_revoked_while_its_password_is_hashed_creates_no_account() {
    let instances = Instances::held_at("invitation::hashed").await;
    let owner = instances.other.owner.clone();
    let invited =
        owner.post("/api/v2/organization_invitations/batch_create", &json!([{"email": "ada@example.com"}])).await;
    let invitation = invited.json()["results"][0]["data"].clone();
    let (id, link) = (invitation["id"].as_str().unwrap(), invitation["link"].as_str().unwrap());
    let body = json!({"token": link.rsplit('/').next().unwrap(), "name": "Ada", "password": "kT9$wqzPlr"});
    instances.gate.close();
    let guest = Actor::new(instances.held.address, None);
    let accept = tokio::spawn(async move { guest.post("/api/v2/organization_invitations/accept", &body).await });
    instances.gate.reached().await;
    done(&owner.post(&format!("/api/v2/organization_invitations/{id}/invalidate"), &Value::Null).await);
    instances.gate.release();
    let answer = accept.await.unwrap();
    let detail = "the invitation was revoked or replaced by a newer one; use the latest link or ask for a new one";
    assert_eq!((answer.status, answer.error()), (404, json!({"code": "not_found", "detail": detail})));
    assert_eq!(instances.denial("invitation.accept").await, json!(["denied", "invalidated_invitation", id]));
    assert!(!instances.emails().await.contains(&"ada@example.com".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_whose_approver_loses_access_while_it_is_fetched_gets_no_key() {
    let instances = Instances::held_at("login::found").await;
    for (n, end) in
        ENDS.iter().enumerate().filter(|(_, end)| ["revoke", "suspend", "delete", "rotate"].contains(&end.name))
    {
        let person = instances.person(&format!("{}{n}", end.name), end).await;
        let guest = Actor::new(instances.held.address, None);
        let started = guest.get("/api/v2/users/create_otp_token?duration_seconds=3600").await.json();
        let otp = started["result"]["otp"].as_str().unwrap().to_owned();
        // Only this instance recognizes its one-time passwords.
        let approver = instances.at_held(&person.actor);
        done(&approver.post("/api/v2/users/approve_otp_token", &json!({"otp": otp})).await);
        instances.gate.close();
        let fetch = tokio::spawn(async move { guest.get(&format!("/api/v2/users/request_otp_token/{otp}")).await });
        instances.gate.reached().await;
        instances.end(end, &person, &instances.other.owner).await;
        instances.gate.release();
        let answer = fetch.await.unwrap();
        let detail =
            "the access of the login's approver has ended; start a new login and have another person approve it";
        assert_eq!((answer.status, answer.error()), (409, json!({"code": "conflict", "detail": detail})));
        assert_eq!(instances.other.db_value::<i64>("select count(*) from api_keys where name like 'login%'").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fetching_a_login_and_deleting_its_approver_do_not_deadlock() {
    let instances = Instances::held_at("login::fetched").await;
    let ada = instances.person("ada", &ENDS[0]).await;
    let guest = Actor::new(instances.held.address, None);
    let started = guest.get("/api/v2/users/create_otp_token?duration_seconds=3600").await.json();
    let otp = started["result"]["otp"].as_str().unwrap().to_owned();
    done(&instances.at_held(&ada.actor).post("/api/v2/users/approve_otp_token", &json!({"otp": otp})).await);
    instances.gate.close();
    let fetch = tokio::spawn(async move { guest.get(&format!("/api/v2/users/request_otp_token/{otp}")).await });
    instances.gate.reached().await;
    let deleted = while_it_waits(&instances, attempt("delete", &ada, &instances.other.owner)).await;
    done(&fetch.await.unwrap());
    done(&deleted);
    assert_eq!(instances.other.db_value::<i64>("select count(*) from api_keys where name like 'login%'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_callers_account_expires_while_hashing_is_not_created() {
    let instances = Instances::held_at("batch::hashed").await;
    let end =
        unauthenticated("expire", "the account of the API key's user has expired; nothing was written", "expired_user");
    let person = instances.person("ada", &end).await;
    instances.gate.close();
    let batch =
        tokio::spawn(Actor::send(instances.at_held(&person.actor).request("POST", BATCH).body(list().to_string())));
    instances.gate.reached().await;
    instances.other.db_execute("update users set expires_at = now() where email = 'ada@example.com'").await;
    instances.gate.release();
    is_refused(&batch.await.unwrap(), &end);
    assert_eq!(instances.denial("user.batch_create").await, json!(["denied", end.reason, person.key_id]));
    assert!(!instances.emails().await.contains(&"new@example.com".to_owned()));
}
