//! The pages of the console among 100,000 and 1,000,000 people, and the account page.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::client::Client;
use super::sign_ins::open;
use super::{Served, block_on, median, paired, with_passwords};
use crate::Line;
use crate::baseline::fill;
use crate::support::browser::{Browser, SESSION};

const MANY: usize = 100_000;
const MOST: usize = 1_000_000;
/// Requests of one measurement.
const REQUESTS: usize = 200;
/// The rows of a file, and how often it is checked.
const ROWS: usize = 10_000;
const CHECKS: usize = 5;
/// Passwords that are hashed while pages are loaded.
const HASHED: usize = 2_000;

/// The list of people in each order, and by some filters.
const LISTS: [&str; 9] = [
    "",
    "order=email",
    "order=-created",
    "order=-last",
    "level=owner",
    "state=suspended",
    "sign_in=none",
    "signed_in=never",
    "q=7f3a9c",
];

const OWNER: &str = "select organization_id, user_id from users where email = 'owner-0@example.com'";

pub fn lines() -> Vec<Line> {
    let lists = LISTS.map(|parameters| format!("/console/people?{parameters}"));
    let overview = ["/console".to_owned()];
    let many = Console::with(MANY);
    let mut lines = vec![
        most_millis("p99 of a page of the list among 100,000 people, 9 orders and filters", many.p99(&lists), 60.0),
        many.last_page(),
        most_millis("p99 of the overview, 100,000 people", many.p99(&overview), 50.0),
        most_millis("p99 of the account page", many.p99(&["/account".to_owned()]), 5.0),
        most_millis("p99 of the sign-in page", p99(|client, ()| client.get("/sign-in"), &many.served, &[()]), 5.0),
        many.check(),
        many.beside_a_batch(),
    ];
    drop(many);
    let most = Console::with(MOST);
    lines.extend([
        most_millis("p99 of a page of the list among 1,000,000 people, 9 orders and filters", most.p99(&lists), 90.0),
        most_millis("p99 of the overview, 1,000,000 people", most.p99(&overview), 50.0),
    ]);
    lines
}

fn most_millis(what: &'static str, millis: f64, limit: f64) -> Line {
    Line::at_most(what, millis, limit, " ms", format!("{millis:.1} ms"))
}

/// The p99 in milliseconds of requests about each of these, one after the other.
fn p99<T>(request: impl Fn(&mut Client, &T), served: &Served, each: &[T]) -> f64 {
    let mut client = served.client();
    let millis = |one| {
        let start = Instant::now();
        request(&mut client, one);
        start.elapsed().as_secs_f64() * 1e3
    };
    let mut times: Vec<f64> = each.iter().cycle().take(REQUESTS).map(millis).collect();
    times.sort_by(f64::total_cmp);
    times[times.len() * 99 / 100]
}

/// A server with people, and an owner in a browser.
struct Console {
    served: Served,
    session: String,
}

impl Console {
    fn with(people: usize) -> Self {
        let mut served = Served::start();
        let owner =
            with_passwords("owner", 1).replace(r#""is_sso_user""#, r#""permission_level":"owner","is_sso_user""#);
        served.create(&owner);
        fill(&served.database, people);
        let session = open(&served.database, OWNER, 1).remove(0);
        Self { served, session }
    }

    /// The p99 in milliseconds of these pages, one after the other.
    fn p99(&self, paths: &[String]) -> f64 {
        p99(|client, path| client.get_with_session(path, &self.session), &self.served, paths)
    }

    fn browser(&self) -> Browser {
        let browser = Browser::at_address(self.served.server.address);
        browser.set_cookie(SESSION, &self.session);
        browser
    }

    /// The last page of the list compared with the first.
    fn last_page(&self) -> Line {
        let page = block_on(self.browser().get("/console/people")).text;
        let next = page.split_once("people?after=").unwrap().1.split('"').next().unwrap();
        // The same list, before a place that is after everybody.
        let list = BASE64_URL_SAFE_NO_PAD.decode(next).unwrap()[..8].to_vec();
        let end = BASE64_URL_SAFE_NO_PAD.encode([list, vec![0xff; 16], "\u{10ffff}".into()].concat());
        let last = [format!("/console/people?before={end}")];
        let first = ["/console/people".to_owned()];
        let millis = paired(&mut (), |(), _| self.p99(&first), |(), _| self.p99(&last));
        let measured = format!("{:.2} ({:.1} ms / {:.1} ms)", millis.ratio, millis.b, millis.a);
        Line::at_most("p99 of the last page of the list / the first, 100,000 people", millis.ratio, 1.5, "", measured)
    }

    /// From sending a file to its first page.
    fn check(&self) -> Line {
        let browser = self.browser();
        let rows = (0..ROWS).map(|n| format!("Ada,row{n}@example.com,true\r\n")).collect::<String>();
        let file = format!("name,email,is_sso_user\r\n{rows}");
        let once = |n| {
            let boundary = "boundary-of-the-form";
            let body = format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"people{n}.csv\"\r\n\
                 Content-Type: text/csv\r\n\r\n{file}\r\n--{boundary}--\r\n"
            );
            let request = browser.request("POST", "/console/import");
            let request =
                request.header("content-type", format!("multipart/form-data; boundary={boundary}")).body(body);
            let start = Instant::now();
            let sent = block_on(browser.send(request));
            assert_eq!(sent.status, 303, "{}", sent.text);
            let step = format!("/{}", sent.header("location").trim_start_matches("../"));
            let page = block_on(browser.get(&step));
            assert_eq!(page.status, 200, "{}", page.text);
            let took = start.elapsed().as_secs_f64();
            let draft = step.split('/').nth(3).unwrap();
            let discarded = block_on(browser.submit(&format!("/console/import/{draft}/discard"), &[]));
            assert_eq!(discarded.status, 303, "{}", discarded.text);
            took
        };
        let seconds = median((0..CHECKS).map(once).collect());
        Line::at_most(
            "a file of 10,000 rows, until its findings are shown",
            seconds,
            1.5,
            " s",
            format!("{seconds:.2} s"),
        )
    }

    /// The list while passwords are hashed, compared with the idle server.
    fn beside_a_batch(&self) -> Line {
        let lists = ["/console/people".to_owned()];
        let p99s = paired(
            &mut (),
            |(), _| self.p99(&lists),
            |(), pair| {
                let body = with_passwords(&format!("busy{pair}"), HASHED);
                let (mut batch, over) = (self.served.client(), AtomicBool::new(false));
                std::thread::scope(|scope| {
                    let creating = scope.spawn(|| {
                        batch.create(&body, "");
                        over.store(true, Ordering::Relaxed);
                    });
                    let p99 = self.p99(&lists);
                    assert!(!over.load(Ordering::Relaxed), "the batch was over too early");
                    creating.join().unwrap();
                    p99
                })
            },
        );
        let measured = format!("{:.2} ({:.1} ms / {:.1} ms)", p99s.ratio, p99s.b, p99s.a);
        Line::at_most(
            "p99 of the list while 2,000 passwords are hashed / on the idle server",
            p99s.ratio,
            2.0,
            "",
            measured,
        )
    }
}
