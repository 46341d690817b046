//! The pictures of the overview, and the numbers of days that they show.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use muster::clock::Clock;
use muster::jobs::run_housekeeping;
use serde_json::{Value, json};

use super::{Browser, PASSWORD, TestApp, user};
use crate::support::gate::eventually;
use crate::support::sso;

type Time = Arc<Mutex<DateTime<Utc>>>;

/// A server whose clock only the test sets.
async fn spawn_at(time: &str) -> (TestApp, Time) {
    let clock: Time = Arc::new(Mutex::new(time.parse().unwrap()));
    let app = TestApp::spawn_at(Clock::Manual(Arc::clone(&clock)), |config| config.passwords.must_change = false).await;
    (app, clock)
}

fn set(clock: &Time, time: &str) {
    *clock.lock().unwrap() = time.parse().unwrap();
}

/// Runs the background work of instances at a time, until the days are counted.
async fn count_at(apps: &[&TestApp], clock: &Time, time: &str) {
    set(clock, time);
    let background: Vec<_> = apps.iter().map(|app| tokio::spawn(run_housekeeping(Arc::clone(&app.app)))).collect();
    let now = *clock.lock().unwrap();
    let latest = "select max(counted_at) from daily_counts";
    eventually("the days are counted", async || apps[0].db_value::<Option<DateTime<Utc>>>(latest).await == Some(now))
        .await;
    background.iter().for_each(tokio::task::JoinHandle::abort);
}

/// The day, people, created, deleted, sign-ins and refused ones of each day.
async fn days(app: &TestApp) -> Vec<String> {
    let rows = "select coalesce(string_agg(concat_ws(' ', day, people, created, deleted, sign_ins, refused), ';' order by day), '')
        from daily_counts";
    app.db_value::<String>(rows).await.split(';').map(str::to_owned).collect()
}

async fn delete(app: &TestApp, user_id: &Value) {
    assert_eq!(app.owner.delete(&format!("/api/v2/users/{}", user_id.as_str().unwrap())).await.status, 204);
}

/// Three people and a service account on 20 November, one person later that day; on 22 November, one of them and the service account are
/// deleted, somebody signs in, and five sign-ins are refused. Returns the browser of who has signed in.
async fn live(app: &TestApp, clock: &Time) -> Browser {
    let created = app.owner.create(&json!([sso("a@example.com"), sso("b@example.com"), sso("c@example.com")])).await;
    let robot = app.owner.post("/api/v2/users/service_accounts?name=robot", &Value::Null).await;
    assert_eq!((created.status, robot.status), (200, 200), "{}", robot.text);
    count_at(&[app], clock, "2026-11-20T12:30:00Z").await;
    // With the first owner, the placeholder of an administrator.
    assert_eq!(days(app).await, ["2026-11-20 4 4 0 0 0"]);
    set(clock, "2026-11-20T23:50:00Z");
    user(app, "ada@example.com", "owner").await;

    set(clock, "2026-11-22T10:00:00Z");
    delete(app, &created.json()["results"][0]["user_id"]).await;
    delete(app, &robot.json()["result"]["user_id"]).await;
    let browser = Browser::of(app);
    browser.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    let stranger = Browser::of(app);
    for (email, times) in [("ada@example.com", 2), ("nobody@example.com", 3)] {
        for _ in 0..times {
            assert_eq!(stranger.sign_in(email, "a wrong password").await.status, 401);
        }
    }
    // The first one of an account that does not exist is recorded at once, the further ones with their number after a minute.
    let refused = "select count(*) from audit_events where action = 'session.start' and outcome <> 'success'";
    eventually("refusals are recorded", async || app.db_value::<i64>(refused).await == 3).await;
    browser
}

const THREE_DAYS: [&str; 3] = ["2026-11-20 5 5 0 0 0", "2026-11-21 5 0 0 0 0", "2026-11-22 4 0 1 1 5"];

/// Requirement U-92.
#[tokio::test]
async fn days_are_counted_each_hour_and_final_an_hour_after_their_end() {
    let (app, clock) = spawn_at("2026-11-20T12:00:00Z").await;
    live(&app, &clock).await;
    count_at(&[&app], &clock, "2026-11-22T11:30:00Z").await;
    assert_eq!(days(&app).await, THREE_DAYS);
    // A day is counted again in the first hour after its end: what began before it may have been written later.
    count_at(&[&app], &clock, "2026-11-23T00:10:00Z").await;
    assert_eq!(app.owner.create(&json!([sso("d@example.com")])).await.status, 200);
    app.db_execute(
        "insert into audit_events (organization_id, event_id, occurred_at, actor_kind, action, outcome, reason)
         select organization_id, gen_random_uuid(), '2026-11-22T23:59:59Z', 'anonymous', 'session.start', 'denied', 'late'
         from organizations",
    )
    .await;
    count_at(&[&app], &clock, "2026-11-23T01:00:00Z").await;
    let [first, second, _] = THREE_DAYS;
    let all = [first, second, "2026-11-22 4 0 1 1 6", "2026-11-23 5 1 0 0 0"];
    assert_eq!(days(&app).await, all);

    // Complete days are what they were, also without the log.
    let final_at = "select string_agg(counted_at::text, ' ' order by day) from daily_counts where day < '2026-11-23'";
    let before = app.db_value::<String>(final_at).await;
    app.db_execute("alter table audit_events disable trigger user").await;
    app.db_execute("delete from audit_events").await;
    count_at(&[&app], &clock, "2026-11-23T02:00:00Z").await;
    let without_log = [first, second, "2026-11-22 4 0 1 1 6", "2026-11-23 5 0 0 0 0"];
    assert_eq!(days(&app).await, without_log);
    assert_eq!(app.db_value::<String>(final_at).await, before);
}

#[tokio::test]
async fn several_instances_count_nothing_twice_and_fill_the_days_of_a_downtime() {
    let (app, clock) = spawn_at("2026-11-20T12:00:00Z").await;
    live(&app, &clock).await;
    let other = TestApp::spawn_on(app.database.clone(), Clock::Manual(Arc::clone(&clock)), |config| {
        config.passwords.must_change = false;
    })
    .await;
    // The first instance has the number of the attempts that are not recorded one by one.
    count_at(&[&app], &clock, "2026-11-22T10:30:00Z").await;
    for time in ["2026-11-22T11:30:00Z", "2026-11-22T12:00:00Z", "2026-11-22T13:00:00Z"] {
        count_at(&[&app, &other], &clock, time).await;
        assert_eq!(days(&app).await, THREE_DAYS, "{time}");
    }
    // Nobody counts for four months.
    count_at(&[&other, &app], &clock, "2027-03-22T11:30:00Z").await;
    let counted = days(&app).await;
    assert_eq!(counted[..3], THREE_DAYS);
    assert_eq!(
        (counted.len(), counted[60].as_str(), counted[122].as_str()),
        (123, "2027-01-19 4 0 0 0 0", "2027-03-22 4 0 0 0 0")
    );
}

#[tokio::test]
async fn the_first_count_goes_back_90_days_at_most() {
    let (app, clock) = spawn_at("2026-01-01T12:00:00Z").await;
    set(&clock, "2026-02-01T12:00:00Z");
    assert_eq!(app.owner.create(&json!([sso("a@example.com")])).await.status, 200);
    set(&clock, "2026-03-01T12:00:00Z");
    assert_eq!(app.owner.create(&json!([sso("b@example.com"), sso("c@example.com")])).await.status, 200);
    count_at(&[&app], &clock, "2026-05-01T12:00:00Z").await;
    let counted = days(&app).await;
    assert_eq!(
        (counted.len(), counted[0].as_str(), counted[89].as_str()),
        (90, "2026-02-01 2 1 0 0 0", "2026-05-01 4 0 0 0 0")
    );
    assert_eq!(counted[27..30], ["2026-02-28 2 0 0 0 0", "2026-03-01 4 2 0 0 0", "2026-03-02 4 0 0 0 0"]);
}

/// Requirements U-91 and U-93.
#[tokio::test]
async fn pictures_say_what_one_sees_and_numbers_lead_to_their_lists() {
    let (app, clock) = spawn_at("2026-11-20T12:00:00Z").await;
    let browser = live(&app, &clock).await;
    // Records the number of the attempts that are not recorded one by one.
    count_at(&[&app], &clock, "2026-11-22T10:30:00Z").await;
    assert_eq!(browser.get("/console").await.status, 200);
    count_at(&[&app], &clock, "2026-11-22T11:00:00Z").await;
    set(&clock, "2026-11-22T11:05:00Z");
    // The number of people is that of now, as in the list of people.
    assert_eq!(app.owner.create(&json!([sso("d@example.com")])).await.status, 200);
    let page = browser.get("/console").await;
    assert_eq!(page.status, 200);
    for sentence in [
        "People from 25 August to 22 November: from 0 to 5; the largest change is 5 more on 20 November",
        "Sign-ins from 9 November to 22 November: 1, at most 1 on 22 November; refused: 5, at most 5 on 22 November",
    ] {
        assert!(page.text.contains(&format!("role=\"img\" aria-label=\"{sentence}\"")), "{sentence}: {}", page.text);
    }
    let rows = |caption: &str| -> Vec<String> {
        let table = page.text.split_once(caption).unwrap_or_else(|| panic!("{caption}: {}", page.text)).1;
        let body = table.split_once("<tbody>").unwrap().1.split_once("</tbody>").unwrap().0;
        body.split("<tr>")
            .skip(1)
            .map(|row| super::audit::plain(&row.replace("</td><td", "</td> <td").replace("</th><td", "</th> <td")))
            .collect()
    };
    let rows = |caption: &str| rows(caption).iter().map(|row| row.trim().to_owned()).collect::<Vec<_>>();
    assert_eq!(
        rows(
            "People at the end of the day; new and deleted ones of today until 11:00. Days without a change are left out."
        ),
        ["25 Aug 0 0 0", "20 Nov 5 5 0", "22 Nov 5 0 1"]
    );
    let sign_ins = rows("Sign-ins by day, today until 11:00");
    assert_eq!((sign_ins.len(), sign_ins[0].as_str(), sign_ins[13].as_str()), (14, "9 Nov 0 0", "22 Nov 1 5"));
    // The list of people has the same number, and so have those of the audit log: an entry can stand for several attempts.
    let link = |text: &str| {
        let before = page.text.split_once(&format!(">{text}</a>")).unwrap_or_else(|| panic!("{text}: {}", page.text)).0;
        let address = before.rsplit_once("href=\"").unwrap().1.split_once('"').unwrap().0;
        format!("/{}", address.replace("&#38;", "&"))
    };
    assert!(browser.get(&link("5")).await.text.contains("5 people"));
    let signed_in = super::audit::sentences(&browser.get(&link("1")).await);
    assert_eq!(signed_in.len(), 1, "{signed_in:?}");
    let refused = super::audit::sentences(&browser.get(&link("5 refused")).await);
    assert_eq!(refused.len(), 4, "{refused:?}");
    assert!(refused[0].contains("2 times more"), "{refused:?}");
}
