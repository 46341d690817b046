//! Lookups, pages and searches among 1,000,000 users, compared with 10,000 users and with the bare query.

use std::time::Instant;

use muster::id::{Id, User};
use sqlx::postgres::PgConnectOptions;

use super::client::{Client, saturate};
use super::{PAIRS, Served, median, paired};
use crate::Line;
use crate::baseline::{Lookup, execute, fill};

const FEW: usize = 10_000;
const MANY: usize = 1_000_000;
/// Number of users to look up, spread over the table.
const SAMPLE: usize = 400;
/// Rows on a page, and the number of the far page.
const COUNT: usize = 50;
const FAR_PAGE: usize = 20_000;
const CONNECTIONS: usize = 16;
const SECONDS: u64 = 4;
/// Users that one pgbench transaction looks up.
const LOOKUPS: usize = 50;

/// A server and a sample of its users.
struct Populated {
    served: Served,
    sample: Vec<(Id<User>, String)>,
}

/// Sends one request about a user.
type Request = fn(&mut Client, &(Id<User>, String));

pub fn lines() -> Vec<Line> {
    let mut places = (Populated::with(FEW), Populated::with(MANY));
    let requests: [(&'static str, Request); 6] = [
        ("p99 of a user by id, among 1,000,000 / 10,000", by_id),
        ("p99 of a user by e-mail, among 1,000,000 / 10,000", by_email),
        ("p99 of a page of the list, among 1,000,000 / 10,000", page),
        ("p99 of a search for a part of an address, among 1,000,000 / 10,000", search),
        ("p99 of a search that matches all, among 1,000,000 / 10,000", search_for_all),
        ("p99 of a search that matches none, among 1,000,000 / 10,000", search_for_none),
    ];
    let mut lines: Vec<Line> = requests
        .into_iter()
        .map(|(what, request)| {
            places.0.p99(request);
            places.1.p99(request);
            let millis = paired(&mut places, |(few, _), _| few.p99(request), |(_, many), _| many.p99(request));
            let measured = format!("{:.2} ({:.2} ms / {:.2} ms)", millis.ratio, millis.b, millis.a);
            Line::at_most(what, millis.ratio, 1.5, "", measured)
        })
        .collect();
    lines.push(far_page(&mut places.1));
    lines
}

/// Users by ID, on many connections.
pub fn lookups() -> Vec<Line> {
    vec![rate(&mut Populated::with(MANY))]
}

impl Populated {
    fn with(users: usize) -> Self {
        let served = Served::start();
        fill(&served.database, users);
        let sample = sample(&served.database, users);
        Self { served, sample }
    }

    /// The p99 in milliseconds of sequential requests for each user of the sample.
    fn p99(&self, request: Request) -> f64 {
        let mut times = self.times(request);
        times.sort_by(f64::total_cmp);
        times[times.len() * 99 / 100]
    }

    fn times(&self, request: Request) -> Vec<f64> {
        let mut client = self.served.client();
        client.get("/api/v2/userinfo/");
        let time = |user| {
            let start = Instant::now();
            request(&mut client, user);
            start.elapsed().as_secs_f64() * 1e3
        };
        self.sample.iter().map(time).collect()
    }
}

/// Users at regular intervals of the table.
fn sample(database: &PgConnectOptions, users: usize) -> Vec<(Id<User>, String)> {
    let every = users / SAMPLE;
    let text = execute(
        database,
        &format!(
            "\\t on\n\\a\nselect user_id, email from
                (select user_id, email, row_number() over (order by user_id) as n from users where batch_id is not null) as u
                where n % {every} = 0 order by md5(email);"
        ),
    );
    let user = |line: &str| {
        let (id, email) = line.split_once('|').unwrap();
        (Id::from_uuid(id.parse().unwrap()), email.to_owned())
    };
    text.lines().filter(|line| !line.is_empty()).map(user).collect()
}

fn by_id(client: &mut Client, (user_id, _): &(Id<User>, String)) {
    client.get(&format!("/api/v2/users/{user_id}"));
}

fn by_email(client: &mut Client, (_, email): &(Id<User>, String)) {
    client.get(&format!("/api/v2/organization_collaborators/?email={email}&count=1"));
}

fn page(client: &mut Client, (user_id, _): &(Id<User>, String)) {
    client.get(&format!("/api/v2/organization_collaborators/?count={COUNT}&paging_token={user_id}"));
}

fn search(client: &mut Client, (_, email): &(Id<User>, String)) {
    client.post("/api/v2/organization_collaborators/search", &format!(r#"{{"query":"{}"}}"#, &email[2..12]));
}

fn search_for_all(client: &mut Client, _: &(Id<User>, String)) {
    client.post("/api/v2/organization_collaborators/search", r#"{"query":"EXAMPLE.com"}"#);
}

fn search_for_none(client: &mut Client, (_, email): &(Id<User>, String)) {
    let unknown: String = email[2..12].chars().map(|digit| if digit == 'z' { 'y' } else { 'z' }).collect();
    client.post("/api/v2/organization_collaborators/search", &format!(r#"{{"query":"{unknown}{}"}}"#, &email[2..5]));
}

/// A page far from the first.
fn far_page(place: &mut Populated) -> Line {
    let before = execute(
        &place.served.database,
        &format!(
            "\\t on\n\\a\nselect user_id from users order by user_id offset {} limit 1;",
            (FAR_PAGE - 1) * COUNT - 1
        ),
    );
    let token = Id::<User>::from_uuid(before.trim().parse().unwrap());
    let far = format!("/api/v2/organization_collaborators/?count={COUNT}&paging_token={token}");
    let first = format!("/api/v2/organization_collaborators/?count={COUNT}");
    let time = |place: &mut Populated, path: &str| {
        let mut client = place.served.client();
        let once = |_| {
            let start = Instant::now();
            client.get(path);
            start.elapsed().as_secs_f64() * 1e3
        };
        median((0..SAMPLE).map(once).collect())
    };
    time(place, &far);
    let millis = paired(place, |place, _| time(place, &first), |place, _| time(place, &far));
    Line::at_most(
        "the 20,000th page / the first, median",
        millis.ratio,
        1.1,
        "",
        format!("{:.2} ({:.2} ms / {:.2} ms)", millis.ratio, millis.b, millis.a),
    )
}

fn rate(place: &mut Populated) -> Line {
    let ids: Vec<_> = place.sample.iter().take(LOOKUPS).map(|(user_id, _)| *user_id).collect();
    let lookup = Lookup::new(&place.served.database, &ids);
    lookup.rate(CONNECTIONS, 1);
    let rates = paired(
        place,
        |_, _| lookup.rate(CONNECTIONS, SECONDS),
        |place, _| {
            let (clients, users) = ((0..CONNECTIONS).map(|_| place.served.client()).collect(), &place.sample);
            saturate(clients, SECONDS, |client, connection, n| {
                let (user_id, _) = &users[(connection * PAIRS + n) % users.len()];
                client.send_get(&format!("/api/v2/users/{user_id}"));
            })
        },
    );
    Line::at_least(
        "users by id among 1,000,000, 16 connections, requests/s / the query in pgbench",
        rates.ratio,
        0.35,
        format!("{:.2} ({:.0}/s / {:.0}/s)", rates.ratio, rates.b, rates.a),
    )
}
